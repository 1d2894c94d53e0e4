"""Random access: every frame of every kind of file by its number is the frame that decoding in order gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import ffmpeg_says
from vidrain.errors import InputError
from vidrain.video.access import compare_access
from vidrain.video.decode import open_video

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.m[pk][4v]"))
SMALL = ("-vf", "scale=64:48", "-pix_fmt", "yuv420p")


def groups(codec: str, *settings: str) -> Callable[[Path], Path]:
    """36 frames in nine groups of pictures."""

    def make(folder: Path) -> Path:
        target = folder / f"{codec}.mp4"
        coding = ("-map", "0:v", "-fps_mode", "passthrough", *SMALL, "-c:v", codec, *settings)
        ffmpeg_says.quietly("-i", SAMPLES / "cut.mkv", *coding, target)
        return target

    return make


def edit_list(folder: Path) -> Path:
    """Cut between key frames by copying packets: the frames before the cut are coded, and hidden."""
    source = groups("libx264", "-g", "12", "-bf", "2")(folder)
    return ffmpeg_says.remux(source, folder / "edited.mp4", "-map", "0:v", first=("-ss", "0.3"))


def late_start(folder: Path) -> Path:
    """Packets moved by a time that is no whole frame, in a transport stream."""
    source = groups("libx264", "-g", "8", "-bf", "2")(folder)
    return ffmpeg_says.remux(source, folder / "late.ts", "-map", "0:v", "-output_ts_offset", "7.123")


OPEN = "keyint=4:min-keyint=4:open-gop=1:bframes=3:scenecut=0"
MADE = {
    "open groups, H.264": groups("libx264", "-x264-params", OPEN),
    "open groups, HEVC": groups("libx265", "-x265-params", f"{OPEN}:log-level=none"),
    "open groups, MPEG-2": groups("mpeg2video", "-g", "4", "-bf", "2"),
    "many B-frames": groups("libx264", "-bf", "8", "-b_strategy", "0", "-g", "18"),
    "edit list": edit_list,
    "late start": late_start,
}


def same_in_any_order(path: Path) -> None:
    video = open_video(path)
    in_order = list(video.frames())
    order = list(range(len(in_order)))
    random.Random(1).shuffle(order)
    for index in order:
        frame = video.frame(index)
        due = in_order[index]
        assert (frame.index, frame.pts, frame.duration) == (due.index, due.pts, due.duration)
        assert frame.picture_type == due.picture_type
        assert all(np.array_equal(got, plane) for got, plane in zip(frame.planes, due.planes, strict=True))


@pytest.mark.proves("random access")
@pytest.mark.parametrize("name", NAMES)
def test_every_frame_of_every_sample(name: str) -> None:
    same_in_any_order(SAMPLES / name)


@pytest.mark.proves("random access")
@pytest.mark.parametrize("kind", MADE)
def test_every_frame_of_odd_files(kind: str, tmp_path: Path) -> None:
    path = MADE[kind](tmp_path)
    video = open_video(path)
    assert [frame.pts for frame in video.frames()] == ffmpeg_says.shown_frames(path).pts
    assert bool(video.index.hidden) == (kind == "edit list")
    same_in_any_order(path)


def test_outside_of_the_video() -> None:
    video = open_video(SAMPLES / "odd.mp4")
    for index in (-1, 16):
        with pytest.raises(IndexError, match="has frames 0 to 15"):
            video.frame(index)


def test_a_lost_frame_is_no_other_frame(tmp_path: Path) -> None:
    from tests.broken import wiped

    coded = tmp_path / "coded.mov"
    ffmpeg_says.quietly("-i", SAMPLES / "full_range.mp4", "-an", *SMALL, "-c:v", "mjpeg", "-frames:v", "8", coded)
    video = open_video(wiped(coded, tmp_path / "broken.mov", range(3, 5)))
    assert video.frame(5).index == 5
    with pytest.raises(InputError, match="frame 3 cannot be decoded"):
        video.frame(3)


def test_where_decord_gives_other_frames_it_is_said(tmp_path: Path) -> None:
    plain = compare_access(SAMPLES / "cut.mkv", frames=8)
    assert (plain.frames, plain.wrong, plain.decord) == (8, (), None)
    for kind, said in (("open groups, H.264", "open groups"), ("edit list", "edit list")):
        found = compare_access(MADE[kind](tmp_path), frames=8)
        assert (found.frames, found.wrong) == (8, ())
        assert found.decord is not None
        assert said in found.decord
