"""clean(): one video from source to finished outputs. The line that everything else hangs on.

report = clean("in.mp4", "out.mp4", options=CleanOptions(rain=Path("rain.mp4")))
"""

import resource
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Literal

from vidrain.decompose import Decomposer, decompose, reach_of
from vidrain.errors import InputError
from vidrain.events import FileDone, Meter, Notice, OnEvent, Plan, ignore
from vidrain.export import VideoExport
from vidrain.job import CleanOptions, Job, plan_job
from vidrain.missing import Missing, missing_in
from vidrain.outputs import claimed, publish_all
from vidrain.pace import at_pace
from vidrain.stream import prefetch
from vidrain.tracks import chosen_tracks, continued, named_as_source, refuse_what_needs_one, spare_for, time_error
from vidrain.types import Frame
from vidrain.video.decode import open_video
from vidrain.video.encoder import container_of
from vidrain.video.ffmpeg import render_comparison
from vidrain.video.mux import StreamCopy, retime
from vidrain.video.verify import Expected, Verified, verify
from vidrain.weights import load_model

# Frames; with the window and the encoder's lookahead these bound the memory of a job.
_DECODED_AHEAD = 4
_COMPUTED_AHEAD = 2


@dataclass(frozen=True, kw_only=True)
class CleanReport:
    """What was done to one file.

    videos: which of its videos were cleaned; frames are those of all of them. repeated, dropped: frames, for a constant
    rate that was asked for.
    missing: (start, end) seconds from the first frame of what could not be decoded or is not in the file; status is
    `partial` if there are any, or if sound or an unknown length is missing (see the notices). pts_equal: every frame
    has exactly the source's time (less the start of a range); false at a constant rate. copied, left_out: the other
    streams, in words, and what lies outside of them. exact: whether the clean file is lossless, so that it and the rain
    archive give O back.
    """

    source: Path
    outputs: dict[str, Path]  # role (clean, rain, rain_preview, compare) -> path
    status: Literal["ok", "partial"]
    videos: tuple[int, ...]
    frames_in: int
    frames_out: int
    repeated: int
    dropped: int
    pts_equal: bool
    missing: tuple[tuple[float, float], ...]
    copied: tuple[str, ...]
    left_out: tuple[str, ...]
    notices: tuple[Notice, ...]
    model: str
    encoder: str
    pix_fmt: str
    exact: bool
    crops: dict[int, tuple[int, int]]  # video -> its true width and height, where it was padded
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
    options, path = options or CleanOptions(), Path(source)
    videos = [open_video(path, track=track) for track in chosen_tracks(path, options.video)]
    before = _fingerprint(path)
    jobs = [plan_job(video, Path(output) if output is not None else None, options) for video in videos]
    refuse_what_needs_one(jobs, options)
    decomposer = load_model(jobs[0].model, options.weights, options.baseline)
    with ExitStack() as stack:
        claims = {
            role: stack.enter_context(claimed(target, force=options.force)) for role, target in jobs[0].targets.items()
        }
        on_event(_plan(jobs))
        notices = list(dict.fromkeys(notice for job in jobs for notice in job.notices))
        for notice in notices:
            on_event(notice)
        partials = {role: claim.partial for role, claim in claims.items()}
        if len(jobs) > 1:
            partials["spare"] = stack.enter_context(claimed(spare_for(claims["clean"].target), force=True)).partial
        done = _passes(jobs, partials, decomposer, options, on_event)
        if _fingerprint(path) != before:
            raise InputError(f"{path}: changed while it was read; nothing was kept, try again")
        # with frames lost, no other program pairs the rest as we do
        lost = any(each.missing.picture for each in done)
        finished = {role: claim for role, claim in claims.items() if not (lost and role == "compare")}
        publish_all(finished.values())
    late = list(dict.fromkeys(notice for each in done for notice in each.notices()))
    for notice in late:
        on_event(notice)
    outputs = {role: claim.target for role, claim in finished.items()}
    report = _report(done, outputs, (*notices, *late), seconds=monotonic() - began)
    on_event(_done(report))
    return report


@dataclass(frozen=True)
class _Pass:
    """One video cleaned: what was done, written and found. The source of `job` may be the result of another pass."""

    job: Job
    clean: Expected
    found: Verified
    missing: Missing

    def notices(self) -> list[Notice]:
        """What shows only afterwards."""
        return _late_notices(self.job, self.found.notes, self.missing)


def _passes(
    jobs: Sequence[Job], partials: Mapping[str, Path], decomposer: Decomposer, options: CleanOptions, on_event: OnEvent
) -> list[_Pass]:
    """Run the jobs, each on the result of the one before; results lie in two places in turn, the last in `clean`."""
    meter = Meter(sum(job.frames for job in jobs))
    done: list[_Pass] = []
    made: Path | None = None
    path = jobs[0].video.info.path
    for left, job in zip(reversed(range(len(jobs))), jobs, strict=True):
        current = job if made is None else continued(job, made, options)
        made = partials["spare" if left % 2 else "clean"]
        with named_as_source(current, path):
            each = _pass(current, {**partials, "clean": made}, decomposer, meter, on_event)
        is_exact = each.found.pts_equal and job.pace is None and not time_error(job.video, current.video)
        done.append(replace(each, found=replace(each.found, pts_equal=is_exact)))
    return done


