"""Tasks on a Ray cluster: ids and JSON travel, frames never do. The only door to ray, imported when it is asked for.

Every node needs the same vidrain, and sources and OUT under the same paths. Each task runs in a process of its own
there, as on one machine; second tries are the schedule's, never Ray's, so that there is one rule for all engines.
"""

import json
import logging
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from pathlib import Path
from threading import Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self

from vidrain.batch.engine import Ended, Tell
from vidrain.batch.processes import cores, dismiss, drop, lost, messages, started, unstarted, worker_environment
from vidrain.batch.wire import CRASHED, FEW_TRIES, Task, failed
from vidrain.errors import NoDeviceError, OutputError, UsageError

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # read when ray is imported: no network but the cluster's own

try:
    import ray
    from ray import exceptions
except ImportError as error:
    extra = "in a checkout of vidrain: pip install -c constraints.txt '.[ray]'"
    raise UsageError(f"--engine ray needs Ray, which is not installed ({error}); {extra}") from error

_THREADS = 1  # of a task, which asks for one CPU: many files at a time make better use of cores than many threads
_LOOK_S = 0.5  # between two looks at whether a node lives, and at what the cluster has
_PATIENCE_S = 0.8  # for workers that are to stop; a stop takes two seconds in all
_LISTEN_S = 0.3  # to those that have something to tell still: they may be finished
_WITHOUT_S = 10.0  # a node that was restarted is back by then
_HEAD_S = 20.0  # without an answer of the head, after which it counts as lost: after 60 Ray ends our process, with 1
_ASK_S = 2.0  # patience with it when it is asked
_NO_GPU = "--device cuda: the Ray cluster has no GPU; add a node that has one, or use --device auto or cpu"
_NO_CPU = (
    f"the Ray cluster had no CPU for {_WITHOUT_S:g} s, and every file takes one; start a node that has some, such as "
    "ray start --address"
)
_LOG = "ray.log"
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # of HTTP/2, which Ray speaks
_SETTINGS = 4  # the kind of frame that whoever speaks it answers with: a kind stands behind three bytes of length
_STORE = 100_000_000  # bytes of the object store of a cluster that we start; it holds a few lines of text
_OURS = (exceptions.RayTaskError, exceptions.RuntimeEnvSetupError)  # come back however often they are tried


