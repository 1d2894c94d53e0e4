"""Encode planes into a video file with exact times, as an `EncoderPlan` says.

Other streams ride along through `mux.StreamCopy`. Chooses nothing by itself.
"""

from __future__ import annotations  # Packet[...] exists for the type checker only

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from itertools import chain, pairwise
from math import lcm
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self, cast

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from vidrain.errors import InputError, OutputError
from vidrain.types import Planes, VideoInfo
from vidrain.video.coded import Coded, Part, decoding_times
from vidrain.video.encoder import EncoderPlan, configure
from vidrain.video.index import as_file
from vidrain.video.mux import StreamCopy
from vidrain.video.pictures import Pictures

_LONGEST_STEP = 1 << 31  # ticks from frame to frame in MP4 (ISO/IEC 14496-12, 8.6.1.2), as FFmpeg reads them
_NEVER = -(1 << 62)  # ticks
_X265_DELAY = 2  # frames by which its decoding times run ahead (x265 source, m_bframeDelay with B-frames as references)


class VideoWriter:
    """Writes planes to `path` with their exact times; a context manager that finishes the file on success.

    info: facts of the source, with `layout` that of the planes written. copy: streams of the source to carry
    along; tags: container metadata to add. Raises OutputError when the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        plan: EncoderPlan,
        info: VideoInfo,
        *,
        copy: StreamCopy | None = None,
        tags: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._path, self._plan, self._info, self._copy = path, plan, info, copy
        self._container: OutputContainer | None = None
        self._frames, self._last = 0, _NEVER  # frames written, and the time of the last
        self._end = self._reach = _NEVER  # of the frame shown last: as it should be, and as MP4 would have it
        self._durations: dict[int | None, int] = {}  # of frames inside the encoder, by their times
        self._held: Packet[VideoStream] | None = None  # the last packet, until it is known whether it is
        self._is_joined = False  # its frames come coded
        self._pictures = Pictures(plan, info)
        try:
            with self._reported():
                self._container = self._open()
                self._stream = copy.attach(self._container, self._add_video) if copy else self._add_video()
                self._container.metadata.update(tags)
                self._container.start_encoding()
        except BaseException:
            self._close_quietly()
            raise

    @contextmanager
    def _reported(self) -> Iterator[None]:
        """FFmpeg's failures, whichever call they come from, as one line."""
        try:
            yield
        except av.error.ArgumentError as error:
            if not self._frames:
                raise OutputError(f"{self._path}: cannot be written ({error.strerror})") from error
            raise self._unheld() from error
        except av.error.InvalidDataError as error:  # what was copied: our own pictures are sound
            raise InputError(
                f"{self._info.path}: sound or another stream beside the video is too damaged to be stored "
                f"({error.strerror}); take it out first"
            ) from error
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(f"{self._path}: cannot be written ({error.strerror}); check space and rights") from error

    def _unheld(self) -> InputError:
        return InputError(
            f"{self._info.path}: the time of a frame before frame {self._frames} cannot be stored in any file; "
            "remux the source with its times rebuilt first"
        )

    def _open(self) -> OutputContainer:
        options = {}
        if self._plan.container in ("mp4", "mov"):
            denominators = [self._info.time_base.denominator]
            denominators += self._copy.denominators() if self._copy else []
            # without it a start that is not a whole millisecond is rounded to one
            options = {"movie_timescale": str(_timescale(denominators))}
            if not (self._copy and self._copy.has_cover()):
                options["movflags"] = "+use_metadata_tags"  # keeps tags of any name, but then no cover picture
        elif self._plan.container == "matroska":
            # bitexact: no random identifier, the same job gives the same bytes. Sound that starts before the first
            # frame would else move everything: blocks may lie before their cluster (RFC 9559 section 10.2).
            options = {"fflags": "+bitexact", "avoid_negative_ts": "disabled"}
        return av.open(
            as_file(self._path),
            "w",
            format=self._plan.container,
            container_options=options,
            metadata_errors="surrogateescape",  # as they were read
        )

    def _add_video(self) -> VideoStream:
        info, plan = self._info, self._plan
        assert self._container is not None
        stream = self._container.add_stream(plan.encoder, rate=info.rate or Fraction(25), options=dict(plan.options))
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        configure(context, plan, info)
        stream.time_base = info.time_base
        context.flags |= Flags.frame_duration
        if plan.encoder == "libx265" and plan.container in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players refuse hev1
        if info.display_matrix is not None:
            stream.set_display_matrix(list(info.display_matrix))
        return stream

    def write(self, planes: Planes, pts: int, duration: int) -> None:
        """Encode one frame: planes of `info.layout`, times in ticks of `info.time_base`."""
        if self._last != _NEVER:
            refuse_unheld(self._info.path, self._plan.container, (self._last, pts), self._frames - 1)
        self._last = pts
        frame = self._pictures.of(planes, pts, duration)
        self._frames += 1
        self._durations[pts], self._end = duration, pts + duration
        with self._reported():
            self._mux(frame)
            if self._copy is not None:
                self._copy.write_until(pts * self._info.time_base)

    def append(self, parts: Sequence[Part]) -> None:
        """Write the frames of `parts`, which were coded by the same plan, in this order; all there are, in one call."""
        self._is_joined = True
        pts = [time for part in parts for time in part.pts]
        refuse_unheld(self._info.path, self._plan.container, sorted(pts))
        coded = chain.from_iterable(part.frames() for part in parts)
        for frame, dts in zip(coded, decoding_times(pts), strict=True):
            self._frames += 1
            self._end = max(self._end, frame.pts + frame.duration)
            with self._reported():
                if self._copy is not None:
                    self._copy.write_until(dts * self._info.time_base)
                self._put(self._packet(frame, dts))

    def _packet(self, frame: Coded, dts: int) -> Packet[VideoStream]:
        packet = cast("Packet[VideoStream]", Packet(frame.data))
        packet.stream, packet.time_base = self._stream, self._info.time_base
        packet.pts, packet.dts, packet.duration = frame.pts, dts, frame.duration
        packet.is_keyframe = frame.is_key
        return packet

    @property
    def head(self) -> bytes:
        """What the file says of the coding; parts to be appended have to be coded alike."""
        return self._stream.codec_context.extradata or b""

    def _mux(self, frame: VideoFrame | None) -> None:
        for packet in self._stream.encode(frame):
            if frame is None and self._frames <= _X265_DELAY:
                packet.dts = packet.pts  # x265 takes it from frames that never came; so few are in order anyway
            packet.duration = self._durations.pop(packet.pts, packet.duration)  # SVT-AV1 gives none
            self._put(packet)

    def _put(self, packet: Packet[VideoStream]) -> None:
        """Into the file goes the packet before: whether this one is the last is not known yet."""
        assert self._container is not None
        if self._held is not None:
            self._reach = max(self._reach, _end_of_sample(self._held, packet))
            self._container.mux(self._held)
        self._held = packet

    def _mux_last(self) -> None:
        """The last packet; in MP4 and MOV some sample has to last to the end of the frame shown last.

        There a sample lasts until the next one is decoded, and B-frames are decoded behind frames shown after them.
        """
        last = self._held
        if last is None:
            return
        assert self._container is not None
        reach = max(self._reach, _end_of_sample(last, None))
        if self._plan.container in ("mp4", "mov") and reach < self._end and last.pts is not None:
            last.duration = self._end - last.pts
        self._container.mux(last)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._close_quietly()
            return
        assert self._container is not None
        try:
            with self._reported():
                if not self._is_joined:  # else the encoder has only told what stands in the head of the file
                    self._mux(None)
                self._mux_last()
                if self._copy is not None:
                    self._copy.write_rest()
                self._container.close()
        except BaseException:
            self._close_quietly()
            raise
        if self._copy is not None:
            self._copy.close()

    def _close_quietly(self) -> None:
        """After an error: closing raises a second time on a full disk and would hide the first."""
        if self._copy is not None:
            self._copy.close()
        if self._container is not None:
            with suppress(av.error.FFmpegError, OSError):
                self._container.close()


def refuse_unheld(path: Path, container: str, pts: Sequence[int], first: int = 0) -> None:
    """InputError for a step between frames of the source at `path` that `container` cannot hold.

    pts: times in order, in ticks of the source; first: number of the first of these frames.
    """
    if container not in ("mp4", "mov"):
        return
    for number, (before, after) in enumerate(pairwise(pts), first + 1):
        if after - before >= _LONGEST_STEP:
            raise InputError(
                f"{path}: frame {number} is shown so long after the one before it that MP4 and MOV cannot store it; "
                "write an .mkv, or remux the source with its times rebuilt first"
            )


def _end_of_sample(packet: Packet[VideoStream], following: Packet[VideoStream] | None) -> int:
    """When MP4 has a sample end: as long after its beginning as the next one is decoded later."""
    if packet.pts is None or packet.dts is None:
        return _NEVER
    step = packet.duration if following is None or following.dts is None else following.dts - packet.dts
    return packet.pts + (step or 0)


def _timescale(denominators: list[int]) -> int:
    """Least common multiple of the time bases if MP4 can hold it, else the video's own."""
    common = lcm(*denominators)
    return common if common < 1 << 31 else denominators[0]
