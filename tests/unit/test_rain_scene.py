"""The field of rain: as many drops as the law says, wherever, for as long as it rains; and every drop goes its way."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrain.rain.camera import Camera, CameraOptions
from vidrain.rain.drops import count_per_m3, rate_of
from vidrain.rain.scene import Drops, RainField, Weather
from vidrain.rain.wind import wandered

HIGH = CameraOptions(height=1000.0)  # no ground in sight
CAMERA = Camera((360, 640), HIGH, 1 / 250, 0.0, 0.3)
BLOWN = Weather(rate=25.0, wind=4.0, gusts=2.0, speed=40.0)


def after(weather: Weather, steps: int, seed: int, camera: Camera = CAMERA) -> RainField:
    field = RainField(camera, weather, seed)
    for _ in range(steps):
        field.step(1 / 25)
    return field


def in_view(drops: Drops, camera: Camera) -> Drops:
    return drops.only(camera.sees(drops.place) & (drops.place[:, 2] < camera.farthest(drops.diameter)))


def expected_count(rate: float, camera: Camera) -> float:
    """The integral of the law over sizes, each over the part of the view where it is seen."""
    edges = np.linspace(0.5, 6, 1101)
    volumes = [camera.frustum_m3(camera.nearest, max(float(camera.farthest(d)), camera.nearest)) for d in edges[1:]]
    counts = [count_per_m3(rate, least, most) for least, most in pairwise(edges)]
    return float(np.dot(counts, volumes))


@pytest.mark.parametrize("steps", [0, 25])
@pytest.mark.parametrize("weather", [Weather(rate=5.0), Weather(rate=25.0), BLOWN], ids=["5", "25", "blown"])
def test_as_many_drops_as_the_law_says_and_the_rate_is_found_again(weather: Weather, steps: int) -> None:
    views = [in_view(after(weather, steps, seed).drops(), CAMERA) for seed in range(4)]
    counts = [len(view) for view in views]
    assert np.mean(counts) == pytest.approx(expected_count(weather.rate, CAMERA), rel=0.05)
    found = [
        rate_of(view.diameter, CAMERA.frustum_m3(0, 1) * (CAMERA.farthest(view.diameter) ** 3 - 0.3**3))
        for view in views
    ]
    assert np.mean(found) == pytest.approx(weather.rate, rel=0.2)


def test_drops_stay_evenly_spread() -> None:
    """Over the width, the height and the depth (by volume) of the view, after a second of gusts and driving."""
    views = [in_view(after(BLOWN, 25, seed).drops(), CAMERA) for seed in range(4)]
    shares = []
    for view in views:
        x, y = (CAMERA.project(view.place) / (640, 360)).T
        volume = (view.place[:, 2] ** 3 - 0.3**3) / (CAMERA.farthest(view.diameter) ** 3 - 0.3**3)
        shares.append([np.histogram(part, 5, (0, 1))[0] / len(view) for part in (x, y, volume)])
    assert np.abs(np.mean(shares, axis=0) - 0.2).max() < 0.012


@pytest.mark.parametrize("seconds", [1 / 30, 0.5])
def test_a_drop_is_where_its_speed_took_it(seconds: float) -> None:
    field = after(BLOWN, 3, 1)
    before = field.drops()
    field.step(seconds)
    now = field.drops()
    _, old, new = np.intersect1d(before.serial, now.serial, return_indices=True)
    assert len(old) > (0.5 if seconds < 0.1 else 0.0) * len(before)
    assert np.abs(before.place[old] + before.velocity[old] * seconds - now.place[new]).max() < 1e-9
    assert np.array_equal(before.diameter[old], now.diameter[new])
    assert len(np.unique(now.serial)) == len(now)
    assert now.serial[np.isin(now.serial, before.serial, invert=True)].min() > before.serial.max()


def test_velocities_are_those_of_fall_wind_and_camera() -> None:
    still = RainField(CAMERA, Weather(rate=10.0), 1).drops()
    blown = RainField(CAMERA, Weather(rate=10.0, wind=3.0, speed=36.0), 1).drops()
    assert still.velocity[:, 1].min() > 0
    assert np.abs(still.velocity[:, [0, 2]]).mean() < 0.1 * still.velocity[:, 1].mean()
    assert blown.velocity.mean(axis=0) - still.velocity.mean(axis=0) == pytest.approx([3, 0, -10], abs=0.1)
    down = Camera((360, 640), CameraOptions(pitch=90.0), 1 / 250, 0.0, 0.3)
    assert RainField(down, Weather(rate=10.0), 1).drops().velocity[:, 2].min() > 0


def test_gusts_blow_all_drops_and_pass() -> None:
    tiny = Camera((8, 8), HIGH, 1 / 250, 0.0, 0.3)
    winds = [after(Weather(rate=1.0, wind=1.0, gusts=2.0), 5, seed, tiny).wind for seed in range(200)]
    assert (np.mean(winds), np.std(winds)) == (pytest.approx(1.0, abs=0.5), pytest.approx(2.0, rel=0.2))


def test_a_seed_is_one_rain() -> None:
    first, again, other = (after(BLOWN, 5, seed).drops() for seed in (1, 1, 2))
    assert np.array_equal(first.place, again.place)
    assert not np.array_equal(first.place[:100], other.place[:100])


@settings(max_examples=40)
@given(st.integers(2, 200), st.integers(2, 200), st.floats(0, 200), st.floats(0, 5))
def test_any_size_rate_and_step(height: int, width: int, rate: float, seconds: float) -> None:
    camera = Camera((height, width), CameraOptions(), 1 / 60, 1 / 60, 0.3)
    field = RainField(camera, Weather(rate=rate, wind=-5.0, gusts=1.0, speed=20.0), 3)
    count = len(field.drops())
    field.step(seconds)
    drops = field.drops()
    assert len(drops) == count
    assert np.isfinite(drops.place).all() and np.isfinite(drops.velocity).all()
    assert (drops.place[:, 2] >= 0).all()


@given(st.floats(0.01, 5), st.floats(0.01, 5))
def test_wandering_keeps_its_spread(memory: float, seconds: float) -> None:
    random = np.random.default_rng(1)
    now = 2.0 * random.standard_normal(20_000)
    later = wandered(now, 2.0, memory, seconds, random.standard_normal(20_000))
    assert later.std() == pytest.approx(2.0, rel=0.03)
    assert np.corrcoef(now, later)[0, 1] == pytest.approx(np.exp(-seconds / memory), abs=0.03)
