"""clean(): one video from source to finished outputs. The line that everything else hangs on.

report = clean("in.mp4", "out.mp4", options=CleanOptions(rain=Path("rain.mp4")))
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

from vidrain import leftovers
from vidrain.adaptation import Adapted, adapted_for
from vidrain.conceal import refuse_damaged, refuse_missing
from vidrain.device import computing_with, threads_beside_codecs
from vidrain.errors import InputError, OutputError
from vidrain.events import Meter, Notice, OnEvent, Resumed, ignore
from vidrain.identity import Identity, identity_of
from vidrain.job import CleanOptions, Job, plan_job, with_adapted
from vidrain.layer_videos import VideoExport
from vidrain.missing import missing_in, missing_in_file, none_decoded
from vidrain.model.gate import GateDecomposer
from vidrain.outputs import Claim, claimed, count_as_returned, publish_all
from vidrain.report import CleanReport, Pass, Tally, done_event, plan_event, report_of
from vidrain.segments.fill import Filling, restarts
from vidrain.segments.folder import Unfinished, drop_rests, unfinished
from vidrain.segments.plan import facts_of, planned, why_in_one_go
from vidrain.segments.receipt import Receipt, receipt_for
from vidrain.tracks import chosen_tracks, continued, named_as_source, refuse_what_needs_one, spare_for, time_error
from vidrain.types import Decomposer
from vidrain.video.decode import Video, open_video
from vidrain.video.encoder import container_of
from vidrain.video.ffmpeg import comparison
from vidrain.video.index import video_tracks
from vidrain.video.lost import lost_if_gone
from vidrain.video.mux import StreamCopy, packets_in, retime
from vidrain.video.verify import Expected, UntrueError, verify
from vidrain.watchdog import Watchdog, refuse_hung
from vidrain.weights import load_decomposer

Known = Callable[[Identity], Video | None]
Partials = Mapping[str, Path]  # role -> where it is written until it is finished

_PACKETS_AHEAD = 8  # of the other streams: tens of kilobytes


def clean(
    source: str | Path,
    output: str | Path | None = None,
    *,
    options: CleanOptions | None = None,
    on_event: OnEvent = ignore,
    then: Callable[[CleanReport], None] = lambda _: None,
) -> CleanReport:
    """Take the rain out of one file and keep everything else.

    source: a video file, never touched; output: the clean video, by default `IN.clean.mp4` beside the source. All
    outputs appear under their names together, finished and verified, or not at all. then: what is made of them, such as
    a page: a run that is broken off in it goes on with it, and computes nothing again. Raises VidrainError.
    """
    began = monotonic()
    options, path = options or CleanOptions(), Path(source)
    jobs, before = jobs_for(path, Path(output) if output is not None else None, options)
    # one for each video: what a model remembers of one is nothing to the next
    decomposers: list[Decomposer] = [load_decomposer(job.model, options.weights, options.of_models) for job in jobs]
    Unfinished(jobs[0].clean.target).refuse_busy()
    drop_rests(jobs[0].clean.target)
    run = _Run(path, jobs, decomposers, before, facts_of(jobs, before, options), options, on_event, began)
    with receipt_for(jobs[0].clean.target, run.facts) as receipt:
        report = _outputs(run, receipt)
        leftovers.leave(receipt.path, f"{jobs[0].clean.target} is finished, and the same command goes on with the rest")
        then(report)
    return report


class _Run(NamedTuple):
    """One run of `clean` as it is planned. before: what the source looked like then; began: when, monotonic."""

    path: Path
    jobs: list[Job]
    decomposers: list[Decomposer]
    before: Identity
    facts: dict[str, Any]
    options: CleanOptions
    on_event: OnEvent
    began: float


def _outputs(run: _Run, receipt: Receipt) -> CleanReport:
    """Make all outputs and give them their names, or find that a run has which was killed then."""
    path, jobs, decomposers, before, facts, options, on_event, began = run
    total = sum(job.frames for job in jobs)
    with ExitStack() as stack:
        claims, partials = _claims(jobs, receipt, options, stack)
        work = stack.enter_context(unfinished(claims["clean"].target))
        if not options.fresh and (kept := receipt.report(jobs[0].targets)) is not None:
            work.take_over(facts)
            return _told_again(replace(kept, source=path), jobs, on_event)
        stack.enter_context(lost_if_gone(path))
        said = work.begin(facts, total=total, threads=threads_beside_codecs(), fresh=options.fresh)
        adapted = adapted_for(jobs, options, before, work.adapted, on_event) if options.adapt.is_wanted else None
        if adapted is not None:
            _refuse_others(work, adapted)
            jobs, decomposers = _fitted(jobs, decomposers, adapted, options)
            if "adapted" in claims:
                claims["adapted"].write(adapted.content)
        stack.enter_context(computing_with(work.threads))
        on_event(plan_event(jobs))
        said += adapted.notices if adapted is not None else ()
        notices = list(dict.fromkeys((*said, *(notice for job in jobs for notice in job.notices))))
        notices += _restarts(jobs, decomposers)
        for notice in notices:
            on_event(notice)
        if work.frames:
            on_event(Resumed(frames=work.frames, total=total))
        done = _passes(jobs, partials, decomposers, options, work, on_event)
        _refuse_changed(jobs[0].watchdog, before)
        finished = _finished(claims, done)
        late = _late(claims, finished, done)
        outputs = {role: claim.target for role, claim in finished.items()}
        outcome = adapted.outcome if adapted is not None else None
        report = report_of(done, outputs, (*notices, *late), adaptation=outcome, seconds=monotonic() - began)
        work.refuse_lost()
        publish_all(finished.values(), lambda: receipt.put(jobs[0].targets, finished, report))
    for notice in late:
        on_event(notice)
    on_event(done_event(report))
    return report


def _claims(
    jobs: Sequence[Job], receipt: Receipt, options: CleanOptions, stack: ExitStack
) -> tuple[dict[str, Claim], dict[str, Path]]:
    """Role -> what is to be written, and where; what a run that was killed gave its name already may be replaced."""
    claims = {
        role: stack.enter_context(claimed(target, force=options.force, ours=receipt.ours(role, target)))
        for role, target in jobs[0].targets.items()
    }
    partials = {role: claim.partial for role, claim in claims.items()}
    if len(jobs) > 1:
        partials["spare"] = stack.enter_context(claimed(spare_for(claims["clean"].target), force=True)).partial
    return claims, partials


def _told_again(report: CleanReport, jobs: Sequence[Job], on_event: OnEvent) -> CleanReport:
    """What a run would have told that was killed when all its outputs had their names."""
    count_as_returned(jobs[0].clean.target)
    on_event(plan_event(jobs))
    for notice in report.notices:
        on_event(notice)
    on_event(Resumed(frames=report.frames_out, total=report.frames_out))
    on_event(done_event(report))
    return report


def _late(claims: Mapping[str, Claim], finished: Mapping[str, Claim], done: Sequence[Pass]) -> list[Notice]:
    """What shows only afterwards."""
    stale = [claim.target for role, claim in claims.items() if role not in finished and claim.target.exists()]
    return [*dict.fromkeys(notice for each in done for notice in each.notices()), *map(_stale, stale)]


def _refuse_changed(watchdog: Watchdog, before: Identity) -> None:
    """InputError where the source is not what it was before it was read."""
    path = watchdog.path
    if watchdog.opened(lambda _: identity_of(path)) != before:
        raise InputError(f"{path}: changed while it was read; nothing was kept, try again")


def _finished(claims: Mapping[str, Claim], done: Sequence[Pass]) -> dict[str, Claim]:
    """What gets its name: with frames lost no comparison, because no other program pairs the rest as we do."""
    lost = any(each.missing.picture for each in done)
    return {role: claim for role, claim in claims.items() if not (lost and role == "compare")}


def jobs_for(
    source: Path, output: Path | None, options: CleanOptions, known: Known = lambda _: None
) -> tuple[list[Job], Identity]:
    """A plan for each video that is to be cleaned, and what the source looked like before it was read for them.

    known: gives the video of a source that looks so where it was indexed before, which spares reading all of it.
    Raises VidrainError.
    """
    others = (options.rain, options.rain_preview, options.compare, options.keep_adapted)
    refuse_hung((output, *others), options.stall_s)  # first: a look at both would blame the source
    watchdog = Watchdog(source, options.stall_s)
    watchdog.opened(lambda _: video_tracks(source))  # says what is wrong with a file that cannot be opened
    before = watchdog.opened(lambda _: identity_of(source))  # and only then is it read: it may change meanwhile
    found = known(before)

    def job_for(track: int) -> Job:
        video = found if found is not None and found.info.track == track else None
        video = video or watchdog.opened(lambda pulse: open_video(source, track=track, beat=pulse.beat))
        job = watchdog.opened(lambda _: plan_job(video, output, options))
        if options.on_bad_frame == "fail":
            refuse_missing(source, missing_in_file(video.source, job.kept))
        return job

    with lost_if_gone(source):
        jobs = [job_for(track) for track in watchdog.opened(lambda _: chosen_tracks(source, options.video))]
    refuse_what_needs_one(jobs, options)
    return jobs, before


def _fitted(
    jobs: list[Job], decomposers: list[Decomposer], adapted: Adapted, options: CleanOptions
) -> tuple[list[Job], list[Decomposer]]:
    """Jobs and decomposers with weights that were fitted to the footage."""
    fitted: list[Decomposer] = [
        GateDecomposer(adapted.net, first=each.first, options=options.gate) for each in decomposers
    ]
    return [with_adapted(job, options, adapted.hash) for job in jobs], fitted


def _passes(
    jobs: Sequence[Job],
    partials: Partials,
    decomposers: Sequence[Decomposer],
    options: CleanOptions,
    work: Unfinished,
    on_event: OnEvent,
) -> list[Pass]:
    """Run the jobs, each on the result of the one before; results lie in two places in turn, the last in `clean`."""
    meter = Meter(sum(job.frames for job in jobs), work.frames)
    done: list[Pass] = []
    made: Path | None = None
    path = jobs[0].video.info.path
    for place, (job, decomposer) in enumerate(zip(jobs, decomposers, strict=True)):
        current = job if made is None else continued(job, made, options)
        came_exactly = not time_error(job.video, current.video)
        made = partials["spare" if (len(jobs) - 1 - place) % 2 else "clean"]
        is_kept = why_in_one_go(job, decomposer) is None
        filling = Filling(
            work, place, current, planned(current.kept), is_kept, on_event, lambda: on_event(meter.tick())
        )
        with named_as_source(current, path):
            each = _pass(filling, {**partials, "clean": made}, decomposer)
        done.append(replace(each, is_exact=each.is_exact and came_exactly))
    return done


def _restarts(jobs: Sequence[Job], decomposers: Sequence[Decomposer]) -> Iterator[Notice]:
    """Said of what takes longer than a segment and cannot go on if it is broken off."""
    for job, decomposer in zip(jobs, decomposers, strict=True):
        why = why_in_one_go(job, decomposer)
        if why is not None and len(planned(job.kept)) > 1:
            yield restarts(why)


def _refuse_others(work: Unfinished, adapted: Adapted) -> None:
    """OutputError where frames were made by fitted weights that are not there any more."""
    if work.frames and not adapted.is_reused:
        raise OutputError(
            f"{work.path}: the fitted weights of {work.frames} finished frames are gone; drop those with --fresh"
        )


def _pass(filling: Filling, partials: Partials, decomposer: Decomposer) -> Pass:
    """Clean one video and check every file that was written."""
    job, tally = filling.job, Tally()
    exports = _write(filling, decomposer, partials, tally)
    with _blamed_on_damage(job.video):
        findings = {role: verify(partials[role], export.expected) for role, export in exports.items()}
    clean, found = exports["clean"].expected, findings["clean"]
    missing = missing_in(job.video, job.kept, clean.copied.values())
    if job.on_bad_frame == "fail":
        refuse_missing(job.video.info.path, missing)
        refuse_damaged(job.video.info.path, job.video.decoded.damaged_packets)
    if job.compare is not None and not missing.picture:
        _compare(job, job.compare, partials, clean)
    is_exact = found.pts_equal and job.pace is None and not job.video.decoded.moved_times
    return Pass(job, clean, found, missing, tally, is_exact)


@contextmanager
def _blamed_on_damage(video: Video) -> Iterator[None]:
    """InputError in place of UntrueError where the source is known to be damaged: then its own times cannot be kept.

    That a finished file cannot be read back is never the fault of its source.
    """
    try:
        yield
    except UntrueError as error:
        if not video.source.structure.damages:
            raise
        what = video.source.structure.damages[0].what
        raise InputError(f"{video.info.path}: too damaged to be stored truly ({what}): {error}") from error


def _write(filling: Filling, decomposer: Decomposer, partials: Partials, tally: Tally) -> dict[str, VideoExport]:
    """All segments, joined: what cannot be opened is found before the first frame. Returns the finished exports."""
    job = filling.job
    with ExitStack() as stack:
        exports = {role: stack.enter_context(export) for role, export in _exports(job, partials)}
        for role, parts in filling.all(exports, decomposer, tally).items():
            exports[role].append(parts)
        if not exports["clean"].expected.pts:
            raise none_decoded(f"{job.video.info.path}: none of its {len(job.kept)} frames")
    return exports


def _exports(job: Job, partials: Partials) -> Iterator[tuple[str, VideoExport]]:
    """Role and export, opened one by one: where the next cannot be, those before it are closed by their owner."""
    info, shift = job.video.info, job.shift
    where = "while its other streams were copied"
    copy = job.watchdog.opened(
        lambda pulse: StreamCopy(
            info,
            job.copy,
            span=job.span,
            beat=pulse.beat,
            ahead=lambda packets: job.watchdog.ahead(packets, _PACKETS_AHEAD, "copy", lambda: where),
        )
    )
    yield "clean", VideoExport(partials["clean"], job.clean.plan, job.clean.picked, shift=shift, copy=copy)
    for role, other in job.others.items():
        yield role, VideoExport(partials[role], other.plan, other.picked, shift=shift)


def _compare(job: Job, target: Path, partials: Partials, clean: Expected) -> None:
    """Render the comparison by frame numbers, and give its frames the times of the clean file."""
    info, base = job.video.info, clean.info.time_base
    tracks = (info.track, clean.track)
    with comparison(info.path, partials["clean"], kept=job.kept, tracks=tracks, color=info.color) as pipe:
        packets = job.watchdog.ahead(packets_in(pipe), _PACKETS_AHEAD, "compare")
        retime(packets, partials["compare"], container=container_of(target), pts=clean.pts, time_base=base)


def _stale(target: Path) -> Notice:
    """Said of an output that was asked for and not made, where a file of its name lies: it would pass for ours."""
    return Notice(code="left_out", message=f"{target}: is from an earlier run; this one made none and left it as it is")
