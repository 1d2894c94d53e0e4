"""Real recordings there and back: what phones, dashboards and cameras write survives, as FFmpeg's program reads it."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests import ffmpeg_says
from tests.round_trip import decoded, opened, write
from vidrain.types import Planes
from vidrain.video.color import conversion_for, to_codes, to_rgb
from vidrain.video.decode import open_video
from vidrain.video.encoder import EncodeOptions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

FRAMES = {
    "real/yard.mp4": 376,
    "real/windscreen.mp4": 959,
    "real/campus.mp4": 47,
    "clean/train/action_gpmf.mp4": 48,
    "clean/eval/walk_gpmf.mp4": 60,
}


def data_tracks(path: Path) -> list[ffmpeg_says.Track]:
    """Every data track that holds packets: sensor readings (gpmd) and timecode (tmcd)."""
    if not any("Data:" in line for line in ffmpeg_says.streams(path)):
        return []
    return [track for track in ffmpeg_says.tracks(path, "-map", "0:d", "-c", "copy") if track.packets]


def mean_change(ours: list[Planes], theirs: list[Planes]) -> float:
    """Mean difference in luma codes."""
    return float(np.mean([np.abs(a[0].astype(int) - b[0]).mean() for a, b in zip(ours, theirs, strict=True)]))


@pytest.mark.parametrize("name", FRAMES)
def test_a_recording_survives(name: str, footage: Path, tmp_path: Path) -> None:
    source = footage / name
    info = opened(source).info
    written = write(source, tmp_path / "out.mp4", EncodeOptions(options={"preset": "ultrafast"}))
    due, got = ffmpeg_says.shown_frames(source), ffmpeg_says.shown_frames(written.path)
    assert len(due.packets) == FRAMES[name]
    assert got.seconds == due.seconds == [frame.pts * info.time_base for frame in decoded(source)]
    assert written.verified.pts_equal
    assert written.copy.refused == ()

    due_sound, got_sound = (ffmpeg_says.packets(path, "0:a:0") for path in (source, written.path))
    assert got_sound.contents == due_sound.contents
    assert got_sound.seconds == due_sound.seconds
    due_data, got_data = (data_tracks(path) for path in (source, written.path))
    assert [track.contents for track in got_data] == [track.contents for track in due_data]
    assert len(due_data) == (2 if "gpmf" in name else 0)

    for key in ("color_range:", "color_space:", "color_primaries:", "color_trc:", "sar:"):
        assert ffmpeg_says.fact(written.path, key) == ffmpeg_says.fact(source, key)
    assert opened(written.path).info.display_matrix == info.display_matrix
    sample = slice(0, None, max(1, FRAMES[name] // 10))
    pictures = ffmpeg_says.planes(written.path, written.plan.pix_fmt, (info.width, info.height))[sample]
    assert mean_change([frame.planes for frame in decoded(source)[sample]], pictures) < 1.5
    decoded.cache_clear()  # up to a gigabyte of planes


def test_facts_that_only_real_files_have(footage: Path) -> None:
    yard, windscreen, action = (
        open_video(footage / name) for name in ("real/yard.mp4", "real/windscreen.mp4", "clean/train/action_gpmf.mp4")
    )
    assert yard.info.display_matrix is not None
    assert (windscreen.index.count, windscreen.index.hidden) == (959, 9)
    assert action.info.color.range == 2  # its header says limited until the first frame is decoded
    assert action.info.pix_fmt == "yuvj420p"


@pytest.mark.parametrize("name", ["real/windscreen.mp4", "real/yard.mp4", "real/campus.mp4"])
def test_frames_from_the_middle_are_those_of_the_whole(name: str, footage: Path) -> None:
    video = open_video(footage / name)
    wanted = set(np.linspace(1, len(video.index.pts) - 1, 7).astype(int).tolist())
    whole = {frame.index: frame for frame in video.frames() if frame.index in wanted}
    for first in wanted:
        start = next(iter(video.frames(first)))
        assert (start.index, start.pts) == (first, whole[first].pts)
        for got, want in zip(start.planes, whole[first].planes, strict=True):
            np.testing.assert_array_equal(got, want)


def test_the_one_backward_time_of_a_phone_is_repaired(footage: Path, tmp_path: Path) -> None:
    """B-frames, and frame 6 at 4505 between 7007 and 9009: it is moved to 8008."""
    source = footage / "clean/train/street_hevc.mp4"
    video = open_video(source)
    frames = [(frame.index, frame.pts) for frame in video.frames()]
    # Packets, because in decoding the program moves all times behind the one that runs backwards.
    stored = set(ffmpeg_says.packets(source, "0:v:0").pts)
    assert [index for index, _ in frames] == list(range(146))
    assert stored - {pts for _, pts in frames} == {4505}
    assert {pts for _, pts in frames} - stored == {8008} == {frames[6][1]}
    assert all(after > before for (_, before), (_, after) in itertools.pairwise(frames))
    assert video.decoded.moved_times == 1
    assert video.decoded.frames.all()
    for first in (3, 5, 6, 7, 60):
        start = next(iter(open_video(source).frames(first)))
        assert (start.index, start.pts) == frames[first]
    written = write(source, tmp_path / "out.mp4", EncodeOptions(codec="h264", options={"preset": "ultrafast"}))
    base = video.info.time_base
    assert ffmpeg_says.shown_frames(written.path).seconds == [pts * base for _, pts in frames]
    decoded.cache_clear()


def test_every_clip_comes_back_from_rgb_exactly(footage: Path) -> None:
    """Nothing removed changes nothing: the whole way through float RGB gives every stored code back."""
    for source in sorted((footage / "real").glob("*.mp4")):
        video = open_video(source)
        conversion = conversion_for(video.info)
        frame = next(iter(video.frames(len(video.index.pts) // 2)))
        codes = to_codes(to_rgb(frame.planes, conversion), conversion)
        zeros = (conversion.offset[0], conversion.offset[1], conversion.offset[1])
        for plane, got, zero in zip(frame.planes, codes, zeros, strict=True):
            np.testing.assert_array_equal(got + int(zero), plane, err_msg=source.name)
        assert video.info.time_base > Fraction(0)
