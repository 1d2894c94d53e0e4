"""How long the last frame is shown, where the film starts and where it ends, as FFmpeg's program reads them."""

from __future__ import annotations

import itertools
import re
from fractions import Fraction
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from vidrain.video.decode import open_video

TICK = Fraction(1, 90_000)
LAST = 50_000  # ticks that the last frame is shown: half a second more than any other
CODINGS = [
    ("h264", ("-e", "bf=0")),
    ("h264", ("-e", "bf=3", "-e", "b_strategy=0")),
    ("hevc", ("-e", "x265-params=bframes=0")),
    ("hevc", ("-e", "x265-params=bframes=3:b-adapt=0")),
    ("av1", ()),
    ("ffv1", ()),
]


def uneven(target: Path, *, start: int = 0, count: int = 12) -> Path:
    """Frames of uneven lengths from tick `start` on, the last one long; no B-frames, so that MP4 keeps every length."""
    times = f"settb=1/90000,setpts={start}+3600*N+900*mod(N\\,3)"
    last = start + 3600 * (count - 1) + 900 * ((count - 1) % 3)
    lengths = f"setts=duration=if(eq(PTS\\,{last})\\,{LAST}\\,DURATION)"
    ffmpeg_says.quietly(
        *("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-frames:v", str(count), "-pix_fmt", "yuv420p", "-vf", times),
        *("-fps_mode", "passthrough", "-enc_time_base", "1/90000", "-c:v", "libx264", "-bf", "0", "-bsf:v", lengths),
        *("-video_track_timescale", "90000", "-movie_timescale", "90000", "-copyts", target),
    )
    return target


def end_of(path: Path) -> Fraction:
    """When the last frame ends, by the lengths of the packets."""
    track = ffmpeg_says.packets(path, "0:v")
    return max(packet.pts + packet.duration for packet in track.packets) * track.time_base


def clock(path: Path) -> tuple[str, str]:
    """(length, start) of the whole file, as the program prints them."""
    found = re.search(r"Duration: (\S+), start: ([-\d.]+)", ffmpeg_says.described(path))
    assert found
    return found[1], found[2]


def rate(path: Path) -> str:
    found = re.search(r", ([\d.]+) fps", ffmpeg_says.streams(path)[0])
    assert found
    return found[1]


@pytest.mark.fault(15)
@pytest.mark.parametrize("start", [0, 39_039])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize(("codec", "coding"), CODINGS)
def test_start_and_end_stay_to_the_tick(
    codec: str, coding: tuple[str, ...], suffix: str, start: int, tmp_path: Path, vidrain: Vidrain
) -> None:
    if suffix == "mov" and codec in ("av1", "ffv1"):
        return
    source, target = uneven(tmp_path / "source.mp4", start=start), tmp_path / f"out.{suffix}"
    assert vidrain("clean", source, "-o", target, "--codec", codec, *coding).code == 0
    assert ffmpeg_says.shown_frames(target).seconds == ffmpeg_says.shown_frames(source).seconds
    assert end_of(target) == end_of(source) == (start + 3600 * 11 + 900 * 2 + LAST) * TICK
    assert clock(target) == clock(source)


@pytest.mark.parametrize(("codec", "coding"), CODINGS)
def test_matroska_keeps_it_to_the_millisecond(
    codec: str, coding: tuple[str, ...], tmp_path: Path, vidrain: Vidrain
) -> None:
    source, target = uneven(tmp_path / "source.mp4", start=39_039), tmp_path / "out.mkv"
    assert vidrain("clean", source, "-o", target, "--codec", codec, *coding).code == 0
    assert abs(end_of(target) - end_of(source)) <= Fraction(1, 1000)
    last = [max(ffmpeg_says.packets(path, "0:v").packets, key=lambda packet: packet.pts) for path in (target, source)]
    assert abs(last[0].duration * Fraction(1, 1000) - last[1].duration * TICK) <= Fraction(1, 1000)


@pytest.mark.parametrize(("codec", "coding"), CODINGS)
def test_an_even_rate_stays_even(codec: str, coding: tuple[str, ...], tmp_path: Path, vidrain: Vidrain) -> None:
    """The length of the last sample is not stretched where nothing is gained by it."""
    source, target = tmp_path / "source.mp4", tmp_path / "out.mp4"
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=30000/1001", "-frames:v", "17", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*lavfi, "-c:v", "libx264", source)
    assert vidrain("clean", source, "-o", target, "--codec", codec, *coding).code == 0
    assert {packet.duration for packet in ffmpeg_says.packets(target, "0:v").packets} == {1001}
    assert (rate(target), clock(target)) == (rate(source), clock(source))
    assert end_of(target) == end_of(source)


@pytest.mark.fault(15)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_frames_hidden_by_an_edit_list_stay_hidden(suffix: str, tmp_path: Path, vidrain: Vidrain) -> None:
    """The film begins behind its first frames, as after a cut that copies: those are not shown, and do not come out."""
    whole, source, target = (tmp_path / f"{name}.{suffix}" for name in ("whole", "source", "out"))
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-f", "lavfi", "-i", "sine=d=2", "-frames:v", "40")
    ffmpeg_says.quietly(*lavfi, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-g", "40", "-c:a", "aac", "-shortest", whole)
    ffmpeg_says.quietly("-ss", "0.5", "-i", whole, "-c", "copy", source)
    assert open_video(source).index.hidden > 0
    assert vidrain("clean", source, "-o", target).code == 0
    due, got = ffmpeg_says.shown_frames(source), ffmpeg_says.shown_frames(target)
    assert got.seconds == due.seconds
    assert end_of(target) == end_of(source)
    sound = [ffmpeg_says.packets(path, "0:a") for path in (source, target)]
    heard = [[s for s in track.seconds if s >= 0] for track in sound]
    assert heard[0] == heard[1]


@pytest.mark.fault(15)
def test_a_negative_start_moves_picture_and_sound_alike(tmp_path: Path, vidrain: Vidrain) -> None:
    """Matroska may begin before zero; MP4 may not: the distance between picture and sound is what counts."""
    source, target = tmp_path / "source.mkv", tmp_path / "out.mkv"
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25", "-f", "lavfi", "-i", "sine=d=1", "-frames:v", "20")
    moved = ("-output_ts_offset", "0.2", "-avoid_negative_ts", "disabled")
    ffmpeg_says.quietly(*lavfi, "-pix_fmt", "yuv420p", "-c:v", "libx264", "-c:a", "libmp3lame", *moved, source)
    assert vidrain("clean", source, "-o", target).code == 0
    for stream in ("0:v", "0:a"):
        due, got = (sorted(ffmpeg_says.packets(path, stream).seconds) for path in (source, target))
        assert due == got


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_lengths_come_from_the_times_of_frames(suffix: str, tmp_path: Path, vidrain: Vidrain) -> None:
    """With B-frames MP4 knows steps of decoding only; Matroska, which keeps a length a frame, is told the true ones."""
    source, coded, target = tmp_path / "a.mp4", tmp_path / f"b.{suffix}", tmp_path / "out.mkv"
    uneven(source)
    ffmpeg_says.quietly(
        *("-i", source, "-fps_mode", "passthrough", "-enc_time_base", "demux", "-c:v", "libx264", "-bf", "3"),
        *("-x264-params", "b-adapt=0", "-video_track_timescale", "90000", coded),
    )
    assert vidrain("clean", coded, "-o", target).code == 0
    packets = sorted(ffmpeg_says.packets(target, "0:v").packets, key=lambda packet: packet.pts)
    for packet, following in itertools.pairwise(packets):
        assert abs(packet.pts + packet.duration - following.pts) <= 1
