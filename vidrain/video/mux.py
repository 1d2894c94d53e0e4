"""Carry every other stream of the source along: sound, subtitles, data, cover art, chapters, metadata.

Packets are copied, never decoded; which streams there are to copy, `carried.py` has said beforehand. Knows nothing of
pixels.
"""

from __future__ import annotations  # Packet[...] exists for the type checker only

import hashlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from fractions import Fraction
from heapq import merge
from pathlib import Path
from typing import TYPE_CHECKING

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from vidrain.errors import OutputError, StallError
from vidrain.types import VideoInfo
from vidrain.video.carried import CopyPlan, add_converted, add_like, described, is_cover, stream_metadata
from vidrain.video.index import as_file, open_input, unbroken
from vidrain.video.subtitles import TICK, converted, text_to_convert
from vidrain.video.trial import REFUSED, Trial

if TYPE_CHECKING:
    from av.container.core import Chapter

    Ahead = Callable[[Iterable[Packet[Stream]]], Iterator[Packet[Stream]]]

# Written anew by every muxer; the source's would be wrong in the copy.
_CONTAINER_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_TIMED_TEXT = "subtitle mov_text"
_TEXTS = (_TIMED_TEXT, "subtitle subrip", "subtitle srt")
_BLANK_LINE = b"\0\0"  # written by the muxer itself where no line is shown
_ADTS_SYNC = 0xFFF
_AT_ONCE = Fraction(-1 << 63)  # seconds; before any time that there is

_left_open: list[ExitStack] = []


@dataclass(frozen=True)
class Span:
    """The part of the source that is kept, in seconds of its clock, and what is taken off every time.

    end: first moment that is not kept; None keeps all to the end.
    """

    start: Fraction
    end: Fraction | None
    shift: Fraction


@dataclass
class Copied:
    """What was copied of one stream: to be compared with what is read back from the finished file.

    is_cover: whether it is a picture; those are read back behind all others. times: of each line of text subtitles.
    """

    kind: str
    is_cover: bool
    count: int = 0
    first: Fraction | None = None  # seconds
    times: list[Fraction] = field(default_factory=list)
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    end: Fraction | None = None  # seconds
    refused: int = 0  # packets so damaged that the muxer takes them not
    mangled: int = 0  # packets that are not as long as their own head states

    def add(self, packet: Packet[Stream], mux: Callable[[Packet[Stream]], None] = lambda packet: None) -> None:
        """Give one packet to `mux`, which empties it, and count it in unless it is refused."""
        first = None if packet.pts is None else packet.pts * Fraction(packet.time_base)
        end = None if first is None else first + (packet.duration or 0) * Fraction(packet.time_base)
        data, is_mangled = payload(packet), _is_mangled(packet)
        is_blank = self.kind == _TIMED_TEXT and bytes(packet) == _BLANK_LINE
        try:
            mux(packet)
        except REFUSED:
            self.refused += 1
            return
        if is_blank:
            return
        self.first = first if self.first is None else self.first
        self.end = end if self.end is None else max(self.end, end or self.end)
        if first is not None and self.kind in _TEXTS:
            self.times.append(first)
        self.count += 1
        self.mangled += is_mangled
        self.digest.update(data)


def payload(packet: Packet[Stream]) -> bytes:
    """The coded bytes; an ADTS header, which MP4 does without, is left out (ISO/IEC 13818-7 section 6.2)."""
    data = bytes(packet)
    return data[7 if data[1] & 1 else 9 :] if _has_adts(packet, data) else data


def _has_adts(packet: Packet[Stream], data: bytes) -> bool:
    context = packet.stream.codec_context
    is_adts = context is not None and context.name == "aac" and not context.extradata  # else MP4 holds the header
    return is_adts and len(data) > 7 and int.from_bytes(data[:2], "big") >> 4 == _ADTS_SYNC


def _is_mangled(packet: Packet[Stream]) -> bool:
    """Whether a frame of AAC is not as long as its ADTS header states: a turned bit there swallows what follows."""
    data = bytes(packet)
    return _has_adts(packet, data) and int.from_bytes(data[3:6], "big") >> 5 & 0x1FFF != len(data)


def chapters_within(source: InputContainer, span: Span | None) -> list[Chapter]:
    """The chapters of `source`, cut to the span that is kept."""
    chapters: list[Chapter] = []
    for chapter in source.chapters():
        base = Fraction(chapter["time_base"] or 1)
        start, end = chapter["start"] * base, chapter["end"] * base
        if span is not None:
            if end <= span.start or (span.end is not None and start >= span.end):
                continue
            start = max(start, span.start) - span.shift
            end = (end if span.end is None else min(end, span.end)) - span.shift
        cut = chapter.copy()
        cut["start"], cut["end"] = round(start / base), round(end / base)
        chapters.append(cut)
    return chapters


