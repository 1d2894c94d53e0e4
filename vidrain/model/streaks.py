"""How far what exceeds the background looks like falling rain: a few measures that need no training.

On luma pictures alone. The baseline removes this share of the excess; a gate sees it and learns where it is wrong.

    share = share_of_rain(observed, background, spread, doubts=Doubts(), shrink=shrink_of(observed.shape))
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import isnan

import torch
from torch import Tensor
from torch.nn import functional

from vidrain.errors import UsageError

_LINES = 360  # rows, or columns of an upright picture, of the size at which lengths below are given
_THICK = 7  # pixels across; a streak is thinner, sideways
_AROUND = 11  # pixels; side of the box in which darkening is averaged
# Sideways steps after 1, 2 and 4 rows of the eight pixels that make a line: 0 to 45 degrees off the vertical.
_SLANTS = ((0, 0, 0), (0, 1, 1), (0, 1, 2), (1, 1, 3), (1, 2, 4))
_SMALLEST = 1e-4  # of RGB in [0, 1]: far below one code of any depth, keeps shares finite


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


def reduced(pictures: Tensor, shrink: int) -> Tensor:
    """Pictures [..., C, H, W] so many times smaller, each cell the mean of what it covers."""
    return functional.avg_pool2d(pictures, shrink, ceil_mode=True) if shrink > 1 else pictures


def share_of_rain(observed: Tensor, background: Tensor, spread: Tensor, *, doubts: Doubts, shrink: int) -> Tensor:
    """The share of the excess O - M > 0 that is rain. [H, W] in [0, 1]

    observed, background: luma of O and of M, [H, W]; spread: range of the luma of the witnesses, [H, W]. None is
    written to. shrink: `shrink_of` the whole picture, of which these may be a part.
    """
    difference = observed - background
    excess = difference.clamp(min=0)
    share = _shape(excess, difference.neg_().clamp_(min=0), doubts, shrink)
    share.sub_(_against(spread, excess), alpha=doubts.spread)
    share.sub_(_against(_contrast(background), excess), alpha=doubts.edge)
    share.sub_(excess.div_((1 - background).clamp_(min=_SMALLEST)), alpha=doubts.opacity)
    return share.clamp_(0, 1)


def _shape(excess: Tensor, deficit: Tensor, doubts: Doubts, shrink: int) -> Tensor:
    """The terms that look further around, at the size their lengths are given for. [H, W], not clamped"""
    size = (excess.shape[0], excess.shape[1])
    if shrink > 1:
        excess, deficit = reduced(torch.stack((excess, deficit)), shrink)
    darkening = _over(deficit, (_AROUND, _AROUND), torch.add).div_(_AROUND**2)
    terms = _against(along_lines(excess), excess).mul_(doubts.line).add_(doubts.trust)
    terms.sub_(_against(darkening, excess), alpha=doubts.darkening)
    terms.sub_(_opened(excess, _THICK) / excess.clamp(min=_SMALLEST), alpha=doubts.thickness)
    if shrink > 1:
        terms = functional.interpolate(terms[None, None], size=size, mode="bilinear")[0, 0]
    return terms


def _against(doubt: Tensor, excess: Tensor) -> Tensor:
    return doubt / (doubt + excess).clamp_(min=_SMALLEST)


def _contrast(picture: Tensor) -> Tensor:
    """Largest central difference, half of it in each direction, within one pixel. [H, W]"""
    padded = _padded(picture, 1, 1)
    across = (padded[1:-1, 2:] - padded[1:-1, :-2]).abs_()
    down = (padded[2:, 1:-1] - padded[:-2, 1:-1]).abs_()
    return _over(torch.maximum(across, down), (3, 3), torch.maximum).div_(2)


def _opened(picture: Tensor, width: int) -> Tensor:
    """What is left of a picture when everything narrower than `width` pixels, sideways, is taken off. [H, W]"""
    return _over(_over(picture, (1, width), torch.minimum), (1, width), torch.maximum)


def _over(picture: Tensor, window: tuple[int, int], combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`combine` over a window of odd (rows, columns) around every pixel, the border repeated. [H, W]

    Shifted views, one after the other: PyTorch's pooling takes several times as long on a CPU.
    """
    padded = _padded(picture, window[0] // 2, window[1] // 2)
    for axis, side in enumerate(window):
        size = picture.shape[axis]
        total = padded.narrow(axis, 0, size)
        for start in range(1, side):
            total = combine(total, padded.narrow(axis, start, size))
        padded = total
    return padded


def _padded(picture: Tensor, rows: int, columns: int) -> Tensor:
    padded: Tensor = functional.pad(picture[None, None], (columns, columns, rows, rows), mode="replicate")[0, 0]
    return padded


def along_lines(picture: Tensor) -> Tensor:
    """Mean over eight rows along the line, out of nine steep ones, on which it is largest. [H, W], as `picture`"""
    height, width = picture.shape
    best = torch.zeros_like(picture)
    padded = _padded(picture, 8, 8)
    for mirrored in (padded, padded.flip(1)):
        for slant in _SLANTS:
            total = mirrored
            for down, right in zip((1, 2, 4), slant, strict=True):
                total = total[:-down, : total.shape[1] - right] + total[down:, right:]
            left = 8 - sum(slant) * 4 // 7
            line = total[4 : 4 + height, left : left + width]
            best = torch.maximum(best, line if mirrored is padded else line.flip(1))
    return best / 8
