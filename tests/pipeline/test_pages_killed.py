"""Commands that write pages, or measure, killed by kill -9 in the middle: nothing of them stays in the temp folder."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.pipeline.conftest import Vidrain
from vidrain.scratch import scratch_folder

ROOT = Path(__file__).resolve().parents[2]
WHOLE = """
import os, signal, sys
import vidrain.{module} as module
left, really = int(sys.argv.pop(1)), module.{function}
def killing(*arguments, **named):
    global left
    left -= 1
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return really(*arguments, **named)
module.{function} = killing
from vidrain.__main__ import run
run()
"""


def killed(temp: Path, code: str, *command: str | Path, at: int) -> None:
    """Run a command that kills itself when it comes to a function so many times."""
    arguments = [sys.executable, "-c", code, str(at), *map(str, command)]
    environment = os.environ | {"TMPDIR": str(temp)}
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture
def temp(tmp_path: Path) -> Path:
    folder = tmp_path / "temp"
    folder.mkdir()
    return folder


CLEAN = ("--model", "baseline", "--end", "8")


@pytest.mark.fault(25)
@pytest.mark.proves("preview", "clean --report")
@pytest.mark.parametrize("command", ["preview", "clean --report"])
def test_a_page_that_is_killed_leaves_only_what_the_next_one_takes(
    command: str, samples: Path, tmp_path: Path, temp: Path, vidrain: Vidrain
) -> None:
    source, out = samples / "odd.mp4", tmp_path / "out"
    out.mkdir()
    page, video = out / "page.html", out / "out.mp4"
    module, how, made = {
        "preview": ("preview", ("preview", source, "-o", page, "--seconds", "0.3", "model=baseline"), [page]),
        "clean --report": ("report", ("clean", source, "-o", video, "--report", page, *CLEAN), [video, page]),
    }[command]
    killed(temp, WHOLE.format(module=f"viewer.{module}", function="write_pair"), *how, at=4)
    assert list(temp.iterdir()) == []
    assert not page.exists()
    ran = vidrain(*how)
    assert ran.code == 0, ran.err
    assert sorted(out.iterdir()) == made, "no rests"
    assert page.read_bytes().startswith(b"<!"), "the page, and not what it was made of"


@pytest.mark.fault(25)
@pytest.mark.proves("bench")
def test_a_benchmark_that_is_killed_is_cleared_away_by_the_next(
    temp: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But not what another works in."""
    quick = ("bench", "--method", "published", "--size", "64x48", "--frames", "2", "--repeats", "1")
    killed(temp, WHOLE.format(module="bench.run", function="published_ms"), *quick, at=1)
    (left,) = temp.iterdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temp))
    with scratch_folder("bench") as busy:
        assert list(temp.iterdir()) == [busy], f"{left.name} is gone"
        assert vidrain(*quick).code == 0
        assert list(temp.iterdir()) == [busy]
    assert list(temp.iterdir()) == []
