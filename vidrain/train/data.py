"""Windows to train on: clips are read here and there, aligned, cropped, and some of them kept in memory.

Everything drawn follows from the seed and the number of the step, nothing from what was read before: training that
goes on after an interruption sees the batches it would have seen. Memory is bounded by `readings` times
`crops_per_reading` windows of `crop` pixels square, whatever the length and number of the clips.

    windows = Windows(DataOptions(rainy=("rain/",)), Cut(radius=2, patch=128, batch=8), seed=0)
    batch = windows.batch(step=17)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.align import Aligner, AlignOptions, Picture, guide_of
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import reach_of
from vidrain.errors import InputError, UsageError
from vidrain.shots import ShotOptions, choose_witnesses, step_between
from vidrain.train.footage import Footage, Tell, clips_at, open_footage
from vidrain.types import Aligned

_TRIES = 50  # places in the clips, until one has all its witnesses
_SETTLED = 1 << 40  # draws of readings and draws of batches never share a seed


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What is read, and how much of it is held.

    rainy, clean: files, or folders whose videos are meant; clean ones hold no rain and are of other scenes.
    clean_share: of the readings, where there are clean clips.
    strides: frames from one to the next of a window at 30 frames a second, drawn evenly; else about the same time.
    crop: side of what is kept of a picture, in pixels.
    readings: places in the clips held at a time; refresh: steps after which the oldest is read anew elsewhere.
    """

    rainy: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    clean_share: float = 0.5
    strides: tuple[int, ...] = (1, 1, 2, 4)
    crop: int = 256
    readings: int = 16
    crops_per_reading: int = 3
    refresh: int = 8

    def __post_init__(self) -> None:
        if not self.strides or min(self.strides) < 1:
            raise UsageError(f"data.strides={list(self.strides)}: allowed: one or more, each at least 1")
        for key in ("crop", "readings", "crops_per_reading", "refresh"):
            if (value := getattr(self, key)) < 1:
                raise UsageError(f"data.{key}={value}: allowed: at least 1")
        if not 0 <= self.clean_share < 1:
            raise UsageError(f"data.clean_share={self.clean_share}: allowed: from 0, below 1")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What a batch is: windows of `radius` neighbours on each side, `patch` pixels square, `batch` of them."""

    radius: int
    patch: int
    batch: int


class Batch(NamedTuple):
    """Aligned windows side by side, K witnesses each.

    observed: [N, 3, P, P]; witnesses: [N, K, 3, P, P]; error: [N, K, P, P], as `types.Aligned` has them.
    rain: [N, 3, P, P], what the baseline takes away, judged on the whole picture. is_clean: [N] bool.
    """

    observed: Tensor
    witnesses: Tensor
    error: Tensor
    rain: Tensor
    is_clean: Tensor

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(*(part.to(device) for part in self))


class _Crop(NamedTuple):
    aligned: Aligned
    rain: Tensor


class _Reading(NamedTuple):
    """One place in one clip, aligned, and cut to what is kept."""

    generation: int
    crops: list[_Crop]


class NoWindow(InputError):
    """Clips in which no place was found that has all its witnesses: too short, cut too often, or at a standstill."""


class Windows:
    """Batches by the number of the step. Not for use by two threads at a time.

    rainy: clips that are open already, in place of those that `options` name.
    """

    def __init__(
        self, options: DataOptions, cut: Cut, *, seed: int, tell: Tell, rainy: Sequence[Footage] | None = None
    ) -> None:
        self._options, self._cut, self._seed = options, cut, seed
        named = rainy if rainy is not None else [open_footage(path, tell) for path in clips_at(options.rainy)]
        self._rainy = list(named)
        self._clean = [open_footage(path, tell) for path in clips_at(options.clean)]
        if not self._rainy:
            raise UsageError("data.rainy: names no videos; give files or folders, such as data.rainy=rain/,more.mp4")
        self._readings: dict[int, _Reading] = {}

    @property
    def clips(self) -> list[str]:
        """The files that are read."""
        return [str(clip.path) for clip in (*self._rainy, *self._clean)]

    def batches(self, steps: range) -> Iterator[Batch]:
        """Batches of these steps, one after the other."""
        return (self.batch(step) for step in steps)

    def batch(self, step: int) -> Batch:
        """The batch of this step, whatever was asked for before."""
        random = torch.Generator().manual_seed(self._seed_of(step))
        drawn = [self._window(step, random) for _ in range(self._cut.batch)]
        parts = [torch.stack(part) for part in zip(*drawn, strict=True)]
        return Batch(*parts)

    def _window(self, step: int, random: torch.Generator) -> tuple[Tensor, ...]:
        """One window of a batch, mirrored or not."""
        slot = _below(self._options.readings, random)
        crops = self._reading(slot, step).crops
        crop = crops[_below(len(crops), random)]
        patched = _cropped(crop, self._cut.patch, random)
        aligned = patched.aligned
        parts = (aligned.observed, aligned.witnesses, aligned.error, patched.rain)
        mirrored = _below(2, random)
        return *(part.flip(-1) if mirrored else part for part in parts), torch.tensor(self._is_clean(slot))

    def _is_clean(self, slot: int) -> bool:
        """Clean clips have the last slots."""
        share = self._options.clean_share if self._clean else 0.0
        return slot >= self._options.readings - int(share * self._options.readings)

    def _reading(self, slot: int, step: int) -> _Reading:
        """What a slot holds at this step; one of the slots is renewed every `refresh` steps, in turn."""
        options = self._options
        generation = (step // options.refresh + slot) // options.readings
        held = self._readings.get(slot)
        if held is None or held.generation != generation:
            held = _Reading(generation, self._read(slot, generation))
            self._readings[slot] = held
        return held

    def _read(self, slot: int, generation: int) -> list[_Crop]:
        random = torch.Generator().manual_seed(self._seed_of(_SETTLED + generation * self._options.readings + slot))
        clips = self._clean if self._is_clean(slot) else self._rainy
        for _ in range(_TRIES):
            clip = clips[_below(len(clips), random)]
            aligned = self._somewhere(clip, random)
            if aligned is not None:
                break
        else:
            names = ", ".join(dict.fromkeys(clip.path.name for clip in clips))
            needed = 2 * self._cut.radius + 1
            raise NoWindow(f"{names}: no {needed} different frames in a row found in {_TRIES} places; use other clips")
        rain = Baseline(BaselineOptions(radius=self._cut.radius))(aligned)
        whole = _Crop(aligned, rain)
        return [_cropped(whole, self._options.crop, random) for _ in range(self._options.crops_per_reading)]

    def _somewhere(self, clip: Footage, random: torch.Generator) -> Aligned | None:
        """A window of `clip` at a place and with a stride drawn, whole; None where witnesses are missing."""
        radius, length = self._cut.radius, len(clip)
        wanted = self._options.strides[_below(len(self._options.strides), random)]
        longest = max(1, (length - 1) // (2 * radius))
        stride = min(max(1, round(wanted * clip.rate / 30)), longest)
        reach = radius * stride
        place = reach + _below(max(length - 2 * reach, 1), random)
        around = range(place % stride, length, stride)  # the frames of this stride through the place
        position = (place - around.start) // stride
        first, last = max(position - reach_of(radius), 0), position + reach_of(radius)
        indices = list(around[first : last + 1])
        align = AlignOptions()
        read = zip(indices, clip.read(indices), strict=True)
        pictures = [Picture(index, rgb, guide_of(rgb, align)) for index, rgb in read]
        if min(pictures[0].rgb.shape[1:]) < self._cut.patch:
            raise InputError(
                f"{clip.path}: its pictures are smaller than the patch of {self._cut.patch} pixels; use a smaller patch"
            )
        shots = ShotOptions()
        steps = [step_between(a.guide, b.guide, shots) for a, b in pairwise(pictures)]
        chosen = choose_witnesses(steps, position - first, radius)
        if len(chosen) < 2 * radius:
            return None
        return Aligner(align).align(pictures[position - first], [pictures[i] for i in chosen])

    def _seed_of(self, number: int) -> int:
        """Seeds that differ between numbers and between runs of other seeds."""
        return (self._seed * 0x9E3779B97F4A7C15 + number) % (1 << 63)


def _cropped(whole: _Crop, side: int, random: torch.Generator) -> _Crop:
    """A square somewhere in the picture; the whole breadth or height where that is shorter."""
    height, width = whole.rain.shape[1:]
    top, left = _below(max(height - side, 0) + 1, random), _below(max(width - side, 0) + 1, random)

    def cut(part: Tensor) -> Tensor:
        return part[..., top : top + side, left : left + side].clone()  # a view would keep the whole in memory

    aligned = whole.aligned
    return _Crop(Aligned(cut(aligned.observed), cut(aligned.witnesses), cut(aligned.error)), cut(whole.rain))


def _below(end: int, random: torch.Generator) -> int:
    return int(torch.randint(end, (1,), generator=random))
