"""Open a source, read its facts from the first decoded frame, and index every shown frame by demuxing.

Header counts and header colour tags are hints at best (edit lists hide frames, GoPro files change range at
the first frame), so the facts come from a decoded frame and the times from the packets.
"""

from __future__ import annotations  # Packet[...] exists for the type checker only

import os
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar, cast

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.sidedata.sidedata import SideData
from av.sidedata.sidedata import Type as SideDataType
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidrain.errors import InputError, UsageError
from vidrain.types import ColorTags, Damage, Family, FrameIndex, PixelLayout, Structure, VideoInfo
from vidrain.video.hdr import is_half_a_picture, static_hdr
from vidrain.video.lost import refuse_lost
from vidrain.video.structure import examine

AnyPacket = TypeVar("AnyPacket", bound="Packet[Any]")

_FAMILIES: tuple[Family, ...] = ("yuv420p", "yuv422p", "yuv440p", "yuv444p", "gray", "gbrp")
PLANAR = {
    layout.name: layout
    for family in _FAMILIES
    for depth in (8, 10, 12, 14, 16)
    if (layout := PixelLayout(family, depth))
}
# Rec. ITU-T H.273 (2024): the codes of tables 2 to 4 that mean something.
_PRIMARIES = {1, *range(4, 13), 22}
_TRANSFERS = {1, *range(4, 19)}
_MATRICES = {0, 1, *range(4, 15)}  # x264 stores no later ones, and no H.264 of ours could state them
_UNSPECIFIED = 2
_LATEST_S = 1 << 31  # seconds: a time of decades is a broken one, and no clock of an MP4 holds it
_LEAP_S = 10  # seconds: FFmpeg takes it for a discontinuity too; ISO/IEC 13818-1 (2.7.4) allows less than one
_ADDRESS = re.compile(r"[a-z]{2,}:/")  # a path has lost the second stroke
_CLOCK = re.compile(r"(\d+):(\d\d):(\d\d(?:\.\d+)?)")
# The same samples in another order: the move to planes changes no value.
_REORDERED = {
    "yuvj420p": "yuv420p",
    "yuvj422p": "yuv422p",
    "yuvj440p": "yuv440p",
    "yuvj444p": "yuv444p",
    "nv12": "yuv420p",
    "nv21": "yuv420p",
    "nv16": "yuv422p",
    "nv24": "yuv444p",
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "rgb24": "gbrp",
    "bgr24": "gbrp",
    "rgb0": "gbrp",
    "bgr0": "gbrp",
}


@dataclass(frozen=True)
class Source:
    """A probed source: facts of its video stream, the index of its shown frames, and how whole the file is.

    end: when the last frame found ends; complete_to: decoding time of the last packet, so that frames lost behind it
    are shown later than that; stated_end: when the file itself says that the video ends, None where it does not say or
    where `structure` tells more exactly. All in seconds on the clock of the stream.
    """

    info: VideoInfo
    index: FrameIndex
    structure: Structure
    end: Fraction
    complete_to: Fraction
    stated_end: Fraction | None


def as_file(path: Path) -> str:
    """The name by which FFmpeg takes `path` for a file: `a:b.mp4` it would take for a protocol."""
    return f"file:{path}"


@contextmanager
def open_input(path: Path) -> Iterator[InputContainer]:
    """Open `path` for reading; every way it can fail is an InputError of one line."""
    try:
        if not path.exists():
            raise InputError(_not_there(path))
        if path.is_dir():
            os.scandir(path).close()  # one that may not be read is not to be called a mistake of the user
            raise InputError(f"{path}: is a folder, but one video file is expected")
        if not path.is_file():  # to open a pipe would wait for its writer, and it could be read only once
            raise InputError(f"{path}: is a pipe or a device, but a file is expected; save it to a file first")
        if path.stat().st_size == 0:
            raise InputError(f"{path}: is empty (0 bytes); copy it again from the camera or card")
        # old files hold tags in other encodings than UTF-8: their bytes pass through unchanged
        container = av.open(as_file(path), "r", metadata_errors="surrogateescape")
    except PermissionError as error:
        raise InputError(f"{path}: may not be read ({error.strerror}); check its permissions") from error
    except (av.error.FFmpegError, OSError) as error:
        refuse_lost(path, error)
        raise InputError(f"{path}: {_why_not(path, error)}") from error
    with container:
        yield container


