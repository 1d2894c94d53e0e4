"""Windows to train on: clips are read here and there, aligned, cropped, and some of them kept in memory.

Everything drawn follows from the seed and the number of the step, nothing from what was read before: training that
goes on after an interruption sees the batches it would have seen. Memory is bounded by `readings` times
`crops_per_reading` windows of `crop` pixels square, whatever the length and number of the clips.

    windows = Windows(DataOptions(rainy=("rain/",)), Cut(radius=2, patch=128, batch=8), seed=0)
    batch = windows.batch(step=17)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from vidrain.align import Aligner, AlignOptions, Picture, guide_of
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions, Judged, aligner_after, aligner_for, context_of, dry, judged, reach_of
from vidrain.errors import InputError, UsageError
from vidrain.fixed import fixed, floats
from vidrain.model.filters import shrunk
from vidrain.model.planes import error_at
from vidrain.model.streaks import shrink_of
from vidrain.shots import choose_witnesses
from vidrain.stream import sliding_windows
from vidrain.train.footage import Footage, Tell, clips_at, open_footage, pairs_at
from vidrain.train.settled import NEIGHBOURS, Truth, settled
from vidrain.train.window import Neighbour, Window
from vidrain.weights import pass_before

_TOLD = ("rendered", "settled", "dry")  # kinds of windows whose truth is told
_CLEAN = ("clean", "dry")
_TRIES = 50  # places in the clips, until one has all its witnesses
_SETTLED, _TURNED = 1 << 40, 1 << 41  # draws of readings, of neighbours, and of batches never share a seed


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """What is read, and how much of it is held.

    rainy, clean: files, or folders whose videos are meant; clean ones hold no rain and are of other scenes.
    clean_share: of the readings, where there are clean clips.
    rendered: folders of clips with rendered rain and their truths (`footage.pairs_at`). rendered_share: as clean_share.
    settled_share: of the readings, rainy ones that come with what many of their neighbours agree on (`settled`).
    dry_share: of the readings, clean ones that are their own truth, to be left as they are.
    strides: frames from one to the next of a window at 30 frames a second, drawn evenly; else about the same time.
    crop: side of what is kept of a picture, in pixels.
    readings: places in the clips held at a time; refresh: steps after which the oldest is read anew elsewhere.
    """

    rainy: tuple[str, ...] = ()
    clean: tuple[str, ...] = ()
    clean_share: float = 0.5
    rendered: tuple[str, ...] = ()
    rendered_share: float = 0.5
    settled_share: float = 0.0
    dry_share: float = 0.0
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
        named = ("clean_share", "rendered_share", "settled_share", "dry_share")
        shares = {name: getattr(self, name) for name in named}
        unused = self.clean_share * (not self.clean) + self.rendered_share * (not self.rendered)
        total = round(sum(shares.values()) - unused, 6)  # 0.6 + 0.3 + 0.1 is a little more than 1
        if min(shares.values()) < 0 or max(shares.values()) > 1 or total > 1:
            found = " ".join(f"{name}={share:g}" for name, share in shares.items())
            raise UsageError(f"data.{found}: allowed: from 0, together at most 1")
        if self.dry_share and not self.clean:
            raise UsageError(f"data.dry_share={self.dry_share:g}: needs data.clean, which names no videos")


@dataclass(frozen=True, kw_only=True)
class Cut:
    """What a batch is: windows of `radius` neighbours on each side, `patch` pixels square, `batch` of them.

    first: the model that takes its rain off the neighbours beforehand, if any. views: 1: the windows alone. 2: with
    each comes one of its neighbours as it was filmed. 3: and the window of the frame before it, at the same place of
    the picture, whatever has moved.
    """

    radius: int
    patch: int
    batch: int
    first: str | None = None
    views: int = 1


class Batch(NamedTuple):
    """Aligned windows side by side, K witnesses each.

    observed: [N, 1, P, P]; witnesses: [N, K, 1, P, P]; error: [N, K, P, P], as `types.Aligned` has them.
    The witnesses are as a gate will see them: frames as observed, or what a pass before left of them (`Cut.first`).
    rain: [N, 1, P, P], what the baseline takes away, judged on the whole picture. truth: [N, 1, P, P], the observation
    without rain where that is told (rendered, settled, or there was none), itself elsewhere; known: [N, 1, P, P], 1
    where it is told, else 0. is_clean, is_told: [N] bool, whether there is no rain, and whether the truth is told.
    neighbour: one of the witnesses as filmed; beside: windows of frames before, each in its own coordinates; both where
    the cut asks for them.
    """

    observed: Tensor
    witnesses: Tensor
    error: Tensor
    rain: Tensor
    truth: Tensor
    known: Tensor
    is_clean: Tensor
    is_told: Tensor
    neighbour: Neighbour | None = None
    beside: Window | None = None

    @property
    def window(self) -> Window:
        """The windows alone."""
        return Window(self.observed, self.witnesses, self.error)

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        observed, witnesses, error, rain, truth, known, is_clean, is_told = (part.to(device) for part in self[:8])
        neighbour = None if self.neighbour is None else Neighbour(*(part.to(device) for part in self.neighbour))
        beside = None if self.beside is None else Window(*(part.to(device) for part in self.beside))
        return Batch(observed, witnesses, error, rain, truth, known, is_clean, is_told, neighbour, beside)


Pictures = tuple[Tensor, ...]
"""All [..., H, W], cut and mirrored alike: the first six of a batch, the neighbour's two, the window beside."""


