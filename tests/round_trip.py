"""Writes a video the way a job does, without taking anything out: decode, encode, copy, read back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

from vidrain.types import ColorTags, Frame, PixelLayout, VideoInfo
from vidrain.video.carried import CopyPlan, plan_copy
from vidrain.video.decode import Video, open_video
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, EncoderPlan, plan_encoder
from vidrain.video.mux import Span, StreamCopy
from vidrain.video.verify import Expected, Verified, verify

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
NAMES = sorted(path.name for path in SAMPLES.iterdir() if path.suffix in (".mp4", ".mkv"))


@dataclass(frozen=True)
class Written:
    """A finished file, how it was planned, and what it must hold."""

    path: Path
    plan: EncoderPlan
    copy: CopyPlan
    expected: Expected
    verified: Verified


@cache
def opened(path: Path) -> Video:
    """A video, opened once for all tests of a process."""
    return open_video(path)


@cache
def decoded(path: Path) -> tuple[Frame, ...]:
    """All its frames, likewise."""
    return tuple(opened(path).frames())


def write(
    source: Path,
    target: Path,
    options: EncodeOptions | None = None,
    *,
    kept: slice = slice(None),
    span: Span | None = None,
) -> Written:
    """Write the frames `kept` of `source` to `target` with all other streams, and verify the file."""
    info = opened(source).info
    plan = plan_encoder(info, target, options or EncodeOptions())
    copy_plan = plan_copy(info, plan.container)
    copy = StreamCopy(info, copy_plan, span=span)
    shift = round(span.shift / info.time_base) if span else 0
    frames: Iterable[Frame] = decoded(source)[kept]
    with VideoWriter(target, plan, info, copy=copy) as writer:
        for frame in frames:
            writer.write(frame.planes, frame.pts - shift, frame.duration)
    expected = Expected(
        info=plan.read_back(info),
        pix_fmt=plan.pix_fmt,
        container=plan.container,
        pts=[frame.pts - shift for frame in frames],
        copied=copy.copied,
    )
    return Written(target, plan, copy_plan, expected, verify(target, expected))


def made_info(layout: PixelLayout, *, size: tuple[int, int] = (37, 23), color: ColorTags | None = None) -> VideoInfo:
    """Facts of a video that was never a file; size: (width, height)."""
    return VideoInfo(
        path=Path("made.mp4"),
        stream_index=0,
        codec="vp9",
        width=size[0],
        height=size[1],
        pix_fmt=layout.name,
        layout=layout,
        color=color or ColorTags(1, 1, 1, 1),
        time_base=Fraction(1, 90_000),
        rate=Fraction(30_000, 1001),
        sample_aspect_ratio=None,
        display_matrix=None,
        interlaced=False,
        side_data=(),
    )
