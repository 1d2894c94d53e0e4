"""Everything about a rendering that is decided before its first frame: options in, a checked plan out.

Times, streams, sound and containers are planned as for `clean`: rain is laid on, and all else stays as it was.
"""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, get_args

from vidrain.errors import InputError, UsageError
from vidrain.job import CleanOptions, Job, Output, plan_job
from vidrain.layer_videos import Picked, background, rain_archive
from vidrain.outputs import refuse_clashes
from vidrain.provenance import TAG, made_by
from vidrain.rain.camera import Camera, CameraOptions
from vidrain.rain.composite import Setting
from vidrain.rain.drops import MOST_RATE
from vidrain.rain.glass import GlassOptions
from vidrain.rain.light import Light
from vidrain.rain.mist import AirOptions
from vidrain.rain.scene import Weather
from vidrain.types import ColorTags, PixelLayout, StaticHdr, VideoInfo
from vidrain.video.decode import Video
from vidrain.video.encoder import EncodeOptions, plan_encoder, stores
from vidrain.watchdog import STALL_S

MAP_DEPTH = 12  # bits of the opacity and the transmission that are written
_FULL_RANGE, _UNTAGGED = 2, 2
_HDR_TRANSFERS = (16, 18)  # PQ and HLG
# Few digits of an exponent: a fraction holds 1e-999999999 with all its zeros.
_TIME = re.compile(r"\d{1,19}/\d{1,19}|(\d{1,19}|\d{0,19}\.\d{1,19})(e-?\d{1,2})?", re.ASCII)
_NEAREST, _BEHIND_GLASS = 0.3, 1.0  # metres
_OUTPUTS = ("clean", "rain", "streaks", "veil", "params")
# Option -> (least, most): what is allowed.
_BOUNDS: dict[str, tuple[float, float]] = {
    "rate": (0, MOST_RATE),
    "seed": (0, 2**63 - 1),
    "wind": (-30, 30),
    "gusts": (0, 10),
    "speed": (0, 200),
    "camera.view": (10, 120),
    "camera.height": (0.1, 1000),
    "camera.pitch": (-90, 90),
    "camera.focus": (0.1, 10_000),
    "camera.focal_mm": (0.5, 50),
    "camera.aperture": (0.5, 64),
    "camera.sharpening": (0, 3),
    "air.distance": (0, 10_000),
    "air.sky": (0, 100),
    "air.gust_s": (0.05, 1000),
    "air.splashes": (0, 10),
    "pane.distance": (0.02, 2),
    "pane.wiper_s": (0, 1000),
}


@dataclass(frozen=True, kw_only=True)
class RainOptions:
    """All that a user can choose about rendering rain. `configs/rain.yaml` explains every key."""

    rate: float = 10.0
    exposure: str = "1/250"
    seed: int = 1
    wind: float = 0.0
    gusts: float = 0.0
    speed: float = 0.0
    light: Light = "day"
    rolling_shutter: str = "0"
    glass: bool = False
    clean: Path | None = None
    rain: Path | None = None
    streaks: Path | None = None
    veil: Path | None = None
    params: Path | None = None
    start: str | None = None
    end: str | None = None
    video: str = "0"
    force: bool = False
    stall_s: float = STALL_S
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    camera: CameraOptions = field(default_factory=CameraOptions)
    air: AirOptions = field(default_factory=AirOptions)
    pane: GlassOptions = field(default_factory=GlassOptions)


@dataclass(frozen=True)
class RainJob:
    """A checked plan. base: times, streams and the encoder of the rainy video; outputs: role (rainy, clean, rain,
    streaks, veil) -> file; setting: the rain, but for the size of the picture; facts: for the file of --params."""

    base: Job
    outputs: Mapping[str, Output]
    params: Path | None
    made_by: str
    options: RainOptions

    @property
    def targets(self) -> dict[str, Path]:
        """Role -> final path of everything this job writes."""
        found = {role: output.target for role, output in self.outputs.items()}
        return found | ({"params": self.params} if self.params else {})

    def setting(self, size: tuple[int, int]) -> Setting:
        """The rain for upright pictures of (height, width)."""
        return setting_of(self.options, size)

    def facts(self) -> dict[str, Any]:
        """All options but for where files lie, ready for JSON."""
        return _settings(self.options)


