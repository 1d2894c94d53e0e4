"""Which frames a constant rate repeats and drops, against a look at every place."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.errors import UsageError
from vidrain.pace import Pace, at_pace, pace_for, rate_of
from vidrain.types import Frame, Layers

MILLISECOND = Fraction(1, 1000)
RATES = st.sampled_from(["25", "24", "30000/1001", "29.97", "12.5", "50", "1", "7/3"])


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("25", Fraction(25)),
        ("12.5", Fraction(25, 2)),
        ("30000/1001", Fraction(30000, 1001)),
        ("29.97", Fraction(30000, 1001)),
        ("29.970", Fraction(30000, 1001)),
        ("23.976", Fraction(24000, 1001)),
        ("23.98", Fraction(24000, 1001)),
        ("59.94", Fraction(60000, 1001)),
        ("29.5", Fraction(59, 2)),
        ("30", Fraction(30)),
        ("30.0", Fraction(30)),
        ("0.5", Fraction(1, 2)),
        ("1000", Fraction(1000)),
    ],
)
def test_rates(text: str, rate: Fraction) -> None:
    assert rate_of(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "0", "-25", "fast", "25fps", "1/0", "30/", "2.5/2", "1e3", "1001", "0.0", "nan", "٢٥", "9" * 5000, "25 "],
)
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="allowed: ") as caught:
        rate_of(text)
    assert len(str(caught.value)) < 160


def shown_at(pts: Sequence[int], base: Fraction, rate: Fraction, place: int) -> int:
    """The frame for a place, found by looking at all: the last within half a place, else the last before it."""
    due = Fraction(place) / rate
    times = [(time - pts[0]) * base for time in pts]
    return max(number for number, time in enumerate(times) if time - due < Fraction(1, 2) / rate)


def frames_of(pace: Pace) -> list[int]:
    """The frame at every place."""
    shown = np.diff(pace.places, append=pace.frames)
    return [number for number, count in enumerate(shown.tolist()) for _ in range(count)]


@given(st.lists(st.integers(1, 200), min_size=0, max_size=12), st.integers(-500, 10_000), st.integers(0, 200), RATES)
def test_every_place_shows_the_nearest_frame(steps: list[int], start: int, last: int, text: str) -> None:
    pts = [start + sum(steps[:number]) for number in range(len(steps) + 1)]
    rate = rate_of(text)
    end = (pts[-1] + last) * MILLISECOND
    pace = pace_for(pts, MILLISECOND, end, rate)
    assert frames_of(pace) == [shown_at(pts, MILLISECOND, rate, place) for place in range(pace.frames)]
    length = (pts[-1] - pts[0] + last) * MILLISECOND if last else (pts[-1] - pts[0]) * MILLISECOND + 1 / rate
    assert abs(pace.frames / rate - length) <= Fraction(1, 2) / rate or pace.frames == 1
    assert pace.frames == len(pts) - pace.dropped + pace.repeated
    assert pace.start * pace.time_base == pts[0] * MILLISECOND  # exact
    assert pace.step * pace.time_base == 1 / rate


@pytest.mark.parametrize("text", ["30", "29.97", "23.976", "60", "25"])
def test_a_constant_rate_stays_as_it_is_though_a_container_rounded_it(text: str) -> None:
    rate = rate_of(text)
    pts = [round(number / rate / MILLISECOND) for number in range(5000)]
    pace = pace_for(pts, MILLISECOND, 5000 / rate, rate)
    assert (pace.repeated, pace.dropped, pace.frames) == (0, 0, 5000)


def test_half_the_rate_shows_every_second_frame() -> None:
    pace = pace_for(range(60), Fraction(1, 60), Fraction(1), Fraction(30))
    assert frames_of(pace) == list(range(0, 60, 2))
    assert (pace.dropped, pace.repeated) == (30, 0)


@pytest.mark.parametrize("base", [Fraction(1, 1_000_000_007), Fraction(1, 999_999_937), Fraction(1001, 30000)])
def test_any_clock_gives_even_steps(base: Fraction) -> None:
    first = round(Fraction(10) / base)
    pace = pace_for([first, first + round(1 / base)], base, 12 * Fraction(1), Fraction(30000, 1001))
    assert pace.step * pace.time_base == Fraction(1001, 30000)
    assert pace.time_base.denominator < 1 << 31
    assert abs(pace.start * pace.time_base - first * base) < Fraction(1, 100_000_000)


def layers(index: int) -> Layers:
    return Layers(Frame((np.full((1, 1), index, np.uint8),), index * 40, 40, index), (np.zeros((1, 1), np.uint8),))


def test_a_missing_frame_is_made_up_for_by_the_one_before() -> None:
    pace = pace_for([0, 40, 80, 120, 160], MILLISECOND, 200 * MILLISECOND, Fraction(25))
    got = list(at_pace((layers(index) for index in (10, 11, 13)), pace, 10))
    assert [(each.frame.index, each.frame.pts * pace.time_base) for each in got] == [
        (10, 0),
        (11, Fraction(1, 25)),
        (11, Fraction(2, 25)),
        (13, Fraction(3, 25)),
    ]
    late = list(at_pace((layers(index) for index in (12, 14)), pace, 10))
    assert [each.frame.pts * pace.time_base for each in late] == [Fraction(k, 25) for k in (2, 3, 4)]
    assert [a.frame.pts + a.frame.duration == b.frame.pts for a, b in pairwise(late)] == [True, True]
    assert list(at_pace((), pace, 10)) == []
