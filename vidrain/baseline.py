"""The decomposer that needs no training: what is brighter than the same place in the neighbouring frames is rain.

Per pixel the median M of the aligned witnesses is compared with the observation O. Rain only brightens, so only
O - M > 0 can be rain; a gate then asks whether the excess could as well be texture that the alignment missed.
Knows nothing of video, flow or files: aligned windows in, rain out.

    rain = Baseline(BaselineOptions())(aligned)   # [3, H, W], subtract it
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vidrain.types import Aligned


@dataclass(frozen=True)
class BaselineOptions:
    """How much is taken for rain.

    radius: neighbours on each side.
    largest_error: forward-backward error, in pixels, beyond which a witness votes for the observation itself.
    """

    radius: int = 2
    largest_error: float = 2.0


class Baseline:
    """One-sided median of the aligned neighbours, the observed frame itself left out."""

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
        trusted = aligned.error <= self.options.largest_error
        votes = [torch.where(ok, witness, observed) for ok, witness in zip(trusted, aligned.witnesses, strict=True)]
        return torch.clamp(observed - median(votes), min=0)


def median(values: Sequence[Tensor]) -> Tensor:
    """Element-wise median (mean of the middle two for an even count) by exchanges of minimum and maximum.

    torch.median and torch.sort over a stack of four 720p pictures are an order of magnitude slower on a CPU.
    """
    ordered = list(values)
    count = len(ordered)
    for done in range(count - 1):
        for i in range(count - 1 - done):
            low = torch.minimum(ordered[i], ordered[i + 1])
            ordered[i + 1] = torch.maximum(ordered[i], ordered[i + 1])
            ordered[i] = low
    middle = count // 2
    return ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2
