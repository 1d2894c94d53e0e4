"""Runs tests of a copy of the project in which something is broken on purpose.

A test that has never been seen failing proves little. Here a feature is patched out, or a library cannot be
imported, and the caller looks at how the tests end.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

COPIED = ("vidrain", "tests", "samples", "configs", "tools", "docs", "pyproject.toml", "README.md")

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


def run_tests(copy: Path, *nodes: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs `nodes` in `copy` on the vidrain that lies there; stdout and stderr come back as one text.

    CI is taken out of the environment: there a skip is a failure, and a skipped test was not seen failing.
    """
    inherited = {name: value for name, value in os.environ.items() if not _steers_pytest(name)}
    path = environment.pop("PYTHONPATH", None)
    env = inherited | {"PYTHONPATH": os.pathsep.join(filter(None, [path, str(copy)]))} | environment
    imported = _run(copy, env, "-c", "import vidrain; print(vidrain.__file__)")
    assert Path(imported.stdout.strip() or "/").is_relative_to(copy), f"not the copy: {imported.stdout}"
    # Overrides `-m 'not slow'`: the caller named the tests it wants.
    return _run(copy, env, "-m", "pytest", "-x", "-q", "-m", "", "-p", "no:cacheprovider", *nodes)


def _steers_pytest(name: str) -> bool:
    return name == "CI" or name.startswith(("PYTEST_", "VIDRAIN_TEST_"))


def _run(copy: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def passed(result: subprocess.CompletedProcess[str]) -> bool:
    """Whether every test ran and passed; a skipped test did not."""
    return result.returncode == 0 and " skipped" not in result.stdout


def why_not_failed_without(library: str, module: str, *, node: str, root: Path, scratch: Path) -> str:
    """Empty when test `node` fails for want of `library`; else what happened instead."""
    copy, hook, refused = scratch / "copy", scratch / "hook", scratch / "refused.txt"
    copy_project(root, copy)
    hook.mkdir()
    (hook / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    result = run_tests(
        copy,
        node,
        PYTHONPATH=str(hook),
        VIDRAIN_TEST_BLOCKED=module,
        VIDRAIN_TEST_REFUSED=str(refused),
    )
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
