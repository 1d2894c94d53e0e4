"""Batches of real clips, and on a disk that fills."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.batch_runs import begun, contents, ran, started, until, workers_of
from tests.batches import written
from tests.pipeline.conftest import in_time
from tests.slow.test_real_clips import CHEAP
from tools.bench_ray import DAMAGED

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]


FULL = """
import subprocess, sys
from contextlib import suppress
from pathlib import Path
card, out, *batch = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", out], check=True)
ballast = Path(out, "ballast")
with suppress(OSError), ballast.open("wb", buffering=0) as file:
    while True:
        file.write(bytes(1000))
codes = [subprocess.run(batch).returncode]
print("left", sorted(path.name for path in Path(out).iterdir()), flush=True)
ballast.unlink()
codes.append(subprocess.run(batch).returncode)
print("left", sorted(path.name for path in Path(out).iterdir()), flush=True)
print("codes", codes)
"""


@pytest.mark.fault(27)
def test_a_full_disk_ends_it_in_one_line_and_it_goes_on_when_there_is_room(samples: Path, tmp_path: Path) -> None:
    """A disk of two megabytes of our own, filled up to where the journal has no room any more."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here: a small disk cannot be mounted")
    out = tmp_path / "out"
    out.mkdir()
    batch = [sys.executable, "-m", "vidrain", "batch", "run", samples / "rotated.mp4", "-o", out, *CHEAP, "--crf", "0"]
    command = ["unshare", "-rm", sys.executable, "-c", FULL, samples, out, *batch, "--min-free", "0"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True)
    before, after, codes = done.stdout.splitlines()[-3:]
    assert before == "left ['.vidrain', 'ballast']"
    assert after == "left ['.vidrain', 'rotated.mp4']"
    assert codes == "codes [5, 0]", done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


SHARED = """
import subprocess, sys
from pathlib import Path
disk, *batch = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", disk], check=True)
ballast, outs = Path(disk, "ballast"), [Path(disk, "one"), Path(disk, "two")]
ballast.write_bytes(bytes(400_000))
for _ in range(2):
    jobs = [subprocess.Popen([*batch, "-o", out]) for out in outs]
    print("codes", sorted(job.wait() for job in jobs), flush=True)
    left = {path.name for out in outs if out.exists() for path in out.iterdir()} - {".vidrain", "rotated.mp4.vidrain"}
    print("left", sorted(left), flush=True)
    ballast.unlink(missing_ok=True)
print("same", outs[0].joinpath("rotated.mp4").read_bytes() == outs[1].joinpath("rotated.mp4").read_bytes())
"""


@pytest.mark.fault(27)
def test_two_batches_that_share_a_disk_know_nothing_of_each_other_and_lose_nothing(
    samples: Path, tmp_path: Path
) -> None:
    """There is room for the segments and the file of either (2 x 0.67 MB), not for those beside the file of another.

    A file is tried four times before the disk counts as full: the other batch may have made room.
    """
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here: a small disk cannot be mounted")
    batch = [sys.executable, "-m", "vidrain", "batch", "run", samples / "rotated.mp4", *CHEAP, "--crf", "0"]
    command = ["unshare", "-rm", sys.executable, "-c", SHARED, tmp_path, *batch, "--min-free", "0"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True)
    said = done.stdout.splitlines()
    assert said[0] in ("codes [0, 5]", "codes [5, 5]"), done.stderr
    assert said[2:] == ["codes [0, 0]", "left ['rotated.mp4']", "same True"], done.stderr
    assert said[1] in ("left []", "left ['rotated.mp4']"), "nothing half-made"
    assert "No space left on device" in done.stderr
    assert "make room, and the same command goes on" in done.stderr
    assert "Traceback" not in done.stderr


def test_twenty_clips_are_done_or_explained(twenty: Path, out: Path) -> None:
    code, events = ran(twenty, "-o", out, *CHEAP, "--workers", "2")
    last = events[-1]
    assert (code, last["done"], last["partial"], last["failed"]) == (1, 15, 0, 5)
    assert {end["file"]: end["code"] for end in last["troubles"]} == dict.fromkeys(DAMAGED, 3)
    assert all(end["cause"].count("\n") == 0 and end["cause"] for end in last["troubles"])
    before = written(out)
    assert len(before) == 15
    for name in before:
        assert package.verify_against(out / name, twenty / name).exit_code == 0

    def again() -> float:
        began = time.monotonic()
        code, events = ran(twenty, "-o", out, *CHEAP, "--workers", "2")
        took = time.monotonic() - began
        assert (code, begun(events), written(out)) == (1, [], before)
        return took

    in_time(again, limit_s=5)
    (twenty / "jobs.csv").write_text("input,encode.crf\n" + "".join(f"{name},\n" for name in sorted(before)))
    assert begun(ran(twenty / "jobs.csv", "-o", out, *CHEAP)[1]) == []
    rows = "".join(f"{name},{25 if number < 3 else ''}\n" for number, name in enumerate(sorted(before)))
    (twenty / "jobs.csv").write_text(f"input,encode.crf\n{rows}")
    assert begun(ran(twenty / "jobs.csv", "-o", out, *CHEAP)[1]) == sorted(before)[:3]


@pytest.mark.proves("batch run --workers")
def test_files_do_not_depend_on_how_many_work_at_a_time(samples: Path, tmp_path: Path) -> None:
    """Nor on the threads that each has: all cores with one worker, half of them with two."""
    card = tmp_path / "card"
    card.mkdir()
    for name in ("full_range.mp4", "tenbit.mp4", "vfr.mp4"):
        ffmpeg_says.remux(samples / name, card / name, "-map", "0", "-t", "0.4")
    model = ("--model", "gate-s", *CHEAP[1:], "--also", "rain")
    made, threads = list[dict[str, bytes]](), list[str]()
    for workers in ("1", "2"):
        out = tmp_path / workers
        with started(card, "-o", out, *model, "--workers", workers) as job:
            until(job, "plan")
            threads += {worker.environ()["OMP_NUM_THREADS"] for worker in workers_of(job)}
            assert (until(job, "batch_done")["done"], job.wait(60)) == (3, 0)
        made.append(contents(out))
    assert ran(card, "-o", tmp_path / "inline", *model, "--engine", "inline")[0] == 0
    assert len(made[0]) == 6
    assert made == [contents(tmp_path / "inline")] * 2
    assert len(threads) == 2 == len(set(threads)), "two cores at least, or this says nothing"
