"""Generic iterators that carry the straight line: prefetch and sliding_windows; and patience with what may stall.

Nothing here knows what an item is; the tests use integers.

    >>> [w.items for w in sliding_windows([1, 2, 3], reach=1)]
    [(1, 2), (1, 2, 3), (2, 3)]
"""

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from time import monotonic
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")

_STARTS_WITHIN_S = 2.0
_SHORTEST_WAIT_S = 0.01


@dataclass(frozen=True)
class Window(Generic[T]):
    """Consecutive items around one of them: at most 2 * reach + 1, fewer at the ends of the stream."""

    items: tuple[T, ...]
    position: int

    @property
    def center(self) -> T:
        """The item the window is about."""
        return self.items[self.position]


def sliding_windows(items: Iterable[T], reach: int) -> Iterator[Window[T]]:
    """One window per item, in order, cut off at both ends: holds 2 * reach + 1 items, never more."""
    source = iter(items)
    held = deque(islice(source, reach + 1))
    position = 0
    while position < len(held):
        yield Window(tuple(held), position)
        if position == reach:
            held.popleft()
        else:
            position += 1
        held.extend(islice(source, 1))


class Apart(Protocol):
    """Lets a stage of a line, by its name, run beside the others. Called at once, by who asks for the line."""

    def __call__(self, items: Iterator[T], name: str) -> Iterator[T]:
        """What `items` gives."""
        ...


def in_turn(items: Iterator[T], name: str) -> Iterator[T]:
    """What `items` gives: the stages take turns."""
    return items


class _End:
    """Last thing in a prefetch queue: the stream ended, with the error if there was one."""

    def __init__(self, error: BaseException | None = None) -> None:
        self.error = error


def prefetch(items: Iterable[T], depth: int, name: str, *, patience_s: float | None = None) -> Generator[T, None, None]:
    """Iterate `items` in a thread of its own, at most `depth` items ahead (and one in each hand).

    An error upstream is raised here, with its traceback, after the items before it. Closing this generator stops and
    joins the thread and closes `items`. Raises ValueError for a depth below 1, TimeoutError when the consumer has
    waited `patience_s` for one item: a thread stuck in foreign code cannot be ended, and is left behind, as a daemon.
    """
    if depth < 1:
        raise ValueError(f"found depth {depth}; want at least 1")  # 0 would mean no bound to a Queue
    ahead: queue.Queue[T | _End] = queue.Queue(maxsize=depth)
    begun, stop = threading.Event(), threading.Event()

    def offer(item: T | _End) -> bool:
        while not stop.is_set():
            try:
                ahead.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        begun.set()
        source: Iterator[T] | None = None
        end = _End()
        try:
            source = iter(items)
            for item in source:
                if not offer(item):
                    break
                del item  # may be large, and the next one takes its time
        except BaseException as error:  # handed on to the consumer, which raises it
            end = _End(error)
        finally:
            if isinstance(source, Generator):
                source.close()
            offer(end)

    thread = threading.Thread(target=work, name=f"vidrain-{name}", daemon=patience_s is not None)
    stuck = False
    try:
        thread.start()
        while True:
            try:
                item = ahead.get(timeout=patience_s)
            except queue.Empty:
                stuck = True
                raise TimeoutError(f"{name}: nothing for {patience_s:g} s") from None
            if isinstance(item, _End):
                if item.error is not None:
                    raise item.error
                return
            yield item
            del item  # as above
    finally:
        stop.set()
        if not stuck and begun.wait(
            _STARTS_WITHIN_S
        ):  # a signal may strike while the thread starts: it cannot be joined before
            thread.join(patience_s)


class Pulse:
    """Shows that long work still moves: `beat` is called wherever it does; `still_s` tells how long it has not."""

    def __init__(self) -> None:
        self._last = monotonic()

    def beat(self) -> None:
        """The work has moved on."""
        self._last = monotonic()

    @property
    def still_s(self) -> float:
        """Seconds since the last beat."""
        return monotonic() - self._last


def patiently(work: Callable[[Pulse], T], patience_s: float, name: str) -> T:
    """Result of `work`, which runs in a thread of its own; its error is raised here.

    Raises TimeoutError when the pulse it was given has not beaten for `patience_s`: the thread is then left behind.
    """
    pulse, done = Pulse(), threading.Event()
    found: list[T] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            found.append(work(pulse))
        except BaseException as error:  # handed on to the caller, which raises it
            failed.append(error)
        finally:
            done.set()

    threading.Thread(target=run, name=f"vidrain-{name}", daemon=True).start()
    while not done.wait(max(patience_s - pulse.still_s, _SHORTEST_WAIT_S)):
        if pulse.still_s >= patience_s:
            raise TimeoutError(f"{name}: nothing for {patience_s:g} s")
    if failed:
        raise failed[0]
    return found[0]