def _pass(job: Job, partials: Mapping[str, Path], decomposer: Decomposer, meter: Meter, on_event: OnEvent) -> _Pass:
    """Clean one video and check every file that was written."""
    exports = _write(job, decomposer, partials, meter, on_event)
    findings = {role: verify(partials[role], export.expected) for role, export in exports.items()}
    missing = missing_in(job.video, job.kept)
    clean = exports["clean"].expected
    if job.compare is not None and not missing.picture:
        _compare(job, job.compare, partials, clean)
    return _Pass(job, clean, findings["clean"], missing)


def _report(
    done: Sequence[_Pass], outputs: dict[str, Path], notices: tuple[Notice, ...], *, seconds: float
) -> CleanReport:
    """What to say of all passes together."""
    first = done[0]
    frames_out = sum(len(each.clean.pts) for each in done)
    paces = [each.job.pace for each in done if each.job.pace is not None]
    cleaned = {each.job.video.info.stream_index for each in done}
    return CleanReport(
        source=first.job.video.info.path,
        outputs=outputs,
        status="partial" if any(each.missing for each in done) else "ok",
        videos=tuple(each.job.video.info.track for each in done),
        frames_in=sum(len(each.job.kept) for each in done),
        frames_out=frames_out,
        repeated=sum(pace.repeated for pace in paces),
        dropped=sum(pace.dropped for pace in paces),
        pts_equal=all(each.found.pts_equal and not each.job.video.decoded.moved_times for each in done),
        missing=tuple(sorted({stretch for each in done for stretch in each.missing.picture})),
        copied=tuple(copied.kind for index, copied in first.clean.copied.items() if index not in cleaned),
        left_out=first.job.left_out,
        notices=notices,
        model=first.job.model,
        encoder=", ".join(dict.fromkeys(each.job.clean.plan.encoder for each in done)),
        pix_fmt=", ".join(dict.fromkeys(each.job.clean.plan.pix_fmt for each in done)),
        exact=all(each.job.clean.plan.lossless for each in done),
        crops={
            each.job.video.info.track: each.job.true_size for each in done if each.job.clean.size != each.job.true_size
        },
        seconds=seconds,
        fps=frames_out / seconds,
        peak_memory_mib=_peak_memory_mib(),
    )


def _write(
    job: Job, decomposer: Decomposer, partials: Mapping[str, Path], meter: Meter, on_event: OnEvent
) -> dict[str, VideoExport]:
    """Decode, decompose and encode: three threads, bounded queues between them. Returns the finished exports."""
    with ExitStack() as stack:
        exports = {role: stack.enter_context(export) for role, export in _exports(job, partials).items()}
        frames = prefetch(_context(job, reach_of(decomposer.radius)), _DECODED_AHEAD, "decode")
        decoded = stack.enter_context(closing(frames))
        computed = decompose(decoded, job.video.info, decomposer, options=job.decompose, wanted=job.kept)
        cleaned = stack.enter_context(closing(prefetch(computed, _COMPUTED_AHEAD, "decompose")))
        for layers in cleaned if job.pace is None else at_pace(cleaned, job.pace, job.kept.start):
            for export in exports.values():
                export.write(layers)
            on_event(meter.tick())
        if not exports["clean"].expected.pts:
            raise InputError(f"{job.video.info.path}: none of its {len(job.kept)} frames could be decoded")
    return exports


def _exports(job: Job, partials: Mapping[str, Path]) -> dict[str, VideoExport]:
    info = job.video.info
    shift = round(job.span.shift / job.clean.picked.info.time_base) if job.span else 0
    copy = StreamCopy(info, job.copy, span=job.span)
    exports = {"clean": VideoExport(partials["clean"], job.clean.plan, job.clean.picked, shift=shift, copy=copy)}
    for role, other in job.others.items():
        exports[role] = VideoExport(partials[role], other.plan, other.picked, shift=shift)
    return exports


def _context(job: Job, reach: int) -> Iterator[Frame]:
    """The frames that go out and `reach` more on each side, so that a range is cleaned as the whole would be."""
    for frame in job.video.frames(max(job.kept.start - reach, 0)):
        if frame.index >= job.kept.stop + reach:
            return
        yield frame


def _compare(job: Job, target: Path, partials: Mapping[str, Path], clean: Expected) -> None:
    """Render the comparison by frame numbers, then give its frames the times of the clean file."""
    with TemporaryDirectory(prefix="vidrain-") as folder:
        numbered = Path(folder) / "numbered.mp4"
        info, base = job.video.info, clean.info.time_base
        tracks = (info.track, clean.track)
        render_comparison(info.path, partials["clean"], kept=job.kept, tracks=tracks, target=numbered)
        retime(numbered, partials["compare"], container=container_of(target), pts=clean.pts, time_base=base)


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


def _plan(jobs: Sequence[Job]) -> Plan:
    job = jobs[0]
    info = job.video.info
    return Plan(
        source=str(info.path),
        outputs={role: str(path) for role, path in job.targets.items()},
        model=job.model,
        encoder=job.clean.plan.encoder,
        pix_fmt=job.clean.plan.pix_fmt,
        width=info.width,
        height=info.height,
        frames=sum(job.frames for job in jobs),
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
