"""What every engine keeps to, whoever runs its tasks: one suite for this process, for processes, and for Ray.

Ray has a cluster of its own here; one that is named, and nodes that are lost: tests/slow/test_batch_ray.py.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import math
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import ffmpeg_says
from tests.pipeline.conftest import in_time
from vidrain.batch.engine import Ended, Engine
from vidrain.batch.inline import Inline
from vidrain.batch.processes import _PATIENCE_S, Processes
from vidrain.batch.schedule import Over, scheduled
from vidrain.batch.task import clean_task, run_task
from vidrain.batch.wire import Result, Task
from vidrain.config import load_clean, plain
from vidrain.errors import UsageError
from vidrain.events import ignore

pytestmark = pytest.mark.timeout(300)

CHEAP = [
    "model=baseline",
    "baseline.radius=1",
    "align.preset=ultrafast",
    "align.scale=0.25",
    "encode.options.preset=ultrafast",
]
SLOTS = 2
ROOT = Path(__file__).parents[2]
MOST_BYTES = 20_000  # of all that travels for a file: two frames of these clips have 130 kB


@dataclass
class Under:
    """An engine under test, and what its tasks told: id -> events. heard: called with each of them, when it comes."""

    engine: Engine
    told: dict[str, list[dict[str, Any]]]
    heard: list[Callable[[str, dict[str, Any]], None]] = field(default_factory=list)

    def ran(self, *tasks: Task) -> dict[str, list[Result]]:
        """Id -> the results of its tries."""
        found: defaultdict[str, list[Result]] = defaultdict(list)
        for step in scheduled(tasks, self.engine, fits=lambda *_: True, keep_going=True):
            if isinstance(step, Over):
                found[step.task["id"]].append(step.result)
        return found


def under_test(name: str, folder: Path) -> Iterator[Under]:
    told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)

    def tell(number: str, event: dict[str, Any]) -> None:
        told[number].append(event)
        for each in under.heard:
            each(number, event)

    engine: Engine
    match name:
        case "inline":
            engine = Inline(tell)
        case "processes":
            engine = Processes(SLOTS, folder / "logs", tell)
        case _:
            if importlib.util.find_spec("ray") is None:
                pytest.skip("ray is not installed here: pip install -c constraints.txt -e '.[ray]'")
            from vidrain.batch.ray_engine import RayEngine

            engine = RayEngine(None, SLOTS, folder / "logs", tell, on_gpus=False)
    with engine:
        under = Under(engine, told)
        yield under


RAY = pytest.param("ray", marks=pytest.mark.slow)


@pytest.fixture(params=["inline", "processes", RAY])
def each(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Under]:
    """Every engine there is."""
    yield from under_test(request.param, tmp_path)


@pytest.fixture(params=["processes", RAY])
def outside(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Under]:
    """Engines whose tasks are processes of their own: what ends such a one must not end the batch."""
    yield from under_test(request.param, tmp_path)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrain.batch.schedule._PAUSE_S", 0.0)


@pytest.fixture
def film(samples: Path, tmp_path: Path) -> Path:
    return ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "film.mp4", "-map", "0:v", "-t", "0.5")


@pytest.fixture
def long(samples: Path, tmp_path: Path) -> Path:
    """Takes longer than any test waits."""
    loops = ("-stream_loop", "40")
    return ffmpeg_says.remux(samples / "street.mp4", tmp_path / "long.mp4", "-map", "0:v", first=loops)


def task_of(number: str, source: Path) -> Task:
    settings = plain(load_clean(None, CHEAP, {}))
    return clean_task(number, source, source.parent / "out" / f"{number}.mp4", settings, replace=False)


def outputs(source: Path) -> list[str]:
    return sorted(path.name for path in (source.parent / "out").glob("*"))


def workers() -> list[psutil.Process]:
    """Processes of tasks that are alive, whoever of ours started them; the one that began last is the last."""
    found = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if "vidrain.batch.worker" in process.cmdline():
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def untimed(result: Result) -> Result:
    return {name: value for name, value in result.items() if name not in ("seconds", "changed")}


def once(act: Callable[[psutil.Process], object]) -> Callable[[str, dict[str, Any]], None]:
    """Do something to the worker that is the first to have a plan, and so all its libraries."""
    done: list[bool] = []

    def listen(number: str, event: dict[str, Any]) -> None:
        if event["event"] == "plan" and not done:
            done.append(True)
            act(workers()[-1])

    return listen


def test_results_are_those_of_the_work_itself(each: Under, film: Path) -> None:
    """Done or failed for good, each once; nothing travels but JSON, and of that a few kilobytes."""
    text = film.with_name("text.mp4")
    text.write_text("no video")
    tasks = [task_of("good", film), task_of("bad", text)]
    found = each.ran(*tasks)
    assert {name: [result["state"] for result in results] for name, results in found.items()} == {
        "good": ["done"],
        "bad": ["failed"],
    }
    assert (found["bad"][0]["code"], found["bad"][0]["transient"]) == (3, False)
    assert outputs(film) == ["good.mp4"]
    made = (film.parent / "out" / "good.mp4").read_bytes()
    (film.parent / "out" / "good.mp4").unlink()
    for task in tasks:
        assert untimed(run_task(task, ignore)) == untimed(found[task["id"]][0])
    assert (film.parent / "out" / "good.mp4").read_bytes() == made
    names = [event["event"] for event in each.told["good"]]
    assert (names[0], names[-1]) == ("plan", "file_done")
    travelled = json.dumps([tasks, found, each.told])
    assert json.loads(travelled) == [tasks, found, each.told]
    assert len(travelled) < MOST_BYTES
    assert each.engine.slots == (1 if isinstance(each.engine, Inline) else SLOTS)


def test_ray_that_is_not_installed_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """No line and no page names a package of an index, which may be somebody else's."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "vidrain.batch.ray_engine", raising=False)
    with pytest.raises(UsageError, match=r"needs Ray.*; in a checkout of vidrain: pip install .* '\.\[ray\]'$"):
        importlib.import_module("vidrain.batch.ray_engine")
    pages = (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))
    assert [page.name for page in pages if "vidrain[" in page.read_text()] == []


