"""Sources whose head says neither how many frames there are nor how long they last: frames are counted instead."""

from fractions import Fraction
from pathlib import Path

import av
import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from tests.pipeline.conftest import Vidrain

FRAMES, RATE = 28, 25  # of full_range.mp4


def silent(source: Path, target: Path, muxer: str) -> Path:
    """`source` as it comes out of a pipe, where a muxer cannot go back to write what it knows at the end."""
    target.write_bytes(ffmpeg_says.quietly("-i", source, "-map", "0", "-c", "copy", "-f", muxer, "-"))
    with av.open(str(target)) as container:
        assert container.streams.video[0].frames == 0
    return target


@pytest.mark.fault(13)
@pytest.mark.parametrize(("suffix", "muxer"), [("mkv", "matroska"), ("ts", "mpegts"), ("nut", "nut")])
def test_frames_are_counted(suffix: str, muxer: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = silent(samples / "full_range.mp4", tmp_path / f"live.{suffix}", muxer)
    target = tmp_path / "out.mp4"
    ran = vidrain("clean", source, "-o", target, "--json")
    assert ran.code == 0, ran.err
    assert [event["total"] for event in ran.events if event["event"] == "progress"][-1] == FRAMES
    due, got = ffmpeg_says.shown_frames(source), ffmpeg_says.shown_frames(target)
    assert got.seconds == due.seconds
    assert len(got.packets) == FRAMES
    pictures = ffmpeg_says.planes(target, "yuv420p", (208, 208))
    assert [read_index(planes[0]) for planes in pictures] == list(range(FRAMES))


@pytest.mark.fault(13)
def test_a_stream_without_any_clock_goes_at_its_nominal_rate(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "bare.h264", "-map", "0:v")
    target = tmp_path / "out.mp4"
    assert vidrain("clean", source, "-o", target).code == 0
    assert ffmpeg_says.shown_frames(target).seconds == [Fraction(number, RATE) for number in range(FRAMES)]
