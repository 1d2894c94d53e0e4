"""adapt(): a trained network fitted to the footage that it is to clean, as far as that helps.

The steps are those of training, by recycling: rain that the base weights find in the footage is pasted elsewhere in it.
Some stretches of the footage are held out, and windows of them, drawn before the first step, are the judges:

- error: of pairs with pasted rain, cleaned as a video would be;
- benefit: the square of what is taken from a frame as it is, less twice that of what is taken from its negative. In a
  negative rain is dark, so nothing that is taken can be rain, while texture that the alignment missed is as often dark
  as bright: about as much is falsely taken from the frame. No teacher has a say in it. (For rain I, of which R + F is
  taken, F false and R of I: (I - R - F)^2 = I^2 - (R + F)^2 + 2 F^2, where F has nothing to do with I.)

Kept are the weights of the check with the largest benefit among those that lower the error; the base weights are, where
no check does both. Rain that is left in the neighbours counts as falsely taken: in heavy rain this asks for too much.

Without a clock everything follows from base weights, footage, options and the number of threads: the same number of
steps gives the same weights, bit for bit on a CPU.

    net, outcome = adapt(base, clips, AdaptOptions(seconds=30), device=torch.device("cpu"))
"""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from statistics import fmean
from time import monotonic
from typing import NamedTuple

import torch

from vidrain.errors import UsageError
from vidrain.events import AdaptationStep, OnEvent, ignore
from vidrain.model.gate import Gate
from vidrain.stream import prefetch
from vidrain.train.balance import LossWeights
from vidrain.train.data import Batch, DataOptions, NoWindow, Windows
from vidrain.train.loop import TrainConfig, cut_of, learn, learner_for, teacher_rain
from vidrain.train.recycling import Recycled, RecycleOptions, charbonnier, recycle, trust
from vidrain.train.stretches import Clip, Stretch, split

_AHEAD = 2  # batches made while a step is computed
_ENDLESS = 1 << 40  # steps
_HELD_SEED = 1 << 61  # draws of held-out pairs are of their own
_LONGEST_S = 1e6
_LEAST = 1e-6  # gain that is more than rounding
_LEAST_PASTED = 1e-3  # of the held-out pixels; with less there is nothing to learn from


@dataclass(frozen=True, kw_only=True)
class AdaptOptions:
    """How long and how a network is fitted. `configs/clean.yaml` explains every key."""

    seconds: float | None = None
    steps: int | None = None
    seed: int = 0
    threads: int | None = None
    batch: int = 8
    patch: int = 128
    rate: float = 1e-4
    warm_up: int = 10
    largest_gradient: float = 1.0
    average: float = 0.95
    softness: float = 0.02
    dry: float = 1.0
    readings: int = 8
    refresh: int = 4
    held_out: int = 2
    check_every: int = 5
    patience: int = 12
    least_gain: float = 0.01
    weights: LossWeights = field(default_factory=LossWeights)
    recycle: RecycleOptions = field(default_factory=RecycleOptions)

    def __post_init__(self) -> None:
        if self.seconds is not None and self.steps is not None:
            raise UsageError(f"seconds={self.seconds:g} steps={self.steps}: allowed: one of them; steps has no clock")
        if self.seconds is not None and not 0 < self.seconds <= _LONGEST_S:
            raise UsageError(f"adapting for {self.seconds:g} seconds: allowed: above 0, up to {_LONGEST_S:g}")
        for key in ("steps", "warm_up", "readings", "refresh", "held_out", "check_every", "patience"):
            if (value := getattr(self, key)) is not None and value < 1:
                raise UsageError(f"adapting with {key}={value}: allowed: at least 1")
        if not 0 <= self.least_gain < 1:
            raise UsageError(f"adapting with least_gain={self.least_gain}: allowed: from 0, below 1")
        _training(self, self.patch)

    @property
    def is_wanted(self) -> bool:
        """Whether a limit is set."""
        return self.seconds is not None or self.steps is not None


