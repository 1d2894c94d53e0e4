"""What a running job tells: plain data, the same for the bar, the NDJSON stream and a caller's own code.

clean("in.mp4", on_event=lambda event: ...)
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from vidrain.events_bench import Benching


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Said once, before the first frame: what will be done, everything checked that can be."""

    source: str
    outputs: dict[str, str]  # role (clean, rain, rain_preview, compare, adapted) -> path
    model: str
    made_by: str  # version, model, hashes of weights and options, as the outputs state them
    encoder: str
    pix_fmt: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """Said once, behind the plan, where an earlier run of the same job was broken off: frames it had done, of total."""

    frames: int
    total: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Said after every frame. fps: frames per second so far; eta_s: seconds left at that rate, None without one."""

    frames: int
    total: int
    fps: float
    eta_s: float | None

    @property
    def is_last(self) -> bool:
        """Whether the work is done with this."""
        return self.frames >= self.total


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a user should know, in one sentence. code: stable word for programs."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class FileDone:
    """Said once, after the outputs have their names."""

    status: str  # ok or partial
    outputs: dict[str, str]
    frames_in: int
    frames_out: int
    frames_repeated: int
    pts_equal: bool
    streams: list[str]
    seconds: float
    frames_dry: int = 0  # left as they are, because it does not rain in them


@dataclass(frozen=True, kw_only=True)
class SegmentsPlan:
    """Said once, where segments were planned as tasks. script: what makes them; segments: how many there are."""

    source: str
    output: str
    script: str
    frames: int
    segments: int


@dataclass(frozen=True, kw_only=True)
class SegmentDone:
    """Said once, by the task of a segment. frames: that go out; was_made: by an earlier task; seconds: of this one."""

    output: str
    index: int
    segments: int
    frames: int
    was_made: bool
    seconds: float


@dataclass(frozen=True, kw_only=True)
class VerifyPlan:
    """Said once, before the first frame is compared. frames: that the output has, of all videos compared."""

    output: str
    source: str
    frames: int


@dataclass(frozen=True, kw_only=True)
class TrainingPlan:
    """Said once, before the first step. first: the step that comes next, above 0 where an earlier run goes on."""

    run_dir: str
    model: str
    parameters: int
    device: str
    clips: list[str]
    first: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class TrainingStep:
    """Said after every step. steps: done so far, of `total`; loss: of this step, None before the first."""

    steps: int
    total: int
    loss: float | None
    steps_per_s: float
    eta_s: float | None

    @property
    def is_last(self) -> bool:
        """Whether the work is done with this."""
        return self.steps >= self.total


@dataclass(frozen=True, kw_only=True)
class TrainingDone:
    """Said once, after the weights have their name. loss: mean over the last steps."""

    run_dir: str
    weights: str
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True, kw_only=True)
class AdaptationStep:
    """Said before the first step and after every one. total: most steps, limit_s: most seconds; one of them is None.

    gain: by how much the best factors so far lower the error by which they are chosen, as a share of it.
    """

    steps: int
    total: int | None
    seconds: float
    limit_s: float | None
    gain: float

    @property
    def is_last(self) -> bool:
        """Whether the work is done with this; a clock never tells beforehand."""
        return self.steps == self.total


@dataclass(frozen=True, kw_only=True)
class AdaptationDone:
    """Said once, when weights are fitted to the footage, or the base weights kept.

    steps: taken. factors: by which the three shares of the network are multiplied, 1 where the base weights are kept.
    gain: by how much they lower the error on held-out frames, as a share of it. reason: why the base weights were kept.
    is_reused: whether a run that was killed had fitted them. weights: the first digits of the SHA-256 of their file.
    """

    steps: int
    factors: tuple[float, float, float]
    gain: float
    fell_back: bool
    reason: str | None
    is_reused: bool
    weights: str
    seconds: float


@dataclass(frozen=True, kw_only=True)
class ExportStart:
    """Said once, before the first frame. resumed: frames that an earlier run had done, of `frames`."""

    source: str
    output: str
    model: str
    made_by: str
    format: str
    space: str
    layers: list[str]
    width: int
    height: int
    resumed: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class ExportDone:
    """Said once, after the folder has its name."""

    status: str  # ok or partial
    output: str
    frames: int
    resumed: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class RainPlan:
    """Said once, before the first frame on which rain is laid. outputs: role (rainy, clean, rain, ...) -> path."""

    source: str
    outputs: dict[str, str]
    made_by: str
    seed: int
    encoder: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class PagePlan:
    """Said once, before the first frame of a preview or a report; of `analyze rain` too, to people: output is empty."""

    source: str
    output: str
    frames: int


@dataclass(frozen=True, kw_only=True)
class PageDone:
    """Said once, after the page has its name. size: bytes."""

    output: str
    size: int


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """Said once, before the first file of a batch. done, failed: by earlier runs, left as they are; todo: files to run.

    size: bytes of the sources of these; space: bytes that their outputs may take, of `free` ones; seconds: what they
    may take, None if unknown; basis: of both, in words; workers: files at a time, None for all CPUs of a cluster.
    """

    output: str
    files: int
    done: int
    failed: int
    todo: int
    engine: str
    workers: int | None
    size: int
    space: int
    free: int
    seconds: float | None
    basis: str


@dataclass(frozen=True, kw_only=True)
class FileStart:
    """A file of a batch begins. file: its output, relative to that of the batch; attempt: 1 for the first."""

    file: str
    source: str
    attempt: int


@dataclass(frozen=True, kw_only=True)
class FileNews:
    """What the job of one file of a batch tells: `event`, and the fields of that event."""

    file: str
    event: str
    fields: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class FileEnd:
    """A file of a batch is over. state: done, partial, failed, or again where it will be tried another time.

    code: what `clean` would have ended with; cause: in a line, for one that failed, or what is missing of it; log: what
    its worker printed, None if nothing.
    """

    file: str
    source: str
    state: str
    code: int
    cause: str
    log: str | None
    seconds: float


@dataclass(frozen=True, kw_only=True)
class BatchDone:
    """Said once, at the end. done, partial, failed: of this run; before: done by earlier ones; left: not run.

    troubles: all that failed or is partial, whichever run it was; kept: output of what stopped -> frames kept, of all.
    """

    output: str
    files: int
    before: int
    done: int
    partial: int
    failed: int
    left: int
    seconds: float
    troubles: list[FileEnd]
    kept: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class EvalStart:
    """Said once, before the first frame of a benchmark. rows: clips by methods; kept: of earlier runs, used again.

    frames: that are computed for the other ones.
    """

    output: str
    sets: list[str]
    methods: list[str]
    rows: int
    kept: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class EvalRow:
    """A clip is measured by a method. figures: None where a set of its kind has no such figure; seconds: it took."""

    set: str
    clip: str
    method: str
    figures: dict[str, float | None]
    seconds: float


@dataclass(frozen=True, kw_only=True)
class EvalDone:
    """Said once, after all results are written. computed: rows of this run, of `rows`."""

    output: str
    rows: int
    computed: int
    seconds: float


Batch = BatchPlan | FileStart | FileNews | FileEnd | BatchDone
Training = TrainingPlan | TrainingStep | TrainingDone
Adaptation = AdaptationStep | AdaptationDone
Exporting = ExportStart | ExportDone
Looking = PagePlan | PageDone
Evaluating = EvalStart | EvalRow | EvalDone
Cleaning = Plan | Resumed | Progress | SegmentsPlan | SegmentDone
Event = (
    Cleaning
    | Notice
    | FileDone
    | VerifyPlan
    | RainPlan
    | Exporting
    | Looking
    | Evaluating
    | Benching
    | Training
    | Adaptation
    | Batch
)
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An `OnEvent` for callers who want to hear nothing."""


class Meter:
    """Counts frames and knows the rate. done: frames of an earlier run, which say nothing of the rate of this one."""

    def __init__(self, total: int, done: int = 0) -> None:
        self._total, self._frames, self._done, self._began = total, done, done, monotonic()

    def tick(self) -> Progress:
        """Count one frame and say how far the job is."""
        self._frames += 1
        fps = (self._frames - self._done) / max(monotonic() - self._began, 1e-9)
        left = max(self._total - self._frames, 0)
        return Progress(frames=self._frames, total=self._total, fps=fps, eta_s=left / fps)
