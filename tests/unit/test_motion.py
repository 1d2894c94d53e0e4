"""Warping error and motion error against loops, and what they have to be where the motion is known."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from vidrain.evaluation.motion import Ways, motion_error, seen_along, step_between, warp_error, ways_between

Floats = npt.NDArray[np.float32]


def texture(height: int, width: int, seed: int = 0) -> Floats:
    """A smooth picture that flow can follow, in levels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = sum(
        rng.uniform(5, 20) * np.sin(a * x + b * y + c) for a, b, c in rng.uniform(-0.4, 0.4, (12, 3)) * (1, 1, 9)
    )
    return np.asarray(120 + waves, np.float32)


def read_at(picture: Floats, y: float, x: float) -> Floats:
    """Bilinear, the rim going on."""
    height, width = picture.shape[:2]
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    dy, dx = y - top, x - left
    upper = picture[top, left] * (1 - dx) + picture[top, right] * dx
    lower = picture[bottom, left] * (1 - dx) + picture[bottom, right] * dx
    return np.asarray(upper * (1 - dy) + lower * dy)


def is_seen(forth: Floats, back: Floats, y: int, x: int) -> bool:
    """The test of the script at one place, in the order of the formulas."""
    height, width = forth.shape[:2]
    u, v = forth[y, x]
    returned = read_at(back, y + v, x + u)
    if (forth[y, x] + returned) @ (forth[y, x] + returned) > 0.01 * (u * u + v * v + returned @ returned) + 0.5:
        return False
    slopes = 0.0
    for part in (0, 1):
        low, high = max(x - 1, 0), min(x + 1, width - 1)
        slopes += float((forth[y, high, part] - forth[y, low, part]) / (high - low)) ** 2
        low, high = max(y - 1, 0), min(y + 1, height - 1)
        slopes += float((forth[high, x, part] - forth[low, x, part]) / (high - low)) ** 2
    if slopes > 0.01 * (u * u + v * v) + 0.002:
        return False
    return bool(0 <= x + u <= width - 1 and 0 <= y + v <= height - 1)


def flows(seed: int) -> tuple[Floats, Floats]:
    """Smooth motion there, and back with a part that does not find back."""
    y, x = np.mgrid[:20, :26].astype(np.float32)
    forth = np.stack((1.5 + 0.03 * x, -1 + 0.05 * y), -1)
    forth[5:9, 5:12] += 2
    back = -forth
    back[12:, :9] += np.random.default_rng(seed).normal(0, 1, (8, 9, 2)).astype(np.float32)
    return np.asarray(forth, np.float32), np.asarray(back, np.float32)


def test_seen_places_and_error_are_those_of_the_loops() -> None:
    forth, back = flows(0)
    seen = seen_along(forth, back)
    expected = np.array([[is_seen(forth, back, y, x) for x in range(26)] for y in range(20)])
    assert (seen != expected).sum() <= 2  # cv2 reads between samples in steps of 1/32
    assert 0.2 < seen.mean() < 0.9
    rng = np.random.default_rng(1)
    now, later = (rng.uniform(0, 1, (20, 26, 3)).astype(np.float32) for _ in range(2))
    total = 0.0
    for y, x in zip(*seen.nonzero(), strict=True):
        difference = now[y, x] - read_at(later, y + forth[y, x, 1], x + forth[y, x, 0])
        total += float(difference @ difference)
    assert warp_error(now, later, Ways(forth, seen)) == pytest.approx(total / seen.sum(), rel=0.02)


def test_a_picture_that_moves_along_has_no_error_and_rain_has() -> None:
    whole = texture(90, 120)
    now, later = whole[5:85, 8:108], whole[3:83, 5:105]  # 3 to the right, 2 down
    ways = ways_between(*(np.rint(part).astype(np.uint8) for part in (now, later)))
    assert np.median(ways.forth[ways.seen], axis=0) == pytest.approx((3, 2), abs=0.2)
    dry = warp_error(now, later, ways)
    rainy = now.copy()
    rainy[20:40, 50:52] += 60
    assert warp_error(rainy, later, ways) > 5 * dry
    step = step_between(rainy, later, ways)
    assert step[~ways.seen].max(initial=0) == 0
    assert step[25:35, 50:52].mean() > 40


def test_nothing_seen_is_no_number() -> None:
    picture = np.zeros((4, 5), np.float32)
    assert math.isnan(warp_error(picture, picture, Ways(np.zeros((4, 5, 2), np.float32), np.zeros((4, 5), bool))))


def test_motion_error_is_the_mean_of_both_differences() -> None:
    truth = np.zeros((3, 4, 2), np.float32)
    flow = truth.copy()
    flow[0, 0] = (3, -4)
    flow[2, 1] = (0, 5)
    assert motion_error(truth, flow) == pytest.approx(12 / 12)
