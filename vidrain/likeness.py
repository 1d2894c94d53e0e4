"""Compares the pictures of two videos frame by frame: how much was changed, and whether it can be the same scene.

Taking rain out darkens thin streaks and leaves the rest alone. So a frame of OUT is
- taken for another one (swapped, repeated, late) where a neighbour is clearly brighter and OUT went up to meet it:
  a clean frame never does, however much rain was taken out of it, and streaks of the neighbour are thin for a block;
- foreign when a part of the picture is clearly brighter than it was, or all of it much darker;
- of another tone when contrast or brightness differ all over, of another colour likewise, and shifted when it fits
  better a sample aside.
Nothing is said where neighbours are alike, as in a still scene. Numpy only; knows nothing of files.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from vidrain.types import Frame, PixelLayout, Plane

Blocks = npt.NDArray[np.float32]
Flaw = Literal["shifted", "tone", "colour", "neighbour", "foreign"]

# Limits in 8-bit codes and shares of blocks. On 29 videos, cleaned and encoded, none of 2,323 frames had a flaw; of the
# 1,991 pairs of neighbours that differ clearly, 1,921 were found when they were swapped. The other 70 are of a still
# scene in which nothing but streaks moves.
_BLOCK = 8  # samples a side, fewer in small pictures
_LEAST_BLOCKS = 24  # along the shorter side
_CLEAR = 6.0  # by which the mean of a block differs clearly
_FEWEST = 0.005  # share of blocks that must differ clearly before two frames can be told apart
_MET = 0.08
_BRIGHTENED = 0.02
# Limited range shown as full, or the reverse, is 16 or 14 % of contrast and up to 16 codes. Taking rain out adds no
# contrast, but takes up to 10 % of it, of all frames where these are few: those of a range (samples/vfr.mp4).
_GAIN, _LOSS, _LIFT, _DROP = 0.08, 0.11, 4.0, 20.0
_ALIKE = 0.95  # correlation above which a difference is one of tone
_TEXTURE = 8.0  # standard deviation below which contrast cannot be told
_COLOUR = 4.0
# Of the frames, what must share that which belongs to a whole video. Taking heavy rain out of a flat scene costs single
# frames more of their contrast than the rest.
_SHARES: dict[Flaw, float] = {"shifted": 0.1, "tone": 0.25, "colour": 0.1}
_WEIGHTIEST_FIRST: tuple[Flaw, ...] = ("shifted", "tone", "colour", "neighbour", "foreign")
_SHIFT_EVERY = 12  # frames: shifting costs most, and pictures are shifted all or not at all
_SHIFT_GAIN = 0.9
# Share of runs along an added edge. Where it repeated the last row and column, lossy encoders of any quality left at
# most 4 % of the runs clearly different; a stripe of black or grey differs in 85 % (twelve frames of three clips).
_EDGE = 0.2
_FEWEST_RUNS = 8
_ASIDE = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]


@dataclass(frozen=True)
class Pair:
    """A frame of IN, its neighbours in IN (fewer at the ends), and the frame of OUT that stands for it."""

    own: Frame
    neighbours: tuple[Frame, ...]
    output: Frame


@dataclass(frozen=True)
class FlawedFrame:
    """A frame of OUT that cannot be a clean one of its own. index: of the frame of IN; seen: what shows it."""

    index: int
    pts: int
    flaw: Flaw
    seen: str


@dataclass(frozen=True)
class Change:
    """How much was changed. mean: |O - B| over all samples in codes of IN's depth; share: of samples that differ.

    worst: index of the frame of least PSNR and its PSNR in dB, inf where nothing differs.
    """

    frames: int
    mean: float
    share: float
    worst_index: int
    worst_pts: int
    worst_psnr: float


class Comparison:
    """Looks at pairs one by one; `change` and `flawed` tell what was seen so far.

    source, output: layouts of the two; planes beside luma are compared only where both have the same.
    """

    def __init__(self, source: PixelLayout, output: PixelLayout) -> None:
        self._source, self._output = source, output
        self._planes = None if source.chroma_shift == output.chroma_shift and source.family == output.family else 1
        self._frames = self._samples = self._changed = self._distance = 0
        self._worst: tuple[float, int, int] = (math.inf, 0, 0)
        self._shifts_tried = 0
        self._seen: list[tuple[Frame, dict[Flaw, str]]] = []

    @property
    def flawed(self) -> list[FlawedFrame]:
        """Frames of all pairs so far that cannot be right, each with its weightiest flaw.

        Place, tone and colour belong to a whole video: a single frame of a fade may lose contrast with its rain.
        """
        counts = Counter(flaw for _, flaws in self._seen for flaw in flaws)
        of = {"shifted": self._shifts_tried, "tone": self._frames, "colour": self._frames}
        counted = [flaw for flaw in _WEIGHTIEST_FIRST if counts[flaw] > _SHARES.get(flaw, 0) * of.get(flaw, 0)]
        found = []
        for frame, flaws in self._seen:
            if flaw := next((flaw for flaw in counted if flaw in flaws), None):
                found.append(FlawedFrame(frame.index, frame.pts, flaw, flaws[flaw]))
        return found

    @property
    def change(self) -> Change:
        """Statistics of all pairs so far."""
        psnr, index, pts = self._worst
        samples = max(self._samples, 1)
        return Change(self._frames, self._distance / samples, self._changed / samples, index, pts, psnr)

    def look(self, pair: Pair) -> None:
        """Take one pair into account."""
        planes = [
            (own, _at_depth(output, self._output.depth, self._source.depth))
            for own, output in zip(pair.own.planes[: self._planes], pair.output.planes[: self._planes], strict=True)
        ]
        self._count(pair, planes)
        if flaws := self._flaws(pair, planes):
            self._seen.append((replace(pair.own, planes=()), flaws))
        self._frames += 1

    def _count(self, pair: Pair, planes: list[tuple[Plane, Plane]]) -> None:
        samples, squares = 0, 0
        for own, output in planes:
            off = np.abs(np.subtract(own, output, dtype=np.int32, casting="unsafe"))
            samples += off.size
            squares += int(np.square(off).sum(dtype=np.int64))  # 14 bits squared fit into 32
            self._distance += int(off.sum())
            self._changed += int(np.count_nonzero(off))
        self._samples += samples
        if squares:
            peak = (1 << self._source.depth) - 1
            psnr = 10 * math.log10(peak * peak * samples / squares)
            self._worst = min(self._worst, (psnr, pair.own.index, pair.own.pts))

    def _flaws(self, pair: Pair, planes: list[tuple[Plane, Plane]]) -> dict[Flaw, str]:
        depth = self._source.depth
        reduced = [(blocks(own, depth), blocks(output, depth)) for own, output in planes]
        around = [(frame.index, blocks(frame.planes[0], depth)) for frame in pair.neighbours]
        flaws = dict(_flaws_of(reduced, around, has_chroma=self._source.family != "gbrp"))
        # a shift shows as all kinds of flaws; it is looked for there, and now and then without any
        if flaws or self._frames % _SHIFT_EVERY == 0:
            self._shifts_tried += 1
            rivals = [frame.planes[0] for frame in pair.neighbours] if flaws else []
            if aside := shift_between(*planes[0], rivals):
                flaws["shifted"] = f"{aside[1]:+d} across, {aside[0]:+d} down"
        return flaws


def _flaws_of(
    planes: list[tuple[Blocks, Blocks]], around: Iterable[tuple[int, Blocks]], *, has_chroma: bool
) -> Iterator[tuple[Flaw, str]]:
    """All that is wrong with a frame, but for its place."""
    own, output = planes[0]
    if seen := tone_between(own, output):
        yield "tone", seen
    if has_chroma:
        off = max((float(np.abs(now - was).mean()) for was, now in planes[1:]), default=0.0)
        if off > _COLOUR:
            yield "colour", f"{off:.1f} codes off"
    lift = output - own
    if (met := nearest_met(own, output, around)) is not None:
        index, other = met
        if float(np.abs(output - other).mean()) < float(np.abs(lift).mean()):
            yield "neighbour", f"nearer to frame {index}"
        else:
            yield "foreign", "neither it nor a neighbour"
            return
    if (share := float(np.mean(lift > _CLEAR))) > _BRIGHTENED:
        yield "foreign", f"{share:.0%} of it brighter"
    elif (drop := -float(lift.mean())) > _DROP:
        yield "foreign", f"{drop:.0f} codes darker"


def _at_depth(plane: Plane, depth: int, wanted: int) -> Plane:
    """Codes of one depth as those of another."""
    if depth == wanted:
        return plane
    codes = plane.astype(np.uint16)
    return np.right_shift(codes, depth - wanted) if depth > wanted else np.left_shift(codes, wanted - depth)


def blocks(plane: Plane, depth: int) -> Blocks:
    """Means of square blocks in 8-bit codes [rows, columns] float32; what does not fill a block is left out."""
    side = max(1, min(_BLOCK, min(plane.shape) // _LEAST_BLOCKS))
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    whole = plane[: rows * side, : columns * side].reshape(rows, side, columns * side)
    sums = whole.sum(axis=1, dtype=np.uint32).reshape(rows, columns, side).sum(axis=2, dtype=np.uint32)
    means: Blocks = sums.astype(np.float32) / np.float32(side * side << (depth - 8))
    return means


def nearest_met(own: Blocks, output: Blocks, neighbours: Iterable[tuple[int, Blocks]]) -> tuple[int, Blocks] | None:
    """The neighbour that `output` met most where it is clearly brighter than `own`, with its index, or None."""
    lift = output - own
    met: tuple[int, Blocks] | None = None
    most = _MET
    for index, other in neighbours:
        rise = other - own
        clear = rise > _CLEAR
        many = int(np.count_nonzero(clear))
        if many < max(4, _FEWEST * clear.size):
            continue
        share = float(np.count_nonzero(lift[clear] > rise[clear] / 2)) / many
        if share > most:
            met, most = (index, other), share
    return met


def tone_between(own: Blocks, output: Blocks) -> str | None:
    """What differs all over the picture, in words: contrast or brightness; None where the scene is another one."""
    was, now = own.astype(np.float64), output.astype(np.float64)
    lift = float(now.mean() - was.mean())
    spread = float(was.std())
    covariance = float(((was - was.mean()) * (now - now.mean())).mean())
    if spread < _TEXTURE:
        is_alike, gain = float(now.std()) < _TEXTURE, 1.0
    else:
        is_alike, gain = covariance > _ALIKE * spread * float(now.std()), covariance / spread**2
    if not is_alike:
        return None
    if not 1 - _LOSS <= gain <= 1 + _GAIN:
        return f"contrast x {gain:.2f}"
    if lift > _LIFT:
        return f"brightness {lift:+.1f} codes"
    return None


def shift_between(own: Plane, output: Plane, rivals: Sequence[Plane] = ()) -> tuple[int, int] | None:
    """(down, across) by which `output` fits `own` clearly better, a sample at most; None where it fits as it is.

    rivals: other pictures; None where one of them fits as well, as the next frame of a moving camera may.
    """
    if min(own.shape) < 4:
        return None
    inner = np.asarray(output[1:-1, 1:-1], np.int32)
    rows, columns = inner.shape

    def misfit(plane: Plane, dy: int, dx: int) -> int:
        return int(np.abs(inner - plane[1 - dy : 1 - dy + rows, 1 - dx : 1 - dx + columns]).sum(dtype=np.int64))

    here = min(misfit(own, 0, 0), *(misfit(rival, 0, 0) for rival in rivals), math.inf)
    least, aside = min((misfit(own, dy, dx), (dy, dx)) for dy, dx in _ASIDE)
    return aside if least < _SHIFT_GAIN * here else None


def is_repeated(plane: Plane, shape: tuple[int, int], depth: int) -> bool:
    """Whether what `plane` has beyond `shape` can be its last row and column again, coded by a lossy codec.

    Runs of eight samples are compared, in 8-bit codes: a stripe of its own is found, a row much like the last one is
    not. True where nothing lies there, or too little to tell.
    """
    rows, columns = shape
    beyond = [(plane[row], plane[rows - 1]) for row in range(rows, plane.shape[0])]
    beyond += [(plane[:, column], plane[:, columns - 1]) for column in range(columns, plane.shape[1])]
    if not beyond:
        return True
    off = [np.subtract(added, last, dtype=np.float32) / (1 << (depth - 8)) for added, last in beyond]
    runs = np.concatenate([line[: len(line) // _BLOCK * _BLOCK].reshape(-1, _BLOCK).mean(axis=1) for line in off])
    return len(runs) < _FEWEST_RUNS or float(np.mean(np.abs(runs) > _CLEAR)) <= _EDGE


def pairs(source: Iterable[Frame], output: Iterable[Frame], places: Iterable[tuple[int, int]]) -> Iterator[Pair]:
    """Frames that belong together, in order. places: (index in `source`, index in `output`), both ascending.

    A frame of `source` may stand in several places, and frames may be missing on either side; at most three of `source`
    and one of `output` are held.
    """
    wanted: dict[int, list[int]] = {}
    for own_index, other in places:
        wanted.setdefault(own_index, []).append(other)
    others = iter(output)
    held: Frame | None = None
    window: list[Frame | None] = [None, None]
    for following in _ended(source):
        before, own = window
        window = [own, following]
        if own is None:
            continue
        for place in wanted.get(own.index, ()):
            while held is None or held.index < place:
                if (held := next(others, None)) is None:
                    return
            if held.index == place:
                yield Pair(own, tuple(frame for frame in (before, following) if frame is not None), held)


def _ended(frames: Iterable[Frame]) -> Iterator[Frame | None]:
    """`frames` and None behind the last."""
    yield from frames
    yield None
