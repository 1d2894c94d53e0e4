"""The video network: two decisions per pixel, how much of what exceeds the aligned background is rain.

R = g * max(O - M, 0) + h * (min(O, M) - D), M the median and D the darkest of the aligned neighbours, from which the
baseline has taken rain beforehand: so 0 <= R <= what exceeds the background, and B = O - R whatever was learned. Where
it rains densely rain stays in M; then h has to go on to D. g = s + y, where s is the share that looks like rain
(`streaks`); y and h come from a small network and are 0 before training, which so begins where a baseline of two passes
ends. Whether a place is well aligned, and how densely it rains there, shows on a larger scale than a streak: a second
path looks at the features at an eighth of the size. y and h are decided on the window reduced to the size that is
trained on, s at full size: a streak twice as wide is the same streak. Shares are linear and clamped to [0, 1] only
where a video is cleaned: a sigmoid saturates in the first steps and never comes back. No norm looks at the picture as a
whole, so parts of it can be computed alone. What is learned by squared errors is a mean: in doubt a share is too small
for rain and too large for all else. `strength`, a factor on the shares that goes with the weights, leans to one side.

    net = Gate(CONFIGS["gate-s"])
    seen = look(observed, witnesses, error, per_channel=net.config.per_channel)
    rain = taken(net(seen.planes), seen)        # [N, 3, H, W], in training
    rain = GateDecomposer(net)(aligned)         # [3, H, W], for `decompose`
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidrain.model.planes import CHANNEL_PLANES, LUMA_PLANES, Removable, Seen, judge, look
from vidrain.model.streaks import reduced, shrink_of
from vidrain.types import Aligned, Decomposer

_FOLD = 2  # pixel-unshuffle; deciding at half resolution instead costs 1.8 dB
_CONTEXT = 4  # cells of the features in one of the context, along each side
_REACHES = (1, 2, 4)  # dilations of its convolutions


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Size and inputs of a gate. radius: neighbours on each side; per_channel: three gates, else one on luma."""

    width: int
    blocks: int
    per_channel: bool
    radius: int = 2


CONFIGS = {
    "gate-s": GateConfig(width=24, blocks=3, per_channel=False),  # 60 k parameters
    "gate-m": GateConfig(width=32, blocks=4, per_channel=True),  # 131 k
    "gate-l": GateConfig(width=64, blocks=5, per_channel=True, radius=3),  # 556 k
}


class Gate(nn.Module):
    """Planes of `look` to shares [N, 2 or 6, H, W], first g and then h, linear: `taken` makes rain of them."""

    def __init__(self, config: GateConfig) -> None:
        super().__init__()
        self.config = config
        self.strength: Tensor
        self.register_buffer("strength", torch.ones(()))
        planes, self._gates = (CHANNEL_PLANES, 3) if config.per_channel else (LUMA_PLANES, 1)
        self.head = _conv(planes * _FOLD**2, config.width)
        self.context = _Context(config.width)
        self.blocks = nn.ModuleList(_Residual(config.width) for _ in range(config.blocks))
        self.tail = _conv(config.width, 2 * self._gates * _FOLD**2)
        with torch.no_grad():
            for parameter in self.tail.parameters():
                parameter.zero_()

    def forward(self, planes: Tensor) -> Tensor:
        """[N, P, H, W] to the shares [N, 2 or 6, H, W], at the size that is trained on."""
        return with_looks(self.correction(planes), planes[:, -1:])

    def correction(self, planes: Tensor) -> Tensor:
        """[N, P, H, W] to y and h: what the shares differ by from what looks like rain. [N, 2 or 6, H, W]"""
        height, width = planes.shape[-2:]
        whole = functional.pad(planes, (0, -width % _FOLD, 0, -height % _FOLD), mode="replicate")
        folded = functional.pixel_unshuffle(whole, _FOLD)
        features = torch.relu(self.head(folded.contiguous(memory_format=torch.channels_last)))  # half the time on a CPU
        features = features + self.context(features)
        for block in self.blocks:
            features = block(features)
        return functional.pixel_shuffle(self.tail(features), _FOLD)[..., :height, :width]


def with_looks(correction: Tensor, looks: Tensor) -> Tensor:
    """Shares out of a correction [N, 2 or 6, H, W] and the share [N, 1, H, W] that looks like rain: g = s + y, h."""
    change, further = correction.chunk(2, 1)
    return torch.cat([change + looks, further], 1)


def taken(shares: Tensor, seen: Seen | Removable) -> Tensor:
    """Rain by the shares [N, 2 or 6, H, W] of what may be removed. [N, 3, H, W]"""
    of_excess, of_below = shares.chunk(2, 1)
    return of_excess * seen.excess + of_below * seen.below


class _Context(nn.Module):
    """What features say of their surroundings: a mean of 4 x 4 cells, and convolutions that reach ever farther."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = _conv(width, width)
        self.wider = nn.ModuleList(_conv(width, width, reach) for reach in _REACHES)

    def forward(self, features: Tensor) -> Tensor:
        around = functional.avg_pool2d(features, _CONTEXT, ceil_mode=True)
        around = torch.relu(self.first(around))
        for layer in self.wider:
            around = around + torch.relu(layer(around))
        return functional.interpolate(around, scale_factor=_CONTEXT, mode="bilinear")[
            ..., : features.shape[-2], : features.shape[-1]
        ]


class _Residual(nn.Module):
    """Two convolutions around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width), _conv(width, width)

    def forward(self, features: Tensor) -> Tensor:
        change: Tensor = self.second(torch.relu(self.first(features)))
        return features + change


def _conv(channels: int, made: int, reach: int = 1) -> nn.Conv2d:
    return nn.Conv2d(channels, made, 3, padding=reach, dilation=reach)


class GateDecomposer:
    """A trained gate as a decomposer of aligned windows. first: the pass before, with which it was trained."""

    remembers = False

    def __init__(self, net: Gate, *, first: Decomposer | None) -> None:
        self.net = net.eval().requires_grad_(False)
        self.first = first

    @property
    def radius(self) -> int:
        """Neighbours wanted on each side."""
        return self.net.config.radius

    def __call__(self, aligned: Aligned) -> Tensor:
        """Rain to subtract from the observation. [3, H, W] float32 >= 0, in units of RGB in [0, 1]

        Nowhere more than what exceeds the darkest of the witnesses; 0 without witnesses.
        """
        observed = aligned.observed
        if not len(aligned.witnesses):
            return torch.zeros_like(observed)
        net = self.net.to(observed.device)  # costs nothing where it is there already
        parts = (observed[None], aligned.witnesses[None], aligned.error[None])
        shrink, per_channel = shrink_of(observed.shape), net.config.per_channel
        if shrink == 1:
            seen = look(*parts, per_channel=per_channel)
            return taken((net(seen.planes) * net.strength).clamp_(0, 1), seen)[0]
        found = judge(*parts, shrink=shrink)
        small = (
            reduced(observed, shrink)[None],
            reduced(aligned.witnesses, shrink)[None],
            reduced(aligned.error, shrink)[None] / shrink,
        )
        change = net.correction(look(*small, per_channel=per_channel).planes)
        whole = functional.interpolate(change, size=observed.shape[-2:], mode="bilinear")
        return taken((with_looks(whole, found.share) * net.strength).clamp_(0, 1), found)[0]
