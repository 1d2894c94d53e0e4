"""The network published with NLCL, exactly as it was: the reference that everything learned is compared with.

Ye et al., "Unsupervised Deraining: Where Contrastive Learning Meets Self-Similarity", CVPR 2022 (arXiv 2203.11509).
Two generators of one shape read the same picture O: Back gives the background, Rain a signed map. Nothing makes
B + R = O exactly. A reference, not a recommendation: B recolours the scene, and every frame is taken on its own.

Every one of its 33 instance norms looks at the whole picture, so with `live` statistics a change in one corner
changes all of it: frames flicker and tiles do not meet. `frozen` ones are measured once and then stay.

    model = Nlcl(back, None, statistics="live")
    background = model(observed)  # [N, 3, H, W] float32 RGB in [0, 1]
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from vidrain.types import Aligned, Sight

Statistics = Literal["live", "frozen"]
Normalise = Callable[[Tensor], Tensor]

_WIDTH = 32
_BLOCKS = 16
_EPS = 1e-5  # of the instance norms, added to the variance
RECEPTIVE_RADIUS = 36  # pixels; 36 convolutions of 3x3, so with frozen statistics nothing farther away counts
_FIRST_FRAMES = 8  # of a shot: one frame alone would pass its rain and its noise on to all others


@dataclass(frozen=True)
class NlclOptions:
    """What `clean` makes of the published network.

    output: `back` is the background as published; `residual` takes away what the rain network adds to its own median.
    statistics: of the instance norms, `frozen` over the first frames of each shot, or `live` on every frame.
    """

    output: Literal["back", "residual"] = "back"
    statistics: Statistics = "frozen"


class Moments(NamedTuple):
    """Mean and (biased) variance of every channel over a picture, [N, 32, 1, 1] each."""

    mean: Tensor
    variance: Tensor


class Generator(nn.Module):
    """Back and Rain alike: 316,195 parameters in 72 tensors that have the names of the published checkpoints.

    frozen: the moments of the instance norms, in the order in which they are met; empty where they are live.
    """

    def __init__(self) -> None:
        super().__init__()
        blocks = [_Residual() for _ in range(_BLOCKS)]
        self.gen = nn.Sequential(_conv(3, _WIDTH), *blocks, _Tail(), _conv(_WIDTH, 3))
        self.frozen: tuple[Moments, ...] = ()
        for bias in self._biases_before_norms():
            bias.requires_grad_(False)  # the norm takes every constant away again: they could never learn

    def forward(self, signal: Tensor, moments: Sequence[Moments] = ()) -> Tensor:
        """[N, 3, H, W] RGB in [-1, 1] to [N, 3, H, W], linear: in about the same range, not clamped.

        moments: of the norms, for this call; without them those that are frozen, or live ones.
        """
        return deque(self._stages(signal, _steadily(moments) if moments else self._norms()), maxlen=1).pop()

    def features(self, signal: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """What leaves the modules of these rising numbers, 0 to 18; the published contrast taps 0, 2, 4, 8 and 12.

        [N, 32, H, W] each (3 channels after 18); nothing beyond the last tap is computed.
        """
        stages = zip(range(max(taps, default=-1) + 1), self._stages(signal, self._norms()), strict=False)
        return [features for number, features in stages if number in taps]

    @torch.no_grad()
    def measure(self, signal: Tensor) -> tuple[Moments, ...]:
        """The live moments of each of N pictures [N, 3, H, W] in [-1, 1], norm by norm."""
        found: list[Moments] = []

        def normalise(features: Tensor) -> Tensor:
            found.append(_moments_of(features))
            return _standardised(features, found[-1])

        deque(self._stages(signal, normalise), maxlen=0)
        return tuple(found)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Generator":
        """Frozen moments go where the parameters go (`to`, `cuda`, `double`), but keep 32 bits at least."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.frozen = tuple(Moments(*(_moved(part, fn) for part in norm)) for norm in self.frozen)
        return self

    def _norms(self) -> Normalise:
        return _steadily(self.frozen) if self.frozen else _live

    def _stages(self, signal: Tensor, normalise: Normalise) -> Iterator[Tensor]:
        """The output of every module, one after the other."""
        first, *middle, last = self.gen
        features = first(signal)
        yield features
        for block in middle:
            features = block(features, normalise)
            yield features
        yield last(features)

    def _biases_before_norms(self) -> Iterator[nn.Parameter]:
        for name, parameter in self.named_parameters():
            if name.endswith(("conv.bias", "17.conv.0.bias")):
                yield parameter


class _Residual(nn.Module):
    """Two convolutions with norms around a skip; nothing after the addition."""

    def __init__(self) -> None:
        super().__init__()
        self.model = nn.Sequential(_Named(), _Named())

    def forward(self, features: Tensor, normalise: Normalise) -> Tensor:
        first, second = self.model
        return features + normalise(second(torch.relu_(normalise(first(features)))))


class _Named(nn.Module):
    """A convolution that checkpoints call `conv`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = _conv(_WIDTH, _WIDTH)

    def forward(self, features: Tensor) -> Tensor:
        out: Tensor = self.conv(features)
        return out


class _Tail(nn.Module):
    """The last pair: a norm between its convolutions alone, no skip. In checkpoints they are `conv.0`, `conv.3`."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(_conv(_WIDTH, _WIDTH), nn.Identity(), nn.Identity(), _conv(_WIDTH, _WIDTH))

    def forward(self, features: Tensor, normalise: Normalise) -> Tensor:
        out: Tensor = self.conv[3](torch.relu_(normalise(self.conv[0](features))))
        return out


