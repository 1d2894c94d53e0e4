"""The main job end to end: what goes in comes out, less the rain, and every option does what it says."""

import itertools
from pathlib import Path

import numpy as np
import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.painted import read_index
from tests.pipeline.conftest import Vidrain
from vidrain.job import CleanOptions
from vidrain.video.decode import open_video

SAMPLES = ["street.mp4", "vfr.mp4", "rotated.mp4", "odd.mp4", "tenbit.mp4", "full_range.mp4", "cut.mkv"]
HALF_A_MILLISECOND = 0.0005


@pytest.mark.proves("clean", "clean INPUT", "clean --output", "exit 0")
@pytest.mark.library("av")
@pytest.mark.parametrize("name", SAMPLES)
def test_frames_times_and_sound_stay(name: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = samples / name, tmp_path / f"out{Path(name).suffix}"
    before = source.read_bytes()
    assert vidrain("clean", source, "-o", target).code == 0
    assert source.read_bytes() == before
    due, got = ffmpeg_says.shown_frames(source), ffmpeg_says.shown_frames(target)
    assert len(got.packets) == len(due.packets)
    assert max(abs(a - b) for a, b in zip(due.seconds, got.seconds, strict=True)) <= (
        HALF_A_MILLISECOND if target.suffix == ".mkv" else 0
    )
    tracks = range(2 if name == "cut.mkv" else 1)
    for track in tracks:
        stream = f"0:a:{track}"
        assert ffmpeg_says.packets(target, stream).contents == ffmpeg_says.packets(source, stream).contents
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.proves("clean --output")
def test_output_lies_beside_the_source_by_default(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = tmp_path / "odd.mp4"
    source.write_bytes((samples / "odd.mp4").read_bytes())
    assert vidrain("clean", source, "--end", "3").code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["odd.clean.mp4", "odd.mp4"]


@pytest.mark.library("torch", "numpy", "opencv-python")
def test_rain_goes_and_the_picture_stays(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """Against the truth that the sample was rendered from: clearly nearer to it than the rainy source."""
    target = tmp_path / "clean.mp4"
    assert vidrain("clean", samples / "street.mp4", "-o", target, "--archive").code == 0
    rainy, cleaned, truth = (
        [frame.planes[0].astype(np.float32) for frame in open_video(path).frames()]
        for path in (samples / "street.mp4", target, samples / "street_clean.mp4")
    )
    before = np.mean([np.square(a - b).mean() for a, b in zip(rainy, truth, strict=True)])
    after = np.mean([np.square(a - b).mean() for a, b in zip(cleaned, truth, strict=True)])
    assert after < before / 2  # 3 dB; the command that scores quality says how much exactly


@pytest.mark.proves("clean --rain", "clean --archive")
@pytest.mark.parametrize("name", SAMPLES)
def test_background_and_rain_give_the_source_back(name: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """Bit for bit, summed here from what FFmpeg's program decodes, and by `recompose`."""
    source, clean, rain = samples / name, tmp_path / "clean.mp4", tmp_path / "rain.mp4"
    assert vidrain("clean", source, "-o", clean, "--archive", "--rain", rain).code == 0
    info = open_video(source).info
    size, depth = (info.width, info.height), info.layout.depth
    b_planes = ffmpeg_says.planes(clean, info.layout.name, size)
    r_planes = ffmpeg_says.planes(rain, f"{info.layout.family}{depth + 2}le", size)
    again = package.recompose(clean, rain)
    removed = 0
    for o, b, r, frame in itertools.zip_longest(open_video(source).frames(), b_planes, r_planes, again):
        for o_plane, b_plane, r_plane, again_plane in zip(o.planes, b, r, frame.planes, strict=True):
            signed = r_plane.astype(np.int32) - 2 ** (depth + 1)
            assert np.array_equal(b_plane + signed, o_plane)
            assert np.array_equal(again_plane, o_plane)
            removed += int(np.abs(signed).sum())
    assert removed > 0


def test_lossy_clean_file_is_not_recomposed(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    clean, rain = tmp_path / "clean.mp4", tmp_path / "rain.mp4"
    assert vidrain("clean", samples / "vfr.mp4", "-o", clean, "--rain", rain, "--end", "4").code == 0
    with pytest.raises(package.errors.InputError, match="--archive"):
        package.recompose(clean, rain)


@pytest.mark.proves("clean --rain-preview")
def test_preview_shows_rain_on_black(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    rain, preview = tmp_path / "rain.mp4", tmp_path / "preview.mp4"
    arguments = ("--rain", rain, "--rain-preview", preview, "--end", "8")
    assert vidrain("clean", samples / "street.mp4", "-o", tmp_path / "out.mp4", *arguments).code == 0
    assert "yuv420p" in ffmpeg_says.streams(preview)[0]
    for shown, exact in zip(open_video(preview).frames(), open_video(rain).frames(), strict=True):
        removed = exact.planes[0].astype(np.float32) - 512
        dry = shown.planes[0][removed == 0]
        assert 16 <= float(np.median(dry)) <= 17
        assert abs(float(dry.mean()) - 16) < 2  # H.264 rings beside streaks
        assert np.corrcoef(shown.planes[0].ravel(), removed.ravel())[0, 1] > 0.9


@pytest.mark.proves("clean --compare")
@pytest.mark.library("ffmpeg-python")
def test_comparison_shows_before_after_and_rain(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, clean, compare = samples / "rotated.mp4", tmp_path / "clean.mp4", tmp_path / "compare.mp4"
    assert vidrain("clean", source, "-o", clean, "--compare", compare, "--start", "5", "--end", "12").code == 0
    upright = [frame[0].astype(np.float32) for frame in ffmpeg_says.planes(compare, "yuv420p", (3 * 192, 256))]
    sources = [frame[0] for frame in ffmpeg_says.planes(source, "yuv420p", (256, 192))][5:12]
    cleaned = [frame[0] for frame in ffmpeg_says.planes(clean, "yuv420p", (256, 192))]
    assert len(upright) == len(cleaned) == 7
    for shown, before, after in zip(upright, sources, cleaned, strict=True):
        left, middle, right = np.hsplit(shown, 3)
        assert np.abs(left - np.rot90(before, -1)).mean() < 3
        assert np.abs(middle - np.rot90(after, -1)).mean() < 3
        removed = np.clip(np.rot90(before, -1).astype(np.float32) - np.rot90(after, -1), 0, None)
        assert np.corrcoef(right.ravel(), removed.ravel())[0, 1] > 0.8


@pytest.mark.parametrize(
    ("out", "compare", "options"),
    [
        ("out.mp4", "compare.mp4", ()),
        ("out.mkv", "compare.mp4", ()),
        ("out.mp4", "compare.mkv", ("--start", "7", "--keep-pts")),
    ],
)
def test_comparison_pairs_frames_of_uneven_times(
    out: str, compare: str, options: tuple[str, ...], samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """The painted indices of before and after agree in every frame, and the times are those of the clean file."""
    clean, joined = tmp_path / out, tmp_path / compare
    assert vidrain("clean", samples / "vfr.mp4", "-o", clean, "--compare", joined, *options).code == 0
    first = 7 if options else 0
    panes = [np.hsplit(frame.planes[0], 3) for frame in open_video(joined).frames()]
    assert [read_index(left) for left, _, _ in panes] == list(range(first, 36))
    assert [read_index(middle) for _, middle, _ in panes] == list(range(first, 36))
    due, got = ffmpeg_says.shown_frames(clean), ffmpeg_says.shown_frames(joined)
    allowed = HALF_A_MILLISECOND if "mkv" in (clean.suffix[1:], joined.suffix[1:]) else 0
    assert max(abs(a - b) for a, b in zip(due.seconds, got.seconds, strict=True)) <= allowed


def test_portrait_is_cleaned_upright(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """A clip stored on its side and the same clip stored upright are cleaned alike, sample for sample.

    The mean of four pixels is summed in another order, so that a chroma sample on the edge may round the other way.
    """
    upright = tmp_path / "upright.mp4"
    ffmpeg_says.quietly("-i", samples / "rotated.mp4", "-an", "-c:v", "ffv1", upright)  # turns it by its matrix
    cleaned = []
    for source in (samples / "rotated.mp4", upright):
        target = tmp_path / f"{source.stem}.out.mp4"
        assert vidrain("clean", source, "-o", target, "--archive").code == 0
        cleaned.append([frame.planes for frame in open_video(target).frames()])
    for aside, straight in zip(*cleaned, strict=True):
        assert np.array_equal(np.rot90(aside[0], -1), straight[0])
        for a, b in zip(aside[1:], straight[1:], strict=True):
            off = np.abs(np.rot90(a, -1).astype(np.int16) - b)
            assert off.max() <= 1
            assert (off > 0).mean() < 0.001


@pytest.mark.proves("clean --start", "clean --end")
@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [("5", "9", range(5, 9)), ("0.2s", "0.48s", range(5, 12)), ("0:00:00.2", "00:00:00.440", range(5, 11))],
)
def test_range_keeps_exactly_its_frames(
    start: str, end: str, kept: range, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source, target = samples / "full_range.mp4", tmp_path / "out.mp4"  # 25 frames a second from 0
    assert vidrain("clean", source, "-o", target, "--start", start, "--end", end).code == 0
    frames = list(open_video(target).frames())
    assert [read_index(frame.planes[0]) for frame in frames] == list(kept)
    due = ffmpeg_says.shown_frames(source).seconds[kept.start : kept.stop]
    assert ffmpeg_says.shown_frames(target).seconds == [seconds - due[0] for seconds in due]
    sound, whole = ffmpeg_says.packets(target, "0:a:0"), ffmpeg_says.packets(source, "0:a:0")
    stop = ffmpeg_says.shown_frames(source).seconds[kept.stop]
    overlapping = [
        (packet.size, packet.hash)
        for packet, begin in zip(whole.packets, whole.seconds, strict=True)
        if begin + packet.duration * whole.time_base > due[0] and begin < stop
    ]
    assert sound.contents == overlapping
    assert abs(sound.seconds[0]) < 0.022  # one packet of sound at the most before the first frame


@pytest.mark.proves("clean --keep-pts")
def test_range_keeps_its_times_if_asked(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = samples / "vfr.mp4", tmp_path / "out.mp4"
    assert vidrain("clean", source, "-o", target, "--start", "7", "--end", "11", "--keep-pts").code == 0
    assert ffmpeg_says.shown_frames(target).seconds == ffmpeg_says.shown_frames(source).seconds[7:11]


def test_range_is_cleaned_as_the_whole(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    part, whole = tmp_path / "part.mp4", tmp_path / "whole.mp4"
    assert vidrain("clean", samples / "vfr.mp4", "-o", whole, "--archive").code == 0
    assert vidrain("clean", samples / "vfr.mp4", "-o", part, "--archive", "--start", "13", "--end", "19").code == 0
    expected = itertools.islice(open_video(whole).frames(), 13, 19)
    for a, b in zip(open_video(part).frames(), expected, strict=True):
        assert all(np.array_equal(x, y) for x, y in zip(a.planes, b.planes, strict=True))


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_shortest_clips(frames: int, codec: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = tmp_path / "short.mp4", tmp_path / "out.mp4"
    ffmpeg_says.quietly("-i", samples / "tenbit.mp4", "-frames:v", str(frames), "-an", "-c:v", "ffv1", source)
    assert vidrain("clean", source, "-o", target, "--codec", codec).code == 0
    assert ffmpeg_says.shown_frames(target).seconds == ffmpeg_says.shown_frames(source).seconds


def test_python_function_says_what_it_did(samples: Path, tmp_path: Path) -> None:
    told: list[object] = []
    rain = tmp_path / "rain.mp4"
    report = package.clean(
        samples / "tenbit.mp4",
        tmp_path / "out.mp4",
        options=CleanOptions(rain=rain, end="6"),
        on_event=told.append,
    )
    assert (report.status, report.frames_in, report.frames_out, report.pts_equal) == ("ok", 6, 6, True)
    assert (report.encoder, report.pix_fmt, report.exact) == ("libx265", "yuv420p10le", False)
    assert report.outputs == {"clean": tmp_path / "out.mp4", "rain": rain}
    assert report.copied == ("audio aac",)
    assert report.peak_memory_mib > 50
    assert [type(event).__name__ for event in told] == ["Plan", *["Progress"] * 6, "FileDone"]


def test_report_says_how_much_it_rains(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run in several segments, by the ffmpeg program from both files: 14 frames, two of the curve's stretches."""
    source, made = samples / "odd.mp4", tmp_path / "out.mp4"
    monkeypatch.setattr("vidrain.report._STRETCHES", 2)
    monkeypatch.setattr("vidrain.segments.plan.LONGEST", 5)
    report = package.clean(source, made, options=CleanOptions(archive=True, start="1", end="15"))
    before, after = (ffmpeg_says.planes(path, "yuv420p", (131, 97)) for path in (source, made))
    luma = np.array([plane for plane, *_ in before[1:15]], int) - np.array([plane for plane, *_ in after])
    amounts = np.maximum(luma, 0).mean(axis=(1, 2)) / 219
    assert len(amounts) == 14
    assert report.rain == pytest.approx(amounts.mean(), rel=1e-12)
    assert report.rain > 0.0001
    assert report.rain_over_time == pytest.approx((amounts[:7].mean(), amounts[7:].mean()), rel=1e-12)


@pytest.mark.parametrize("tags", [("-colorspace", "bt709"), ("-color_range", "pc")])
def test_colours_tagged_in_part_survive_the_archive(
    tags: tuple[str, str], samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """FFV1 has no tags of its own and MP4 takes all or none: what was stated must still stand there."""
    source, target, rain = (tmp_path / name for name in ("source.mp4", "out.mp4", "rain.mp4"))
    raw = ffmpeg_says.quietly("-i", samples / "odd.mp4", "-frames:v", "3", "-f", "rawvideo", "-")
    (tmp_path / "raw.yuv").write_bytes(raw)
    size = ("-f", "rawvideo", "-s", "131x97", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*size, "-i", tmp_path / "raw.yuv", *tags, "-vf", "crop=130:96", "-c:v", "libx264", source)
    stated = open_video(source).info.color
    assert vidrain("clean", source, "-o", target, "--archive", "--rain", rain).code == 0
    for path in (target, rain):
        kept = open_video(path).info.color
        assert kept.range == stated.range
        assert stated.matrix in (2, kept.matrix)


@pytest.mark.fault(32)
@pytest.mark.parametrize("name", ["a:b.mp4", "-x.mp4", "50 % rain, 100%d.mp4", "Regen über Köln.mp4", "http:x.mp4"])
def test_any_file_name_will_do(
    name: str, samples: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """FFmpeg takes a colon for a protocol and a leading dash for an option."""
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes((samples / "odd.mp4").read_bytes())
    ran = vidrain("clean", "-o", f"{name}.out.mp4", "--compare", f"{name}.compare.mp4", "--end", "2", "--", name)
    assert (ran.code, ran.err) == (0, "")
    assert {path.name for path in tmp_path.iterdir()} == {name, f"{name}.out.mp4", f"{name}.compare.mp4"}


@pytest.mark.fault(14)
def test_frames_that_share_a_time_are_all_kept(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """A container of coarse ticks may give two frames one time: both are shown, so both go out."""
    source, target = tmp_path / "source.mkv", tmp_path / "out.mp4"
    moved = "setts=pts=if(eq(N\\,6)\\,200\\,PTS):dts=if(eq(N\\,6)\\,200\\,DTS)"
    ffmpeg_says.quietly("-i", samples / "odd.mp4", "-an", "-c", "copy", "-bsf:v", moved, source)
    assert vidrain("clean", source, "-o", target).code == 0
    assert [read_index(frame.planes[0]) for frame in open_video(target).frames()] == list(range(16))


@pytest.mark.parametrize("bframes", ["0", "2"])
def test_avi_is_timed_as_players_time_it(bframes: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """AVI keeps decoding times only."""
    source, target = tmp_path / "source.avi", tmp_path / "out.mp4"
    coding = ("-c:v", "libx264", "-bf", bframes, "-c:a", "libmp3lame")
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", *coding, source)
    assert vidrain("clean", source, "-o", target).code == 0
    assert ffmpeg_says.shown_frames(target).seconds == ffmpeg_says.shown_frames(source).seconds
    assert ffmpeg_says.packets(target, "0:a:0").contents == ffmpeg_says.packets(source, "0:a:0").contents


@pytest.mark.parametrize("pix_fmt", ["yuv420p12le", "yuv444p12le", "gray12le", "gbrp12le", "gbrp", "yuv440p10le"])
def test_rain_of_every_depth_is_exact(pix_fmt: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, clean, rain = (tmp_path / name for name in ("source.mkv", "clean.mp4", "rain.mp4"))
    stored = "bgr0" if pix_fmt == "gbrp" else pix_fmt
    ffmpeg_says.quietly(
        *("-i", samples / "odd.mp4", "-frames:v", "6", "-an", "-c:v", "ffv1", "-pix_fmt", stored, source)
    )
    assert vidrain("clean", source, "-o", clean, "--archive", "--rain", rain).code == 0
    for o, again in zip(open_video(source).frames(), package.recompose(clean, rain), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(o.planes, again.planes, strict=True))


def test_rain_that_no_format_can_hold_is_refused_beforehand(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = tmp_path / "source.mkv"
    coding = ("-an", "-c:v", "ffv1", "-pix_fmt", "yuv440p12le")
    ffmpeg_says.quietly("-i", samples / "odd.mp4", "-frames:v", "2", *coding, source)
    ran = vidrain("clean", source, "-o", tmp_path / "out.mp4", "--rain", tmp_path / "rain.mp4")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "needs yuv440p14le" in ran.err


@pytest.mark.parametrize("late", ["0.777", "2.017"])
def test_late_sound_from_matroska_stays_in_step(late: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "out.mp4"
    ffmpeg_says.quietly(
        *("-i", samples / "full_range.mp4", "-itsoffset", late, "-i", samples / "full_range.mp4"),
        *("-map", "0:v", "-map", "1:a", "-c", "copy", source),
    )
    assert vidrain("clean", source, "-o", target).code == 0
    due, got = (ffmpeg_says.packets(path, "0:a:0").seconds for path in (source, target))
    assert abs(due[0] - got[0]) < 0.001


def test_range_without_sound_or_text_in_it(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """The tracks stay empty, or are gone; the picture goes out all the same."""
    text, source = tmp_path / "text.srt", tmp_path / "source.mp4"
    text.write_text("1\n00:00:00,900 --> 00:00:01,000\nRain\n")
    ffmpeg_says.quietly(
        *("-i", samples / "full_range.mp4", "-itsoffset", "0.7", "-i", samples / "full_range.mp4", "-i", text),
        *("-map", "0:v", "-map", "1:a", "-map", "2:s", "-c", "copy", "-c:s", "mov_text", source),
    )
    assert vidrain("clean", source, "-o", tmp_path / "out.mp4", "--end", "5").code == 0
    assert len(ffmpeg_says.shown_frames(tmp_path / "out.mp4").packets) == 5


def test_second_video_is_copied_whole_but_not_cut(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = tmp_path / "two.mp4"
    both = ("-i", samples / "full_range.mp4", "-i", samples / "rotated.mp4")
    ffmpeg_says.quietly(*both, "-map", "0:v", "-map", "1:v", "-c", "copy", source)
    assert vidrain("clean", source, "-o", tmp_path / "whole.mp4").code == 0
    due, got = (ffmpeg_says.packets(path, "0:v:1").contents for path in (source, tmp_path / "whole.mp4"))
    assert got == due
    ran = vidrain("clean", source, "-o", tmp_path / "part.mp4", "--start", "5", "--end", "9")
    assert ran.code == 0
    assert "stream 1 (video h264) is another video, which cannot be cut" in ran.err


def test_second_video_of_a_transport_stream_is_left_out(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = tmp_path / "two.ts"
    both = ("-i", samples / "full_range.mp4", "-i", samples / "rotated.mp4")
    ffmpeg_says.quietly(*both, "-map", "0:v", "-map", "1:v", "-c", "copy", source)
    ran = vidrain("clean", source, "-o", tmp_path / "out.mp4")
    assert ran.code == 0
    assert "another video in the form of a broadcast" in ran.err


def test_partial_file_of_the_output_is_no_source(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """Left by a killed run into MKV it is playable, and somebody may want to clean it."""
    source = tmp_path / ".x.mkv.partial.mkv"
    ffmpeg_says.remux(samples / "vfr.mp4", source)
    before = source.read_bytes()
    ran = vidrain("clean", source, "-o", tmp_path / "x.mkv", "--force")
    assert ran.code == 2
    assert source.read_bytes() == before
