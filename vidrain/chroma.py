"""What of the colour goes with the rain that was taken from the luma.

A streak is grey: where it covers a share of a pixel, it hides that share of the colour. So as much goes of what the
colour differs by from that of the neighbours as was taken of what the luma exceeds theirs by. And no more than `_MOST`
of what the luma changes, in R, G and B besides the grey itself: a streak that hides a share of a pixel hardly ever
changes a colour by more, and where a neighbour shows something else its colour is another one altogether.

    own = colours_of(frame.planes[1:], matrix)
    removal = chroma_removal(own, luma, [Beside(...), ...], rain, Scale(codes=224.0, grey=0.0))    # [P, h, w], upright
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from vidrain.align import Way, pixels_along
from vidrain.fixed import lengths
from vidrain.model.filters import shrunk
from vidrain.model.planes import ranked
from vidrain.types import Planes
from vidrain.video.color import upright

_MOST = 0.6  # of the change of the luma; of that of rain rendered on two clips 99 % is less
_LEAST = 4 / 255  # of luma; an excess below is noise, of which no share can be told


class Scale(NamedTuple):
    """What grey rain does to planes of colour.

    codes: of a plane to the unit of luma; grey: how much such rain changes it, 1 in R, G and B, 0 in chroma.
    """

    codes: float
    grey: float


class Beside(NamedTuple):
    """A witness whose colours count.

    colours: [P, h, w] as `colours_of` makes them, of any size, as it was filmed, with the `way` to it; luma: [H, W],
    brought onto the picture.
    """

    colours: Tensor
    way: Way
    luma: Tensor


def colours_of(planes: Planes, matrix: tuple[int, ...] | None) -> Tensor:
    """Stored planes of one size, in code values, turned as they are shown. [P, h, w] uint8 or int16"""
    stacked = np.stack(planes)
    return upright(torch.from_numpy(stacked if stacked.dtype == np.uint8 else stacked.view(np.int16)), matrix)


def chroma_removal(observed: Tensor, luma: Tensor, witnesses: Sequence[Beside], rain: Tensor, scale: Scale) -> Tensor:
    """What goes from planes of colour, in code values. [P, h, w] float32

    observed: [P, h, w], colours as those of the `witnesses`; luma: [H, W]; rain: [H, W], what was taken from that.
    scale: of these planes.
    """
    height, width = (-(-whole // part) for whole, part in zip(rain.shape, observed.shape[1:], strict=True))
    bright, amount, *others = (
        shrunk(picture, (height, width)) for picture in (luma, rain, *(each.luma for each in witnesses))
    )
    share = (amount / lengths(bright - ranked(others).middle).clamp_(min=_LEAST)).clamp_(0, 1)
    there = ranked([pixels_along(each.colours, each.way).float() for each in witnesses]).middle
    most = amount * scale.codes
    return (observed.float() - there).mul_(share).clamp_((scale.grey - _MOST) * most, (scale.grey + _MOST) * most)
