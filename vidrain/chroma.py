"""What of the colour goes with the rain that was taken from the luma.

A streak is grey: where it covers a share of a pixel, it hides that share of the colour. So as much goes of what the
colour differs by from that of the neighbours as was taken of what the luma exceeds theirs by.

    removal = chroma_removal(colours_of(frame.planes[1:], matrix), [...], ways, rain, aligned)    # [P, h, w], upright
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vidrain.align import Way, pixels_along
from vidrain.model.filters import shrunk
from vidrain.model.planes import ranked
from vidrain.types import Aligned, Planes
from vidrain.video.color import upright

_LEAST = 4 / 255  # of luma; an excess below is noise, of which no share can be told


def colours_of(planes: Planes, matrix: tuple[int, ...] | None) -> Tensor:
    """Stored planes of one size, in code values, turned as they are shown. [P, h, w] float32"""
    stacked = torch.stack([torch.from_numpy(plane.astype(np.float32)) for plane in planes])
    return upright(stacked, matrix)


def chroma_removal(
    observed: Tensor, witnesses: Sequence[Tensor], ways: Sequence[Way], rain: Tensor, aligned: Aligned
) -> Tensor:
    """What goes from planes of colour, in code values. [P, h, w] float32

    observed: [P, h, w] as `colours_of` makes it, of any size; witnesses: the same of every witness, with the `ways` to
    them. rain: [H, W], what was taken from the luma of `aligned`.
    """
    height, width = (-(-whole // part) for whole, part in zip(rain.shape, observed.shape[1:], strict=True))
    share = _share_taken(rain, aligned, (height, width))
    there = ranked([pixels_along(colours, way) for colours, way in zip(witnesses, ways, strict=True)]).middle
    return (observed - there).mul_(share)


def _share_taken(rain: Tensor, aligned: Aligned, pixels: tuple[int, int]) -> Tensor:
    """How much of the excess of the luma over its witnesses was taken, of so many pixels each. [h, w] in [0, 1]"""
    luma, *others = (shrunk(picture, pixels) for picture in (aligned.observed[0], *aligned.witnesses[:, 0]))
    return (shrunk(rain, pixels) / (luma - ranked(others).middle).clamp_(min=_LEAST)).clamp_(0, 1)
