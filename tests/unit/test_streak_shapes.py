"""Streaks drawn with a known slant and length are found with it; blots and noise are none."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.streak_shapes import mean_direction, streaks_in


def drawn(*streaks: tuple[float, float], thickness: int = 1) -> np.ndarray:
    """Bars of (angle from straight down, length), one beside the other."""
    picture = np.zeros((160, 160 * len(streaks)), np.float32)
    for number, (angle, length) in enumerate(streaks):
        middle = np.array([80 + 160 * number, 80])
        half = length / 2 * np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
        ends = [tuple(map(int, np.rint(middle + sign * half))) for sign in (-1, 1)]
        cv2.line(picture, *ends, 40.0, thickness)
    return picture


@given(st.integers(-89, 90), st.integers(20, 120), st.integers(1, 3))
def test_direction_and_length_are_those_drawn(angle: int, length: int, thickness: int) -> None:
    found = streaks_in(drawn((angle, length), thickness=thickness))
    assert len(found) == 1
    off = (found.angles[0] - angle + 90) % 180 - 90  # the ends lie on whole pixels
    assert abs(off) < 4
    assert found.lengths[0] == pytest.approx(length, abs=thickness + 3)
    assert found.widths[0] <= thickness + 2.5
    assert -90 < found.angles[0] <= 90


def test_a_drop_that_falls_to_the_right_leans_positive() -> None:
    picture = np.zeros((60, 60), np.float32)
    for step in range(40):
        picture[10 + step, 10 + step // 4] = 30
    assert streaks_in(picture).angles[0] == pytest.approx(np.degrees(np.arctan(0.25)), abs=2)
    assert streaks_in(picture[:, ::-1]).angles[0] == pytest.approx(-np.degrees(np.arctan(0.25)), abs=2)


def test_blots_specks_dark_and_faint_things_are_no_streaks() -> None:
    picture = np.zeros((64, 64), np.float32)
    cv2.circle(picture, (16, 16), 8, 60.0, -1)
    picture[40, 40:43] = 90  # three pixels
    picture[50, 5:50] = 7  # below the noise
    picture[60, 5:50] = -60
    assert len(streaks_in(picture)) == 0
    assert mean_direction(streaks_in(picture).angles) is None


def test_opposite_axes_have_the_mean_between_them() -> None:
    degrees, concentration = mean_direction(np.array([80.0, -80.0])) or (0, 0)
    assert abs(degrees) == pytest.approx(90)
    assert concentration == pytest.approx(np.cos(np.radians(20)))
    assert (mean_direction(np.array([10.0, 10.0])) or (0, 0)) == pytest.approx((10, 1))
