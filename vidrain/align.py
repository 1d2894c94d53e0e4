"""Brings neighbouring frames onto the frame being cleaned: the ways to them, warp, how far the warp can be trusted.

Knows nothing of video files, shots or rain.

    aligner = Aligner(AlignOptions())
    picture = Picture(index=7, pixels=pixels, guide=guide_of(pixels, aligner.options))
    ways = aligner.ways(picture, [earlier, later])
    aligned = aligned_along(ways, picture, [earlier, later])
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vidrain.errors import UsageError
from vidrain.fixed import floats
from vidrain.flow import (
    Flow,
    FlowPreset,
    Grey,
    Guide,
    Offsets,
    Search,
    composed,
    error_between,
    fetched,
    inverted,
    offsets_of,
    resized,
)
from vidrain.types import Aligned

_STREAK = np.ones((1, 3), np.uint8)  # guide pixels; wider than streaks, of which most are one or two across
_RIM = np.ones((3, 3), np.uint8)  # the soft edge of a mark is too faint to be told from what lies behind it
_LUMA = (0.299, 0.587, 0.114)  # BT.601; the guide only has to look alike in all frames, so any matrix will do


@dataclass(frozen=True)
class AlignOptions:
    """How motion is measured.

    preset: of DIS, `fast` with half the care; or `quick`: `fast`, and what lies two frames away and more is followed
        from frame to frame, and the way back is that forth turned round where nobody asks how far it can be trusted,
        both without a search of their own; or `fine`: `fast` on a grid twice as close, in three times the
        time. None: `fine` where a first pass has taken the rain off the pictures, which else leads it astray, `quick`
        for a model that does not ask how far the flow can be trusted, and `fast` for all others.
    scale: side of the guide picture over side of the frame.
    smallest_side, largest_side: the scale is raised (at most to 1) until the shorter side of the guide has this many
        pixels, and lowered until it has no more than that: what is filmed larger is not sharper by as much.
    still_tolerance: grey levels; a place that differs by no more than this from EVERY neighbour at the same
        place stands still (a logo, a still camera) and is not moved along with its surroundings. 0 = only equal.
    still_lead: grey levels; so does a place that is more like EVERY neighbour at the same place than along the
        flow, by more than this (a mark that lets the scene shine through). 255 = never.
    """

    preset: FlowPreset | None = None
    scale: float = 0.5
    smallest_side: int = 360
    largest_side: int = 540
    still_tolerance: int = 3
    still_lead: int = 4

    def __post_init__(self) -> None:
        if not 0 < self.scale <= 1:
            raise UsageError(f"align.scale={self.scale}: allowed: above 0, up to 1")
        if self.largest_side < max(self.smallest_side, 1):
            found = f"align.largest_side={self.largest_side}"
            raise UsageError(f"{found}: allowed: from align.smallest_side={self.smallest_side} on")


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame ready for alignment: its number, its pixels, `guide_of` it.

    pixels: [1, H, W] luma in fixed point (`fixed`), or [3, H, W] RGB, float32, nominally in [0, 1], as the model sees
    them.
    """

    index: int
    pixels: Tensor
    guide: Guide


class Rim(NamedTuple):
    """The part of a picture along one side of it that a flow leads out of. outside: [h, w], 1 where it does, else 0."""

    rows: slice
    columns: slice
    outside: Guide


class Way(NamedTuple):
    """From a picture to one of its witnesses, in guide pixels.

    flow: 0 where the picture stands still. error: [h, w], by how much it misses on the way back; None where
    nobody asked. rims: where it leads out of the picture. guide: [h, w], that of the witness, brought onto the picture.
    """

    flow: Offsets
    error: Grey | None
    rims: list[Rim]
    guide: Guide


class _Motion(NamedTuple):
    """The flow of two guides both ways, on the grid it is sought on: `forth` from the lower index to the higher.

    [h, w, 2] in pixels of that grid: following on from picture to picture is less work there.
    """

    forth: Flow
    back: Flow


