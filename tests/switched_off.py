"""Runs tests of a copy of the project in which something is broken on purpose.

A test that has never been seen failing proves little. Here a feature is patched out, or a library cannot be
imported, and the caller looks at how the tests end.
"""

import importlib.util
import multiprocessing
import os
import shutil
import subprocess
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest

# Named, not imported by us: what a broken copy may load is loaded once for hundreds of them, which takes seconds.
HEAVY = ["torch", "cv2", "av", "numpy", "omegaconf", "click", "pytest", "hypothesis"]

COPIED = ("vidrain", "tests", "samples", "configs", "tools", "docs", "pyproject.toml", "README.md")

_OURS = 99  # of a child in which something else than a test went wrong
OPTIONS = ("-x", "-q", "-m", "", "-p", "no:cacheprovider")  # `-m ""`: the caller named the tests it wants

# Blocks one library for Python and all its children (a test may start the command line), as no plugin of
# pytest could: Python imports `sitecustomize` by itself when it finds one on its path. The note of each
# refused import stays when vidrain turns the ImportError into a message of its own.
SITECUSTOMIZE = """
import os, sys
from pathlib import Path

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == os.environ["VIDRAIN_TEST_BLOCKED"]:
            with Path(os.environ["VIDRAIN_TEST_REFUSED"]).open("a") as note:
                note.write(name + chr(10))
            raise ModuleNotFoundError(f"No module named {name!r}: its import is blocked", name=name)

sys.meta_path.insert(0, Blocker())
"""


def copy_project(root: Path, to: Path) -> None:
    """Copies what tests need from `root`; neither the installed vidrain nor any cache comes along."""
    for name in COPIED:
        source = root / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            to.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, to / name)


class Ended(NamedTuple):
    """How pytest ended. stdout: what it printed, and what it said on standard error."""

    returncode: int
    stdout: str


def run_tests(copy: Path, *nodes: str) -> Ended:
    """Runs `nodes` in `copy` on the vidrain that lies there, forked from a process that knows no vidrain.

    CI is taken out of the environment: there a skip is a failure, and a skipped test was not seen failing.
    """
    forks = multiprocessing.get_context("forkserver")
    forks.set_forkserver_preload(HEAVY)
    # What a test left running may still write there.
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        printed = Path(folder) / "printed.txt"
        arguments = (*_options(Path(folder)), "-W", "ignore::pytest.PytestAssertRewriteWarning", *nodes)
        child = forks.Process(target=_in_child, args=(copy, arguments, printed, _environment(str(copy))))
        child.start()
        try:
            child.join()
        finally:
            child.kill()
        assert child.exitcode is not None
        return Ended(child.exitcode, printed.read_text(encoding="utf-8"))


def _options(folder: Path) -> tuple[str, ...]:
    """Of pytest. Tests get folders in `folder`: where pytest keeps those of all runs, one run clears away another's."""
    return (*OPTIONS, f"--basetemp={folder / 'folders'}")


def _in_child(copy: Path, arguments: tuple[str, ...], printed: Path, environment: dict[str, str]) -> None:
    """Ends with the code of pytest, or with one that pytest has not: an error of ours is no test that fails."""
    with printed.open("w") as text:
        for stream in (1, 2):
            os.dup2(text.fileno(), stream)
    code = _OURS
    try:
        os.chdir(copy)
        os.environ.clear()
        os.environ.update(environment)
        sys.path[:] = [str(copy), *(path for path in sys.path if not (Path(path) / "vidrain").is_dir())]
        for name in [name for name in sys.modules if name.partition(".")[0] in COPIED]:  # to get here, of the original
            del sys.modules[name]
        found = importlib.util.find_spec("vidrain")
        assert found is not None and Path(found.origin or "/").is_relative_to(copy), f"not the copy: {found}"
        code = int(pytest.main([*arguments]))
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _run_tests_without(module: str, refused: Path, *, copy: Path, hook: Path, node: str) -> Ended:
    """The same in a fresh interpreter, which has nothing loaded yet and cannot load `module`."""
    blocked = {"VIDRAIN_TEST_BLOCKED": module, "VIDRAIN_TEST_REFUSED": str(refused)}
    env = _environment(str(hook), str(copy)) | blocked
    imported = _run(copy, env, "-c", "import vidrain; print(vidrain.__file__)")
    assert Path(imported.stdout.strip() or "/").is_relative_to(copy), f"not the copy: {imported.stdout}"
    return _run(copy, env, "-m", "pytest", *_options(hook), node)


def _environment(*paths: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not _steers_pytest(name)}
    return inherited | {"PYTHONPATH": os.pathsep.join(paths)}


def _steers_pytest(name: str) -> bool:
    return name == "CI" or name.startswith(("PYTEST_", "VIDRAIN_TEST_"))


def _run(copy: Path, env: dict[str, str], *arguments: str) -> Ended:
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return Ended(done.returncode, done.stdout)


def passed(result: Ended) -> bool:
    """Whether every test ran and passed; a skipped test did not."""
    return result.returncode == 0 and " skipped" not in result.stdout


def why_not_failed_without(library: str, module: str, *, node: str, root: Path, scratch: Path) -> str:
    """Empty when test `node` fails for want of `library`; else what happened instead."""
    copy, hook, refused = scratch / "copy", scratch / "hook", scratch / "refused.txt"
    copy_project(root, copy)
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    result = _run_tests_without(module, refused, copy=copy, hook=hook, node=node)
    if result.returncode == 0:
        return f"{node} passes without {library}:\n{result.stdout}"
    if not refused.exists():
        return f"{node} fails, but nothing asked for {library}:\n{result.stdout}"
    # Without numpy or torch the test file itself does not load (2, or 4 for a named test): that is a
    # failure because of the library only if the refused import is what pytest reports.
    loads = result.returncode == 1
    named = library in result.stdout or f"{module!r}" in result.stdout
    if (loads and named) or "its import is blocked" in result.stdout:
        return ""
    return f"{node} ended with {result.returncode} and does not name {library}:\n{result.stdout}"
