"""What is left of streaks, by hand on pictures made here, and as a command on a clip."""

from pathlib import Path

import numpy as np
import pytest

from tools.streaks import main, measure
from vidrain.errors import InputError

FRAMES, HEIGHT, WIDTH = 9, 12, 16


def clip() -> tuple[np.ndarray, np.ndarray]:
    """A still scene, and the same with one streak 30 levels high in every frame, each elsewhere."""
    scene = np.tile(np.random.default_rng(0).uniform(40, 120, (HEIGHT, WIDTH)).astype(np.float32), (FRAMES, 1, 1))
    rainy = scene.copy()
    for index in range(FRAMES):
        rainy[index, 2:8, index] += 30
    return scene, rainy


def test_a_perfect_model_and_one_that_does_nothing() -> None:
    scene, rainy = clip()
    best = measure(rainy, scene)
    assert (best.before, best.after, best.removed) == pytest.approx((30, 0, 100), abs=1e-4)
    assert best.correlation < 0.1  # the streaks never meet
    idle = measure(rainy, rainy)
    assert (idle.before, idle.after, idle.removed, idle.correlation) == pytest.approx((30, 30, 0, 0), abs=1e-4)


def test_half_is_half_and_what_stays_correlates() -> None:
    scene, rainy = clip()
    half = measure(rainy, (scene + rainy) / 2)
    assert half.removed == pytest.approx(50, abs=1e-3)
    texture = np.random.default_rng(1).uniform(0, 9, (HEIGHT, WIDTH)).astype(np.float32)
    assert measure(rainy, rainy - texture).correlation == pytest.approx(1, abs=1e-3)


def test_flicker_is_that_of_dry_places_against_the_input() -> None:
    scene, rainy = clip()
    wobble = np.linspace(-1, 1, FRAMES, dtype=np.float32)[:, None, None]
    rainy = rainy + wobble
    assert measure(rainy, scene + wobble).flicker == pytest.approx(1, abs=0.2)
    assert measure(rainy, scene + 3 * wobble).flicker == pytest.approx(3, rel=0.2)


def test_what_happens_to_streaks_is_no_flicker() -> None:
    """A model that leaves the streaks of every other frame: B has them, the dry places are as steady as ever."""
    _, rainy = clip()
    rainy = rainy + np.linspace(-1, 1, FRAMES, dtype=np.float32)[:, None, None]
    left = rainy.copy()
    streaks = rainy - np.median(rainy, axis=0) > 15
    for index in range(0, FRAMES, 2):
        left[index][streaks[index]] -= 30
    assert measure(rainy, left).flicker == pytest.approx(1, abs=1e-3)


def test_a_dry_clip_is_refused() -> None:
    scene, _ = clip()
    with pytest.raises(InputError, match="no place exceeds the median of 9 frames by 15 levels"):
        measure(scene, scene)


def test_the_command(samples: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(samples / "street.mp4"), "--frames", "5", "align.preset=ultrafast"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("| clip | excess of O")
    cells = [cell.strip() for cell in lines[2].split("|")[1:-1]]
    assert cells[0] == "street"
    assert 0 < float(cells[2]) < float(cells[1])
    assert main([str(samples / "none.mp4")]) == 3
