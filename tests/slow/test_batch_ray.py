"""Batches on a Ray cluster: a signal, a node that is lost, the same results."""

from __future__ import annotations

import importlib.util
import json
import os
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
from tests.batch_runs import contents, ran, started, until
from tests.batches import written
from tests.pipeline.conftest import in_time
from tests.slow.test_real_clips import CHEAP
from tools.bench_ray import DAMAGED
from vidrain.errors import UsageError
from vidrain.segments.plan import LONGEST

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]


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
        kept = [Path(name) for name in written(out)]
        assert not any(path.suffix == ".mp4" or "partial" in path.name for path in kept), "nothing half-made"
        return took

    in_time(attempt, limit_s=2)


CLUSTER = """
import sys
from ray.cluster_utils import Cluster
cpus = int(sys.argv[1])
own = {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=own)
second = cluster.add_node(num_cpus=cpus, object_store_memory=80_000_000)
cluster.wait_for_nodes()
print("cluster", cluster.address, second.node_id, flush=True)
for line in sys.stdin:
    if line == "over\\n":
        cluster.shutdown()
        break
    if line == "more\\n":
        cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
        continue
    cluster.remove_node(cluster.head_node if line == "head\\n" else second, allow_graceful=False)
    print("lost", flush=True)
"""


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[str]]:
    """Two nodes of one CPU each; `second` and `head` kill them, `more` adds one, `over` ends the cluster.

    As a parameter: how many CPUs they have.
    """
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed here: pip install -c constraints.txt -e '.[ray]'")
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", CLUSTER, str(getattr(request, "param", 1))],
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
            process.communicate("over\n", timeout=60)
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


def say(cluster: subprocess.Popen[str], word: str) -> None:
    assert cluster.stdin is not None
    cluster.stdin.write(f"{word}\n")
    cluster.stdin.flush()


def lose_node(cluster: subprocess.Popen[str], which: str = "second") -> None:
    say(cluster, which)


LONG = ("first.mp4", "second.mp4")


