"""Pairs to learn from without any clean picture: rain cut out of rainy windows and pasted elsewhere.

A teacher takes rain R out of an observation O. What is left, P = O - R, is nearly clean; pieces of R from other places
and times are pasted onto P and, independently, onto its aligned neighbours; a network must give P back. Misaligned
texture stays where edges are, pasted rain does not: that is what it learns to tell apart. Where the teacher found rain
nothing is pasted, and nothing is learned: P is a guess there, with what the teacher left, and would pass for the truth.

Rain persists through the codec: at 30 frames a second 26 % of a streak's brightness is still there one frame on, 14 %
four frames on. So faint remains of what is pasted onto P go onto its neighbours as well, at the same place.

    pair = recycle(observed, witnesses, rain, generator, options=RecycleOptions(), is_dried=False)
    loss = error(pair.observed - rain_of(pair.observed, pair.witnesses), pair.target)
"""

from dataclasses import dataclass, replace
from math import log
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vidrain.errors import UsageError
from vidrain.model.streaks import along_lines


@dataclass(frozen=True, kw_only=True)
class RecycleOptions:
    """How rain is cut out and pasted.

    speckle: of luma in [0, 1]; what a teacher takes away is rain where it exceeds this, noise elsewhere.
    margin: pixels around the teacher's rain where nothing is pasted.
    layers: pieces pasted over one another, 1 to this many. weakest, strongest: what their brightness is multiplied
    with, drawn evenly in its logarithm: rain elsewhere may be heavier, and a teacher takes less than there is.
    zoom: pieces are drawn larger or smaller by up to this factor. stretch: and longer by up to this one, as a shutter
    would that is open for longer. slant: columns per row by which they lean over more.
    neighbours: probability that a neighbour holds rain of its own; left: at most this share of its brightness, where
    neighbours are seen as a first pass leaves them, and all of it where they are seen as filmed. persistence:
    probability that a neighbour holds remains of the observation's; remains_least, remains_most: the share of its
    brightness that remains.
    """

    speckle: float = 0.02
    margin: int = 2
    layers: int = 3
    weakest: float = 0.5
    strongest: float = 4.0
    zoom: float = 2.0
    stretch: float = 4.0
    slant: float = 0.2
    neighbours: float = 0.5
    left: float = 0.4
    persistence: float = 0.5
    remains_least: float = 0.0
    remains_most: float = 0.3

    def __post_init__(self) -> None:
        if self.layers < 1 or self.margin < 0:
            raise UsageError(f"recycle.layers={self.layers} margin={self.margin}: allowed: from 1, from 0")
        if not 0 < self.weakest <= self.strongest:
            raise UsageError(f"recycle.weakest={self.weakest}: allowed: above 0, up to strongest={self.strongest}")
        if not (self.zoom >= 1 and self.stretch >= 1 and self.slant >= 0):
            found = f"recycle.zoom={self.zoom} stretch={self.stretch} slant={self.slant}"
            raise UsageError(f"{found}: allowed: from 1, from 1, from 0")
        for key in ("speckle", "neighbours", "left", "persistence", "remains_least", "remains_most"):
            if not 0 <= (value := getattr(self, key)) <= 1:
                raise UsageError(f"recycle.{key}={value}: allowed: 0 to 1")


class Recycled(NamedTuple):
    """Windows to learn from: `observed` [N, 1, H, W], `witnesses` [N, K, 1, H, W], and the `target` [N, 1, H, W].

    known: [N, 1, H, W] bool, false where the teacher found rain and near it.
    """

    observed: Tensor
    witnesses: Tensor
    target: Tensor
    known: Tensor


def recycle(
    observed: Tensor,
    witnesses: Tensor,
    rain: Tensor,
    generator: torch.Generator,
    *,
    options: RecycleOptions,
    is_dried: bool,
) -> Recycled:
    """Paste rain of the whole batch onto each of its windows.

    observed: [N, 1, H, W]; witnesses: [N, K, 1, H, W]; rain: [N, 1, H, W] >= 0, what the teacher takes from `observed`
    (0 for a clean picture). generator: on the CPU, so that every device draws alike. is_dried: whether a first pass has
    taken the rain off the witnesses; of rain of their own they get what it leaves of one piece, else as much as the
    observation. Nothing gets brighter than 1 that was not before.
    """
    there = _covered(rain, options.speckle, 1)
    layer = rain * there
    target = observed - layer
    known = ~_covered(rain, options.speckle, options.margin)
    streaks = _joined(layer, options.speckle)
    pasted = _shower(streaks, generator, options) * known
    count, neighbours = witnesses.shape[:2]
    own_rain = replace(options, layers=1) if is_dried else options
    least, most = (0.0, options.left) if is_dried else (1.0, 1.0)
    others = torch.empty_like(witnesses)
    for k in range(neighbours):
        left = _between(least, most, count, generator, rain)
        own = _shower(streaks, generator, own_rain) * (left * _chosen(options.neighbours, count, generator, rain))
        share = _between(options.remains_least, options.remains_most, count, generator, rain)
        remains = pasted * (share * _chosen(options.persistence, count, generator, rain))
        others[:, k] = _brightened(witnesses[:, k], own + remains)
    return Recycled(_brightened(target, pasted), others, target, known)


