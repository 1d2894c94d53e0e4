"""A pinhole camera with a lens, a shutter and a ground to stand on: where drops are seen, and how blurred.

Camera coordinates in metres: x to the right, y down the picture, z ahead. Pixels count from the top left corner.
"""

from dataclasses import dataclass
from math import cos, radians, sin, tan

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SMALLEST_PX = 0.3  # drops that are seen narrower than this belong to the mist


@dataclass(frozen=True, kw_only=True)
class CameraOptions:
    """What a user can say of the camera. `configs/rain.yaml` explains every key."""

    view: float = 60.0  # degrees, over the longer side of the picture
    height: float = 1.5  # metres above flat ground
    pitch: float = 0.0  # degrees that it looks down
    nearest: float | None = None  # metres; None: 0.3, or 1 behind a windscreen
    focus: float = 8.0  # metres
    focal_mm: float = 4.0
    aperture: float = 2.0  # f-number
    headlamps: bool = False  # by night
    sharpening: float = 0.7  # share of what a blur takes away that the camera adds


@dataclass(frozen=True)
class Camera:
    """A camera for pictures of (height, width) pixels. exposure, readout: seconds; readout is first row to last."""

    size: tuple[int, int]
    options: CameraOptions
    exposure: float
    readout: float
    nearest: float

    @property
    def focal_px(self) -> float:
        """Focal length in pixels."""
        return max(self.size) / 2 / tan(radians(self.options.view) / 2)

    @property
    def down(self) -> Floats:
        """Where things fall, [3]: a camera that looks down sees them fall away from it as well."""
        pitch = radians(self.options.pitch)
        return np.array([0.0, cos(pitch), sin(pitch)])

    @property
    def forward(self) -> Floats:
        """Where the camera drives, level with the ground, [3]."""
        pitch = radians(self.options.pitch)
        return np.array([0.0, -sin(pitch), cos(pitch)])

    def farthest(self, diameter_mm: Floats) -> Floats:
        """Metres up to which drops are still seen as streaks of their own."""
        return np.asarray(self.focal_px * diameter_mm / 1000 / SMALLEST_PX)

    def frustum_m3(self, near: float, far: float) -> float:
        """Volume that is seen between two distances along z."""
        height, width = self.size
        return height * width / self.focal_px**2 * (far**3 - near**3) / 3

    def project(self, place: Floats) -> Floats:
        """Places [..., 3] with z > 0 as pixels (x, y), [..., 2]."""
        height, width = self.size
        centre = np.array([width / 2, height / 2])
        return np.asarray(place[..., :2] / place[..., 2:] * self.focal_px + centre)

    def sees(self, place: Floats) -> npt.NDArray[np.bool_]:
        """Which of the places [..., 3] lie in the picture and not below the ground."""
        height, width = self.size
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = np.moveaxis(self.project(place), -1, 0)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height) & (place[..., 2] >= self.nearest)
        return np.asarray(inside & (along(place, self.down) < self.options.height))

    def blur_px(self, distance: Floats) -> Floats:
        """Diameter of the disc that a point at so many metres becomes: f^2 |Z - Zf| / (N Z (Zf - f)) over the pitch."""
        focal, focus = self.options.focal_mm / 1000, self.options.focus
        pitch = focal / self.focal_px
        disc = focal**2 * np.abs(distance - focus) / (self.options.aperture * distance * (focus - focal))
        return np.asarray(disc / pitch)

    def ground_m(self) -> Floats:
        """Distance along z to flat ground for every row of the picture, [H]; infinite above the horizon."""
        height = self.size[0]
        ray = (np.arange(height) + 0.5 - height / 2) / self.focal_px
        steep = ray * self.down[1] + self.down[2]
        with np.errstate(divide="ignore"):
            return np.where(steep > 0, self.options.height / np.maximum(steep, 1e-9), np.inf)


def along(vectors: Floats, way: Floats) -> Floats:
    """Scalar products of [..., 3] with one vector; by hand: a matrix product may round by the number of threads."""
    return np.asarray(vectors[..., 0] * way[0] + vectors[..., 1] * way[1] + vectors[..., 2] * way[2])
