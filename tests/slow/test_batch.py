"""Batches under kill: workers, the parent, a disk that fills, a node of a cluster; and twenty real clips."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.batches import written
from tests.pipeline.conftest import in_time
from tests.slow.test_real_clips import CHEAP
from tools.bench_ray import DAMAGED, write_twenty
from vidrain.batch.journal import FOLDER, Journal
from vidrain.segments.plan import LONGEST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in written(out)}


def ran(*arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """A batch from its start to its end: exit code, events."""
    with started(*arguments) as job:
        said, _ = job.communicate()
    return job.returncode, [json.loads(line) for line in said.splitlines()]


def status(out: Path) -> str:
    command = [sys.executable, "-m", "vidrain", "batch", "status", str(out), "--json"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def begun(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["file"] for event in events if event["event"] == "file_start")


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vidrain", "batch", "run", *map(str, arguments), "--json"]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def until(job: subprocess.Popen[str], name: str, **fields: object) -> dict[str, Any]:
    """Read along until the job tells that; AssertionError where it ends before."""
    assert job.stdout is not None
    for line in job.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
            return event
    raise AssertionError(f"{name} never came: {job.stderr.read() if job.stderr else ''}")


def workers_of(job: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in psutil.Process(job.pid).children() if "vidrain.batch.worker" in child.cmdline()]


@pytest.fixture
def two(samples: Path, tmp_path: Path) -> Path:
    """A manifest of two clips; the first has more bytes, the second takes longer than another process to start."""
    folder = tmp_path / "two"
    folder.mkdir()
    for name, times in (("first.mp4", "16"), ("second.mp4", "14")):
        ffmpeg_says.remux(samples / "full_range.mp4", folder / name, "-map", "0:v", first=("-stream_loop", times))
    (folder / "jobs.csv").write_text(
        "input,align.scale,align.preset,baseline.radius\nfirst.mp4,,,\nsecond.mp4,1.0,fast,3\n"
    )
    return folder / "jobs.csv"


@pytest.mark.fault(29)
def test_a_worker_that_is_killed_costs_its_own_file_a_try(two: Path, out: Path) -> None:
    """Two files at a time, each in a process; the one that is killed is done by another."""
    with started(two, "-o", out, *CHEAP, "--workers", "2", "--engine", "processes") as job:
        assert until(job, "batch_plan")["workers"] == 2
        until(job, "file_start", file="first.mp4")
        until(job, "file_start", file="second.mp4")  # beside the first, which has only begun
        until(job, "progress", file="second.mp4")
        facts = json.loads(status(out))
        assert (facts["running"]["pid"], facts["files"], facts["failed"]) == (job.pid, 2, 0)
        max(workers_of(job), key=lambda worker: worker.create_time()).kill()
        end = until(job, "file_end", state="again")
        assert (end["code"], "ended by signal 9 (SIGKILL)" in end["cause"]) == (137, True)
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


@pytest.mark.fault(26)
def test_a_signal_ends_a_cluster_of_our_own(two: Path, out: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed here: pip install -c constraints.txt -e '.[ray]'")

    def attempt() -> float:
        with started(two, "-o", out, *CHEAP, "--engine", "ray") as job:
            until(job, "progress")
            family = psutil.Process(job.pid).children(recursive=True)
            workers = [child for child in family if "vidrain.batch.worker" in child.cmdline()]
            job.send_signal(signal.SIGINT)
            sent = time.monotonic()
            job.communicate(timeout=60)
            took = time.monotonic() - sent
        assert job.returncode == 130
        assert len(workers) in (1, 2)
        assert psutil.wait_procs(workers, timeout=5)[1] == [], "agents of Ray itself look once a minute"
        assert written(out) == {}, "nothing half-made"
        return took

    in_time(attempt, limit_s=2)


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


FULL = """
import subprocess, sys
from contextlib import suppress
from pathlib import Path
card, out, *batch = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", out], check=True)
ballast = Path(out, "ballast")
with suppress(OSError), ballast.open("wb", buffering=0) as file:
    for _ in range(int(batch.pop())):
        file.write(bytes(1000))
codes = [subprocess.run(batch).returncode]
print("left", sorted(path.name for path in Path(out).iterdir()), flush=True)
ballast.unlink()
codes.append(subprocess.run(batch).returncode)
print("left", sorted(path.name for path in Path(out).iterdir()), flush=True)
print("codes", codes)
"""


@pytest.mark.fault(27)
@pytest.mark.parametrize("kilobytes", [3000, 1880], ids=["journal", "video"])
def test_a_full_disk_ends_it_in_one_line_and_it_goes_on_when_there_is_room(
    kilobytes: int, samples: Path, tmp_path: Path
) -> None:
    """A disk of two megabytes of our own, filled up to where the journal, or else the video, has no room any more."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here: a small disk cannot be mounted")
    out = tmp_path / "out"
    out.mkdir()
    batch = [sys.executable, "-m", "vidrain", "batch", "run", samples / "rotated.mp4", "-o", out, *CHEAP, "--crf", "0"]
    command = ["unshare", "-rm", sys.executable, "-c", FULL, samples, out, *batch, "--min-free", "0", str(kilobytes)]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=True)
    before, after, codes = done.stdout.splitlines()[-3:]
    assert before == "left ['.vidrain', 'ballast']"
    assert after == "left ['.vidrain', 'rotated.mp4']"
    assert codes == "codes [5, 0]", done.stderr
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture
def twenty(footage: Path, samples: Path, tmp_path: Path) -> Path:
    """Fifteen cuts of real footage, and five files that are damaged in five ways."""
    clips = [*sorted((footage / "real").iterdir()), *sorted((footage / "paired").glob("*_rainy.mp4"))[:2]]
    assert len(clips) == 15
    return write_twenty(clips, samples / "full_range.mp4", tmp_path / "card", 0.4)


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

    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    code, events = ran(twenty, "-o", out, *CHEAP, "--workers", "2")
    assert (code, begun(events), written(out)) == (1, [], before)
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert now.ru_utime + now.ru_stime - spent.ru_utime - spent.ru_stime < 5, "seconds of a core, for it waits for none"
    (twenty / "jobs.csv").write_text("input,encode.crf\n" + "".join(f"{name},\n" for name in sorted(before)))
    assert begun(ran(twenty / "jobs.csv", "-o", out, *CHEAP)[1]) == []
    rows = "".join(f"{name},{25 if number < 3 else ''}\n" for number, name in enumerate(sorted(before)))
    (twenty / "jobs.csv").write_text(f"input,encode.crf\n{rows}")
    assert begun(ran(twenty / "jobs.csv", "-o", out, *CHEAP)[1]) == sorted(before)[:3]


