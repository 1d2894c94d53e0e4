"""Footage to adapt to: a clip, or a part of it, cut into stretches, some to choose by and some to be judged on.

No frame is in two stretches, so nothing was chosen by those that are held out. They begin at key frames
where a clip is long, and are short: to read a window costs the same at any place of any clip.

    learned, held = split([Clip(video, range(120), watchdog)], shortest=5)
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, takewhile

import numpy as np
import torch
from torch import Tensor

from vidrain.train.data import at_size
from vidrain.types import Frame
from vidrain.video.color import conversion_for, to_luma, upright
from vidrain.video.decode import Decoded, Video
from vidrain.watchdog import Watchdog

_MOST = 24  # stretches of a clip
_LONGEST = 36  # frames; 24 a second shown as 60 are 14 that differ
_HELD = 4  # every fourth is held out
_AHEAD = 4  # frames decoded ahead


@dataclass(frozen=True)
class Clip:
    """What is cleaned of one video: the frames `kept`, read under the eye of `watchdog`."""

    video: Video
    kept: range
    watchdog: Watchdog


class Stretch:
    """Consecutive frames of a clip, through the decoder that writes videos, in its colours."""

    def __init__(self, clip: Clip, frames: range) -> None:
        # what is read here says nothing of what the job has decoded
        self._video = replace(clip.video, decoded=Decoded(np.zeros(len(clip.video.index.pts), np.bool_)))
        self._frames, self._watchdog = frames, clip.watchdog
        self._conversion = conversion_for(clip.video.info)

    def __len__(self) -> int:
        return len(self._frames)

    def read(self, indices: Sequence[int]) -> list[Tensor]:
        """Frames in rising order, [1, H, W] float32 luma, upright, as small as a gate looks at them.

        For one that does not decode the one before it, as a repeat. InputError where the source stalls.
        """
        wanted = [self._frames[index] for index in indices]
        found = {frame.index: self._picture(frame) for frame in self._decoded(wanted[0], wanted[-1], set(wanted))}
        picture = found[min(found)] if found else self._blank()
        return [picture := found.get(index, picture) for index in wanted]

    def _blank(self) -> Tensor:
        info = self._video.info
        return at_size(upright(torch.zeros(1, info.height, info.width), info.display_matrix))

    def _decoded(self, first: int, last: int, wanted: set[int]) -> Iterator[Frame]:
        frames = takewhile(lambda frame: frame.index <= last, self._video.frames(first))
        ahead = self._watchdog.ahead(frames, _AHEAD, "adapt", self._video.decoded.place)
        return (frame for frame in ahead if frame.index in wanted)

    def _picture(self, frame: Frame) -> Tensor:
        luma = to_luma(frame.planes, self._conversion)
        return at_size(upright(luma, self._video.info.display_matrix))


def split(clips: Sequence[Clip], shortest: int) -> tuple[list[Stretch], list[Stretch]]:
    """Stretches to learn from, and those held out, of at least `shortest` frames; none of either of clips too short."""
    learned: list[Stretch] = []
    held: list[Stretch] = []
    for clip in clips:
        parts = parts_of(clip.kept, shortest, _keys(clip.video))
        if len(parts) > 1:
            held += [Stretch(clip, part) for part in parts[1::_HELD]]
            learned += [Stretch(clip, part) for place, part in enumerate(parts) if place % _HELD != 1]
    return learned, held


def parts_of(kept: range, shortest: int, keys: Sequence[int]) -> list[range]:
    """`kept` in even parts, at most 24, of twice `shortest` frames where there are as many, and of 36 at most.

    keys: key frames; a part that is cut short begins at its first one, if enough of it is left there.
    """
    count = min(max(len(kept) // (2 * shortest), min(len(kept) // shortest, 2)), _MOST)
    bounds = [kept.start + len(kept) * place // count for place in range(count)] + [kept.stop] if count else []
    parts = [range(start, stop) for start, stop in pairwise(bounds)]
    return [_shortened(part, keys) for part in parts]


def _shortened(part: range, keys: Sequence[int]) -> range:
    if len(part) <= _LONGEST:
        return part
    start = next((key for key in keys if key in part and part.stop - key >= _LONGEST), part.start)
    return range(start, start + _LONGEST)


def _keys(video: Video) -> list[int]:
    found: list[int] = np.searchsorted(video.index.pts, video.index.keys).tolist()
    return found
