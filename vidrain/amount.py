"""How much it rains in a frame: one number from its rain layer. Knows nothing of files; a door to cv2.

amount = rain_amount(layers, conversion)

>>> rain_curve([0.0, 0.2, 0.4, 0.4], most=2)
(0.1, 0.4)
"""

from collections.abc import Sequence
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor

from vidrain.types import Layers, Planes, RainPlanes
from vidrain.video.color import Conversion, to_luma

_LEVELS = 255.0


def rain_amount(layers: Layers, conversion: Conversion) -> float:
    """Mean over all pixels of what rain added to luma, as a share of the range of luma, in [0, 1].

    What R has below zero in luma (dark edges, noise) counts as none.
    """
    if conversion.layout.family == "gbrp":
        return float(rain_levels(layers.rain, conversion).clamp_(min=0).mean(dtype=torch.float64)) / _LEVELS
    observed, background = layers.frame.planes[0], layers.background[0]
    added = cv2.sumElems(cv2.subtract(observed, background))[0]  # of R where it is positive: a sixth of numpy's time
    return added / observed.size / conversion.scale[0]


def rain_levels(rain: RainPlanes, conversion: Conversion) -> Tensor:
    """What rain added to luma, in grey levels of 255, signed. rain: planes R. [H, W] float32"""
    if conversion.layout.family == "gbrp":
        return to_luma(cast(Planes, rain), conversion)[0].mul_(_LEVELS)  # of a difference, too: RGB has no offset
    return torch.from_numpy(rain[0].astype(np.float32)).mul_(_LEVELS / conversion.scale[0])


def rain_curve(amounts: Sequence[float], *, most: int) -> tuple[float, ...]:
    """Amounts over time as `most` numbers at most: means of stretches of frames, their lengths alike but for one."""
    parts = np.array_split(np.asarray(amounts, np.float64), max(1, min(most, len(amounts))))
    return tuple(float(part.mean()) for part in parts if part.size)
