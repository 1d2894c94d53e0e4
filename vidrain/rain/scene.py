"""The same drops from frame to frame: a field of rain before the camera, stepped in time.

Drops are kept in boxes before the camera, one for each class of sizes: small drops are seen only near by. What leaves a
box comes in again at the side across from it, at another place, so that a box stays evenly filled whatever the wind and
however fast the camera drives. Between two steps every drop moves in a straight line.

    field = RainField(camera, Weather(rate=25.0), seed=1)
    field.step(1 / 25)
    field.drops()
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vidrain.rain.camera import Camera
from vidrain.rain.drops import LEAST_MM, MOST_MM, count_per_m3, drawn_diameters, fall_speed
from vidrain.rain.wind import wandered

Floats = npt.NDArray[np.float64]

CLASSES_MM = (LEAST_MM, 0.8, 1.1, 1.5, 2.0, 2.6, 3.3, 4.4, MOST_MM)  # bounds of the boxes' sizes
_TURBULENCE = 0.1  # of its fall speed that a drop strays (Garg and Nayar see a few degrees)
_TURBULENCE_S = 0.3
_KMH = 3.6


@dataclass(frozen=True, kw_only=True)
class Weather:
    """rate: mm/h; wind: m/s to the right; gusts: standard deviation of what is added to it; speed: km/h ahead."""

    rate: float
    wind: float = 0.0
    gusts: float = 0.0
    gust_s: float = 1.5
    speed: float = 0.0


@dataclass(frozen=True)
class Drops:
    """Drops at one moment. place, velocity: [D, 3] in metres and m/s, of the camera's view; diameter: [D] in mm;
    serial: [D], never given twice; phase: [D], of its swinging, in turns."""

    place: Floats
    velocity: Floats
    diameter: Floats
    serial: npt.NDArray[np.int64]
    phase: Floats

    def __len__(self) -> int:
        return len(self.diameter)

    def only(self, chosen: npt.NDArray[np.bool_] | slice) -> "Drops":
        """Those that are chosen, [D]."""
        return Drops(
            self.place[chosen],
            self.velocity[chosen],
            self.diameter[chosen],
            self.serial[chosen],
            self.phase[chosen],
        )


@dataclass(frozen=True)
class _Box:
    """Drops of one class. low, high: corners, [3]; stray: [D, 3], how the air around each moves on its own."""

    low: Floats
    high: Floats
    drops: Drops
    stray: Floats


class RainField:
    """All drops that could be seen, and some around them."""

    def __init__(self, camera: Camera, weather: Weather, seed: int) -> None:
        self._camera, self._weather = camera, weather
        self._random = np.random.default_rng([seed, 0])
        self._gust = weather.gusts * self._random.standard_normal(1)
        self._serials = 0
        self._boxes = [self._filled(least, most) for least, most in pairwise(CLASSES_MM)]

    @property
    def wind(self) -> float:
        """Wind at this moment, m/s to the right."""
        return float(self._weather.wind + self._gust[0])

    def drops(self) -> Drops:
        """All drops as they are now."""
        parts = [box.drops for box in self._boxes]
        return Drops(
            place=np.concatenate([part.place for part in parts]),
            velocity=np.concatenate([part.velocity for part in parts]),
            diameter=np.concatenate([part.diameter for part in parts]),
            serial=np.concatenate([part.serial for part in parts]),
            phase=np.concatenate([part.phase for part in parts]),
        )

    def step(self, seconds: float) -> None:
        """Move on: every drop along its velocity, then the air changes."""
        noise = self._random.standard_normal(1)
        self._gust = wandered(self._gust, self._weather.gusts, self._weather.gust_s, seconds, noise)
        self._boxes = [self._moved(box, seconds) for box in self._boxes]

    def _filled(self, least: float, most: float) -> _Box:
        """A box as wide as the view at its far end, filled evenly."""
        low, high = self._corners(most)
        density = count_per_m3(self._weather.rate, least, most)
        count = int(self._random.poisson(density * float(np.prod(high - low))))
        place = self._random.uniform(low, high, (count, 3))
        if not count:
            diameter = np.zeros(0)
        else:
            diameter = drawn_diameters(self._weather.rate, least, most, self._random.random(count))
        stray = self._random.standard_normal((count, 3)) * (_TURBULENCE * fall_speed(diameter))[:, None]
        drops = Drops(place, place, diameter, self._numbers(count), self._random.random(count))
        return self._blown(_Box(low, high, drops, stray))

    def _corners(self, most: float) -> tuple[Floats, Floats]:
        """The view up to where the largest drops of a class are seen, and as far around as one exposure may carry."""
        camera, weather = self._camera, self._weather
        far = float(camera.farthest(np.array(most)))
        fastest = float(fall_speed(np.array(most))) * 1.3
        aside = abs(weather.wind) + 3 * weather.gusts + _TURBULENCE * 3 * fastest
        open_s = camera.exposure + camera.readout
        reach = np.array([aside, fastest, weather.speed / _KMH + fastest * camera.down[2]]) * open_s
        half = np.array([camera.size[1], camera.size[0]]) / 2 / camera.focal_px * (far + reach[2])
        low = np.array([-half[0] - reach[0], -half[1] - reach[1], 0.0])
        high = np.array([half[0] + reach[0], half[1] + reach[1], far + reach[2]])
        return low, high

    def _blown(self, box: _Box) -> _Box:
        """The velocities that the air and the camera of this moment give to its drops."""
        weather, camera = self._weather, self._camera
        steady = np.array([self.wind, 0.0, 0.0]) - camera.forward * (weather.speed / _KMH)
        velocity = fall_speed(box.drops.diameter)[:, None] * camera.down + steady + box.stray
        return replace(box, drops=replace(box.drops, velocity=velocity))

    def _moved(self, box: _Box, seconds: float) -> _Box:
        drops, span = box.drops, box.high - box.low
        place = drops.place + drops.velocity * seconds
        turns = np.floor((place - box.low) / span)
        left = turns != 0
        place = np.clip(place - turns * span, box.low, box.high)
        gone = left.any(axis=1)
        count = int(gone.sum())
        fresh = self._random.uniform(box.low, box.high, (count, 3))
        # Other places along the sides they come in by. Not along every one: a corner that two sides share would fill.
        through_y, through_x = left[gone, 1:2], left[gone, 0:1]
        place[gone, 0:1] = np.where(through_y, fresh[:, 0:1], place[gone, 0:1])
        place[gone, 2:3] = np.where(through_y | through_x, fresh[:, 2:3], place[gone, 2:3])
        serial = drops.serial.copy()
        serial[gone] = self._numbers(count)
        spread = (_TURBULENCE * fall_speed(drops.diameter))[:, None]
        noise = self._random.standard_normal(box.stray.shape)
        stray = wandered(box.stray, spread, _TURBULENCE_S, seconds, noise)
        return self._blown(replace(box, drops=replace(drops, place=place, serial=serial), stray=stray))

    def _numbers(self, count: int) -> npt.NDArray[np.int64]:
        self._serials += count
        return np.arange(self._serials - count, self._serials)
