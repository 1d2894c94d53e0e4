"""A constant frame rate, where it is asked for: which frame is shown how often, in exact times.

Frame k of the output stands at start + k/N. A frame belongs to the place nearest to its time: if places took the last
frame not after them, times that a container rounded (67 ms for 2/30 s) would be repeated here and dropped there. A
place without a frame shows the one before it again; of several frames at one place the last is shown.

>>> pace = pace_for([0, 40, 120], Fraction(1, 1000), Fraction(160, 1000), rate_of("25"))
>>> pace.places.tolist(), pace.frames       # the second frame is shown twice
([0, 1, 3], 4)
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor, lcm

import numpy as np
import numpy.typing as npt

from vidrain.errors import UsageError
from vidrain.types import Layers, VideoInfo

_RATE = re.compile(r"(\d{1,7}(?:\.\d{1,7})?)(?:/(\d{1,7}))?", re.ASCII)
_FASTEST = 1000  # frames per second
_TELEVISION = (24, 30, 48, 60, 120)  # which are meant by 23.976, 29.97, ..., as n * 1000/1001 (SMPTE ST 12-1)
_HALF = Fraction(1, 2)
_FINEST = (1 << 31) - 1  # ticks per second that MP4 holds


@dataclass(frozen=True)
class Pace:
    """Frames at even times. places: int64 [F], the first place of each frame kept; it is shown up to that of the next.

    start: of place 0, and step: from place to place, in ticks of time_base; frames: places altogether.
    """

    rate: Fraction
    time_base: Fraction
    start: int
    step: int
    places: npt.NDArray[np.int64]
    frames: int

    @property
    def dropped(self) -> int:
        """Frames that are not shown."""
        return int(np.count_nonzero(self._shown() == 0))

    @property
    def repeated(self) -> int:
        """Places that show the frame before them again."""
        shown = self._shown()
        return int((shown[shown > 1] - 1).sum())

    @property
    def times(self) -> npt.NDArray[np.int64]:
        """When each place is shown, int64 [frames], in ticks of time_base."""
        return self.start + self.step * np.arange(self.frames, dtype=np.int64)

    @property
    def numbers(self) -> npt.NDArray[np.int64]:
        """Which frame each place shows, int64 [frames], counted from the first one kept."""
        return np.repeat(np.arange(len(self.places), dtype=np.int64), self._shown())

    def _shown(self) -> npt.NDArray[np.int64]:
        """How often each frame is shown."""
        return np.diff(self.places, append=self.frames)

    def of(self, info: VideoInfo) -> VideoInfo:
        """Facts of the video at this pace."""
        return replace(info, time_base=self.time_base, rate=self.rate)


def rate_of(text: str) -> Fraction:
    """Frames per second from `25`, `29.97` (30000/1001 is meant) or `30000/1001`; UsageError for anything else."""
    match = _RATE.fullmatch(text)
    if match is None or not Fraction(match[2] or 1) or (match[2] and "." in match[1]):
        raise UsageError(f"--cfr {text[:40]}: is no frame rate; allowed: such as 25, 29.97 or 30000/1001")
    rate = Fraction(match[1]) / Fraction(match[2] or 1)
    if "." in text and ceil(rate) in _TELEVISION and abs(rate - Fraction(ceil(rate) * 1000, 1001)) <= Fraction(1, 200):
        rate = Fraction(ceil(rate) * 1000, 1001)
    if not 0 < rate <= _FASTEST:
        raise UsageError(f"--cfr {text}: allowed: more than 0, up to {_FASTEST} frames per second")
    return rate


def pace_for(pts: Sequence[int], time_base: Fraction, end: Fraction, rate: Fraction) -> Pace:
    """The pace of `rate` for frames at `pts`, ticks of `time_base`, the last of which ends at `end` seconds.

    The whole is as long as it was, to half a frame.
    """
    first, last = int(pts[0]), int(pts[-1])
    length = (end if end > last * time_base else last * time_base + 1 / rate) - first * time_base
    frames = max(floor(length * rate + _HALF), 1)
    per_tick = time_base * rate
    places = [min(floor((int(time) - first) * per_tick + _HALF), frames) for time in pts]
    ticks = _ticks_per_second(time_base, rate)
    start = round(first * time_base * ticks)
    return Pace(rate, Fraction(1, ticks), start, int(ticks / rate), np.asarray(places, np.int64), frames)


def _ticks_per_second(time_base: Fraction, rate: Fraction) -> int:
    """A clock for the times of the source and those at `rate`; where there is none, as fine a one as can be."""
    common = lcm(time_base.denominator, rate.numerator)
    return common if common <= _FINEST else _FINEST // rate.numerator * rate.numerator


def at_pace(layers: Iterable[Layers], pace: Pace, first: int) -> Iterator[Layers]:
    """The layers as often as they are shown, at their even times. first: index of the frame at place 0.

    A frame that is missing is made up for by the one before it.
    """
    held: Layers | None = None
    place = 0
    for each in layers:
        number = each.frame.index - first
        if held is not None:
            yield from _shown(held, pace, range(place, int(pace.places[number])))
        place, held = int(pace.places[number]), each
    if held is not None:
        number = held.frame.index - first + 1
        end = int(pace.places[number]) if number < len(pace.places) else pace.frames
        yield from _shown(held, pace, range(place, end))


def _shown(layers: Layers, pace: Pace, places: range) -> Iterator[Layers]:
    for place in places:
        frame = replace(layers.frame, pts=pace.start + place * pace.step, duration=pace.step)
        yield replace(layers, frame=frame)