def _not_there(path: Path) -> str:
    """What to say of a path that is none: it may have been meant for something else."""
    if str(path) == "-" or _ADDRESS.match(str(path)):
        what = "standard input" if str(path) == "-" else "an address"
        return f"{path}: is {what}, but a file is expected; save it to a file first"
    return f"{path}: no such file; check the path"


def _why_not(path: Path, error: Exception) -> str:
    """Why a file cannot be opened: what is broken in it says more than FFmpeg. SourceLost where it cannot be read."""
    try:
        for damage in examine(path).damages:
            return f"{damage.what}; a good file of the same camera may let a repair program (untrunc) rebuild it"
    except OSError as unread:
        refuse_lost(path, unread)
    return f"is no video file that can be opened ({_reason(error)})"


def _reason(error: Exception) -> str:
    """What FFmpeg said, without the file name it repeats."""
    return getattr(error, "strerror", None) or type(error).__name__


def video_tracks(path: Path) -> list[str]:
    """A word or two on each video of a file that is not cover art, in their order; InputError if there is none."""
    with open_input(path) as container:
        return [_in_words(stream) for stream in _videos(container, path)]


def _videos(container: InputContainer, path: Path) -> list[VideoStream]:
    found = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not found:
        kinds = ", ".join(stream.type for stream in container.streams) or "no streams at all"
        raise InputError(f"{path}: holds no video stream (found: {kinds})")
    return found


def _in_words(stream: VideoStream) -> str:
    context = stream.codec_context
    return "of an unknown codec" if context is None else f"{context.name} {context.width}x{context.height}"


def video_stream(container: InputContainer, path: Path, track: int = 0) -> VideoStream:
    """Video number `track` of those that are not cover art; UsageError if there are not so many."""
    videos = _videos(container, path)
    if track >= len(videos):
        found = ", ".join(f"{number} ({_in_words(stream)})" for number, stream in enumerate(videos))
        raise UsageError(f"--video {track}: {path} has no such video; it has: {found}")
    return videos[track]


def probe(path: Path, track: int = 0, beat: Callable[[], None] = lambda: None) -> Source:
    """Facts and frame index of video `track` of the file at `path`; decodes one frame, demuxes it, looks for damage.

    beat: called whenever it has moved on, for a watchdog. Raises InputError if the file cannot be opened, holds no
    video, or no frame of it decodes; UsageError for a track that it does not have.
    """
    with open_input(path) as container:
        stream = video_stream(container, path, track)
        first = _first_frame(_packets(container, stream, path, beat), stream, path)
        info = _info(path, stream, first, track)
    with open_input(path) as container:
        stream = video_stream(container, path, track)
        structure = _examined(path, beat)
        timed = "avi" not in container.format.name.split(",")
        index, extent = _index(_packets(container, stream, path, beat), info, first.dts, timed=timed)
        structure = _steady(_counted(structure, stream, index.count), index, info)
        dated = replace(structure, damages=tuple(_dated(damage, extent, info) for damage in structure.damages))
        end, complete_to = extent.end * info.time_base, extent.complete_to * info.time_base
        return Source(info, index, dated, end, complete_to, _stated_end(container, stream, dated))


def _examined(path: Path, beat: Callable[[], None]) -> Structure:
    try:
        return examine(path, beat)
    except OSError as error:
        refuse_lost(path, error)
        raise InputError(f"{path}: cannot be read ({error.strerror}); copy it to another disk first") from error


def _first_frame(packets: Iterator[Packet[VideoStream]], stream: VideoStream, path: Path) -> VideoFrame:
    """First frame that decodes; packets damaged before it are passed over."""
    if stream.codec_context is None:
        raise InputError(f"{path}: its video is of a codec that FFmpeg does not know; convert it first")
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        for frame in frames:
            if isinstance(frame, VideoFrame):
                return frame
    raise InputError(f"{path}: no frame of its {stream.codec_context.name} video can be decoded")


