"""Medians, quartiles and ratios: the arithmetic of repeated measurements. Knows nothing of what was measured.

>>> spread([3.0, 1.0, 2.0])
Spread(median=2.0, low=1.5, high=2.5)
"""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple


class Spread(NamedTuple):
    """Middle and quartiles of some repeats: half of them lie from `low` to `high`, the interquartile range."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles of at least one value, between values by linear interpolation; ValueError for none."""
    if not values:
        raise ValueError("no value to take the median of")
    ordered = sorted(values)
    return Spread(median(ordered), _quantile(ordered, 0.25), _quantile(ordered, 0.75))


def paired_ratios(values: Sequence[float], others: Sequence[float]) -> list[float]:
    """value / other, repeat by repeat: both were measured next to each other, so that a slower hour cancels.

    ValueError where there are not as many of both.
    """
    return [value / other for value, other in zip(values, others, strict=True)]


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Hyndman and Fan (1996), definition 7: that of numpy."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