CLUSTER = """
import sys
from ray.cluster_utils import Cluster
own = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=own)
second = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
cluster.wait_for_nodes()
print("cluster", cluster.address, second.node_id, flush=True)
sys.stdin.readline()
cluster.remove_node(second, allow_graceful=False)
print("lost", flush=True)
sys.stdin.readline()
cluster.shutdown()
"""


@pytest.fixture
def cluster() -> Iterator[subprocess.Popen[str]]:
    """Two nodes of one CPU each; a line of input kills the second, the end of it the cluster."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed here: pip install -c constraints.txt -e '.[ray]'")
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER],
        cwd=ROOT,
        env=environment,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        children: list[psutil.Process] = []
        try:
            yield process
            children = psutil.Process(process.pid).children(recursive=True)
            process.communicate("\n", timeout=60)
        finally:
            for child in children:
                if child.is_running():
                    child.kill()
            process.kill()


def told(process: subprocess.Popen[str], word: str) -> list[str]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith(word):
            return line.split()
    raise AssertionError(f"{word} never came")


def lose_node(cluster: subprocess.Popen[str]) -> None:
    assert cluster.stdin is not None
    cluster.stdin.write("\n")
    cluster.stdin.flush()


@pytest.mark.fault(29)
@pytest.mark.proves("batch run --address")
def test_a_lost_node_costs_its_running_segments_alone(
    samples: Path, cluster: subprocess.Popen[str], out: Path, tmp_path: Path
) -> None:
    """Two files on two nodes, one of which is killed: the other goes on with both, from their finished segments."""
    card = tmp_path / "card"
    card.mkdir()
    for name in ("first.mp4", "second.mp4"):
        ffmpeg_says.remux(samples / "full_range.mp4", card / name, "-map", "0:v", first=("-stream_loop", "19"))
    _, address, _ = told(cluster, "cluster")
    with started(card, "-o", out, *CHEAP, "--engine", "ray", "--address", address) as job:
        assert job.stdout is not None
        frames = dict.fromkeys(("first.mp4", "second.mp4"), 0)
        while min(frames.values()) <= LONGEST:  # both have put a segment down, whichever node is lost
            event = json.loads(job.stdout.readline())
            assert event["event"] != "file_end", "too short to be stopped in the middle"
            if event["event"] == "progress":
                frames[event["file"]] = event["frames"]
        lose_node(cluster)
        end = until(job, "file_end", state="again")
        assert end["cause"].startswith(("its worker was lost", "its worker was ended by signal 9"))
        resumed = until(job, "resumed", file=end["file"])
        assert LONGEST <= resumed["frames"] < resumed["total"]
        done = until(job, "batch_done")
        assert job.wait(60) == 0, done["troubles"]
    assert (done["done"], done["failed"]) == (2, 0)
    assert ran(card, "-o", tmp_path / "here", *CHEAP)[0] == 0
    assert contents(out) == contents(tmp_path / "here")


@pytest.mark.fault(29)
@pytest.mark.proves("batch run --address")
def test_twenty_clips_on_two_nodes_of_which_one_is_lost(
    twenty: Path, cluster: subprocess.Popen[str], out: Path, tmp_path: Path
) -> None:
    """In the middle of the work: the same fifteen outputs, verified, and the same five explained failures."""
    _, address, _ = told(cluster, "cluster")
    tried: list[str] = []
    with started(twenty, "-o", out, *CHEAP, "--engine", "ray", "--address", address) as job:
        for _ in range(5):
            until(job, "file_end", state="done")
        lose_node(cluster)
        assert job.stdout is not None
        for line in job.stdout:
            last = json.loads(line)
            if last["event"] == "file_end" and last["state"] == "again":
                tried.append(last["file"])
    assert (job.returncode, last["done"], last["partial"], last["failed"], last["left"]) == (1, 15, 0, 5, 0)
    assert {end["file"]: end["code"] for end in last["troubles"]} == dict.fromkeys(DAMAGED, 3)
    assert tried, "the node was lost when nothing ran there"
    assert ran(twenty, "-o", tmp_path / "here", *CHEAP)[0] == 1
    assert contents(out) == contents(tmp_path / "here")
    for name in contents(out):
        assert package.verify_against(out / name, twenty / name).exit_code == 0