def guide_of(observed: Tensor, options: AlignOptions) -> Guide:
    """The luma picture that motion is measured on.

    observed: [1, H, W] luma or [3, H, W] RGB, as a `Picture` has them. Returns [h, w] uint8, reduced by the options'
    scale.
    """
    luma = _luma(observed.numpy())
    height, width = luma.shape
    side = min(height, width)
    scale = min(1.0, max(min(options.scale, options.largest_side / side), options.smallest_side / side))
    if scale < 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
    levels = floats(torch.from_numpy(luma)).mul(255).round_().clamp_(0, 255)
    return cast(Guide, levels.to(torch.uint8).numpy())


def _luma(pixels: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if len(pixels) == 1:
        luma: npt.NDArray[Any] = pixels[0]
        return luma
    warm = cv2.addWeighted(pixels[0], _LUMA[0], pixels[1], _LUMA[1], 0)
    return cast(npt.NDArray[Any], cv2.addWeighted(warm, 1, pixels[2], _LUMA[2], 0))


class Aligner:
    """Finds the ways from a frame to its witnesses; keeps the flow of each pair of frames until both have been centres.

    What lies two frames away is sought from where the flows by way of the frame between lead: rain, and motion that is
    fast, make a search from nothing go astray.

    Made for centres in rising order. Any other order gives the same result, only with flows computed again.
    Not for use by two threads at a time (its search keeps buffers).
    """

    def __init__(self, options: AlignOptions) -> None:
        self.options = options
        preset = options.preset or "fast"
        self._search = Search(preset)
        self._follows = preset == "quick"  # on from frame to frame, without a search for what lies farther away
        # By whether the way back is that forth turned round, and the indices of a chain of pictures.
        self._motions: dict[tuple[int, ...], _Motion] = {}
        self._grids: dict[int, tuple[Guide, Guide]] = {}  # by index: a guide, and what is searched of it

    def align(self, center: Picture, witnesses: Sequence[Picture]) -> Aligned:
        """Warp every witness onto `center`; with no witnesses the result has K = 0."""
        return aligned_along(self.ways(center, witnesses), center, witnesses)

    def ways(self, center: Picture, witnesses: Sequence[Picture], *, wants_error: bool = True) -> list[Way]:
        """The way from `center` to every witness."""
        motions = self._flows(center, witnesses, turns=self._follows and not wants_error)
        size = center.guide.shape
        flows = [offsets_of(forth, size) for forth, _ in motions]
        guides = [witness.guide for witness in witnesses]
        along = [fetched(guide, flow) for guide, flow in zip(guides, flows, strict=True)]
        moving = self._moving(center.guide, guides, along)
        found, kept = [], moving.astype(np.float32)  # what is multiplied then is in half of the time
        for motion, whole, guide, there in zip(motions, flows, guides, along, strict=True):
            flow = Offsets(*(_where(kept, part) for part in whole))
            error = _where(kept, error_between(*motion, size)) if wants_error else None
            seen = cv2.copyTo(there, moving, guide.copy())
            found.append(Way(flow, error, _rims(flow), cast(Guide, seen)))
        self._forget(center.index, max((witness.index for witness in witnesses), default=center.index))
        return found

    def _moving(self, center: Guide, witnesses: Sequence[Guide], along: Sequence[Guide]) -> Guide:
        """0 where the picture stands still against every witness, 1 elsewhere. along: those along the flow. [h, w]"""
        unlike = np.zeros_like(center)  # at the same place, from the witness that is least like the centre
        lead = np.full_like(center, 255)  # of the same place over the one along the flow, where that is smallest
        for witness, there in zip(witnesses, along, strict=True):
            resting, following = cv2.absdiff(center, witness), cv2.absdiff(center, there)
            np.maximum(unlike, resting, out=unlike)
            np.minimum(lead, cv2.subtract(following, resting), out=lead)
        marked = cv2.dilate((lead > self.options.still_lead).astype(np.uint8), _RIM)
        moving = (unlike > self.options.still_tolerance) & (marked == 0)
        return cast(Guide, moving.view(np.uint8))

    def _flows(self, center: Picture, witnesses: Sequence[Picture], *, turns: bool) -> list[tuple[Flow, Flow]]:
        """Flow from center to every witness and from it to center, by way of those between them.

        What has the index of another one, the same frame in another state, moves as that does. turns: the flow back is
        that forth turned round, which tells nothing of how far that can be trusted.
        """
        around = {witness.index: witness for witness in reversed(witnesses)}  # of one index the first counts
        earlier = [around[index] for index in sorted(around, reverse=True) if index < center.index]
        later = [around[index] for index in sorted(around) if index > center.index]
        found: dict[int, tuple[Flow, Flow]] = {}
        for count, witness in enumerate(earlier, start=1):
            motion = self._motion([*reversed(earlier[:count]), center], turns=turns)
            found[witness.index] = (motion.back, motion.forth)
        for count, witness in enumerate(later, start=1):
            motion = self._motion([center, *later[:count]], turns=turns)
            found[witness.index] = (motion.forth, motion.back)
        return [found[witness.index] for witness in witnesses]

    def _motion(self, chain: Sequence[Picture], *, turns: bool) -> _Motion:
        """Between the ends of a chain of pictures in rising order; each chain is measured once."""
        key = (turns, *(picture.index for picture in chain))
        motion = self._motions.get(key)
        if motion is None:
            first, last, forth, back = chain[0], chain[-1], None, None
            if len(chain) > 2:
                near, rest = (self._motion(part, turns=turns) for part in (chain[:-1], chain[-2:]))
                forth, back = composed(near.forth, rest.forth), composed(rest.back, near.back)
            if forth is None or back is None or not self._follows:
                start, end = self._grid(first), self._grid(last)
                forth = self._search.between(start, end, forth)
                back = inverted(forth) if turns else self._search.between(end, start, back)
            motion = self._motions[key] = _Motion(forth, back)
        return motion

    def _grid(self, picture: Picture) -> Guide:
        """What is searched of a picture; made once, unless another one comes by its index."""
        guide, grid = self._grids.get(picture.index, (None, None))
        if grid is None or guide is not picture.guide:
            grid = self._search.grid(_without_streaks(picture.guide))
            self._grids[picture.index] = picture.guide, grid
        return grid

    def _forget(self, done: int, last: int) -> None:
        """Keep only chains that a centre still to come in this window asks for: radius * (radius + 1) at most."""
        self._motions = {chain: motion for chain, motion in self._motions.items() if done < chain[-1] <= last}
        self._grids = {index: grid for index, grid in self._grids.items() if done < index <= last}


def _where(moving: Grey, part: Grey) -> Grey:
    """What stands where `moving` is 1, and 0 where that is 0; finite, written to, in a sixth of the time of copyTo."""
    return np.multiply(part, moving, out=part)


def _without_streaks(guide: Guide) -> Guide:
    """A guide [h, w] without what is bright and narrow, such as streaks, which lead the flow astray.

    An opening: every pixel becomes the brightest of the darkest ones of three in a row, and what is as wide stays.
    """
    return cast(Guide, cv2.morphologyEx(guide, cv2.MORPH_OPEN, _STREAK))


def aligned_along(ways: Sequence[Way], center: Picture, witnesses: Sequence[Picture]) -> Aligned:
    """Every witness warped onto `center` along its way; with no witnesses the result has K = 0."""
    channels, height, width = center.pixels.shape
    warped = torch.empty((len(witnesses), channels, height, width), dtype=center.pixels.dtype)
    for k, (witness, way) in enumerate(zip(witnesses, ways, strict=True)):
        warp(witness.pixels, way, center.pixels, picture=warped[k])
    errors = [_error_of(way.error, way.rims, (height, width)) for way in ways if way.error is not None]
    if errors and len(errors) == len(ways):
        error = torch.from_numpy(np.stack(errors))
    else:  # nobody asked: zeros that take no memory
        error = torch.zeros(1, 1, 1).expand(len(ways), *center.guide.shape)
    return Aligned(observed=center.pixels, witnesses=warped, error=error)


def _error_of(error: Grey, rims: Sequence[Rim], size: tuple[int, int]) -> Grey:
    """The error of a way in pixels of a picture of `size`, (rows, columns), +inf at its rims. [h, w]"""
    height, width = error.shape
    error = error * np.float32(max(size[0] / height, size[1] / width))
    for rows, columns, outside in rims:
        np.copyto(error[rows, columns], np.inf, where=outside.view(np.bool_))  # a quarter of the time of np.putmask
    return error


def warp(pixels: Tensor, way: Way, observed: Tensor, *, picture: Tensor) -> None:
    """Fetch `pixels` [C, H, W] along a way of any scale, for the picture `observed` [C, H, W].

    Writes the warped picture into `picture` [C, H, W], which is the observed one where the flow leaves the picture. All
    are contiguous, of one type, as a `Picture` has them.
    """
    height, width = pixels.shape[1:]
    along = resized(way.flow, (height, width))
    for channel, warped in zip(_readable(pixels), _readable(picture), strict=True):  # cheaper than interleaved
        fetched(channel, along, warped)
    for rim in way.rims:
        rows, columns, outside = _grown(rim, way.flow.across.shape, (height, width))
        for channel, warped in zip(_readable(observed), _readable(picture), strict=True):
            cv2.copyTo(channel[rows, columns], outside, warped[rows, columns])


def _grown(rim: Rim, size: Sequence[int], other: Sequence[int]) -> Rim:
    """A rim of a picture of one `size`, (rows, columns), in one of another. Alone: most of a picture is no rim."""
    places = [np.arange(to) * of // to for of, to in zip(size, other, strict=True)]  # of the nearest pixel
    (top, bottom), (left, right) = (
        np.searchsorted(place, (part.start, part.stop)) for place, part in zip(places, rim[:2], strict=True)
    )
    rows, columns = places[0][top:bottom] - rim.rows.start, places[1][left:right] - rim.columns.start
    grown = rim.outside.take(rows, axis=0).take(columns, axis=1)
    return Rim(slice(top, bottom), slice(left, right), grown)


def _readable(pixels: Tensor) -> npt.NDArray[Any]:
    """Memory of a picture as OpenCV reads it: unsigned, in a third of the time; codes and luma are never negative."""
    array = pixels.numpy()
    return array.view(np.uint16) if pixels.dtype == torch.int16 else array


def pixels_along(pixels: Tensor, way: Way) -> Tensor:
    """Pixels [C, H, W] of a witness, of any size, contiguous, warped along the way to it; integers are rounded.

    Where that leads out of the picture the rim goes on, unlike in `warp`: for colours, which change slowly, that is
    measured to be right more often than what was observed.
    """
    along, found = resized(way.flow, pixels.shape[1:]), torch.empty_like(pixels)
    for channel, warped in zip(_readable(pixels), _readable(found), strict=True):
        fetched(channel, along, warped)
    return found


def _rims(flow: Offsets) -> list[Rim]:
    """Where a flow leads out of the picture."""
    found = []
    for part, is_across in ((flow.across, True), (flow.down, False)):
        height, width = part.shape
        side, longest = width if is_across else height, cv2.norm(part, cv2.NORM_INF)
        reach = min(int(longest) + 1, side) if isfinite(longest) else side  # what lies farther inside needs no look
        for first, last in ((0, reach), (max(reach, side - reach), side)):
            places = np.arange(first, last, dtype=np.float32)
            rows, columns = (
                (slice(0, height), slice(first, last)) if is_across else (slice(first, last), slice(0, width))
            )
            there = part[rows, columns] + (places if is_across else places[:, None])
            outside = ~((there >= 0) & (there <= side - 1))
            if outside.any():
                found.append(Rim(rows, columns, outside.view(np.uint8)))
    return found
