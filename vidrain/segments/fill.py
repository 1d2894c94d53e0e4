"""Makes the segments of one video that are not finished yet: decoded, decomposed, coded, checked, put down.

All of a run of neighbours is computed in one go, so that only the encoder begins anew with a segment: what is made
without a stop and what was stopped a hundred times are the same bytes.
"""

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from operator import attrgetter

import numpy as np

from vidrain.amount import rain_amount
from vidrain.conceal import repeated, unbroken
from vidrain.events import Notice
from vidrain.job import Job
from vidrain.layer_videos import Coding
from vidrain.pace import at_pace
from vidrain.report import Tally
from vidrain.segments.folder import Made, Unfinished
from vidrain.segments.plan import Segment, cut, runs
from vidrain.separate import first_decoded, separated
from vidrain.types import Decomposer, Frame, Layers
from vidrain.untouched import refuse_failing, tolerated
from vidrain.video.coded import Part
from vidrain.video.color import conversion_for
from vidrain.video.decode import Video

Exports = Mapping[str, Coding]  # role -> what is to be written

_index = attrgetter("frame.index")


@dataclass
class Filling:
    """One video to be made in segments. place: number of the pass; say, tick: what is told meanwhile.

    is_kept: whether what is finished is put down, for a run that goes on from it.
    """

    work: Unfinished
    place: int
    job: Job
    segments: Sequence[Segment]
    is_kept: bool
    say: Callable[[Notice], None]
    tick: Callable[[], None]

    def all(self, exports: Exports, decomposer: Decomposer, tally: Tally) -> dict[str, list[Part]]:
        """Role -> the parts of all segments, in order; those that are finished already are taken as they are."""
        found = self.work.made(self.place)
        for number, made in found.items():
            self._come_out(number, True)
            tally.untouched += made.untouched
        refuse_failing(tally.untouched, len(self.job.kept))
        self._drop_strangers(found, tally)
        while (run := next(runs(self.segments, found), None)) is not None:
            was_kept = self.is_kept
            for segment, made in self._run(run, exports, decomposer, tally):
                found[segment.number] = self._put_down(segment, made)
            if was_kept and not self.is_kept:  # what tasks made behind it did not know
                self._drop(found, [number for number in found if number > run[-1].number], tally)
            self._drop_strangers(found, tally)
        tally.rain = [amount for segment in self.segments for amount in found[segment.number].rain]
        tally.dry = sum(made.dry for made in found.values())
        return {role: [found[segment.number].parts[role] for segment in self.segments] for role in exports}

    def alone(self, number: int, exports: Exports, decomposer: Decomposer) -> bool:
        """Make and put down one segment, as one of all would be; whether all of its frames came out of the decoder."""
        segment, tally = self.segments[number], Tally()
        before = self._seen(segment.frames.start - 1) if number else None
        ((_, made),) = self._run([segment], exports, decomposer, tally)
        self.is_kept = _is_sound(self.job.video, segment, self.job.kept)
        if self.is_kept:
            self.work.note(self.place, number, replace(made, before=before))
        return self.is_kept

    def _come_out(self, number: int, has: bool) -> None:
        frames = self.segments[number].frames
        self.job.video.decoded.frames[frames.start : frames.stop] = has

    def _drop_strangers(self, found: dict[int, Made], tally: Tally) -> None:
        """Drop segments made alone where decoding from a key frame gave other pictures than from the beginning."""
        for number in sorted(found):
            before, last = found[number].before, found[number - 1].seen if number - 1 in found else None
            if before is None or last is None:
                continue
            if before != last if before[0] == last[0] else self._seen(last[0]) != last:
                self._drop(found, [number], tally)

    def _drop(self, found: dict[int, Made], numbers: Sequence[int], tally: Tally) -> None:
        """Make them again."""
        for number in numbers:
            gone = found.pop(number).untouched
            tally.untouched[:] = [index for index in tally.untouched if index not in gone]
            self._come_out(number, False)

    def _run(
        self, run: Sequence[Segment], exports: Exports, decomposer: Decomposer, tally: Tally
    ) -> Iterator[tuple[Segment, Made]]:
        job, kept = self.job, range(run[0].frames.start, run[-1].frames.stop)
        video = self._where_seeking_is_safe(run[0], decomposer)
        with separated(video, kept, decomposer, options=job.decompose, watchdog=job.watchdog) as ahead:
            mended = _mended(tolerated(ahead, len(job.kept), tally.untouched), job, kept, tally)
            paced = mended if job.pace is None else at_pace(mended, job.pace, job.kept.start)
            for segment, layers in cut(paced, run, _index):
                parts, last, rain, dry = self._coded(segment, layers, exports)
                untouched = tuple(index for index in tally.untouched if index in segment.frames)
                seen = None if last is None else (last.index, checksum(last))
                yield segment, Made(parts, untouched, seen, rain, dry)

    def _coded(
        self, segment: Segment, layers: Iterator[Layers], exports: Exports
    ) -> tuple[dict[str, Part], Frame | None, tuple[float, ...], int]:
        """Role -> part, the last frame, how much it rains in each, and how many are left alone as dry."""
        last: Frame | None = None
        dry = 0
        rain, conversion = list[float](), conversion_for(self.job.video.info)
        with ExitStack() as stack:
            parts = {
                role: stack.enter_context(export.part(self.work.open_path(self.place, segment.number, role)))
                for role, export in exports.items()
            }
            for item in layers:
                for part in parts.values():
                    part.write(item)
                last = item.frame
                rain.append(rain_amount(item, conversion))
                dry += item.is_dry
                self.tick()
            return {role: part.finish() for role, part in parts.items()}, last, tuple(rain), dry

    def _put_down(self, segment: Segment, made: Made) -> Made:
        """From the first frame on that did not come out nothing is: what follows it depends on what came before."""
        if self.is_kept and not _is_sound(self.job.video, segment, self.job.kept):
            self.is_kept = False
            if segment is not self.segments[-1]:
                self.say(
                    restarts(
                        f"frames do not decode as they should at or before frame {segment.frames.stop}",
                        segment.frames.start,
                    )
                )
        return self.work.note(self.place, segment.number, made) if self.is_kept else made

    def _where_seeking_is_safe(self, first: Segment, decomposer: Decomposer) -> Video:
        """The video, to be decoded from where a run without a stop begins if a key frame may lead to other pictures.

        So it may where the file is damaged, even if it does not for the one frame that is compared.
        """
        video, before = self.job.video, self.work.made(self.place).get(first.number - 1)
        last = before.seen if before is not None else None
        is_whole = self.is_kept and not video.source.structure.damages
        if first is self.segments[0] or (is_whole and (last is None or self._seen(last[0]) == last)):
            return video
        return replace(video, since=first_decoded(self.segments[0].frames, decomposer, self.job.decompose))

    def _seen(self, index: int) -> tuple[int, int] | None:
        """A frame as it is decoded from the key frame before it: its index, and its checksum."""
        found = self.job.watchdog.opened(lambda _: next(self.job.video.frames(index), None))
        return None if found is None else (index, checksum(found))


