"""Decode a video as a stream of frames in presentation order: stored planes, exact times.

Sequential and bounded. Damage is read past, packet by packet; what decoded is marked in `Video.decoded`.

    video = open_video(Path("in.mp4"))
    for frame in video.frames():
        ...
"""

from __future__ import annotations  # Packet[...] exists for the type checker only

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import PictureType, VideoFrame
from av.video.plane import VideoPlane
from av.video.stream import VideoStream

from vidrain.errors import InputError, OtherPicture
from vidrain.types import Frame, FrameIndex, PixelLayout, Plane, VideoInfo
from vidrain.video.index import Source, open_input, probe, unbroken, video_stream
from vidrain.video.lost import refuse_lost
from vidrain.video.stated import stated

_SEEK_ATTEMPTS = 3  # earlier key frames to aim for before decoding from the beginning
_MAX_REPAIRED_RUN = 8  # frames in a row without a time of their own; more is a broken clock, not a glitch


@dataclass
class Decoded:
    """What decoding has met so far: which indexed frames came out, how many times had to be moved."""

    frames: npt.NDArray[np.bool_]
    moved_times: int = 0
    damaged_packets: int = 0

    def place(self) -> str:
        """How far decoding has come, in words."""
        return f"at frame {int(self.frames.nonzero()[0].max(initial=-1)) + 1}"


