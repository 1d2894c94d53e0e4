"""Text subtitles in the form that another container takes: read, laid out one line at a time, written anew.

MP4 shows one text at any time, so where lines overlap both stand in one. Decides nothing: `carried.py` says what is
converted, `mux.py` writes it.
"""

from __future__ import annotations  # Packet[...] exists for the type checker only

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard, Stream
from av.subtitles.codeccontext import SubtitleCodecContext
from av.subtitles.stream import SubtitleStream
from av.subtitles.subtitle import AssSubtitle, SubtitleSet

from vidrain.errors import InputError, OutputError
from vidrain.video.index import open_input
from vidrain.video.lost import refuse_lost

_TEXTS = ("subrip", "srt", "ass", "ssa", "webvtt", "text", "mov_text")  # names of FFmpeg's decoders
_WRITTEN_AS = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip"}
TICK = Fraction(1, 1000)  # Matroska and SubRip know no finer one
_EVENT = b"0,0,Default,,0,0,0,,"  # fields before the text of an event (Advanced SubStation Alpha v4+)
_NEW_LINE = b"\\N"
_STYLING = re.compile(r"\{\\[^}]*\}")  # overrides inside the text of an event
_UNSTATED = 5000  # milliseconds that a line stays whose end nobody says


@dataclass(frozen=True)
class Line:
    """A text that is shown from start (inclusive) to end (exclusive), in milliseconds."""

    start: int
    end: int
    text: bytes


def text_for(stream: Stream, container: str) -> str | None:
    """FFmpeg's name of what text subtitles like `stream` become in `container`; None for all other streams."""
    context = stream.codec_context  # None for a codec that FFmpeg does not know
    is_text = isinstance(stream, SubtitleStream) and context is not None and context.name in _TEXTS
    return _WRITTEN_AS.get(container) if is_text else None


def add_text(container: OutputContainer, stream: SubtitleStream, codec: str) -> SubtitleStream:
    """A stream of `codec` in `container` for the text of `stream`."""
    stream.codec_context.open(strict=False)
    added = cast(SubtitleStream, container.add_stream(codec))
    added.codec_context.subtitle_header = stream.codec_context.subtitle_header  # fonts and colours
    added.codec_context.time_base = added.time_base = TICK
    return added


def text_to_convert(path: Path, index: int, beat: Callable[[], None]) -> list[Line]:
    """As `lines_of`, for `converted`; OutputError where it cannot be read."""
    with _blamed(path, index):
        return lines_of(path, index, beat)


def converted(path: Path, index: int, lines: list[Line], encoder: SubtitleCodecContext) -> Iterator[Packet[Stream]]:
    """The text of stream `index` of the file at `path`, encoded anew: a packet per line, that belongs to no stream.

    Raises OutputError where it cannot be written as such.
    """
    with _blamed(path, index):
        for line in lines:
            event = SubtitleSet.create(_EVENT + line.text, 0, line.end - line.start)
            packet = cast("Packet[Stream]", encoder.encode_subtitle(event))
            packet.time_base = TICK
            packet.pts = packet.dts = line.start
            packet.duration = line.end - line.start
            yield packet


@contextmanager
def _blamed(path: Path, index: int) -> Iterator[None]:
    try:
        yield
    except (av.error.FFmpegError, ValueError, InputError) as error:
        raise OutputError(
            f"{path}: subtitles of stream {index} cannot be converted ({error}); use -o in the source's container"
        ) from error


def lines_of(path: Path, index: int, beat: Callable[[], None] = lambda: None) -> list[Line]:
    """The text of stream `index` of the file at `path`, one line at a time; InputError where it cannot be read.

    beat: called whenever the source has given something, for a watchdog.
    """
    with open_input(path) as source:
        stream = cast(SubtitleStream, source.streams[index])
        for other in source.streams:
            # all of Matroska is read in any case, and a watchdog has to hear of it
            if other.index != index and "matroska" not in source.format.name:
                other.discard = Discard.all
        try:
            packets = _packets_of(stream, source.demux(), beat)
            found = sorted(_lines(stream, packets), key=lambda line: line.start)
        except (av.error.FFmpegError, ValueError) as error:
            refuse_lost(path, error)
            raise InputError(f"{path}: subtitles of stream {index} cannot be read ({error})") from error
        return list(one_at_a_time(found))


def plain(text: bytes) -> str:
    """The words alone: no styling, white space as one blank."""
    words = _STYLING.sub("", text.decode("utf-8", "replace")).replace("\\N", " ").replace("\\n", " ")
    return " ".join(words.replace("\\h", " ").split())


def _packets_of(
    stream: SubtitleStream, packets: Iterable[Packet[Stream]], beat: Callable[[], None]
) -> Iterator[Packet[SubtitleStream]]:
    """Those of `stream`, with a beat for every one."""
    for packet in packets:
        beat()
        if packet.stream_index == stream.index:
            yield cast("Packet[SubtitleStream]", packet)


def _lines(stream: SubtitleStream, packets: Iterable[Packet[SubtitleStream]]) -> Iterator[Line]:
    for packet in packets:
        if not packet.size or packet.pts is None:
            continue
        begin = packet.pts * Fraction(packet.time_base)
        shown = packet.duration * Fraction(packet.time_base) if packet.duration else _UNSTATED * TICK
        found = stream.codec_context.decode2(_readable(packet))
        events = [rect for rect in found or () if isinstance(rect, AssSubtitle)]
        text = _NEW_LINE.join(rect.ass.split(b",", 8)[-1] for rect in events)
        if text.strip():
            yield Line(round(begin / TICK), max(round((begin + shown) / TICK), round(begin / TICK) + 1), text)


def _readable(packet: Packet[SubtitleStream]) -> Packet[SubtitleStream]:
    """The packet with what is not UTF-8 replaced: FFmpeg would drop the whole line."""
    data = bytes(packet)
    if packet.stream.codec_context.name == "mov_text":  # binary beside the text
        return packet
    text = data.decode("utf-8", "replace").encode()
    if text == data:
        return packet
    again = cast("Packet[SubtitleStream]", Packet(text))
    again.pts, again.dts, again.duration, again.time_base = packet.pts, packet.dts, packet.duration, packet.time_base
    return again


def one_at_a_time(lines: Iterable[Line]) -> Iterator[Line]:
    """The same texts at the same times without overlap: where several are shown, one below the other in one text.

    lines: by their start.
    """
    shown: list[Line] = []
    now = 0
    for line in lines:
        yield from _until(line.start, shown, now)
        shown = [other for other in shown if other.end > line.start] + [line]
        now = line.start
    yield from _until(None, shown, now)


def _until(moment: int | None, shown: list[Line], now: int) -> Iterator[Line]:
    """What is to be seen of `shown` from `now` to `moment`, piece by piece as lines end."""
    for end in sorted({line.end for line in shown}):
        stop = end if moment is None else min(end, moment)
        if stop > now:
            text = _NEW_LINE.join(line.text for line in shown if line.end >= end)
            yield Line(now, stop, text)
            now = stop
