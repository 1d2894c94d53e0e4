"""One task in whatever process: its result says how it went, and whether another try may do better."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import ffmpeg_says
from vidrain.batch import processes
from vidrain.batch.processes import Processes, lost, messages, started, unstarted, worker_environment
from vidrain.batch.task import clean_task, is_full, is_transient, run_task
from vidrain.config import plain
from vidrain.errors import (
    BusyError,
    DeviceError,
    InputError,
    ModelError,
    NoDeviceError,
    OutputError,
    SourceLost,
    StallError,
    UsageError,
)
from vidrain.events import ignore
from vidrain.job import CleanOptions
from vidrain.lease import LEASE_S
from vidrain.segments.folder import folder_of


def because(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (because(ModelError("x"), torch.OutOfMemoryError("CUDA out of memory.")), True),
        (because(ModelError("x"), RuntimeError("a fault of ours")), False),
        (DeviceError("x"), True),
        (NoDeviceError("x"), True),
        (BusyError("x"), True),
        (StallError("x"), True),
        (SourceLost("x"), True),
        (because(OutputError("x"), OSError(errno.ENOSPC, "No space left on device")), True),
        (because(OutputError("x"), OSError(errno.EACCES, "Permission denied")), False),
        (InputError("x"), False),
        (UsageError("x"), False),
        (ModelError("x"), False),
        (RuntimeError("a fault of ours"), False),
    ],
)
def test_bad_luck_is_told_from_faults_that_stay(error: Exception, again: bool) -> None:
    assert is_transient(error) == again
    assert is_full(error) == (isinstance(error.__cause__, OSError) and again)


def task_of(source: Path, target: Path, **changes: Any) -> dict[str, Any]:
    return clean_task("7", source, target, plain(CleanOptions()), replace=False) | changes


@pytest.mark.parametrize(("device", "gpus"), [("cuda", 1), ("cpu", 0), ("auto", 0)])
def test_engines_are_told_of_gpus_and_need_not_know_settings(device: str, gpus: int) -> None:
    task = clean_task("7", Path("a.mp4"), Path("b.mp4"), plain(CleanOptions(device=device)), replace=False)
    assert task["gpus"] == gpus


def test_a_result_in_place_of_any_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gone = run_task(task_of(tmp_path / "gone.mp4", tmp_path / "out" / "x.mp4"), ignore)
    assert (gone["state"], gone["code"], gone["transient"]) == ("failed", 3, False)
    assert "gone.mp4" in gone["cause"]
    assert gone["is_unread"], "from here: whoever handed the task out may see it"
    (tmp_path / "text.mp4").write_text("no video")
    text = run_task(task_of(tmp_path / "text.mp4", tmp_path / "out" / "x.mp4"), ignore)
    assert (text["code"], text["transient"], text["is_unread"]) == (3, False, False)
    other = run_task(task_of(tmp_path / "gone.mp4", tmp_path / "x.mp4", version="0.0.1"), ignore)
    assert (other["code"], "0.0.1" in other["cause"]) == (2, True)
    assert (other["transient"], other["tries"]) == (True, 2), "another node may have it"
    assert capfd.readouterr().err == ""
    broken = task_of(tmp_path / "gone.mp4", tmp_path / "x.mp4")
    del broken["target"]
    ours = run_task(broken, ignore)
    assert (ours["code"], ours["cause"]) == (70, "KeyError: 'target'")
    assert "Traceback" in capfd.readouterr().err, "a fault of ours is told whole, in the log"


@pytest.mark.parametrize(
    ("status", "has_begun", "code", "again", "said"),
    [
        (-signal.SIGKILL, True, 137, True, "signal 9 (SIGKILL), as the system does when memory runs out"),
        (-signal.SIGSEGV, True, 139, True, "signal 11 (SIGSEGV)"),
        (1, True, 1, False, "ended with code 1"),
        (0, True, 1, False, "without a result"),
        (1, False, 1, True, "ended with code 1"),
        (-signal.SIGKILL, False, 137, True, "signal 9"),
    ],
)
def test_how_a_worker_was_lost(status: int, has_begun: bool, code: int, again: bool, said: str) -> None:
    result = lost(status, has_begun)
    assert (result["state"], result["code"], result["transient"]) == ("failed", code, again)
    assert said in result["cause"]


@pytest.mark.fault(31)
def test_who_is_at_work_on_another_host_is_waited_for(film: Path, tmp_path: Path) -> None:
    """Longer than all pauses between tries: the node of the first one may be lost."""
    lease = folder_of(tmp_path / "out.mp4") / "lease"
    lease.parent.mkdir()
    lease.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    busy = run_task(task_of(film, tmp_path / "out.mp4"), ignore)
    assert (busy["code"], busy["transient"]) == (6, True)
    assert LEASE_S - 10 < busy["free_in_s"] <= LEASE_S + 2
    os.utime(lease, (time.time() - busy["free_in_s"],) * 2)
    assert run_task(task_of(film, tmp_path / "out.mp4"), ignore)["state"] == "done"


@pytest.fixture
def film(samples: Path, tmp_path: Path) -> Path:
    return ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "in.mp4", "-map", "0:v", "-t", "0.2")


def test_a_worker_tells_events_and_then_its_result(film: Path, tmp_path: Path) -> None:
    with started(task_of(film, tmp_path / "out.mp4"), tmp_path / "logs", worker_environment(1)) as worker:
        told = list(messages(worker))
    assert [message["event"] for message in told[:-1]][:1] == ["plan"]
    result = told[-1]["result"]
    assert (result["state"], result["files"]) == (
        "done",
        {str(tmp_path / "out.mp4"): (tmp_path / "out.mp4").stat().st_size},
    )
    assert (tmp_path / "logs" / "7.log").read_bytes() == b""


@pytest.mark.fault(25)
@pytest.mark.parametrize("how", ["closed", pytest.param("terminated", marks=pytest.mark.slow)])
def test_a_worker_ends_with_whoever_started_it(how: str, samples: Path, tmp_path: Path) -> None:
    film = ffmpeg_says.remux(samples / "street.mp4", tmp_path / "in.mp4", "-map", "0:v", first=("-stream_loop", "20"))
    task = task_of(film, tmp_path / "out" / "x.mp4")
    with started(task, tmp_path / "logs", worker_environment(1)) as worker:
        told = messages(worker)
        assert any(message.get("event") == "progress" for message in told)
        assert len(list((tmp_path / "out").iterdir())) == 2  # a partial file, and the segments
        assert worker.stdin is not None
        worker.stdin.close() if how == "closed" else worker.terminate()
        assert worker.wait(10) == -signal.SIGKILL, "its whole group goes"
    assert list((tmp_path / "out").iterdir()) == [], "nothing half-made"


@pytest.mark.slow
def test_a_crash_leaves_its_stack_in_the_log(film: Path, tmp_path: Path) -> None:
    crash = "import vidrain.batch.task as t, ctypes; t.run_task = lambda *_: ctypes.string_at(0); "
    script = crash + "from vidrain.batch.worker import main; main()"
    task = json.dumps(task_of(film, tmp_path / "out.mp4")) + "\n"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin is not None
        worker.stdin.write(task)
        worker.stdin.flush()
        _, log = worker.communicate(timeout=60) if worker.wait(60) else ("", "")
    assert worker.returncode == -signal.SIGSEGV
    assert "Segmentation fault" in log


@pytest.mark.parametrize(
    ("error", "full"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), True),
        (OSError(errno.EAGAIN, "Try again"), False),
        (RuntimeError("can't start new thread"), False),
    ],
)
def test_a_worker_that_was_not_started_is_tried_again(error: OSError | RuntimeError, full: bool) -> None:
    result = unstarted(error)
    assert (result["state"], result["transient"], result["is_full"]) == ("failed", True, full)
    assert result["cause"] == f"its worker could not be started ({getattr(error, 'strerror', None) or error})"


def test_where_no_thread_is_left_the_worker_goes_and_its_task_has_ended(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class NoThread(threading.Thread):
        def start(self) -> None:
            raise RuntimeError("can't start new thread")

    with Processes(1, tmp_path / "logs", lambda number, told: None) as engine:
        monkeypatch.setattr(processes, "Thread", NoThread)
        engine.start(task_of(film, tmp_path / "out.mp4"))
        (ended,) = engine.poll(5)
        assert (ended.id, ended.result["transient"]) == ("7", True)
        assert "can't start new thread" in ended.result["cause"]
        assert not engine._running


def test_who_does_nothing_for_long_ends_and_says_where_it_stood(tmp_path: Path) -> None:
    """The time begins anew with every event."""
    work = """
