"""Choose and check the encoder before any frame is computed: codec, pixel format, options, colour tags.

`plan_encoder` decides and refuses; `encode.VideoWriter` writes by that plan.
"""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
import numpy as np
from av.codec import Codec
from av.codec.context import CodecContext
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame

from vidrain.errors import UsageError
from vidrain.types import ColorTags, PixelLayout, StaticHdr, VideoInfo
from vidrain.video.color import completed
from vidrain.video.hdr import hdr_options
from vidrain.video.index import PLANAR
from vidrain.video.stated import Stated, kept, options_for

CodecName = Literal["h264", "hevc", "av1", "ffv1"]

_ENCODERS: dict[str, str] = {"h264": "libx264", "hevc": "libx265", "av1": "libsvtav1", "ffv1": "ffv1"}
_CONTAINERS: dict[str, str] = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska"}
_REFUSED = {("mov", "ffv1"), ("mov", "av1")}  # pairs that FFmpeg's muxers do not take
_NO_ASPECT = ("ffv1", "libsvtav1")  # whose streams do not say it, and PyAV hands it to no muxer but that of MP4
_VERYFAST: dict[str, dict[str, str]] = {
    # macroblock trees let x264 (core 165) read memory that nobody wrote: every other run gave other bytes
    "libx264": {"preset": "veryfast", "mbtree": "0"},
    # frame-threads changes pixels with the machine, the other two only print
    "libx265": {"preset": "veryfast", "x265-params": "frame-threads=1:log-level=none"},
    "libsvtav1": {"preset": "8"},  # its speed next to x264 veryfast: 30 against 29 frames/s at 1080p
    "ffv1": {"level": "3", "slicecrc": "1"},
}
_MOST_THREADS = 64
_FROM_SOURCE = "it follows the source"
_OURS = {  # options of every encoder that would contradict the plan
    **dict.fromkeys(("time_base", "aspect", "video_size", "framerate", "flags"), _FROM_SOURCE),
    **dict.fromkeys(("color_range", "colorspace", "color_primaries", "color_trc"), _FROM_SOURCE),
    **dict.fromkeys(("pixel_format", "pix_fmt"), "use --pix-fmt"),
    **dict.fromkeys(("chroma_sample_location", "field_order"), _FROM_SOURCE),
    "threads": "use encode.threads=N",
}
# Of x264 and x265, in both the same.
_PRESETS = ["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow", "placebo"]
_HIGHEST_CRF = {"libx264": 51, "libx265": 51, "libsvtav1": 63}
_UNTAGGED, _FULL_RANGE = 2, 2
_CRF = 18


@dataclass(frozen=True)
class EncodeOptions:
    """How the clean video is encoded; the defaults follow the source."""

    codec: CodecName | None = None  # None: the source's own if it can be encoded, else h264
    crf: int = _CRF
    pix_fmt: str | None = None  # None: the source's
    options: dict[str, str] = field(default_factory=dict)  # passed to the encoder, such as preset: slow
    threads: int = 2  # fixed, because x264's bytes depend on it

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= _MOST_THREADS:
            raise UsageError(f"encode.threads={self.threads}: allowed: 1 to {_MOST_THREADS}")


@dataclass(frozen=True)
class EncoderPlan:
    """A checked choice of container, encoder, pixel format and options."""

    container: str
    encoder: str
    pix_fmt: str
    options: Mapping[str, str]
    threads: int
    color: ColorTags  # these three as they will be read back
    hdr: StaticHdr
    stated: Stated
    lossless: bool  # whether the decoded file gives back exactly the planes that were written
    notes: tuple[str, ...] = ()

    def read_back(self, info: VideoInfo) -> VideoInfo:
        """The facts of `info` as far as the finished file will state them."""
        return replace(info, color=self.color, hdr=self.hdr, **self.stated._asdict())


def container_of(path: Path) -> str:
    """FFmpeg's name of the container that the suffix of `path` stands for; UsageError if none."""
    try:
        return _CONTAINERS[path.suffix.lower()]
    except KeyError:
        allowed = " ".join(_CONTAINERS)
        raise UsageError(f"{path}: suffix {path.suffix or '(none)'} names no container; allowed: {allowed}") from None


