"""The nouns of vidrain: frames, the facts of a video, aligned windows, layers.

Data only: no decoding and no arithmetic beyond invariants. Arrays are read-only by convention.
"""

from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Plane = npt.NDArray[np.unsignedinteger]
Planes = tuple[Plane, ...]
RainPlanes = tuple[npt.NDArray[np.int16], ...]
FieldOrder = Literal["top", "bottom"]
Sight = Literal["luma", "rgb"]
Family = Literal["yuv420p", "yuv422p", "yuv440p", "yuv444p", "gray", "gbrp"]

_CHROMA_SHIFTS: dict[Family, tuple[int, int]] = {
    "yuv420p": (1, 1),
    "yuv422p": (1, 0),
    "yuv440p": (0, 1),
    "yuv444p": (0, 0),
    "gray": (0, 0),
    "gbrp": (0, 0),
}


@dataclass(frozen=True)
class PixelLayout:
    """How one frame lies in memory: planar family and bits per sample (8 to 14)."""

    family: Family
    depth: int

    @property
    def name(self) -> str:
        """FFmpeg's name of the pixel format, such as `yuv420p10le`."""
        return self.family if self.depth == 8 else f"{self.family}{self.depth}le"

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger]:
        """Storage type of one sample: uint8, or uint16 above 8 bits."""
        return np.dtype(np.uint8 if self.depth == 8 else np.uint16)

    @property
    def chroma_shift(self) -> tuple[int, int]:
        """log2 of the chroma subsampling as (horizontal, vertical)."""
        return _CHROMA_SHIFTS[self.family]

    def plane_shapes(self, width: int, height: int) -> tuple[tuple[int, int], ...]:
        """(rows, columns) of every plane; odd sizes round the chroma up, as FFmpeg does."""
        if self.family == "gray":
            return ((height, width),)
        shift_x, shift_y = self.chroma_shift
        chroma = (-(-height >> shift_y), -(-width >> shift_x))
        return ((height, width), chroma, chroma)


@dataclass(frozen=True)
class ColorTags:
    """The four colour codes of ISO/IEC 23091-2 as the file states them; 2 means unspecified."""

    matrix: int = 2
    range: int = 0  # FFmpeg's AVCOL_RANGE: 0 unspecified, 1 limited, 2 full
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True)
class StaticHdr:
    """What an HDR file says once of all its pictures; None where it does not say.

    mastering: x and y of red, green, blue and white of the display it was made on (CIE 1931), then its darkest and
    brightest luminance in cd/m2; light: brightest pixel and brightest mean of a frame in cd/m2 (MaxCLL, MaxFALL).
    """

    mastering: tuple[Fraction, ...] | None = None
    light: tuple[int, int] | None = None


@dataclass(frozen=True, kw_only=True)
class VideoInfo:
    """What the first decoded frame and the container say about the video stream."""

    path: Path
    stream_index: int
    codec: str
    width: int  # stored, before any rotation
    height: int
    pix_fmt: str  # as decoded, such as yuvj420p or nv12
    layout: PixelLayout  # the planar form in which frames are handled
    color: ColorTags
    time_base: Fraction
    rate: Fraction | None  # average frames per second from the header: a hint, never used for control
    sample_aspect_ratio: Fraction | None
    display_matrix: tuple[int, ...] | None  # nine ints (16.16 and 2.30 fixed point), row major
    interlaced: bool
    side_data: tuple[str, ...]  # kinds of side data on the first frame, such as HDR mastering data
    track: int = 0  # place among the videos of the file; covers do not count
    hdr: StaticHdr = StaticHdr()
    is_half_a_picture: bool = False  # colours mean nothing without Dolby Vision data, which no encoder here writes
    chroma_siting: str | None = None  # where 4:2:0 chroma lies, by FFmpeg's name, such as topleft
    field_order: FieldOrder | None = None  # of interlaced pictures: which field is shown first


@dataclass(frozen=True, kw_only=True)
class FrameIndex:
    """Every shown frame of a video by presentation time, from one demuxing pass.

    pts: int64 [F], times in ticks of `VideoInfo.time_base`, strictly ascending (equal ones moved apart by a tick);
    keys: seek points likewise.
    """

    pts: npt.NDArray[np.int64]
    keys: npt.NDArray[np.int64]
    count: int  # shown packets: F
    hidden: int  # coded frames that an edit list hides
    timed: bool  # packets say when they are shown; AVI only says when they are decoded
    orderly: bool  # every packet has a time of its own, not before its decoding time: seeking is safe


