"""Slow twins: the same formulas once more, in plain loops and numpy, for fast functions to be compared with.

Nothing here may import from vidrain, or the two could be wrong together.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def conv3x3(picture: Array, weight: Array, bias: Array) -> Array:
    """Cross-correlation with zeros around. picture [C, H, W], weight [D, C, 3, 3], bias [D]. [D, H, W]"""
    height, width = picture.shape[1:]
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), height, width), picture.dtype)
    for made in range(len(weight)):
        for channel in range(len(picture)):
            for down in range(3):
                for right in range(3):
                    part = padded[channel, down : down + height, right : right + width]
                    out[made] += weight[made, channel, down, right] * part
        out[made] += bias[made]
    return out


def instance_norm(features: Array) -> Array:
    """Each channel of [C, H, W] less its mean, over its standard deviation (biased, epsilon 1e-5 in the root)."""
    out = np.empty_like(features)
    for channel, plane in enumerate(features):
        mean = plane.sum() / plane.size
        variance = ((plane - mean) ** 2).sum() / plane.size
        out[channel] = (plane - mean) / np.sqrt(variance + 1e-5)
    return out


def nlcl_generator(state: Mapping[str, Array], signal: Array) -> Array:
    """The published generator by the names of its checkpoint. [3, H, W] in [-1, 1] to [3, H, W]"""

    def conv(name: str, features: Array) -> Array:
        return conv3x3(features, state[f"gen.{name}.weight"], state[f"gen.{name}.bias"])

    features = conv("0", signal)
    for block in range(1, 17):
        inner = np.maximum(instance_norm(conv(f"{block}.model.0.conv", features)), 0)
        features = features + instance_norm(conv(f"{block}.model.1.conv", inner))
    inner = np.maximum(instance_norm(conv("17.conv.0", features)), 0)
    return conv("18", conv("17.conv.3", inner))
