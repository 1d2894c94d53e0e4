"""Reads what a finished file holds beside its pixels: tags, chapters, streams, and the packets of all but the video.

Also tells what of one file's tags the container of another can hold, by trying it in memory. Compares nothing.
"""

from __future__ import annotations  # Packet[...] exists for the type checker only

import hashlib
import io
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Discard, Disposition, Stream

from vidrain.errors import InputError
from vidrain.video.carried import described, is_cover, is_rebuilt
from vidrain.video.index import open_input
from vidrain.video.mux import Copied, Span, chapters_within, moved

# Of the file, not of what it shows: written by every muxer for itself.
_CONTAINER_KEYS = {"major_brand", "minor_version", "compatible_brands", "encoder"}
_STREAM_KEYS = ("duration", "bps", "number_of_", "_statistics")
_PROBE = bytes(16)


@dataclass(frozen=True)
class Chapter:
    """One chapter, in seconds."""

    start: Fraction
    end: Fraction
    tags: dict[str, str]


@dataclass(frozen=True)
class Track:
    """One stream. kind: `video` (one that is cleaned), `second video`, `cover`, `attachment`, or FFmpeg's own.

    tags: by their names in lower case; disposition: FFmpeg's flags by name. count, sha256: of the payload of all
    packets, one after the other. times: of the packets, int64 [count], in ticks of `time_base`; none for covers and
    attachments.
    """

    index: int
    kind: str
    codec: str
    tags: dict[str, str]
    disposition: frozenset[str]
    is_rebuilt: bool
    count: int = 0
    sha256: str = ""
    times: npt.NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    time_base: Fraction = Fraction(1)

    @property
    def name(self) -> str:
        """How a message calls it."""
        language = self.tags.get("language", "und")
        tongue = "" if language == "und" else f", {language}"
        return f"stream {self.index} ({self.kind} {self.codec}{tongue})"


@dataclass(frozen=True)
class FileFacts:
    """What one file holds. container: FFmpeg's name of the muxer that writes such a file."""

    container: str
    tags: dict[str, str]
    chapters: tuple[Chapter, ...]
    tracks: tuple[Track, ...]


@dataclass(frozen=True)
class Held:
    """What a container makes of the tags of another file: those of the file, and (tags, disposition) by stream."""

    tags: dict[str, str]
    streams: Mapping[int, tuple[dict[str, str], frozenset[str]]]


def muxer_of(path: Path) -> str:
    """FFmpeg's name of the muxer that writes files like the one at `path`."""
    with open_input(path) as container:
        return _muxer(container)


def read_facts(
    path: Path, videos: Collection[int], span: Span | None = None, *, beat: Callable[[], None] = lambda: None
) -> FileFacts:
    """Read all but the frames of the file at `path`. Reads every packet; InputError where it breaks off.

    videos: indices of the streams that are cleaned; span: read as if only this part were there. beat: called whenever
    it has moved on, for a watchdog.
    """
    with open_input(path) as container:
        tracks = [_track(stream, videos) for stream in container.streams]
        return FileFacts(
            container=_muxer(container),
            tags=_container_tags(container),
            chapters=tuple(
                Chapter(
                    chapter["start"] * Fraction(chapter["time_base"] or 1),
                    chapter["end"] * Fraction(chapter["time_base"] or 1),
                    _lowered(chapter["metadata"]),
                )
                for chapter in chapters_within(container, span)
            ),
            tracks=tuple(_with_packets(container, path, tracks, span, beat)),
        )


def _muxer(container: InputContainer) -> str:
    """FFmpeg's name of the muxer for such a file."""
    first = container.format.name.partition(",")[0]
    if first == "mov":
        return "mov" if container.metadata.get("major_brand", "").strip() == "qt" else "mp4"
    return first


def _track(stream: Stream, videos: Collection[int]) -> Track:
    if isinstance(stream, AttachmentStream):
        return replace(
            _bare(stream, "attachment"),
            codec=stream.name or "",
            count=1,
            sha256=hashlib.sha256(stream.data).hexdigest(),
        )
    if stream.index in videos:
        return _bare(stream, "video")
    if is_cover(stream):
        return _bare(stream, "cover")
    return _bare(stream, "second video" if stream.type == "video" else stream.type)