class Judged(NamedTuple):
    """A network on held-out windows. pasted: share of the pixels onto which rain was pasted; for the rest see above."""

    error: float
    benefit: float
    pasted: float


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What adapting came to.

    steps: taken; kept_steps: after how many the weights were kept, 0 for the base weights; reason: why those were.
    before, after: the base weights and those kept, as judged; None where nothing could be measured.
    """

    steps: int = 0
    kept_steps: int = 0
    before: Judged | None = None
    after: Judged | None = None
    reason: str | None = None

    @property
    def gain(self) -> float:
        """By how much the error on held-out frames is lower, as a share of it; 0 for the base weights."""
        return gain_of(self.before, self.after) if self.before and self.after else 0.0


def gain_of(before: Judged, after: Judged) -> float:
    """By how much the error of `after` is lower than that of `before`, as a share of it."""
    return 1 - after.error / before.error if before.error > 0 else 0.0


class _Pair(NamedTuple):
    """Held-out windows, a pair made of them, and the same windows of the negative of the footage."""

    batch: Batch
    pair: Recycled
    negative: Batch


@dataclass(frozen=True)
class _Run:
    """What stays the same from step to step."""

    base: Gate
    options: AdaptOptions
    config: TrainConfig
    device: torch.device
    on_event: OnEvent
    began: float

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return monotonic() - self.began

    @property
    def is_over(self) -> bool:
        """Whether the time is up."""
        return self.options.seconds is not None and self.seconds >= self.options.seconds

    def windows(self, stretches: Sequence[Stretch], refresh: int) -> Windows:
        """Windows of these stretches."""
        data = DataOptions(readings=self.options.readings, crops_per_reading=4, refresh=refresh)
        cut = cut_of(self.config, self.base.config)
        return Windows(data, cut, seed=self.options.seed, tell=self.on_event, rainy=stretches)

    def tell(self, steps: int, gain: float) -> None:
        """Say how far it is."""
        total, limit = self.options.steps, self.options.seconds
        self.on_event(AdaptationStep(steps=steps, total=total, seconds=self.seconds, limit_s=limit, gain=gain))


def adapt(
    base: Gate, clips: Sequence[Clip], options: AdaptOptions, *, device: torch.device, on_event: OnEvent = ignore
) -> tuple[Gate, Outcome]:
    """Fit a copy of `base` to `clips`; returns it, or `base` itself with a reason, and what was measured.

    Ends at the limit of steps or seconds (within a step, a check or a reading of the footage), or when `patience`
    checks in a row brought nothing. Memory does not grow with the length of the clips. Raises VidrainError.
    """
    began = monotonic()
    base = base.to(device)
    needed = 2 * base.config.radius + 1
    learned, held = split(clips, needed)
    if not held:
        found = max(len(clip.kept) for clip in clips)
        return base, Outcome(reason=f"it has {found} frames, {2 * needed} are needed")
    sides = (side for clip in clips for side in (clip.video.info.width, clip.video.info.height))
    run = _Run(base, options, _training(options, min(options.patch, *sides)), device, on_event, began)
    run.tell(0, 0.0)
    try:
        with _threads(options.threads):
            return _fitted(run, run.windows(learned, options.refresh), list(_held_out(run, held)))
    except NoWindow:
        return base, Outcome(reason=f"no {needed} different frames in a row were found in it")


def _fitted(run: _Run, windows: Windows, held: Sequence[_Pair]) -> tuple[Gate, Outcome]:
    """The best network of a run, or the base with a reason."""
    options = run.options
    before = judged(run.base, held, run.config)
    if before.pasted < _LEAST_PASTED:
        return run.base, Outcome(before=before, after=before, reason="hardly any rain was found in it")
    with torch.random.fork_rng(devices=[]):  # what learns along with the network begins alike
        torch.manual_seed(options.seed)
        net = deepcopy(run.base).requires_grad_(True).train()
        learner = learner_for(net, run.config)
    best, kept, kept_steps, checked = before, run.base, 0, 0
    lowest = before.error
    steps = range(options.steps or _ENDLESS)
    with closing(prefetch(windows.batches(steps), _AHEAD, "windows")) as batches:
        for step, batch in zip(steps, batches, strict=True):
            if run.is_over:
                break
            rate = options.rate * min(1, (step + 1) / options.warm_up)
            learn(learner, batch.to(run.device), step, run.config, teacher=run.base, rate=rate)
            done = step + 1
            if done % options.check_every == 0 or done == options.steps:
                checked, found = done, judged(learner.average, held, run.config)
                lowest = min(lowest, found.error)
                if gain_of(before, found) >= max(options.least_gain, _LEAST) and found.benefit > best.benefit:
                    best, kept, kept_steps = found, deepcopy(learner.average), done
            run.tell(done, gain_of(before, best))
            if checked - kept_steps >= options.patience * options.check_every:
                break
    reason = None if kept_steps else _reason(options, before, lowest, checked)
    return kept.eval().requires_grad_(False), Outcome(
        steps=checked, kept_steps=kept_steps, before=before, after=best, reason=reason
    )


@torch.no_grad()
def judged(net: Gate, held: Sequence[_Pair], config: TrainConfig) -> Judged:
    """What a network makes of held-out windows: the gate is clamped, as where a video is cleaned."""
    found: list[Judged] = []
    for batch, pair, negative in held:
        rain = teacher_rain(batch._replace(observed=pair.observed, witnesses=pair.witnesses), net)
        weight = trust(pair, batch.is_clean, config.dry)
        error = charbonnier(pair.observed - rain, pair.target, weight, config.softness)
        taken = teacher_rain(batch, net).square().mean()
        false = teacher_rain(negative, net).square().mean()
        pasted = (pair.observed > pair.target).float().mean()
        found.append(Judged(error.item(), (taken - 2 * false).item(), pasted.item()))
    return Judged(*(fmean(values) for values in zip(*found, strict=True)))


def _held_out(run: _Run, stretches: Sequence[Stretch]) -> Iterator[_Pair]:
    """Windows to judge by, the same for every network; fewer where the time is up.

    Negatives are read as such, not made of the windows: their neighbours must be dried as negatives, too.
    """
    windows = run.windows(stretches, _ENDLESS)
    negatives = run.windows([stretch.negative for stretch in stretches], _ENDLESS)
    for number, batch in enumerate(windows.batches(range(run.options.held_out))):
        if number and run.is_over:
            return
        here = batch.to(run.device)
        generator = torch.Generator().manual_seed(_HELD_SEED + run.options.seed * run.options.held_out + number)
        rain = teacher_rain(here, run.base)
        options, is_dried = run.options.recycle, run.base.config.first is not None
        pair = recycle(here.observed, here.witnesses, rain, generator, options=options, is_dried=is_dried)
        yield _Pair(here, pair, negatives.batch(number).to(run.device))


def _reason(options: AdaptOptions, before: Judged, lowest: float, checked: int) -> str:
    """Why no check was better than the base weights."""
    if not checked:
        return f"the time was up before the first check, after {options.check_every} steps; give it more"
    gain = gain_of(before, before._replace(error=lowest))
    if gain >= options.least_gain:
        return "what lowered the error on held-out frames took more of what is no rain"
    return f"the error on held-out frames fell by {gain:.1%} at most, wanted are {options.least_gain:.1%}"


def _training(options: AdaptOptions, patch: int) -> TrainConfig:
    """The settings of a step, as training has them; the rate does not follow them."""
    return TrainConfig(
        seed=options.seed,
        batch=options.batch,
        patch=patch,
        rate=options.rate,
        largest_gradient=options.largest_gradient,
        average=options.average,
        softness=options.softness,
        dry=options.dry,
        weights=options.weights,
        recycle=options.recycle,
    )


@contextmanager
def _threads(wanted: int | None) -> Iterator[None]:
    """Threads of torch meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(wanted or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
