"""Which neighbours of a frame may bear witness about it: not across a cut, and a repeated frame only once.

Pure rules on guide pictures and on the verdicts about single steps; knows nothing of flow fields kept elsewhere,
of rain or of files.

    guides = [as_judged(guide, (720, 1280)) for guide in guides]
    steps = [step_between(a, b, options) for a, b in pairwise(guides)]   # each step is judged once
    choose_witnesses(steps, center=3, radius=2)                          # positions, e.g. [2, 1, 4, 5]
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Guide = npt.NDArray[np.uint8]

_THUMB = (96, 54)  # (width, height): blurs rain and noise away, keeps what a shot shows
_SCALE, _SIDE = 0.5, 180  # of the pictures that the thresholds below were found on
_REPEAT_BLOCK = 8  # guide pixels; a drop fills a good part of such a block, so its mean moves


class Step(Enum):
    """What lies between two adjacent frames."""

    NEW = "new"
    REPEAT = "repeat"
    CUT = "cut"


@dataclass(frozen=True)
class ShotOptions:
    """Where a shot ends and when a frame is the one before it again. Grey levels are 0 to 255.

    cut_correlation: a cut is a pair of thumbnails that correlate less than this, as they lie AND after following
        their flow. Eight cuts of two edited clips: at most 0.43; every other step of 13 clips, fast pans
        included: at least 0.63.
    cut_difference: ... and differ by this many levels on average after the flow. The same cuts: at least 32;
        noise and rain on a flat scene, whose correlation means nothing: at most 3.
    repeat_mean: mean difference of the guides up to which a frame is a repeat. Repeats in three compressed clips:
        at most 0.08; steps of filmed still scenes 0.09 and more, with rain 0.94 and more.
    repeat_block: ... and no block differs by more than this. Repeats: at most 3; rain on still scenes: at least 11.
    """

    cut_correlation: float = 0.5
    cut_difference: float = 6.0
    repeat_mean: float = 0.085
    repeat_block: float = 3.5


def as_judged(guide: Guide, size: tuple[int, int]) -> Guide:
    """A guide of a frame of `size`, (rows, columns), at the size that the thresholds are for.

    That is half of the frame, and 180 pixels at least along the shorter side. On more pixels compression counts for
    more: of frames that are repeats, reduced to 360 lines and coded at crf 20, 87 of 100 are seen, on 360 lines 62.
    """
    scale = min(1.0, max(_SCALE, _SIDE / min(size)))
    height, width = (max(1, round(side * scale)) for side in size)
    if guide.shape[0] <= height:
        return guide
    return cv2.resize(guide, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def step_between(before: Guide, after: Guide, options: ShotOptions) -> Step:
    """The verdict on two adjacent frames, from their guides [h, w] uint8 `as_judged`."""
    if is_repeat(before, after, options):
        return Step.REPEAT
    return Step.CUT if is_cut(before, after, options) else Step.NEW


def is_cut(before: Guide, after: Guide, options: ShotOptions) -> bool:
    """Whether the two show different scenes. A pan, a flash or heavy rain is no cut; a dissolve has none."""
    first = cv2.resize(before, _THUMB, interpolation=cv2.INTER_AREA)
    second = cv2.resize(after, _THUMB, interpolation=cv2.INTER_AREA)
    if _correlation(first, second) >= options.cut_correlation:
        return False  # nearly every step ends here, before any flow
    flow = np.zeros((_THUMB[1], _THUMB[0], 2), np.float32)
    cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(first, second, flow)
    x, y = np.meshgrid(np.arange(_THUMB[0], dtype=np.float32), np.arange(_THUMB[1], dtype=np.float32))
    moved = cv2.remap(second, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    differs = float(cv2.absdiff(first, moved).mean()) >= options.cut_difference
    return differs and _correlation(first, moved) < options.cut_correlation


def is_repeat(before: Guide, after: Guide, options: ShotOptions) -> bool:
    """Whether `after` is `before` again but for compression: nothing moved, no drop fell."""
    difference = cv2.absdiff(before, after)
    if float(difference.mean()) > options.repeat_mean:
        return False
    height, width = difference.shape
    blocks = (max(1, width // _REPEAT_BLOCK), max(1, height // _REPEAT_BLOCK))
    return int(cv2.resize(difference, blocks, interpolation=cv2.INTER_AREA).max()) <= options.repeat_block


def choose_witnesses(steps: Sequence[Step], center: int, radius: int) -> list[int]:
    """Positions of the nearest `radius` different frames on each side of `center` within its shot.

    steps: `steps[i]` lies between frames i and i + 1 of a run of len(steps) + 1 consecutive frames.
    Returns earlier frames, nearest first, then later frames, nearest first; fewer where the shot or the run ends.
    """
    if not 0 <= center <= len(steps):
        raise ValueError(f"center {center} is not one of the {len(steps) + 1} frames")
    earlier = [i for i in _fresh(steps[:center][::-1], radius)]
    later = [i for i in _fresh(steps[center:], radius)]
    return [center - i for i in earlier] + [center + i for i in later]


def _fresh(steps: Sequence[Step], wanted: int) -> Iterator[int]:
    """Distances of the first `wanted` frames that differ from the one before them, walking away until a cut."""
    for distance, step in enumerate(steps, start=1):
        if wanted == 0 or step is Step.CUT:
            return
        if step is Step.NEW:
            wanted -= 1
            yield distance


def _correlation(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """Pearson correlation of two pictures; 0 where either is a single grey, so that the difference alone decides."""
    a = first.astype(np.float32) - first.mean()
    b = second.astype(np.float32) - second.mean()
    norm = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / norm if norm > 0 else 0.0