def plan_encoder(info: VideoInfo, path: Path, options: EncodeOptions) -> EncoderPlan:
    """Choose the encoder for `info` written to `path`, refusing what could not work before any frame is computed."""
    container = container_of(path)
    codec = options.codec or _default_codec(info, container, options.pix_fmt or info.layout.name)
    encoder = _ENCODERS[codec]
    if (container, codec) in _REFUSED:
        raise UsageError(f"{path.name}: {codec} does not go into {path.suffix}; use .mp4 or .mkv, or another --codec")
    if container == "matroska" and encoder in _NO_ASPECT and info.sample_aspect_ratio not in (None, 1):
        raise UsageError(
            f"{path.name}: samples of {info.sample_aspect_ratio} would be shown square, {codec} does not say it and "
            "Matroska is not told; use .mp4, or --codec h264 or hevc"
        )
    if encoder == "libsvtav1":
        os.environ.setdefault("SVT_LOG", "1")  # errors only: it would print its settings past us, twice
    pix_fmt, notes = _pixel_format(info, encoder, options.pix_fmt)
    settings = dict(_VERYFAST[encoder])
    if encoder != "ffv1":
        if not 0 <= options.crf <= _HIGHEST_CRF[encoder]:  # encoders take others for the nearest one, unsaid
            raise UsageError(f"--crf {options.crf}: allowed with {codec}: 0 to {_HIGHEST_CRF[encoder]}")
        settings["crf"] = str(options.crf)
    elif options.crf != _CRF:
        notes = (*notes, f"--crf {options.crf} is not used: FFV1 loses nothing; for smaller files use another --codec")
    said, hdr = kept(info, encoder, container, pix_fmt), hdr_options(encoder, info.hdr)
    _check_options(encoder, options.options)
    # x264opts is the same as x264-params, but refuses what it does not know
    wanted = {"x264opts" if key == "x264-params" else key: value for key, value in options.options.items()}
    for more in (options_for(said, encoder), hdr or {}, wanted):
        for key, value in more.items():
            merged = key in settings and key.endswith("-params")
            settings[key] = f"{settings[key]}:{value}" if merged else value
    color, color_notes = _color_tags(info, container, encoder)
    same = pix_fmt == info.layout.name or (pix_fmt, info.layout.name) == ("bgr0", "gbrp")
    lossless = encoder == "ffv1" and same
    plan = EncoderPlan(
        *(container, encoder, pix_fmt, settings, options.threads, color),
        hdr=info.hdr if hdr is not None else StaticHdr(),
        stated=said,
        lossless=lossless,
        notes=notes + color_notes,
    )
    _try_open(plan, info)
    return plan


def _color_tags(info: VideoInfo, container: str, encoder: str) -> tuple[ColorTags, tuple[str, ...]]:
    """The colour tags to write. FFV1 has none of its own, and FFmpeg writes those of MP4 all together or not at all."""
    tags = info.color
    stated = (tags.matrix, tags.primaries, tags.transfer)
    kept_elsewhere = encoder != "ffv1" or container == "matroska" or info.layout.family == "gbrp"
    nothing_to_lose = stated == (_UNTAGGED,) * 3 and tags.range != _FULL_RANGE
    if kept_elsewhere or nothing_to_lose or _UNTAGGED not in stated:
        return tags, ()
    full = completed(info)
    named = f"matrix {full.matrix}, primaries {full.primaries}, transfer {full.transfer}"
    return full, (f"the source tags its colours in part: a lossless {container} states all, as {named}",)


