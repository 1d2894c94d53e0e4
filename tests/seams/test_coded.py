"""Coded segments: joined they are a video like any other, as other programs read it."""

from __future__ import annotations

import errno
import os
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.painted import read_index
from tests.round_trip import SAMPLES, decoded, opened
from vidrain.errors import OutputError
from vidrain.types import Frame
from vidrain.video.coded import Part, PartWriter, decoding_times
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import CodecName, EncodeOptions, plan_encoder
from vidrain.video.verify import Expected, verify

VFR = SAMPLES / "vfr.mp4"  # uneven times, a start of its own


def coded(target: Path, codec: CodecName, lengths: list[int], folder: Path, **options: str) -> Expected:
    """The first frames of a sample in segments of these lengths, joined."""
    info, frames = opened(VFR).info, iter(decoded(VFR))
    plan = plan_encoder(info, target, EncodeOptions(codec=codec, options=options))
    due: list[int] = []
    with VideoWriter(target, plan, info) as writer:
        parts = [
            part_of([next(frames) for _ in range(length)], folder / f"{number}", writer, target, due)
            for number, length in enumerate(lengths)
        ]
        writer.append(parts)
    return Expected(plan.read_back(info), plan.pix_fmt, plan.container, due, {})


def part_of(frames: list[Frame], path: Path, writer: VideoWriter, target: Path, due: list[int]) -> Part:
    with PartWriter(path, writer._plan, writer._info, head=writer.head, target=target) as part:
        for frame in frames:
            part.write(frame.planes, frame.pts, frame.duration)
            due.append(frame.pts)
        return part.finish()


@pytest.mark.proves("clean")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
def test_segments_of_any_length_are_one_video(codec: CodecName, suffix: str, tmp_path: Path) -> None:
    """A single frame, two, none, as many as make B-frames: each frame at its time, in its place, decoded by FFmpeg."""
    target = tmp_path / f"out{suffix}"
    lengths = [1, 1, 2, 0, 3, 12, 1]
    expected = coded(target, codec, lengths, tmp_path)
    assert verify(target, expected).pts_equal == (suffix == ".mp4")
    shown = ffmpeg_says.planes(target, "yuv420p", (expected.info.width, expected.info.height))
    assert [read_index(planes[0]) for planes in shown] == list(range(20))
    keys = opened_keys(target)
    starts = np.cumsum([0, *(length for length in lengths if length)])[:-1]
    assert set(starts) <= set(keys), "every segment begins with a frame that stands alone"


def opened_keys(target: Path) -> list[int]:
    index = opened(target).index
    return np.searchsorted(index.pts, index.keys).tolist()


def test_the_same_segments_give_the_same_bytes(tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (folder := tmp_path / name).mkdir()
        coded(folder / "out.mp4", "h264", [5, 5, 5], folder)
        made.append((folder / "out.mp4").read_bytes())
    assert made[0] == made[1]


@pytest.mark.proves("clean")
def test_what_is_described_in_another_way_is_not_joined(tmp_path: Path) -> None:
    info, target = opened(VFR).info, tmp_path / "out.mp4"
    plan = plan_encoder(info, target, EncodeOptions())
    other = plan_encoder(info, target, EncodeOptions(options={"profile": "main"}))
    frame = decoded(VFR)[0]
    with (
        VideoWriter(target, plan, info) as writer,
        PartWriter(tmp_path / "0", other, info, head=writer.head, target=target) as part,
        pytest.raises(OutputError, match="libx264 describes two segments differently"),
    ):
        part.write(frame.planes, frame.pts, frame.duration)


@pytest.mark.fault(27)
def test_a_file_that_changed_is_told(tmp_path: Path) -> None:
    coded(tmp_path / "out.mp4", "ffv1", [4], tmp_path)
    with VideoWriter(
        tmp_path / "b.mp4", plan_encoder(opened(VFR).info, tmp_path / "b.mp4", EncodeOptions()), opened(VFR).info
    ) as writer:
        part = part_of(list(decoded(VFR)[:4]), tmp_path / "p", writer, tmp_path / "b.mp4", [])
        writer.append([part])
    whole = part.path.read_bytes()
    assert part.is_whole
    assert len(list(part.frames())) == 4
    for spoilt in (whole[:-1], whole[:10], b"", whole[:-1] + b"\0", b"\1" + whole[1:]):
        part.path.write_bytes(spoilt)
        assert not part.is_whole
        with pytest.raises(OutputError, match="is not what was written there"):
            list(part.frames())
    part.path.unlink()
    assert not part.is_whole
    with pytest.raises(OutputError, match=os.strerror(errno.ENOENT)):
        list(part.frames())


@st.composite
def orders(draw: st.DrawFn) -> list[int]:
    """Times in an order of decoding, as segments of B-frames give it."""
    times = sorted(draw(st.sets(st.integers(-1000, 10_000), max_size=30)))
    found: list[int] = []
    while times:
        some, times = times[: (length := draw(st.integers(1, 5)))], times[length:]
        found += [some[-1], *draw(st.permutations(some[:-1]))]
    return found


@given(orders())
def test_no_frame_is_decoded_too_late(pts: list[int]) -> None:
    found = decoding_times(pts)
    assert len(found) == len(pts)
    assert all(a < b for a, b in pairwise(found))
    assert all(dts <= shown for dts, shown in zip(found, pts, strict=True))
    shown = sorted(pts)
    delay = next(
        (d for d in range(len(pts)) if all(shown[k - d] <= pts[k] for k in range(d, len(pts)))), 0
    )  # by trying
    assert found[delay:] == shown[: len(shown) - delay]
    assert [found[0] + shown[k] - shown[0] for k in range(delay)] == found[:delay]
