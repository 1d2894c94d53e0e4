"""Times of two files on one clock."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.timing import first_off, matched, on_one_clock, unmatched, worst_off

bases = st.builds(Fraction, st.integers(1, 1001), st.sampled_from([25, 1000, 24000, 30000, 48000, 90000]))
times = st.lists(st.integers(-(1 << 33), 1 << 33), min_size=1, max_size=5, unique=True).map(sorted)
ascending = st.lists(st.integers(8, 500), min_size=1, max_size=40).map(lambda steps: np.cumsum(steps).astype(np.int64))


@given(times, bases, times, bases)
def test_the_clock_is_exact(due: list[int], due_base: Fraction, got: list[int], got_base: Fraction) -> None:
    left, right, tick = on_one_clock(np.array(due), due_base, np.array(got), got_base)
    assert [int(time) * tick for time in left] == [time * due_base for time in due]
    assert [int(time) * tick for time in right] == [time * got_base for time in got]


@given(ascending, st.data())
def test_what_is_missing_is_found(due: np.ndarray, data: st.DataObject) -> None:
    """Any frames may be missing, and every time may be off by less than half a step."""
    count = len(due)
    kept = data.draw(st.lists(st.integers(0, count - 1), unique=True).map(sorted))
    jitter = data.draw(st.lists(st.integers(-1, 1), min_size=len(kept), max_size=len(kept)))
    got = due[kept] + np.array(jitter, np.int64)
    pairs = matched(due, got, allowed=0)
    assert pairs == list(zip(kept, range(len(kept)), strict=True))
    lacking, surplus = unmatched(pairs, count, len(got))
    assert (lacking, surplus) == (sorted(set(range(count)) - set(kept)), [])
    assert matched(got, due, allowed=0) == [(j, i) for i, j in pairs]  # what is missing here is too much there


def test_as_many_are_paired_in_order_whatever_their_times() -> None:
    assert matched(np.array([0, 10, 20]), np.array([5, 25, 90]), allowed=0) == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize(("got", "found"), [([0, 10, 20], None), ([0, 12, 25], (1, 2)), ([0, 11, 24], (2, 1))])
def test_what_is_off(got: list[int], found: tuple[int, int] | None) -> None:
    due = np.array([0, 10, 20])
    assert first_off(due, np.array(got), allowed=1) == found
    assert worst_off(due, np.array(got)) == max(abs(a - b) for a, b in zip(got, due.tolist(), strict=True))
    assert worst_off(due[:0], due[:0]) == 0
