"""Mist of the drops too fine to be seen: how much of the scene's light gets through, and how that drifts.

Without the true distances of a scene a flat ground under the camera stands in for them, and beyond it a backdrop.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidrain.rain.camera import Camera
from vidrain.rain.canvas import enlarged
from vidrain.rain.drops import extinction
from vidrain.rain.wind import wandered

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

_PATCHES = 6  # squalls along the longer side of the picture
_SQUALL = 0.25  # standard deviation of the mist in a squall, as a share
_SQUALL_S = 2.0


@dataclass(frozen=True, kw_only=True)
class AirOptions:
    """What a user can say of the air and of what is behind it. `configs/rain.yaml` explains every key."""

    distance: float = 20.0  # metres to the backdrop; 0: no mist
    sky: float = 10.0  # how much brighter than the ground the sky is, where it is not seen
    gust_s: float = 1.5  # how long a gust lasts, in seconds
    splashes: float = 1.0  # times as many on the ground as there should be


class Mist:
    """Transmission of the air, frame by frame."""

    def __init__(self, camera: Camera, rate: float, distance: float, seed: int) -> None:
        self._random = np.random.default_rng([seed, 1])
        self._size = camera.size
        self._depth = extinction(rate) * np.minimum(camera.ground_m(), distance)
        self._cell = -(-max(camera.size) // _PATCHES)
        shape = tuple(-(-side // self._cell) + 1 for side in camera.size)
        self._squall = _SQUALL * self._random.standard_normal(shape)

    def step(self, seconds: float) -> None:
        """Let the squalls drift on."""
        noise = self._random.standard_normal(self._squall.shape)
        self._squall = wandered(self._squall, _SQUALL, _SQUALL_S, seconds, noise)

    def transmission(self) -> Picture | None:
        """How much of the light of each pixel gets through, [H, W] in (0, 1]; None: all of it."""
        if not self._depth.any():
            return None
        squall = enlarged(self._squall.astype(np.float32), self._cell, self._size)
        return np.asarray(np.exp(-self._depth[:, None] * np.maximum(1 + squall, 0)), np.float32)
