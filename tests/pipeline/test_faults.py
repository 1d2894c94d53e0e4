"""Faults of every kind, seeded: each ends in all frames, in named losses, or in one line; never in silence."""

from __future__ import annotations

import random
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.broken import boxes, cut, in_fragments, index_in_front
from tests.pipeline.conftest import Vidrain
from tools.mutations import anatomy
from vidrain.errors import InputError
from vidrain.missing import missing_in
from vidrain.video.decode import open_video

KINDS = ("mp4", "fragments", "mkv", "ts", "avi")


@pytest.fixture(scope="module")
def wholes(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same clip in five containers."""
    folder, source = tmp_path_factory.mktemp("whole"), samples / "full_range.mp4"
    made = {"mp4": index_in_front(source, folder / "a.mp4"), "fragments": in_fragments(source, folder / "b.mp4")}
    made |= {kind: ffmpeg_says.remux(source, folder / f"c.{kind}", "-map", "0") for kind in ("mkv", "ts")}
    made["avi"] = folder / "d.avi"
    ffmpeg_says.quietly("-i", source, "-c:v", "mpeg4", "-q:v", "4", "-c:a", "mp3", made["avi"])
    return made


def seen(path: Path) -> tuple[int, Fraction] | str:
    """(frames, seconds between first and last), or in a word how it was said that not all is there."""
    try:
        video = open_video(path)
        frames = [(frame.index, frame.pts) for frame in video.frames()]
    except InputError as error:
        assert "\n" not in str(error)
        return "refused"
    if not frames or missing_in(video, range(len(video.index.pts))):
        return "missing"
    return len(frames), (frames[-1][1] - frames[0][1]) * video.info.time_base


@pytest.mark.fault(5, 6, 7)
@pytest.mark.parametrize("kind", KINDS)
def test_cut_at_every_edge_and_anywhere(kind: str, wholes: dict[str, Path], tmp_path: Path) -> None:
    """Edges of boxes, elements, packets or chunks (sixty of them where there are thousands), and 20 other places."""
    whole = wholes[kind]
    data, due = whole.read_bytes(), seen(whole)
    edges = [edge for edge in anatomy(data).edges if 0 < edge < len(data)]
    dice = random.Random(kind)
    if len(edges) > 60:
        edges = sorted(dice.sample(edges, 60))
    outcomes = set()
    for keep in (*edges, *(dice.randrange(1, len(data)) for _ in range(20))):
        found = seen(cut(whole, tmp_path / f"cut{whole.suffix}", keep))
        outcomes.add(found)
        if kind == "ts" and keep % 188 == 0:
            continue  # it is a whole, shorter stream, unless something in it says otherwise
        assert found in ("refused", "missing", due), keep
    assert "missing" in outcomes


@pytest.mark.fault(9)
@pytest.mark.parametrize("kind", KINDS)
def test_flipped_bits_in_every_region(kind: str, wholes: dict[str, Path], tmp_path: Path) -> None:
    """Ten in the head, the first quarter of the media and so on; a region of tables is a region of its own."""
    whole = wholes[kind]
    data, due = whole.read_bytes(), seen(whole)
    starts = [start for _, start, _ in boxes(data)] if kind == "mp4" else [0]
    regions = sorted({*starts, *(len(data) * part // 6 for part in range(6)), len(data)})
    dice = random.Random(kind)
    path = tmp_path / f"hurt{whole.suffix}"
    for start, end in pairwise(regions):
        for _ in range(10):
            place = dice.randrange(start, end)
            hurt = bytearray(data)
            hurt[place] ^= 1 << dice.randrange(8)
            path.write_bytes(hurt)
            assert seen(path) in ("refused", "missing", due), place


@pytest.mark.proves("exit 4")
@pytest.mark.fault(9)
def test_an_index_that_promises_less_is_not_believed(
    wholes: dict[str, Path], tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """One flipped bit of the number of samples, and FFmpeg hands out fewer frames without a word."""
    data = bytearray(wholes["mp4"].read_bytes())
    place = data.index(b"stsz") + 12 + 3
    assert data[place] == 28
    data[place] ^= 8
    source = tmp_path / "less.mp4"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out)
    assert ran.code == 4
    assert len(ffmpeg_says.shown_frames(out).packets) < 28
    assert "28 samples by stts, 20 by stsz" in ran.err
    ran = vidrain("clean", source, "-o", out, "--force", "--end", "5")
    assert ran.code == 4  # nobody knows which frames they are
    assert vidrain("inspect", source).code == 4


@pytest.mark.fault(11)
def test_a_wild_table_costs_no_time(wholes: dict[str, Path], tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    for name, at in ((b"stco", 8), (b"stsc", 8), (b"stsz", 12), (b"stts", 8)):
        data = bytearray(wholes["mp4"].read_bytes())
        place = data.index(name) + 4 + at
        data[place : place + 4] = b"\xff\xff\xff\xf0"
        source = tmp_path / "wild.mp4"
        source.write_bytes(data)
        began = time.monotonic()
        ran = vidrain("clean", source, "-o", out, "--force")
        assert ran.code in (3, 4)
        assert time.monotonic() - began < 10


@pytest.mark.fault(12)
def test_a_head_that_promises_more_frames_than_there_are(
    wholes: dict[str, Path], tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """Recorders of AVI overstate: the index says what there is."""
    data = bytearray(wholes["avi"].read_bytes())
    data[48:52] = (431).to_bytes(4, "little")  # dwTotalFrames
    source = tmp_path / "more.avi"
    source.write_bytes(data)
    assert vidrain("clean", source, "-o", out).code == 0
    assert len(ffmpeg_says.shown_frames(out).packets) == len(ffmpeg_says.shown_frames(wholes["avi"]).packets)


@pytest.mark.fault(14)
def test_gaps_of_ten_frames_are_kept(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    times = "setts=pts='PTS+5120*gte(N,7)+5120*gte(N,12)':dts='DTS+5120*gte(N,7)+5120*gte(N,12)'"
    source = ffmpeg_says.remux(samples / "odd.mp4", tmp_path / "gaps.mp4", "-map", "0:v", "-bsf:v", times)
    assert vidrain("clean", source, "-o", out).code == 0
    steps = [(b - a) * 25 for a, b in pairwise(ffmpeg_says.shown_frames(out).seconds)]
    assert sorted(steps) == [1] * 13 + [11, 11]
    assert ffmpeg_says.shown_frames(out).seconds == ffmpeg_says.shown_frames(source).seconds


@pytest.mark.fault(14)
@pytest.mark.parametrize(
    ("expression", "moved"), [("if(eq(N\\,6)\\,PTS-1500\\,PTS)", 1), ("if(between(N\\,6\\,8)\\,5*512\\,PTS)", 3)]
)
def test_times_that_repeat_or_run_backwards_are_moved_and_counted(
    expression: str, moved: int, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    times = f"setts=dts=DTS-10*512:pts={expression}"
    source = ffmpeg_says.remux(samples / "odd.mp4", tmp_path / "times.mkv", "-map", "0:v", "-bsf:v", times)
    ran = vidrain("clean", source, "-o", out)
    assert ran.code == 0
    assert f"{moved} frames had times that ran backwards" in ran.err
    assert len(ffmpeg_says.shown_frames(out).packets) == 16


@pytest.mark.fault(15)
@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("offset", ["0.7", "-0.3"])
def test_sound_and_picture_stay_in_step(
    offset: str, suffix: str, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """A late start, B-frames before it, an edit list for the rest."""
    sound = ("-itsoffset", offset, "-i", samples / "vfr.mp4")
    source = tmp_path / f"late.{suffix}"
    ffmpeg_says.quietly("-i", samples / "vfr.mp4", *sound, "-map", "0:v", "-map", "1:a", "-c", "copy", source)
    assert vidrain("clean", source, "-o", out).code == 0

    def apart(path: Path) -> Fraction:
        return ffmpeg_says.shown_frames(path).seconds[0] - ffmpeg_says.packets(path, "0:a:0").seconds[0]

    assert abs(apart(out) - apart(source)) <= Fraction(1, 1000)


@pytest.mark.fault(16)
def test_a_clock_of_33_bits_that_starts_anew(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    """Half a second before 2 to the 33 ticks, and a minute before the end of 32 bits."""
    for start in ((2**33 - 45_000) / 90_000, (2**32 - 45_000) / 90_000):
        shift = ("-output_ts_offset", str(start), "-muxdelay", "0", "-muxpreload", "0")
        source = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "wrap.ts", "-map", "0", *shift)
        ran = vidrain("clean", source, "-o", out, "--force")
        assert ran.code == 0, ran.err
        times = ffmpeg_says.shown_frames(out).seconds
        assert len(times) == 28
        assert {b - a for a, b in pairwise(times)} == {Fraction(1, 25)}


@pytest.mark.fault(16)
@pytest.mark.parametrize("suffix", ["mkv", "mp4"])
def test_times_beyond_32_bits(suffix: str, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    arguments = ("-map", "0:v", "-output_ts_offset", "200000", "-video_track_timescale", "90000")
    source = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / f"huge.{suffix}", *arguments)
    ran = vidrain("clean", source, "-o", out)
    assert ran.code == 0, ran.err
    assert ffmpeg_says.shown_frames(out).seconds[0] == pytest.approx(200_000, abs=0.1)
    assert ffmpeg_says.shown_frames(out).seconds == ffmpeg_says.shown_frames(source).seconds


@pytest.mark.fault(18)
@pytest.mark.parametrize(("size", "pix_fmt"), [("96x128", "yuv420p"), ("128x96", "yuv422p")])
def test_a_picture_that_changes_on_the_way(
    size: str, pix_fmt: str, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    parts = []
    for name, which, form in (("first", "128x96", "yuv420p"), ("second", size, pix_fmt)):
        part = tmp_path / f"{name}.ts"
        made = ("-f", "lavfi", "-i", f"testsrc2=s={which}:r=25", "-frames:v", "5", "-c:v", "libx264", "-bf", "0")
        ffmpeg_says.quietly(*made, "-pix_fmt", form, part)
        parts.append(part.read_bytes())
    source = tmp_path / "joined.ts"
    source.write_bytes(b"".join(parts))
    ran = vidrain("clean", source, "-o", out)
    assert ran.code == 3
    assert sum("split the file where it changes" in line for line in ran.err.splitlines()) == 1
    assert list(out.parent.iterdir()) == []


@pytest.mark.fault(18)
@pytest.mark.parametrize(("size", "pix_fmt"), [("96x128", "yuv420p"), ("128x96", "yuv422p")])
def test_what_comes_before_such_a_change_can_be_had(
    size: str, pix_fmt: str, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """To its last frame, though those behind it would bear witness: as if the video ended there."""
    coded = []
    for name, which, form in (("first", "128x96", "yuv420p"), ("second", size, pix_fmt)):
        part = tmp_path / f"{name}.h264"
        made = ("-f", "lavfi", "-i", f"testsrc2=s={which}:r=25", "-frames:v", "5", "-c:v", "libx264", "-bf", "0")
        ffmpeg_says.quietly(*made, "-pix_fmt", form, part)
        coded.append(part.read_bytes())
    whole, before = tmp_path / "whole.ts", tmp_path / "before.ts"
    for target, parts in ((whole, coded), (before, coded[:1])):
        joined = target.with_suffix(".h264")
        joined.write_bytes(b"".join(parts))
        ffmpeg_says.quietly("-r", "25", "-i", joined, "-c", "copy", target)
    ran = vidrain("clean", whole, "-o", out)
    assert (ran.code, "clean what comes before with --end 5, or split the file" in ran.err) == (3, True), ran.err
    assert vidrain("clean", whole, "-o", out, "--end", "6").code == 3
    ran = vidrain("clean", whole, "-o", out, "--end", "5", "--archive")
    assert ran.code == 0, ran.err
    alone = out.with_name("alone.mp4")
    assert vidrain("clean", before, "-o", alone, "--archive").code == 0
    pictures, due = (ffmpeg_says.quietly("-i", path, "-f", "rawvideo", "-") for path in (out, alone))
    assert len(due) == 5 * 128 * 96 * 3 // 2
    assert pictures == due


CODECS = {
    "libx264": ("yuv420p", "yuv422p", "yuv444p", "yuv420p10le"),
    "libx265": ("yuv420p", "yuv420p10le"),
    "ffv1": ("yuv420p", "yuv422p10le", "gray", "gbrp", "yuv444p12le"),
    "mpeg4": ("yuv420p",),
    "mjpeg": ("yuvj420p", "yuvj422p"),
    "libvpx-vp9": ("yuv420p", "yuv444p"),
}


@pytest.mark.fault(9, 17)
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    coded=st.sampled_from([(codec, form) for codec, forms in CODECS.items() for form in forms]),
    size=st.tuples(st.integers(16, 70), st.integers(16, 70)),
    container=st.sampled_from([("mp4", 12800), ("mp4", 90000), ("mkv", 1000), ("mp4", 600)]),
    count=st.integers(1, 9),
)
def test_frames_in_are_frames_out(
    coded: tuple[str, str],
    size: tuple[int, int],
    container: tuple[str, int],
    count: int,
    tmp_path: Path,
    vidrain: Vidrain,
) -> None:
    """Any codec, format, size and clock: as many frames at the same times, or code 3 with one line."""
    (codec, pix_fmt), (suffix, clock) = coded, container
    width, height = (side + side % 2 if codec.startswith("libx") else side for side in size)
    source, out = tmp_path / f"made.{suffix}", tmp_path / "out.mp4"
    made = ("-f", "lavfi", "-i", f"testsrc2=s={width}x{height}:r=25", "-frames:v", str(count), "-c:v", codec)
    ffmpeg_says.quietly(*made, "-strict", "-1", "-pix_fmt", pix_fmt, "-video_track_timescale", str(clock), source)
    ran = vidrain("clean", source, "-o", out, "--force", "baseline.radius=1")
    if ran.code == 3:
        assert sum(not line.startswith("vidrain: note:") for line in ran.err.splitlines()) == 1
        return
    assert ran.code == 0, ran.err
    assert ffmpeg_says.shown_frames(out).seconds == ffmpeg_says.shown_frames(source).seconds
    assert len(ffmpeg_says.shown_frames(out).packets) == count
