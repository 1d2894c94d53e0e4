"""The Dockerfile without Docker: hadolint finds nothing, and its own pip commands give a vidrain that runs.

The commands are run in a fresh virtual environment over just the files it copies, with the package index that
pip is configured with here in place of the one it names for torch.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.promises import ROOT

pytestmark = pytest.mark.slow

DOCKERFILE = ROOT / "Dockerfile"


def instructions(name: str) -> list[str]:
    """Arguments of every instruction of that name, in order, continued lines joined."""
    text = DOCKERFILE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.removeprefix(name).strip() for line in text.splitlines() if line.startswith(f"{name} ")]


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run to the end; stdout and stderr come back as one text."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        env=inherited | environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )


def test_hadolint_finds_nothing() -> None:
    beside_python = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    hadolint = shutil.which("hadolint", path=beside_python)
    if hadolint is None:
        pytest.skip("hadolint has no wheel for this system")
    result = run(hadolint, DOCKERFILE, cwd=ROOT)
    assert (result.returncode, result.stdout) == (0, "")


def test_builder_gets_exactly_what_is_copied() -> None:
    copied = {source for line in instructions("COPY") for source in shlex.split(line)[:-1]}
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert copied == {line.removeprefix("!") for line in kept if line.startswith("!")}
    assert [source for source in sorted(copied) if not (ROOT / source).exists()] == []


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A virtual environment filled by the Dockerfile's own commands."""
    folder = tmp_path_factory.mktemp("image")
    source, environment = folder / "src", folder / "venv"
    source.mkdir()
    for line in instructions("COPY"):
        *names, _ = shlex.split(line)
        for name in names:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
            copy(ROOT / name, source / name)
    made = run(sys.executable, "-m", "venv", environment, cwd=folder)
    assert made.returncode == 0, made.stdout
    commands = [line for line in instructions("RUN") if line.startswith("pip ")]
    assert commands, "the Dockerfile installs nothing"
    for command in commands:
        words = shlex.split(re.sub(r'--extra-index-url "\$\{TORCH_INDEX\}"', "", command))
        assert not any("$" in word for word in words), f"a variable this test does not know: {command}"
        done = run(environment / "bin" / "python", "-m", *words, cwd=source)
        assert done.returncode == 0, done.stdout
    return environment


@pytest.mark.timeout(1200)
def test_installed_command_runs(built: Path, tmp_path: Path) -> None:
    (entry,) = instructions("ENTRYPOINT")
    (default,) = instructions("CMD")
    words = [word for part in (entry, default) for word in re.findall(r'"([^"]*)"', part)]
    assert words == ["vidrain", "--help"]
    result = run(built / "bin" / words[0], *words[1:], cwd=tmp_path)
    assert result.returncode == 0, result.stdout
    assert "Usage: vidrain" in result.stdout
    assert "clean" in result.stdout


@pytest.mark.timeout(1200)
def test_installed_versions_are_the_tested_ones(built: Path, tmp_path: Path) -> None:
    listed = run(built / "bin" / "python", "-m", "pip", "list", "--format=freeze", cwd=tmp_path)
    installed = dict(line.split("==") for line in listed.stdout.splitlines() if line.count("==") == 1)
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    wanted = dict(line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    shared = installed.keys() & wanted.keys()
    assert {"torch", "av", "numpy", "click"} <= shared
    # a device in the version, such as 2.13.0+cpu, is the same release
    assert {name: installed[name].partition("+")[0] for name in shared} == {name: wanted[name] for name in shared}


@pytest.mark.timeout(1200)
def test_installed_package_holds_its_licences(built: Path, tmp_path: Path) -> None:
    (folder,) = built.glob("lib/python*/site-packages/vidrain-*.dist-info")
    assert {path.name for path in folder.glob("licenses/*")} == {"LICENSE", "NOTICE"}
    assert run(built / "bin" / "python", "-m", "pip", "check", cwd=tmp_path).returncode == 0