def _bare(stream: Stream, kind: str) -> Track:
    return Track(
        index=stream.index,
        kind=kind,
        codec=described(stream).partition(" ")[2],
        tags=_stream_tags(stream),
        disposition=_flags(stream.disposition),
        is_rebuilt=is_rebuilt(stream),
    )


def _with_packets(
    container: InputContainer, path: Path, tracks: Sequence[Track], span: Span | None, beat: Callable[[], None]
) -> list[Track]:
    """`tracks` with count, hash and times of their packets, from one pass over the file."""
    read = {track.index for track in tracks if track.kind not in ("video", "attachment") and not track.is_rebuilt}
    copied = {index: Copied(described(container.streams[index]), is_cover(container.streams[index])) for index in read}
    times = {index: array("q") for index in read}
    for stream in container.streams:
        if stream.index not in read and not isinstance(stream, AttachmentStream):
            stream.discard = Discard.all  # the demuxer then skips their bytes
    wanted = [container.streams[index] for index in sorted(read)]
    try:
        for packet in container.demux(wanted) if wanted else ():
            beat()
            if packet.size and moved(packet, span):
                _count(packet, copied[packet.stream_index], times[packet.stream_index])
    except av.error.FFmpegError as error:
        raise InputError(f"{path}: breaks off ({error.strerror}); copy it again from where it came") from error
    return [
        replace(
            track,
            count=copied[track.index].count,
            sha256=copied[track.index].digest.hexdigest(),
            times=np.frombuffer(times[track.index], np.int64),
            time_base=Fraction(container.streams[track.index].time_base or 1),
        )
        if track.index in read
        else track
        for track in tracks
    ]


def _count(packet: Packet[Stream], copied: Copied, times: array[int]) -> None:
    before, time = copied.count, packet.pts if packet.pts is not None else packet.dts
    copied.add(packet)
    if copied.count > before and time is not None and not copied.is_cover:
        times.append(time)


def _container_tags(container: InputContainer) -> dict[str, str]:
    return {key: value for key, value in _lowered(container.metadata).items() if key not in _CONTAINER_KEYS}


def _stream_tags(stream: Stream) -> dict[str, str]:
    return {key: value for key, value in _lowered(stream.metadata).items() if not key.startswith(_STREAM_KEYS)}


def _lowered(tags: Mapping[str, str]) -> dict[str, str]:
    """Matroska keeps names of tags in capitals."""
    return {key.lower(): value for key, value in tags.items()}


def _flags(disposition: Disposition) -> frozenset[str]:
    return frozenset(flag.name for flag in Disposition if flag.name and flag in disposition)


def held_by(output: Path, container: str, source: Path, pairs: Sequence[tuple[int, int]]) -> Held | None:
    """What `container` makes of the tags of `source`, for streams like those of `output`: found out by writing them.

    pairs: (stream of source, stream of output) that belong together. None where FFmpeg does not write such a file.
    """
    is_mp4 = container in ("mp4", "mov")
    with open_input(source) as before, open_input(output) as after, io.BytesIO() as file:
        has_cover = any(is_cover(stream) for stream in after.streams)
        movflags = "empty_moov+frag_keyframe" + ("" if has_cover else "+use_metadata_tags")
        try:
            with av.open(
                file,
                "w",
                format=container,
                container_options={"movflags": movflags} if is_mp4 else {},
                metadata_errors="surrogateescape",
            ) as trial:
                for old, new in pairs:
                    added = trial.add_stream_from_template(after.streams[new], opaque=True)
                    added.metadata.update(_stream_tags(before.streams[old]))
                    added.disposition = before.streams[old].disposition
                trial.metadata.update(_container_tags(before))
                trial.start_encoding()
                if not is_mp4:  # others cannot be read back without a single packet
                    packet = Packet(_PROBE)
                    packet.stream, packet.pts, packet.dts, packet.is_keyframe = trial.streams[0], 0, 0, True
                    trial.mux(packet)
            file.seek(0)
            with av.open(file, "r", metadata_errors="surrogateescape") as back:
                if len(back.streams) < len(pairs):
                    return None
                streams = {
                    new: (_stream_tags(back.streams[place]), _flags(back.streams[place].disposition))
                    for place, (_, new) in enumerate(pairs)
                }
                return Held(_container_tags(back), streams)
        except (av.error.FFmpegError, ValueError, TypeError, KeyError):
            return None
