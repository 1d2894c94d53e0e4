"""Which other streams of the source can ride along in a container: tried out before any frame is computed.

What the target container does not take is found out by writing its header into memory. Copies nothing by itself:
`mux.py` does.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import AttachmentStream, DataStream, Discard, Disposition, Stream
from av.subtitles.stream import SubtitleStream
from av.video.stream import VideoStream

from vidrain.types import VideoInfo
from vidrain.video.index import open_input
from vidrain.video.subtitles import add_text, text_for

_STREAM_KEYS = ("duration", "bps", "number_of_frames", "number_of_bytes", "_statistics")
_PICTURES = {"png": "png", "mjpeg": "jpeg"}


@dataclass(frozen=True)
class CopyPlan:
    """Which streams ride along: indices into the source, and a sentence for each one that cannot.

    kept: as they are; converted: text subtitles that become another codec, by FFmpeg's name of it; videos: which of
    those kept are videos as well, and their numbers among the videos of the source.
    """

    kept: tuple[int, ...]
    refused: tuple[str, ...]
    notes: tuple[str, ...]
    converted: Mapping[int, str] = field(default_factory=dict)
    videos: Mapping[int, int] = field(default_factory=dict)

    @property
    def losses(self) -> bool:
        """Whether anything is left out, or not as it was."""
        return bool(self.refused or self.converted)


def plan_copy(info: VideoInfo, container: str, *, in_part: bool = False) -> CopyPlan:
    """Try each other stream of the source in a header of `container` (FFmpeg's name), written into memory.

    in_part: whether only a span of the source is kept.
    """
    kept: list[int] = []
    refused: list[str] = []
    notes: list[str] = []
    converted: dict[int, str] = {}
    with open_input(info.path) as source:
        videos = [stream.index for stream in source.streams.video if not is_cover(stream)]
        for stream in source.streams:
            if stream.index == info.stream_index or is_rebuilt(stream):
                continue
            if (reason := _refusal(stream, info.path, container, in_part)) is None:
                kept.append(stream.index)
                if is_cover(stream) and container != "matroska":
                    notes.append("a cover picture is kept: tags outside of MP4's standard set are left out beside it")
            elif (text := _text_instead(stream, container)) is not None:
                converted[stream.index] = text
            else:
                refused.append(f"stream {stream.index} ({described(stream)}) {reason}")
    tracks = {index: track for track, index in enumerate(videos) if index in kept}
    return CopyPlan(tuple(kept), tuple(refused), tuple(notes), converted, tracks)


def is_rebuilt(stream: Stream) -> bool:
    """Whether the muxer writes this stream by itself: the timecode track from the video's tag, chapter titles.

    FFmpeg has no codec for a timecode track; a track of chapter titles it hands on as data not to be read.
    """
    if not isinstance(stream, DataStream):
        return False
    return (stream.name is None and "timecode" in stream.metadata) or stream.discard == Discard.all


def described(stream: Stream) -> str:
    """Kind and codec of a stream in two words."""
    name = stream.name if isinstance(stream, DataStream) else stream.codec_context and stream.codec_context.name
    return f"{stream.type} {name or 'of unknown kind'}"


def _refusal(stream: Stream, path: Path, container: str, in_part: bool) -> str | None:
    """Why `container` does not take `stream` of the source at `path`, or None when it does."""
    reason = f"does not go into {container}: it is left out; an output in the source's own container keeps it"
    if is_cover(stream) and container == "mov":
        return reason  # FFmpeg takes it into the header, but never writes it
    if isinstance(stream, VideoStream) and stream.codec_context is None:
        return "is of an unknown codec: it is left out"
    if isinstance(stream, AudioStream) and stream.codec_context is not None and not stream.codec_context.channels:
        return "states no channels: it is left out"  # FFmpeg writes a file of it that it does not open
    if is_cover(stream) and container == "matroska" and stream.codec_context.name not in _PICTURES:
        return reason
    if isinstance(stream, VideoStream) and not is_cover(stream):
        if in_part:
            return "is another video, which cannot be cut without encoding it: it is left out"
        if _is_annex_b(stream):
            return "is another video in the form of a broadcast, which is not copied as it is: it is left out"
        if container == "matroska" and _hides_frames(stream, path):
            return "is another video whose beginning an edit list hides, which matroska cannot: it is left out"
    return None if _takes(container, lambda trial: add_like(trial, stream, path)) else reason


def _text_instead(stream: Stream, container: str) -> str | None:
    """The codec of text subtitles that `container` takes in place of `stream`, or None where there is none."""
    codec = text_for(stream, container)
    if codec is None or not _takes(container, lambda trial: add_converted(trial, stream, codec)):
        return None
    return codec


def _takes(container: str, add: Callable[[OutputContainer], object]) -> bool:
    """Whether the header of `container` can be written with what `add` puts in."""
    try:
        with av.open(io.BytesIO(), "w", format=container, metadata_errors="surrogateescape") as trial:
            add(trial)
            trial.start_encoding()
    except (av.error.FFmpegError, ValueError, TypeError, KeyError):
        return False
    return True


def _is_annex_b(stream: VideoStream) -> bool:
    """Whether NAL units follow start codes (ITU-T H.264 annex B): MP4 and Matroska want lengths before them."""
    return stream.codec_context.name in ("h264", "hevc") and (stream.codec_context.extradata or b"\0")[0] == 0


def _hides_frames(stream: VideoStream, path: Path) -> bool:
    """Whether the first packets are there to be decoded only, as after a cut that is no key frame."""
    with open_input(path) as source:
        return any(packet.is_discard for packet in islice(source.demux(source.streams[stream.index]), 1))


def add_like(container: OutputContainer, stream: Stream, path: Path) -> Stream | None:
    """A stream like `stream` in `container`, with its metadata and disposition; None for an attachment."""
    if isinstance(stream, AttachmentStream):
        name = stream.name or stream.metadata.get("filename", "attachment")
        container.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)
        return None
    if is_cover(stream) and container.format.name == "matroska":  # which keeps pictures as attachments
        kind = _PICTURES[stream.codec_context.name]
        container.add_attachment(f"cover.{kind}", f"image/{kind}", _picture_of(stream, path))
        return None
    return _labelled(container.add_stream_from_template(stream, opaque=True), stream)


def add_converted(container: OutputContainer, stream: Stream, codec: str) -> SubtitleStream:
    """A stream of text subtitles for the text of `stream`, with its metadata and disposition."""
    assert isinstance(stream, SubtitleStream)
    added = add_text(container, stream, codec)
    _labelled(added, stream)
    return added


def _labelled(added: Stream, stream: Stream) -> Stream:
    added.metadata.update(stream_metadata(stream))
    added.disposition = stream.disposition
    return added


def is_cover(stream: Stream) -> bool:
    """Whether this is a picture that belongs to the file, not a video."""
    return bool(stream.disposition & Disposition.attached_pic)


def _picture_of(stream: Stream, path: Path) -> bytes:
    """The coded picture of a cover; FFmpeg hands it out as a packet before all others."""
    with open_input(path) as source:
        return bytes(next(source.demux(source.streams[stream.index])))


def stream_metadata(stream: Stream) -> dict[str, str]:
    """The tags of a stream that stay true in a copy: not the statistics that Matroska writes anew."""
    return {key: value for key, value in stream.metadata.items() if not key.lower().startswith(_STREAM_KEYS)}
