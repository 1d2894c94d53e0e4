"""Streaks in a rain layer: where connected rain is long and thin, its direction and length. Pure: figures of a picture.

found = streaks_in(rain)     # [H, W], grey levels
found.angles, found.lengths  # [n] each
"""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

LEAST_LEVELS = 8.0  # of 255, below which brightness is taken for noise: three times that of a good camera by day
_LEAST_PIXELS = 6  # of which two axes can be told at all
_LEAST_ELONGATION = 2.0  # length by width; blots are no streaks
_BAR = 12.0  # a bar of length L has the variance L^2 / 12 along itself


@dataclass(frozen=True)
class Streaks:
    """Streaks of one picture, [n] each.

    angles: degrees from straight down, in (-90, 90], positive where a drop falls to the right; lengths, widths: pixels.
    """

    angles: Values
    lengths: Values
    widths: Values

    def __len__(self) -> int:
        return len(self.angles)


def streaks_in(rain: npt.NDArray[Any]) -> Streaks:
    """Connected parts of `rain` [H, W] (grey levels of 255, upright) above eight levels that are long and thin.

    Direction and length from the second moments of a part, each of its pixels counting the same.
    """
    mask = (rain > LEAST_LEVELS).astype(np.uint8)
    count, labels = cv2.connectedComponents(mask, connectivity=8)
    y, x = np.nonzero(mask)
    of = labels[y, x]
    size = np.bincount(of, minlength=count).astype(np.float64)
    kept = size >= _LEAST_PIXELS
    size = np.maximum(size, 1)
    means = [np.bincount(of, weights=values, minlength=count) / size for values in (x, y)]
    dx, dy = x - means[0][of], y - means[1][of]
    xx, yy, xy = (np.bincount(of, weights=product, minlength=count) / size for product in (dx * dx, dy * dy, dx * dy))
    half, spread = (xx + yy) / 2, np.hypot((xx - yy) / 2, xy)
    # a pixel is a square of its own: it adds the variance of a bar of length one
    lengths = np.sqrt(_BAR * (half + spread) + 1)
    widths = np.sqrt(_BAR * np.maximum(half - spread, 0) + 1)
    kept &= lengths >= _LEAST_ELONGATION * widths
    along = np.arctan2(2 * xy, xx - yy) / 2  # from the x axis
    angles = 90 - np.degrees(along)
    angles = np.where(angles > 90, angles - 180, angles)
    return Streaks(angles[kept], lengths[kept], widths[kept])


def mean_direction(angles: Values) -> tuple[float, float] | None:
    """Mean and concentration of axes in degrees: twice the angle goes once around. None for no angle.

    The concentration is 1 where all are parallel, 0 where none prevails. Source: Mardia and Jupp, "Directional
    Statistics", 2000, sections 1.1 and 2.3.
    """
    if not len(angles):
        return None
    mean = np.exp(2j * np.radians(angles)).mean()
    return float(np.degrees(np.angle(mean)) / 2), float(abs(mean))
