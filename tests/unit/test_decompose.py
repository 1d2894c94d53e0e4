"""The straight line from frames to layers: what a decomposer gets to see, and that a part equals the whole."""

import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.round_trip import NAMES, SAMPLES, decoded, opened
from vidrain.align import Aligner, AlignOptions, Picture, aligned_along, guide_of
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import (
    DecomposeOptions,
    aligner_after,
    aligner_for,
    context_of,
    decompose,
    follow,
    memory_of,
    reach_of,
)
from vidrain.fixed import fixed, floats
from vidrain.flow import FlowPreset
from vidrain.marks import MarkOptions
from vidrain.meter import MeterOptions
from vidrain.separate import separated
from vidrain.sparing import RECENT
from vidrain.types import Aligned, Decomposer, Frame, Layers, Planes, Sight, VideoInfo
from vidrain.video.color import conversion_for, to_fixed
from vidrain.watchdog import Watchdog

PLAIN = DecomposeOptions()
WIDTH, HEIGHT = 128, 96  # what is cut out of a sample: enough to move, quick to compute
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Recorder:
    """Takes `amount` off every pixel and remembers what it was shown."""

    radius: int
    amount: float = 0.0
    first: Decomposer | None = None
    remembers: bool = False
    sees: Sight = "luma"
    wants_error: bool = True
    shown: list[Aligned] = field(default_factory=list)

    def __call__(self, aligned: Aligned) -> Tensor:
        self.shown.append(aligned)
        return torch.full(aligned.observed.shape, self.amount)

    @property
    def witnesses(self) -> list[int]:
        """Number of neighbours of each frame."""
        return [len(aligned.witnesses) for aligned in self.shown]


@cache
def small(name: str) -> tuple[VideoInfo, tuple[Frame, ...]]:
    """The middle of every frame of a sample in 4:2:0."""
    info = opened(SAMPLES / name).info
    top, left = (info.height - HEIGHT) // 4 * 2, (info.width - WIDTH) // 4 * 2
    frames = tuple(
        replace(
            frame,
            planes=tuple(
                plane[top // part : (top + HEIGHT) // part, left // part : (left + WIDTH) // part]
                for plane, part in zip(frame.planes, (1, 2, 2), strict=True)
            ),
        )
        for frame in decoded(SAMPLES / name)
    )
    return replace(info, width=WIDTH, height=HEIGHT), frames


def run(
    frames: Iterable[Frame], info: VideoInfo, decomposer: Decomposer | None = None, wanted: range | None = None
) -> list[Layers]:
    return list(decompose(frames, info, decomposer or Baseline(BaselineOptions()), wanted=wanted))


@cache
def whole(name: str) -> tuple[Layers, ...]:
    info, frames = small(name)
    return tuple(run(frames, info))


def same(found: Iterable[Layers], due: Iterable[Layers]) -> bool:
    return all(
        a.frame.pts == b.frame.pts and same_planes(a.background, b.background)
        for a, b in itertools.zip_longest(found, due)
    )


def same_planes(found: Planes, due: Planes) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(found, due, strict=True))


def numbered(frames: Iterable[Frame]) -> list[Frame]:
    """The frames as if they were a video of their own."""
    return [replace(frame, index=index, pts=index) for index, frame in enumerate(frames)]


def test_rain_is_taken_out_and_nothing_is_lost() -> None:
    layers = whole("vfr.mp4")
    assert [item.frame.index for item in layers] == list(range(36))
    assert sum(int((item.rain[0] > 0).sum()) for item in layers) > 0
    for item in layers:
        for o, b, r in zip(item.frame.planes, item.background, item.rain, strict=True):
            np.testing.assert_array_equal(b.astype(np.int32) + r, o)


