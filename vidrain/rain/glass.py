"""Drops on the glass before the camera: they arrive, grow together, slide in jerks, leave beads, and are wiped away.

Each is a lens that shows the scene upside down and small. Nearer than the focus, so soft at the edge.

    glass = Glass(camera, weather, GlassOptions(), seed=1)
    glass.step(1 / 25)
    picture = glass.before(picture, sky)
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidrain.rain.camera import Camera
from vidrain.rain.canvas import softened
from vidrain.rain.drops import count_per_m3, drawn_diameters
from vidrain.rain.light import coarse
from vidrain.rain.scene import Weather
from vidrain.rain.wiper import Wiper

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

_LEAST_MM, _MOST_MM = 0.5, 6.0  # drops that stick
_SPREAD = 0.8  # contact radius over diameter
_LARGEST_MM = 3.0  # contact radius from which on a drop slides
_MOST = 700  # drops; more have grown together or run off
_MOST_NEW = 2 * _MOST  # in one step, which may be minutes long: each is compared with every other
_STRAYING = 1.0  # m/s at which drops meet the glass of a camera at rest
_FLATTEST = 0.55  # height over breadth
_SHOWN = 0.9  # of the picture's width that a drop shows
_UPWARDS = 0.45  # of what it shows that the slope of the glass turns it up: most of a drop is sky, its top is road
_CLEAR = 0.95  # of the light that comes through
_CELL = 8  # pixels; what a drop shows is small, so it is taken from a coarse picture
_SOFTNESSES = (1.0, 3.0, 9.0)  # standard deviations in cells of what drops show: as soft as their edges
_FILM = 3.0  # variance in pixels^2 of what looks through the film of a wiper


@dataclass(frozen=True, kw_only=True)
class GlassOptions:
    """What a user can say of the glass. `configs/rain.yaml` explains every key."""

    distance: float = 0.25  # metres before the camera
    wiper_s: float = 4.0  # from one stroke to the next; 0: no wiper


class Glass:
    """All drops on the glass."""

    def __init__(self, camera: Camera, weather: Weather, options: GlassOptions, seed: int) -> None:
        self._camera, self._weather = camera, weather
        self._random = np.random.default_rng([seed, 3])
        self._per_mm = camera.focal_px / options.distance / 1000  # pixels on the glass
        self._soft = max(0.7, float(camera.blur_px(np.array(options.distance))) / 2)
        self._wiper = Wiper(camera.size, options.wiper_s)
        self._now = 0.0
        self._drops = np.zeros((0, 4))
        self._arrive(1.0)

    def __len__(self) -> int:
        return len(self._drops)

    @property
    def drops(self) -> Floats:
        """x, y, contact radius (pixels) and height over breadth of every drop, [D, 4]."""
        return self._drops

    def step(self, seconds: float) -> None:
        """Move on."""
        self._now += seconds
        self._slide(seconds)
        self._arrive(seconds)
        self._drops = merged(self._drops)[:_MOST]
        angle, reach = self._wiper.polar(self._drops[:, 0], self._drops[:, 1])
        wiped = (self._wiper.since(angle, self._now) < seconds) & (reach < 1)
        height = self._camera.size[0]
        self._drops = self._drops[~wiped & (self._drops[:, 1] < height + self._drops[:, 2])]

    def before(self, picture: Picture, sky: Picture) -> Picture:
        """Linear light [3, H, W] seen through the glass. sky: [3], what lies above the picture and shows in drops."""
        seen = picture.copy()
        film = self._wiper.film(self._now)
        if film.max() > 0.01:
            seen += film * (softened(picture, _FILM) - picture)
        small = coarse(picture, _CELL)
        above = np.broadcast_to(sky[:, None, None], small.shape)
        tall = np.concatenate([above, small], axis=1).astype(np.float32)
        shown = [softened(tall, sigma**2) for sigma in _SOFTNESSES]
        for drop in self._drops[::-1]:  # large ones over small ones
            self._lay(seen, shown, drop)
        return np.asarray(seen * (1 - self._wiper.shade(self._now)), np.float32)

    def _lay(self, seen: Picture, shown: list[Picture], drop: Floats) -> None:
        """One drop. shown: the scene under sky, more and more softened."""
        x, y, radius, flat = (float(each) for each in drop)
        height, width = self._camera.size
        reach = radius + self._soft
        rows = slice(max(0, int(y - reach)), min(height, int(y + reach) + 2))
        columns = slice(max(0, int(x - reach)), min(width, int(x + reach) + 2))
        across = np.arange(columns.start, max(columns.stop, columns.start)) + 0.5 - x
        down = np.arange(rows.start, max(rows.stop, rows.start))[:, None] + 0.5 - y
        out = np.hypot(across, down / flat)
        mask = np.clip((radius + self._soft - out) / (2 * self._soft), 0, 1)
        if not mask.size:
            return
        turn = _SHOWN * width / 2 / max(radius, 1.0)
        blur = turn * self._soft / 3 / _CELL
        tall = shown[int(np.searchsorted(_SOFTNESSES[:-1], blur))]
        up = _UPWARDS * _SHOWN * width / 2 * flat
        at_x = np.clip((x - turn * across) / _CELL, 0, tall.shape[2] - 1).astype(np.int64)
        at_y = np.clip((y - up - turn * down + height) / _CELL, 0, tall.shape[1] - 1).astype(np.int64)
        rim = 1 - 0.5 * np.clip(out / (radius + self._soft), 0, 1) ** 4  # there light is mirrored away
        through = _CLEAR * tall[:, at_y, at_x] * rim
        here = seen[:, rows, columns]
        here += np.asarray(mask * (through - here), np.float32)

    def _arrive(self, seconds: float) -> None:
        """New drops, anywhere."""
        height, width = self._camera.size
        area = height * width / (self._per_mm * 1000) ** 2
        met = _STRAYING + 0.3 * self._weather.speed / 3.6  # the slope of a windscreen throws most off
        rate = self._weather.rate
        due = int(self._random.poisson(count_per_m3(rate, _LEAST_MM, _MOST_MM) * area * met * seconds))
        count = min(due, _MOST_NEW)
        place = self._random.uniform((0, 0), (width, height), (count, 2))
        uniform = self._random.random(count)
        radius = drawn_diameters(rate, _LEAST_MM, _MOST_MM, uniform) * _SPREAD * self._per_mm if count else uniform
        self._drops = np.concatenate(
            [self._drops, np.column_stack([place, radius, self._random.uniform(_FLATTEST, 1, count)])]
        )

    def _slide(self, seconds: float) -> None:
        """Large drops run down, some of them at any moment, and leave beads behind."""
        drops, largest = self._drops, _LARGEST_MM * self._per_mm
        heavy = np.maximum(drops[:, 2] - largest, 0) / largest
        runs = heavy > 0
        fallen = heavy * self._random.exponential(1.0, len(drops)) * 40 * self._per_mm * seconds  # 40 mm/s at twice
        moved = drops.copy()
        moved[:, 1] += fallen
        moved[:, 0] += fallen * 0.15 * self._random.standard_normal(len(drops))
        beads = drops[runs & (fallen > 0.5 * drops[:, 2])]
        beads = np.column_stack([beads[:, 0], beads[:, 1] - 0.5 * beads[:, 2], 0.25 * beads[:, 2], beads[:, 3]])
        moved[runs, 2] *= 1 - 0.02 * np.minimum(fallen[runs] / drops[runs, 2], 1)
        self._drops = np.concatenate([moved, beads])


def merged(drops: Floats) -> Floats:
    """Drops [D, 4], the largest first, each that lies within a larger one having become part of it: volumes add up."""
    drops = drops[np.argsort(-drops[:, 2], kind="stable")]
    if len(drops) < 2:
        return drops
    apart = np.hypot(drops[:, None, 0] - drops[None, :, 0], drops[:, None, 1] - drops[None, :, 1])
    within = np.asarray(apart < 0.8 * np.maximum(drops[:, None, 2], drops[None, :, 2]))
    touches = np.tril(within, -1)  # [smaller, larger]
    gone = np.asarray(touches.any(axis=1))
    into = touches.argmax(axis=1)
    volume = drops[:, 2] ** 3
    np.add.at(volume, into[gone], volume[gone] * ~gone[into[gone]])
    kept = drops[~gone].copy()
    kept[:, 2] = np.cbrt(volume[~gone])
    return kept
