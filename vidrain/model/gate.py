"""The video network: three decisions per pixel of luma, how much of what exceeds the aligned background is rain.

R = g * max(O - M, 0) + h * max(min(O, M) - E, 0) + k * max(min(O, E) - D, 0), M the median, D the darkest and E the
second darkest of the aligned neighbours, as observed or as a model before it leaves them (`first`): so 0 <= R <= what
exceeds the background, and B = O - R whatever was learned. Where it rains densely rain stays in M; then h has to go on
to E, and k to D. g = s + y, where s is the share that looks like rain (`streaks`); y, h and k come from a small network
and are 0 before training, which so begins where the baseline ends. Whether a place is well aligned, and how densely it
rains there, shows on a larger scale than a streak: a second path looks at the features at an eighth of the size. y, h
and k are decided on the window reduced to the size that is trained on, s at full size: a streak twice as wide is the
same streak. Shares are linear and clamped to [0, 1] only where a video is cleaned: a sigmoid saturates in the first
steps and never comes back. No norm looks at the picture as a whole, so parts of it can be computed alone. What is
learned by squared errors is a mean: in doubt a share is too small for rain and too large for all else. `strength`, a
factor on each share that goes with the weights, leans to one side.

    net = Gate(CONFIGS["gate-s"])
    seen = look(observed, witnesses, error)
    rain = taken(net(seen.planes), seen)        # [N, 1, H, W], in training
    rain = GateDecomposer(net)(aligned)         # [1, H, W], for `decompose`
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidrain.fixed import lengths
from vidrain.model.filters import enlarged, shrunk
from vidrain.model.planes import PLANES, Removable, Seen, error_at, judge, look
from vidrain.model.streaks import in_bands, shrink_of
from vidrain.types import Aligned, Decomposer, Sight

_SHARES = 3
FOLD = 2  # pixel-unshuffle; deciding at half resolution instead costs 1.8 dB
_CONTEXT = 4  # cells of the features in one of the context, along each side
_QUICKEST = torch.channels_last  # half the time on a CPU
_AMPERE = (8, 0)  # the first GPUs that compute in bfloat16
# Pixels; of pictures of 1 or 2 in a row PyTorch 2.13 on processors with AMX gives what nobody wrote, NaN among it.
_LEAST_ROUGH = 8
_REACHES = (1, 2, 4)  # dilations of its convolutions


@dataclass(frozen=True, kw_only=True)
class GateConfig:
    """Size of a gate. radius: neighbours on each side; first: the model that takes their rain off before, one without
    such a pass itself.
    """

    width: int
    blocks: int
    radius: int = 2
    first: str | None = None


CONFIGS = {
    "gate-s": GateConfig(width=16, blocks=4),  # 34 k parameters; 24 channels take as long as 32
    "gate-m": GateConfig(width=16, blocks=4, radius=3),  # 34 k: what lies farther away holds less of a streak
    "gate-l": GateConfig(width=16, blocks=4, radius=3, first="gate-m"),  # 34 k; what it costs more is the pass before
    "gate-b": GateConfig(width=16, blocks=4, radius=3, first="baseline"),  # 34 k: behind a pass that learned nothing
}


@dataclass(frozen=True)
class GateOptions:
    """How a gate computes where a video is cleaned.

    precision: of the network. auto: bfloat16 where the device computes in it itself, in half the time of float32.
    """

    precision: Literal["auto", "float32", "bfloat16"] = "auto"


class Gate(nn.Module):
    """Planes of `look` to shares [N, 3, H, W], g, h and k, linear: `taken` makes rain of them."""

    def __init__(self, config: GateConfig) -> None:
        super().__init__()
        self.config = config
        self.strength: Tensor
        self.register_buffer("strength", torch.ones(_SHARES))
        self.head = OverCells(PLANES, config.width)
        self.context = _Context(config.width)
        self.blocks = nn.ModuleList(_Residual(config.width) for _ in range(config.blocks))
        self.tail = _conv(config.width, _SHARES * FOLD**2)
        with torch.no_grad():
            for parameter in self.tail.parameters():
                parameter.zero_()

    def forward(self, planes: Tensor) -> Tensor:
        """[N, P, H, W] to the shares [N, 3, H, W], at the size that is trained on."""
        return with_looks(self.correction(planes), planes[:, -1:])

    def correction(self, planes: Tensor) -> Tensor:
        """[N, P, H, W] to y, h and k: what the shares differ by from what looks like rain. [N, 3, H, W]"""
        return self.decided(self.features(planes), planes.shape[-2:])

    def decided(self, features: Tensor, size: Sequence[int]) -> Tensor:
        """The correction that features lead to, of pictures of (H, W). [N, 3, H, W]"""
        height, width = size
        return functional.pixel_shuffle(self.tail(features), FOLD)[..., :height, :width]

    def features(self, planes: Tensor) -> Tensor:
        """[N, P, H, W] to what the trunk makes of every cell of 2 x 2 pixels. [N, C, ceil(H / 2), ceil(W / 2)]"""
        height, width = planes.shape[-2:]
        right, below = -width % FOLD, -height % FOLD
        whole = functional.pad(planes, (0, right, 0, below), mode="replicate") if right or below else planes
        features: Tensor = torch.relu(self.head(whole).contiguous(memory_format=_QUICKEST))
        features = features + self.context(features)
        for block in self.blocks:
            features = block(features)
        return features


def with_looks(correction: Tensor, looks: Tensor) -> Tensor:
    """Shares out of a correction [N, 3, H, W] and the share [N, 1, H, W] that looks like rain: g = s + y, h, k."""
    return torch.cat([correction[:, :1] + looks, correction[:, 1:]], 1)


def taken(shares: Tensor, seen: Seen) -> Tensor:
    """Rain by the shares [N, 3, H, W] of what may be removed. [N, 1, H, W]"""
    of_excess, of_below, of_deeper = shares.chunk(_SHARES, 1)
    return of_excess * seen.excess + of_below * seen.below + of_deeper * seen.deeper


def taken_large(correction: Tensor, found: Removable, shrink: int, strength: Sequence[float]) -> Tensor:
    """Rain of a picture by the correction [3, h, w] of it so many times smaller. [H, W] strength: of the three shares.

    By bands: of a large picture every plane more is memory, and time to fetch it.
    """
    height, width = found.share.shape
    parts = (found.excess, found.below, found.deeper)
    rain = torch.zeros_like(found.share)
    for change, part, factor in zip(correction, parts, strength, strict=True):
        shares = enlarged(change, shrink, (height, width))
        for rows in in_bands(rain):
            share = shares[rows] + found.share[rows] if part is found.excess else shares[rows]
            rain[rows] += share.mul_(factor).clamp_(0, 1).mul_(lengths(part[rows]))
    return rain


class OverCells(nn.Conv2d):
    """A convolution of 3 x 3 over cells of 2 x 2 pixels, as pixel-unshuffle folds them into channels.

    [N, P, H, W], H and W even, to [N, C, H/2, W/2]. 3 x 3 cells are 6 x 6 pixels, so nothing has to be folded but the
    weights: less than half the time on a CPU.
    """

    def __init__(self, planes: int, made: int) -> None:
        super().__init__(planes * FOLD**2, made, 3, padding=1)

    def forward(self, planes: Tensor) -> Tensor:
        """The convolution, over pixels by steps of two."""
        made, folded, rows, columns = self.weight.shape
        cells = self.weight.reshape(-1, FOLD**2, rows, columns)
        weight = functional.pixel_shuffle(cells, FOLD).reshape(made, folded // FOLD**2, FOLD * rows, FOLD * columns)
        return functional.conv2d(planes, weight, self.bias, stride=FOLD, padding=FOLD)


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

    sees: Sight = "luma"
    wants_error = True
    remembers = False

    def __init__(self, net: Gate, *, first: Decomposer | None, options: GateOptions | None = None) -> None:
        self.net = net.eval().requires_grad_(False)
        self._rough = deepcopy(self.net).to(torch.bfloat16)
        self.first = first
        self.options = options or GateOptions()

    @property
    def radius(self) -> int:
        """Neighbours wanted on each side."""
        return self.net.config.radius

    def __call__(self, aligned: Aligned) -> Tensor:
        """Rain to subtract from the observation. [1, H, W] float32 >= 0

        Nowhere more than what exceeds the darkest of the witnesses; 0 without witnesses.
        """
        observed = aligned.observed
        if not len(aligned.witnesses):
            return torch.zeros(observed.shape)
        shrink = shrink_of(observed.shape)
        if shrink == 1:
            shares, seen = self.shares_of(aligned)
            return taken(shares.clamp_(0, 1), seen)[0]
        found = judge(observed[0], aligned.witnesses[:, 0], shrink=shrink)
        small = _smaller(aligned, shrink)
        share = shrunk(found.share, (shrink, shrink))[None, None]
        change = self._correction(look(small.observed[None], small.witnesses[None], small.error[None], share).planes)
        return taken_large(change[0], found, shrink, self.net.strength.tolist())[None]

    def shares_of(self, aligned: Aligned) -> tuple[Tensor, Seen]:
        """The shares of a window that has witnesses, linear, and what they are shares of. [1, 3, H, W]"""
        observed = aligned.observed
        seen = look(observed[None], aligned.witnesses[None], error_at(aligned, observed.shape)[None])
        shares = with_looks(self._correction(seen.planes), seen.planes[:, -1:])
        return shares * self.net.strength.to(shares)[:, None, None], seen

    def _correction(self, planes: Tensor) -> Tensor:
        """That of the net, in the precision that is asked for. float32"""
        asked = self.options.precision
        is_rough = asked == "bfloat16" or (asked == "auto" and _computes_bfloat16(planes.device))
        is_rough = is_rough and min(planes.shape[-2:]) >= _LEAST_ROUGH
        net = (self._rough if is_rough else self.net).to(planes.device)  # costs nothing where it is there already
        return net.correction(planes.to(net.tail.weight.dtype)).float()


def _computes_bfloat16(device: torch.device) -> bool:
    """Whether the device does so itself: where it is only imitated it takes longer than float32."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= _AMPERE
    return device.type == "cpu" and bool(torch.cpu._is_avx512_bf16_supported())


def _smaller(aligned: Aligned, shrink: int) -> Aligned:
    """The same window so many times smaller."""
    observed, *witnesses = (
        shrunk(picture[0], (shrink, shrink))[None] for picture in (aligned.observed, *aligned.witnesses)
    )
    error = error_at(aligned, observed.shape) / shrink
    return Aligned(observed=observed, witnesses=torch.stack(witnesses), error=error)
