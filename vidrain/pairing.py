"""Frames of two videos that belong together: which, when they are shown, and by decoding what they look like.

Knows nothing of streams and tags.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vidrain.equality import MATROSKA_TICK, Difference, Explained, Found, is_padded, size_of
from vidrain.likeness import Comparison, is_repeated, pairs
from vidrain.pace import Pace
from vidrain.timing import Times, first_off, matched, on_one_clock, unmatched, worst_off
from vidrain.types import Frame, Plane
from vidrain.video.decode import Video
from vidrain.watchdog import Watchdog

_NAMED = 3  # places named of many
_DECODED_AHEAD = 4  # frames
_LOSSLESS = ("ffv1",)
_FEW = 0.1  # share of frames whose added edge may look otherwise in a lossy codec


@dataclass(frozen=True)
class Due:
    """What a video made of the frames `kept` has to show, place by place.

    shift: what was taken off every time, in ticks of time_base; pace: a constant rate, None for the frames' own times.
    shown: int64 [F], index of the frame; times: int64 [F], when, in ticks of time_base.
    """

    kept: range
    shift: int
    pace: Pace | None
    time_base: Fraction
    shown: Times
    times: Times


def due_of(video: Video, kept: range, *, shift: Fraction, pace: Pace | None) -> Due:
    """What is due of `video`. shift: seconds."""
    if pace is None:
        base, shown = video.info.time_base, np.arange(kept.start, kept.stop, dtype=np.int64)
        times = video.index.pts[kept.start : kept.stop]
    else:
        base, shown, times = pace.time_base, kept.start + pace.numbers, pace.times
    ticks = round(shift / base)
    return Due(kept, ticks, pace, base, shown, times - ticks)


class Pairing:
    """The frames `due` of one video and all frames of another, by their indices until `compare` decodes them.

    container: FFmpeg's name of that of the second; stall_s: patience with each of the two, in seconds. largest_error,
    is_decoded: known after `facts`.
    """

    def __init__(self, before: Video, after: Video, due: Due, *, container: str, stall_s: float) -> None:
        self._before, self._after, self._plan, self._kept = before, after, due, due.kept
        self._stall_s = stall_s
        self._foreign_edges: list[int] = []  # frames in which what was added is not the last row or column again
        self._allowed = MATROSKA_TICK / 2 if container == "matroska" else Fraction(0)
        # copies, which decoding overwrites: what the packets say may run backwards
        self._due, self._got = due.times.copy(), after.index.pts.copy()
        ours, theirs, tick = self._on_one_clock()
        self._pairs = matched(ours, theirs, allowed=int(self._allowed / tick))
        self.is_decoded = False
        self.largest_error = Fraction(0)

    @property
    def counts(self) -> tuple[int, int]:
        """Frames that are due, and frames that are there."""
        return len(self._due), len(self._got)

    def compare(self, tick: Callable[[], None] = lambda: None) -> Comparison:
        """Decode both videos whole: note the times of all frames, compare those that belong together.

        tick: called for every frame of the second.
        """
        before, after, kept = self._before, self._after, self._kept
        comparison = Comparison(before.info.layout, after.info.layout)
        places = ((int(self._plan.shown[i]), j) for i, j in self._pairs)
        with ExitStack() as stack:
            own = _until(stack.enter_context(closing(self._decoded(before, max(kept.start - 1, 0)))), kept.stop)
            if self._plan.pace is None:
                own = _noted(own, self._due, kept.start, self._plan.shift)
            decoded = stack.enter_context(closing(self._decoded(after, 0)))
            others = _ticking(_noted(decoded, self._got, 0, 0), tick)
            if size_of(before.info) == size_of(after.info) or is_padded(before.info, after.info):
                for pair in pairs(own, self._cropped(others), places):
                    comparison.look(pair)
            _drain(own)
            _drain(others)
        self.is_decoded = True
        return comparison

    def _decoded(self, video: Video, first: int) -> Generator[Frame, None, None]:
        """Frames of one of the two from index `first` on, decoded ahead; InputError where its file stalls."""
        watchdog = Watchdog(video.info.path, self._stall_s)
        return watchdog.ahead(video.frames(first), _DECODED_AHEAD, "decode", video.decoded.place)

    def facts(self) -> Iterator[Found]:
        """Number of frames, their times, and when the last one ends."""
        lacking, surplus = unmatched(self._pairs, *self.counts)
        if lacking and not self.is_decoded:  # whether IN can be decoded there, only decoding tells
            with closing(self._decoded(self._before, self._kept.start)) as own:
                _drain(_until(own, self._kept.stop))
            self.is_decoded = True
        lost = self._lost()
        yield from self._strays([place for place in lacking if not lost[place]], surplus)
        if filled := sum(bool(lost[i]) for i, _ in self._pairs):
            yield Explained("frames", f"{filled} frames of IN cannot be decoded; OUT has pictures in their place")
        if broken := self._after.decoded.damaged_packets:
            yield Difference("decoding", "whole", f"{broken} packets that cannot be decoded")
        yield from self._edges()
        found = list(self._times([(i, j) for i, j in self._pairs if not lost[i]]))
        yield from found
        ends_together = self._pairs[-1:] == [(len(self._due) - 1, len(self._got) - 1)] and not lost[-1]
        if ends_together and not any(isinstance(item, Difference) for item in found):
            yield from self._end()

    def _on_one_clock(self) -> tuple[Times, Times, Fraction]:
        return on_one_clock(self._due, self._plan.time_base, self._got, self._after.info.time_base)

    def _lost(self) -> npt.NDArray[np.bool_]:
        """Which of the frames that are due IN cannot decode; none as long as nothing was decoded."""
        if not self.is_decoded:
            return np.zeros(len(self._due), np.bool_)
        lost: npt.NDArray[np.bool_] = ~self._before.decoded.frames[self._plan.shown]
        return lost

    def _cropped(self, frames: Iterable[Frame]) -> Iterator[Frame]:
        """Frames of the second without what they have beyond the size of the first, which is looked at before."""
        info, after = self._before.info, self._after.info
        shapes = after.layout.plane_shapes(info.width, info.height)
        for frame in frames:
            cropped = tuple(plane[:rows, :columns] for plane, (rows, columns) in zip(frame.planes, shapes, strict=True))
            if after.codec in _LOSSLESS:
                is_right = all(_is_again(*both) for both in zip(frame.planes, shapes, strict=True))
            else:
                is_right = is_repeated(frame.planes[0], shapes[0], after.layout.depth)
            if not is_right:
                self._foreign_edges.append(frame.index)
            yield replace(frame, planes=cropped)

    def _edges(self) -> Iterator[Found]:
        """What was added to make the size even: exactly the last row or column again, or nearly, in a lossy codec."""
        wrong, allowed = self._foreign_edges, 0 if self._after.info.codec in _LOSSLESS else _FEW * len(self._got)
        if len(wrong) > allowed:
            listed = ", ".join(map(str, wrong[:_NAMED]))
            more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
            due = "the last row or column again"
            yield Difference("padding", due, "something else", f"frame {listed}{more} of OUT")

    def _strays(self, lacking: list[int], surplus: list[int]) -> Iterator[Found]:
        """Frames without a counterpart."""
        strays = [f"{self._named(place)} is missing" for place in lacking]
        strays += [f"frame {place} of OUT is too many" for place in surplus]
        if strays:
            more = [f"{len(strays) - _NAMED} more"] if len(strays) > _NAMED else []
            due, got = self.counts
            yield Difference("frames", str(due), str(got), "; ".join([*strays[:_NAMED], *more]))

    def _named(self, place: int) -> str:
        """What is due at a place, in words."""
        frame = f"frame {self._plan.shown[place]}"
        return frame if self._plan.pace is None else f"place {place} ({frame})"

    def _times(self, together: list[tuple[int, int]]) -> Iterator[Found]:
        if not (self._before.index.orderly or self.is_decoded or self._plan.pace):
            together = [*together[:1], *together[1:][-1:]]
            yield Explained(
                "times", "IN has times out of order: only the first and the last were compared (all: --full)"
            )
        places, others = np.asarray(together, np.int64).reshape(-1, 2).T
        due, got, tick = self._on_one_clock()
        due, got = due[places], got[others]
        self.largest_error = worst_off(due, got) * tick
        if first := first_off(due, got, allowed=int(self._allowed / tick)):
            at, many = first
            off = f"{many} of {len(due)} off by up to {float(self.largest_error) * 1000:.3f} ms"
            where = f"{self._named(int(places[at]))}, {off}"
            yield Difference("times", f"{float(due[at] * tick):.6f} s", f"{float(got[at] * tick):.6f} s", where)
        elif self.largest_error:
            moved = f"{float(self.largest_error) * 1000:.3f} ms"
            yield Explained("times", f"matroska stores whole milliseconds: moved by up to {moved}")
        if backwards := self._before.decoded.moved_times:
            yield Explained(
                "times", f"{backwards} times of IN run backwards: those frames lie between their neighbours"
            )

    def _end(self) -> Iterator[Found]:
        """The end of the last frame, within half a frame.

        Inside a video coded out of order the duration of a frame may be that of any step: so a range may end earlier.
        """
        index, base, stop = self._before.index, self._plan.time_base, self._kept.stop
        got, last, steps = self._after.source.end, int(self._due[-1]) * base, np.diff(self._due)
        is_cut = self._plan.pace is None and stop < len(index.pts)
        if self._plan.pace is not None:
            due = last + 1 / self._plan.pace.rate
        elif is_cut:
            due = (int(index.pts[stop]) - self._plan.shift) * base
        else:
            due = self._before.source.end - self._plan.shift * base
        usual = Fraction(np.median(steps)) * base if len(steps) else due - last
        earliest = last + int(steps.min()) * base if is_cut and len(steps) else due
        if due <= last:
            yield Explained("duration", "IN does not say how long its last frame is shown")
        elif not min(earliest, due) - usual / 2 <= got <= due + usual / 2:
            yield Difference("duration", f"ends at {float(due):.3f} s", f"ends at {float(got):.3f} s")


def _is_again(plane: Plane, shape: tuple[int, int]) -> bool:
    """Whether all that `plane` has beyond `shape` is exactly its last row and column again."""
    rows, columns = shape
    more = ((0, plane.shape[0] - rows), (0, plane.shape[1] - columns))
    return np.array_equal(plane, np.pad(plane[:rows, :columns], more, "edge"))


def _until(frames: Iterable[Frame], stop: int) -> Iterator[Frame]:
    """`frames` up to the one at index `stop`, which comes along as a neighbour."""
    for frame in frames:
        yield frame
        if frame.index >= stop:
            return


def _noted(frames: Iterable[Frame], times: Times, first: int, shift: int) -> Iterator[Frame]:
    """`frames`, each one's time less `shift` noted in `times`, which begins with index `first`."""
    for frame in frames:
        if first <= frame.index < first + len(times):
            times[frame.index - first] = frame.pts - shift
        yield frame


def _ticking(frames: Iterable[Frame], tick: Callable[[], None]) -> Iterator[Frame]:
    """`frames`, with a tick for each."""
    for frame in frames:
        tick()
        yield frame


def _drain(frames: Iterable[Frame]) -> None:
    for _ in frames:
        pass
