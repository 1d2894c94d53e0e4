"""`clean --compare` that is killed, or stalls, while the comparison is rendered, by a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from vidrain.errors import OutputError
from vidrain.types import ColorTags
from vidrain.video.ffmpeg import comparison

ROOT = Path(__file__).resolve().parents[2]


def rendering(job: subprocess.Popen[bytes]) -> psutil.Process:
    """Who renders, as soon as there is one."""
    family = psutil.Process(job.pid)
    while job.poll() is None:
        for child in family.children():
            with suppress(psutil.NoSuchProcess):  # others are quick
                if "hstack" in " ".join(child.cmdline()):
                    return child
        time.sleep(0.005)
    raise AssertionError("nothing was rendered")


@pytest.mark.fault(25)
@pytest.mark.proves("clean --compare")
def test_who_renders_ends_with_its_parent_and_leaves_nothing(samples: Path, out: Path, tmp_path: Path) -> None:
    """It stands still at first, so that the kill does not come too late."""
    (tmp_path / "tmp").mkdir()
    compare = out.with_name("compare.mp4")
    command = [sys.executable, "-m", "vidrain", "clean", samples / "street.mp4", "-o", out, "--compare", compare]
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen([*command, "--preset", "fast"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL) as job:
        child = rendering(job)
        child.suspend()
        job.kill()
    child.resume()
    psutil.wait_procs([child], timeout=20)
    assert not child.is_running()
    assert list((tmp_path / "tmp").iterdir()) == []
    subprocess.run([*command, "--preset", "fast"], cwd=ROOT, env=environment, capture_output=True, check=True)
    assert sorted(out.parent.iterdir()) == [compare, out]
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.fault(33)
@pytest.mark.proves("clean --stall-s")
def test_who_renders_and_stalls_is_not_waited_for(samples: Path, out: Path) -> None:
    """As where the source lies on a share that went away; the frames that are made stay."""
    compare = out.with_name("compare.mp4")
    command = [sys.executable, "-m", "vidrain", "clean", samples / "street.mp4", "-o", out, "--compare", compare]
    command += ["--preset", "fast", "--stall-s", "3"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE) as job:
        child = rendering(job)
        child.suspend()
        _, said = job.communicate(timeout=60)
    assert (job.returncode, b"gave nothing for 3 s during compare" in said, said.count(b"\n")) == (3, True, 1), said
    assert b"44 of 44 frames are kept" in said
    psutil.wait_procs([child], timeout=5)
    assert not child.is_running()
    assert [path.name for path in out.parent.iterdir()] == ["out.mp4.vidrain"]


def test_who_fails_says_why(samples: Path, tmp_path: Path) -> None:
    """In its own words, whatever its reader made of what came."""
    missing, tags = tmp_path / "missing.mp4", ColorTags()
    said = r"the comparison failed, ffmpeg ended with \d+ \(.*No such file or directory\); drop --compare"
    rendered = comparison(samples / "street.mp4", missing, kept=range(4), tracks=(0, 0), color=tags)
    with pytest.raises(OutputError, match=said), rendered as pipe:
        assert os.read(pipe, 1) == b""
        raise ValueError("no frames came")