class RayEngine:
    """An `Engine` on the cluster at `address`, or on one that lives on this machine as long as the batch.

    on_gpus: whether tasks are to come that take a GPU each.
    """

    def __init__(self, address: str | None, workers: int | None, logs: Path, tell: Tell, *, on_gpus: bool) -> None:
        self._address, self._workers, self._logs, self._tell = address, workers, logs.absolute(), tell
        self._on_gpus, self._had_gpus = on_gpus, monotonic()
        self._head, self._had_head = "", monotonic()  # HOST:PORT
        self._had_cpus = monotonic()
        self._found: dict[str, float] = {}  # what the cluster had when it was asked last
        self._waiting: set[Any] = set()  # those that take a GPU, and told nothing yet
        self._running: dict[Any, str] = {}  # what a task yields -> its id
        self._work: Any = ray.remote(num_cpus=_THREADS, max_retries=0)(_work)
        self._open = ExitStack()

    @property
    def slots(self) -> int:
        """One for every CPU, or GPU, that the cluster has just now: nodes come and go."""
        there = self._resources()
        most = self._workers or max(int(there.get("CPU", 0)), 1)  # one that waits makes a cluster grow that can
        return min(most, max(int(there.get("GPU", 0)), 1)) if self._on_gpus else most

    def _resources(self) -> dict[str, float]:
        """What the cluster has; a head that is gone is waited for, and CPUs. UsageError where they stay away.

        Not asked for every event: a connection takes a port, which is not free again for a minute.
        """
        if self._found and monotonic() - self._had_head < _LOOK_S:
            return self._found
        while not _answers(self._head):
            if monotonic() - self._had_head > _HEAD_S:
                gone = f"the head of the Ray cluster ({self._head}) gave no answer for {_HEAD_S:g} s"
                raise UsageError(f"{self._asked}: {gone}; with a cluster that has one the same command goes on")
            sleep(_LOOK_S)
        self._had_head = monotonic()
        self._found = ray.cluster_resources()
        if self._found.get("CPU", 0) >= _THREADS:
            self._had_cpus = monotonic()
        elif monotonic() - self._had_cpus > _WITHOUT_S:
            raise UsageError(f"{self._asked}: {_NO_CPU} {self._head}, and the same command goes on")
        return self._found

    @property
    def _asked(self) -> str:
        """What the user asked for."""
        return f"--address {self._address}" if self._address else "--engine ray"

    def start(self, task: Task) -> None:
        """Hand a task to the cluster; one that is to compute on a GPU gets one to itself."""
        yielded = self._work.options(num_gpus=task["gpus"]).remote(json.dumps(task), str(self._logs))
        self._running[yielded] = task["id"]
        if task["gpus"]:
            self._waiting.add(yielded)

    def poll(self, timeout_s: float) -> list[Ended]:
        """Tell what tasks told, and which of them ended, or would wait for ever."""
        return self._heard(self._ready(timeout_s)) + self._in_vain()

    def _in_vain(self) -> list[Ended]:
        """Those that wait for a GPU where the cluster has had none for a while."""
        if self._on_gpus and self._resources().get("GPU", 0) >= 1:
            self._had_gpus = monotonic()
        if monotonic() - self._had_gpus < _WITHOUT_S:
            return []
        ended = []
        for yielded in self._waiting:
            with suppress(exceptions.RayError, ValueError):
                ray.cancel(yielded)
            result = failed(NoDeviceError.exit_code, _NO_GPU, transient=True) | {"tries": FEW_TRIES}
            ended.append(Ended(self._running.pop(yielded), result))
        self._waiting.clear()
        self._had_gpus = monotonic()  # another try waits as long
        return ended

    def _ready(self, timeout_s: float) -> list[Any]:
        """The tasks that have something to tell, as soon as there is one."""
        running = list(self._running)
        ready, _ = ray.wait(running, num_returns=1, timeout=timeout_s, fetch_local=False)
        if ready:
            ready, _ = ray.wait(running, num_returns=len(running), timeout=0, fetch_local=False)
        return list(ready)

    def _heard(self, ready: list[Any]) -> list[Ended]:
        ended = []
        for yielded in ready:
            number = self._running[yielded]
            self._waiting.discard(yielded)
            message = self._next(yielded)
            if "result" in message:
                del self._running[yielded]
                ended.append(Ended(number, message["result"]))
            else:
                self._tell(number, message)
        return ended

    def _next(self, yielded: Any) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(ray.get(next(yielded)))
        except StopIteration:
            return {"result": failed(CRASHED, "its worker ended without a result", transient=True)}
        except exceptions.RayError as error:
            cause = f"its worker was lost ({type(error).__name__}: {str(error).partition('. ')[0]})"
            return {"result": failed(CRASHED, cause, transient=not isinstance(error, _OURS))}
        return found

    def stop(self) -> list[Ended]:
        """Interrupt the workers, which end their processes and what is half-made; what does not obey Ray kills."""
        until, finished = monotonic() + _LISTEN_S, list[Ended]()
        while self._running and monotonic() < until and (ready := self._ready(0)):
            finished += [each for each in self._heard(ready) if each.result["state"] != "failed"]
        for yielded in self._running:
            with suppress(exceptions.RayError, ValueError):
                ray.cancel(yielded)
        over = [yielded.completed() for yielded in self._running]
        if over:
            ray.wait(over, num_returns=len(over), timeout=_PATIENCE_S, fetch_local=False)
        self._running.clear()
        self._waiting.clear()
        return finished

    def __enter__(self) -> Self:
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
            log = self._open.enter_context((self._logs / _LOG).open("a", encoding="utf-8"))
        except OSError as error:
            why = f"cannot be written ({error.strerror}); check space and rights"
            raise OutputError(f"{self._logs / _LOG}: {why}") from error
        self._open.enter_context(redirect_stdout(log))  # Ray prints there what a lost node had to say
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
        own = {"num_cpus": self._workers or cores(), "include_dashboard": False, "object_store_memory": _STORE}
        try:
            if self._address:
                _wait_for(_head_of(self._address))
            with _same_sigterm():
                ray.init(address=self._address or "local", **quiet, **({} if self._address else own))
        except Exception as error:  # none answers, one of another version, no room for one of our own: all in its words
            self._open.close()
            why = " ".join(str(error).split())
            raise UsageError(f"{self._asked}: no Ray cluster can be used ({why}); see ray start --head") from error
        self._head = ray.get_runtime_context().gcs_address
        self._had_head = self._had_cpus = monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        ray.shutdown()
        self._open.close()
        with suppress(OSError):
            if not (self._logs / _LOG).stat().st_size:
                (self._logs / _LOG).unlink()