@dataclass(frozen=True)
class Damage:
    """A part of a file that is not there, or not what it should be, found without decoding.

    what: a sentence. start, end: the bytes concerned, [start, end); end may lie behind the end of the file. kind: what
    is lost with them. seconds: when, on the clock of the stream, as [start, end) stretches; empty where not known.
    is_anywhere: without seconds, whether it may concern any part of the video and not only its end.
    """

    what: str
    start: int
    end: int
    kind: Literal["video", "audio", "other"] = "other"
    seconds: tuple[tuple[Fraction, Fraction], ...] = ()
    is_anywhere: bool = False

    @classmethod
    def anywhere(cls, what: str) -> "Damage":
        """One that concerns nobody knows which bytes: two facts that contradict each other."""
        return cls(what, 0, 0, is_anywhere=True)


@dataclass(frozen=True)
class Gps:
    """Positions kept outside of all streams, which no muxer can carry; points is None where they were not counted."""

    kind: str
    points: int | None


@dataclass(frozen=True)
class Structure:
    """How a file is built: what is broken in it, what hides beside its streams, what else is odd but does no harm.

    units: (stream, how many coded pictures it holds) of videos, where that can be counted without decoding; restarts:
    places at which the file says that its clocks start anew.

    kind: `mp4`, `matroska`, `mpegts`, `avi`; `other` was not looked into.
    """

    kind: Literal["mp4", "matroska", "mpegts", "avi", "other"]
    damages: tuple[Damage, ...] = ()
    gps: Gps | None = None
    notes: tuple[str, ...] = ()
    units: tuple[tuple[int, int], ...] = field(default=(), compare=False)
    restarts: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Frame:
    """One observed frame O: stored planes, presentation time and index in the source.

    planes: uint8 or uint16 arrays [rows, columns], shapes from `PixelLayout.plane_shapes`.
    pts, duration: ticks of `VideoInfo.time_base`; index counts shown frames from 0. picture_type: `I`, `P` or `B`,
    as the decoder says; `?` where it does not.
    """

    planes: Planes
    pts: int
    duration: int
    index: int
    picture_type: str = "?"


@dataclass(frozen=True)
class Aligned:
    """An observed frame and its neighbours warped onto it: all a decomposer gets to see.

    observed: [C, H, W], upright, not clipped, as the decomposer sees: luma in fixed point (`fixed`), or RGB, float32,
        nominally in [0, 1].
    witnesses: [K, C, H, W] likewise, K from 0 to twice the radius, nearest first on each side; the
        observation itself where the warp left the picture.
    error: [K, h, w] float32 forward-backward flow error, as large as the picture that motion was measured on, in pixels
        of the observed one; +inf where the warp left the picture; 0 where nobody asked for it.
    shot: how many cuts lie between the first frame that was read and this one.
    """

    observed: Tensor
    witnesses: Tensor
    error: Tensor
    shot: int = 0

    def to(self, device: torch.device) -> "Aligned":
        """The same on another device."""
        observed, witnesses, error = (part.to(device) for part in (self.observed, self.witnesses, self.error))
        return replace(self, observed=observed, witnesses=witnesses, error=error)


class Decomposer(Protocol):
    """Takes an aligned window apart: all that a model has to be."""

    @property
    def first(self) -> "Decomposer | None":
        """What takes the rain off the neighbours before they bear witness; None: they do as they were observed."""

    @property
    def sees(self) -> Sight:
        """What it is shown of every picture; `first` sees the same."""

    @property
    def radius(self) -> int:
        """Different frames wanted on each side of the observed one; 0 works on single frames."""

    @property
    def wants_error(self) -> bool:
        """Whether it looks at the forward-backward error of the flow; if not, that is not measured."""

    @property
    def remembers(self) -> bool:
        """Whether a frame's rain depends on more frames of its shot than `radius` says, by what was seen before."""

    def __call__(self, aligned: Aligned) -> Tensor:
        """What to subtract from the observation. [C, H, W] float32, 1 from black to white"""


@dataclass(frozen=True)
class Layers:
    """One frame taken apart in stored integers: O (`frame`) and B; R follows, so O = B + R cannot break.

    is_untouched: the model gave no numbers for this frame, so that B is O; is_dry: it does not rain, so that B is O.
    """

    frame: Frame
    background: Planes
    is_untouched: bool = False
    is_dry: bool = False

    @property
    def rain(self) -> RainPlanes:
        """R = O - B per stored sample, int16, signed."""
        return tuple(
            np.subtract(o, b, dtype=np.int16, casting="unsafe")
            for o, b in zip(self.frame.planes, self.background, strict=True)
        )
