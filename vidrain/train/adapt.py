"""adapt(): how much of each of its shares a gate takes, fitted to the footage that it is to clean.

Footage tells no truth, so it is simulated, with one that is known: what is left of every frame, with the rain on it
that was found five frames later. It rains as densely there as in the footage, on neighbours as well, and motion is
measured anew. It is made by the gate with all of its shares a little larger (`BOLD`): rain that is left counts as
background there, so one that leaves much of it would ask for still less. Three factors, on g, h and k (`model.gate`),
are chosen among `TRIED`: those that lower the error most. They are kept where they lower it on stretches of the footage
that are held out as well; the base weights are kept otherwise. docs/quality.md tells what they gain on the clips by
which all of this was chosen, and what was lost where more was learned.

Without a clock everything follows from base weights, footage, options and the number of threads: the same number of
steps gives the same weights, bit for bit on one kind of CPU.

    net, outcome = adapt(base, clips, AdaptOptions(seconds=30), device="cpu")
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product, zip_longest
from time import monotonic
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.decompose import DecomposeOptions, Followed, dried, followed, judged, taken_from, warped
from vidrain.errors import UsageError
from vidrain.events import AdaptationStep, OnEvent, ignore
from vidrain.meter import MeterOptions
from vidrain.model.gate import Gate, GateDecomposer
from vidrain.shots import Step
from vidrain.train.data import picture_of_luma
from vidrain.train.stretches import Clip, Stretch, split
from vidrain.types import Aligned

FACTORS = ((0.6, 0.8, 1.0, 1.25, 1.5), (0.3, 0.65, 1.0, 1.5, 2.2), (0.3, 1.0, 1.6, 2.4))  # of g, h and k
TRIED = tuple(product(*FACTORS))
# In a first version gate-m gained a third of it with 1 everywhere, and with 1.5 it lost 0.15 dB on one clip of six.
# Gates behind a pass leave less rain: as bold as the others they lost half a dB on one (docs/quality.md).
BOLD, BOLD_BEHIND = (1.25, 1.25, 1.3), (1.1, 1.1, 1.15)
_BASE = TRIED.index((1.0, 1.0, 1.0))
_LATER = 5  # frames, after which rain is other rain: 14 % of a streak are left after four (train/recycling.py)
_SHORTEST = 2 * _LATER  # of a stretch; in one that is shorter rain would be laid where it was, or next to it
_LEAST_STEPS = 2  # one to choose by, one to judge by
_MOST_SEED = 2**31  # PyTorch takes larger ones, and not any
_EVERY = 2  # frames from one that is judged to the next
_SPECKLE = 0.02  # of luma in [0, 1]; what a gate takes is rain where it exceeds this, noise elsewhere
_LEAST_RAIN = 1e-3  # of the pixels; with less there is nothing to be fitted to
_LONGEST_S = 1e6
_FOLLOWED = DecomposeOptions(meter=MeterOptions(dry=None))  # what a gate does where no rain is seen counts as well


@dataclass(frozen=True, kw_only=True)
class AdaptOptions:
    """How long and how a network is fitted. `configs/clean.yaml` explains every key."""

    seconds: float | None = None
    steps: int | None = None
    seed: int = 0
    threads: int | None = None
    least_gain: float = 0.005

    def __post_init__(self) -> None:
        if self.seconds is not None and self.steps is not None:
            raise UsageError(f"seconds={self.seconds:g} steps={self.steps}: allowed: one of them; steps has no clock")
        if self.seconds is not None and not 0 < self.seconds <= _LONGEST_S:
            raise UsageError(f"adapting for {self.seconds:g} seconds: allowed: above 0, up to {_LONGEST_S:g}")
        if not 0 <= self.seed < _MOST_SEED:
            raise UsageError(f"adapting with seed={self.seed}: allowed: from 0, below {_MOST_SEED}")
        for key in ("steps", "threads"):
            if (value := getattr(self, key)) is not None and value < 1:
                raise UsageError(f"adapting with {key}={value}: allowed: at least 1")
        if not 0 < self.least_gain < 1:
            raise UsageError(f"adapting with least_gain={self.least_gain}: allowed: above 0, below 1")

    @property
    def is_wanted(self) -> bool:
        """Whether a limit is set."""
        return self.seconds is not None or self.steps is not None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What adapting came to.

    steps: stretches of the footage that were simulated. factors: on the shares g, h and k. gain: by how much they lower
    the error on stretches held out, as a share of it. reason: why the base weights were kept; then factors are 1.
    """

    steps: int = 0
    factors: tuple[float, float, float] = (1.0, 1.0, 1.0)
    gain: float = 0.0
    reason: str | None = None


