"""Rain laid over one picture after the other, in linear light: mist, streaks, and what lies before them.

painter = Painter(Setting(camera, weather, AirOptions(), light="day", seed=1))
painted = painter.paint(rgb, seconds=0.04)
rainy = rgb + painted.added
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidrain.rain import light as lights
from vidrain.rain.camera import Camera
from vidrain.rain.canvas import Canvas, softened
from vidrain.rain.mist import AirOptions, Mist
from vidrain.rain.scene import Drops, RainField, Weather
from vidrain.rain.streaks import draw, seen

Picture = npt.NDArray[np.float32]

_CRISP = 1.0  # variance in pixels^2 of the blur by which cameras sharpen


class Painted(NamedTuple):
    """What rain does to one picture.

    added: [3, H, W] float32, to the RGB as stored, 0 where it does nothing; opacity: [H, W] in [0, 1], of streaks;
    transmission: [H, W] in (0, 1], of the mist; counts: what there was, by name.
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
    seed: int


class Painter:
    """Rain as it goes on; one picture at a time, in order."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._field = RainField(setting.camera, setting.weather, setting.seed)
        self._mist = Mist(setting.camera, setting.weather.rate, setting.air.distance, setting.seed)

    def paint(self, rgb: Picture, seconds: float) -> Painted:
        """What rain adds to the upright RGB [3, H, W], nominally in [0, 1], `seconds` after the picture before."""
        if seconds:
            self._field.step(seconds)
            self._mist.step(seconds)
        camera = self._setting.camera
        canvas = Canvas(camera.size)
        drops = self._field.drops()
        streaks = seen(drops, camera)
        draw(streaks, camera, np.ones(len(streaks)), canvas)
        depth, glow = canvas.finished()
        scene = lights.to_linear(rgb)
        shown, brightest = self._shown(scene)
        transmission = self._mist.transmission()
        rainy = laid_over(scene, depth, glow, shown)
        if transmission is not None:
            misty = np.asarray(scene * transmission + np.minimum(shown, brightest) * (1 - transmission), np.float32)
            rainy = laid_over(misty, depth, glow, shown)
        rainy = np.minimum(rainy, np.maximum(scene, 1))  # as a sensor does
        added = sharpened(lights.to_codes(rainy) - lights.to_codes(scene), camera.options.sharpening)
        return Painted(
            added=added,
            opacity=1 - np.exp(-depth),
            transmission=np.ones(camera.size, np.float32) if transmission is None else transmission,
            counts={
                "drops": int(_in_view(drops, camera).sum()),
                "streaks": len(streaks),
                "wind": round(self._field.wind, 3),
            },
        )

    def _shown(self, scene: Picture) -> tuple[Picture, float]:
        """What drops show before each pixel, [3, H, W], and the brightest that the camera shows of the scene."""
        small, size = lights.coarse(scene), self._setting.camera.size
        brightest = float(np.percentile(np.tensordot(lights.LUMA, small, 1), lights.BRIGHTEST))
        if self._setting.light == "night":
            return lights.shown_by_night(small, lights.coarse(lights.lamps_in(scene)), size), brightest
        return lights.shown_by_day(small, lights.sky_of(small, self._setting.air.sky), size), brightest


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