@settings(max_examples=15)
@given(st.integers(0, 35), st.integers(1, 12), st.integers(0, 5))
def test_range_equals_the_whole(start: int, length: int, spare: int) -> None:
    """With `reach_of(radius)` frames of context, or more, a part of a video gives the layers of the whole."""
    info, frames = small("vfr.mp4")
    wanted = range(start, min(start + length, 36))
    reach, memory = (
        reach_of(BaselineOptions().radius) + spare,
        memory_of(Baseline(BaselineOptions()), DecomposeOptions()),
    )
    context = frames[max(wanted.start - reach - memory, 0) : wanted.stop + reach]
    assert same(run(context, info, wanted=wanted), whole("vfr.mp4")[wanted.start : wanted.stop])


def test_context_matters() -> None:
    """Else the test above would prove nothing."""
    info, frames = small("vfr.mp4")
    assert not same(run(frames[10:14], info), whole("vfr.mp4")[10:14])


TWICE = BaselineOptions(passes=2)


@pytest.mark.parametrize("wanted", [range(3), range(15, 18), range(33, 36)])
def test_range_equals_the_whole_in_two_passes(wanted: range) -> None:
    info, frames = small("vfr.mp4")
    reach = context_of(Baseline(TWICE))
    assert reach == 2 * reach_of(TWICE.radius)
    context = frames[max(wanted.start - reach - memory_of(Baseline(TWICE), PLAIN), 0) : wanted.stop + reach]
    due = run(frames, info, Baseline(TWICE))[wanted.start : wanted.stop]
    assert same(run(context, info, Baseline(TWICE), wanted), due)
    assert not same(due, whole("vfr.mp4")[wanted.start : wanted.stop])


@pytest.mark.parametrize(("asked", "due"), [(None, "fine"), ("medium", "medium")])
def test_motion_is_followed_finely_once_the_rain_is_gone(asked: FlowPreset | None, due: FlowPreset) -> None:
    options = AlignOptions(preset=asked, scale=0.4)
    behind = Recorder(radius=1, first=Baseline(BaselineOptions()))
    assert aligner_for(behind, options).options == replace(options, preset=due)
    assert aligner_after(behind.first, options).options == replace(options, preset=due)


@pytest.mark.parametrize("asked", [None, "medium"])
def test_motion_is_followed_quickly_for_who_does_not_ask_how_well(asked: FlowPreset | None) -> None:
    options = AlignOptions(preset=asked)
    for decomposer, due in ((Baseline(BaselineOptions()), "quick"), (Recorder(radius=1), "fast")):
        assert aligner_for(decomposer, options).options.preset == (asked or due)
    assert aligner_after(None, options).options.preset == (asked or "fast")


def test_the_second_pass_by_hand() -> None:
    """Every frame dried alone, then each compared with the others: motion and witnesses are those of dried frames."""
    info, frames = small("vfr.mp4")
    frames, conversion, options = frames[:7], conversion_for(info), AlignOptions()
    observed = [to_fixed(frame.planes, conversion) for frame in frames]

    def seen(center: int, pictures: list[Tensor], guides: list[Tensor], preset: FlowPreset) -> Aligned:
        items = [
            Picture(i, luma, guide_of(guide, options))
            for i, (luma, guide) in enumerate(zip(pictures, guides, strict=True))
        ]
        around = [i for i in (center - 1, center - 2, center + 1, center + 2) if 0 <= i < len(items)]
        at, others = Picture(center, observed[center], items[center].guide), [items[i] for i in around]
        ways = Aligner(replace(options, preset=preset)).ways(at, others, wants_error=preset != "quick")
        return aligned_along(ways, at, others)

    baseline = Baseline(BaselineOptions())
    left = [fixed(floats(luma) - baseline(seen(i, observed, observed, "quick"))) for i, luma in enumerate(observed)]
    recorder = Recorder(radius=2, first=baseline)
    run(frames, info, recorder)
    for center, found in enumerate(recorder.shown):
        due = seen(center, left, left, "fine")
        assert torch.equal(found.observed, due.observed)
        assert torch.equal(found.witnesses, due.witnesses)
        assert torch.equal(found.error, due.error)