class Simulated(NamedTuple):
    """Sums over simulated frames. errors: [F] float64, by each of `TRIED`; rainy: shares of the pixels with rain."""

    errors: Tensor
    rainy: float
    frames: int


_NOTHING = Simulated(torch.zeros(len(TRIED), dtype=torch.float64), 0.0, 0)


def adapt(
    base: GateDecomposer, clips: Sequence[Clip], options: AdaptOptions, *, device: str, on_event: OnEvent = ignore
) -> tuple[Gate, Outcome]:
    """Fit a copy of the network of `base` to `clips`; returns it, or that of `base` with a reason.

    A step simulates one stretch. Ends at the limit of steps or seconds, within a step, or when all is seen that is
    looked at: 24 stretches of 36 frames of a clip at most. Memory does not grow with the length of the clips. Raises
    VidrainError.
    """
    began, needed = monotonic(), _needed(base)
    learned, held = split(clips, needed)
    if not held:
        most = max(len(clip.kept) for clip in clips)
        return base.net, Outcome(reason=f"it has {most} frames, {2 * needed} are needed")

    def tell(steps: int, gain: float) -> None:
        seconds, limit = monotonic() - began, options.seconds
        on_event(AdaptationStep(steps=steps, total=options.steps, seconds=seconds, limit_s=limit, gain=gain))

    chosen_by, judged_by, steps = _NOTHING, _NOTHING, 0
    tell(0, 0.0)
    with _threads(options.threads):
        for is_held, stretch in _in_turn(learned, held, options.seed):
            is_late = options.seconds is not None and monotonic() - began >= options.seconds
            if is_late or steps == options.steps:
                break
            found = simulated(stretch.read(range(len(stretch))), base, device)
            if is_held:
                judged_by = _sum(judged_by, found)
            else:
                chosen_by = _sum(chosen_by, found)
            steps += 1
            tell(steps, _best(chosen_by)[1])
    return _fitted(base, chosen_by, judged_by, steps, options.least_gain)


@torch.inference_mode()
def simulated(lumas: Sequence[Tensor], base: GateDecomposer, device: str) -> Simulated:
    """How `base` does in the simulation of consecutive frames, by each of `TRIED`; of too few nothing is known.

    lumas: [1, H, W] float32 each, nominally in [0, 1], at the size that is trained on. Repeats are left out: with other
    rain on each they would be different frames of the very same scene.
    """
    bold = multiplied(base, BOLD if base.first is None else BOLD_BEHIND)
    apart = [
        (lumas[item.center.source], taken_from(window, bold, device).rain)
        for item, window in _windows(lumas, bold, device=device)
        if item.center.step is not Step.REPEAT
    ]
    if len(apart) < _SHORTEST:
        return _NOTHING
    truths, rains = [luma - rain for luma, rain in apart], [rain for _, rain in apart]
    later = [rains[(place + _LATER) % len(rains)] for place in range(len(rains))]
    rainy = [(truth + rain).clamp(max=1).maximum(truth) for truth, rain in zip(truths, later, strict=True)]
    found = _NOTHING
    wanted = range(base.radius, len(rainy) - base.radius, _EVERY)
    for item, window in _windows(rainy, base, device=device, wanted=wanted):
        if len(window.witnesses) == 2 * base.radius:
            shares, parts = base.shares_of(window.to(torch.device(device)))
            rain = (rainy[item.center.source] - truths[item.center.source])[0]
            errors = errors_by_factors(shares[0].cpu(), torch.cat(parts[:3], 1)[0].cpu(), rain)
            found = _sum(found, Simulated(errors, float((rain > _SPECKLE).float().mean()), 1))
    return found


def multiplied(base: GateDecomposer, factors: Sequence[float]) -> GateDecomposer:
    """The same gate with its shares multiplied."""
    net = deepcopy(base.net)
    net.strength *= torch.tensor(factors).to(net.strength)
    return GateDecomposer(net, first=base.first, options=base.options)


