"""Files with several videos (front and rear camera): which of them are cleaned, and how one run cleans them all.

One pass cleans one video and copies the others as they are; the next pass takes its result for a source. So every
pass is the same job, checked in the same way. Runs nothing by itself.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from vidrain.errors import OutputError, UsageError, VidrainError
from vidrain.job import ALL, CleanOptions, Job, plan_into
from vidrain.video.decode import Video, open_video
from vidrain.video.index import video_tracks

_MATROSKA_TICK = Fraction(1, 1000)


def chosen_tracks(path: Path, wanted: str) -> list[int]:
    """Numbers of the videos that `--video` means: `all`, or one from 0 on. UsageError for anything else."""
    if wanted == ALL:
        return list(range(len(video_tracks(path))))
    if not (wanted.isdecimal() and wanted.isascii() and len(wanted) < 4):  # no container holds a thousand
        raise UsageError(f"--video {wanted}: is no number of a video; allowed: 0, 1, ... or {ALL}")
    return [int(wanted)]


def refuse_what_needs_one(jobs: list[Job], options: CleanOptions) -> None:
    """Refuse what `--video all` cannot do, as UsageError; a file with one video is no such case."""
    if len(jobs) < 2:
        return
    one = f"--video {ALL}: {jobs[0].video.info.path} has {len(jobs)} videos; name one, such as --video 0"
    if options.rain or options.rain_preview or options.compare:
        raise UsageError(f"{one}, for --rain, --rain-preview and --compare")
    if options.start or options.end:
        raise UsageError(f"{one}, for --start and --end: another video is not cut without encoding it")
    for job in jobs:
        if len(job.copy.videos) < len(jobs) - 1:
            raise UsageError(f"{one}: {'; '.join(job.copy.refused)}")


def continued(job: Job, made: Path, options: CleanOptions) -> Job:
    """`job`, which was planned for the source, on the result of the pass before it, at `made`.

    Raises OutputError where that pass did not bring the video over frame by frame, each at its time.
    """
    video = open_video(made, track=job.video.info.track)
    error = time_error(job.video, video)
    if error is None or error > (_MATROSKA_TICK / 2 if job.clean.plan.container == "matroska" else 0):
        raise OutputError(
            f"{job.video.info.path}: video {job.video.info.track} did not come through the pass before it with all its "
            "times; clean one video, such as --video 0"
        )
    # The facts stay those of the source: a copy may state another rate, and what the source lacks it does not know.
    found = video.info
    info = replace(job.video.info, path=made, stream_index=found.stream_index, time_base=found.time_base)
    again = Video(replace(job.video.source, info=info, index=video.index), video.decoded)
    return replace(plan_into(job.clean.target, again, options, job.adapted), notices=())


def spare_for(target: Path) -> Path:
    """Where every other pass writes, beside `target`; short, because that may have the longest name there is."""
    name = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:16]
    return target.with_name(f".videos-{name}{target.suffix}")


@contextmanager
def named_as_source(job: Job, source: Path) -> Iterator[None]:
    """Errors that name the file a later pass reads name the source instead: that is the one a user knows."""
    try:
        yield
    except VidrainError as error:
        named = copy(error)  # with all that it holds besides its words
        named.args = (str(error).replace(str(job.video.info.path), str(source)),)
        raise named from error


def time_error(before: Video, after: Video) -> Fraction | None:
    """Largest distance between the times of two videos, frame by frame, in seconds; None if frames are missing."""
    due, got = before.index.pts, after.index.pts
    base, other = before.info.time_base, after.info.time_base
    if len(due) != len(got):
        return None
    if base == other and np.array_equal(due, got):
        return Fraction(0)
    return max(abs(int(a) * base - int(b) * other) for a, b in zip(due, got, strict=True))
