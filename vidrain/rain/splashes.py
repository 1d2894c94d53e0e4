"""Crowns where large drops strike the ground: flecks for a few frames. The ground is flat; see `camera.py`."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vidrain.rain.camera import Camera, along
from vidrain.rain.canvas import Canvas
from vidrain.rain.drops import splashing_per_m2_s

Floats = npt.NDArray[np.float64]

_LEAST_MM = 2.5  # smaller drops make no crown
_LASTS_S = 0.08
_RADIUS_M = (0.004, 0.01)  # of a crown when it begins and when it ends
_OPACITY = 0.15  # a crown is a thin sheet and some droplets
_FARTHEST_M = 8.0
_LENS = 0.3  # pixels^2


class Splashes:
    """Crowns on the ground that is seen, frame by frame. amount: times as many as the rain rate makes."""

    def __init__(self, camera: Camera, rate: float, amount: float, seed: int) -> None:
        self._camera, self._random = camera, np.random.default_rng([seed, 2])
        self._per_m2_s = splashing_per_m2_s(rate, _LEAST_MM) * amount
        self._spans = _ground_in_view(camera)
        self._along = np.zeros((0, 2))  # to the right and ahead, metres, on the ground
        self._age = np.zeros(0)
        self._strike(_LASTS_S)

    def __len__(self) -> int:
        return len(self._age)

    def step(self, seconds: float, ahead: float) -> None:
        """Move on. ahead: metres that the camera drove meanwhile."""
        self._age = self._age + seconds
        self._along = self._along - [0.0, ahead]
        left = self._age < _LASTS_S
        self._along, self._age = self._along[left], self._age[left]
        self._strike(min(seconds, _LASTS_S))

    def draw(self, canvas: Canvas, bright: Callable[[Floats], Floats]) -> None:
        """Lay what there is on the canvas. bright: how bright water is at places [N, 3] beside what drops show."""
        if not len(self):
            return
        camera = self._camera
        place = self._along[:, :1] * [1.0, 0.0, 0.0] + self._along[:, 1:] * camera.forward
        place = place + camera.options.height * camera.down
        near = place[:, 2] > camera.nearest
        place, done = place[near], self._age[near] / _LASTS_S
        radius = (_RADIUS_M[0] + (_RADIUS_M[1] - _RADIUS_M[0]) * done) * camera.focal_px / place[:, 2]
        covered = _OPACITY * (1 - done) * np.pi * radius**2
        level = canvas.levels(_LENS + radius**2 / 4)
        canvas.add(camera.project(place), covered, bright(place), level)

    def _strike(self, seconds: float) -> None:
        """New crowns, of ages up to `seconds`."""
        low, high = self._spans
        area = float(np.prod(high - low))
        count = int(self._random.poisson(self._per_m2_s * area * seconds))
        self._along = np.concatenate([self._along, self._random.uniform(low, high, (count, 2))])
        self._age = np.concatenate([self._age, self._random.uniform(0, seconds, count)])


def _ground_in_view(camera: Camera) -> tuple[Floats, Floats]:
    """The rectangle on the ground around what is seen of it: (right, ahead) least and most, in metres."""
    height, width = camera.size
    depth = np.minimum(camera.ground_m(), _FARTHEST_M)
    rows = (np.arange(height) + 0.5 - height / 2) / camera.focal_px
    seen = np.isfinite(camera.ground_m())
    if not seen.any():
        return np.zeros(2), np.zeros(2)
    points = depth[seen, None] * np.stack([0 * rows[seen], rows[seen], 0 * rows[seen] + 1], axis=1)
    ahead = along(points, camera.forward)
    aside = width / 2 / camera.focal_px * float(depth[seen].max())
    return np.array([-aside, ahead.min()]), np.array([aside, ahead.max()])
