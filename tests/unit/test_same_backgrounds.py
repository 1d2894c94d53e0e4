"""B before any encoder, in float32 on the CPU: the same for any number of threads, any segments, any order of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import cv2
import pytest
import torch
from torch import Tensor

from tests.backgrounds import Recording
from tests.round_trip import decoded, opened
from vidrain.baseline import BaselineOptions
from vidrain.device import computing_with
from vidrain.job import CleanOptions, Job, plan_job
from vidrain.layer_videos import Coding
from vidrain.model.streaks import shrink_of
from vidrain.report import Tally
from vidrain.segments.fill import Filling
from vidrain.segments.folder import Unfinished
from vidrain.segments.plan import planned
from vidrain.types import Aligned, Decomposer, Sight
from vidrain.video.decode import open_video
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder
from vidrain.weights import load_decomposer

FRAMES = 11
MODELS = {
    "baseline": CleanOptions(end=str(FRAMES), model="baseline"),
    "baseline in two passes": CleanOptions(end=str(FRAMES), model="baseline", baseline=BaselineOptions(passes=2)),
    "gate-s": CleanOptions(end=str(FRAMES), model="gate-s"),
    "gate-l": CleanOptions(end=str(FRAMES), model="gate-l"),
    "gate-b": CleanOptions(end=str(FRAMES), model="gate-b"),
}
IN_ONE = 1000
TIMES = 3  # what a sample is enlarged by, until a gate looks at it reduced
FEW = 5


@dataclass
class Watched:
    """A decomposer, and with how many threads it was really called: by a thread of its own, which may have others."""

    inner: Decomposer
    threads: set[int] = field(default_factory=set)

    @property
    def first(self) -> Decomposer | None:
        return self.inner.first

    @property
    def radius(self) -> int:
        return self.inner.radius

    @property
    def remembers(self) -> bool:
        return self.inner.remembers

    @property
    def sees(self) -> Sight:
        return self.inner.sees

    @property
    def wants_error(self) -> bool:
        return self.inner.wants_error

    def __call__(self, aligned: Aligned) -> Tensor:
        self.threads.add(torch.get_num_threads())
        return self.inner(aligned)


@contextmanager
def threads_of_opencv(threads: int) -> Iterator[None]:
    before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def prepared(source: Path, options: CleanOptions, longest: int, folder: str) -> tuple[Filling, Watched]:
    job: Job = plan_job(open_video(source), Path(folder) / "out.mp4", options)
    work = Unfinished(Path(folder) / "out.mp4")
    model = load_decomposer(job.model, options.weights, options.of_models)
    work.begin({}, total=1, threads=1, fresh=False)
    return Filling(work, 0, job, planned(job.kept, longest), True, say=print, tick=lambda: None), Watched(model)


def digests(source: Path, options: CleanOptions, *, threads: int, longest: int) -> dict[int, str]:
    """Of one run that makes all segments, frame by frame."""
    recording = Recording()
    with TemporaryDirectory() as folder, computing_with(threads), threads_of_opencv(threads):
        filling, model = prepared(source, options, longest, folder)
        with filling.work.held:
            filling.all(as_exports(recording), model, Tally())
    assert model.threads == {threads}
    return recording.seen


def digests_of_tasks(source: Path, options: CleanOptions, *, longest: int, frames: int = FRAMES) -> dict[int, str]:
    """Each segment alone, the last one first, with one thread and with two by turns."""
    recording = Recording()
    for number in reversed(range(len(planned(range(frames), longest)))):
        threads = 1 + number % 2
        with TemporaryDirectory() as folder, computing_with(threads), threads_of_opencv(threads):
            filling, model = prepared(source, options, longest, folder)
            with filling.work.held:
                assert filling.alone(number, as_exports(recording), model)
        assert model.threads == {threads}
    return recording.seen


def as_exports(recording: Recording) -> Mapping[str, Coding]:
    return cast("dict[str, Coding]", {"clean": recording})


@pytest.mark.proves("clean", "segment run")
@pytest.mark.parametrize("model", MODELS)
def test_neither_threads_nor_segments_change_a_background(model: str, samples: Path) -> None:
    source, options = samples / "full_range.mp4", MODELS[model]
    due = digests(source, options, threads=1, longest=IN_ONE)
    assert len(due) == len(set(due.values())) == FRAMES
    assert digests(source, options, threads=2, longest=IN_ONE) == due
    assert digests(source, options, threads=2, longest=4) == due
    assert digests_of_tasks(source, options, longest=5) == due


def enlarged(source: Path, target: Path) -> Path:
    """The first frames of a video, `TIMES` times as large."""
    video = opened(source)
    info = replace(video.info, width=TIMES * video.info.width, height=TIMES * video.info.height)
    with VideoWriter(target, plan_encoder(info, target, EncodeOptions()), info) as writer:
        for frame in decoded(source)[:FEW]:
            large = tuple(plane.repeat(TIMES, 0).repeat(TIMES, 1) for plane in frame.planes)
            writer.write(large, frame.pts, frame.duration)
    return target


def test_nor_do_they_where_a_gate_looks_at_a_smaller_picture(samples: Path, tmp_path: Path) -> None:
    """gate-l: lengths of the pass before, and what the network decides, are of the picture reduced."""
    source = enlarged(samples / "full_range.mp4", tmp_path / "large.mp4")
    info = open_video(source).info
    assert shrink_of((info.height, info.width)) > 1
    options = CleanOptions(model="gate-l")
    due = digests(source, options, threads=1, longest=IN_ONE)
    assert len(due) == len(set(due.values())) == FEW
    assert digests(source, options, threads=2, longest=2) == due
    assert digests_of_tasks(source, options, longest=3, frames=FEW) == due
