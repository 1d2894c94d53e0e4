"""Projection heads: the space in which features are contrasted, thrown away after training.

As published with NLCL (and CUT before it): for every tapped layer a perceptron of two layers, its output of length 1.
Unlike there every head exists before the first batch, so that an optimizer can be given it.

    heads = Projections([32, 32, 64])
    projected = heads([first, second, third])  # each [..., C] to [..., 256]
"""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

_WIDTH = 256
_GAIN = 0.02  # of the published Xavier start


class Projection(nn.Module):
    """Linear, ReLU, Linear, length 1. [..., C] to [..., width]; a vector of zeros stays one."""

    def __init__(self, channels: int, width: int = _WIDTH) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(channels, width), nn.ReLU(), nn.Linear(width, width))
        start_small(self)

    def forward(self, features: Tensor) -> Tensor:
        projected: Tensor = functional.normalize(self.layers(features), dim=-1, eps=1e-7)
        return projected


class Projections(nn.Module):
    """One head per tapped layer, in the order of its `channels`."""

    def __init__(self, channels: Sequence[int], width: int = _WIDTH) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Projection(count, width) for count in channels)

    def forward(self, taps: Sequence[Tensor]) -> list[Tensor]:
        """Features of every tap [..., C]; ValueError unless there are as many as heads."""
        if len(taps) != len(self.heads):
            raise ValueError(f"found {len(taps)} taps; want {len(self.heads)}, one per head")
        return [head(tap) for head, tap in zip(self.heads, taps, strict=True)]


def start_small(module: nn.Module) -> None:
    """Xavier's normal start with a gain of 0.02 and no bias: heads and discriminator of the published training."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.xavier_normal_(layer.weight, gain=_GAIN)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
