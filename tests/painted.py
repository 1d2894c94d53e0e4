"""Reads the frame index painted into the sample clips.

Written against the clips' description (samples/README.md), not against the tool that paints them: eight
blocks of 8x8 luma samples in the top left corner of the stored picture, black is 0, white is 1, most
significant bit first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

SIDE = 8
BITS = 8


def read_index(luma: npt.NDArray[Any], *, depth: int | None = None) -> int:
    """The index painted into a stored luma plane [H, W] of `depth` bits (default: 8 for uint8, else 10).

    Raises ValueError where a block is neither clearly black nor clearly white.
    """
    if depth is None:
        depth = 8 if luma.dtype == np.uint8 else 10
    blocks = luma[:SIDE, : SIDE * BITS].reshape(SIDE, BITS, SIDE)
    # The rim of a block takes ringing from its neighbours, its middle does not.
    levels = blocks[2:-2, :, 2:-2].mean(axis=(0, 2)) / (2**depth - 1)
    if np.any((levels > 0.3) & (levels < 0.7)):
        raise ValueError(f"no painted index: found block levels {np.round(levels, 2).tolist()}, want near 0 or 1")
    return int(sum(int(level > 0.5) << (BITS - 1 - place) for place, level in enumerate(levels)))
