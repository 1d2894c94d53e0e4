"""F_phys: rain that falls, moves and is coherent scores high; scene, noise and blots do not."""

import math

import numpy as np
import numpy.typing as npt
import pytest

from vidrain.evaluation.physics import Physics, block_tensors, coherence_of, flow_fit, physics_of, streak_pixels

HEIGHT, WIDTH = 96, 144
Levels = npt.NDArray[np.float32]


def streaks(seed: int, slant: float = 0.2, count: int = 40) -> Levels:
    """Soft falling streaks of one direction."""
    rng = np.random.default_rng(seed)
    picture = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(count):
        x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT - 20)
        for step in range(20):
            columns = np.arange(WIDTH)
            soft = np.exp(-((columns - x - slant * step) ** 2) / 2) * np.sin(np.pi * (step + 0.5) / 20)
            picture[int(y) + step] = np.maximum(picture[int(y) + step], 40 * soft)
    return picture


def noise(seed: int) -> Levels:
    return np.random.default_rng(seed).normal(0, 10, (HEIGHT, WIDTH)).astype(np.float32)


def test_tensors_are_sums_over_blocks() -> None:
    picture = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    tensors = block_tensors(picture)
    assert tensors.shape == (2, 3, 3)
    down, across = np.gradient(picture.astype(np.float64))
    for row in range(2):
        for column in range(3):
            block = (slice(16 * row, 16 * row + 16), slice(16 * column, 16 * column + 16))
            gx, gy = across[block], down[block]
            assert tensors[row, column] == pytest.approx(((gx * gx).sum(), (gx * gy).sum(), (gy * gy).sum()))
    assert block_tensors(picture[:9, :9]).shape == (1, 1, 3)


def test_coherence_is_that_of_the_eigenvalues() -> None:
    tensors = block_tensors(streaks(0) + noise(1))
    spread = total = 0.0
    for xx, xy, yy in tensors.reshape(-1, 3):
        small, large = np.linalg.eigvalsh([[xx, xy], [xy, yy]])
        spread, total = spread + large - small, total + large + small
    assert coherence_of(tensors) == pytest.approx(spread / total)


def test_a_flow_without_sources_is_found_and_one_with_is_not() -> None:
    """Directions of gradients across streaks that run along circles, or along rays: rays come from a source."""
    y, x = np.mgrid[-4:5, -6:7] + 0.25
    length = np.hypot(x, y)

    def tensors(gx: Levels, gy: Levels) -> npt.NDArray[np.float64]:
        return np.stack((gx * gx, gx * gy, gy * gy), -1)

    ring = flow_fit(tensors(x / length, y / length))  # gradients point outwards, so streaks run around
    rays = flow_fit(tensors(-y / length, x / length))
    straight = flow_fit(tensors(np.full_like(x, 0.6), np.full_like(x, 0.8)))
    assert ring == pytest.approx(1, abs=1e-6)
    assert straight == pytest.approx(1, abs=1e-6)
    assert rays < 0.8
    assert flow_fit(np.stack((np.ones_like(x), np.zeros_like(x), np.ones_like(x)), -1)) == pytest.approx(0, abs=1e-6)
    assert flow_fit(np.zeros((3, 4, 3))) == 0


def test_rain_scores_and_what_is_no_rain_does_not() -> None:
    first, second, none = streaks(1), streaks(2), np.zeros((HEIGHT, WIDTH), np.float32)
    rain = physics_of(first, second, first - second, none)
    assert rain.transience > 0.9
    assert rain.coherence > 0.5
    assert rain.fit > 0.6
    assert rain.recall == 1
    assert rain.score > 0.75
    scene = physics_of(first, first, first - second, none)  # what is removed stays where it is
    assert scene.transience == pytest.approx(0, abs=1e-3)
    blots = physics_of(noise(1), noise(2), first - second, none)
    assert blots.precision < 0.6 < rain.precision
    half = physics_of(first, second, first - second, (first - second) * np.float32(np.arange(WIDTH) < WIDTH // 2))
    assert 0.3 < half.recall < 0.7
    idle = physics_of(none, none, first - second, first - second)
    assert (idle.precision, idle.recall, idle.score) == (0, 0, 0)


def test_the_score_is_the_harmonic_mean() -> None:
    found = Physics(0.5, 0.4, 0.9, 0.6)
    precision = (0.5 * 0.4 * 0.9) ** (1 / 3)
    assert found.score == pytest.approx(2 / (1 / precision + 1 / 0.6))


def test_no_streak_no_score() -> None:
    none = np.zeros((HEIGHT, WIDTH), np.float32)
    assert math.isnan(physics_of(none, none, none, none).score)


def test_streaks_count_on_both_sides_of_the_step() -> None:
    first, second = streaks(1), streaks(2)
    both = streak_pixels(first) + streak_pixels(second)
    assert streak_pixels(first - second) == pytest.approx(both, rel=0.3)
    assert streak_pixels(np.full((HEIGHT, WIDTH), 7.0, np.float32)) == 0
