"""What is left of streaks, by hand on pictures made here, whatever the window."""

import math
import weakref

import numpy as np
import numpy.typing as npt
import pytest

from vidrain.evaluation import still
from vidrain.evaluation.still import StillCamera, Streaks, correlation, median_of

FRAMES, HEIGHT, WIDTH = 9, 12, 16
Levels = npt.NDArray[np.float32]


def clip(frames: int = FRAMES) -> tuple[Levels, Levels]:
    """A still scene, and the same with one streak 30 levels high in every frame, each elsewhere."""
    scene = np.tile(np.random.default_rng(0).uniform(40, 120, (HEIGHT, WIDTH)).astype(np.float32), (frames, 1, 1))
    rainy = scene.copy()
    for index in range(frames):
        rainy[index, 2:8, index % WIDTH] += 30
    return scene, rainy


def measure(observed: Levels, background: Levels, window: int = 60, every: int = 1) -> Streaks:
    camera = StillCamera(window)
    for index, (o, b) in enumerate(zip(observed, background, strict=True)):
        camera.look(o, b if index % every == 0 else None)
    return camera.finish()


def test_a_perfect_method_and_one_that_does_nothing() -> None:
    scene, rainy = clip()
    best = measure(rainy, scene)
    assert (best.before, best.after, best.gone) == pytest.approx((30, 0, 1), abs=1e-4)
    idle = measure(rainy, rainy)
    assert (idle.before, idle.after, idle.gone) == pytest.approx((30, 30, 0), abs=1e-4)
    assert measure(rainy, (scene + rainy) / 2).gone == pytest.approx(0.5, abs=1e-5)


def test_flicker_is_that_of_dry_places_against_the_input() -> None:
    scene, rainy = clip()
    wobble = np.linspace(-1, 1, FRAMES, dtype=np.float32)[:, None, None]
    rainy = rainy + wobble
    assert measure(rainy, scene + wobble).flicker == pytest.approx(1, abs=0.2)
    assert measure(rainy, scene + 3 * wobble).flicker == pytest.approx(3, rel=0.2)


def test_what_happens_to_streaks_is_no_flicker() -> None:
    """A method that leaves the streaks of every other frame: B has them, the dry places are as steady as ever."""
    _, rainy = clip()
    rainy = rainy + np.linspace(-1, 1, FRAMES, dtype=np.float32)[:, None, None]
    left = rainy.copy()
    streaks = rainy - np.median(rainy, axis=0) > 15
    for index in range(0, FRAMES, 2):
        left[index][streaks[index]] -= 30
    assert measure(rainy, left).flicker == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("every", [1, 3])
def test_equal_to_the_formulas_on_windows_of_six(every: int) -> None:
    """Sixteen frames: two whole windows, and a rest whose median is that of the last six."""
    rng = np.random.default_rng(3)
    _, rainy = clip(16)
    rainy = rainy + rng.normal(0, 4, rainy.shape).astype(np.float32) + np.arange(16, dtype=np.float32)[:, None, None]
    cleaned = rainy - rng.uniform(0, 12, rainy.shape).astype(np.float32)
    excess: list[tuple[float, float]] = []
    dry: list[tuple[float, float]] = []
    for index in range(0, 16, every):
        first = {0: 0, 1: 6, 2: 10}[index // 6]
        median = np.median(rainy[first : first + 6], axis=0)
        rest: list[tuple[float, float]] = []
        for y in range(HEIGHT):
            for x in range(WIDTH):
                o, b = float(rainy[index, y, x]), float(cleaned[index, y, x])
                if o - median[y, x] > 15:
                    excess.append((o - median[y, x], b - median[y, x]))
                else:
                    rest.append((o, b))
        dry.append((float(np.mean([o for o, _ in rest])), float(np.mean([b for _, b in rest]))))
    found = measure(rainy, cleaned, window=6, every=every)
    before, after = np.mean(excess, axis=0)
    wobble = np.std(dry, axis=0)
    assert found == pytest.approx((before, after, wobble[1] / wobble[0]), rel=1e-4)


def test_a_dry_clip_has_no_excess() -> None:
    scene, _ = clip()
    found = measure(scene, scene)
    assert math.isnan(found.before)
    assert math.isnan(found.flicker)


def test_no_more_than_a_window_is_held() -> None:
    alive: list[weakref.ref[Levels]] = []
    camera, most = StillCamera(5), 0
    for index in range(40):
        frame = np.full((HEIGHT, WIDTH), float(index), np.float32)
        alive.append(weakref.ref(frame))
        camera.look(frame, frame)
        del frame
        most = max(most, sum(one() is not None for one in alive))
    assert most <= 2 * 5 + 1


def test_median_is_that_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(still, "_ROWS", 5)
    frames = np.random.default_rng(1).normal(size=(7, HEIGHT, WIDTH)).astype(np.float32)
    np.testing.assert_array_equal(median_of(list(frames)), np.median(frames, axis=0))


def test_correlation_is_that_of_numpy() -> None:
    rng = np.random.default_rng(2)
    first = rng.normal(size=(HEIGHT, WIDTH)).astype(np.float32)
    second = first + rng.normal(size=first.shape).astype(np.float32)
    assert correlation(first, second) == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1], rel=1e-4)
    assert correlation(first, np.ones_like(first)) == 0