def moved(packet: Packet[Stream], span: Span | None) -> bool:
    """Shift the packet's times by the span; False when it lies outside of it."""
    if span is None:
        return True
    ticks = packet.pts if packet.pts is not None else packet.dts
    if ticks is None or is_cover(packet.stream):
        return True
    base = Fraction(packet.time_base)
    begin = ticks * base
    end = begin + max(packet.duration or 0, 1) * base
    if end <= span.start or (span.end is not None and begin >= span.end):
        return False
    shift = round(span.shift / base)
    pts = packet.pts - shift if packet.pts is not None else None
    dts = packet.dts - shift if packet.dts is not None else None
    if isinstance(packet.stream, SubtitleStream) and begin < span.start:
        late = round((span.start - begin) / base)  # a line already on screen appears with the first frame
        pts, dts = None if pts is None else pts + late, None if dts is None else dts + late
        packet.duration = max((packet.duration or 0) - late, 1)
    packet.pts, packet.dts = pts, dts
    return True


class StreamCopy:
    """Writes the other streams into the output, in step with the video; owns a second handle on the source.

    ahead: what the packets of the source are read through, such as a prefetch that loses patience (InputError). beat:
    called while text is read, which is done at once.
    """

    def __init__(
        self,
        info: VideoInfo,
        plan: CopyPlan,
        *,
        span: Span | None = None,
        ahead: Ahead = iter,
        beat: Callable[[], None] = lambda: None,
    ) -> None:
        self._info, self._plan, self._span, self._ahead = info, plan, span, ahead
        self._texts = {index: text_to_convert(info.path, index, beat) for index in plan.converted}
        self._stack = ExitStack()
        self._source = self._stack.enter_context(open_input(info.path))
        self._targets: dict[int, Stream] = {}
        self._trials: dict[int, Trial] = {}
        self.copied: dict[int, Copied] = {}
        self._held: Packet[Stream] | None = None
        self._copied: Iterator[Packet[Stream]] = iter(())
        self._packets: Iterator[Packet[Stream]] = iter(())

    def denominators(self) -> list[int]:
        """Time base denominators of the streams copied: MP4's movie clock should hold them all."""
        streams = [self._source.streams[index] for index in self._plan.kept]
        bases = [Fraction(stream.time_base).denominator for stream in streams if stream.time_base]
        bases += [TICK.denominator] if self._plan.converted else []
        # the muxer counts sound in samples, whatever the source counted it in
        sounds = [stream.codec_context for stream in streams if isinstance(stream, AudioStream)]
        return bases + [context.sample_rate for context in sounds if context is not None]

    @property
    def track(self) -> int:
        """Place of the video among the videos of the output."""
        return sum(other < self._info.track for other in self._plan.videos.values())

    def has_cover(self) -> bool:
        """Whether a cover picture is copied: in MP4 it excludes tags outside of the standard set."""
        return any(is_cover(self._source.streams[index]) for index in self._plan.kept)

    def attach(self, container: OutputContainer, add_video: Callable[[], VideoStream]) -> VideoStream:
        """Add all streams in the order of the source, the video through `add_video` in its own place."""
        self._container = container
        video: VideoStream | None = None
        texts: list[Iterator[Packet[Stream]]] = []
        for stream in self._source.streams:
            if stream.index == self._info.stream_index:
                video = add_video()
                tags = stream_metadata(stream)
                tags.pop("encoder", None)  # it was encoded anew
                video.metadata.update(tags)
                video.disposition = stream.disposition
            elif stream.index in self._plan.kept:
                self._attach_one(container, stream)
            elif stream.index in self._plan.converted:
                texts.append(self._attach_text(container, stream))
        if video is None:
            raise OutputError(f"{self._info.path}: stream {self._info.stream_index} is gone; the source has changed")
        container.set_chapters(chapters_within(self._source, self._span))
        kept = {key: value for key, value in self._source.metadata.items() if key.lower() not in _CONTAINER_KEYS}
        container.metadata.update(kept)
        for stream in self._source.streams:
            if stream.index not in self._plan.kept or stream.index not in self._targets:
                stream.discard = Discard.all  # the demuxer then skips their bytes
        streams = [self._source.streams[index] for index in self._targets if index in self._plan.kept]
        self._copied = self._ahead(unbroken(self._source.demux(streams), self._info.path)) if streams else iter(())
        self._packets = merge(self._copied, *texts, key=_decoded_at)
        return video

    def _attach_one(self, container: OutputContainer, stream: Stream) -> None:
        added = add_like(container, stream, self._info.path)
        if added is not None:
            self._targets[stream.index] = added
            self.copied[stream.index] = Copied(described(stream), is_cover(stream))
            if not is_cover(stream):
                self._trials[stream.index] = trial = Trial(container, stream, self._info.path)
                self._stack.callback(trial.close)

    def _attach_text(self, container: OutputContainer, stream: Stream) -> Iterator[Packet[Stream]]:
        """Add a stream for the text of `stream`; all of it is encoded here, before any frame is computed."""
        codec = self._plan.converted[stream.index]
        self._targets[stream.index] = added = add_converted(container, stream, codec)
        self.copied[stream.index] = Copied(f"subtitle {codec}", is_cover=False)
        packets = list(converted(self._info.path, stream.index, self._texts[stream.index], added.codec_context))
        for packet in packets:
            packet.stream = stream  # as if it was read from there
        return iter(packets)

    def write_until(self, seconds: Fraction) -> None:
        """Copy packets that begin up to `seconds` on the clock of the output."""
        while (packet := self._next()) is not None:
            if _decoded_at(packet) > seconds:
                return
            self._held = None
            self._mux(packet)

    def write_rest(self) -> None:
        """Copy all that is left."""
        while (packet := self._next()) is not None:
            self._held = None
            self._mux(packet)

    def _next(self) -> Packet[Stream] | None:
        """The packet that comes next, already moved to the clock of the output; stays next until taken."""
        while self._held is None:
            try:
                packet = next(self._packets, None)
            except StallError:  # its handle cannot be closed while the other thread waits inside of it
                _left_open.append(self._stack.pop_all())
                raise
            if packet is None:
                return None
            if packet.size and moved(packet, self._span):
                self._held = packet
        return self._held

    def _mux(self, packet: Packet[Stream]) -> None:
        def mux(packet: Packet[Stream]) -> None:
            packet.stream = self._targets[index]
            self._container.mux(packet)

        index = packet.stream_index
        if index in self._trials and not self._trials[index].takes(packet):
            self.copied[index].refused += 1
        else:
            self.copied[index].add(packet, mux)

    def close(self) -> None:
        """Give the source back; safe to call twice."""
        if isinstance(self._copied, Generator):
            self._copied.close()
        self._stack.close()


