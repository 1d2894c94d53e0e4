"""Rain laid over one picture after the other, in linear light: mist, streaks, and what lies before them.

painter = Painter(Setting(camera, weather, AirOptions(), light="day", glass=None, seed=1))
painted = painter.paint(rgb, seconds=0.04)
rainy = rgb + painted.added
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidrain.rain import light as lights
from vidrain.rain.camera import Camera
from vidrain.rain.canvas import Canvas, softened
from vidrain.rain.glass import Glass, GlassOptions
from vidrain.rain.mist import AirOptions, Mist
from vidrain.rain.scene import Drops, RainField, Weather
from vidrain.rain.splashes import Splashes
from vidrain.rain.streaks import draw, seen

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

_CRISP = 1.0  # variance in pixels^2 of the blur by which cameras sharpen


class Painted(NamedTuple):
    """What rain does to one picture.

    added: [3, H, W] float32, to the RGB as stored, 0 where it does nothing; opacity: [H, W] in [0, 1], of streaks and
    splashes; transmission: [H, W] in (0, 1], of the mist; counts: what there was, by name.
    """

    added: Picture
    opacity: Picture
    transmission: Picture
    counts: dict[str, int | float]


@dataclass(frozen=True)
class Setting:
    """What does not change from frame to frame."""

    camera: Camera
    weather: Weather
    air: AirOptions
    light: lights.Light
    glass: GlassOptions | None  # None: no glass before the camera
    seed: int


class Painter:
    """Rain as it goes on; one picture at a time, in order."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._field = RainField(setting.camera, setting.weather, setting.seed)
        self._mist = Mist(setting.camera, setting.weather.rate, setting.air.distance, setting.seed)
        self._splashes = Splashes(setting.camera, setting.weather.rate, setting.air.splashes, setting.seed)
        glass = setting.glass
        self._glass = Glass(setting.camera, setting.weather, glass, setting.seed) if glass else None

    def paint(self, rgb: Picture, seconds: float) -> Painted:
        """What rain adds to the upright RGB [3, H, W], nominally in [0, 1], `seconds` after the picture before."""
        if seconds:
            self._step(seconds)
        camera = self._setting.camera
        canvas = Canvas(camera.size)
        drops = self._field.drops()
        streaks = seen(drops, camera)
        scene = lights.to_linear(rgb)
        shown, sky, brightest = self._shown(scene)
        bright, beside = _brightness(self._setting, shown)
        draw(streaks, camera, bright(streaks.place((streaks.begin + streaks.end) / 2)), canvas)
        self._splashes.draw(canvas, bright)
        depth, glow = canvas.finished()
        transmission = self._mist.transmission()
        behind = scene
        if transmission is not None:
            behind = np.asarray(scene * transmission + np.minimum(shown, brightest) * (1 - transmission), np.float32)
        rainy = laid_over(behind, depth, glow, beside)
        if self._glass is not None:
            rainy = self._glass.before(rainy, sky)
        rainy = np.minimum(rainy, np.maximum(scene, 1))  # as a sensor does
        added = sharpened(lights.to_codes(rainy) - lights.to_codes(scene), camera.options.sharpening)
        return Painted(
            added=added,
            opacity=1 - np.exp(-depth),
            transmission=np.ones(camera.size, np.float32) if transmission is None else transmission,
            counts={
                "drops": int(_in_view(drops, camera).sum()),
                "streaks": len(streaks),
                "splashes": len(self._splashes),
                "glass": len(self._glass) if self._glass else 0,
                "wind": round(self._field.wind, 3),
            },
        )

    def _step(self, seconds: float) -> None:
        self._field.step(seconds)
        self._mist.step(seconds)
        self._splashes.step(seconds, self._setting.weather.speed / 3.6 * seconds)
        if self._glass is not None:
            self._glass.step(seconds)

    def _shown(self, scene: Picture) -> tuple[Picture, Picture, float]:
        """What drops show before each pixel, [3, H, W]; the sky, [3]; the brightest that the camera shows."""
        small, size = lights.coarse(scene), self._setting.camera.size
        brightest = float(np.percentile(lights.luma_of(small), lights.BRIGHTEST))
        if self._setting.light == "night":
            shown = lights.shown_by_night(small, lights.coarse(lights.lamps_in(scene)), size)
            return shown, small[:, 0].mean(axis=1), brightest
        sky = lights.sky_of(small, self._setting.air.sky)
        above = sky * min(1.0, brightest / max(float(lights.luma_of(sky)), 1e-6))  # no brighter than what is seen
        return lights.shown_by_day(small, sky, size), np.asarray(above, np.float32), brightest


def _brightness(setting: Setting, shown: Picture) -> tuple[Callable[[Floats], Floats], Picture]:
    """How bright water is at places [N, 3], and beside what, [3, H, W].

    By day beside all that drops show; by night lamps in the picture and headlamps add up, and only the colour is left.
    """
    if setting.light == "day":
        return lambda place: np.ones(len(place)), shown
    camera = setting.camera
    luma = lights.luma_of(shown)

    def bright(place: Floats) -> Floats:
        height, width = camera.size
        columns, rows = np.clip(camera.project(place), 0, (width - 1, height - 1)).astype(np.int64).T
        own = lights.headlamps(place, camera) if camera.options.headlamps else 0.0
        return np.asarray(luma[rows, columns] + own, np.float64)

    return bright, np.asarray(shown / np.maximum(luma, 1e-6), np.float32)


def _in_view(drops: Drops, camera: Camera) -> npt.NDArray[np.bool_]:
    """Which drops are seen at this moment and near enough to be more than mist."""
    return np.asarray(camera.sees(drops.place) & (drops.place[:, 2] < camera.farthest(drops.diameter)))


def sharpened(added: Picture, share: float) -> Picture:
    """What was added to stored RGB [3, H, W] as cameras make it crisper; the scene has been through that already."""
    return added + np.float32(share) * (added - softened(added, _CRISP)) if share else added


def laid_over(scene: Picture, depth: Picture, glow: Picture, shown: Picture) -> Picture:
    """Streaks over linear light: scene e^-depth + shown (1 - e^-depth), times the brightness glow / depth."""
    left = np.exp(-depth)
    brightness = np.divide(glow, depth, out=np.zeros_like(glow), where=depth > 1e-12)
    return np.asarray(scene * left + shown * ((1 - left) * brightness), np.float32)
