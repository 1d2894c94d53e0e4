"""Everything about one video that is decided before its first frame is computed: options in, a checked plan out.

What can be refused is refused here. Knows nothing of the command line or of configuration files.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

from vidrain.align import AlignOptions
from vidrain.baseline import BaselineOptions
from vidrain.decompose import DecomposeOptions
from vidrain.device import Device, device_of
from vidrain.errors import InputError, UsageError
from vidrain.events import Notice
from vidrain.foreseen import left_out, notices_for
from vidrain.layer_videos import Picked, background, padded, rain_archive, rain_preview
from vidrain.marks import MarkOptions
from vidrain.meter import MeterOptions
from vidrain.model.gate import CONFIGS, GateOptions
from vidrain.model.nlcl import NlclOptions
from vidrain.outputs import refuse_clashes
from vidrain.pace import Pace, pace_for, rate_of
from vidrain.provenance import made_by
from vidrain.shots import ShotOptions
from vidrain.span import kept_frames
from vidrain.train.adapt import AdaptOptions
from vidrain.types import VideoInfo
from vidrain.video.carried import CopyPlan, plan_copy
from vidrain.video.color import conversion_for
from vidrain.video.decode import Video
from vidrain.video.encode import refuse_unheld
from vidrain.video.encoder import EncodeOptions, EncoderPlan, container_of, plan_encoder, stores
from vidrain.video.hdr import refuse_unwatchable
from vidrain.video.mux import Span
from vidrain.watchdog import STALL_S, Watchdog
from vidrain.weights import PRESETS, ModelOptions, weights_of

ALL = "all"
_DEEPEST = 14  # bits; R takes two more, and 16 is the most that FFV1 stores
_ALL = 1_000_000  # seconds before the first frame: every packet of other streams is kept

Preset = Literal["fast", "balanced", "quality"]
OnBadFrame = Literal["repeat", "drop", "fail"]


@dataclass(frozen=True, kw_only=True)
class CleanOptions:
    """All that a user can choose about cleaning one video. `configs/clean.yaml` explains every key."""

    preset: Preset = "balanced"
    model: str | None = None  # None: what the preset stands for
    weights: Path | None = None
    device: Device = "auto"
    rain: Path | None = None
    rain_preview: Path | None = None
    compare: Path | None = None
    keep_adapted: Path | None = None
    archive: bool = False
    pad: bool = False  # odd sizes to even ones
    start: str | None = None
    end: str | None = None
    keep_pts: bool = False
    cfr: str | None = None  # frames per second, such as 25 or 30000/1001; None: every frame at its own time
    video: str = "0"  # which video of the file, or all
    force: bool = False
    fresh: bool = False  # begin anew where a run was broken off
    on_bad_frame: OnBadFrame = "repeat"
    stall_s: float = STALL_S
    encode: EncodeOptions = field(default_factory=EncodeOptions)
    baseline: BaselineOptions = field(default_factory=BaselineOptions)
    gate: GateOptions = field(default_factory=GateOptions)
    nlcl: NlclOptions = field(default_factory=NlclOptions)
    align: AlignOptions = field(default_factory=AlignOptions)
    shots: ShotOptions = field(default_factory=ShotOptions)
    meter: MeterOptions = field(default_factory=MeterOptions)
    marks: MarkOptions = field(default_factory=MarkOptions)
    adapt: AdaptOptions = field(default_factory=AdaptOptions)

    @property
    def of_models(self) -> ModelOptions:
        """Settings of every kind of model."""
        return ModelOptions(self.baseline, self.gate, self.nlcl)


@dataclass(frozen=True)
class Output:
    """One file to be written."""

    target: Path
    picked: Picked
    plan: EncoderPlan

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as stored."""
        return self.picked.info.width, self.picked.info.height