def test_what_a_first_pass_fails_on_bears_witness_as_it_is() -> None:
    info, frames = small("vfr.mp4")
    plain, failed = Recorder(radius=2), Recorder(radius=2, first=Recorder(radius=0, amount=float("nan")))
    options = DecomposeOptions(align=AlignOptions(preset="fast"))
    for recorder in (plain, failed):
        list(decompose(frames[:6], info, recorder, options=options))
    for found, due in zip(failed.shown, plain.shown, strict=True):
        assert torch.equal(found.witnesses, due.witnesses)


def test_three_passes_are_three() -> None:
    last = Recorder(radius=0, amount=0.1)
    middle = Recorder(radius=0, amount=0.1, first=last)
    recorder = Recorder(radius=1, first=middle)
    info, frames = small("vfr.mp4")
    run(frames[:4], info, recorder)
    assert [len(each.shown) for each in (last, middle, recorder)] == [4, 4, 4]


@pytest.mark.parametrize(("frames", "witnesses"), [(1, [0]), (2, [1, 1]), (3, [2, 2, 2]), (4, [2, 3, 3, 2])])
def test_shortest_videos(frames: int, witnesses: list[int]) -> None:
    info, every = small("vfr.mp4")
    recorder = Recorder(radius=2)
    assert len(run(every[:frames], info, recorder)) == frames
    assert recorder.witnesses == witnesses
    if frames == 1:
        (alone,) = run(every[:1], info)
        assert same_planes(alone.background, alone.frame.planes)


def test_no_frames_no_layers() -> None:
    assert run([], small("vfr.mp4")[0]) == []


def test_no_witness_comes_from_beyond_a_cut() -> None:
    """Cut before frame 18: both halves are taken apart as if the other one were not there."""
    info, frames = small("cut.mkv")
    recorder = Recorder(radius=2)
    run(frames, info, recorder)
    assert recorder.witnesses == [2, 3, *[4] * 14, 3, 2, 2, 3, *[4] * 14, 3, 2]
    assert same(whole("cut.mkv")[:18], run(frames[:18], info))
    assert same(whole("cut.mkv")[18:], run(frames[18:], info))


def test_no_pass_looks_beyond_a_cut() -> None:
    info, frames = small("cut.mkv")
    part, every = run(frames[14:18], info, Baseline(TWICE)), run(frames[14:22], info, Baseline(TWICE))
    assert same(part, every[:4])


def test_a_first_pass_hands_on_no_flow_that_nobody_asks_for() -> None:
    info, frames = small("cut.mkv")
    handed: dict[str, list[tuple[int, int]]] = {}

    def looked_at(items: Iterator[Any], name: str) -> Iterator[Any]:
        for item in items:
            if name in ("witness", "follow"):
                handed.setdefault(name, []).append((len(item[0].witnesses), len(item[0].ways)))
            yield item

    found = list(decompose(frames[:12], info, Baseline(TWICE), options=PLAIN, apart=looked_at))
    assert same(found, run(frames[:12], info, Baseline(TWICE)))
    assert handed["witness"] == [(0, 0)] * 12
    assert handed["follow"][5] == (2 * TWICE.radius, 2 * TWICE.radius)


def test_decomposers_are_told_the_shot() -> None:
    info, frames = small("cut.mkv")
    recorder = Recorder(radius=0)
    run(frames, info, recorder)
    assert [aligned.shot for aligned in recorder.shown] == [0] * 18 + [1] * 18
    late = Recorder(radius=0)
    run(frames, info, late, wanted=range(17, 20))
    assert [aligned.shot for aligned in late.shown] == [0, 1, 1]