@pytest.fixture(scope="module")
def card(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips of several segments."""
    folder = tmp_path_factory.mktemp("card")
    for name in LONG:
        ffmpeg_says.remux(samples / "full_range.mp4", folder / name, "-map", "0:v", first=("-stream_loop", "19"))
    return folder


@pytest.fixture(scope="module")
def due(card: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What becomes of that card where nothing happens, by another engine."""
    out = tmp_path_factory.mktemp("due")
    assert ran(card, "-o", out, *CHEAP)[0] == 0
    return contents(out)


def until_each(job: subprocess.Popen[str], frames: int) -> list[dict[str, Any]]:
    """Read along until both clips are behind so many frames; all that was told till then."""
    assert job.stdout is not None
    told, seen = list[dict[str, Any]](), dict.fromkeys(LONG, 0)
    while min(seen.values()) <= frames:
        told.append(event := json.loads(job.stdout.readline()))
        assert event["event"] != "file_end", "too short to be stopped in the middle"
        if event["event"] == "progress":
            seen[event["file"]] = event["frames"]
    return told


@pytest.mark.fault(29)
@pytest.mark.proves("batch run --address")
def test_a_lost_node_costs_its_running_segments_alone(
    card: Path, due: dict[str, bytes], cluster: subprocess.Popen[str], out: Path
) -> None:
    """Two files on two nodes, one of which is killed: the other goes on with both, from their finished segments."""
    _, address, _ = told(cluster, "cluster")
    with started(card, "-o", out, *CHEAP, "--engine", "ray", "--address", address) as job:
        until_each(job, LONGEST)  # both have put a segment down, whichever node is lost
        lose_node(cluster)
        end = until(job, "file_end", state="again")
        assert end["cause"].startswith(("its worker was lost", "its worker was ended by signal 9"))
        resumed = until(job, "resumed", file=end["file"])
        assert LONGEST <= resumed["frames"] < resumed["total"]
        done = until(job, "batch_done")
        assert job.wait(60) == 0, done["troubles"]
    assert (done["done"], done["failed"]) == (2, 0)
    assert contents(out) == due


@pytest.mark.fault(25, 29)
@pytest.mark.proves("batch run --engine", "batch run --address")
def test_a_driver_that_is_killed_and_then_a_head_that_is_lost(
    card: Path, due: dict[str, bytes], samples: Path, cluster: subprocess.Popen[str], out: Path
) -> None:
    """Nobody computes for a driver that is gone; the same command goes on both times, and does nothing again."""
    _, address, _ = told(cluster, "cluster")
    command = (card, samples / "full_range.mp4", "-o", out, *CHEAP, "--engine", "ray", "--address", address)
    assert ran(samples / "full_range.mp4", "-o", out, *CHEAP)[0] == 0
    before = written(out)["full_range.mp4"]

    def workers() -> list[psutil.Process]:
        family = psutil.Process(cluster.pid).children(recursive=True)
        return [each for each in family if "vidrain.batch.worker" in each.cmdline()]

    with started(*command) as job:
        until_each(job, LONGEST)
        at_work = workers()
        job.kill()
    assert len(at_work) == 2
    assert psutil.wait_procs(at_work, timeout=10)[1] == [], "workers on the same outputs as those of the next run"
    with started(*command) as job:
        seen = until_each(job, 0)
        assert [event["done"] for event in seen if event["event"] == "batch_plan"] == [1]
        resumed = {event["file"]: event["frames"] for event in seen if event["event"] == "resumed"}
        assert (resumed.keys(), min(resumed.values()) >= LONGEST) == (set(LONG), True)
        at_work = workers()
        lose_node(cluster, "head")
        _, said = job.communicate(timeout=55)
    assert (job.returncode, said.count("\n")) == (2, 1), said
    assert f"the head of the Ray cluster ({address}) gave no answer for 20 s" in said
    assert "the same command goes on" in said
    assert psutil.wait_procs(at_work, timeout=10)[1] == []
    code, events = ran(*command[:-2])
    kept = [event["frames"] for event in events if event["event"] == "resumed"]
    assert (code, events[-1]["before"] + events[-1]["done"], bool(kept)) == (0, 3, True)
    assert min(kept) >= min(resumed.values())
    assert written(out)["full_range.mp4"] == before
    assert contents(out).items() >= due.items()
    assert written(out).keys() == {*LONG, "full_range.mp4"}, "no rests"


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


@pytest.mark.proves("batch run --engine")
@pytest.mark.timeout(300)
def test_a_gpu_that_no_node_has_is_not_waited_for(two: Path, cluster: subprocess.Popen[str], out: Path) -> None:
    _, address, _ = told(cluster, "cluster")
    began = time.monotonic()
    code, events = ran(two, "-o", out, *CHEAP, "--engine", "ray", "--address", address, "--device", "cuda")
    assert (code, time.monotonic() - began < 90) == (1, True)
    assert {(end["code"], end["cause"].partition(";")[0]) for end in events[-1]["troubles"]} == {
        (2, "--device cuda: the Ray cluster has no GPU")
    }
    tries = [event["file"] for event in events if event["event"] == "file_end" and event["state"] == "again"]
    assert len(tries) == 2, "once more each"
    code, events = ran(two, "-o", out, *CHEAP, "--engine", "ray", "--address", address)
    assert (code, events[-1]["done"]) == (0, 2), "no file is marked for good"


@pytest.mark.fault(29)
@pytest.mark.proves("batch run --address")
@pytest.mark.timeout(300)
@pytest.mark.parametrize("cluster", [0], indirect=True)
def test_a_cluster_without_any_cpu_is_not_waited_for(two: Path, cluster: subprocess.Popen[str], out: Path) -> None:
    """As one whose head is kept free for the cluster itself, before the first node that works has come."""
    _, address, _ = told(cluster, "cluster")
    command = (two, "-o", out, *CHEAP, "--engine", "ray", "--address", address)
    with started(*command) as job:
        try:
            said = job.communicate(timeout=90)[1]
        finally:
            job.kill()
    assert (job.returncode, said.count("\n")) == (2, 1), said
    assert f"--address {address}: the Ray cluster had no CPU for 10 s, and every file takes one" in said
    assert "the same command goes on" in said
    with started(*command) as job:
        until(job, "batch_plan")
        say(cluster, "more")
        done = until(job, "batch_done")
        assert (job.wait(60), done["done"]) == (0, 2), "a node that comes in time is taken"


SLOTS = """
import sys
from pathlib import Path
from ray.cluster_utils import Cluster
from vidrain.batch.ray_engine import RayEngine
own = {"num_cpus": 3, "num_gpus": 2, "include_dashboard": False, "object_store_memory": 80_000_000}
cluster = Cluster(initialize_head=True, head_node_args=own)
for workers, on_gpus in ((None, False), (None, True), (5, False), (5, True), (1, True)):
    with RayEngine(cluster.address, workers, Path(sys.argv[1]), print, on_gpus=on_gpus) as engine:
        print("slots", engine.slots, file=sys.stderr)
cluster.shutdown()
"""


def test_where_files_take_gpus_there_are_no_more_slots_than_these(tmp_path: Path) -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed here: pip install -c constraints.txt -e '.[ray]'")
    command = [sys.executable, "-c", SLOTS, str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    assert [line.split()[1] for line in said.splitlines() if line.startswith("slots ")] == ["3", "2", "5", "2", "1"]


TALKATIVE = """
import json, sys, time
from pathlib import Path
import ray
from vidrain.batch import ray_engine

def work(task, logs):
    for number in range(200):
        yield json.dumps({"event": "progress", "frames": number})
    yield json.dumps({"result": {"state": "done"}})

asked, heard, really = [], [], ray_engine._answers
ray_engine._answers = lambda head: asked.append(head) or really(head)
with ray_engine.RayEngine(None, 4, Path(sys.argv[1]), lambda *told: heard.append(told), on_gpus=False) as engine:
    engine._work = ray.remote(num_cpus=0.1, max_retries=0)(work)
    for number in range(4):
        engine.start({"id": str(number), "gpus": 0})
    began, ended = time.monotonic(), 0
    while ended < 4:
        engine.slots
        ended += len(engine.poll(0.25))
    print("heard", len(heard), len(asked), time.monotonic() - began, file=sys.stderr)
"""


def test_the_head_is_not_asked_for_every_event(tmp_path: Path) -> None:
    """A port is not free for a minute behind a connection: with a hundred nodes at work all of them would be taken, and
    the head seem lost."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed here: pip install -c constraints.txt -e '.[ray]'")
    command = [sys.executable, "-c", TALKATIVE, str(tmp_path)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stderr
    (line,) = (line for line in said.splitlines() if line.startswith("heard "))
    heard, asked, seconds = line.split()[1:]
    assert int(heard) == 800
    assert int(asked) <= 2 + 2 * float(seconds)


def test_whatever_ray_refuses_is_one_line(tmp_path: Path) -> None:
    """As another version on the cluster does, by a RuntimeError; here it is asked twice in one process."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed here: pip install -c constraints.txt -e '.[ray]'")
    from vidrain.batch.ray_engine import RayEngine

    with RayEngine(None, 1, tmp_path / "logs", lambda *_: None, on_gpus=False):
        second = RayEngine(None, 1, tmp_path / "more", lambda *_: None, on_gpus=False)
        with pytest.raises(UsageError, match=r"^--engine ray: no Ray cluster can be used \(.*twice.*\); see ray start"):
            second.__enter__()
