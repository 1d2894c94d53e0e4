"""Stages of a job, each by itself and one after the other: what a frame costs where.

In a job they overlap, so that their sum is more than a job takes; and what a job does besides (joining segments,
reading back, starting up) is in none of them. Those of the model compute with as many threads as a job does. `line` is
all of them, on frames in memory: it overlaps them, and takes less than its stages together.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from math import prod
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, ParamSpec, TypeVar

import torch

from vidrain.align import Aligner
from vidrain.bench.passthrough import ENCODE
from vidrain.decompose import (
    DecomposeOptions,
    Followed,
    Judged,
    aligned_of,
    aligner_for,
    context_of,
    layers_of,
    picture_of,
    step_of,
    taken_from,
)
from vidrain.device import computing_with, threads_beside_codecs
from vidrain.model.nlcl import Nlcl
from vidrain.separate import in_threads
from vidrain.shots import Step
from vidrain.types import Decomposer, Frame, Layers, Sight, VideoInfo
from vidrain.video.color import conversion_for, to_rgb
from vidrain.video.decode import Video, open_video
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import plan_encoder
from vidrain.video.verify import Expected, verify

CODEC = ("open", "decode", "encode", "verify")
BEFORE = ("first ", "second ")  # before the name of a stage: of the passes before, which dry the neighbours
_PASS = ("flow", "warp", "network")
MODEL = ("picture", *(f"{before}{stage}" for before in BEFORE for stage in _PASS), *_PASS, "quantise", "line")
_MOST_FRAMES, _LEAST_FRAMES = 60, 16
_MOST_BYTES = 400 << 20  # of frames that are held
_LIMIT_S = 8.0  # after which no further frame of a slow method is begun

P = ParamSpec("P")
R = TypeVar("R")


@dataclass
class Stopwatch:
    """Seconds and calls by stage."""

    seconds: dict[str, float] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)

    def run(self, stage: str, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """What `work` gives, its time counted."""
        began = perf_counter()
        result = work(*args, **kwargs)
        self.seconds[stage] = self.seconds.get(stage, 0.0) + perf_counter() - began
        self.calls[stage] = self.calls.get(stage, 0) + 1
        return result

    def means_ms(self) -> dict[str, float]:
        """Milliseconds a call, by stage."""
        return {stage: 1000 * seconds / self.calls[stage] for stage, seconds in self.seconds.items()}


class _Level(NamedTuple):
    """One pass of a decomposer, with flows of its own; `before`: what its stages are called by."""

    decomposer: Decomposer
    aligner: Aligner
    before: str


def codec_stages(source: Path, target: Path) -> dict[str, float]:
    """Milliseconds a frame of each of `CODEC`; `target` is written. Raises VidrainError."""
    watch = Stopwatch()
    video = watch.run("open", open_video, source)
    frames = watch.run("decode", held_frames, video)
    expected = watch.run("encode", _encoded, frames, video, target)
    watch.run("verify", verify, target, expected)
    counts = dict.fromkeys(CODEC, len(frames)) | {"open": len(video.index.pts)}
    return {stage: ms / counts[stage] for stage, ms in watch.means_ms().items()}


def held_frames(video: Video) -> list[Frame]:
    """The first frames of a video, as many as are measured on."""
    per_frame = prod((video.info.width, video.info.height, 2))
    most = max(_LEAST_FRAMES, min(_MOST_FRAMES, _MOST_BYTES // per_frame))
    with closing(video.frames()) as frames:  # type: ignore[type-var]  # a generator
        return list(islice(frames, most))


def _encoded(frames: list[Frame], video: Video, target: Path) -> Expected:
    plan = plan_encoder(video.info, target, ENCODE)
    with VideoWriter(target, plan, video.info) as writer:
        for frame in frames:
            writer.write(frame.planes, frame.pts, frame.duration)
    pts = [frame.pts for frame in frames]
    return Expected(plan.read_back(video.info), plan.pix_fmt, plan.container, pts, {})


def model_stages(source: Path, decomposer: Decomposer, options: DecomposeOptions) -> dict[str, float]:
    """Milliseconds a frame of each of `MODEL` that there is. Raises VidrainError."""
    video = open_video(source)
    frames, watch = held_frames(video), Stopwatch()
    with computing_with(threads_beside_codecs()):
        for _ in layers_by_stages(frames, video, decomposer, options, watch):
            if sum(watch.seconds.values()) > _LIMIT_S:
                break
        return watch.means_ms() | _line(frames, video, decomposer, options)


def _line(frames: list[Frame], video: Video, decomposer: Decomposer, options: DecomposeOptions) -> dict[str, float]:
    """Milliseconds a frame of `in_threads`, while each frame that leaves it makes room for one that comes in."""
    steady = max(1, len(frames) - 1 - context_of(decomposer))
    with in_threads(frames, video.info, decomposer, options) as layers:
        next(layers)
        began, made = perf_counter(), 0
        for _ in islice(layers, steady):
            made += 1
            if perf_counter() - began > _LIMIT_S:
                break
        took = perf_counter() - began
    return {"line": 1000 * took / made} if made else {}


def layers_by_stages(
    frames: list[Frame], video: Video, decomposer: Decomposer, options: DecomposeOptions, watch: Stopwatch
) -> Iterator[Layers]:
    """Layers of the frames that have all their neighbours, each stage timed. Not timed are the first few.

    A decomposer of more passes has the stages of all, on neighbours as they were observed: that costs the same.
    """
    info, sight = video.info, decomposer.sees
    levels = list(_levels(decomposer, options))
    radius = max(level.decomposer.radius for level in levels)
    warming = min(radius + 1, max(0, len(frames) - 2 * radius - 1))  # by then every flow but the new ones is kept
    seen: list[Judged[Frame]] = []
    for place, frame in enumerate(frames):
        center = place - radius
        clock = watch if center >= radius + warming else Stopwatch()
        with torch.inference_mode():
            seen.append(clock.run("picture", _looked_at, frame, info, seen[-1:], options, sight))
            del seen[: -2 * radius - 1]
            if len(seen) <= 2 * radius:
                continue
            for level in levels:
                moved = clock.run(f"{level.before}flow", _followed, level, seen, radius)
                aligned = clock.run(f"{level.before}warp", aligned_of, moved)
                taken = clock.run(f"{level.before}network", taken_from, aligned, level.decomposer, options.device)
            layers = clock.run("quantise", layers_of, moved, taken, info, sight)
        yield layers


def published_ms(source: Path, net: Nlcl, device: str) -> float:
    """Milliseconds of the published network alone on one frame: float32, the whole picture at once."""
    video = open_video(source)
    observed = to_rgb(next(video.frames()).planes, conversion_for(video.info)).clamp_(0, 1)
    watch = Stopwatch()
    with torch.inference_mode():
        moved, placed = observed[None].to(device), net.to(device)
        watch.run("network", lambda: placed(moved).cpu())
    return watch.means_ms()["network"]


def _levels(decomposer: Decomposer, options: DecomposeOptions) -> Iterator[_Level]:
    """The passes of a decomposer, the first one first."""
    passes = [decomposer]
    while (before := passes[0].first) is not None:
        passes.insert(0, before)
    for one, name in zip(passes, (*BEFORE[: len(passes) - 1], ""), strict=True):
        yield _Level(one, aligner_for(one, options.align), name)


def _looked_at(
    frame: Frame, info: VideoInfo, before: list[Judged[Frame]], options: DecomposeOptions, sight: Sight
) -> Judged[Frame]:
    """A frame ready to bear witness, and compared with the one before."""
    picture = picture_of(frame, info, options, sight)
    for other in before:
        step_of(other.picture, picture, options.shots)
    return Judged(frame, picture, picture, Step.NEW, 0)


def _followed(level: _Level, seen: list[Judged[Frame]], center: int) -> Followed[Frame]:
    """The middle one of the frames among its nearest."""
    reach = range(1, level.decomposer.radius + 1)
    near = [seen[center + step] for side in (-1, 1) for step in (side * far for far in reach)]
    pictures = [each.witness for each in near]
    ways = level.aligner.ways(seen[center].picture, pictures, wants_error=level.decomposer.wants_error)
    return Followed(seen[center], near, ways)
