"""Patience with what may stall: measured only while somebody waits, and ended in one line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from vidrain.errors import InputError, UsageError
from vidrain.stream import Pulse, patiently, prefetch
from vidrain.watchdog import Watchdog

pytestmark = [pytest.mark.fault(33)]


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets threads go that were left behind, so that no test meets them."""
    event = threading.Event()
    before = set(threading.enumerate())
    yield event
    event.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()


def stuck_at(place: int, release: threading.Event) -> Iterator[int]:
    for number in range(10):
        if number == place:
            release.wait(30)
        yield number


@pytest.mark.parametrize("place", [0, 3])
def test_an_iterator_that_stalls_is_left_behind(place: int, release: threading.Event) -> None:
    got: list[int] = []
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=r"numbers: nothing for 0.2 s"):
        for number in prefetch(stuck_at(place, release), 2, "numbers", patience_s=0.2):
            got.append(number)
    assert got == list(range(place))
    assert 0.2 <= time.monotonic() - began < 5


def test_the_clock_runs_only_while_somebody_waits() -> None:
    numbers = prefetch(iter(range(4)), 1, "numbers", patience_s=0.1)
    assert [time.sleep(0.2) or number for number in numbers] == list(range(4))


def test_closing_does_not_wait_for_ever(release: threading.Event) -> None:
    numbers = prefetch(stuck_at(3, release), 1, "numbers", patience_s=0.2)
    assert [next(numbers) for _ in range(3)] == [0, 1, 2]
    began = time.monotonic()
    numbers.close()
    assert time.monotonic() - began < 5


def test_work_that_beats_may_take_its_time() -> None:
    def work(pulse: Pulse) -> str:
        for _ in range(5):
            time.sleep(0.1)
            pulse.beat()
        return threading.current_thread().name

    assert patiently(work, 0.3, "work") == "vidrain-work"


def test_work_that_stands_still(release: threading.Event) -> None:
    def work(pulse: Pulse) -> None:
        pulse.beat()
        release.wait(30)

    with pytest.raises(TimeoutError, match=r"work: nothing for 0.2 s"):
        patiently(work, 0.2, "work")


def test_errors_come_through() -> None:
    with pytest.raises(ZeroDivisionError):
        patiently(lambda _: 1 // 0, 1.0, "work")


def test_one_line_that_says_where(release: threading.Event) -> None:
    watchdog = Watchdog(Path("in.mp4"), 0.2)
    with pytest.raises(InputError, match=r"in.mp4: gave nothing for 0.2 s while it was opened; copy it") as raised:
        watchdog.opened(lambda _: release.wait(30))
    assert "\n" not in str(raised.value)
    with pytest.raises(InputError, match=r"gave nothing for 0.2 s at frame 3;"):
        list(watchdog.ahead(stuck_at(3, release), 2, "decode", lambda: "at frame 3"))
    assert list(watchdog.ahead([1, 2], 2, "decode")) == [1, 2]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_patience_is_some_seconds(seconds: float) -> None:
    with pytest.raises(UsageError, match="allowed are seconds above 0"):
        Watchdog(Path("in.mp4"), seconds)
