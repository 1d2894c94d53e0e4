"""The decomposer that needs no training: what is brighter than the neighbouring frames, and looks like a streak.

Per pixel of luma the median M of the aligned witnesses is compared with the observation O. Rain only brightens, so
only the excess O - M > 0 can be rain; a few cheap measures then say whether it could as well be texture that the
alignment missed. Knows nothing of video, flow or files.

    rain = Baseline(BaselineOptions())(aligned)   # [1, H, W], subtract it
"""

from dataclasses import dataclass, field, replace
from math import isnan

import torch
from torch import Tensor

from vidrain.errors import UsageError
from vidrain.fixed import lengths
from vidrain.model.planes import error_at, ranked
from vidrain.model.streaks import Doubts, in_bands, share_of_rain, shrink_of
from vidrain.types import Aligned, Sight

_WIDEST = 8  # frames; the window grows with four times the radius
_MOST_PASSES = 3  # each takes more time than the first


@dataclass(frozen=True)
class BaselineOptions:
    """How much is taken for rain.

    radius: neighbours on each side.
    passes: 1 compares with the neighbours as observed; 2 with what a first pass left of them, and so on: less of
        their rain is left in M, and none leads the flow astray.
    largest_error: forward-backward error of the flow, in pixels, from which on a witness votes for the observation.
        None, because it loses: on flat ground rain leads the flow astray and yet the warp fetches the right grey
        (docs/quality.md has the figures).
    doubts: what may speak against rain, and for it.
    """

    radius: int = 2
    passes: int = 1
    largest_error: float | None = None
    doubts: Doubts = field(default_factory=Doubts)

    def __post_init__(self) -> None:
        if not 0 <= self.radius <= _WIDEST:
            raise UsageError(f"baseline.radius={self.radius}: allowed: 0 to {_WIDEST}")
        if not 1 <= self.passes <= _MOST_PASSES:
            raise UsageError(f"baseline.passes={self.passes}: allowed: 1 to {_MOST_PASSES}")
        if self.largest_error is not None and isnan(self.largest_error):
            raise UsageError(f"baseline.largest_error={self.largest_error}: is no number")


class Baseline:
    """One-sided median of the aligned neighbours, the observed frame itself left out, as far as it looks like rain."""

    sees: Sight = "luma"
    remembers = False

    def __init__(self, options: BaselineOptions) -> None:
        self.options = options

    @property
    def first(self) -> "Baseline | None":
        """The pass before this one, which takes rain off the neighbours."""
        passes = self.options.passes - 1
        return Baseline(replace(self.options, passes=passes)) if passes else None

    @property
    def radius(self) -> int:
        """Neighbours wanted on each side."""
        return self.options.radius

    @property
    def wants_error(self) -> bool:
        """Whether the error of the flow counts."""
        return self.options.largest_error is not None

    def __call__(self, aligned: Aligned) -> Tensor:
        """Rain to subtract from the observation. [1, H, W] float32 >= 0"""
        if not len(aligned.witnesses):
            return torch.zeros(aligned.observed.shape)
        observed, votes = aligned.observed[0], _votes(aligned, self.options.largest_error)
        background, spread = torch.empty_like(observed), torch.empty_like(observed)
        for rows in in_bands(observed):
            found = ranked([vote[rows] for vote in votes])
            background[rows], spread[rows] = found.middle, found.most - found.least
        share = share_of_rain(
            observed, background, spread, doubts=self.options.doubts, shrink=shrink_of(observed.shape)
        )
        for rows in in_bands(observed):
            share[rows].mul_(lengths((observed[rows] - background[rows]).clamp_(min=0)))
        return share[None]


def _votes(aligned: Aligned, largest_error: float | None) -> list[Tensor]:
    """Of the witnesses, [H, W] each. Where its flow does not lead back one votes for the observation."""
    votes = list(aligned.witnesses[:, 0])
    if largest_error is None:
        return votes
    near = zip(error_at(aligned, aligned.observed.shape) < largest_error, votes, strict=True)
    return [torch.where(is_near, vote, aligned.observed[0]) for is_near, vote in near]
