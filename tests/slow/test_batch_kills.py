"""Batches under kills and signals: of workers, of the parent, at any moment."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from tests import ffmpeg_says
from tests.batch_runs import begun, contents, ran, started, status, until, workers_of
from tests.batches import written
from tests.pipeline.conftest import in_time
from tests.slow.test_real_clips import CHEAP
from vidrain.batch.journal import FOLDER, Journal
from vidrain.segments.plan import LONGEST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]


def reads(worker: psutil.Process, name: str) -> bool:
    """Whether it has a file of that name open."""
    return any(Path(file.path).name == name for file in worker.open_files())


@pytest.mark.fault(29)
def test_a_worker_that_is_killed_costs_its_own_file_a_try(two: Path, out: Path) -> None:
    """Two files at a time, each in a process; another goes on behind the segments that the one that is killed left."""
    with started(two, "-o", out, *CHEAP, "--workers", "2", "--engine", "processes") as job:
        assert until(job, "batch_plan")["workers"] == 2
        until(job, "file_start", file="first.mp4")
        until(job, "file_start", file="second.mp4")  # beside the first, which has only begun
        until(job, "progress", file="second.mp4")
        facts = json.loads(status(out))
        assert (facts["running"]["pid"], facts["files"], facts["failed"]) == (job.pid, 2, 0)
        while until(job, "progress", file="second.mp4")["frames"] <= LONGEST:
            pass
        next(worker for worker in workers_of(job) if reads(worker, "second.mp4")).kill()
        end = until(job, "file_end", file="second.mp4", state="again")
        assert (end["code"], "ended by signal 9 (SIGKILL)" in end["cause"]) == (137, True)
        assert until(job, "resumed", file="second.mp4")["frames"] >= LONGEST
        done = until(job, "batch_done")
        assert job.wait(60) == 0
    assert (done["done"], done["failed"], sorted(written(out))) == (2, 0, ["first.mp4", "second.mp4"])
    assert [path.name for path in (out / FOLDER / "logs").iterdir()] == []


def stopped(how: int, sources: Path, out: Path) -> tuple[subprocess.Popen[str], float, list[psutil.Process], str]:
    """A run that gets a signal in the middle of its second file; what it said last, how long it took, its workers."""
    with started(sources, "-o", out, *CHEAP, "--workers", "1") as job:
        until(job, "file_end", file="first.mp4")
        until(job, "progress", file="second.mp4")
        workers = workers_of(job)
        job.send_signal(how)
        sent = time.monotonic()
        _, said = job.communicate(timeout=60)
    return job, time.monotonic() - sent, workers, said


@pytest.mark.fault(26)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_finished(number: int, code: int, two: Path, out: Path) -> None:
    def attempt() -> float:
        if out.exists():
            (out / "first.mp4").unlink()
        job, took, workers, said = stopped(number, two, out)
        assert (job.returncode, said.count("\n")) == (code, 1), said
        assert "what is finished stays, and the same command goes on" in said
        assert list(written(out)) == ["first.mp4"], "nothing half-made"
        psutil.wait_procs(workers, timeout=5)
        assert not any(worker.is_running() for worker in workers)
        return took

    in_time(attempt, limit_s=2)
    before = written(out)
    code, events = ran(two, "-o", out, *CHEAP)
    assert (code, begun(events)) == (0, ["second.mp4"])
    assert written(out)["first.mp4"] == before["first.mp4"]


@pytest.mark.fault(26)
@pytest.mark.proves("exit 130")
def test_a_second_interrupt_waits_for_no_worker(two: Path, out: Path) -> None:
    """One that does not obey, because it stands still, has most of a second; but not when Ctrl-C comes again."""

    def attempt() -> float:
        with started(two, "-o", out, *CHEAP, "--workers", "1") as job:
            until(job, "progress")
            (worker,) = workers_of(job)
            worker.suspend()
            job.send_signal(signal.SIGINT)
            time.sleep(0.1)
            assert job.poll() is None, "the first one has still to wait"
            job.send_signal(signal.SIGINT)
            sent = time.monotonic()
            _, said = job.communicate(timeout=60)
            took = time.monotonic() - sent
        worker.resume()
        assert (job.returncode, said.count("\n")) == (130, 1), said
        assert "what is finished stays, and the same command goes on" in said
        psutil.wait_procs([worker], timeout=5)
        assert not worker.is_running()
        assert written(out) == {}, "nothing half-made"
        return took

    in_time(attempt, limit_s=0.5)


@pytest.mark.fault(25)
def test_workers_end_when_their_parent_is_killed_and_the_same_command_goes_on(two: Path, out: Path) -> None:
    job, _, workers, _ = stopped(signal.SIGKILL, two, out)
    assert (job.returncode, len(workers)) == (-signal.SIGKILL, 1)
    psutil.wait_procs(workers, timeout=5)
    assert not any(worker.is_running() for worker in workers)
    assert list(written(out)) == ["first.mp4"], "nothing half-made"
    before = written(out)
    facts = json.loads(status(out))
    assert (facts["done"], facts["waiting"], facts["running"]) == (1, 1, None)
    assert facts["seconds_left"] > 0
    code, events = ran(two, "-o", out, *CHEAP)
    assert (code, begun(events)) == (0, ["second.mp4"])
    assert written(out)["first.mp4"] == before["first.mp4"]
    assert Journal(out).broken == 0


@pytest.mark.fault(25)
def test_killed_at_seeded_moments_it_goes_on_and_ends_as_if_nothing_had_been(samples: Path, tmp_path: Path) -> None:
    """Whatever the moment: no file twice, none half-made, and in the end the very bytes of a run left alone."""
    card, out, calm = tmp_path / "card", tmp_path / "out", tmp_path / "calm"
    card.mkdir()
    for number in range(6):
        ffmpeg_says.remux(samples / "full_range.mp4", card / f"{number}.mp4", "-map", "0", "-t", f"{0.2 + number / 10}")
    dice = random.Random(7)
    finished: dict[str, int] = {}
    for _ in range(12):
        with started(card, "-o", out, *CHEAP, "--workers", "2") as job:
            assert job.stdout is not None
            for _, _line in zip(range(dice.randint(1, 25)), job.stdout, strict=False):
                pass
            time.sleep(dice.random() / 2)
            job.kill()
        partial = [path for path in out.rglob(".*.partial*")]
        assert len(partial) <= 2
        now = {name: changed for name, changed in written(out).items() if not Path(name).name.startswith(".")}
        noted = {name for name, record in Journal(out).last.items() if record["state"] == "done"}
        assert noted <= now.keys()
        assert {name: now[name] for name in finished} == finished, "what is done is not touched again"
        finished = {name: now[name] for name in noted}
    code, events = ran(card, "-o", out, *CHEAP)
    assert (code, events[-1]["before"], len(begun(events))) == (0, len(finished), 6 - len(finished))
    assert finished, "twelve kills, and never a file was done: they came too early to say anything"
    assert ran(card, "-o", calm, *CHEAP)[0] == 0
    assert contents(out) == contents(calm)
