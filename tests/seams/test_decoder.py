"""Decoding against FFmpeg's own program: every frame, its planes and its time, in whole and in damaged files."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from vidrain.types import Frame
from vidrain.video.decode import Video, open_video
from vidrain.video.index import probe

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.m[pk]*") if path.suffix != ".md")
PAINTED = [name for name in NAMES if not name.startswith("street")]


@cache
def opened(name: str) -> Video:
    return open_video(SAMPLES / name)


@cache
def decoded(name: str) -> list[Frame]:
    return list(opened(name).frames())


def same_planes(frames: list[Frame], due: list[tuple[npt.NDArray[Any], ...]]) -> None:
    assert len(frames) == len(due)
    for frame, planes in zip(frames, due, strict=True):
        for got, want in zip(frame.planes, planes, strict=True):
            np.testing.assert_array_equal(got, want)


def stored_as(video: Video) -> str:
    return video.info.layout.name


def due_planes(path: Path, video: Video) -> list[tuple[npt.NDArray[Any], ...]]:
    return ffmpeg_says.planes(path, stored_as(video), (video.info.width, video.info.height))


def open_groups(target: Path, codec: str = "libx264") -> Path:
    """Nine groups of pictures, open ones: leading pictures are shown before their key frame."""
    settings = {
        "libx264": ("-x264-params", "keyint=4:min-keyint=4:open-gop=1:bframes=3:scenecut=0"),
        "libx265": ("-x265-params", "keyint=4:min-keyint=4:open-gop=1:bframes=3:scenecut=0:log-level=none"),
        "mpeg2video": ("-g", "4", "-bf", "2", "-q:v", "3"),
    }
    ffmpeg_says.quietly(
        *("-i", SAMPLES / "cut.mkv", "-map", "0:v", "-fps_mode", "passthrough"),
        *("-c:v", codec, *settings[codec], target),
    )
    return target


@pytest.mark.parametrize("name", NAMES)
class TestEverySample:
    def test_frames_and_times_are_those_of_ffmpeg(self, name: str) -> None:
        video, frames = opened(name), decoded(name)
        track = ffmpeg_says.shown_frames(SAMPLES / name)
        assert video.info.time_base == track.time_base
        assert [frame.pts for frame in frames] == track.pts == video.index.pts.tolist()
        assert video.index.count == len(frames)
        assert [frame.index for frame in frames] == list(range(len(frames)))
        assert video.index.orderly
        assert video.index.hidden == 0

    def test_planes_are_those_of_ffmpeg(self, name: str) -> None:
        video, frames = opened(name), decoded(name)
        same_planes(frames, due_planes(SAMPLES / name, video))
        shapes = video.info.layout.plane_shapes(video.info.width, video.info.height)
        assert tuple(plane.shape for plane in frames[0].planes) == shapes
        assert all(plane.dtype == video.info.layout.dtype for frame in frames for plane in frame.planes)

    def test_nothing_is_marked_lost_or_moved(self, name: str) -> None:
        decoded(name)
        seen = opened(name).decoded
        assert seen.frames.all()
        assert (seen.moved_times, seen.damaged_packets) == (0, 0)

    def test_a_later_start_gives_the_same_frames(self, name: str) -> None:
        frames = decoded(name)
        for first in (1, len(frames) // 2, len(frames) - 1, len(frames), len(frames) + 5):
            tail = list(opened(name).frames(first))
            assert [(frame.index, frame.pts) for frame in tail] == [
                (frame.index, frame.pts) for frame in frames[first:]
            ]
            same_planes(tail[:1], [frame.planes for frame in frames[first : first + 1]])

    def test_durations_lead_from_frame_to_frame(self, name: str) -> None:
        """VFR with B-frames states decoding steps, so only constant rates can be compared."""
        if name != "vfr.mp4":
            steps = {after.pts - before.pts for before, after in itertools.pairwise(decoded(name))}
            assert {frame.duration for frame in decoded(name)} == steps


@pytest.mark.parametrize("name", PAINTED)
def test_painted_indices_come_in_order(name: str) -> None:
    depth = opened(name).info.layout.depth
    painted = [read_index(frame.planes[0], depth=depth) for frame in decoded(name)]
    assert painted == [frame.index for frame in decoded(name)]


def test_facts_are_those_of_the_samples() -> None:
    vfr, rotated, odd = (opened(name).info for name in ("vfr.mp4", "rotated.mp4", "odd.mp4"))
    tenbit, full = opened("tenbit.mp4").info, opened("full_range.mp4").info
    assert (vfr.codec, vfr.width, vfr.height, vfr.time_base) == ("h264", 256, 160, Fraction(1, 90_000))
    assert rotated.display_matrix == (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    assert vfr.display_matrix is None
    assert (odd.codec, odd.width, odd.height) == ("ffv1", 131, 97)
    assert (tenbit.codec, tenbit.layout.name) == ("hevc", "yuv420p10le")
    assert (full.pix_fmt, full.layout.name, full.color.range, full.color.matrix) == ("yuvj420p", "yuv420p", 2, 5)
    assert (vfr.color.range, vfr.color.matrix, vfr.interlaced) == (1, 1, False)


@pytest.mark.parametrize(
    "pix_fmt",
    [
        *("yuv422p", "yuv440p", "yuv444p", "gray", "gbrp", "yuv422p10le", "yuv444p12le", "gray10le", "gbrp10le"),
        *("nv12", "uyvy422", "rgb24", "bgr0"),
    ],
)
def test_every_family_is_read_as_it_is_stored(pix_fmt: str, tmp_path: Path) -> None:
    """Also what is stored in another order than planes: the values are the same."""
    target = tmp_path / "made.nut"
    size = "130x96" if pix_fmt in ("nv12", "uyvy422") else "131x97"
    codec = "rawvideo" if pix_fmt in ("uyvy422", "rgb24", "bgr0", "nv12") else "ffv1"
    if pix_fmt == "gbrp":
        codec = "libx264rgb"
    noise = f"testsrc2=s={size}:r=25,noise=alls=40:allf=t"
    extra = ["-qp", "0"] if codec == "libx264rgb" else []
    ffmpeg_says.quietly(
        *("-f", "lavfi", "-i", noise, "-frames:v", "2", "-pix_fmt", pix_fmt, "-c:v", codec, *extra, target)
    )
    video = open_video(target)
    layout = video.info.layout
    planar = {"nv12": "yuv420p", "uyvy422": "yuv422p", "rgb24": "gbrp", "bgr0": "gbrp"}
    assert layout.name == planar.get(pix_fmt, pix_fmt)
    raw = ffmpeg_says.quietly("-i", target, "-pix_fmt", layout.name, "-f", "rawvideo", "-")
    stacked = b"".join(np.ascontiguousarray(plane).tobytes() for frame in video.frames() for plane in frame.planes)
    assert stacked == raw


def test_frames_can_be_kept_and_read_twice() -> None:
    """Planes are views of FFmpeg's memory, which must not be used again while a frame is held."""
    again = list(opened("vfr.mp4").frames())
    same_planes(again, [frame.planes for frame in decoded("vfr.mp4")])


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("mp4", "libx265"), ("ts", "mpeg2video")],
)
def test_seeking_is_exact_in_open_groups(suffix: str, codec: str, tmp_path: Path) -> None:
    """Each container seeks in its own way; a transport stream has no index at all."""
    source = open_groups(tmp_path / f"open.{suffix}", codec)
    video = open_video(source)
    whole = list(video.frames())
    assert len(whole) > 30
    assert len(video.index.keys) >= 4
    assert [frame.pts for frame in whole] == sorted(ffmpeg_says.packets(source, "0:v").pts)
    same_planes(whole, due_planes(source, video))
    for first in range(len(whole)):
        again = open_video(source)
        start = next(iter(again.frames(first)))
        assert (start.index, start.pts) == (first, whole[first].pts)
        same_planes([start], [whole[first].planes])
        assert not again.decoded.frames[: max(0, first - 20)].any()  # it did not begin at the beginning