@dataclass(frozen=True, kw_only=True)
class Job:
    """A checked plan for one video."""

    video: Video
    model: str
    made_by: str  # provenance, the same in the file, the report and the events
    decompose: DecomposeOptions
    clean: Output
    others: Mapping[str, Output]  # role (rain, rain_preview) -> output
    compare: Path | None
    keep_adapted: Path | None
    adapted: str | None  # hash of weights that were fitted to the footage, if these are used
    kept: range  # indices of the frames that go out
    span: Span | None  # the same in seconds, for the other streams; None keeps all
    pace: Pace | None  # a constant frame rate; None: every frame at its own time
    copy: CopyPlan
    on_bad_frame: OnBadFrame
    watchdog: Watchdog
    notices: tuple[Notice, ...]  # what a user should know beforehand

    @property
    def true_size(self) -> tuple[int, int]:
        """Width and height of the picture, stored, before any padding."""
        return self.video.info.width, self.video.info.height

    @property
    def frames(self) -> int:
        """How many frames go out, if all can be decoded."""
        return len(self.kept) if self.pace is None else self.pace.frames

    @property
    def shift(self) -> int:
        """Ticks taken off every time, for a range that starts at 0."""
        return round(self.span.shift / self.clean.picked.info.time_base) if self.span else 0

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of the source cannot be carried along: a sentence each."""
        return left_out(self.video, self.copy)

    @property
    def targets(self) -> dict[str, Path]:
        """Role -> final path of everything this job writes."""
        others = {role: output.target for role, output in self.others.items()}
        more = {"compare": self.compare, "adapted": self.keep_adapted}
        return {"clean": self.clean.target, **others} | {role: path for role, path in more.items() if path}


def default_outputs(source: Path) -> tuple[Path, Path]:
    """Where a clean video lies if no place is named: `IN.clean.mp4` beside the source, or in the source's container."""
    return source.with_name(f"{source.stem}.clean.mp4"), source.with_name(f"{source.stem}.clean{source.suffix}")


def default_output(info: VideoInfo) -> Path:
    """The one of `default_outputs`: a source in MOV or MKV keeps its container if MP4 would change a stream."""
    usual, own = default_outputs(info.path)
    return own if own.suffix.lower() in (".mov", ".mkv") and plan_copy(info, "mp4").losses else usual


def plan_job(video: Video, output: Path | None, options: CleanOptions) -> Job:
    """Decide everything about cleaning `video`. Raises UsageError for what contradicts itself or cannot be had."""
    info = video.info
    if info.layout.depth > _DEEPEST:
        raise InputError(
            f"{info.path}: has {info.layout.depth} bits a sample; allowed: up to {_DEEPEST}; convert it first"
        )
    refuse_unwatchable(info)
    target = output or default_output(info)
    written = (target, options.rain, options.rain_preview, options.compare, options.keep_adapted)
    refuse_clashes(info.path, [path for path in written if path])
    return plan_into(target, video, options)


def with_adapted(job: Job, options: CleanOptions, adapted: str | None) -> Job:
    """`job` as it is once weights were fitted to its footage: their hash, if they are used, stands in its files."""
    return plan_into(job.clean.target, job.video, options, adapted)


def refuse_to_adapt(model: str, options: CleanOptions) -> None:
    """UsageError for a model whose weights cannot be fitted, and for what asks to keep them without fitting any."""
    if options.adapt.is_wanted and model not in CONFIGS:
        names = ", ".join(CONFIGS)
        raise UsageError(
            f"--adapt: {model} has no shares that could be fitted; allowed: {names}, chosen by --model and --weights"
        )
    if options.keep_adapted is not None and not options.adapt.is_wanted:
        raise UsageError(f"--keep-adapted {options.keep_adapted}: no weights are adapted; add --adapt, or leave it out")
    if options.keep_adapted is not None and options.weights is not None:
        refuse_clashes(options.weights, [options.keep_adapted], "the weights")


def plan_into(target: Path, video: Video, options: CleanOptions, adapted: str | None = None) -> Job:
    """The rest of `plan_job`, for a video whose depth and target are known to be good."""
    info = video.info
    model = options.model or PRESETS[options.preset]
    refuse_to_adapt(model, options)
    kept = kept_frames(options.start, options.end, video.index, info.time_base)
    span = span_of(video, kept, options)
    pace = pace_of(video, kept, options)
    encode = clean_encoding(options)
    is_part = bool(options.start or options.end)
    settings = settings_of(options, model, kept)
    line = made_by(model, weights_of(model, options.weights), settings, adapted=adapted)
    shown = info if pace is None else pace.of(info)
    picked = _sized(background(shown, line), options)
    clean = Output(target, picked, plan_encoder(picked.info, target, encode))
    if options.compare is not None:
        container_of(options.compare)
        if clean.size != (info.width, info.height):
            raise UsageError("--compare lays pictures of one size side by side; drop it, or --pad")
        if pace is not None:
            raise UsageError("--compare pairs each frame with its own of the source; drop it, or --cfr")
    others = _other_outputs(shown, options, line)
    if pace is None:
        times = sorted(video.index.pts[kept.start : kept.stop + 1].tolist())  # the last is shown until the next comes
        for output in (clean, *others.values()):
            refuse_unheld(info.path, output.plan.container, times, kept.start)
    copy = plan_copy(info, clean.plan.container, in_part=is_part)
    return Job(
        video=video,
        model=model,
        made_by=line,
        decompose=DecomposeOptions(
            options.align, options.shots, device_of(options.device), options.meter, options.marks
        ),
        clean=clean,
        others=others,
        compare=options.compare,
        keep_adapted=options.keep_adapted,
        adapted=adapted,
        kept=kept,
        span=span,
        pace=pace,
        copy=copy,
        notices=(
            *notices_for(video, clean.plan, picked.info, copy, pace=pace, is_last=options.video != ALL),
            *_unused(model, options),
        ),
        on_bad_frame=options.on_bad_frame,
        watchdog=Watchdog(info.path, options.stall_s),
    )


