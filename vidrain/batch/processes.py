"""Tasks in processes of this machine, each in a fresh one: what kills or crashes it is the fault of one file alone."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from time import monotonic
from types import TracebackType
from typing import Any, Self

from vidrain.batch.engine import Ended, Tell
from vidrain.batch.wire import CRASHED, FULL, Result, Task, as_line, failed

_PATIENCE_S = 0.8  # for a worker that was told to stop; a stop takes two seconds in all
_BY_SIGNAL = 128  # a shell's exit code for a process that a signal ended, less its number


class Processes:
    """An `Engine` of `workers` slots that share the cores. logs: folder for what workers print."""

    def __init__(self, workers: int, logs: Path, tell: Tell) -> None:
        self.slots, self._logs, self._tell = workers, logs, tell
        self._environment = worker_environment(max(1, cores() // workers))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._told: SimpleQueue[tuple[str, dict[str, Any] | Ended]] = SimpleQueue()

    def start(self, task: Task) -> None:
        """Begin a task in a new process; where the system has none, the task has ended by that."""
        try:
            worker = started(task, self._logs, self._environment)
        except OSError as error:
            self._told.put((task["id"], Ended(task["id"], unstarted(error))))
            return
        self._running[task["id"]] = worker
        listen = Thread(target=self._listen, args=(task["id"], worker), name="vidrain-worker", daemon=True)
        try:
            listen.start()
        except RuntimeError as error:  # no thread is left either
            drop(worker)
            self._told.put((task["id"], Ended(task["id"], unstarted(error))))

    def _listen(self, number: str, worker: subprocess.Popen[bytes]) -> None:
        result: Result | None = None
        has_begun = False
        for message in messages(worker):
            has_begun = True
            if "result" in message:
                result = message["result"]
            else:
                self._told.put((number, message))
        if result is None:
            result = lost(worker.wait(), has_begun)
            end_group(worker)  # what it started, such as a program that renders
        self._told.put((number, Ended(number, result)))
        worker.wait()  # here, where nobody waits for it: a thread of its own may hang in the system

    def poll(self, timeout_s: float) -> list[Ended]:
        """Tell what workers told, until one ends or the time is over."""
        until, ended = monotonic() + timeout_s, list[Ended]()
        while True:
            try:
                number, told = self._told.get(timeout=0 if ended else max(until - monotonic(), 0.001))
            except Empty:
                return ended
            if isinstance(told, Ended):
                if number in self._running:
                    self._reap(number)
                ended.append(told)
            else:
                self._tell(number, told)

    def stop(self) -> list[Ended]:
        """Close the standard input of every worker, which ends it; kill what does not obey."""
        for worker in self._running.values():
            _let_go(worker)
        until, finished = monotonic() + _PATIENCE_S, list[Ended]()
        while self._running and monotonic() < until:
            finished += [each for each in self.poll(until - monotonic()) if each.result["state"] != "failed"]
        for number, worker in list(self._running.items()):
            end_group(worker)
            self._reap(number)
        return finished

    def _reap(self, number: str) -> None:
        worker = self._running.pop(number)
        _let_go(worker)
        with suppress(subprocess.TimeoutExpired):
            worker.wait(_PATIENCE_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_environment(threads: int) -> dict[str, str]:
    """Of a worker that computes with so many threads; results do not depend on them."""
    several = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENCV_FOR_THREADS_NUM")}
    return {**os.environ, **several, "OMP_WAIT_POLICY": "PASSIVE"}


def started(task: Task, logs: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A worker at this task, in a group of its own: Ctrl-C of the terminal reaches us alone. Raises OSError."""
    logs.mkdir(parents=True, exist_ok=True)
    with log_of(task["id"], logs).open("ab") as log:
        worker = subprocess.Popen(
            [sys.executable, "-m", "vidrain.batch.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    assert worker.stdin is not None
    with suppress(BrokenPipeError):  # it is dead already, which is seen where it is waited for
        worker.stdin.write(as_line(task))
        worker.stdin.flush()
    return worker


def log_of(number: str, logs: Path) -> Path:
    """Where the worker of a task prints."""
    return logs / f"{number}.log"


def messages(worker: subprocess.Popen[bytes]) -> Iterator[dict[str, Any]]:
    """What a worker tells, its result last, or until it ends without one; a line that a kill cut off is none.

    Who waited for a share that hangs may have a result, and still not end, whatever kills it.
    """
    assert worker.stdout is not None
    with worker.stdout:
        for line in worker.stdout:
            if line.endswith(b"\n"):
                yield (message := json.loads(line))
                if "result" in message:
                    return


def unstarted(error: OSError | RuntimeError) -> Result:
    """The result of a task whose worker could not be started: for want of memory, processes, or room for its log."""
    why = (isinstance(error, OSError) and error.strerror) or str(error)
    is_full = isinstance(error, OSError) and error.errno in FULL
    return failed(CRASHED, f"its worker could not be started ({why})", transient=True) | {"is_full": is_full}


def lost(status: int, has_begun: bool) -> Result:
    """The result of a task whose worker ended without one.

    status: of the process, negative for a signal; has_begun: whether it told anything, else what is broken is the
    machine it was started on, which may not be the next one.
    """
    if status >= 0:
        cause = f"its worker ended with code {status} and without a result"
        return failed(status or 1, cause, transient=not has_begun)
    name = signal.Signals(-status).name if -status in set(signal.Signals) else "unknown"
    why = ", as the system does when memory runs out" if -status == signal.SIGKILL else ""
    return failed(_BY_SIGNAL - status, f"its worker was ended by signal {-status} ({name}){why}", transient=True)


def dismiss(worker: subprocess.Popen[bytes]) -> None:
    """End a worker so that it can remove what is half-made; kill it if it does not obey."""
    _let_go(worker)
    with suppress(subprocess.TimeoutExpired):
        worker.wait(_PATIENCE_S)
    end_group(worker)


def drop(worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker that nobody listens to."""
    assert worker.stdout is not None
    end_group(worker)
    worker.stdout.close()
    worker.wait()


def end_group(worker: subprocess.Popen[bytes]) -> None:
    """Kill a worker and what it started."""
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)


def _let_go(worker: subprocess.Popen[bytes]) -> None:
    assert worker.stdin is not None
    with suppress(BrokenPipeError):
        worker.stdin.close()
