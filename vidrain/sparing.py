"""What several frames together tell of each: whether it rains, and what is burnt in, where nothing is to be taken.

Pure rules of `meter` and `marks` on pictures and the ways between them; knows nothing of models or files.

    told = Told(MeterOptions(), MarkOptions())
    told.see(picture, shot)                                  # every frame, `marks.AHEAD` frames before it counts
    told.of(picture, shot, witnesses, ways)                  # frames that count, and `RECENT` before them
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vidrain import marks, meter
from vidrain.align import Picture, Way
from vidrain.flow import Guide

RECENT = meter.MEMORY


class Verdict(NamedTuple):
    """Of a frame. is_dry: it does not rain; marks: what is burnt in, not 0 there, None for nothing. [h, w]"""

    is_dry: bool = False
    marks: Guide | None = None


def memory_for(burnt_in: marks.MarkOptions) -> int:
    """Frames before one, by which all of that is told."""
    return RECENT if burnt_in.moved is None else max(RECENT, marks.MEMORY)


class Told:
    """Made for frames in rising order; remembers some of those before, of the same shot."""

    def __init__(self, dry: meter.MeterOptions, burnt_in: marks.MarkOptions) -> None:
        self._meter, self._marks = meter.Meter(dry), marks.Marks(burnt_in)

    def see(self, picture: Picture, shot: int) -> None:
        """A frame that counts, or is near one that does."""
        self._marks.see(picture.index, shot, picture.guide)

    def of(self, picture: Picture, shot: int, witnesses: Sequence[Picture], ways: Sequence[Way]) -> Verdict:
        """A frame that was seen. witnesses: nearest first on each side, as they were filmed; ways: to them."""
        is_dry = self._meter.is_dry(picture.index, shot, guides_along(picture, witnesses, ways))
        if not ways:
            return Verdict(is_dry)
        apart, way = max(
            ((abs(witness.index - picture.index), way) for witness, way in zip(witnesses, ways, strict=True)),
            key=lambda pair: pair[0],
        )
        return Verdict(is_dry, self._marks.around(picture.index, way.flow, apart))


def spared(rain: Tensor, burnt_in: Guide | None) -> Tensor:
    """Rain [C, H, W], and nothing of it where `burnt_in` [h, w], of any size, is not 0."""
    if burnt_in is None:
        return rain
    size = (rain.shape[1], rain.shape[2])
    whole = functional.interpolate(torch.from_numpy(burnt_in)[None, None], size=size)[0, 0]
    return rain.masked_fill(whole > 0, 0)


def guides_along(center: Picture, witnesses: Sequence[Picture], ways: Sequence[Way]) -> list[Guide]:
    """The guide of a picture, and those of its nearest witnesses, `SIDE` on each side, brought onto it. [h, w] each"""
    along = list(zip(witnesses, ways, strict=True))
    earlier = [pair for pair in along if pair[0].index < center.index][: meter.SIDE]
    later = [pair for pair in along if pair[0].index > center.index][: meter.SIDE]
    return [center.guide, *(way.guide for _, way in (*earlier, *later))]