import time
from vidrain.batch import task, worker
from vidrain.events import Notice
def run_task(asked, on_event):
    for number in range(4):
        time.sleep(0.5)
        on_event(Notice(code="sound", message=str(number)))
    stands_still()
def stands_still():
    time.sleep(60)
task.run_task, worker._SILENCE_S = run_task, 1.0
worker.main()
"""
    with subprocess.Popen(
        [sys.executable, "-c", work], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdin is not None and worker.stdout is not None and worker.stderr is not None
        worker.stdin.write("{}\n")
        worker.stdin.flush()
        assert worker.wait(30) == 1
        told, log = worker.stdout.read().splitlines(), worker.stderr.read()
    assert [json.loads(line)["message"] for line in told] == ["0", "1", "2", "3"]
    assert "Timeout" in log and "in stands_still" in log


@pytest.mark.slow
def test_threads_are_shared_out() -> None:
    environment = worker_environment(1)  # without it: one for every core
    script = "import torch, cv2; print(torch.get_num_threads(), cv2.getNumThreads())"
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout == "1 1\n"


@pytest.mark.fault(25)
def test_a_worker_ends_even_if_what_it_leaves_cannot_be_removed() -> None:
    script = "from vidrain.batch import worker; worker._gone(object())"  # which has no leftovers to abandon
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, start_new_session=True, capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
