"""Whether it rains: bright streaks and dark ones, counted in an aligned window.

Rain only brightens, and a streak lies in one frame: there it is brighter than all other frames agree on. Texture that
the alignment missed, and noise, are as often darker. So marks that stand out of what the others agree on are counted
once where they are bright and once where they are dark, those alone that look like streaks; nothing else has to be
known of the scene. Counts are compared in each of 48 parts of the picture by itself, so that what moves or glitters in
one place says no more than that place. Knows nothing of files, frames or models. Pure; a door to cv2.

    lean_of([center, *aligned])                # [h, w] uint8 each: -1 (all are dark) to 1 (all are bright)
    meter = Meter(MeterOptions())
    meter.is_dry(index, shot, [center, *aligned])   # of one frame after the other
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from statistics import fmean
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from vidrain.errors import UsageError

Grey = npt.NDArray[np.uint8]

MEMORY = 8  # frames before one that count for it: of a single frame rain and chance cannot be told apart
_LEAST_FRAMES = 5  # that count; where there are fewer nobody calls it dry
SIDE = 2  # witnesses on each side: nearest ones; three cost more and tell no better (docs/quality.md)
_LEAST_PICTURES = 1 + 2 * SIDE  # of a window: of three with dense rain the one without is the odd one
_NOISE = 2  # grey levels by which a mark stands out at least, and by more than the others differ
_LEAST_LENGTH = 5  # pixels down, of the picture that motion is measured on
_LEAST_ELONGATION = 2.0  # length down by breadth, as in `streak_shapes`
_THICK = 7  # pixels in each row, on the mean; a streak is thinner, as in `model.streaks`
_PARTS = (6, 8)  # down and across
_DOUBT = 1.0  # mark, added to those of a part: of two marks alone nothing follows


@dataclass(frozen=True)
class MeterOptions:
    """When a frame is left alone.

    dry: frames are, where bright streaks outweigh dark ones by less than this, from 0 to 1, on the mean of the frame
        and up to eight before it. Rain, light rain of 1 mm an hour included: at least 0.08; dry clips: mostly below
        0.05 (docs/quality.md). None: never.
    """

    dry: float | None = 0.05

    def __post_init__(self) -> None:
        if self.dry is not None and (isnan(self.dry) or not 0 <= self.dry <= 1):
            raise UsageError(f"meter.dry={self.dry}: allowed: 0 to 1, null for never")


class Outstanding(NamedTuple):
    """Where one picture is brighter, or darker, than all others by more than those differ: not 0. [h, w] each"""

    bright: Grey
    dark: Grey


class Meter:
    """Tells frames of dry stretches, one after the other; remembers those before. Made for frames in rising order."""

    def __init__(self, options: MeterOptions) -> None:
        self.options = options
        self._before: dict[int, float] = {}  # by index
        self._shot = 0

    def is_dry(self, index: int, shot: int, pictures: Sequence[Grey]) -> bool:
        """Whether it does not rain in a frame. pictures: as for `lean_of`; shot: cuts up to here."""
        if self.options.dry is None:
            return False
        if shot != self._shot:
            self._shot, self._before = shot, {}
        self._before = {other: lean for other, lean in self._before.items() if other >= index - MEMORY}
        if len(pictures) >= _LEAST_PICTURES:
            self._before[index] = lean_of(pictures)
        return is_dry(list(self._before.values()), self.options)


def is_dry(leans: Sequence[float], options: MeterOptions) -> bool:
    """Whether it does not rain in a frame, by the leans of it and of up to `MEMORY` before it."""
    return options.dry is not None and len(leans) >= _LEAST_FRAMES and fmean(leans) < options.dry


def lean_of(pictures: Sequence[Grey]) -> float:
    """How much bright streaks outweigh dark ones: 1 where all are bright in every part, -1 where all are dark.

    pictures: a frame and its witnesses brought onto it, [h, w] uint8, at the size that motion is measured on.
    The mean over parts of (bright - dark) / sqrt(bright + dark + 1), cut off at 1, which is what chance makes of it.
    """
    bright, dark = (_streaks_by_part(mask) for mask in outstanding(pictures))
    return float(np.clip((bright - dark) / np.sqrt(bright + dark + _DOUBT), -1, 1).mean())


def outstanding(pictures: Sequence[Grey]) -> Outstanding:
    """Compare three pictures [h, w] uint8, or more, that are aligned."""
    highest, lowest = cv2.max(pictures[0], pictures[1]), cv2.min(pictures[0], pictures[1])
    second, above = lowest, highest  # the second brightest, and the second darkest
    for picture in pictures[2:]:
        second = cv2.max(second, cv2.min(highest, picture))
        above = cv2.min(above, cv2.max(lowest, picture))
        highest, lowest = cv2.max(highest, picture), cv2.min(lowest, picture)
    leads = cv2.subtract(highest, second), cv2.subtract(above, lowest)
    others = cv2.subtract(second, lowest), cv2.subtract(highest, above)
    return Outstanding(*(_beyond(lead, differ) for lead, differ in zip(leads, others, strict=True)))


def _beyond(lead: Any, others: Any) -> Grey:
    found: npt.NDArray[np.bool_] = cv2.subtract(lead, others) > _NOISE
    return found.view(np.uint8)


def _streaks_by_part(mask: Grey) -> npt.NDArray[np.float64]:
    """How many connected marks that look like streaks begin in each part of a picture. [48]"""
    height, width = mask.shape
    # Half the time, where 16 bits count all marks and one more: there are no more marks than pixels of them.
    label = cv2.CV_16U if cv2.countNonZero(mask) < np.iinfo(np.uint16).max else cv2.CV_32S
    found = cv2.connectedComponentsWithStatsWithAlgorithm(mask, 8, label, cv2.CCL_SPAGHETTI)
    left, top, across, down, area = found[2][1:].T  # the first is what lies around them
    breadth = np.minimum(down / _LEAST_ELONGATION, _THICK)  # of an upright one; a slanted one reaches further across
    seen = (down >= _LEAST_LENGTH) & (across <= down) & (area <= breadth * down)
    parts = (top[seen] * _PARTS[0] // height) * _PARTS[1] + left[seen] * _PARTS[1] // width
    return np.bincount(parts, minlength=_PARTS[0] * _PARTS[1]).astype(np.float64)
