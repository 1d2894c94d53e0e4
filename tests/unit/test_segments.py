"""Segments: which there are, and that what is made of them is what one run over the whole video makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.backgrounds import Recording
from tests.round_trip import SAMPLES
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.job import CleanOptions, plan_job
from vidrain.layer_videos import VideoExport
from vidrain.report import Tally
from vidrain.segments.fill import Filling
from vidrain.segments.folder import Unfinished
from vidrain.segments.plan import Segment, cut, planned, runs
from vidrain.video.decode import open_video

BOUNDS = st.integers(0, 300), st.integers(1, 300), st.integers(1, 130)


@given(*BOUNDS)
def test_segments_are_all_frames_once(start: int, count: int, longest: int) -> None:
    segments = planned(range(start, start + count), longest)
    assert [index for segment in segments for index in segment.frames] == list(range(start, start + count))
    assert [segment.number for segment in segments] == list(range(len(segments)))
    assert all(0 < len(segment.frames) <= longest for segment in segments)
    assert all(len(segment.frames) == longest for segment in segments[:-1])


@given(st.integers(1, 12), st.sets(st.integers(0, 12)))
def test_runs_are_what_is_not_done(count: int, done: set[int]) -> None:
    segments = planned(range(count), 1)
    found = list(runs(segments, done))
    assert [segment.number for run in found for segment in run] == [n for n in range(count) if n not in done]
    for run in found:
        assert all(b.number == a.number + 1 for a, b in pairwise(run))
    assert all(a[-1].number + 1 < b[0].number for a, b in pairwise(found))


@given(st.lists(st.integers(0, 39)), st.integers(1, 50))
def test_items_fall_into_their_segments(items: list[int], longest: int) -> None:
    """Frames may be missing, come twice, and a segment may have none."""
    items = sorted(items)
    segments = planned(range(40), longest)
    found = [(segment, list(inside)) for segment, inside in cut(items, segments, lambda item: item)]
    assert [segment for segment, _ in found] == list(segments)
    assert [inside for _, inside in found] == [[i for i in items if i in segment.frames] for segment in segments]


def backgrounds(
    name: str, segments: Sequence[Segment], *, passes: int = 1, done: frozenset[int] = frozenset()
) -> dict[int, str]:
    """Frame -> digest of its background; of those segments that are not `done`, which another run has made before."""
    with TemporaryDirectory() as folder:
        source = SAMPLES / name
        options = CleanOptions(baseline=BaselineOptions(passes=passes))
        recording, work = Recording(), Unfinished(Path(folder) / "out.mp4")
        work.begin({}, total=1, threads=1, fresh=False)
        decomposer = Baseline(options.baseline)
        for number in sorted(done):  # by a run of its own each
            job = plan_job(open_video(source), Path(folder) / "out.mp4", options)
            only = Filling(work, 0, job, segments, True, say=print, tick=lambda: None)
            only.segments = segments[number : number + 1]
            run = only._run(only.segments, cast("dict[str, VideoExport]", {"clean": Recording()}), decomposer, Tally())
            for segment, made in run:
                only._put_down(segment, made)
        job = plan_job(open_video(source), Path(folder) / "out.mp4", options)
        filling = Filling(work, 0, job, segments, True, say=print, tick=lambda: None)
        parts = filling.all(cast("dict[str, VideoExport]", {"clean": recording}), decomposer, Tally())
        assert [pts for part in parts["clean"] for pts in part.pts] == job.video.index.pts.tolist()
        work.close(keep=False)
        work.held.close()
    return recording.seen


@cache
def in_one_go(name: str, passes: int = 1) -> dict[int, str]:
    frames = len(open_video(SAMPLES / name).index.pts)
    return backgrounds(name, planned(range(frames), 1000), passes=passes)


NAMES = ("vfr.mp4", "cut.mkv", "rotated.mp4", "tenbit.mp4")


@pytest.mark.fault(25)
@pytest.mark.proves("clean")
@pytest.mark.parametrize(("longest", "passes"), [(7, 1), (30, 1), (30, 2), (120, 1)])
def test_backgrounds_do_not_depend_on_segments(longest: int, passes: int) -> None:
    """Every second segment was made by another run: what a frame is made of never reaches farther than its context."""
    name = "cut.mkv"
    segments = planned(range(36), longest)
    due = in_one_go(name, passes)
    found = backgrounds(name, segments, passes=passes, done=frozenset(range(0, len(segments) - 1, 2)))
    assert found == {frame: due[frame] for frame in found}
    missing = [segment for segment in segments if segment.number % 2 or segment is segments[-1]]
    assert sorted(found) == [frame for segment in missing for frame in segment.frames]


@st.composite
def interrupted(draw: st.DrawFn) -> tuple[str, int, frozenset[int]]:
    name, longest = draw(st.sampled_from(NAMES)), draw(st.integers(2, 20))
    count = len(planned(range(len(in_one_go(name))), longest))
    return name, longest, frozenset({draw(st.integers(0, count - 1))})


@pytest.mark.fault(25)
@settings(max_examples=5)
@given(interrupted())
def test_a_run_goes_on_with_the_backgrounds_of_one_that_was_not_stopped(
    case: tuple[str, int, frozenset[int]],
) -> None:
    name, longest, done = case
    due = in_one_go(name)
    segments = planned(range(len(due)), longest)
    found = backgrounds(name, segments, done=done)
    assert found == {frame: due[frame] for frame in found}


def test_segments_are_needed_in_full() -> None:
    """A list of items that is left in the middle would lose what is left of it."""
    groups: Iterator[tuple[Segment, Iterator[int]]] = cut([0, 1, 2, 3], planned(range(4), 2), lambda item: item)
    assert [list(inside) for _, inside in groups] == [[0, 1], [2, 3]]
