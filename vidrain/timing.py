"""Times of two files on one clock: which frames belong together, and how far times are off. Pure integers.

>>> due, got, tick = on_one_clock(source_pts, Fraction(1, 90000), output_pts, Fraction(1, 1000))
>>> matched(due, got, allowed=0)
"""

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm

import numpy as np
import numpy.typing as npt

Times = npt.NDArray[np.int64]


def on_one_clock(due: Times, due_base: Fraction, got: Times, got_base: Fraction) -> tuple[Times, Times, Fraction]:
    """Both lists of times in the longest tick of which both time bases are whole multiples, and that tick."""
    tick = Fraction(gcd(due_base.numerator, got_base.numerator), lcm(due_base.denominator, got_base.denominator))
    return due * int(due_base / tick), got * int(got_base / tick), tick


def matched(due: Times, got: Times, *, allowed: int) -> list[tuple[int, int]]:
    """(place in `due`, place in `got`) of what belongs together; both ascending.

    As many on both sides are paired in order, whatever their times. Otherwise those less than half the shortest step
    apart, or `allowed` ticks if that is more, belong together.
    """
    if len(due) == len(got):
        return [(place, place) for place in range(len(due))]
    steps = [int(np.diff(times).min()) for times in (due, got) if len(times) > 1]
    reach = max(allowed, (min(steps, default=1) - 1) // 2)
    pairs: list[tuple[int, int]] = []
    i = j = 0
    while i < len(due) and j < len(got):
        late = int(got[j]) - int(due[i])
        if abs(late) <= reach:
            pairs.append((i, j))
        i += late >= -reach
        j += late <= reach
    return pairs


def unmatched(pairs: Sequence[tuple[int, int]], due: int, got: int) -> tuple[list[int], list[int]]:
    """Places of [0, due) and of [0, got) that stand in no pair."""
    left, right = {i for i, _ in pairs}, {j for _, j in pairs}
    return [i for i in range(due) if i not in left], [j for j in range(got) if j not in right]


def first_off(due: Times, got: Times, *, allowed: int) -> tuple[int, int] | None:
    """(place of the first time that is off by more than `allowed` ticks, how many are), or None. One length each."""
    places = np.flatnonzero(np.abs(got - due) > allowed)
    return (int(places[0]), len(places)) if len(places) else None


def worst_off(due: Times, got: Times) -> int:
    """The largest distance of two times in ticks; 0 for none. One length each."""
    return int(np.abs(got - due).max(initial=0))