def test_repeated_frames_bear_witness_once() -> None:
    """Every frame twice: each has the same neighbours as when it stands once."""
    info, frames = small("vfr.mp4")
    once = numbered(frames[:12])
    twice = numbered(itertools.chain.from_iterable((frame, frame) for frame in frames[:12]))
    recorder = Recorder(radius=2)
    run(twice, info, recorder)
    assert recorder.witnesses[4:-4] == [4] * 16
    single, doubled = run(once, info), run(twice, info)
    for place in range(2, 10):
        for copy in doubled[2 * place : 2 * place + 2]:
            assert same_planes(copy.background, single[place].background)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_removed_leaves_every_sample_bit_for_bit(name: str) -> None:
    info = opened(SAMPLES / name).info
    for layers in decompose(decoded(SAMPLES / name), info, Recorder(radius=0)):
        assert same_planes(layers.background, layers.frame.planes)
        assert not any(plane.any() for plane in layers.rain)
        assert [plane.dtype for plane in layers.background] == [plane.dtype for plane in layers.frame.planes]


@pytest.mark.parametrize("passes", [1, 2])
def test_frames_are_read_as_they_are_needed(passes: int) -> None:
    """One window of each pass at a time: a video of any length fits into memory."""
    info, frames = small("vfr.mp4")
    read: list[int] = []

    def reading() -> Iterator[Frame]:
        for frame in frames:
            read.append(frame.index)
            yield frame

    recorder = Recorder(radius=1, first=Recorder(radius=1) if passes == 2 else None)
    for layers in decompose(reading(), info, recorder):
        assert read[-1] <= layers.frame.index + context_of(recorder) + passes


def test_consumers_are_not_left_in_inference_mode() -> None:
    info, frames = small("vfr.mp4")
    for _ in decompose(frames[:2], info, Recorder(radius=0)):
        assert not torch.is_inference_mode_enabled()


def fingerprint(layers: Iterable[Layers]) -> str:
    digest = hashlib.sha256()
    for item in layers:
        for plane in (*item.frame.planes, *item.background):
            digest.update(np.ascontiguousarray(plane).tobytes())
    return digest.hexdigest()


def in_threads(path: Path, frames: int) -> str:
    """Fingerprint of the first layers of a video, decoded and computed as a job does it."""
    baseline, options, watchdog = Baseline(BaselineOptions()), DecomposeOptions(), Watchdog(path, patience_s=60.0)
    with separated(opened(path), range(frames), baseline, options=options, watchdog=watchdog) as layers:
        return fingerprint(layers)


def test_same_input_same_layers_every_time() -> None:
    assert len({in_threads(SAMPLES / "vfr.mp4", 6) for _ in range(20)}) == 1


def test_layers_do_not_depend_on_what_memory_held_before() -> None:
    """The C library fills fresh memory with a pattern: what is read before it is written would show."""
    code = (
        "from tests.unit.test_decompose import in_threads, SAMPLES; "
        "print(*(in_threads(SAMPLES / name, 4) for name in ('vfr.mp4', 'odd.mp4', 'tenbit.mp4')))"
    )
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "MALLOC_PERTURB_": pattern, "OMP_WAIT_POLICY": "PASSIVE"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for pattern in ("85", "254")
    ]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert len(set(said)) == 1
    assert len(set(said[0].split())) == 3


@pytest.mark.parametrize(
    ("meter", "marks", "followed"),
    [
        (MeterOptions(dry=None), MarkOptions(), 1),
        (MeterOptions(), MarkOptions(), 1 + RECENT),
        (MeterOptions(dry=None), MarkOptions(moved=10), 1 + RECENT),
    ],
)
def test_frames_before_are_followed_for_what_asks_for_them(
    meter: MeterOptions, marks: MarkOptions, followed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    centers: list[int] = []

    def counted(window: Any, decomposer: Decomposer, aligner: Aligner) -> Any:
        centers.append(window.center.picture.index)
        return follow(window, decomposer, aligner)

    monkeypatch.setattr("vidrain.decompose.follow", counted)
    info, frames = small("street.mp4")
    options = DecomposeOptions(meter=meter, marks=marks)
    list(decompose(frames, info, Baseline(BaselineOptions()), options=options, wanted=range(20, 21)))
    assert centers == list(range(21 - followed, 21))