@pytest.mark.fault(29)
def test_a_worker_that_is_killed_is_bad_luck(outside: Under, film: Path) -> None:
    outside.heard.append(once(lambda worker: worker.send_signal(signal.SIGKILL)))
    first, second = outside.ran(task_of("a", film))["a"]
    assert (first["state"], first["code"], first["transient"]) == ("failed", 137, True)
    assert "signal 9 (SIGKILL), as the system does when memory runs out" in first["cause"]
    assert (second["state"], outputs(film)) == ("done", ["a.mp4"])


def test_a_worker_that_cannot_be_started_is_bad_luck(outside: Under, film: Path, tmp_path: Path) -> None:
    """No room for its log, no memory for one process more: the batch goes on, and this file comes again."""
    log = tmp_path / "logs" / "a.log"
    log.mkdir(parents=True)
    engine = outside.engine
    engine.start(task_of("a", film))
    engine.start(task_of("b", film))
    ended = list[Ended]()
    while len(ended) < 2:
        ended += engine.poll(0.2)
    found = {number: result for number, result in ended}
    assert (found["a"]["state"], found["a"]["code"], found["a"]["transient"]) == ("failed", 1, True)
    assert found["a"]["cause"] == "its worker could not be started (Is a directory)"
    assert found["b"]["state"] == "done"
    log.rmdir()
    assert [result["state"] for result in outside.ran(task_of("a", film))["a"]] == ["done"]
    assert outputs(film) == ["a.mp4", "b.mp4"]


def test_a_stop_ends_all_that_runs_and_leaves_nothing_half_made(outside: Under, long: Path) -> None:
    """Who is slow to end is killed: then what it left is for the next try, which takes it up."""

    def attempt() -> float:
        outside.told.clear()
        outside.engine.start(task_of("a", long))
        while not any(event["event"] == "progress" for event in outside.told["a"]):
            assert outside.engine.poll(0.2) == []
        (worker,) = workers()
        assert len(outputs(long)) == 2, "a partial file, and the segments"
        began = time.monotonic()
        assert outside.engine.stop() == []
        took = time.monotonic() - began
        assert psutil.wait_procs([worker], timeout=5)[1] == []
        assert outputs(long) == [] or took > _PATIENCE_S, "only who is killed leaves anything"
        return math.inf if outputs(long) else took

    in_time(attempt, limit_s=2)


def test_what_waits_for_its_turn_in_this_process_never_begins(film: Path) -> None:
    with Inline(lambda *_: None) as engine:
        engine.start(task_of("a", film))
        assert engine.stop() == []
        assert engine.poll(0.1) == []
    assert outputs(film) == []


@pytest.mark.slow
def test_what_is_finished_when_all_stops_counts(outside: Under, film: Path) -> None:
    """Nobody has polled since."""
    outside.engine.start(task_of("a", film))
    until = time.monotonic() + 60
    while outputs(film) != ["a.mp4"] or workers():
        assert time.monotonic() < until
        time.sleep(0.05)
    ((number, result),) = outside.engine.stop()
    assert (number, result["state"]) == ("a", "done")
