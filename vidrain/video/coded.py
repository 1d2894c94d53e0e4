"""Coded frames of one segment of a video, in a file of their own, to be joined with others later.

A segment begins with a frame that stands alone and leans on nothing outside of it. Every frame is decoded again as soon
as it is coded. The file is a row of coded frames, each behind its times and its size, in the order of decoding.

    with PartWriter(path, plan, info, head=writer.head) as part:
        part.write(planes, pts, duration)
        found = part.finish()
    writer.append([found, ...])                      # of an `encode.VideoWriter`
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import av
from av.codec.context import CodecContext, Flags
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from vidrain.errors import InputError, OutputError
from vidrain.types import Planes, VideoInfo
from vidrain.video.encoder import EncoderPlan, configure
from vidrain.video.pictures import Pictures

_DECODERS = {"libx264": "h264", "libx265": "hevc", "libsvtav1": "libdav1d", "ffv1": "ffv1"}
_ROW = struct.Struct("<qqBI")  # pts, duration, whether it stands alone, bytes that follow


class Coded(NamedTuple):
    """One coded frame. pts, duration: ticks; is_key: whether decoding can begin here."""

    pts: int
    duration: int
    is_key: bool
    data: bytes


@dataclass(frozen=True)
class Part:
    """A finished file of coded frames. pts: of all its frames, in the order of decoding; sha256: of its bytes."""

    path: Path
    pts: tuple[int, ...]
    sha256: str

    @property
    def is_whole(self) -> bool:
        """Whether the file still holds what was written."""
        try:
            with self.path.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest() == self.sha256
        except OSError:
            return False

    def frames(self) -> Iterator[Coded]:
        """Its frames, in the order of decoding; OutputError where the file is not what was written."""
        digest = hashlib.sha256()
        with _on_disk(self.path), self.path.open("rb") as file:
            for due in self.pts:
                head = file.read(_ROW.size)
                pts, duration, is_key, size = _ROW.unpack(head) if len(head) == _ROW.size else (None, 0, 0, 0)
                data = file.read(size)
                if pts != due or len(data) != size:
                    raise self._changed()
                digest.update(head + data)
                yield Coded(due, duration, bool(is_key), data)
        if digest.hexdigest() != self.sha256:
            raise self._changed()

    def _changed(self) -> OutputError:
        return OutputError(f"{self.path}: is not what was written there; the same command again makes it anew")


class PartWriter:
    """Codes planes into the file at `path`; a context manager that closes it.

    info: facts of the source, with `layout` that of the planes written. head: what the file that all parts are joined
    into says of the coding, None where that is not begun yet. target: the output that errors name. Raises OutputError
    where the file cannot be written, or where the encoder says something else of its coding.
    """

    def __init__(self, path: Path, plan: EncoderPlan, info: VideoInfo, *, head: bytes | None, target: Path) -> None:
        self._path, self._plan, self._info, self._target = path, plan, info, target
        self._pictures = Pictures(plan, info)
        self._encoder: VideoCodecContext | None = None  # opened with the first frame: there may be none
        self._head = head
        self._durations: dict[int | None, int] = {}  # of frames inside the encoder, by their times
        self._pts: list[int] = []
        self._decoded: list[int | None] = []
        self._digest = hashlib.sha256()
        with _on_disk(target):
            self._file = path.open("wb")

    def write(self, planes: Planes, pts: int, duration: int) -> None:
        """Code one frame: planes of `info.layout`, times in ticks of `info.time_base`."""
        if self._encoder is None:
            self._encoder, self._decoder = self._opened(), self._checker()
        self._durations[pts] = duration
        self._code(self._pictures.of(planes, pts, duration))

    def finish(self) -> Part:
        """Everything coded, decoded again and on the disk; OutputError where not every frame came out at its time."""
        if self._encoder is not None:
            self._code(None)
            with self._reported():
                self._take(self._decoder.decode(None))
        if self._decoded != sorted(self._pts) or self._durations:
            raise OutputError(
                f"{self._target}: {len(self._decoded)} frames of a segment came out of {self._plan.encoder}, "
                f"{len(self._pts) + len(self._durations)} went in, or not at their times; leave out -e, or take "
                "another --codec"
            )
        with _on_disk(self._target):
            self._file.flush()
            os.fsync(self._file.fileno())
        return Part(self._path, tuple(self._pts), self._digest.hexdigest())

    def _opened(self) -> VideoCodecContext:
        context = CodecContext.create(self._plan.encoder, "w")
        assert isinstance(context, VideoCodecContext)
        configure(context, self._plan, self._info)
        context.options = dict(self._plan.options)
        context.flags |= Flags.frame_duration | Flags.global_header
        with self._reported():
            context.open()
        if self._head is None:
            self._head = context.extradata or b""
        if (context.extradata or b"") != self._head:
            raise OutputError(
                f"{self._target}: {self._plan.encoder} describes two segments differently, so they cannot be joined; "
                "leave out -e"
            )
        return context

    def _checker(self) -> VideoCodecContext:
        context = CodecContext.create(_DECODERS[self._plan.encoder], "r")
        assert isinstance(context, VideoCodecContext)
        context.width, context.height, context.pix_fmt = self._info.width, self._info.height, self._plan.pix_fmt
        context.extradata = self._head or None
        context.thread_count = self._plan.threads
        # Whether it decodes is asked, not to what: of H.264 a fifth less time.
        context.options = {"skip_loop_filter": "all"}
        return context

    def _code(self, frame: VideoFrame | None) -> None:
        assert self._encoder is not None
        with self._reported():
            for packet in self._encoder.encode(frame):
                assert packet.pts is not None
                data = bytes(packet)
                duration = self._durations.pop(packet.pts, packet.duration or 0)
                self._put(_ROW.pack(packet.pts, duration, packet.is_keyframe, len(data)) + data)
                self._pts.append(packet.pts)
                self._take(self._decoder.decode(packet))

    def _put(self, row: bytes) -> None:
        self._digest.update(row)
        with _on_disk(self._target):
            self._file.write(row)

    def _take(self, pictures: Sequence[VideoFrame]) -> None:
        self._decoded += [picture.pts for picture in pictures if not picture.is_corrupt]

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """FFmpeg's failures as one line."""
        try:
            yield
        except av.error.ArgumentError as error:
            raise InputError(
                f"{self._info.path}: a frame after {len(self._pts)} others of its segment cannot be coded at its time; "
                "remux the source with its times rebuilt first"
            ) from error
        except av.error.FFmpegError as error:
            raise OutputError(f"{self._target}: cannot be coded ({error.strerror}); try another --codec") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._file.close()
        except OSError:
            if kind is None:
                raise


@contextmanager
def _on_disk(target: Path) -> Iterator[None]:
    """Failures of the system, such as a full disk, as one line."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror}); check space and rights") from error


def decoding_times(pts: Sequence[int]) -> list[int]:
    """When frames shown at `pts`, which stand in the order of decoding, are decoded, in ticks; strictly ascending.

    Each is decoded when the frame as many places before it in the order of showing is shown, so that none is late; by
    the least number of places that does for all. Before the first frame the steps go on as they are behind it.
    """
    shown = sorted(pts)
    places = {time: place for place, time in enumerate(shown)}
    delay = max((number - places[time] for number, time in enumerate(pts)), default=0)
    before = [shown[place] - (shown[delay] - shown[0]) for place in range(delay)]
    return [*before, *shown[: len(shown) - delay]]