@dataclass(frozen=True)
class Video:
    """A source ready to be decoded; every call of `frames` starts afresh with a file handle of its own.

    since: the frame at which decoding begins, whichever later one is the first that is wanted; None for that one.
    """

    source: Source
    decoded: Decoded = field(compare=False)
    since: int | None = None

    @property
    def info(self) -> VideoInfo:
        """Facts of the video stream."""
        return self.source.info

    @property
    def index(self) -> FrameIndex:
        """Times of all shown frames."""
        return self.source.index

    def frames(self, first: int = 0) -> Iterator[Frame]:
        """Frames from index `first` on, in presentation order, times strictly increasing.

        Raises InputError when the picture size or format changes, or the times run backwards for good.
        """
        begin = first if self.since is None else min(first, self.since)
        return self._repaired(self._numbered(begin), first)

    @contextmanager
    def held_open(self) -> Iterator[Callable[[int], Iterator[Frame]]]:
        """What does as `frames` by one file handle for all calls, one after the other: for frames here and there."""
        with open_input(self.info.path) as container:
            yield lambda first: self._repaired(self._numbered(first, "SLICE", container), first)

    def _repaired(self, numbered: Iterator[Frame], first: int) -> Iterator[Frame]:
        return (frame for frame in repaired(numbered, self.decoded) if frame.index >= first)

    def frame(self, index: int) -> Frame:
        """The one frame `index`, from the last key frame before it on: the same as in the order of `frames`.

        Raises IndexError for an index outside of the video, InputError where that frame cannot be decoded.
        """
        if not 0 <= index < len(self.index.pts):
            raise IndexError(f"{self.info.path}: has frames 0 to {len(self.index.pts) - 1}, asked for {index}")
        found = next(self.frames(index), None)
        if found is None or found.index != index:
            raise InputError(f"{self.info.path}: frame {index} cannot be decoded")
        return found

    def _numbered(self, first: int, threads: str = "AUTO", held: InputContainer | None = None) -> Iterator[Frame]:
        """Decoded frames with the times the decoder reports, from the last safe seek point before `first`.

        held: the file, opened before; not used where no seek would bring it back to where these frames begin.
        """
        following, start = first, self._seek_point(first)
        with open_input(self.info.path) if held is None or start is None else nullcontext(held) as container:
            stream = video_stream(container, self.info.path, self.info.track)
            if not stream.codec_context.is_open:
                stream.thread_type = threads  # by default frame threads: half as fast again as slices
            packets = container.demux(stream) if start is None else self._from_key(container, stream, start)
            if packets is None:
                yield from self._numbered(0, threads)
                return
            position = 0 if start is None else int(np.searchsorted(self.index.pts, start))
            pictures = (
                picture
                for picture in self._pictures(packets)
                # leading pictures of an open group lack their references here
                if start is None or picture.pts is None or picture.pts >= start
            )
            for picture, index in self._placed(pictures, position):
                if index < len(self.decoded.frames):
                    self.decoded.frames[index] = True
                following = index + 1
                yield self._frame(picture, index)
        if threads == "AUTO" and following < len(self.index.pts):
            # An error while frame threads give out their last frames ends it: whole frames behind it are lost.
            yield from (frame for frame in self._numbered(following, "SLICE") if frame.index >= following)

    def _from_key(
        self, container: InputContainer, stream: VideoStream, start: int
    ) -> Iterator[Packet[VideoStream]] | None:
        """Packets from the key frame at `start` on, or None if the container cannot find it.

        Transport streams seek by decoding time and so land behind a key frame that B-frames follow: aim earlier then.
        """
        earlier = self.index.keys[self.index.keys < start]
        for aim in (start, *earlier[: -_SEEK_ATTEMPTS - 1 : -1]):
            try:
                container.seek(int(aim), stream=stream)
                packets = container.demux(stream)
                for packet in packets:
                    if packet.is_keyframe and packet.pts == start:
                        return chain((packet,), packets)
                    if packet.is_keyframe and packet.pts is not None and packet.pts > start:
                        break
            except av.error.FFmpegError as error:
                refuse_lost(self.info.path, error)
                return None
        return None

    def _placed(self, pictures: Iterable[VideoFrame], first: int) -> Iterator[tuple[VideoFrame, int]]:
        """Each picture with its index, increasing from `first`: after lost frames counting would fall behind.

        A gap is a loss, or a frame whose time runs backwards and that comes late: a few pictures ahead tell which.
        """
        held: list[tuple[VideoFrame, int]] = []
        for picture in pictures:
            time = picture.pts if self.index.timed else picture.dts
            held.append((picture, self._position(time, first + len(held))))
            if len(held) > _MAX_REPAIRED_RUN or max(place for _, place in held) < first + len(held):
                for item in _in_order(held, first):
                    yield item
                    first = item[1] + 1
                held = []
        yield from _in_order(held, first)

    def _position(self, pts: int | None, following: int) -> int:
        """Place of `pts` in the index, or `following` where times are of no use."""
        if pts is None or (self.index.timed and not self.index.orderly):
            return following
        known = int(np.searchsorted(self.index.pts, pts))
        return known if known < len(self.index.pts) and self.index.pts[known] == pts else following

    def _seek_point(self, first: int) -> int | None:
        """Time of the last key frame not after frame `first`, or None to decode from the beginning."""
        if not first or not self.index.orderly or first >= len(self.index.pts):
            return None
        before = self.index.keys[self.index.keys <= self.index.pts[first]]
        return int(before[-1]) if len(before) else None

    def _pictures(self, packets: Iterator[Packet[VideoStream]]) -> Iterator[VideoFrame]:
        for packet in unbroken(packets, self.info.path, self._breaks_off):
            try:
                pictures = packet.decode()
            except av.error.FFmpegError:
                self.decoded.damaged_packets += 1
                continue
            for picture in pictures:
                if not isinstance(picture, VideoFrame):
                    continue
                if picture.is_corrupt:  # patched up by the decoder where its bytes made no sense, without an error
                    self.decoded.damaged_packets += 1
                    if self.index.orderly:  # else frames are counted, and one left out would shift all behind it
                        continue
                yield picture

    def _breaks_off(self) -> None:
        self.decoded.damaged_packets += 1

    def _frame(self, picture: VideoFrame, index: int) -> Frame:
        info = self.info
        if (picture.width, picture.height, picture.format.name) != (info.width, info.height, info.pix_fmt):
            advice = f"clean what comes before with --end {index}, or " if index else ""
            raise OtherPicture(
                f"{info.path}: frame {index} is {picture.width}x{picture.height} {picture.format.name}, but the "
                f"video began as {info.width}x{info.height} {info.pix_fmt}; {advice}split the file where it changes",
                index,
            )
        ticks = 1 / (info.rate or 25) / info.time_base
        pts = picture.pts if self.index.timed else picture.dts
        if pts is None:
            untimed = self.index.timed or index >= len(self.index.pts)
            pts = round(index * ticks) if untimed else int(self.index.pts[index])
        coded = PictureType(picture.pict_type).name
        coded = "?" if coded == "NONE" else coded
        return Frame(planes_of(picture, info.layout), pts, self._duration(picture, index), index, coded)

    def _duration(self, picture: VideoFrame, index: int) -> int:
        """Ticks until the next frame of the index; what MP4 says of a frame is the step of decoding times."""
        pts = self.index.pts
        if not self.index.orderly or index >= len(pts):
            return picture.duration or 0
        end = int(pts[index + 1]) if index + 1 < len(pts) else round(self.source.end / self.info.time_base)
        return max(end - int(pts[index]), 0)