@contextmanager
def _same_sigterm() -> Iterator[None]:
    """SIGTERM stays with who had it: Ray takes it, to end the process with a code of its own."""
    kept = signal.getsignal(signal.SIGTERM)

    def give_back() -> None:
        if kept is not None and signal.getsignal(signal.SIGTERM) != kept:  # outside the main thread Ray leaves it
            signal.signal(signal.SIGTERM, kept)

    try:
        yield
    except SystemExit:  # it came just now
        give_back()
        signal.raise_signal(signal.SIGTERM)
        raise
    finally:
        give_back()


def _head_of(address: str) -> str | None:
    """HOST:PORT of the head where Ray will look for it; None where that is not known. ValueError, and what Ray raises.

    By Ray's own words, which are not public: 127.0.0.1 is another address there, auto what was begun on this machine.
    """
    try:
        from ray._private.services import canonicalize_bootstrap_address
    except ImportError:
        return None if address == "auto" else address
    logging.getLogger("ray").setLevel(logging.CRITICAL)  # it says all in what it raises
    head: str | None = canonicalize_bootstrap_address(address)
    if head is not None and "://" in head:
        raise ValueError("allowed: auto, or HOST:PORT of its head")
    return head


def _wait_for(head: str | None) -> None:
    """Until a head answers, else TimeoutError: Ray would try without an end, and no signal would come through."""
    until = monotonic() + _HEAD_S
    while head and not _answers(head):
        if monotonic() > until:
            raise TimeoutError(
                f"no head of Ray answers at {head}, for {_HEAD_S:g} s; allowed: auto, or HOST:PORT of one"
            )
        sleep(_LOOK_S)


def _answers(head: str) -> bool:
    """Whether a head speaks at HOST:PORT: Ray itself waits for its head, and then ends the process that asked."""
    host, _, port = head.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ASK_S) as asked:
            if os.environ.get("RAY_USE_TLS", "0") != "0":  # which would have to be spoken first
                return True
            asked.sendall(_GREETING)
            return asked.recv(4, socket.MSG_WAITALL)[3:] == bytes([_SETTINGS])
    except (OSError, OverflowError):  # no port is so large
        return False


def _work(task: str, logs: str) -> Iterator[str]:
    """On a node: what the worker of a task tells, line by line, its result last."""
    try:
        worker = started(json.loads(task), Path(logs), worker_environment(_THREADS))
    except OSError as error:
        yield json.dumps({"result": unstarted(error)})
        return
    try:
        Thread(target=_end_with_node, args=(worker,), daemon=True).start()
    except RuntimeError as error:  # no thread is left either
        drop(worker)
        yield json.dumps({"result": unstarted(error)})
        return
    has_begun = is_over = False
    try:
        for message in messages(worker):
            has_begun, is_over = True, "result" in message
            yield json.dumps(message)
        if not is_over:
            yield json.dumps({"result": lost(worker.wait(), has_begun)})
    finally:
        dismiss(worker)
        with suppress(subprocess.TimeoutExpired):
            worker.wait(_PATIENCE_S)


def _end_with_node(worker: subprocess.Popen[bytes]) -> None:
    """End a worker whose node is lost: Ray lets it work on, while another node does its file again."""
    node = os.getppid()
    while worker.poll() is None:
        if os.getppid() != node:
            dismiss(worker)
        sleep(_LOOK_S)
