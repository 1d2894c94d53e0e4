"""The decomposer that needs no training: what is brighter than the neighbouring frames, and looks like a streak.

Per pixel the median M of the aligned witnesses is compared with the observation O. Rain only brightens, so only
the excess O - M > 0 can be rain; a few cheap measures then say whether it could as well be texture that the
alignment missed. Knows nothing of video, flow or files.

    rain = Baseline(BaselineOptions())(aligned)   # [3, H, W], subtract it
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from math import inf, isnan

import torch
from torch import Tensor
from torch.nn import functional

from vidrain.errors import UsageError
from vidrain.model.planes import luma, median
from vidrain.types import Aligned

_LINES = 360  # rows, or columns of an upright picture, of the size at which lengths below are given
_THICK = 7  # pixels across; a streak is thinner, sideways
_AROUND = 11  # pixels; side of the box in which darkening is averaged
# Sideways steps after 1, 2 and 4 rows of the eight pixels that make a line: 0 to 45 degrees off the vertical.
_SLANTS = ((0, 0, 0), (0, 1, 1), (0, 1, 2), (1, 1, 3), (1, 2, 4))
_SMALLEST = 1e-4  # of RGB in [0, 1]: far below one code of any depth, keeps shares finite


_WIDEST = 8  # frames; the window grows with four times the radius


@dataclass(frozen=True)
class BaselineOptions:
    """How much is taken for rain.

    radius: neighbours on each side.
    largest_error: forward-backward error of the flow, in pixels, from which on a witness votes for the observation.
        None, because it loses: on flat ground rain leads the flow astray and yet the warp fetches the right grey
        (docs/quality.md has the figures).

    The share of the excess that is removed is, between 0 and 1, trust + line * l - the weighted sum of the
    doubts. Each measure is in luma; "against the excess" means x / (x + excess), from 0 to 1.
    spread: range of the witnesses against the excess: they contradict each other where the flow failed.
    edge: local contrast of M against the excess: next to an edge half a pixel of misalignment looks like rain.
    darkening: mean of M - O > 0 nearby against the excess: rain never darkens, noise and bad alignment do.
    thickness: the part of the excess that is wider than a streak, as a share of it.
    opacity: excess over what is left to white: a falling drop covers a pixel for only part of the exposure.
    line: mean excess along the best steep line against the excess at the pixel; l is 0.5 on a long streak.
    """

    radius: int = 2
    largest_error: float | None = None
    trust: float = 0.7
    spread: float = 0.4
    edge: float = 0.8
    darkening: float = 1.8
    thickness: float = 0.75
    opacity: float = 1.2
    line: float = 2.2

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= _WIDEST:
            raise UsageError(f"baseline.radius={self.radius}: allowed: 0 to {_WIDEST}")
        for key, value in vars(self).items():
            if value is not None and isnan(value):
                raise UsageError(f"baseline.{key}={value}: is no number")


class Baseline:
    """One-sided median of the aligned neighbours, the observed frame itself left out, as far as it looks like rain."""

    def __init__(self, options: BaselineOptions) -> None:
        self.options = options

    @property
    def radius(self) -> int:
        """Neighbours wanted on each side."""
        return self.options.radius

    def __call__(self, aligned: Aligned) -> Tensor:
        """Rain to subtract from the observation. [3, H, W] float32 >= 0, in units of RGB in [0, 1]"""
        observed = aligned.observed
        if not len(aligned.witnesses):
            return torch.zeros_like(observed)
        background, spread = _witnessed(aligned, inf if (limit := self.options.largest_error) is None else limit)
        gate = self._gate(luma(observed), luma(background), spread)
        return torch.sub(observed, background, out=background).clamp_(min=0).mul_(gate)

    def _gate(self, observed: Tensor, background: Tensor, spread: Tensor) -> Tensor:
        """The share of the excess that is rain, from luma pictures [H, W]. [H, W] in [0, 1]"""
        options = self.options
        difference = observed - background
        excess = difference.clamp(min=0)
        gate = self._shape(excess, difference.neg_().clamp_(min=0))
        gate.sub_(_against(spread, excess), alpha=options.spread)
        gate.sub_(_against(_contrast(background), excess), alpha=options.edge)
        gate.sub_(excess.div_((1 - background).clamp_(min=_SMALLEST)), alpha=options.opacity)
        return gate.clamp_(0, 1)

    def _shape(self, excess: Tensor, deficit: Tensor) -> Tensor:
        """The terms that look further around, at the size their lengths are given for. [H, W], not clamped"""
        options, size = self.options, (excess.shape[0], excess.shape[1])
        shrink = max(1, round(min(size) / _LINES))
        if shrink > 1:
            pair = torch.stack((excess, deficit))
            excess, deficit = functional.avg_pool2d(pair, shrink, ceil_mode=True)
        darkening = _over(deficit, (_AROUND, _AROUND), torch.add).div_(_AROUND**2)
        terms = _against(_along_lines(excess), excess).mul_(options.line).add_(options.trust)
        terms.sub_(_against(darkening, excess), alpha=options.darkening)
        terms.sub_(_opened(excess, _THICK) / excess.clamp(min=_SMALLEST), alpha=options.thickness)
        if shrink > 1:
            terms = functional.interpolate(terms[None, None], size=size, mode="bilinear")[0, 0]
        return terms


def _witnessed(aligned: Aligned, largest_error: float) -> tuple[Tensor, Tensor]:
    """M [3, H, W], the median of the witnesses, and the range of their luma [H, W].

    Where its flow does not lead back, or its warp left the picture, a witness votes for the observation.
    """
    votes = [
        torch.where(error < largest_error, witness, aligned.observed)
        for error, witness in zip(aligned.error, aligned.witnesses, strict=True)
    ]
    brightness = [luma(vote) for vote in votes]
    return median(votes), reduce(torch.maximum, brightness) - reduce(torch.minimum, brightness)


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


def _along_lines(picture: Tensor) -> Tensor:
    """Mean over eight rows along the line, out of nine steep ones, on which it is largest. [H, W]"""
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