def setting_of(options: RainOptions, size: tuple[int, int]) -> Setting:
    """The rain that `options` ask for, for upright pictures of (height, width). Raises UsageError."""
    _check(options)
    exposure = _seconds("exposure", options.exposure, least=Fraction(1, 100_000))
    readout = _seconds("rolling_shutter", options.rolling_shutter, least=Fraction(0))
    nearest = options.camera.nearest
    if nearest is None:
        nearest = _BEHIND_GLASS if options.speed or options.glass else _NEAREST
    if not 0.05 <= nearest <= 100:
        raise UsageError(f"camera.nearest={nearest:g}: allowed: 0.05 to 100 metres")
    weather = Weather(
        rate=options.rate,
        wind=options.wind,
        gusts=options.gusts,
        gust_s=options.air.gust_s,
        speed=options.speed,
    )
    camera = Camera(size, options.camera, float(exposure), float(readout), nearest)
    return Setting(camera, weather, options.air, options.light, options.pane if options.glass else None, options.seed)


def plan_rain(video: Video, output: Path, options: RainOptions) -> RainJob:
    """Decide everything about laying rain on `video`. Raises UsageError, InputError for HDR."""
    setting_of(options, (2, 2))
    info = video.info
    if info.color.transfer in _HDR_TRANSFERS:
        raise InputError(f"{info.path}: is HDR, whose light rain cannot be laid on yet; make it SDR first")
    written = [output, *(path for role in _OUTPUTS if (path := getattr(options, role)) is not None)]
    refuse_clashes(info.path, written)
    like_clean = CleanOptions(
        model="baseline",
        start=options.start,
        end=options.end,
        video=options.video,
        stall_s=options.stall_s,
        encode=options.encode,
    )
    base = plan_job(video, output, like_clean)
    line = made_by("rain", None, _settings(options) | {"kept": [base.kept.start, base.kept.stop]})
    rainy = replace(base.clean, picked=Picked(info, lambda layers: layers.frame.planes, {TAG: line}))
    outputs = {"rainy": rainy} | _others(info, options, line)
    return RainJob(base, outputs, options.params, line, options)


def _others(info: VideoInfo, options: RainOptions, line: str) -> dict[str, Output]:
    lossless = EncodeOptions(codec="ffv1", threads=options.encode.threads)
    found: dict[str, Output] = {}
    if options.clean is not None:
        picked = background(info, line)
        found["clean"] = Output(options.clean, picked, plan_encoder(info, options.clean, options.encode))
    if options.rain is not None:
        picked = rain_archive(info, line)
        if not stores("ffv1", wider := picked.info.layout.name):
            raise UsageError(f"--rain {options.rain}: needs {wider}, which FFV1 lacks; leave it out")
        found["rain"] = Output(options.rain, picked, plan_encoder(picked.info, options.rain, lossless))
    maps = {"streaks": "opacity of streaks", "veil": "transmission of the air"}
    for role, what in maps.items():
        target: Path | None = getattr(options, role)
        if target is not None:
            tags = {TAG: f"{line}; {what}, {(1 << MAP_DEPTH) - 1} is 1"}
            picked = Picked(_of_map(info), lambda layers: layers.frame.planes, tags)
            found[role] = Output(target, picked, plan_encoder(picked.info, target, lossless))
    return found


def _of_map(info: VideoInfo) -> VideoInfo:
    """Facts of a video that shows a number for every pixel."""
    plain = ColorTags(_UNTAGGED, _FULL_RANGE)
    layout = PixelLayout("gray", MAP_DEPTH)
    return replace(info, layout=layout, color=plain, hdr=StaticHdr(), chroma_siting=None, field_order=None)


def _settings(options: RainOptions) -> dict[str, Any]:
    """What of the options can change a picture."""
    apart = (*_OUTPUTS, "start", "end", "force", "stall_s")
    return {key: value for key, value in asdict(options).items() if key not in apart}


def _check(options: RainOptions) -> None:
    for key, (least, most) in _BOUNDS.items():
        value = options
        for part in key.split("."):
            value = getattr(value, part)
        if not least <= value <= most:  # type: ignore[operator]  # and not a number is neither
            raise UsageError(f"{key}={value}: allowed: {least:g} to {most:g}")
    if options.light not in get_args(Light):
        raise UsageError(f"light={options.light}: allowed: {', '.join(get_args(Light))}")


def _seconds(key: str, text: str, least: Fraction) -> Fraction:
    """A time such as 1/250 or 0.004."""
    try:
        found = Fraction(text) if _TIME.fullmatch(text) else None
    except ZeroDivisionError:
        found = None
    if found is None or not least <= found <= 1:
        bounds = f"{least} to 1" if least else "0 to 1"
        raise UsageError(f"{key}={text[:40]}: allowed: seconds from {bounds}, such as 1/250 or 0.004")
    return found