def open_video(path: str | Path, *, track: int = 0, beat: Callable[[], None] = lambda: None) -> Video:
    """Probe `path` and make its video number `track` ready to be decoded.

    beat: called whenever that has moved on. Raises InputError, UsageError.
    """
    source = probe(Path(path), track, beat)
    said = stated(source.info.path, source.info.stream_index)
    interlaced = source.info.interlaced or said.field_order is not None
    return video_of(replace(source, info=replace(source.info, **said._asdict(), interlaced=interlaced)))


def video_of(source: Source) -> Video:
    """A source of which all is known, of which nothing is decoded yet."""
    return Video(source, Decoded(np.zeros(len(source.index.pts), np.bool_)))


def repaired(frames: Iterable[Frame], decoded: Decoded) -> Iterator[Frame]:
    """Move times that do not increase to even steps between their neighbours; count them in `decoded`.

    Frames keep their order, which is the decoder's. After the last good time steps are one duration long.
    """
    last: Frame | None = None
    held: list[Frame] = []
    for frame in frames:
        if last is not None and frame.pts <= last.pts + len(held):
            held.append(frame)
            if len(held) > _MAX_REPAIRED_RUN:
                raise InputError(
                    f"times run backwards at frame {held[0].index} (from {last.pts} to {held[0].pts} ticks) and do "
                    "not recover; remux the file with its times rebuilt first"
                )
            continue
        if last is not None:
            yield from _spread(held, last.pts, frame.pts, decoded)
            held = []
        yield frame
        last = frame
    if last is not None and held:
        step = max(last.duration, 1)
        yield from _spread(held, last.pts, last.pts + step * (len(held) + 1), decoded)


def _in_order(pictures: list[tuple[VideoFrame, int]], first: int) -> Iterator[tuple[VideoFrame, int]]:
    """Pictures as decoded, their places sorted, distinct and not before `first`."""
    places = sorted(place for _, place in pictures)
    for (picture, _), place in zip(pictures, places, strict=True):
        first = max(first, place) + 1
        yield picture, first - 1


def _spread(held: list[Frame], before: int, after: int, decoded: Decoded) -> Iterator[Frame]:
    for position, frame in enumerate(held, start=1):
        decoded.moved_times += 1
        yield replace(frame, pts=before + (after - before) * position // (len(held) + 1))


def planes_of(picture: VideoFrame, layout: PixelLayout) -> tuple[Plane, ...]:
    """The samples of a decoded picture as planes of `layout`: views of FFmpeg's own memory where they lie so."""
    name = picture.format.name
    if name != layout.name and not name.startswith("yuvj"):
        picture = picture.reformat(format=layout.name)
    return tuple(_samples(plane, layout) for plane in picture.planes[: len(layout.plane_shapes(1, 1))])


def _samples(plane: VideoPlane, layout: PixelLayout) -> Plane:
    rows: Plane = np.frombuffer(memoryview(plane), layout.dtype).reshape(plane.height, -1)
    return rows[:, : plane.width]
