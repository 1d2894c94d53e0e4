"""The video network: one decision per pixel, how much of what exceeds the aligned background is rain.

R = g * max(O - M, 0), M the median of the aligned neighbours, from which the baseline has taken rain beforehand: so
0 <= R <= what exceeds the background, and B = O - R whatever was learned. g = s + y, where s is the share that looks
like rain (`streaks`) and y, from a small network, the correction: 0 before training, which so begins where a baseline
of two passes ends. y is decided on the window reduced to the size that is trained on, s at full size: a streak twice as
wide is the same streak. The gate is linear and clamped to [0, 1] only where a video is cleaned: a sigmoid saturates in
the first steps and never comes back. No norm looks at the picture as a whole, so parts of it can be computed alone.

    net = Gate(CONFIGS["gate-s"])
    seen = look(observed, witnesses, error, per_channel=net.config.per_channel)
    rain = net(seen.planes) * seen.excess       # [N, 3, H, W], in training
    rain = GateDecomposer(net)(aligned)         # [3, H, W], for `decompose`
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidrain.model.planes import CHANNEL_PLANES, LUMA_PLANES, judge, look
from vidrain.model.streaks import reduced, shrink_of
from vidrain.types import Aligned, Decomposer

_FOLD = 2  # pixel-unshuffle; deciding at half resolution instead costs 1.8 dB


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Size and inputs of a gate. radius: neighbours on each side; per_channel: three gates, else one on luma."""

    width: int
    blocks: int
    per_channel: bool
    radius: int = 2


CONFIGS = {
    "gate-s": GateConfig(width=24, blocks=3, per_channel=False),  # 37 k parameters
    "gate-m": GateConfig(width=32, blocks=4, per_channel=True),  # 89 k
    "gate-l": GateConfig(width=64, blocks=5, per_channel=True, radius=3),  # 399 k
}


class Gate(nn.Module):
    """Planes of `look` to the gate [N, 1 or 3, H, W], linear: clamp it to [0, 1] where no gradient is wanted."""

    def __init__(self, config: GateConfig) -> None:
        super().__init__()
        self.config = config
        planes, gates = (CHANNEL_PLANES, 3) if config.per_channel else (LUMA_PLANES, 1)
        self.head = _conv(planes * _FOLD**2, config.width)
        self.blocks = nn.ModuleList(_Residual(config.width) for _ in range(config.blocks))
        self.tail = _conv(config.width, gates * _FOLD**2)
        with torch.no_grad():
            for parameter in self.tail.parameters():
                parameter.zero_()

    def forward(self, planes: Tensor) -> Tensor:
        """[N, P, H, W] to the gate [N, 1 or 3, H, W], at the size that is trained on."""
        return planes[:, -1:] + self.correction(planes)

    def correction(self, planes: Tensor) -> Tensor:
        """[N, P, H, W] to what the gate differs by from the share that looks like rain. [N, 1 or 3, H, W]"""
        height, width = planes.shape[-2:]
        whole = functional.pad(planes, (0, -width % _FOLD, 0, -height % _FOLD), mode="replicate")
        folded = functional.pixel_unshuffle(whole, _FOLD)
        features = torch.relu(self.head(folded.contiguous(memory_format=torch.channels_last)))  # half the time on a CPU
        for block in self.blocks:
            features = block(features)
        return functional.pixel_shuffle(self.tail(features), _FOLD)[..., :height, :width]


class _Residual(nn.Module):
    """Two convolutions around a skip."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = _conv(width, width), _conv(width, width)

    def forward(self, features: Tensor) -> Tensor:
        change: Tensor = self.second(torch.relu(self.first(features)))
        return features + change


def _conv(channels: int, made: int) -> nn.Conv2d:
    return nn.Conv2d(channels, made, 3, padding=1)


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

        Nowhere more than what exceeds the median of the witnesses; 0 without witnesses.
        """
        observed = aligned.observed
        if not len(aligned.witnesses):
            return torch.zeros_like(observed)
        net = self.net.to(observed.device)  # costs nothing where it is there already
        parts = (observed[None], aligned.witnesses[None], aligned.error[None])
        shrink, per_channel = shrink_of(observed.shape), net.config.per_channel
        if shrink == 1:
            seen = look(*parts, per_channel=per_channel)
            whole: Tensor = net(seen.planes).clamp_(0, 1) * seen.excess
            return whole[0]
        found = judge(*parts, shrink=shrink)
        small = (
            reduced(observed, shrink)[None],
            reduced(aligned.witnesses, shrink)[None],
            reduced(aligned.error, shrink)[None] / shrink,
        )
        change = net.correction(look(*small, per_channel=per_channel).planes)
        gate = functional.interpolate(change, size=observed.shape[-2:], mode="bilinear") + found.share
        return found.excess.mul_(gate.clamp_(0, 1))[0]
