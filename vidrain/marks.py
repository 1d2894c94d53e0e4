"""Burnt-in text, logos and labels, of which nothing is to be taken: edges that stay while the scene moves on.

An edge of the scene moves along with the camera; one of a mark stays where it is, in frame after frame, also where the
scene shines through. What of the scene stays too, along the motion or where roads vanish, is left out: letters have
edges across and down, near each other, and around them everything has moved farther than an edge is wide. Where nothing
moves nothing can be told, nor need it be: there a mark is what all neighbours agree on. Knows nothing of files, rain or
models. A door to cv2.

    marks = Marks(MarkOptions(moved=10.0))
    marks.see(index, shot, guide)             # every frame, before or while it is within `AHEAD` of the one that counts
    marks.around(index, flow, frames)         # [h, w] uint8, 1 where nothing is to be taken, or None
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple, cast

import cv2
import numpy as np
import numpy.typing as npt

from vidrain.errors import UsageError
from vidrain.flow import Grey, Guide, Offsets

MEMORY = 32  # frames before one in which its edges have to be there, in the same shot
AHEAD = 4  # frames after it; as many as the narrowest window holds that tells
_SPEEDS = 8  # frames before one whose flow tells how fast things move around
_EVERY = 2  # of the frames farther than one away: the others say the same
# Lengths are in pixels of the picture that motion is measured on, of 360 lines for a video of 720.
_LEAST_STEP = 4  # grey levels by which pixels beside an edge differ from it, more than noise does after coding
_LETTER = 15  # side of the square in which edges of both directions lie
_LEAST_SHARE = 0.1  # of its pixels
_LEAST_SECOND = (
    0.08  # share of the edges that the second direction has: half where all directions are alike, 0 on a line
)
_SPARSE = 4  # directions are compared around one in so many pixels, across and down
_CELL = 8  # flow is looked at once in so many pixels
_AROUND = 7  # cells across the surroundings in which things have to move
_LEAST_MOVING = 0.1  # of them; the others stand still, as a mark does
_GAP = 17  # between letters, and inside of them
_RIM = (7, 12)  # down and across, around what is known: soft edges, and digits at the end that have just changed


@dataclass(frozen=True)
class MarkOptions:
    """What is taken for a mark.

    moved: pixels of the picture that motion is measured on, by which things around have to move on while its edges
        stay, in up to 37 frames, such as 10. More finds fewer marks, and takes fewer edges of a slow scene for marks.
        None: no mark is looked for, because far ahead of a car, and beside what moves, edges of the scene stay as well:
        there rain would be left (docs/quality.md).
    """

    moved: float | None = None

    def __post_init__(self) -> None:
        if self.moved is not None and not (isfinite(self.moved) and self.moved > 0):
            raise UsageError(f"marks.moved={self.moved}: allowed: above 0, null for no mark at all")


class Steps(NamedTuple):
    """Half of what the pixel on one side has over that on the other, [h, w] int8 each."""

    across: Any
    down: Any


class Marks:
    """Finds marks around frames of rising index; remembers what it saw of those before, within a shot."""

    def __init__(self, options: MarkOptions) -> None:
        self.options = options
        self._steps: dict[int, Steps] = {}
        self._speeds: dict[int, Grey] = {}
        self._shots: dict[int, int] = {}

    def see(self, index: int, shot: int, guide: Guide) -> None:
        """Keep the edges of a frame, once."""
        if self.options.moved is not None and index not in self._steps:
            self._steps[index], self._shots[index] = steps_of(guide), shot
            for kept in (self._steps, self._shots):  # where no frame counts for long
                kept.pop(index - AHEAD - MEMORY - 1, None)

    def around(self, index: int, flow: Offsets, frames: int) -> Guide | None:
        """Where marks are in a frame that was seen: 1, else 0; None where there are none. [h, w]

        flow: to a witness so many `frames` away, [h, w].
        """
        if self.options.moved is None:
            return None
        self._forget(index)
        self._speeds[index] = speeds_of(flow, frames)
        used = [
            other
            for other in sorted(self._steps)
            if self._shots[other] == self._shots[index]
            and other <= index + AHEAD
            and (other % _EVERY == 0 or abs(other - index) <= 1)
        ]
        speed = sum(self._speeds.values()) / np.float32(len(self._speeds))
        is_moved = np.greater_equal(speed * (used[-1] - used[0]), self.options.moved)
        if not np.any(is_moved):
            return None
        return marks_in([self._steps[other] for other in used], is_moved)

    def _forget(self, index: int) -> None:
        """What is of another shot, or too long ago."""
        shot = self._shots[index]
        kept = {other for other, its in self._shots.items() if its == shot and other >= index - MEMORY}
        later = {other for other in self._shots if other > index}
        asked = {other for other in kept if other % _EVERY == 0 or other >= index - 1} | later
        self._steps = {other: steps for other, steps in self._steps.items() if other in asked}
        self._shots = {other: its for other, its in self._shots.items() if other in self._steps}
        self._speeds = {
            other: speeds for other, speeds in self._speeds.items() if other in kept and other >= index - _SPEEDS
        }


def steps_of(guide: Guide) -> Steps:
    """The edges of a picture [h, w] uint8."""
    wide = cv2.copyMakeBorder(guide, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    sides = (wide[1:-1, 2:], wide[1:-1, :-2]), (wide[2:, 1:-1], wide[:-2, 1:-1])
    return Steps(*(cv2.addWeighted(first, 0.5, second, -0.5, 0, dtype=cv2.CV_8S) for first, second in sides))


def speeds_of(flow: Offsets, frames: int) -> Grey:
    """How far things move in a frame around each cell, the mean of those that move. [h / 8, w / 8] in pixels

    flow: [h, w] over so many frames. 0 where next to nothing moves.
    """
    coarse = np.hypot(*(part[_CELL // 2 :: _CELL, _CELL // 2 :: _CELL] for part in flow))
    if not coarse.size:
        return np.zeros((1, 1), np.float32)
    total, moving = (
        cast(Grey, cv2.blur(part, (_AROUND, _AROUND))) for part in (coarse, (coarse > 0).astype(np.float32))
    )
    speeds = np.where(moving > _LEAST_MOVING, total / np.maximum(moving, _LEAST_MOVING), 0) / frames
    return speeds.astype(np.float32)


def marks_in(frames: Sequence[Steps], is_moved: npt.NDArray[np.bool_]) -> Guide | None:
    """Where edges stay in all of `frames` while things around have moved on: 1, else 0. [h, w]; None for nowhere

    is_moved: [h / 8, w / 8]
    """
    across, down = (_staying(steps) for steps in zip(*frames, strict=True))
    moved = _grown(is_moved, across.shape)
    edges = ((across | down) != 0).view(np.int8) * moved
    near = cv2.blur(edges.view(np.uint8) * np.uint8(255), (_LETTER, _LETTER), borderType=cv2.BORDER_CONSTANT)
    edges *= (near >= 255 * _LEAST_SHARE).view(np.int8)
    if not edges.any():  # nearly always, where nothing is burnt in, and the rest takes the most of the time
        return None
    found = edges * _grown(_is_written(across * moved, down * moved), across.shape)
    if not found.any():
        return None
    room = _GAP + max(_RIM)  # so that closing does not end at the border
    wide = cv2.copyMakeBorder(found.view(np.uint8), room, room, room, room, cv2.BORDER_CONSTANT, value=0)
    filled = cv2.morphologyEx(wide, cv2.MORPH_CLOSE, np.ones((_GAP, _GAP), np.uint8))
    around = cv2.dilate(filled, np.ones((2 * _RIM[0] + 1, 2 * _RIM[1] + 1), np.uint8))
    return cast(Guide, np.ascontiguousarray(around[room:-room, room:-room]))


def _is_written(across: Any, down: Any) -> npt.NDArray[np.bool_]:
    """Where edges have several directions, unlike along a line, however it lies. [h / 4, w / 4]

    across, down: [h, w] int8. By the smaller eigenvalue of the structure tensor of a square, for one pixel in four.
    """
    square, every = (_LETTER, _LETTER), slice(_SPARSE // 2, None, _SPARSE)
    first, second = across.astype(np.float32), down.astype(np.float32)
    aa, dd, ad = (
        cv2.blur(part, square, borderType=cv2.BORDER_CONSTANT)[every, every]
        for part in (first * first, second * second, first * second)
    )
    smaller = aa + dd - np.sqrt((aa - dd) ** 2 + 4 * ad * ad)  # twice as large
    found: npt.NDArray[np.bool_] = (smaller > 0) & (smaller >= 2 * _LEAST_SECOND * (aa + dd))
    return found


def _grown(places: npt.NDArray[np.bool_], size: tuple[int, ...]) -> npt.NDArray[np.int8]:
    """1 and 0 for places that stand for several pixels each. [*size]"""
    height, width = size
    if not places.size:
        return np.zeros((height, width), np.int8)
    return cv2.resize(places.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST).view(np.int8)


def _staying(steps: Sequence[Any]) -> npt.NDArray[np.int8]:
    """The smallest step of all frames where it leads the same way in all, 0 elsewhere. [h, w]"""
    least = most = steps[0]
    for each in steps[1:]:
        least, most = cv2.min(least, each), cv2.max(most, each)
    found: npt.NDArray[np.int8] = least * (least >= _LEAST_STEP).view(np.int8)
    found += most * (most <= -_LEAST_STEP).view(np.int8)
    return found
