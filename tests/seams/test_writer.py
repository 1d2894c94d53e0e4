"""Writing, with FFmpeg's own program as the reader: every frame at its time, every tag, and clear refusals."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import textwrap
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from tests.round_trip import NAMES, SAMPLES, Written, decoded, made_info, opened, write
from vidrain.errors import OutputError, UsageError
from vidrain.types import Family, PixelLayout, Planes, VideoInfo
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder

REFUSED = {("mov", "av1"), ("mov", "ffv1")}
HALF_A_MILLISECOND = Fraction(1, 2000)
COMBINATIONS = [
    (name, suffix, codec)
    for name in NAMES
    if name != "street_clean.mp4"  # written exactly as street.mp4
    for suffix in ("mp4", "mov", "mkv")
    for codec in ("h264", "hevc", "av1", "ffv1")
    if (suffix, codec) not in REFUSED and (name, codec) != ("odd.mp4", "av1")
]


def hash_of(planes: Planes) -> str:
    """As the framehash muxer counts it: the planes packed one after the other."""
    return hashlib.md5(b"".join(np.ascontiguousarray(plane).tobytes() for plane in planes)).hexdigest()


@pytest.mark.parametrize(("name", "suffix", "codec"), COMBINATIONS)
def test_every_frame_and_every_packet_arrives(name: str, suffix: str, codec: str, tmp_path: Path) -> None:
    source = SAMPLES / name
    frames = decoded(source)[:24]
    options = EncodeOptions(codec=codec)  # type: ignore[arg-type]
    written = write(source, tmp_path / f"out.{suffix}", options, kept=slice(len(frames)))
    video, *sound = ffmpeg_says.tracks(written.path, "-map", "0:v:0", "-map", "0:a", "-c:a", "copy")
    due_sound = [ffmpeg_says.packets(source, f"0:a:{place}") for place in range(len(sound))]
    due = [frame.pts * opened(source).info.time_base for frame in frames]
    assert len(sound) == (2 if name == "cut.mkv" else 1)
    assert [track.contents for track in sound] == [track.contents for track in due_sound]
    if suffix == "mkv":
        worst = max(abs(got - want) for got, want in zip(video.seconds, due, strict=True))
        assert worst <= HALF_A_MILLISECOND
        assert written.verified.pts_equal == (worst == 0)
        assert bool(written.verified.notes) == (worst > 0)
        starts = [abs(got.seconds[0] - want.seconds[0]) for got, want in zip(sound, due_sound, strict=True)]
        assert max(starts) <= 2 * HALF_A_MILLISECOND
    else:
        assert video.seconds == due
        assert written.verified.pts_equal
        # A Matroska source rounds its own times: its sound is laid on MP4's sample grid.
        tolerance = 2 * HALF_A_MILLISECOND if name.endswith(".mkv") else Fraction(0)
        for got, want in zip(sound, due_sound, strict=True):
            assert max(abs(a - b) for a, b in zip(got.seconds, want.seconds, strict=True)) <= tolerance
    if codec == "ffv1":
        assert written.plan.lossless
        assert [packet.hash for packet in video.packets] == [hash_of(frame.planes) for frame in frames]
    assert not written.copy.refused


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
@pytest.mark.parametrize("name", ["vfr.mp4", "tenbit.mp4"])
def test_lossy_pictures_are_the_ones_that_were_written(name: str, codec: str, tmp_path: Path) -> None:
    source, info = SAMPLES / name, opened(SAMPLES / name).info
    written = write(source, tmp_path / "out.mp4", EncodeOptions(codec=codec))  # type: ignore[arg-type]
    shown = ffmpeg_says.planes(written.path, written.plan.pix_fmt, (info.width, info.height))
    assert [read_index(planes[0]) for planes in shown] == list(range(len(decoded(source))))
    top = 2**info.layout.depth - 1
    for planes, frame in zip(shown, decoded(source), strict=True):
        for got, want in zip(planes, frame.planes, strict=True):
            assert np.abs(got.astype(float) - want).mean() < 0.02 * top


@pytest.mark.parametrize("name", NAMES)
def test_tags_stay_as_they_were(name: str, tmp_path: Path) -> None:
    source = SAMPLES / name
    for suffix in ("mp4", "mkv"):
        codec = "h264" if name == "odd.mp4" else None
        written = write(source, tmp_path / f"out.{suffix}", EncodeOptions(codec=codec), kept=slice(6))
        kind = {"tenbit.mp4": "hevc"}.get(name, "h264")
        line = next(line for line in ffmpeg_says.streams(written.path) if "Video:" in line)
        assert f"Video: {kind}" in line
        if kind == "hevc" and suffix == "mp4":
            assert "(hvc1 /" in line
        due, got = (ffmpeg_says.shown_info(path, "-frames:v", "1").split() for path in (source, written.path))
        for key in ("color_range:", "color_space:", "color_primaries:", "color_trc:", "sar:"):
            assert next(word for word in got if word.startswith(key)) in due, key
        described = ffmpeg_says.described(written.path).lower()
        assert ("display matrix: rotation of" in described) == (name == "rotated.mp4")
        assert "title=vidrain sample" in ffmpeg_says.metadata(written.path)


def noise(info: VideoInfo, count: int = 3) -> list[Planes]:
    """Frames in which any code may occur."""
    draw = np.random.default_rng(5)
    layout, shapes = info.layout, info.layout.plane_shapes(info.width, info.height)
    return [
        tuple(draw.integers(0, 1 << layout.depth, shape).astype(layout.dtype) for shape in shapes) for _ in range(count)
    ]


@pytest.mark.parametrize("container", ["mp4", "mkv"])
@pytest.mark.parametrize("family", ["yuv420p", "yuv422p", "yuv440p", "yuv444p", "gray", "gbrp"])
@pytest.mark.parametrize("depth", [8, 10, 12, 14])
def test_the_archive_gives_every_code_back(family: Family, depth: int, container: str, tmp_path: Path) -> None:
    """14 bits only occur as the rain of 12; 4:4:0 has no such format in FFmpeg."""
    info, target = made_info(PixelLayout(family, depth)), tmp_path / f"out.{container}"
    if (family, depth) == ("yuv440p", 14):
        with pytest.raises(UsageError, match="yuv440p14le"):
            plan_encoder(info, target, EncodeOptions(codec="ffv1"))
        return
    plan, frames = plan_encoder(info, target, EncodeOptions(codec="ffv1")), noise(info)
    with VideoWriter(target, plan, info) as writer:
        for place, planes in enumerate(frames):
            writer.write(planes, 3003 * place, 3003)
    pix_fmt = ("-pix_fmt", "gbrp") if plan.pix_fmt == "bgr0" else ()
    (track,) = ffmpeg_says.tracks(target, "-map", "0:v", *pix_fmt)
    assert [packet.hash for packet in track.packets] == [hash_of(planes) for planes in frames]


def test_durations_are_kept_too(tmp_path: Path) -> None:
    """Without B-frames every one; the last cannot be told from the times alone."""
    info, target = made_info(PixelLayout("yuv420p", 8), size=(64, 48)), tmp_path / "out.mp4"
    steps = [3003, 4099, 2711, 90_000]
    plan = plan_encoder(info, target, EncodeOptions(codec="h264", options={"bf": "0"}))
    with VideoWriter(target, plan, info) as writer:
        for place, planes in enumerate(noise(info, len(steps))):
            writer.write(planes, sum(steps[:place]), steps[place])
    assert [packet.duration for packet in ffmpeg_says.packets(target, "0:v").packets] == steps


@pytest.mark.parametrize("start", [39_039, 1, 90_000 * 3600 * 9])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_uneven_times_and_late_starts_are_exact_to_the_tick(start: int, suffix: str, tmp_path: Path) -> None:
    info, target = made_info(PixelLayout("yuv420p", 8), size=(64, 48)), tmp_path / f"out.{suffix}"
    steps = [3003, 1, 4099, 90_000, 2711, 17, 3003, 5231, 2503]
    pts = [start + sum(steps[:place]) for place in range(len(steps))]
    with VideoWriter(target, plan_encoder(info, target, EncodeOptions()), info) as writer:
        for planes, time, step in zip(noise(info, len(steps)), pts, steps, strict=True):
            writer.write(planes, time, step)
    track = ffmpeg_says.shown_frames(target)
    assert track.seconds == [Fraction(time, 90_000) for time in pts]


@pytest.mark.parametrize(("codec", "suffix"), [("h264", "mp4"), ("h264", "mkv"), ("hevc", "mp4")])
def test_the_same_job_gives_the_same_bytes(codec: Literal["h264", "hevc"], suffix: str, tmp_path: Path) -> None:
    """Whatever lay in memory before: an encoder that reads what it never wrote shows in a dozen runs."""
    heap = np.random.default_rng(1)
    found = set()
    for run in range(12):
        junk = [heap.bytes(int(size)) for size in heap.integers(100, 300_000, 40)]
        del junk
        name = tmp_path / f"{run}.{suffix}"
        write(SAMPLES / "full_range.mp4", name, EncodeOptions(codec=codec), kept=slice(7))
        found.add(hashlib.sha256(name.read_bytes()).digest())
    assert len(found) == 1


def test_nothing_is_printed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """x265 and SVT-AV1 talk past Python unless they are told not to."""
    for codec in ("h264", "hevc", "av1"):
        write(SAMPLES / "full_range.mp4", tmp_path / f"{codec}.mp4", EncodeOptions(codec=codec))  # type: ignore[arg-type]
    assert capfd.readouterr() == ("", "")


class TestTargets:
    """A target that cannot be written ends in one line, and hides no other error."""

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match=r"cannot be written .*No such file.*check space and rights"):
            write(SAMPLES / "odd.mp4", tmp_path / "nowhere" / "out.mp4")

    def test_a_full_disk(self, tmp_path: Path) -> None:
        """The file size limit of a process stands in for the end of a disk, at the header, in between, near the end."""
        code = """
            import resource, sys
            from pathlib import Path
            from tests.round_trip import SAMPLES, write
            for suffix in ("mp4", "mkv"):
                for limit in (0, 3000, 60_000, 125_000):
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
                    try:
                        write(SAMPLES / "odd.mp4", Path(sys.argv[1], f"{limit}.{suffix}"))
                    except Exception as error:
                        print(type(error).__name__, error)
        """
        command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
        done = subprocess.run(command, cwd=SAMPLES.parent, capture_output=True, text=True, check=True)
        lines = done.stdout.splitlines()
        assert len(lines) == 8
        for line in lines:
            assert line.startswith("OutputError ")
            assert "cannot be written (File too large); check space and rights" in line
        assert done.stderr == ""

    def test_an_error_inside_is_not_hidden_by_the_closing(self, tmp_path: Path) -> None:
        info, target = opened(SAMPLES / "odd.mp4").info, tmp_path / "out.mp4"
        with (
            pytest.raises(ZeroDivisionError),
            VideoWriter(target, plan_encoder(info, target, EncodeOptions()), info) as writer,
        ):
            frame = decoded(SAMPLES / "odd.mp4")[0]
            writer.write(frame.planes, 0, 1)
            raise ZeroDivisionError

    def test_added_tags_are_written(self, tmp_path: Path) -> None:
        info, target = opened(SAMPLES / "odd.mp4").info, tmp_path / "out.mp4"
        plan = plan_encoder(info, target, EncodeOptions())
        with VideoWriter(target, plan, info, tags={"vidrain": "made by a test"}) as writer:
            for frame in decoded(SAMPLES / "odd.mp4"):
                writer.write(frame.planes, frame.pts, frame.duration)
        assert "vidrain=made by a test" in ffmpeg_says.metadata(target)


def test_no_frames_make_no_film_but_no_crash_either(tmp_path: Path) -> None:
    info, target = opened(SAMPLES / "odd.mp4").info, tmp_path / "out.mp4"
    with VideoWriter(target, plan_encoder(info, target, EncodeOptions()), info):
        pass


def test_time_bases_with_no_common_clock_keep_the_video_exact(tmp_path: Path) -> None:
    """Denominators whose common multiple MP4's 32-bit clock cannot hold."""
    info = replace(made_info(PixelLayout("yuv420p", 8), size=(64, 48)), time_base=Fraction(1, 1_000_003))
    target = tmp_path / "out.mp4"
    pts = [7, 33_340, 66_701]
    with VideoWriter(target, plan_encoder(info, target, EncodeOptions()), info) as writer:
        for planes, time in zip(noise(info), pts, strict=True):
            writer.write(planes, time, 33_333)
    assert ffmpeg_says.shown_frames(target).seconds == [Fraction(time, 1_000_003) for time in pts]


def test_written_is_what_was_planned(tmp_path: Path) -> None:
    written: Written = write(SAMPLES / "full_range.mp4", tmp_path / "out.mp4")
    assert written.expected.pts == [frame.pts for frame in decoded(SAMPLES / "full_range.mp4")]
    assert [copied.kind for copied in written.expected.copied.values()] == ["audio aac"]