def _pixel_format(info: VideoInfo, encoder: str, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The pixel format that `encoder` is given, and what a user should know of it."""
    source, takes = info.layout.name, _formats(encoder)
    if wanted is not None:
        allowed = [name for name in takes if name in PLANAR]
        if wanted not in allowed:
            raise UsageError(f"--pix-fmt {wanted}: not stored by {encoder}; allowed: {', '.join(allowed)}")
        return wanted, ()
    odd = info.width % 2 or info.height % 2
    if odd and encoder != "ffv1" and any(info.layout.chroma_shift):
        full = PixelLayout("yuv444p", info.layout.depth).name
        if full in takes:
            named = f"{info.width}x{info.height} is odd: {encoder} cannot store {source} of it"
            return full, (f"{named}, {full} is stored; --pad keeps {source}",)
        raise UsageError(
            f"{encoder} stores neither {source} nor {full} of {info.width}x{info.height}; use --pad or --codec ffv1"
        )
    if source == "gbrp" and "bgr0" in takes:
        return "bgr0", ()  # FFV1 stores 8-bit RGB only in this order: the same values
    if source not in takes:
        raise UsageError(f"{encoder} cannot store the source's {source}; use --codec ffv1, or --pix-fmt {takes[0]}")
    return source, ()


def _default_codec(info: VideoInfo, container: str, pix_fmt: str) -> CodecName:
    """The source's codec if we have its encoder, else h264; the next one where the pixel format does not fit."""
    order: list[CodecName] = [name for name in ("h264", "hevc", "av1", "ffv1") if name == info.codec]
    order += ["h264", "hevc", "ffv1"]
    for name in order:
        if pix_fmt in _formats(_ENCODERS[name]) and (container, name) not in _REFUSED:
            return name
    return order[0]


def stores(codec: CodecName, pix_fmt: str) -> bool:
    """Whether the encoder of `codec` takes this pixel format."""
    return pix_fmt in _formats(_ENCODERS[codec])


def _formats(encoder: str) -> tuple[str, ...]:
    return tuple(form.name for form in Codec(encoder, "w").video_formats or ())


def _check_options(encoder: str, options: Mapping[str, str]) -> None:
    """FFmpeg drops unknown options in silence: refuse them here, with the nearest known name."""
    known = CodecContext.create(encoder, "w").supported_options
    names = {option.name for option in (*known.generic, *known.private)}
    for key in options:
        if key in _OURS:
            raise UsageError(f"-e {key}={options[key]}: is not for the encoder to choose; {_OURS[key]}")
        if key not in names:
            near = difflib.get_close_matches(key, sorted(names), n=3)
            hint = f"did you mean {' or '.join(near)}?" if near else f"see ffmpeg -h encoder={encoder}"
            raise UsageError(f"-e {key}={options[key]}: {encoder} has no option {key}; {hint}")
    preset = options.get("preset", _PRESETS[0])
    if encoder in ("libx264", "libx265") and preset not in _PRESETS:  # x264 itself would print another line
        raise UsageError(f"-e preset={preset}: allowed with {encoder}: {', '.join(_PRESETS)}")


def _try_open(plan: EncoderPlan, info: VideoInfo) -> None:
    """Open the encoder once with everything set: bad values and sizes show here, not after hours."""
    context = CodecContext.create(plan.encoder, "w")
    assert isinstance(context, VideoCodecContext)
    configure(context, plan, info)
    context.options = dict(plan.options)
    try:
        context.open()
    except (av.error.FFmpegError, ValueError) as error:
        shown = " ".join(f"{key}={value}" for key, value in plan.options.items())
        why = getattr(error, "strerror", None) or error
        raise UsageError(
            f"{plan.encoder} refuses {info.width}x{info.height} {plan.pix_fmt} with {shown} ({why}); "
            "change -e, --crf, --pix-fmt or --codec"
        ) from error


def try_encoders() -> dict[str, str | None]:
    """Encode a small grey picture with every encoder we know: its name -> None, or why it does not work."""
    found: dict[str, str | None] = {}
    os.environ.setdefault("SVT_LOG", "1")
    for encoder in _ENCODERS.values():
        try:
            context = CodecContext.create(encoder, "w")
            assert isinstance(context, VideoCodecContext)
            context.width, context.height, context.pix_fmt, context.time_base = 64, 64, "yuv420p", Fraction(1, 25)
            context.options = dict(_VERYFAST[encoder])
            picture = VideoFrame.from_ndarray(np.full((96, 64), 128, np.uint8), "yuv420p")
            picture.pts = 0
            packets = [*context.encode(picture), *context.encode(None)]
            found[encoder] = None if packets else "gives out nothing"
        except (av.error.FFmpegError, ValueError) as error:
            found[encoder] = str(error)
    return found


def ffmpeg_version() -> str:
    """Version of the FFmpeg that came with PyAV."""
    return str(av.ffmpeg_version_info)


def configure(context: VideoCodecContext, plan: EncoderPlan, info: VideoInfo) -> None:
    """Set on `context` all that the plan and the facts of the video say, except for the options."""
    context.width, context.height = info.width, info.height
    context.pix_fmt = plan.pix_fmt
    context.time_base = info.time_base
    context.framerate = info.rate or Fraction(25)
    context.color_range = plan.color.range
    context.colorspace = plan.color.matrix
    context.color_primaries = plan.color.primaries
    context.color_trc = plan.color.transfer
    if info.sample_aspect_ratio:
        context.sample_aspect_ratio = info.sample_aspect_ratio
    context.thread_count = plan.threads
