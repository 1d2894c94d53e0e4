"""What a drop leaves on the picture: the law of exposure, where a driving camera looks to, and how soft dots are."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vidrain.rain.camera import Camera, CameraOptions
from vidrain.rain.canvas import Canvas, enlarged, softened
from vidrain.rain.scene import Drops, RainField, Weather
from vidrain.rain.streaks import draw, seen

SHARP = CameraOptions(height=1000.0, aperture=1e6)
CAMERA = Camera((300, 400), SHARP, 1 / 250, 0.0, 0.3)


def drop(diameter: float, place: tuple[float, float, float], velocity: tuple[float, float, float]) -> Drops:
    return Drops(np.array([place]), np.array([velocity]), np.array([diameter]), np.zeros(1, np.int64), np.full(1, 0.25))


def drawn(drops: Drops, camera: Camera) -> np.ndarray:
    canvas = Canvas(camera.size)
    streaks = seen(drops, camera)
    draw(streaks, camera, np.ones(len(streaks)), canvas)
    return canvas.finished()[0]


@pytest.mark.parametrize("far", [0.5, 1.0])
def test_law_of_exposure(far: float) -> None:
    """Twice the exposure: a streak twice as long, of half the opacity, d / (L + d), that takes as much light."""
    found = []
    for exposure in (1 / 500, 1 / 250, 1 / 125):
        camera = replace(CAMERA, exposure=exposure)
        fallen = 8.0 * exposure
        picture = drawn(drop(4.0, (0.0, -fallen / 2, far), (0.0, 8.0, 0.0)), camera)
        width, length = camera.focal_px * 4e-3 / far, camera.focal_px * fallen / far
        assert picture.sum() == pytest.approx(np.pi / 4 * width**2, rel=0.01)
        rows = np.flatnonzero(picture.sum(axis=1) > picture.sum(axis=1).max() / 2)
        assert len(rows) == pytest.approx(length, abs=2)
        across = picture[rows[0] + 1 : rows[-1]].sum(axis=1).mean()  # opacity over the width of the streak
        assert across / (width * np.pi / 4) == pytest.approx(width / length, rel=0.05)
        found.append((len(rows), across))
    assert found[2][0] / found[0][0] == pytest.approx(4, rel=0.1)
    assert found[0][1] / found[2][1] == pytest.approx(4, rel=0.05)


def test_out_of_focus_takes_as_much_light_over_more_of_the_picture() -> None:
    near = drop(3.0, (0.0, 0.0, 0.5), (0.0, 7.0, 0.0))
    sharp, soft = drawn(near, CAMERA), drawn(near, replace(CAMERA, options=CameraOptions(height=1000.0, aperture=0.2)))
    assert soft.sum() == pytest.approx(sharp.sum(), rel=0.02)
    assert soft.max() < 0.7 * sharp.max()


def test_many_long_streaks_are_drawn_in_portions_and_take_no_more_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """All points of heavy rain at a long exposure, held at once, are gigabytes."""
    camera = replace(CAMERA, exposure=1 / 15)
    streaks = seen(RainField(camera, Weather(rate=60.0), 1).drops(), camera)
    pictures, peaks = [], []
    for at_once in (10**9, 50_000):
        monkeypatch.setattr("vidrain.rain.streaks._AT_ONCE", at_once)
        canvas = Canvas(camera.size)
        tracemalloc.start()
        draw(streaks, camera, np.linspace(0.5, 2, len(streaks)), canvas)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        pictures.append(canvas.finished())
    for whole, portions in zip(*pictures, strict=True):
        assert np.allclose(portions, whole, rtol=1e-5, atol=1e-7)
    assert peaks[1] < peaks[0] / 4


def test_a_driving_camera_sees_streaks_radiate_from_where_it_drives() -> None:
    camera = replace(CAMERA, exposure=1 / 60)
    streaks = seen(RainField(camera, Weather(rate=20.0, wind=2.0, speed=60.0), 1).drops(), camera)
    begin, end = (camera.project(streaks.place(moment)) for moment in (streaks.begin, streaks.end))
    centre = camera.project(streaks.drops.velocity)  # of expansion: where its direction meets the picture
    way, out = end - begin, begin - centre
    assert len(streaks) > 300
    apart = np.abs(way[:, 0] * out[:, 1] - way[:, 1] * out[:, 0]) / np.linalg.norm(out, axis=1)
    assert apart.max() < 1e-6
    assert ((way * out).sum(axis=1) > 0).all()
    assert np.median(centre[:, 1]) < 150  # above the middle: rain falls as well
    still = seen(RainField(camera, Weather(rate=20.0), 1).drops(), camera)
    ways = camera.project(still.place(still.end)) - camera.project(still.place(still.begin))
    assert np.abs(ways[:, 0]).mean() < 0.3 * np.abs(ways[:, 1]).mean()


def test_rolling_shutter_follows_a_falling_drop_and_leans_a_crossing_one() -> None:
    """At u rows a second, rows being read at H / r, the drop is exposed 1 / (1 - u r / H) times as long."""
    rolling = replace(CAMERA, readout=1 / 60)
    fast = drop(2.0, (0.0, -0.1, 1.0), (0.0, 8.0, 0.0))
    still, read = seen(fast, CAMERA), seen(fast, rolling)
    speed = CAMERA.focal_px * 8.0 / 1.0
    assert (read.end - read.begin) / (still.end - still.begin) == pytest.approx(1 / (1 - speed / 60 / 300), rel=0.01)
    assert read.begin[0] > 0
    low, high = (seen(drop(2.0, (0.0, y, 1.0), (8.0, 0.0, 0.0)), rolling) for y in (0.3, -0.3))
    rows = [CAMERA.project(each.place(each.begin))[0, 1] for each in (low, high)]
    assert low.begin[0] - high.begin[0] == pytest.approx((rows[0] - rows[1]) / 300 / 60)


def test_what_lies_below_the_ground_or_beside_the_picture_is_not_in_view() -> None:
    low = replace(CAMERA, options=CameraOptions(height=0.5))
    places = np.array([[0, 0.4, 3.0], [0, 0.6, 3.0], [0, 0, 0.2], [3.0, 0, 3.0], [0, 0, -3.0]])
    assert low.sees(places).tolist() == [True, False, False, False, False]
    assert CAMERA.sees(places).tolist() == [True, True, False, False, False]


def test_drops_end_at_the_ground_and_at_the_nearest_plane() -> None:
    low = replace(CAMERA, options=CameraOptions(height=0.5, aperture=1e6))
    assert len(seen(drop(4.0, (0.0, 0.51, 2.0), (0.0, 8.0, 0.0)), low)) == 0
    landing = seen(drop(4.0, (0.0, 0.49, 2.0), (0.0, 8.0, 0.0)), low)
    assert landing.end[0] == pytest.approx(0.01 / 8)
    assert len(seen(drop(4.0, (0.0, 0.0, 0.29), (0.0, 8.0, 0.0)), low)) == 0
    assert len(seen(drop(0.6, (0.0, 0.0, 3.0), (0.0, 8.0, 0.0)), low)) == 0  # too fine: mist


@settings(max_examples=60)
@given(st.floats(0.17, 80), st.floats(60, 340), st.floats(60, 240))
def test_a_dot_has_the_softness_that_was_asked_for(variance: float, x: float, y: float) -> None:
    canvas = Canvas((300, 400))
    level = canvas.levels(np.array([variance]))
    canvas.add(np.array([[x, y]]), np.array([2.0]), np.array([0.5]), level)
    depth, glow = canvas.finished()
    assert depth.sum() == pytest.approx(2.0, rel=0.01)
    assert np.allclose(glow, depth / 2, atol=1e-6)
    columns = np.arange(400) + 0.5
    along = depth.sum(axis=0) / depth.sum()
    mean = float((along * columns).sum())
    assert mean == pytest.approx(x, abs=0.1)
    spread = float((along * (columns - mean) ** 2).sum())
    assert spread == pytest.approx(variance, rel=0.15, abs=0.18)  # by where it lies among the pixels


def test_dots_beside_the_picture_reach_in_and_far_ones_do_no_harm() -> None:
    canvas = Canvas((40, 50))
    place = np.array([[-4.0, 20.0], [1e7, -1e7], [51.0, 41.0]])
    canvas.add(place, np.ones(3), np.ones(3), canvas.levels(np.array([20.0, 1.0, 60.0])))
    depth, _ = canvas.finished()
    assert 0 < depth.sum() < 2
    assert depth[20, 0] > depth[20, 10]


@given(st.floats(0.01, 9))
def test_softened_is_a_gaussian(variance: float) -> None:
    dot = np.zeros((61, 61), np.float32)
    dot[30, 30] = 1
    soft = softened(dot, variance)
    offsets = np.arange(-30, 31)
    assert soft.sum() == pytest.approx(1, rel=1e-4)
    assert float((soft.sum(axis=0) * offsets**2).sum()) == pytest.approx(variance, rel=0.06)
    assert np.array_equal(soft, soft.T) or np.abs(soft - soft.T).max() < 1e-7
    assert softened(np.full((5, 7), 3, np.float32), variance) == pytest.approx(np.full((5, 7), 3), rel=1e-5)


def test_enlarged_blends_between_the_middles_of_cells() -> None:
    ramp = np.arange(5, dtype=np.float32) * np.ones((4, 1), np.float32)
    wide = enlarged(ramp, 8, (32, 40))
    assert wide[0, 4:36] == pytest.approx((np.arange(4, 36) + 0.5) / 8 - 0.5, abs=1e-6)
    assert enlarged(ramp, 8, (8, 8), (8, 16))[0] == pytest.approx(wide[0, 16:24])