@pytest.mark.fault(15)
def test_frames_hidden_by_an_edit_list_are_not_shown(tmp_path: Path) -> None:
    cut = ffmpeg_says.remux(open_groups(tmp_path / "open.mp4"), tmp_path / "cut.mp4", first=["-ss", "0.61"])
    video = open_video(cut)
    track = ffmpeg_says.shown_frames(cut)
    coded = len(ffmpeg_says.packets(cut, "0:v").packets)
    assert video.index.hidden > 0
    assert len(track.pts) == coded - video.index.hidden == video.index.count
    frames = list(video.frames())
    assert [frame.pts for frame in frames] == track.pts
    same_planes(frames, due_planes(cut, video))
    assert video.decoded.frames.all()
    for first in (1, 5, len(frames) - 1):
        start = next(iter(video.frames(first)))
        assert (start.index, start.pts) == (first, frames[first].pts)
        same_planes([start], [frames[first].planes])


def test_tags_in_an_old_encoding_do_not_stop_reading(tmp_path: Path) -> None:
    target = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "old.mkv", "-metadata", "artist=Mxlle")
    target.write_bytes(target.read_bytes().replace(b"Mxlle", "Müll\xe9".encode("latin-1")))
    assert probe(target).index.count == 28


def test_two_readers_of_one_video_do_not_disturb_each_other() -> None:
    video = open_video(SAMPLES / "vfr.mp4")
    pairs = list(zip(video.frames(), video.frames(), strict=True))
    assert all(one.pts == two.pts for one, two in pairs)
    half = video.frames()
    next(half)
    del half
    assert replace(video.info, codec="h264") == video.info
