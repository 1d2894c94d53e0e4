"""The physics of drops, against figures worked out beforehand and against sums over many drops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.rain.drops import (
    LEAST_MM,
    MOST_MM,
    count_per_m3,
    drawn_diameters,
    extinction,
    fall_speed,
    rate_of,
    swing_hz,
)

RATES = st.floats(0.1, 200)


def evenly(rate: float, count: int = 20_000) -> np.ndarray:
    """Diameters at even steps of their own law."""
    return drawn_diameters(rate, LEAST_MM, MOST_MM, (np.arange(count) + 0.5) / count)


@pytest.mark.parametrize(("rate", "expected"), [(10.0, 894), (50.0, 1801)])
def test_drops_in_a_cubic_metre(rate: float, expected: int) -> None:
    assert count_per_m3(rate, LEAST_MM, MOST_MM) == pytest.approx(expected, rel=0.005)
    assert count_per_m3(0.0, LEAST_MM, MOST_MM) == 0


@given(RATES, st.floats(0.5, 5.9), st.floats(0.01, 3))
def test_counts_are_the_integral_of_the_law(rate: float, least: float, width: float) -> None:
    most = min(least + width, MOST_MM)
    edges = np.linspace(least, most, 2001)
    law = 8000 * np.exp(-4.1 * rate**-0.21 * (edges[1:] + edges[:-1]) / 2)
    assert count_per_m3(rate, least, most) == pytest.approx(float(law.sum()) * (edges[1] - edges[0]), rel=1e-4)


@given(RATES)
def test_drawn_diameters_follow_the_law(rate: float) -> None:
    drawn = evenly(rate)
    assert (drawn.min() >= LEAST_MM, drawn.max() <= MOST_MM) == (True, True)
    for bound in (0.8, 1.5, 3.0):
        expected = count_per_m3(rate, LEAST_MM, bound) / count_per_m3(rate, LEAST_MM, MOST_MM)
        assert (drawn < bound).mean() == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(("rate", "expected"), [(5, 5.9), (10, 11.6), (25, 28.2), (50, 54.6), (100, 104.7)])
def test_the_law_amounts_to_about_the_rate_it_is_named_by(rate: float, expected: float) -> None:
    """The law and the speeds are by different authors, and agree within 20 %. The figures are of all sizes."""
    drawn = evenly(rate)
    found = rate_of(drawn, len(drawn) / count_per_m3(rate, LEAST_MM, MOST_MM))
    assert found == pytest.approx(expected, rel=0.06)
    assert found == pytest.approx(rate, rel=0.2)


@pytest.mark.parametrize(("diameter", "expected"), [(1, 4.0), (2, 6.6), (3, 8.0), (5, 9.1)])
def test_fall_speed(diameter: float, expected: float) -> None:
    assert float(fall_speed(np.array(diameter))) == pytest.approx(expected, abs=0.1)


@pytest.mark.parametrize(("diameter", "expected"), [(1, 344), (2, 122), (3, 66)])
def test_swinging(diameter: float, expected: float) -> None:
    assert float(swing_hz(np.array(float(diameter)))) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(("rate", "per_km"), [(10, 1.46), (50, 4.3), (0, 0)])
def test_extinction(rate: float, per_km: float) -> None:
    assert extinction(rate) * 1000 == pytest.approx(per_km, rel=0.01)
