"""clean(): one video from source to finished outputs. The line that everything else hangs on.

report = clean("in.mp4", "out.mp4", options=CleanOptions(rain=Path("rain.mp4")))
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

from vidrain.decompose import Decomposer, decompose, reach_of, tolerated
from vidrain.errors import InputError
from vidrain.events import Meter, OnEvent, ignore
from vidrain.export import VideoExport
from vidrain.job import CleanOptions, Job, plan_job
from vidrain.missing import missing_in
from vidrain.outputs import claimed, publish_all
from vidrain.pace import at_pace
from vidrain.report import CleanReport, Pass, done_event, plan_event, report_of
from vidrain.stream import prefetch
from vidrain.tracks import chosen_tracks, continued, named_as_source, refuse_what_needs_one, spare_for, time_error
from vidrain.types import Frame
from vidrain.video.decode import open_video
from vidrain.video.encoder import container_of
from vidrain.video.ffmpeg import render_comparison
from vidrain.video.mux import StreamCopy, retime
from vidrain.video.verify import Expected, verify
from vidrain.weights import load_model

Partials = Mapping[str, Path]  # role -> where it is written until it is finished

# Frames; with the window and the encoder's lookahead these bound the memory of a job.
_DECODED_AHEAD = 4
_COMPUTED_AHEAD = 2


def clean(
    source: str | Path,
    output: str | Path | None = None,
    *,
    options: CleanOptions | None = None,
    on_event: OnEvent = ignore,
) -> CleanReport:
    """Take the rain out of one file and keep everything else.

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
        partials = {role: claim.partial for role, claim in claims.items()}
        if len(jobs) > 1:
            partials["spare"] = stack.enter_context(claimed(spare_for(claims["clean"].target), force=True)).partial
        on_event(plan_event(jobs))
        notices = list(dict.fromkeys(notice for job in jobs for notice in job.notices))
        for notice in notices:
            on_event(notice)
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
    report = report_of(done, outputs, (*notices, *late), seconds=monotonic() - began)
    on_event(done_event(report))
    return report


def _passes(
    jobs: Sequence[Job], partials: Partials, decomposer: Decomposer, options: CleanOptions, on_event: OnEvent
) -> list[Pass]:
    """Run the jobs, each on the result of the one before; results lie in two places in turn, the last in `clean`."""
    meter = Meter(sum(job.frames for job in jobs))
    done: list[Pass] = []
    made: Path | None = None
    path = jobs[0].video.info.path
    for left, job in zip(reversed(range(len(jobs))), jobs, strict=True):
        current = job if made is None else continued(job, made, options)
        came_exactly = not time_error(job.video, current.video)
        made = partials["spare" if left % 2 else "clean"]
        with named_as_source(current, path):
            each = _pass(current, {**partials, "clean": made}, decomposer, lambda: on_event(meter.tick()))
        done.append(replace(each, is_exact=each.is_exact and came_exactly))
    return done


def _pass(job: Job, partials: Partials, decomposer: Decomposer, tick: Callable[[], None]) -> Pass:
    """Clean one video and check every file that was written."""
    exports, untouched = _write(job, decomposer, partials, tick)
    findings = {role: verify(partials[role], export.expected) for role, export in exports.items()}
    clean, found = exports["clean"].expected, findings["clean"]
    missing = missing_in(job.video, job.kept)
    if job.compare is not None and not missing.picture:
        _compare(job, job.compare, partials, clean)
    is_exact = found.pts_equal and job.pace is None and not job.video.decoded.moved_times
    return Pass(job, clean, found, missing, untouched, is_exact)


def _write(
    job: Job, decomposer: Decomposer, partials: Partials, tick: Callable[[], None]
) -> tuple[dict[str, VideoExport], list[int]]:
    """Decode, decompose and encode: three threads, bounded queues between them.

    Returns the finished exports and the indices of the frames that the model failed on.
    """
    untouched: list[int] = []
    with ExitStack() as stack:
        exports = {role: stack.enter_context(export) for role, export in _exports(job, partials).items()}
        frames = prefetch(_context(job, reach_of(decomposer.radius)), _DECODED_AHEAD, "decode")
        decoded = stack.enter_context(closing(frames))
        computed = decompose(decoded, job.video.info, decomposer, options=job.decompose, wanted=job.kept)
        ahead = stack.enter_context(closing(prefetch(computed, _COMPUTED_AHEAD, "decompose")))
        cleaned = tolerated(ahead, len(job.kept), untouched)
        for layers in cleaned if job.pace is None else at_pace(cleaned, job.pace, job.kept.start):
            for export in exports.values():
                export.write(layers)
            tick()
        if not exports["clean"].expected.pts:
            raise InputError(f"{job.video.info.path}: none of its {len(job.kept)} frames could be decoded")
    return exports, untouched


def _exports(job: Job, partials: Partials) -> dict[str, VideoExport]:
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


def _compare(job: Job, target: Path, partials: Partials, clean: Expected) -> None:
    """Render the comparison by frame numbers, then give its frames the times of the clean file."""
    with TemporaryDirectory(prefix="vidrain-") as folder:
        numbered = Path(folder) / "numbered.mp4"
        info, base = job.video.info, clean.info.time_base
        tracks = (info.track, clean.track)
        render_comparison(info.path, partials["clean"], kept=job.kept, tracks=tracks, color=info.color, target=numbered)
        retime(numbered, partials["compare"], container=container_of(target), pts=clean.pts, time_base=base)


def _fingerprint(path: Path) -> tuple[int, int]:
    try:
        stat = path.stat()
    except OSError as error:
        raise InputError(f"{path}: went away while it was read ({error.strerror}); nothing was kept") from error
    return stat.st_size, stat.st_mtime_ns
