"""Drops on the glass, the wiper, splashes on the ground, and headlamps."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.rain.camera import Camera, CameraOptions
from vidrain.rain.canvas import Canvas
from vidrain.rain.glass import Glass, GlassOptions, merged
from vidrain.rain.light import headlamps
from vidrain.rain.scene import Weather
from vidrain.rain.splashes import Splashes
from vidrain.rain.wiper import Wiper

CAMERA = Camera((180, 320), CameraOptions(), 1 / 250, 0.0, 1.0)
HEAVY = Weather(rate=50.0, speed=40.0)
SKY = np.full(3, 0.9, np.float32)


def scene() -> np.ndarray:
    """Dark ground, light above."""
    picture = np.full((3, 180, 320), 0.1, np.float32)
    picture[:, :90] = 0.8
    return picture


def test_drops_gather_without_a_wiper_and_are_cleared_by_one() -> None:
    never, wiped = (Glass(CAMERA, HEAVY, GlassOptions(wiper_s=every), 1) for every in (0.0, 3.0))
    counts: dict[str, list[int]] = {"never": [], "wiped": []}
    for _ in range(42):  # 4.2 s: the blade starts at 3 s and is across at 3.6 s
        for name, glass in (("never", never), ("wiped", wiped)):
            glass.step(0.1)
            counts[name].append(len(glass))
    assert counts["wiped"][28] > 50
    assert counts["wiped"][36] < 0.35 * counts["wiped"][28]
    assert counts["never"][-1] > 1.5 * counts["wiped"][-1]


@pytest.mark.parametrize(
    ("camera", "seconds"), [(CAMERA, 600.0), (replace(CAMERA, options=CameraOptions(view=120)), 0.1)]
)
def test_neither_a_gap_in_time_nor_much_glass_takes_memory_without_end(camera: Camera, seconds: float) -> None:
    """Every drop is compared with every other: tens of thousands would be gigabytes."""
    tracemalloc.start()
    glass = Glass(camera, HEAVY, GlassOptions(distance=2.0), 1)
    glass.step(seconds)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 0 < len(glass) <= 700
    assert peak < 300e6


def test_a_drop_shows_the_scene_upside_down_and_the_rest_stays_as_it_is() -> None:
    glass = Glass(CAMERA, Weather(rate=0.0), GlassOptions(wiper_s=0.0), 1)
    assert np.array_equal(glass.before(scene(), SKY), scene())
    glass._drops = np.array([[160.0, 90.0, 20.0, 1.0]])
    seen = glass.before(scene(), SKY)
    assert seen[:, 104, 160].mean() > seen[:, 76, 160].mean() + 0.2  # sky below, ground above
    assert np.array_equal(seen[:, :50], scene()[:, :50])


def test_large_drops_run_down_and_small_ones_stay() -> None:
    glass = Glass(CAMERA, Weather(rate=0.0), GlassOptions(wiper_s=0.0), 1)
    glass._drops = np.array([[100.0, 20.0, 12.0, 1.0], [200.0, 20.0, 2.0, 1.0]])
    for _ in range(50):
        glass.step(0.04)
    small = glass.drops[glass.drops[:, 0] == 200.0]
    assert small[0, 1] == 20.0
    large = glass.drops[glass.drops[:, 2] > 5]
    assert len(large) == 0 or large[0, 1] > 30


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0, 60), st.floats(0.5, 9)), max_size=12))
def test_drops_that_touch_become_one_and_no_water_is_lost(found: list[tuple[float, float, float]]) -> None:
    drops = np.array([(*each, 1.0) for each in found]).reshape(-1, 4)
    kept = merged(drops)
    assert (kept[:, 2] ** 3).sum() == pytest.approx((drops[:, 2] ** 3).sum(), rel=0.2 if len(drops) > 2 else 1e-9)
    assert len(kept) <= len(drops)
    for place, one in enumerate(kept[:, :2]):
        assert any(np.allclose(one, other) for other in drops[:, :2]), place


def test_the_blade_passes_each_place_there_and_back() -> None:
    wiper = Wiper((180, 320), 4.0)
    angle = np.array(np.pi / 2)  # straight up: half way there
    assert float(wiper.since(angle, 4.31)) == pytest.approx(0.01, abs=1e-6)
    assert float(wiper.since(angle, 4.91)) == pytest.approx(0.01, abs=1e-6)
    assert wiper.angle(4.3) == pytest.approx(np.pi / 2)
    assert wiper.angle(6.0) is None
    assert wiper.shade(4.3)[40:140, 158:162].min() > 0.5
    assert wiper.shade(4.3)[:, :100].max() == 0
    assert wiper.film(4.35)[90, 160] > 0.8 > 0.1 > wiper.film(7.0)[90, 160]
    assert not Wiper((180, 320), 0.0).film(1.0).any()


def test_splashes_are_on_the_ground_and_pass() -> None:
    splashes = Splashes(CAMERA, 50.0, 1.0, 1)
    canvas = Canvas(CAMERA.size)
    splashes.draw(canvas, lambda place: np.ones(len(place)))
    depth, _ = canvas.finished()
    assert depth[:90].sum() == 0 < depth[110:].sum()  # the horizon is in the middle
    counts = []
    for _ in range(40):
        splashes.step(0.02, 0.1)
        counts.append(len(splashes))
    assert np.mean(counts) == pytest.approx(len(Splashes(CAMERA, 50.0, 1.0, 2)), rel=0.2)
    half = [len(Splashes(CAMERA, 50.0, 0.5, seed)) for seed in range(5)]
    assert np.mean(half) == pytest.approx(np.mean(counts) / 2, rel=0.1)
    assert len(Splashes(CAMERA, 0.0, 1.0, 1)) == 0
    up = replace(CAMERA, options=CameraOptions(pitch=-60.0))
    assert len(Splashes(up, 50.0, 1.0, 1)) == 0


def test_headlamps_light_what_is_near_and_low_ahead() -> None:
    near, far, high, beside = headlamps(
        np.array([[0, 1.1, 4.0], [0, 1.4, 9.0], [0, -2.0, 4.0], [5.0, 1.1, 4.0]]), CAMERA
    )
    assert near > far > 10 * max(high, beside)