_Kind = Literal["rendered", "settled", "dry", "rainy", "clean"]


class _Reading(NamedTuple):
    """One place in one clip, aligned, and cut to what is kept. neighbour: number of the witness held as filmed, too."""

    generation: int
    neighbour: int
    crops: list[Pictures]


class Windows:
    """Batches by the number of the step. Not for use by two threads at a time."""

    def __init__(self, options: DataOptions, cut: Cut, *, seed: int, tell: Tell) -> None:
        self._options, self._cut, self._seed = options, cut, seed
        self._first = pass_before(cut.first)
        self._rainy = [open_footage(path, tell) for path in clips_at(options.rainy)]
        self._clean = [open_footage(path, tell) for path in clips_at(options.clean)]
        pairs = pairs_at(options.rendered)
        self._rendered = [open_footage(path, tell) for path, _ in pairs]
        self._truths = {str(rainy): open_footage(truth, tell) for rainy, truth in pairs}
        self._counts = self._slots()
        if (self._counts["rainy"] or self._counts["settled"]) and not self._rainy:
            raise UsageError("data.rainy: names no videos; give files or folders, such as data.rainy=rain/,more.mp4")
        self._readings: dict[int, _Reading] = {}

    @property
    def clips(self) -> list[str]:
        """The files that are read."""
        return [str(clip.path) for clip in (*self._rainy, *self._clean, *self._rendered)]

    def batches(self, steps: range) -> Iterator[Batch]:
        """Batches of these steps, one after the other."""
        return (self.batch(step) for step in steps)

    def batch(self, step: int) -> Batch:
        """The batch of this step, whatever was asked for before."""
        random = torch.Generator().manual_seed(self._seed_of(step))
        drawn = [self._window(step, random) for _ in range(self._cut.batch)]
        stacked = [torch.stack(part) for part in zip(*drawn, strict=True)]
        number, is_clean, is_told, *pictures = stacked
        observed, witnesses, error, rain, truth, known, *further = pictures
        neighbour = Neighbour(number, *further[:2]) if self._cut.views > 1 else None
        beside = Window(*further[2:]) if self._cut.views > 2 else None
        return Batch(observed, witnesses, error, rain, truth, known, is_clean, is_told, neighbour, beside)

    def _window(self, step: int, random: torch.Generator) -> tuple[Tensor, ...]:
        """Which neighbour it has, whether it is clean, whether its truth is told, and its pictures, mirrored or not."""
        slot = _below(self._options.readings, random)
        reading = self._reading(slot, step)
        crop = reading.crops[_below(len(reading.crops), random)]
        cut = _cropped(crop, self._cut.patch, random)
        mirrored = _below(2, random)
        kind = self._kind(slot)
        facts = (torch.tensor(fact) for fact in (reading.neighbour, kind in _CLEAN, kind in _TOLD))
        return *facts, *(part.flip(-1) if mirrored else part for part in cut)

    def _slots(self) -> dict[_Kind, int]:
        """How many readings there are of each kind of clip, in the order in which they have the slots."""
        options = self._options
        rendered = int(options.rendered_share * options.readings) if self._rendered else 0
        clean = int(options.clean_share * options.readings) if self._clean else 0
        agreed, dry = (int(share * options.readings) for share in (options.settled_share, options.dry_share))
        rainy = options.readings - rendered - agreed - dry - clean
        return {"rendered": rendered, "settled": agreed, "dry": dry, "rainy": rainy, "clean": clean}

    def _kind(self, slot: int) -> _Kind:
        """Of which clips a slot holds a reading."""
        ends = accumulate(self._counts.values())
        return next(kind for kind, end in zip(self._counts, ends, strict=True) if slot < end)

    def _reading(self, slot: int, step: int) -> _Reading:
        """What a slot holds at this step; one of the slots is renewed every `refresh` steps, in turn."""
        options = self._options
        generation = (step // options.refresh + slot) // options.readings
        held = self._readings.get(slot)
        if held is None or held.generation != generation:
            held = self._read(slot, generation)
            self._readings[slot] = held
        return held

    def _read(self, slot: int, generation: int) -> _Reading:
        reading = generation * self._options.readings + slot
        random, of_neighbours = (
            torch.Generator().manual_seed(self._seed_of(first + reading)) for first in (_SETTLED, _TURNED)
        )
        neighbour = _below(2 * self._cut.radius, of_neighbours)  # its own draw: the windows are the same without it
        kind = self._kind(slot)
        clips = self._rendered if kind == "rendered" else self._clean if kind in _CLEAN else self._rainy
        for _ in range(_TRIES):
            clip = clips[_below(len(clips), random)]
            whole = self._somewhere(clip, random, neighbour, kind)
            if whole:
                break
        else:
            names = ", ".join(dict.fromkeys(clip.path.name for clip in clips))
            needed = 2 * self._cut.radius + 1
            raise InputError(
                f"{names}: no {needed} different frames in a row found in {_TRIES} places; use other clips"
            )
        crops = [_cropped(whole, self._options.crop, random) for _ in range(self._options.crops_per_reading)]
        return _Reading(generation, neighbour, crops)

    def _somewhere(self, clip: Footage, random: torch.Generator, neighbour: int, kind: _Kind) -> Pictures:
        """A window of `clip` at a place and with a stride drawn, whole pictures; none where witnesses are missing."""
        radius, length = self._cut.radius, len(clip)
        wanted = self._options.strides[_below(len(self._options.strides), random)]
        longest = max(1, (length - 1) // (2 * radius))
        stride = min(max(1, round(wanted * clip.rate / 30)), longest)
        reach = radius * stride
        place = reach + _below(max(length - 2 * reach, 1), random)
        around = range(place % stride, length, stride)  # the frames of this stride through the place
        position = (place - around.start) // stride
        before, options = self._first, DecomposeOptions()
        context = reach_of(radius) + (0 if before is None else context_of(before))
        first, last = max(position - context, 0), position + context
        indices = list(around[first : last + 1])
        read = zip(indices, map(at_size, clip.read(indices)), strict=True)
        pictures = [(index, picture_of_luma(index, luma, options.align)) for index, luma in read]
        if min(pictures[0][1].pixels.shape[1:]) < self._cut.patch:
            raise InputError(
                f"{clip.path}: its pictures are smaller than the patch of {self._cut.patch} pixels; use a smaller patch"
            )
        seen, centers = list(judged(pictures, options.shots)), [position - first]
        steps = [item.step for item in seen[1:]]
        wants_beside = self._cut.views > 2
        if wants_beside:
            centers += choose_witnesses(steps, centers[0], 1)[:1]  # the frame before it, nearest first
        chosen = [choose_witnesses(steps, center, radius) for center in centers]
        if min(len(found) for found in chosen) < 2 * radius or len(centers) != 1 + wants_beside:
            return ()
        if before is not None:
            aligner = aligner_for(before, options.align)
            windows = list(sliding_windows(seen, reach_of(before.radius)))
            for i in sorted({*centers, *chosen[0], *chosen[-1]}):
                seen[i] = dry(windows[i], before, aligner, options)
        views = [[seen[i] for i in (center, *found)] for center, found in zip(centers, chosen, strict=True)]
        return self._pictures(views, neighbour, self._truth(clip, place, kind))

    def _truth(self, clip: Footage, place: int, kind: _Kind) -> Truth | None:
        """A frame without its rain, for the kinds of windows whose truth is told."""
        if kind == "settled":
            return settled_at(clip, place)
        if kind not in _TOLD:
            return None
        picture = floats(fixed(at_size(self._truths.get(str(clip.path), clip).read([place])[0])))  # as what is observed
        return Truth(picture, torch.ones_like(picture))

    def _pictures(self, shown: Sequence[Sequence[Judged[int]]], neighbour: int, truth: Truth | None) -> Pictures:
        """What is kept of a place: of the frame, first, and its witnesses, and of the frame beside it and its own."""
        (center, *others), *beside = shown
        witnesses, options = [each.witness for each in others], AlignOptions()
        filmed = [others[neighbour].picture] if self._cut.views > 1 else []  # moves as it does as a witness
        aligned = aligner_after(self._first, options).align(center.picture, [*witnesses, *filmed])
        count = len(witnesses)
        own = replace(aligned, witnesses=aligned.witnesses[:count], error=aligned.error[:count])
        rain = Baseline(BaselineOptions(radius=self._cut.radius))(own)
        observed = floats(own.observed)
        told = truth or Truth(observed, torch.zeros_like(observed))
        pictures = [observed, floats(own.witnesses), error_at(own, observed.shape), rain, *told]
        if filmed:
            pictures += [floats(aligned.witnesses[count]), floats(center.witness.pixels)]
        for frame, *further in beside:
            at = aligner_after(self._first, options).align(frame.picture, [each.witness for each in further])
            pictures += [floats(at.observed), floats(at.witnesses), error_at(at, at.observed.shape)]
        return tuple(pictures)

    def _seed_of(self, number: int) -> int:
        """Seeds that differ between numbers and between runs of other seeds."""
        return (self._seed * 0x9E3779B97F4A7C15 + number) % (1 << 63)


def settled_at(clip: Footage, place: int) -> Truth:
    """What the frames around this one agree on, as they were filmed."""
    options, reach = DecomposeOptions(), reach_of(NEIGHBOURS)
    first = max(place - reach, 0)
    indices = range(first, min(place + reach + 1, len(clip)))
    read = zip(indices, map(at_size, clip.read(list(indices))), strict=True)
    seen = list(judged(((i, picture_of_luma(i, luma, options.align)) for i, luma in read), options.shots))
    chosen = choose_witnesses([item.step for item in seen[1:]], place - first, NEIGHBOURS)
    return settled(Aligner(options.align).align(seen[place - first].picture, [seen[i].picture for i in chosen]))


def picture_of_luma(index: int, luma: Tensor, options: AlignOptions) -> Picture:
    """Luma [1, H, W], float32, as it is where a video is cleaned."""
    pixels = fixed(luma)
    return Picture(index, pixels, guide_of(pixels, options))


def at_size(luma: Tensor) -> Tensor:
    """A picture [1, H, W] as small as a gate looks at it: the same streak is as wide in every clip."""
    times = shrink_of(luma.shape)
    return shrunk(luma[0], (times, times))[None]


def _cropped(whole: Pictures, side: int, random: torch.Generator) -> Pictures:
    """A square somewhere in the pictures; the whole breadth or height where that is shorter."""
    height, width = whole[0].shape[1:]
    top, left = _below(max(height - side, 0) + 1, random), _below(max(width - side, 0) + 1, random)
    cut = (part[..., top : top + side, left : left + side] for part in whole)
    return tuple(part.clone() for part in cut)  # a view would keep the whole in memory


def _below(end: int, random: torch.Generator) -> int:
    return int(torch.randint(end, (1,), generator=random))
