"""Which segments a video is made in, and all that a finished one depends on.

>>> [segment.frames for segment in planned(range(0, 250), longest=120)]
[range(0, 120), range(120, 240), range(240, 250)]
"""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, TypeVar

import torch

from vidrain import __version__
from vidrain.device import Device
from vidrain.identity import Identity
from vidrain.job import CleanOptions, Job, Output
from vidrain.types import Decomposer
from vidrain.video.encoder import ffmpeg_version

LONGEST = 120  # frames: what a kill costs at most, and each begins with a frame that stands alone

Item = TypeVar("Item")


class Segment(NamedTuple):
    """Some consecutive frames of a video. number: its place among all; frames: indices of the source."""

    number: int
    frames: range


def planned(kept: range, longest: int | None = None) -> tuple[Segment, ...]:
    """The frames `kept` as segments of `longest` frames, by default `LONGEST`; the last one may be shorter."""
    longest = longest or LONGEST
    return tuple(
        Segment(number, range(start, min(start + longest, kept.stop)))
        for number, start in enumerate(range(kept.start, kept.stop, longest))
    )


def runs(segments: Sequence[Segment], done: Collection[int]) -> Iterator[tuple[Segment, ...]]:
    """Those of `segments` whose number is not in `done`, as runs of neighbours: each is computed in one go."""
    run: list[Segment] = []
    for segment in segments:
        if segment.number not in done:
            run.append(segment)
        elif run:
            yield tuple(run)
            run = []
    if run:
        yield tuple(run)


def cut(
    items: Iterable[Item], run: Sequence[Segment], index: Callable[[Item], int]
) -> Iterator[tuple[Segment, Iterator[Item]]]:
    """Every segment of `run` with its items, which come in the order of their `index`; each is to be read to its end.

    A segment ends when the first item of a later one is there, or none is left. It may have no items.
    """
    source = iter(items)
    held: Item | None = next(source, None)

    def inside(segment: Segment) -> Iterator[Item]:
        nonlocal held
        while held is not None and index(held) < segment.frames.stop:
            yield held
            held = next(source, None)

    for segment in run:
        yield segment, inside(segment)


def why_in_one_go(job: Job, decomposer: Decomposer) -> str | None:
    """Why a run of `job` that is broken off cannot go on; None where it can."""
    if decomposer.remembers:
        return f"{job.model} remembers what it saw of a shot"
    return None


def facts_of(jobs: Sequence[Job], source: Identity, options: CleanOptions) -> dict[str, Any]:
    """All that the bytes of a segment depend on, as plain values of JSON, under what to call it in words."""
    job = jobs[0]
    roles = {"clean": job.clean, **job.others}
    facts = {
        "source": source,
        "version of vidrain": [__version__, torch.__version__, ffmpeg_version()],
        "settings or weights": [
            job.made_by.partition(" ")[2],
            asdict(options.adapt) if options.adapt.is_wanted else None,
        ],
        "outputs": {role: _coded(output) for role, output in roles.items()},
        "frames": [[each.video.info.track, each.kept.start, each.kept.stop, LONGEST] for each in jobs],
        "device": job.decompose.device,
    }
    found: dict[str, Any] = json.loads(json.dumps(facts, default=str))
    return found


def could_be_finished(other: Collection[str], device: Device) -> bool:
    """Whether segments whose facts differ in `other` are those of other settings, not of what is here no more.

    device: as it was asked for. One that is named may be a mistake, what `auto` finds is all there is.
    """
    gone = {"version of vidrain"} | ({"device"} if device == "auto" else set())
    return "source" not in other and not set(other) <= gone


def _coded(output: Output) -> list[object]:
    plan = output.plan
    return [plan.container, plan.encoder, plan.pix_fmt, dict(plan.options), plan.threads]