def _packets(
    container: InputContainer, stream: VideoStream, path: Path, beat: Callable[[], None]
) -> Iterator[Packet[VideoStream]]:
    """Packets up to the end, or to where the container breaks off; the last one is empty and flushes the decoder."""
    for packet in unbroken(container.demux(stream), path):
        beat()
        yield packet


def unbroken(packets: Iterable[AnyPacket], path: Path, broke: Callable[[], None] = lambda: None) -> Iterator[AnyPacket]:
    """Packets of `path` up to where the container breaks off: what came before that is good.

    broke: called where it does. SourceLost where it is the source that went away, and not the container that ends.
    """
    place = 0
    try:
        for packet in packets:
            place = max(place, packet.pos or 0)
            yield packet
    except av.error.FFmpegError as error:
        refuse_lost(path, error, place)
        broke()


def _known(code: int, known: set[int]) -> int:
    """A colour code as it stands there; unspecified where the standard has none, as after a flipped bit."""
    return int(code) if int(code) in known else _UNSPECIFIED


def _info(path: Path, stream: VideoStream, frame: VideoFrame, track: int) -> VideoInfo:
    name = frame.format.name
    layout = PLANAR.get(_REORDERED.get(name, name))
    if layout is None:
        allowed = ", ".join(f"{family} (8, 10, 12 bit)" for family in _FAMILIES)
        raise InputError(f"{path}: pixel format {name} is not handled; allowed: {allowed}; convert it first")
    if stream.time_base is None:
        raise InputError(f"{path}: the video stream states no time base")
    ratio = stream.sample_aspect_ratio
    rate = stream.average_rate
    parts = cast(Iterable[SideData], frame.side_data)  # typed as a dict, but yields the parts
    side_data = {part.type.name: bytes(part) for part in parts}
    matrix = side_data.get(SideDataType.DISPLAYMATRIX.name)
    color = ColorTags(
        matrix=_known(frame.colorspace, _MATRICES),
        range=int(frame.color_range),
        primaries=_known(frame.color_primaries, _PRIMARIES),
        transfer=_known(frame.color_trc, _TRANSFERS),
    )
    return VideoInfo(
        path=path,
        stream_index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        width=frame.width,
        height=frame.height,
        pix_fmt=name,
        layout=layout,
        color=color,
        time_base=Fraction(stream.time_base),
        rate=Fraction(rate) if rate else None,
        sample_aspect_ratio=Fraction(ratio) if ratio else None,
        display_matrix=struct.unpack("=9i", matrix) if matrix is not None else None,
        interlaced=bool(frame.interlaced_frame),
        side_data=tuple(side_data),
        hdr=static_hdr(side_data),
        is_half_a_picture=is_half_a_picture(side_data, color),
        track=track,
    )


@dataclass(frozen=True)
class _Extent:
    """Where shown packets lie in the file (sorted) and their times; the end of the last, and its decoding time."""

    places: npt.NDArray[np.int64]
    times: npt.NDArray[np.int64]
    end: int
    complete_to: int


def _stated_end(container: InputContainer, stream: VideoStream, structure: Structure) -> Fraction | None:
    """When the head of the file says that the video ends, in seconds, where that can show that frames are missing.

    Matroska may state it for each stream (tag DURATION). Otherwise the head is believed only where the file is known
    to be damaged and nothing tells better: cameras overstate.
    """
    if structure.kind == "matroska" and (match := _CLOCK.fullmatch(stream.metadata.get("DURATION", ""))):
        hours, minutes, seconds = match.groups()
        return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds)
    if structure.kind not in ("matroska", "mp4") or all(
        damage.seconds or damage.is_anywhere for damage in structure.damages
    ):
        return None
    if stream.duration and stream.time_base:
        return ((stream.start_time or 0) + stream.duration) * Fraction(stream.time_base)
    return Fraction(container.duration, av.time_base) if container.duration else None