def _decoded_at(packet: Packet[Stream]) -> Fraction:
    """When a packet is due, in seconds; one that does not say so is due at once."""
    ticks = packet.dts if packet.dts is not None else packet.pts
    return _AT_ONCE if ticks is None else ticks * Fraction(packet.time_base)


def packets_in(pipe: int) -> Iterator[Packet[VideoStream]]:
    """Packets of the video of an MP4 that comes through the pipe of this descriptor, as they come."""
    container = av.open(f"pipe:{pipe}", "r", format="mp4")  # goes with the last packet, whose stream is a part of it
    yield from (packet for packet in container.demux(container.streams.video[0]) if packet.size)


def retime(
    packets: Iterable[Packet[VideoStream]], target: Path, *, container: str, pts: Sequence[int], time_base: Fraction
) -> None:
    """Copy a video whose packets come in the order of its frames, giving frame i the time `pts[i]`.

    container: FFmpeg's name of that of `target`; pts: ticks of `time_base`. Raises OutputError where the number of
    packets is another, or the file cannot be written.
    """
    options = {"movie_timescale": str(time_base.denominator)} if container != "matroska" else {"fflags": "+bitexact"}
    ends = [*pts[1:], pts[-1] + (pts[-1] - pts[-2] if len(pts) > 1 else 1)]
    stream: VideoStream | None = None
    try:
        with av.open(as_file(target), "w", format=container, container_options=options) as timed:
            for packet, time, end in zip(packets, pts, ends, strict=True):
                if stream is None:
                    stream = timed.add_stream_from_template(packet.stream, opaque=True)
                    stream.time_base = time_base
                packet.stream, packet.time_base = stream, time_base
                packet.pts, packet.dts, packet.duration = time, time, end - time
                timed.mux(packet)
    except (av.error.FFmpegError, OSError) as error:  # before ValueError, which some of these are as well
        raise OutputError(f"{target.name}: cannot be written ({error.strerror}); check space and rights") from error
    except ValueError as error:
        raise OutputError(f"{target.name}: not {len(pts)} frames came; nothing was kept") from error