def restarts(why: str, frame: int = 0) -> Notice:
    """What a user should know of a run that cannot go on from everywhere. frame: from where it would begin again."""
    where = f"from frame {frame}" if frame else "anew"
    return Notice(code="restart", message=f"{why}: if this run is broken off, the same command begins {where}")


def checksum(frame: Frame) -> int:
    """Of the samples of a frame."""
    found = 0
    for plane in frame.planes:
        found = zlib.crc32(np.ascontiguousarray(plane).data, found)
    return found


def _is_sound(video: Video, segment: Segment, kept: range) -> bool:
    """Whether all came out of the decoder as it should up to the frame behind a segment."""
    decoded = video.decoded
    until = min(segment.frames.stop + 1, kept.stop)
    moved = video.index.orderly and decoded.moved_times  # others are decoded from the beginning, and moved again
    return bool(decoded.frames[segment.frames.start : until].all()) and not (decoded.damaged_packets or moved)


def _mended(layers: Iterator[Layers], job: Job, kept: range, tally: Tally) -> Iterator[Layers]:
    """What becomes of the gaps that frames leave which did not decode."""
    match job.on_bad_frame:
        case "repeat":
            return repeated(layers, job.video.index, kept, job.video.decoded.frames, tally.repeated)
        case "fail":
            return unbroken(layers, job.video.info, job.video.index, kept)
    return layers
