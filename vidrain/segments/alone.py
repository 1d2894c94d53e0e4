"""Segments as tasks: each made by a process of its own, on any machine that sees the same files under the same paths.

plan_segments("in.mp4", "out.mp4", options=options, asked={...})  # once
make_segment("in.mp4", "out.mp4", 3, options=options)             # each number, in any order; twice is harmless
clean("in.mp4", "out.mp4", options=options)                       # joins them, and makes what is not there
"""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple

import torch

from vidrain import leftovers
from vidrain.device import computing_with
from vidrain.errors import UsageError
from vidrain.events import Meter, Notice, OnEvent, SegmentDone, ignore
from vidrain.identity import Identity
from vidrain.job import CleanOptions, Job
from vidrain.layer_videos import PartsExport
from vidrain.outputs import claimed
from vidrain.pipeline import jobs_for
from vidrain.report import plan_event
from vidrain.segments.fill import Filling
from vidrain.segments.folder import Unfinished
from vidrain.segments.plan import facts_of, planned, why_in_one_go
from vidrain.types import Decomposer
from vidrain.video.decode import Video, video_of
from vidrain.video.known import as_bytes, from_bytes
from vidrain.weights import load_decomposer


class Tasks(NamedTuple):
    """What is planned. threads: that a task computes with; device: `cpu` or `cuda`."""

    target: Path
    frames: int
    segments: int
    threads: int
    device: str


def plan_segments(
    source: Path, output: Path | None, *, options: CleanOptions, asked: dict[str, Any], on_event: OnEvent = ignore
) -> Tasks:
    """Put down in `OUT.vidrain` which segments `clean` would make, for tasks that make them.

    asked: kept there for the tasks, plain values. Segments that are made already count. Raises VidrainError, UsageError
    for a job whose segments depend on each other.
    """
    jobs, before = jobs_for(source, output, options)
    job = jobs[0]
    _refuse_dependent(jobs, options)
    work = Unfinished(job.clean.target)
    work.refuse_busy()
    with ExitStack() as stack:
        for target in job.targets.values():
            stack.enter_context(claimed(target, force=options.force))
        stack.enter_context(work.held)
        facts, threads = facts_of(jobs, before, options), torch.get_num_threads()
        said = work.begin(facts, total=job.frames, threads=threads, fresh=options.fresh, asked=asked)
        work.keep_index(before, as_bytes(job.video.source))
    for notice in (*said, *job.notices):
        on_event(notice)
    return Tasks(work.target, job.frames, len(planned(job.kept)), work.threads, job.decompose.device)


def make_segment(
    source: Path, target: Path, number: int, *, options: CleanOptions, on_event: OnEvent = ignore
) -> SegmentDone | None:
    """Make segment `number` of what was planned for `target`, if it is not made yet; None where it cannot be alone.

    That is so where frames do not decode as they should: `clean` makes it then. Raises VidrainError, BusyError where
    another process makes this very segment.
    """
    began = monotonic()
    leftovers.begin()
    work = Unfinished(target)
    work.take_task()
    jobs, before = jobs_for(source, target, options, lambda seen: _known(work, seen, source))
    job, decomposer = jobs[0], _model(jobs[0], options)
    segments = planned(job.kept)
    if not 0 <= number < len(segments):
        raise UsageError(f"--index {number}: {target} has segments 0 to {len(segments) - 1}")
    with work.alone(facts_of(jobs, before, options), 0, number) as is_due:
        if is_due:
            frames = len(segments[number].frames)
            meter = Meter(frames)
            filling = Filling(work, 0, job, segments, True, on_event, lambda: on_event(meter.tick()))
            on_event(replace(plan_event(jobs), frames=frames))
            with computing_with(work.threads):
                if not filling.alone(number, _codings(job), decomposer):
                    on_event(_left_to_clean(number))
                    return None
        done = work.made(0)[number].frames
    event = SegmentDone(
        output=str(target),
        index=number,
        segments=len(segments),
        frames=done,
        was_made=not is_due,
        seconds=round(monotonic() - began, 3),
    )
    on_event(event)
    return event


def _known(work: Unfinished, seen: Identity, source: Path) -> Video | None:
    """The video as it was planned, if the source still looks so; None where nothing of it was put down."""
    index = work.index_of(seen)
    return None if index is None else video_of(from_bytes(index, source))


def _model(job: Job, options: CleanOptions) -> Decomposer:
    return load_decomposer(job.model, options.weights, options.of_models)


def _codings(job: Job) -> dict[str, PartsExport]:
    outputs = {"clean": job.clean, **job.others}
    return {role: PartsExport(each.target, each.plan, each.picked, job.shift) for role, each in outputs.items()}


def _left_to_clean(number: int) -> Notice:
    message = f"frames of segment {number} do not decode as they should: it is left to `vidrain clean`, which joins all"
    return Notice(code="missing", message=message)


def _refuse_dependent(jobs: Sequence[Job], options: CleanOptions) -> None:
    """UsageError for a job whose segments depend on more than the source."""
    if options.adapt.is_wanted:
        raise UsageError("--adapt: segments as tasks need weights that are there; first: vidrain adapt, then --weights")
    if len(jobs) > 1:
        raise UsageError("--video all: one video is cleaned after the other; for segments as tasks name one")
    is_damaged = bool(jobs[0].video.source.structure.damages)  # a key frame may lead to other pictures
    why = "the source is damaged" if is_damaged else why_in_one_go(jobs[0], _model(jobs[0], options))
    if why is not None:
        raise UsageError(f"{jobs[0].video.info.path}: {why}, so its segments cannot be tasks; clean it in one go")
