"""Segments as tasks in processes of their own, and by the very script that is made for Slurm."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.pipeline.test_exits import events_until, started
from tests.slow.test_real_clips import CHEAP
from vidrain.segments.folder import folder_of
from vidrain.segments.plan import LONGEST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
SEGMENTS = 5


@pytest.fixture
def clip(samples: Path, tmp_path: Path) -> Path:
    """560 frames with sound: five segments, the last one shorter."""
    loops = ("-stream_loop", "19")
    return ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "it's in.mp4", "-map", "0:v", first=loops)


@pytest.fixture
def calm(clip: Path, tmp_path: Path) -> bytes:
    """What a run makes that nobody stopped."""
    run("clean", clip, "-o", tmp_path / "calm.mp4", *CHEAP)
    return (tmp_path / "calm.mp4").read_bytes()


def run(*arguments: str | Path) -> list[dict[str, object]]:
    command = [sys.executable, "-m", "vidrain", *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def joined(clip: Path, out: Path) -> bytes:
    """Of segments that are all there."""
    events = run("clean", clip, "-o", out, *CHEAP)
    (resumed,) = (event for event in events if event["event"] == "resumed")
    assert resumed["frames"] == resumed["total"] == 560
    assert list(out.parent.iterdir()) == [out]
    return out.read_bytes()


@pytest.mark.fault(25)
@pytest.mark.proves("segment run")
def test_two_at_a_time_and_one_is_killed(clip: Path, calm: bytes, tmp_path: Path) -> None:
    out = tmp_path / "out" / "out.mp4"
    out.parent.mkdir()
    plan = run("clean", clip, "-o", out, *CHEAP, "--slurm", tmp_path / "job.sh")[-1]
    assert plan["segments"] == SEGMENTS
    task = ("segment", "run", out, "--index")
    with started(*task, "3", "--json") as first, started(*task, "1", "--json") as second:
        events_until(first, lambda event: event["event"] == "progress" and event["frames"] >= LONGEST // 2)
        first.kill()
        first.communicate()
        assert second.communicate()[0].count("segment_done") == 1
    with started(*task, "4", "--json") as third, started(*task, "3", "--json") as again:
        for each in (third, again):
            each.communicate()
            assert each.returncode == 0
    with started(*task, "0", "--json") as fourth, started(*task, "2", "--json") as fifth:
        for each in (fourth, fifth):
            each.communicate()
            assert each.returncode == 0
    assert joined(clip, out) == calm


@pytest.mark.proves("clean --slurm")
def test_the_script_as_slurm_would_run_it(clip: Path, calm: bytes, tmp_path: Path) -> None:
    """By a real shell, once for every index of the array that the script itself asks for."""
    out, script = tmp_path / "my out" / "it's $1.mp4", tmp_path / "job.sh"
    out.parent.mkdir()
    run("clean", clip, "-o", out, *CHEAP, "--slurm", script)
    subprocess.run(["bash", "-n", script], check=True)
    (asked,) = (line for line in script.read_text().splitlines() if line.startswith("#SBATCH --array="))
    assert asked == f"#SBATCH --array=0-{SEGMENTS - 1}"
    for index in reversed(range(SEGMENTS)):
        environment = {**os.environ, "SLURM_ARRAY_TASK_ID": str(index)}
        subprocess.run(["bash", script], cwd=ROOT, env=environment, capture_output=True, check=True)
        assert len(list(folder_of(out).glob("0-*.json"))) == SEGMENTS - index
    assert joined(clip, out) == calm
