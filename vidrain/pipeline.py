"""clean(): one video from source to finished outputs. The line that everything else hangs on.

report = clean("in.mp4", "out.mp4", options=CleanOptions(rain=Path("rain.mp4")))
"""

import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Literal

from vidrain.decompose import Decomposer, decompose, failed_frames, reach_of, tolerated
from vidrain.errors import InputError
from vidrain.events import FileDone, Meter, Notice, OnEvent, Plan, ignore
from vidrain.export import VideoExport
from vidrain.job import CleanOptions, Job, plan_job
from vidrain.missing import Missing, missing_in
from vidrain.outputs import Claim, claimed, publish_all
from vidrain.stream import prefetch
from vidrain.types import Frame
from vidrain.video.decode import open_video
from vidrain.video.encoder import container_of
from vidrain.video.ffmpeg import render_comparison
from vidrain.video.mux import StreamCopy, retime
from vidrain.video.verify import Expected, verify
from vidrain.weights import load_decomposer

# Frames; with the window and the encoder's lookahead these bound the memory of a job.
_DECODED_AHEAD = 4
_COMPUTED_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class CleanReport:
    """What was done to one video.

    missing: (start, end) seconds from the first frame of what could not be decoded or is not in the file; status is
    `partial` if there are any, or if sound or an unknown length is missing (see the notices). pts_equal: every frame
    has exactly the source's time (less the start of a range). copied, left_out: the other streams, in words, and what
    lies outside of them. made_by: version, model, hashes of weights and options, as the files state it. exact: whether
    the clean file is lossless, so that it and the rain archive give O back.
    """

    source: Path
    outputs: dict[str, Path]  # role (clean, rain, rain_preview, compare) -> path
    status: Literal["ok", "partial"]
    frames_in: int
    frames_out: int
    pts_equal: bool
    missing: tuple[tuple[float, float], ...]
    copied: tuple[str, ...]
    left_out: tuple[str, ...]
    notices: tuple[Notice, ...]
    model: str
    made_by: str
    encoder: str
    pix_fmt: str
    exact: bool
    seconds: float
    fps: float
    peak_memory_mib: float


def clean(
    source: str | Path,
    output: str | Path | None = None,
    *,
    options: CleanOptions | None = None,
    on_event: OnEvent = ignore,
) -> CleanReport:
    """Take the rain out of one video and keep everything else.

    source: a video file, never touched; output: the clean video, by default `IN.clean.mp4` beside the source. All
    outputs appear under their names together, finished and verified, or not at all. Raises VidrainError.
    """
    began = monotonic()
    options = options or CleanOptions()
    video = open_video(source)
    before = _fingerprint(video.info.path)
    job = plan_job(video, Path(output) if output is not None else None, options)
    decomposer = load_decomposer(job.model, options.weights, baseline=options.baseline, nlcl=options.nlcl)
    with ExitStack() as stack:
        claims = {role: stack.enter_context(claimed(path, force=options.force)) for role, path in job.targets.items()}
        on_event(_plan(job))
        for notice in job.notices:
            on_event(notice)
        exports, untouched = _write(job, decomposer, claims, on_event)
        findings = {role: verify(claims[role].partial, export.expected) for role, export in exports.items()}
        missing = missing_in(video, job.kept)
        if job.compare is not None and not missing.picture:
            _compare(job, job.compare, claims, exports["clean"].expected)
        if _fingerprint(video.info.path) != before:
            raise InputError(f"{video.info.path}: changed while it was read; nothing was kept, try again")
        # with frames lost, no other program pairs the rest as we do
        finished = {role: claim for role, claim in claims.items() if not (missing.picture and role == "compare")}
        publish_all(finished.values())
    after = failed_frames(untouched) + _late_notices(job, findings["clean"].notes, missing)
    for notice in after:
        on_event(notice)
    seconds = monotonic() - began
    frames_out = len(exports["clean"].expected.pts)
    report = CleanReport(
        source=video.info.path,
        outputs={role: claim.target for role, claim in finished.items()},
        status="partial" if missing else "ok",
        frames_in=len(job.kept),
        frames_out=frames_out,
        pts_equal=findings["clean"].pts_equal and not video.decoded.moved_times,
        missing=missing.picture,
        copied=tuple(copied.kind for copied in exports["clean"].expected.copied.values()),
        left_out=job.left_out,
        notices=(*job.notices, *after),
        model=job.model,
        made_by=job.made_by,
        encoder=job.clean.plan.encoder,
        pix_fmt=job.clean.plan.pix_fmt,
        exact=job.clean.plan.lossless,
        seconds=seconds,
        fps=frames_out / seconds,
        peak_memory_mib=_peak_memory_mib(),
    )
    on_event(_done(report))
    return report