def _joined(layer: Tensor, speckle: float) -> Tensor:
    """The streaks of a layer [N, 1, H, W], grey and whole: a teacher takes them in bits, and texture among them.

    The mean along the best steep line fills gaps, and leaves an eighth of a dot.
    """
    lines = torch.stack([along_lines(picture) for picture in layer[:, 0]])[:, None]
    return lines * _covered(lines, speckle, 1)


def _covered(rain: Tensor, speckle: float, margin: int) -> Tensor:
    """Where there is rain, or some within `margin` pixels. [N, 1, H, W] bool"""
    strong = (rain > speckle).to(rain.dtype)
    return functional.max_pool2d(strong, 2 * margin + 1, stride=1, padding=margin) > 0


def _brightened(picture: Tensor, rain: Tensor) -> Tensor:
    """The picture with rain on it, white at most."""
    return torch.maximum(picture, (picture + rain).clamp(max=1))


def _shower(layer: Tensor, generator: torch.Generator, options: RecycleOptions) -> Tensor:
    """Rain from elsewhere for each window: pieces of the batch, moved, reshaped, weaker or stronger. [N, 1, H, W]"""
    total = torch.zeros_like(layer)
    rainy = layer[layer.flatten(1).any(1)]  # of a window without rain there is nothing to paste
    if not len(rainy):
        return total
    count = len(layer)
    wanted = torch.randint(1, options.layers + 1, (count,), generator=generator)
    for number in range(options.layers):
        strength = _between(log(options.weakest), log(options.strongest), count, generator, layer).exp()
        pieces = torch.stack([_piece(rainy, generator) for _ in range(count)])
        total += _reshaped(pieces, generator, options) * strength * (wanted > number).to(layer)[:, None, None, None]
    return total


def _piece(rainy: Tensor, generator: torch.Generator) -> Tensor:
    """The rain of one of the windows, moved around a torus. [1, H, W]"""
    count, _, height, width = rainy.shape
    source, down, right = (int(torch.randint(end, (1,), generator=generator)) for end in (count, height, width))
    return rainy[source].roll((down, right), (1, 2))


def _reshaped(pieces: Tensor, generator: torch.Generator, options: RecycleOptions) -> Tensor:
    """Every piece [N, 1, H, W] flipped sideways or not, zoomed, and leaning over, about its middle."""
    count = len(pieces)
    zoom, lean, flip = (
        _between(-most, most, count, generator, pieces).flatten() for most in (log(options.zoom), options.slant, 1.0)
    )
    size, longer = zoom.exp(), _between(0, log(options.stretch), count, generator, pieces).flatten().exp()
    matrix = torch.zeros(
        count, 2, 3, dtype=pieces.dtype, device=pieces.device
    )  # from here to there, in halves of a side
    matrix[:, 0, 0] = torch.where(flip < 0, -size, size)
    matrix[:, 0, 1] = lean * pieces.shape[2] / pieces.shape[3]
    matrix[:, 1, 1] = size / longer
    grid = functional.affine_grid(matrix, list(pieces.shape), align_corners=False)
    return functional.grid_sample(pieces, grid, padding_mode="reflection", align_corners=False)


def _chosen(probability: float, count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """1 with the probability, else 0. [N, 1, 1, 1]"""
    return (torch.rand(count, 1, 1, 1, generator=generator) < probability).to(like)


def _between(least: float, most: float, count: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Uniform draws. [N, 1, 1, 1]"""
    return (least + (most - least) * torch.rand(count, 1, 1, 1, generator=generator)).to(like)


def trust(pair: Recycled, is_clean: Tensor, dry: float) -> Tensor:
    """How much the target counts at each pixel. [N, 1, H, W], 0 to 1

    1 where rain was pasted, and all over a clean window (is_clean: [N] bool); nothing where the target is not known;
    `dry` elsewhere: there may be rain that the teacher missed, which a network should not be taught to keep.
    """
    pasted = pair.observed > pair.target
    certain = pasted | is_clean[:, None, None, None]
    return pair.known.to(pair.target) * torch.where(certain, 1.0, dry)


def charbonnier(background: Tensor, target: Tensor, weight: Tensor, softness: float) -> Tensor:
    """Mean of weight * (sqrt(d^2 + s^2) - s): about |d| for differences above the softness s, d^2 / 2s below."""
    error = torch.hypot(background - target, torch.full_like(target, softness)) - softness
    return (error * weight).mean()