def errors_by_factors(shares: Tensor, parts: Tensor, rain: Tensor) -> Tensor:
    """Mean squared error by each of `TRIED` where `rain` [H, W] is known. [F] float64

    shares: [3, H, W], linear, with their strength; parts: [3, H, W], of which they are shares. What is left of the rain
    is a sum of planes, one by each factor, so its square is one of their products.
    """
    planes = [rain]
    for factors, share, part in zip(FACTORS, shares, parts, strict=True):
        planes += [-(share * factor).clamp(0, 1) * part for factor in factors]
    flat = torch.stack(planes).flatten(1).double()
    return torch.einsum("fi,ij,fj->f", _SUMMED, flat @ flat.T / flat.shape[1], _SUMMED)


def _summed() -> Tensor:
    """Which planes of `errors_by_factors` each of `TRIED` sums up. [F, 1 + planes] float64, 1 or 0"""
    rows = []
    for chosen in TRIED:
        picks = [float(own == factor) for own, factors in zip(chosen, FACTORS, strict=True) for factor in factors]
        rows.append([1.0, *picks])
    return torch.tensor(rows, dtype=torch.float64)


_SUMMED = _summed()


def _windows(
    lumas: Sequence[Tensor], base: GateDecomposer, *, device: str, wanted: range | None = None
) -> Iterator[tuple[Followed[int], Aligned]]:
    """Frames, or those wanted, by their places, with their windows, as where a video is cleaned."""
    options = replace(_FOLLOWED, device=device)
    pictures = [(place, picture_of_luma(place, luma, options.align)) for place, luma in enumerate(lumas)]
    seen = judged(pictures, options.shots)
    ready = seen if base.first is None else dried(seen, base.first, options)
    for item, window in warped(followed(ready, base, options, wanted)):
        assert window is not None  # nothing counts as dry
        yield item, window


def _in_turn(learned: Sequence[Stretch], held: Sequence[Stretch], seed: int) -> Iterator[tuple[bool, Stretch]]:
    """Stretches, and whether they are held out: both kinds in turn, each in a drawn order."""
    random = torch.Generator().manual_seed(seed)
    drawn = []
    for is_held, stretches in ((False, learned), (True, held)):
        order = torch.randperm(len(stretches), generator=random).tolist()
        drawn.append([(is_held, stretches[place]) for place in order])
    return (found for pair in zip_longest(*drawn) for found in pair if found is not None)


def _needed(base: GateDecomposer) -> int:
    """Frames of the shortest stretch that can be simulated."""
    return max(2 * base.radius + 1, _SHORTEST)


def _sum(first: Simulated, second: Simulated) -> Simulated:
    return Simulated(first.errors + second.errors, first.rainy + second.rainy, first.frames + second.frames)


def _gains(found: Simulated) -> Tensor:
    """By how much each of `TRIED` lowers the error, as a share of it. [F]"""
    base = found.errors[_BASE]
    return torch.where(base > 0, 1 - found.errors / base, 0.0)


def _best(found: Simulated) -> tuple[int, float]:
    """The number of the factors that gain most, 1 for all if none gain, and their gain."""
    gain, number = _gains(found).max(0)
    return (int(number), float(gain)) if gain > 0 else (_BASE, 0.0)


def _fitted(
    base: GateDecomposer, chosen_by: Simulated, judged_by: Simulated, steps: int, least_gain: float
) -> tuple[Gate, Outcome]:
    """The network with its factors, or that of `base` with a reason."""
    if steps < _LEAST_STEPS:
        reason = f"only {steps} of {_LEAST_STEPS} stretches that are needed were looked at; give it more time or steps"
        return base.net, Outcome(steps=steps, reason=reason)
    if not (chosen_by.frames and judged_by.frames):
        reason = f"no stretch, or only one, has {_needed(base)} frames that differ"
        return base.net, Outcome(steps=steps, reason=reason)
    if chosen_by.rainy < _LEAST_RAIN * chosen_by.frames:
        return base.net, Outcome(steps=steps, reason="hardly any rain was found in it")
    number, promised = _best(chosen_by)
    gain = float(_gains(judged_by)[number])
    if min(promised, gain) < least_gain:
        said = f"the error fell by {promised:.1%}, and on what was held out by {gain:.1%}; wanted are {least_gain:.1%}"
        return base.net, Outcome(steps=steps, reason=said)
    return multiplied(base, TRIED[number]).net, Outcome(steps=steps, factors=TRIED[number], gain=gain)


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    """Threads of torch meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
