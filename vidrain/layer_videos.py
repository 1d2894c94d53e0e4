"""Layers as videos: the clean stream, the exact rain archive, the rain preview.

An export is a `Picked` look at the layers and a `VideoExport` that writes it, frame by frame. It writes to the path
it is given and knows nothing of final names or models.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import numpy as np

from vidrain.amount import rain_levels
from vidrain.layers import pack, rain_layout, rain_offset
from vidrain.provenance import TAG
from vidrain.types import ColorTags, Layers, PixelLayout, Planes, StaticHdr, VideoInfo
from vidrain.video.coded import Part, PartWriter
from vidrain.video.color import Conversion
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncoderPlan
from vidrain.video.mux import StreamCopy
from vidrain.video.verify import Expected

PREVIEW_GAIN = 3.0  # streaks are faint: a tenth of the range is a strong one
_LIMITED = 1
_BLACK, _WHITE, _NEUTRAL = 16, 235, 128  # BT.601, 8 bits


@dataclass(frozen=True)
class Picked:
    """Which planes of the layers an export stores.

    info: facts of the source with the layout of those planes; tags: what the file says of itself.
    """

    info: VideoInfo
    planes: Callable[[Layers], Planes]
    tags: dict[str, str]


def background(info: VideoInfo, made_by: str) -> Picked:
    """B, in the source's own layout. made_by: provenance, kept as a tag."""
    return Picked(info, lambda layers: layers.background, {TAG: made_by})


def rain_archive(info: VideoInfo, made_by: str) -> Picked:
    """R, exact: every plane as R + 2^(depth + 1) in two bits more."""
    depth = info.layout.depth
    tags = {TAG: f"{made_by}; rain layer R + {rain_offset(depth)}, background B is the clean file, O = B + R"}
    return Picked(
        replace(info, layout=rain_layout(info.layout), hdr=StaticHdr()), lambda layers: pack(layers.rain, depth), tags
    )


def rain_preview(info: VideoInfo, conversion: Conversion, made_by: str) -> Picked:
    """R for the eye: its luma, `PREVIEW_GAIN` times as bright, on black; 8-bit 4:2:0, plays anywhere."""
    layout = PixelLayout("yuv420p", 8)
    shapes = layout.plane_shapes(info.width, info.height)
    per_level = PREVIEW_GAIN * (_WHITE - _BLACK) / 255
    neutral = tuple(np.full(shape, _NEUTRAL, np.uint8) for shape in shapes[1:])

    def planes(layers: Layers) -> Planes:
        luma = np.rint(rain_levels(layers.rain, conversion).numpy() * np.float32(per_level)) + _BLACK
        return (np.clip(luma, _BLACK, _WHITE).astype(np.uint8), *neutral)

    color = ColorTags(info.color.matrix if info.layout.family != "gbrp" else 2, _LIMITED)
    tags = {TAG: f"{made_by}; rain {PREVIEW_GAIN:g} times as bright, to be looked at"}
    plain = replace(info, layout=layout, color=color, hdr=StaticHdr(), chroma_siting=None, field_order=None)
    return Picked(plain, planes, tags)


def crop_tag(track: int) -> str:
    """Name of the tag that keeps the true size of a padded video; the first of a file has the plain one."""
    return "vidrain_crop" if not track else f"vidrain_crop_{track}"


def padded(picked: Picked) -> Picked:
    """The same picture with the last row and column repeated where its size is odd, the true size kept as a tag."""
    info = picked.info
    if not (info.width % 2 or info.height % 2):
        return picked
    even = replace(info, width=info.width + info.width % 2, height=info.height + info.height % 2)
    shapes = even.layout.plane_shapes(even.width, even.height)

    def planes(layers: Layers) -> Planes:
        given = zip(picked.planes(layers), shapes, strict=True)
        return tuple(
            np.pad(plane, ((0, rows - plane.shape[0]), (0, columns - plane.shape[1])), "edge")
            for plane, (rows, columns) in given
        )

    return Picked(even, planes, {**picked.tags, crop_tag(info.track): f"{info.width}x{info.height}"})


class VideoExport:
    """Writes what is picked of each frame's layers as a video; a context manager that finishes the file on success.

    shift: ticks taken off every time. Raises OutputError when the file cannot be written.
    """

    def __init__(
        self, path: Path, plan: EncoderPlan, picked: Picked, *, shift: int = 0, copy: StreamCopy | None = None
    ) -> None:
        self._path, self._plan, self._picked, self._shift, self._copy = path, plan, picked, shift, copy
        self._pts: list[int] = []
        self._writer = VideoWriter(path, plan, picked.info, copy=copy, tags=picked.tags)

    def write(self, layers: Layers) -> None:
        """Store one frame."""
        pts = layers.frame.pts - self._shift
        self._writer.write(self._picked.planes(layers), pts, layers.frame.duration)
        self._pts.append(pts)

    @contextmanager
    def part(self, path: Path) -> Iterator["PartExport"]:
        """Frames of one segment, coded into a file of their own at `path`, to be appended later."""
        parts = PartsExport(self._path, self._plan, self._picked, self._shift, self._writer.head)
        with parts.part(path) as part:
            yield part

    def append(self, parts: Sequence[Part]) -> None:
        """Store the frames of all parts, in this order."""
        self._writer.append(parts)
        self._pts = sorted(pts for part in parts for pts in part.pts)

    @property
    def expected(self) -> Expected:
        """What the finished file must hold, for `verify`."""
        return Expected(
            info=self._plan.read_back(self._picked.info),
            pix_fmt=self._plan.pix_fmt,
            container=self._plan.container,
            pts=self._pts,
            copied=self._copy.copied if self._copy else {},
            track=self._copy.track if self._copy else 0,
        )

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.__exit__(kind, error, trace)


class Coding(Protocol):
    """What codes the frames of a segment."""

    def part(self, path: Path) -> AbstractContextManager["PartExport"]:
        """Frames of one segment, coded into a file of their own at `path`."""


@dataclass(frozen=True)
class PartsExport:
    """Codes what is picked of each frame's layers into parts alone; another process joins them.

    target: what they are parts of; shift: ticks taken off every time; head: as of `PartWriter`.
    """

    target: Path
    plan: EncoderPlan
    picked: Picked
    shift: int = 0
    head: bytes | None = None

    @contextmanager
    def part(self, path: Path) -> Iterator["PartExport"]:
        """Frames of one segment, coded into a file of their own at `path`."""
        with PartWriter(path, self.plan, self.picked.info, head=self.head, target=self.target) as writer:
            yield PartExport(writer, self.picked, self.shift)


class PartExport:
    """Codes what is picked of each frame's layers into a part."""

    def __init__(self, writer: PartWriter, picked: Picked, shift: int) -> None:
        self._writer, self._picked, self._shift = writer, picked, shift

    def write(self, layers: Layers) -> None:
        """Store one frame."""
        self._writer.write(self._picked.planes(layers), layers.frame.pts - self._shift, layers.frame.duration)

    def finish(self) -> Part:
        """All frames coded, checked, and on the disk."""
        return self._writer.finish()
