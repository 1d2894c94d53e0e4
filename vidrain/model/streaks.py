"""How far what exceeds the background looks like falling rain: a few measures that need no training.

On luma pictures alone. The baseline removes this share of the excess; a gate sees it and learns where it is wrong.

    share = share_of_rain(observed, background, spread, doubts=Doubts(), shrink=shrink_of(observed.shape))
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isnan

import torch
from torch import Tensor

from vidrain.errors import UsageError
from vidrain.fixed import STEPS, Unit, unit_of
from vidrain.model.filters import averaged, beyond, bordered, contrast, dilated, enlarged, eroded, shrunk

_LINES = 360  # rows, or columns of an upright picture, of the size at which lengths below are given
_THICK = 7  # pixels across; a streak is thinner, sideways
_AROUND = 11  # pixels; side of the box in which darkening is averaged
# Sideways steps after 1, 2 and 4 rows of the eight pixels that make a line: 0 to 45 degrees off the vertical, to the
# right and to the left.
_RIGHT = ((0, 0, 0), (0, 1, 1), (0, 1, 2), (1, 1, 3), (1, 2, 4))
_SLANTS = (*_RIGHT, *((-first, -second, -third) for first, second, third in _RIGHT[1:]))
_BAND = 120  # rows; of 1280 pixels in float32 they are 600 KB
_SMALLEST = 1e-4  # of luma in [0, 1]: far below one code of any depth, keeps shares finite


@dataclass(frozen=True)
class Doubts:
    """What each measure counts.

    The share of the excess that is rain is, between 0 and 1, trust + line * l - the weighted sum of the doubts. Each
    measure is in luma; "against the excess" means x / (x + excess), from 0 to 1.
    spread: range of the witnesses against the excess: they contradict each other where the flow failed.
    edge: local contrast of M against the excess: next to an edge half a pixel of misalignment looks like rain.
    darkening: mean of M - O > 0 nearby against the excess: rain never darkens, noise and bad alignment do.
    thickness: the part of the excess that is wider than a streak, as a share of it.
    opacity: excess over what is left to white: a falling drop covers a pixel for only part of the exposure.
    line: mean excess along the best steep line against the excess at the pixel; l is 0.5 on a long streak.
    """

    trust: float = 0.7
    spread: float = 0.4
    edge: float = 0.8
    darkening: float = 1.8
    thickness: float = 0.75
    opacity: float = 1.2
    line: float = 2.2

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            if isnan(value):
                raise UsageError(f"baseline.doubts.{key}={value}: is no number")


def shrink_of(size: Sequence[int]) -> int:
    """How many times smaller a picture of (..., rows, columns) is looked at where lengths count. At least 1"""
    return max(1, round(min(size[-2:]) / _LINES))


def share_of_rain(observed: Tensor, background: Tensor, spread: Tensor, *, doubts: Doubts, shrink: int) -> Tensor:
    """The share of the excess O - M > 0 that is rain. [H, W] in [0, 1]

    observed, background: luma of O and of M, [H, W], in fixed point or float32; spread: range of the luma of the
    witnesses, [H, W], likewise. None is written to. shrink: `shrink_of` the whole picture, of which these may be a
    part.
    """
    above, unit = beyond(observed, background), unit_of(background)
    share = _shape(above, beyond(background, observed), doubts, shrink)
    for rows in in_bands(share):  # in the unit of the pictures: it goes out of every share
        excess, contradicted = above[rows].float(), spread[rows].float()
        beside = _edges(background, rows).float()
        left = torch.sub(unit.white, background[rows].float()).clamp_(min=_SMALLEST * unit.range)
        share[rows].addcdiv_(contradicted, _sum(contradicted, excess, unit), value=-doubts.spread)
        share[rows].addcdiv_(beside, _sum(beside, excess, unit, times=2), value=-doubts.edge)  # over two pixels
        share[rows].addcdiv_(excess, left, value=-doubts.opacity).clamp_(0, 1)
    return share


def in_bands(picture: Tensor) -> Iterator[slice]:
    """Rows of a picture, some of them at a time: what is computed from them pixel by pixel then stays in the cache.

    All at once where it does not lie in memory: another device takes as long to be asked as for many rows.
    """
    height = picture.shape[0]
    step = _BAND if picture.device.type == "cpu" else max(height, 1)
    return (slice(first, first + step) for first in range(0, height, step))


def _edges(picture: Tensor, rows: slice) -> Tensor:
    """The most of the contrast around every pixel of some rows, which the two rows above and below them tell."""
    top = max(rows.start - 2, 0)
    return dilated(contrast(picture[top : rows.stop + 2]), (3, 3))[rows.start - top : rows.stop - top]


def _shape(excess: Tensor, deficit: Tensor, doubts: Doubts, shrink: int) -> Tensor:
    """The terms that look further around, at the size their lengths are given for. [H, W], not clamped"""
    size = (excess.shape[0], excess.shape[1])
    excess, deficit = (shrunk(part, (shrink, shrink)) for part in (excess, deficit))
    thick = dilated(eroded(excess, (1, _THICK)), (1, _THICK))
    measures, unit = (averaged(deficit, (_AROUND, _AROUND)), along_lines(excess), thick, excess), unit_of(excess)
    darkening, line, thick, excess = (measure.float() for measure in measures)
    terms = (line / _sum(line, excess, unit)).mul_(doubts.line).add_(doubts.trust)
    terms.addcdiv_(darkening, _sum(darkening, excess, unit), value=-doubts.darkening)
    terms.addcdiv_(thick, excess.clamp(min=_SMALLEST * unit.range), value=-doubts.thickness)
    return enlarged(terms, shrink, size) if shrink > 1 else terms


def _sum(measure: Tensor, excess: Tensor, unit: Unit, times: int = 1) -> Tensor:
    """What a measure is divided by to be against so many times the excess."""
    return measure.add(excess, alpha=times).clamp_(min=_SMALLEST * unit.range)


def along_lines(picture: Tensor) -> Tensor:
    """Mean over eight rows along the line, out of nine steep ones, on which it is largest. [H, W], as `picture`"""
    height, width = picture.shape
    best = torch.zeros_like(picture)
    # By the steps so far: lines that begin alike share what they add up to.
    sums: dict[tuple[int, ...], Tensor] = {(): bordered(_summable(picture), 8, 8)}
    for slant in _SLANTS:
        for done, right in enumerate(slant):
            if slant[: done + 1] not in sums:
                sums[slant[: done + 1]] = _added(sums[slant[:done]], 1 << done, right)
        total = sums[slant]
        left = 8 - abs(sum(slant)) * 4 // 7
        if sum(slant) < 0:
            left = total.shape[1] - width - left
        torch.maximum(best, total[4 : 4 + height, left : left + width], out=best)
    return best.div_(8) if best.is_floating_point() else best.bitwise_right_shift_(2)


def _summable(picture: Tensor) -> Tensor:
    """The picture such that eight pixels of it add up: integers in half as many steps, and no more than white."""
    return picture if picture.is_floating_point() else picture.clamp(max=STEPS - 2).add_(1).bitwise_right_shift_(1)


def _added(picture: Tensor, down: int, right: int) -> Tensor:
    """Every pixel and the one so many rows below it and columns to its right, or left of it where that is negative."""
    width = picture.shape[1] - abs(right)
    above, below = picture[:-down].narrow(1, max(-right, 0), width), picture[down:].narrow(1, max(right, 0), width)
    return above + below
