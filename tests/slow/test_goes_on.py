"""`clean` killed twenty times on real footage, and on disks with every amount of room but enough."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.pipeline.test_exits import events_until, started
from tests.slow.test_real_clips import CHEAP
from vidrain.segments.folder import folder_of
from vidrain.segments.plan import LONGEST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

ROOT = Path(__file__).resolve().parents[2]
KILLS, SECONDS = 20, 60


@pytest.mark.fault(25)
def test_twenty_kills(footage: Path, tmp_path: Path) -> None:
    """A minute of footage; every run begins where the finished segments of those before it end.

    The moments are frames: each kill comes just behind a `progress` that passes a limit, so none while outputs are
    joined or renamed. Those are killed call by call in tests/pipeline/test_crash_points.py.
    """
    source, calm, out = tmp_path / "in.mp4", tmp_path / "calm.mp4", tmp_path / "out" / "out.mp4"
    out.parent.mkdir()
    ffmpeg_says.quietly(
        *("-stream_loop", "-1", "-i", footage / "real" / "field.mp4", "-t", str(SECONDS), "-c", "copy", source)
    )
    with started("clean", source, "-o", calm, *CHEAP, "--json") as process:
        said, _ = process.communicate()
    assert (process.returncode, folder_of(calm).exists()) == (0, False)
    total = json.loads(said.splitlines()[-1])["frames_out"]
    dice, done, wanted, seen = random.Random(20), 0, 0, 0
    for _ in range(KILLS):
        with started("clean", source, "-o", out, *CHEAP, "--json") as process:
            if done:
                wanted += 1
                seen += events_until(process, lambda event: event["event"] == "resumed")["frames"] == done
            limit = min(done + dice.randint(LONGEST // 2, 2 * LONGEST), total - 1)
            events_until(process, lambda event, limit=limit: event["event"] == "progress" and event["frames"] >= limit)
            process.kill()
            process.communicate()
        assert not out.exists()
        before, done = done, sum(record_frames(path) for path in folder_of(out).glob("0-*.json"))
        assert before <= done <= total
        assert done >= limit - LONGEST, "at most the open segment is lost"
    assert done, "twenty kills, and never a segment was done: they came too early to say anything"
    with started("clean", source, "-o", out, *CHEAP, "--json") as process:
        resumed = events_until(process, lambda event: event["event"] == "resumed")
        process.communicate()
    assert (process.returncode, resumed["frames"]) == (0, done)
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == calm.read_bytes()
    assert seen == wanted > 10


def record_frames(path: Path) -> int:
    return len(json.loads(path.read_bytes())["parts"]["clean"][0])


SMALL = """
import os, subprocess, sys, traceback
from pathlib import Path
import vidrain
from vidrain.errors import OutputError
from vidrain.segments import plan
plan.LONGEST = 6
source, folder = map(Path, sys.argv[1:])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", folder], check=True)
out, ballast = folder / "out.mp4", folder / "ballast"
vidrain.clean(source, out)
due = out.read_bytes()
out.unlink()
seen, free, step = set(), 0, 4096
while "done" not in seen:
    room = os.statvfs(folder)
    ballast.write_bytes(bytes(room.f_bavail * room.f_bsize - free))
    free += step
    try:
        vidrain.clean(source, out)
        seen.add("done")
    except OutputError as error:
        names = {frame.name for each in (error, error.__cause__) for frame in traceback.extract_tb(each.__traceback__)}
        seen.add("record" if "note" in names else "segment" if names & {"write", "finish", "part"} else "joined")
        left = {path.name for path in folder.iterdir()}
        assert left <= {"ballast", "out.mp4.vidrain"}, left
    ballast.unlink()
    if not out.exists():
        vidrain.clean(source, out)
    assert out.read_bytes() == due
    assert list(folder.iterdir()) == [out], list(folder.iterdir())
    out.unlink()
print(sorted(seen))
"""


@pytest.mark.fault(27)
def test_every_amount_of_room(samples: Path, tmp_path: Path) -> None:
    """A disk of our own that is full in a segment, in a record, in what is joined; with room it goes on."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here: a small disk cannot be mounted")
    command = ["unshare", "-rm", sys.executable, "-c", SMALL, samples / "full_range.mp4", tmp_path]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "['done', 'joined', 'record', 'segment']\n"), done.stderr
