"""What of the colour goes with the rain that was taken from the luma.

A streak is grey: where it covers a share of a pixel, it hides that share of the colour. So as much goes of what the
colour differs by from that of the neighbours as was taken of what the luma exceeds theirs by. And no more than `_MOST`
of what the luma changes, in R, G and B besides the grey itself: a streak that hides a share of a pixel hardly ever
changes a colour by more, and where a neighbour shows something else its colour is another one altogether.

    removal = chroma_removal(colours_of(frame.planes[1:], matrix), [...], ways, rain, aligned)    # [P, h, w], upright
    removal = as_rain_may(removal, rain, codes=224.0, grey=0.0)
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

_MOST = 0.6  # of the change of the luma; of that of rain rendered on two clips 99 % is less
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


def as_rain_may(removal: Tensor, rain: Tensor, *, codes: float, grey: float) -> Tensor:
    """A removal [P, h, w] in code values, as far as rain [H, W] of the luma may change such planes.

    codes: of a plane to the unit of luma; grey: how much grey rain changes it, 1 in R, G and B, 0 in chroma.
    """
    height, width = (-(-whole // part) for whole, part in zip(rain.shape, removal.shape[1:], strict=True))
    most = shrunk(rain, (height, width)) * codes
    return removal.clamp((grey - _MOST) * most, (grey + _MOST) * most)


def _share_taken(rain: Tensor, aligned: Aligned, pixels: tuple[int, int]) -> Tensor:
    """How much of the excess of the luma over its witnesses was taken, of so many pixels each. [h, w] in [0, 1]"""
    luma, *others = (shrunk(picture, pixels) for picture in (aligned.observed[0], *aligned.witnesses[:, 0]))
    return (shrunk(rain, pixels) / (luma - ranked(others).middle).clamp_(min=_LEAST)).clamp_(0, 1)
