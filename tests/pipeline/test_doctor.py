"""`vidrain doctor`: what works here is tried, what does not is said with its exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.conftest import Vidrain
from tests.switched_off import SITECUSTOMIZE
from vidrain import __version__

ROOT = Path(__file__).resolve().parents[2]


def checks(found: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    return {(check["subject"], check["name"]): check for check in found["checks"]}


def without(library: str, folder: Path) -> dict[str, Any]:
    """What the doctor says in a process that cannot import `library`."""
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE, encoding="utf-8")
    path = os.pathsep.join([str(folder), str(ROOT)])
    blocked = {"VIDRAIN_TEST_BLOCKED": library, "VIDRAIN_TEST_REFUSED": str(folder / "refused")}
    command = [sys.executable, "-m", "vidrain", "doctor", "--json"]
    env = os.environ | blocked | {"PYTHONPATH": path}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == found["exit_code"]
    return found


@pytest.mark.proves("doctor", "doctor --json")
def test_all_is_well_here(vidrain: Vidrain) -> None:
    ran = vidrain("doctor", "--json")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert (found["v"], found["vidrain"], found["exit_code"]) == (1, __version__, 0)
    good = checks(found)
    for library in ("torch", "av", "numpy", "opencv-python-headless", "zarr", "OpenEXR"):
        assert good["library", library]["found"] == metadata.version(library)
    for encoder in ("libx264", "libx265", "libsvtav1", "ffv1"):
        assert good["encoder", encoder]["found"] == "works"
    assert good["program", "ffmpeg"]["is_good"]
    assert good["model", "baseline"]["is_good"]
    assert good["device", "cpu"]["is_good"]
    assert good["disk", str(Path.cwd())]["found"].endswith(" GB free")
    lines = vidrain("doctor").out.splitlines()
    assert lines[0].startswith(f"vidrain {__version__}, Python ")
    assert lines[-1] == "all is well"
    assert len(lines) == len(found["checks"]) + 2


def test_what_cannot_be_written_is_exit_5(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, vidrain: Vidrain) -> None:
    program = tmp_path / "ffmpeg"
    program.write_text("#!/bin/sh\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(program))
    ran = vidrain("doctor")
    assert ran.code == 5
    assert "FAIL program  ffmpeg: fails: the ffmpeg program does not run" in ran.out
    assert ran.out.endswith("a job would end with 5\n")


@pytest.mark.parametrize(("library", "code"), [("decord", 0), ("pyarrow", 0), ("cv2", 7), ("av", 5)])
def test_a_library_that_is_missing(library: str, code: int, tmp_path: Path) -> None:
    found = without(library, tmp_path)
    assert found["exit_code"] == code
    failing = [check["name"] for check in found["checks"] if not check["is_good"]]
    assert failing
    assert all("blocked" in check["found"] for check in found["checks"] if not check["is_good"])
    if library == "pyarrow":
        told = checks(found)["library", "pyarrow"]["found"]
        assert "pip install -c constraints.txt '.[export]'" in told
        assert "vidrain[export]" not in told  # which an index may hold of somebody else