def _conv(channels: int, made: int) -> nn.Conv2d:
    return nn.Conv2d(channels, made, 3, padding=1)


def _moved(part: Tensor, fn: Callable[[Tensor], Tensor]) -> Tensor:
    there = fn(part)
    return part.to(there.device, torch.promote_types(there.dtype, torch.float32))


def _moments_of(features: Tensor) -> Moments:
    """As torch.var_mean without correction, in a tenth of its time on a CPU; in 32 bits at least, in autocast too."""
    flat = features.flatten(2).to(torch.promote_types(features.dtype, torch.float32))
    mean = flat.mean(2, keepdim=True)
    variance = torch.linalg.vector_norm(flat - mean, dim=2, keepdim=True).square() / max(flat.shape[2], 1)
    return Moments(mean[..., None], variance[..., None])


def _standardised(features: Tensor, moments: Moments) -> Tensor:
    return ((features - moments.mean) * torch.rsqrt(moments.variance + _EPS)).to(features.dtype)


def _live(features: Tensor) -> Tensor:
    return _standardised(features, _moments_of(features))


def _steadily(frozen: Sequence[Moments]) -> Normalise:
    """One pass through the norms with the moments laid down for each."""
    coming = iter(frozen)
    return lambda features: _standardised(features, next(coming))


def pooled(measured: Sequence[tuple[Moments, ...]]) -> tuple[Moments, ...]:
    """The moments of many pictures taken together, as if they were one; each picture counts alike.

    measured: what `Generator.measure` returned, once or more. Of a single picture they are its own, bit for bit.
    """
    together = []
    for norm in zip(*measured, strict=True):
        means, variances = (torch.cat(parts) for parts in zip(*norm, strict=True))
        mean = means.mean(0, keepdim=True)
        together.append(Moments(mean, (variances + (means - mean).square()).mean(0, keepdim=True)))
    return tuple(together)


class Nlcl(nn.Module):
    """Pictures to backgrounds, as the published test does it; parameters `back.*` and, where it is there, `rain.*`."""

    def __init__(self, back: Generator, rain: Generator | None, *, statistics: Statistics) -> None:
        super().__init__()
        self.back, self.rain = back, rain
        self.statistics = statistics

    def forward(self, observed: Tensor) -> Tensor:
        """Background of each picture, unquantised. [N, 3, H, W] RGB in [0, 1], both

        With `frozen` statistics the pictures of the first call (frames from the beginning of a shot) give them; they
        hold until `forget`. The published test then truncates to 8 bits: `(background * 255).floor()`.
        """
        signal = as_signal(observed)
        if self.statistics == "frozen" and not self.back.frozen:
            self.back.frozen = pooled([self.back.measure(signal)])
        return as_picture(self.back(signal))

    def forget(self) -> None:
        """A shot begins: frozen statistics are measured anew on the next call."""
        self.back.frozen = ()


class NlclDecomposer:
    """The published network behind the seam of `decompose`: single frames, with an eye on where shots begin.

    With frozen statistics the first frames of a shot are each taken with what was measured up to then, and all later
    ones with what was measured on the first frames together.
    """

    sees: Sight = "rgb"
    wants_error = False
    first = None  # no pass before it
    radius = 0  # neighbours wanted on each side

    def __init__(self, model: Nlcl, options: NlclOptions) -> None:
        net = model.back if options.output == "back" else model.rain
        if net is None:
            raise ValueError("residual output needs a rain network")
        self._net, self._options = net, options
        self._shot: int | None = None
        self._measured: list[tuple[Moments, ...]] = []
        self._moments: tuple[Moments, ...] = ()  # its own: the network may be another one's as well

    @property
    def remembers(self) -> bool:
        """Whether what was measured on the first frames of a shot holds for the rest."""
        return self._options.statistics == "frozen"

    def __call__(self, aligned: Aligned) -> Tensor:
        """What to subtract from the observation. [3, H, W] float32, signed, in units of RGB in [0, 1]"""
        signal = as_signal(aligned.observed[None].clamp(0, 1))
        net = self._net.to(signal.device)
        if self.remembers:
            self._watch(aligned.shot, signal)
        out: Tensor = net(signal, self._moments)
        if self._options.output == "back":
            return aligned.observed - as_picture(out)[0]
        return _without_offset(out[0]) / 2

    def _watch(self, shot: int, signal: Tensor) -> None:
        if shot != self._shot:
            self._shot, self._measured = shot, []
        if len(self._measured) < _FIRST_FRAMES:
            self._measured.append(self._net.measure(signal))
            self._moments = pooled(self._measured)


def as_signal(picture: Tensor) -> Tensor:
    """RGB in [0, 1] to what the network reads, [-1, 1]."""
    return (picture - 0.5) / 0.5


def as_picture(out: Tensor) -> Tensor:
    """What the network says to RGB in [0, 1]."""
    return (out.clamp(-1, 1) + 1) / 2


def _without_offset(rain: Tensor) -> Tensor:
    """R less the median of each channel, [3, H, W]: R has a constant offset that would darken and tint all of it."""
    return rain - rain.flatten(1).median(dim=1).values[:, None, None]
