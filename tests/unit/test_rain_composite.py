"""Rain over pictures: linear light, what drops show by day and by night, and that nothing happens where it is dry."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from vidrain.errors import UsageError
from vidrain.rain import light
from vidrain.rain.composite import Painted, Painter, laid_over
from vidrain.rain.plan import RainOptions, setting_of

SIZE = (120, 160)
CODES = st.floats(-0.5, 1.5, width=32)


def picture(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.1, 0.6, (3, *size)).astype(np.float32)


def painted(rgb: np.ndarray, frames: int = 3, **options: object) -> list[Painted]:
    painter = Painter(setting_of(RainOptions(**options), rgb.shape[1:]))  # type: ignore[arg-type]
    return [painter.paint(rgb, 0.04 if number else 0.0) for number in range(frames)]


@given(st.lists(CODES, min_size=1, max_size=9))
def test_linear_light_and_back(values: list[float]) -> None:
    codes = np.array(values, np.float32)
    linear = light.to_linear(codes)
    assert linear == pytest.approx([reference.linear(float(value)) for value in codes], rel=1e-5, abs=1e-7)
    assert light.to_codes(linear) == pytest.approx(codes, rel=1e-5, abs=1e-6)


@given(CODES, st.just(0.0) | st.floats(1e-4, 3), st.floats(0, 2), st.floats(0, 4))
def test_streaks_are_laid_on_in_linear_light(code: float, depth: float, bright: float, shown: float) -> None:
    one = lambda value: np.full((1, 1), value, np.float32)  # noqa: E731
    scene = light.to_linear(np.full((3, 1, 1), code, np.float32))
    glow = np.float32(depth) * np.float32(bright)
    found = light.to_codes(laid_over(scene, one(depth), one(glow), np.full((3, 1, 1), shown, np.float32)))
    assert found[0, 0, 0] == pytest.approx(reference.rained(code, depth, bright, shown), rel=1e-3, abs=1e-3)


def test_no_rain_adds_nothing_at_all() -> None:
    assert all((each.added == 0).all() for each in painted(picture(), rate=0.0))


def test_without_mist_only_streaks_change_the_picture() -> None:
    options = RainOptions(rate=10.0)
    painter = Painter(setting_of(replace(options, air=replace(options.air, distance=0.0)), SIZE))
    found = painter.paint(picture(), 0.0)
    far = found.opacity == 0
    assert (found.transmission == 1).all()
    assert 0.05 < far.mean() < 0.99
    apart = far & ~np.any([np.roll(~far, (dy, dx), (0, 1)) for dy in range(-4, 5) for dx in range(-4, 5)], axis=0)
    assert (found.added[:, apart] == 0).all()


def test_more_rain_more_of_everything() -> None:
    light_rain, heavy = (painted(picture(), rate=rate)[-1] for rate in (5.0, 100.0))
    assert heavy.counts["streaks"] > 2 * light_rain.counts["streaks"]
    assert heavy.opacity.mean() > 2 * light_rain.opacity.mean()
    assert heavy.transmission.mean() < light_rain.transmission.mean() < 1


def test_longer_exposure_makes_streaks_fade() -> None:
    short, long = (painted(picture(), rate=25.0, exposure=exposure)[-1] for exposure in ("1/1000", "1/60"))
    assert np.quantile(short.opacity, 0.999) > 2 * np.quantile(long.opacity, 0.999)
    assert short.opacity.mean() == pytest.approx(long.opacity.mean(), rel=0.3)


def test_by_day_rain_is_brighter_than_ground_and_not_than_a_burnt_out_sky() -> None:
    rgb = np.full((3, *SIZE), 0.3, np.float32)
    rgb[:, :40] = 1.0
    added = painted(rgb, rate=100.0)[-1].added
    assert added[:, 60:].mean() > 0.01
    assert added[:, :30].max() < 0.02


def test_a_sky_that_is_seen_is_believed_and_one_that_is_not_is_brighter_than_the_ground() -> None:
    ground = np.full((3, 40, 60), 0.1, np.float32)
    under_sky, burnt_out = ground.copy(), ground.copy()
    under_sky[:, :20], burnt_out[:, :20] = 0.3, 1.0
    found = [float(light.luma_of(light.sky_of(each, 10.0))) for each in (ground, under_sky, burnt_out)]
    assert found == pytest.approx([1.0, 0.6, 1.0], rel=0.01)
    assert float(light.luma_of(light.sky_of(ground * 9, 10.0))) == pytest.approx(6.0, rel=0.01)  # of white, the most


def test_by_night_rain_is_seen_near_lamps_alone() -> None:
    rgb = np.full((3, *SIZE), 0.05, np.float32)
    rgb[:, 55:65, 20:26] = 1.0
    added = painted(rgb, rate=100.0, light="night", exposure="1/125")[-1].added
    beside = added[:, 40:80, 30:50].mean()
    assert beside > 10 * max(added[:, 40:80, 120:].mean(), 0)
    assert beside > 0.002


def test_the_same_seed_gives_the_same_pictures_whatever_came_before() -> None:
    first, again, other = (painted(picture(), rate=30.0, gusts=2.0, seed=seed) for seed in (5, 5, 6))
    assert all(np.array_equal(a.added, b.added) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0].added, other[0].added)


@settings(max_examples=30)
@given(st.integers(2, 70), st.integers(2, 70), st.floats(0, 200), st.sampled_from(["day", "night"]))
def test_any_picture_stays_a_picture(height: int, width: int, rate: float, kind: light.Light) -> None:
    rgb = picture(1, (height, width)) * 1.7 - 0.2
    for each in painted(rgb, 2, rate=rate, light=kind, speed=30.0, rolling_shutter="1/100"):
        assert each.added.shape == rgb.shape and np.isfinite(each.added).all()
        assert ((each.opacity >= 0) & (each.opacity <= 1)).all()
        assert ((each.transmission > 0) & (each.transmission <= 1)).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rate": -1.0}, "rate=-1.0: allowed: 0 to 200"),
        ({"rate": float("nan")}, "rate=nan"),
        ({"exposure": "0"}, "exposure=0: allowed: seconds"),
        ({"exposure": "fast"}, "exposure=fast"),
        ({"exposure": "1/0"}, "exposure=1/0"),
        ({"exposure": "1e-999999999"}, "exposure=1e-999999999"),
        ({"light": "dusk"}, "light=dusk: allowed: day, night"),
        ({"rolling_shutter": "-1"}, "rolling_shutter=-1"),
        ({"speed": 1e9}, "speed=1000000000.0"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_what_is_out_of_bounds_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as raised:
        setting_of(RainOptions(**options), SIZE)  # type: ignore[arg-type]
    assert said in str(raised.value)
