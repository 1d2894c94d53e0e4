"""Which frames a start and an end mean: `250` is a frame, `12.5s` and `0:01:02.5` are times from the first frame.

>>> frame_at("0:00:02", index, Fraction(1, 90000))   # the first frame shown at 2 s or later
"""

import re
from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction

from vidrain.errors import UsageError
from vidrain.types import FrameIndex

_ALLOWED = "a frame such as 250, seconds such as 12.5s, or 0:01:02.5"
_NAMED = ("--start", "--end")
_LONGEST = 40  # characters; more is no time of any video, and Python refuses to read longer numbers
_SECONDS = re.compile(r"(\d+(?:\.\d*)?|\.\d+)s")
_CLOCK = re.compile(r"(?:(\d+):)?(\d{1,2}):(\d{1,2}(?:\.\d+)?)")


def kept_frames(
    start: str | None, end: str | None, index: FrameIndex, time_base: Fraction, named: Sequence[str] = _NAMED
) -> range:
    """Indices of the frames from `start` (inclusive) to `end` (exclusive); UsageError if there are none.

    named: what the command calls the two, or the first alone where there is no other.
    """
    frames = len(index.pts)
    first = 0 if start is None else frame_at(start, index, time_base)
    last = frames if end is None else min(frame_at(end, index, time_base), frames)
    if first >= last:
        asked = " ".join(f"{name} {text}" for name, text in zip(named, (start, end), strict=False) if text is not None)
        allowed = [f"{named[0]} up to that one", *(f"{name} behind {named[0]}" for name in named[1:])]
        length = (int(index.pts[-1]) - int(index.pts[0])) * time_base
        last_start = f"{float(length * 1000 // 1 / 1000):.3f}s"  # never rounded up, to where no frame is
        raise UsageError(
            f"{asked}: no frame lies there; the video has {frames} frames, 0 to {frames - 1}, the last at "
            f"{last_start}; allowed: {', '.join(allowed)}"
        )
    return range(first, last)


def frame_at(position: str, index: FrameIndex, time_base: Fraction) -> int:
    """Index of the first frame at or after `position`; beyond the last frame for a later position.

    Raises UsageError for a text that is neither a frame number, `12.5s`, nor `HH:MM:SS.mmm`.
    """
    if len(position) > _LONGEST:
        raise UsageError(f"{position[:_LONGEST]}...: is no position; allowed: {_ALLOWED}")
    if position.isdecimal():
        return int(position)
    seconds = _seconds(position)
    due = int(index.pts[0]) + seconds / time_base
    ticks = -(-due.numerator // due.denominator)  # the first whole tick not before it
    return bisect_left(index.pts, ticks)  # not searchsorted: a late time may be past the end of int64


def _seconds(position: str) -> Fraction:
    if match := _SECONDS.fullmatch(position):
        return Fraction(match[1])
    if (match := _CLOCK.fullmatch(position)) and int(match[2]) < 60 and Fraction(match[3]) < 60:
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + Fraction(match[3])
    raise UsageError(f"{position}: is no position; allowed: {_ALLOWED}")
