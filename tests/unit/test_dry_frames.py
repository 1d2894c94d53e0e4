"""A clip that is half dry: its dry half stays as it is, bit by bit, its rainy half is cleaned as ever."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from tests.unit.test_decompose import SAMPLES, decoded, opened, same, same_planes
from vidrain import clean
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.config import load_methods
from vidrain.decompose import DecomposeOptions, context_of, decompose, memory_of
from vidrain.events import Event, FileDone
from vidrain.job import CleanOptions
from vidrain.meter import MeterOptions
from vidrain.types import Decomposer, Frame, Layers, VideoInfo
from vidrain.video.decode import open_video

ON, OFF = DecomposeOptions(), DecomposeOptions(meter=MeterOptions(dry=None))
HALF = 22  # frames of each
SEAM = 2  # dry frames before the rain whose windows see it
FIRST = 6  # before which nobody knows
SURE = 8  # by then: of the five or six dry frames that are known at 6 and 7, texture passes for a drizzle


@cache
def half_dry() -> tuple[VideoInfo, tuple[Frame, ...]]:
    """Frames of a street without rain, and those that follow with rain."""
    dry, wet = (decoded(SAMPLES / name) for name in ("street_clean.mp4", "street.mp4"))
    return opened(SAMPLES / "street.mp4").info, (*dry[:HALF], *wet[HALF:])


def model(name: str) -> Decomposer:
    found = load_methods([name])[0].decomposer()
    assert found is not None
    return found


@cache
def run(name: str, options: DecomposeOptions = ON) -> list[Layers]:
    info, frames = half_dry()
    return list(decompose(frames, info, model(name), options=options))


def is_alike(item: Layers) -> bool:
    return all(np.array_equal(o, b) for o, b in zip(item.frame.planes, item.background, strict=True))


def check(left: Sequence[Layers], plain: Sequence[Layers], far: int) -> None:
    """far: frames around the seam that see what became of dry ones."""
    dry = [item.is_dry for item in left]
    assert all(dry[SURE : HALF - SEAM])
    assert not any(dry[HALF:])
    assert all(is_alike(item) for item in left if item.is_dry)
    assert not any(is_alike(item) for item in plain[SURE : HALF - SEAM])  # else there was nothing to leave
    assert same(left[: FIRST - far], plain[: FIRST - far])
    assert same(left[HALF + far :], plain[HALF + far :])


@pytest.mark.proves("clean KEY=VALUE")
def test_the_dry_half_stays_and_the_rainy_half_is_cleaned() -> None:
    check(run("baseline"), run("baseline", OFF), 0)


@pytest.mark.parametrize("name", ["gate-m", "baseline baseline.passes=2"])
def test_so_it_is_with_every_kind_of_model(name: str) -> None:
    """Behind a first pass a dry frame bears witness as it was filmed, which changes what it says by a little."""
    check(run(name), run(name, OFF), SEAM if "passes" in name else 0)


@pytest.mark.parametrize("name", ["baseline", "baseline baseline.passes=2"])
@pytest.mark.parametrize("wanted", [range(6, 9), range(18, 26), range(30, 33)])
def test_a_part_is_left_alone_as_the_whole_is(name: str, wanted: range) -> None:
    info, frames = half_dry()
    decomposer = model(name)
    reach, memory = context_of(decomposer), memory_of(decomposer, ON)
    context = frames[max(wanted.start - reach - memory, 0) : wanted.stop + reach]
    found = list(decompose(context, info, decomposer, wanted=wanted))
    due = run(name)[wanted.start : wanted.stop]
    assert same(found, due)
    assert [item.is_dry for item in found] == [item.is_dry for item in due]


def test_the_frames_before_count() -> None:
    """Else the test above would prove nothing."""
    info, frames = half_dry()
    wanted, reach = range(12, 14), context_of(model("baseline"))
    found = list(decompose(frames[12 - reach : 14 + reach], info, model("baseline"), wanted=wanted))
    assert not same(found, run("baseline")[12:14])


def test_it_is_told_how_many_frames_are_left_alone(tmp_path: Path) -> None:
    """By the report of a run in segments, and by the frames of a lossless file themselves."""
    source, made = SAMPLES / "street_clean.mp4", tmp_path / "out.mp4"
    told: list[Event] = []
    report = clean(source, made, options=CleanOptions(preset="fast", archive=True), on_event=told.append)
    pairs = zip(open_video(source).frames(), open_video(made).frames(), strict=True)
    alike = sum(same_planes(before.planes, after.planes) for before, after in pairs)
    assert report.frames_dry == alike > 30
    assert isinstance(told[-1], FileDone)
    assert told[-1].frames_dry == alike


def test_windows_of_frames_alone_leave_nothing() -> None:
    info, frames = half_dry()
    stills = [replace(frame, index=number) for number, frame in enumerate(frames[:2])]
    assert not any(item.is_dry for item in decompose(stills, info, model("baseline")))


def test_two_neighbours_do_not_tell() -> None:
    """Where it rains densely, one of three pictures is without rain as often as with it."""
    info, frames = half_dry()
    assert not any(item.is_dry for item in decompose(frames, info, Baseline(BaselineOptions(radius=1))))