def _write(
    job: Job, decomposer: Decomposer, claims: Mapping[str, Claim], on_event: OnEvent
) -> tuple[dict[str, VideoExport], list[int]]:
    """Decode, decompose and encode: three threads, bounded queues between them.

    Returns the finished exports and the indices of the frames that the model failed on.
    """
    untouched: list[int] = []
    with ExitStack() as stack:
        exports = {role: stack.enter_context(export) for role, export in _exports(job, claims).items()}
        frames = prefetch(_context(job, reach_of(decomposer.radius)), _DECODED_AHEAD, "decode")
        decoded = stack.enter_context(closing(frames))
        computed = decompose(decoded, job.video.info, decomposer, options=job.decompose, wanted=job.kept)
        meter = Meter(len(job.kept))
        ahead = stack.enter_context(closing(prefetch(computed, _COMPUTED_AHEAD, "decompose")))
        for layers in tolerated(ahead, len(job.kept), untouched):
            for export in exports.values():
                export.write(layers)
            on_event(meter.tick())
        if not exports["clean"].expected.pts:
            raise InputError(f"{job.video.info.path}: none of its {len(job.kept)} frames could be decoded")
    return exports, untouched


def _exports(job: Job, claims: Mapping[str, Claim]) -> dict[str, VideoExport]:
    info = job.video.info
    shift = round(job.span.shift / info.time_base) if job.span else 0
    copy = StreamCopy(info, job.copy, span=job.span)
    exports = {"clean": VideoExport(claims["clean"].partial, job.clean.plan, job.clean.picked, shift=shift, copy=copy)}
    for role, other in job.others.items():
        exports[role] = VideoExport(claims[role].partial, other.plan, other.picked, shift=shift)
    return exports


def _context(job: Job, reach: int) -> Iterator[Frame]:
    """The frames that go out and `reach` more on each side, so that a range is cleaned as the whole would be."""
    for frame in job.video.frames(max(job.kept.start - reach, 0)):
        if frame.index >= job.kept.stop + reach:
            return
        yield frame


def _compare(job: Job, target: Path, claims: Mapping[str, Claim], clean: Expected) -> None:
    """Render the comparison by frame numbers, then give its frames the times of the clean file."""
    with TemporaryDirectory(prefix="vidrain-") as folder:
        numbered = Path(folder) / "numbered.mp4"
        render_comparison(
            job.video.info.path, claims["clean"].partial, kept=job.kept, color=job.video.info.color, target=numbered
        )
        partial, base = claims["compare"].partial, clean.info.time_base
        retime(numbered, partial, container=container_of(target), pts=clean.pts, time_base=base)


def _fingerprint(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: went away while it was read ({error.strerror}); nothing was kept") from error
    return stat.st_size, stat.st_mtime_ns


def _late_notices(job: Job, notes: tuple[str, ...], missing: Missing) -> list[Notice]:
    found = [Notice(code="times", message=note) for note in notes]
    if moved := job.video.decoded.moved_times:
        message = f"{moved} frames had times that ran backwards; they were moved between their neighbours"
        found.append(Notice(code="times", message=message))
    if job.video.decoded.damaged_packets and not missing:
        message = f"{job.video.decoded.damaged_packets} damaged packets; every frame was decoded, some may look wrong"
        found.append(Notice(code="damage", message=message))
    found += missing.notices()
    if missing.picture and job.compare is not None:
        found.append(Notice(code="left_out", message="no comparison: other programs pair what is left otherwise"))
    return found


def _plan(job: Job) -> Plan:
    info = job.video.info
    return Plan(
        source=str(info.path),
        outputs={role: str(path) for role, path in job.targets.items()},
        model=job.model,
        made_by=job.made_by,
        encoder=job.clean.plan.encoder,
        pix_fmt=job.clean.plan.pix_fmt,
        width=info.width,
        height=info.height,
        frames=len(job.kept),
    )


def _done(report: CleanReport) -> FileDone:
    return FileDone(
        status=report.status,
        outputs={role: str(path) for role, path in report.outputs.items()},
        frames_in=report.frames_in,
        frames_out=report.frames_out,
        pts_equal=report.pts_equal,
        streams=list(report.copied),
        seconds=report.seconds,
    )


def _peak_memory_mib() -> float:
    """Most memory this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