def settings_of(options: CleanOptions, model: str, kept: range) -> dict[str, Any]:
    """All settings of a job, as its line of provenance counts them. kept: indices of the frames that go out."""
    settings = asdict(replace(options, encode=clean_encoding(options))) | {"model": model}
    return settings | {"kept": [kept.start, kept.stop] if options.start or options.end else None}


def _unused(model: str, options: CleanOptions) -> Iterator[Notice]:
    """Said of settings of a model that is not the one chosen: nobody would see that they do nothing."""
    own = "gate" if model in CONFIGS else model
    for name, chosen, usual in (
        ("baseline", options.baseline, BaselineOptions()),
        ("gate", options.gate, GateOptions()),
        ("nlcl", options.nlcl, NlclOptions()),
    ):
        if own != name and chosen != usual:
            wanted = "gate-m" if name == "gate" else name
            said = f"settings of {name} do nothing: the model is {model}; add --model {wanted}, or leave them out"
            yield Notice(code="unused", message=said)


def clean_encoding(options: CleanOptions) -> EncodeOptions:
    """Encoding of the clean file: `archive` stands for FFV1."""
    if not options.archive:
        return options.encode
    if options.encode.codec not in (None, "ffv1"):
        raise UsageError(f"--archive means --codec ffv1, but --codec {options.encode.codec} is asked for; drop one")
    return replace(options.encode, codec="ffv1")


def _other_outputs(info: VideoInfo, options: CleanOptions, made_by: str) -> dict[str, Output]:
    found: dict[str, Output] = {}
    threads = options.encode.threads
    if (target := options.rain) is not None:
        picked = rain_archive(info, made_by)
        if not stores("ffv1", wider := picked.info.layout.name):
            raise UsageError(
                f"--rain {target}: rain of {info.layout.name} needs {wider}, which FFV1 lacks; leave it out"
            )
        plan = plan_encoder(picked.info, target, EncodeOptions(codec="ffv1", threads=threads))
        found["rain"] = Output(target, picked, plan)
    if (target := options.rain_preview) is not None:
        picked = _sized(rain_preview(info, conversion_for(info), made_by), options)
        plan = plan_encoder(picked.info, target, EncodeOptions(codec="h264", threads=threads))
        found["rain_preview"] = Output(target, picked, plan)
    return found


def _sized(picked: Picked, options: CleanOptions) -> Picked:
    return padded(picked) if options.pad else picked


def pace_of(video: Video, kept: range, options: CleanOptions) -> Pace | None:
    """The constant rate that `options` ask for; None where every frame keeps its own time."""
    if options.cfr is None:
        return None
    pts, base = video.index.pts, video.info.time_base
    end = int(pts[kept.stop]) * base if kept.stop < len(pts) else video.source.end
    return pace_for(pts[kept.start : kept.stop].tolist(), base, end, rate_of(options.cfr))


def span_of(video: Video, kept: range, options: CleanOptions) -> Span | None:
    """The range that `options` ask for in seconds, for the other streams; None keeps all."""
    pts, base = video.index.pts, video.info.time_base
    if options.start is None and options.end is None:
        first = int(pts[0]) * base
        return Span(first - _ALL, None, first) if first < 0 else None
    start = int(pts[kept.start]) * base
    end = int(pts[kept.stop]) * base if kept.stop < len(pts) else None
    return Span(start, end, Fraction(0) if options.keep_pts else start)
