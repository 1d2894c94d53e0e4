"""Windows against a slow twin, and prefetch under every way a stream can end. Items are integers."""

import threading
import time
import traceback
import weakref
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.stream import Window, prefetch, sliding_windows


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


def slow_windows(items: list[int], reach: int) -> list[Window[int]]:
    """Every window cut out of the whole list."""
    starts = [max(0, center - reach) for center in range(len(items))]
    return [Window(tuple(items[start : center + reach + 1]), center - start) for center, start in enumerate(starts)]


@given(st.lists(st.integers(), max_size=20), st.integers(0, 6))
def test_windows_are_those_of_the_slow_twin(items: list[int], reach: int) -> None:
    windows = list(sliding_windows(iter(items), reach))
    assert windows == slow_windows(items, reach)
    assert [window.center for window in windows] == items


@given(count=st.integers(0, 20), reach=st.integers(0, 4))
def test_windows_read_no_further_than_they_must(count: int, reach: int) -> None:
    pulled = []
    for center, _ in enumerate(sliding_windows((pulled.append(i) or i for i in range(count)), reach)):  # type: ignore[func-returns-value]
        assert len(pulled) == min(count, center + reach + 1)


@pytest.mark.parametrize("reach", [0, 1, 3])
def test_windows_hold_no_more_than_they_say(reach: int) -> None:
    class Item:
        pass

    alive: weakref.WeakSet[Item] = weakref.WeakSet()
    most = 0

    def items() -> Iterator[Item]:
        nonlocal most
        for _ in range(20):
            item = Item()
            alive.add(item)
            most = max(most, len(alive))
            yield item
            del item

    windows = sliding_windows(items(), reach)
    assert sum(1 for _ in iter(lambda: bool(next(windows, None)), False)) == 20  # drops each window at once
    assert most == 2 * reach + 1


@given(st.lists(st.integers(), max_size=30), st.integers(1, 4))
def test_prefetch_keeps_order_and_loses_nothing(items: list[int], depth: int) -> None:
    assert list(prefetch(items, depth, "test")) == items


def test_prefetch_runs_upstream_in_a_named_thread() -> None:
    names = list(prefetch((threading.current_thread().name for _ in range(2)), 1, "decode"))
    assert names == ["vidrain-decode"] * 2


def failing_at(count: int, error: BaseException) -> Iterator[int]:
    yield from range(count)
    raise error


@pytest.mark.parametrize("error", [ValueError("broken item"), KeyboardInterrupt(), GeneratorExit()])
def test_upstream_error_comes_after_the_items_before_it(error: BaseException) -> None:
    stream, got = prefetch(failing_at(3, error), 5, "test"), []
    with pytest.raises(type(error)) as caught:
        for item in stream:
            got.append(item)
    assert got == [0, 1, 2]
    assert caught.value is error
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert "failing_at" in frames


def test_items_that_cannot_be_iterated_are_an_error_too() -> None:
    class Broken:
        def __iter__(self) -> Iterator[int]:
            raise ValueError("cannot start")

    with pytest.raises(ValueError, match="cannot start"):
        next(prefetch(Broken(), 1, "test"))


def test_depth_below_one_is_refused() -> None:
    with pytest.raises(ValueError, match="found depth 0"):
        next(prefetch([1], 0, "test"))


class Source:
    """Counts upwards without end, and remembers how far it got and that it was closed."""

    def __init__(self) -> None:
        self.made = 0
        self.closed_in: str | None = None

    def items(self) -> Iterator[int]:
        try:
            while True:
                self.made += 1
                yield self.made - 1
        finally:
            self.closed_in = threading.current_thread().name


def settled(count: Callable[[], int]) -> int:
    """The count once it has stood still for a tenth of a second."""
    last = -1
    while last != count():
        last = count()
        time.sleep(0.1)
    return last


def test_early_close_stops_the_thread_and_closes_upstream() -> None:
    source = Source()
    stream = prefetch(source.items(), 2, "test")
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    assert any(thread.name == "vidrain-test" for thread in threading.enumerate())
    stream.close()
    assert source.closed_in == "vidrain-test"
    assert all(thread.name != "vidrain-test" for thread in threading.enumerate())


@pytest.mark.parametrize("depth", [1, 2, 5])
def test_prefetch_is_bounded(depth: int) -> None:
    source = Source()
    with closing(prefetch(source.items(), depth, "test")) as stream:
        assert source.made == 0  # nothing starts before the first item is asked for
        for taken in range(1, 4):
            next(stream)
            assert settled(lambda: source.made) == taken + depth + 1  # depth queued, one in the thread's hand


def test_prefetch_works_ahead_of_a_slow_consumer() -> None:
    """Otherwise it would be correct and useless."""
    source = Source()
    with closing(prefetch(source.items(), 3, "test")) as stream:
        next(stream)
        assert settled(lambda: source.made) > 2


def test_nested_stages_stop_when_the_consumer_fails() -> None:
    source = Source()

    def consume() -> None:
        inner = prefetch(source.items(), 2, "inner")
        windows = (window.center * 2 for window in sliding_windows(inner, 1))
        with closing(prefetch(windows, 2, "outer")) as stream:
            for item in stream:
                if item == 6:
                    raise RuntimeError("disk full")

    with pytest.raises(RuntimeError, match="disk full"):
        consume()
    assert source.closed_in == "vidrain-inner"


def test_nested_stages_hand_an_error_through() -> None:
    inner = prefetch(failing_at(4, OSError("card pulled")), 2, "inner")
    outer, got = prefetch((item + 1 for item in inner), 2, "outer"), []
    with pytest.raises(OSError, match="card pulled"):
        for item in outer:
            got.append(item)
    assert got == [1, 2, 3, 4]


@pytest.mark.parametrize("late", [0.0, 0.2])
def test_interrupt_while_the_thread_starts_leaves_nothing_running(late: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal is handled in the main thread, which may be waiting for the new one to come up."""
    start = threading.Thread.start
    source, names, starters = Source(), [], []

    def interrupted(thread: threading.Thread) -> None:
        names.append(thread.name)
        starter = threading.Timer(late, start, [thread])
        starters.append(starter)
        start(starter)
        if not late:
            starter.join()
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        next(prefetch(source.items(), 1, "test"))
    starters[0].join()  # it may outlive the thread that it started
    assert names == ["vidrain-test"]
    assert "vidrain-test" not in [thread.name for thread in threading.enumerate()]
    assert source.closed_in == "vidrain-test"