def _counted(structure: Structure, stream: VideoStream, frames: int) -> Structure:
    """`structure`, damaged too where a few units of the video have given no frame (two fields may make one)."""
    units = dict(structure.units).get(stream.id, 0)
    if not units * 3 / 4 < frames < units:
        return structure
    lost = Damage.anywhere(f"{units} units of video hold only {frames} frames")
    return replace(structure, damages=(*structure.damages, lost))


def _steady(structure: Structure, index: FrameIndex, info: VideoInfo) -> Structure:
    """`structure`, damaged too where times of a transport stream leap: its clock has to be told all the time."""
    leap = float(np.diff(index.pts).max(initial=0) * info.time_base)
    if structure.kind != "mpegts" or structure.restarts or leap <= _LEAP_S:
        return structure
    what = f"the times of its frames leap by {leap:.1f} s"
    return replace(structure, damages=(*structure.damages, Damage.anywhere(what)))


def _dated(damage: Damage, extent: _Extent, info: VideoInfo) -> Damage:
    """`damage` with the time of its bytes where packets lie on both sides of it."""
    before = int(np.searchsorted(extent.places, damage.start)) - 1
    after = int(np.searchsorted(extent.places, damage.end))
    if damage.seconds or before < 0 or after >= len(extent.places):
        return damage
    times = sorted(int(extent.times[place]) * info.time_base for place in (before, after))
    kind = "video" if damage.kind == "other" else damage.kind
    if times[0] == times[1]:  # what comes twice has no room between
        return replace(damage, kind=kind, is_anywhere=True)
    return replace(damage, kind=kind, seconds=((times[0], times[1]),))


def _index(
    packets: Iterator[Packet[VideoStream]], info: VideoInfo, first_decoded: int | None, *, timed: bool
) -> tuple[FrameIndex, _Extent]:
    """Times of all packets that are shown. first_decoded: decoding time that came with the first frame.

    timed: whether packets say when they are shown.
    """
    rows: list[tuple[int, int, int, int]] = []
    times: list[int] = []
    keys: list[int] = []
    hidden, orderly = 0, True
    for packet in packets:
        if not packet.size:
            continue
        if packet.is_discard:
            hidden += 1
            continue
        time = packet.pts if timed and packet.pts is not None else packet.dts
        if time is None:  # an elementary stream without any clock: count at the nominal rate
            time = round(len(times) / (info.rate or Fraction(25)) / info.time_base)
            orderly = False
        elif packet.pts is None or (packet.dts is not None and packet.pts < packet.dts):
            orderly = False
        if packet.is_keyframe:
            keys.append(time)
        times.append(time)
        decoded = time if packet.dts is None else packet.dts
        rows.append((-1 if packet.pos is None else packet.pos, time, time + (packet.duration or 0), decoded))
    if not times:
        raise InputError(f"{info.path}: holds no video packets")
    if wild := next((time for time in times if abs(time * info.time_base) >= _LATEST_S), None):
        raise InputError(
            f"{info.path}: a frame is said to be shown at {float(wild * info.time_base):.0f} s, after decades; remux "
            "the file with its times rebuilt first"
        )
    # Players show an AVI by decoding times: a frame when the packet goes in that brings it out.
    late = first_decoded - times[0] if not timed and first_decoded is not None else 0
    pts = np.sort(np.asarray(times, np.int64)) + late
    distinct = len(np.unique(pts)) == len(pts)
    steps = np.arange(len(pts))
    index = FrameIndex(
        # equal times are moved apart by the least that there is, so that every frame has a place
        pts=np.maximum.accumulate(pts - steps) + steps,
        keys=np.unique(np.asarray(keys, np.int64)),
        count=len(times),
        hidden=hidden,
        timed=timed,
        orderly=orderly and timed and distinct,
    )
    places, shown, ends, decoded_at = np.asarray(rows, np.int64).T
    order = np.argsort(places, kind="stable")
    return index, _Extent(places[order], shown[order] + late, int(ends.max()) + late, int(decoded_at[-1]) + late)
