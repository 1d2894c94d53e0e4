"""Frames that do not decode: shown as the clean frame before, left out, or the end of the job; always counted."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import boxes, index_in_front, wiped
from tests.painted import read_index
from tests.pipeline.conftest import Vidrain
from vidrain.video.decode import open_video

COUNT, RATE = 28, 25


def coded_frame_by_frame(samples: Path, folder: Path, codec: str, suffix: str = "mov") -> Path:
    """No frame needs another one, so that exactly the damaged ones are lost."""
    path = folder / f"coded.{suffix}"
    alone = ("-g", "1", "-bf", "0") if codec == "libx264" else ("-q:v", "2")
    sound = ("-c:a", "mp3") if suffix == "avi" else ("-c:a", "copy")
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-c:v", codec, *alone, *sound, path)
    return path


def indices(path: Path) -> list[int]:
    return [read_index(frame.planes[0]) for frame in open_video(path).frames()]


@pytest.mark.fault(9)
@pytest.mark.proves("exit 4", "clean --on-bad-frame")
@pytest.mark.parametrize("chosen", ["repeat", "drop"])
@pytest.mark.parametrize(
    ("codec", "lost", "seconds"),
    [
        ("mjpeg", range(10, 13), (0.4, 0.52)),
        ("mjpeg", range(2), (0.0, 0.08)),
        ("libx264", range(4, 5), (0.16, 0.2)),
        ("libx264", range(26, 27), (1.04, 1.08)),  # with frame threads an error at the end takes others along
        ("mjpeg", range(27, 28), (1.08, 1.12)),
    ],
)
def test_damage_is_named_and_the_rest_is_kept(
    codec: str,
    lost: range,
    seconds: tuple[float, float],
    chosen: str,
    samples: Path,
    out: Path,
    tmp_path: Path,
    vidrain: Vidrain,
) -> None:
    """What is lost at either end is never filled up: that would make a frozen picture out of a file cut short."""
    coded = coded_frame_by_frame(samples, tmp_path, codec)
    source = wiped(coded, tmp_path / "damaged.mov", lost)
    ran = vidrain("clean", source, "-o", out, "--json", "--on-bad-frame", chosen)
    assert (ran.code, ran.err) == (4, "")
    message = f"could not be decoded and is missing: {seconds[0]:.3f}-{seconds[1]:.3f} s"
    assert [event["message"] for event in ran.events if event.get("code") == "missing"] == [message]
    repeated = lost if chosen == "repeat" and 0 not in lost and COUNT - 1 not in lost else range(0)
    done = ran.events[-1]
    assert (done["event"], done["status"], done["frames_in"]) == ("file_done", "partial", COUNT)
    assert (done["frames_out"], done["pts_equal"]) == (COUNT - len(lost) + len(repeated), True)
    assert done["frames_repeated"] == len(repeated)
    told = [event["message"] for event in ran.events if event.get("code") == "damage"]
    counted = f"{len(lost)} of 28 frames could not be decoded: {len(repeated)} show the clean frame before them"
    assert any(message.startswith(counted) for message in told)

    kept = [index for index in range(COUNT) if index not in lost or index in repeated]
    due = ffmpeg_says.shown_frames(coded).seconds
    assert ffmpeg_says.shown_frames(out).seconds == [due[index] for index in kept]
    assert indices(out) == [lost.start - 1 if index in lost else index for index in kept]
    assert ffmpeg_says.packets(out, "0:a:0").contents == ffmpeg_says.packets(source, "0:a:0").contents

    ran = vidrain("clean", source, "-o", out, "--force", "--on-bad-frame", chosen)
    assert ran.code == 4
    assert ran.err.endswith(f"vidrain: note: {message}\n")


@pytest.mark.fault(9)
@pytest.mark.parametrize("lost", [range(10, 18), range(10, 19)])
def test_a_picture_that_stands_still_is_named(
    lost: range, samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """Sound and frame count stay in step however long it is: whoever wants a shorter video instead is told how."""
    source = wiped(coded_frame_by_frame(samples, tmp_path, "mjpeg"), tmp_path / "damaged.mov", lost)
    ran = vidrain("clean", source, "-o", out, "--json")
    assert (ran.code, indices(out)) == (4, [lost.start - 1 if index in lost else index for index in range(COUNT)])
    told = [event["message"] for event in ran.events if "stands still" in event.get("message", "")]
    due = "the picture stands still from 0.400 to 0.760 s; --on-bad-frame drop leaves that out"
    assert told == ([due] if len(lost) > 8 else [])


@pytest.mark.fault(9)
@pytest.mark.parametrize("lost", [range(10, 13), range(1), range(27, 28)])
def test_whoever_wants_all_or_nothing_gets_nothing(
    lost: range, samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source = wiped(coded_frame_by_frame(samples, tmp_path, "mjpeg"), tmp_path / "damaged.mov", lost)
    ran = vidrain("clean", source, "-o", out, "--on-bad-frame", "fail")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    named = f"frame {lost.start} (at {lost.start / RATE:.3f} s) could not be decoded"
    seen_before = "could not be decoded and is missing: 1.080-1.120 s"  # a tail of zeros shows in the file
    assert (seen_before if lost.stop == COUNT else named) in ran.err
    assert list(out.parent.iterdir()) == []
    whole = coded_frame_by_frame(samples, tmp_path, "mjpeg")
    assert vidrain("clean", whole, "-o", out, "--on-bad-frame", "fail", "--end", "5").code == 0


def test_what_stands_in_has_no_rain(samples: Path, out: Path, tmp_path: Path) -> None:
    source = wiped(coded_frame_by_frame(samples, tmp_path, "mjpeg"), tmp_path / "damaged.mov", range(10, 13))
    rain = out.with_name("rain.mp4")
    report = package.clean(source, out, options=package.CleanOptions(archive=True, rain=rain))
    assert (report.frames_repeated, report.frames_out, report.status) == (3, COUNT, "partial")
    clean, layer = list(open_video(out).frames()), list(open_video(rain).frames())
    assert len(clean) == len(layer) == COUNT
    for number in range(10, 13):
        for plane, before, r in zip(clean[number].planes, clean[9].planes, layer[number].planes, strict=True):
            assert np.array_equal(plane, before)
            assert (r == 512).all()


@pytest.mark.fault(9)
def test_frames_of_an_avi_keep_their_places(samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    whole = coded_frame_by_frame(samples, tmp_path, "mjpeg", "avi")
    source = wiped(whole, tmp_path / "hurt.avi", range(10, 13))
    assert vidrain("clean", source, "-o", out).code == 4
    assert indices(out) == [*range(10), 9, 9, 9, *range(13, 28)]
    assert ffmpeg_says.shown_frames(out).seconds == ffmpeg_says.shown_frames(whole).seconds


@pytest.mark.fault(9)
@pytest.mark.parametrize(
    ("kept", "due"),
    [
        (("--start", "5", "--end", "12"), [*range(5, 10), 9, 9]),  # frame 13 shows that the video goes on
        (("--start", "11", "--end", "15"), [13, 14]),  # nothing clean stands before
        (("--end", "10"), list(range(10))),
    ],
)
def test_a_range_is_mended_inside_of_itself(
    kept: tuple[str, ...], due: list[int], samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source = wiped(coded_frame_by_frame(samples, tmp_path, "mjpeg"), tmp_path / "damaged.mov", range(10, 13))
    assert vidrain("clean", source, "-o", out, *kept).code == (0 if due[-1] == 9 and len(due) == 10 else 4)
    assert indices(out) == due


def test_damage_outside_of_the_range_does_not_matter(
    samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source = wiped(coded_frame_by_frame(samples, tmp_path, "mjpeg"), tmp_path / "damaged.mov", range(20, 22))
    assert vidrain("clean", source, "-o", out, "--end", "12", "--on-bad-frame", "fail").code == 0
    assert vidrain("clean", source, "-o", out, "--force", "--start", "15").code == 4


def test_no_comparison_with_frames_lost(samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """FFmpeg's program leaves lost frames out, so it would pair what is left with the wrong frames."""
    source = wiped(coded_frame_by_frame(samples, tmp_path, "mjpeg"), tmp_path / "damaged.mov", range(10, 13))
    ran = vidrain("clean", source, "-o", out, "--compare", out.with_name("compare.mp4"))
    assert (ran.code, [path.name for path in out.parent.iterdir()]) == (4, ["out.mp4"])
    assert "no comparison" in ran.err


@pytest.mark.fault(9)
def test_a_comparison_of_an_earlier_run_is_named(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    """It stays: nobody asked to remove it, but beside the new video it would pass for its own."""
    source = wiped(samples / "full_range.mp4", tmp_path / "wiped.mp4", range(3, 5))
    compare = out.with_name("compare.mp4")
    ran = vidrain("clean", source, "-o", out, "--compare", compare)
    assert (ran.code, "an earlier run" in ran.err) == (4, False)
    compare.write_bytes(b"earlier")
    ran = vidrain("clean", source, "-o", out, "--compare", compare, "--force")
    assert ran.code == 4
    assert f"{compare}: is from an earlier run; this one made none and left it as it is\n" in ran.err
    assert compare.read_bytes() == b"earlier"
    assert sorted(out.parent.iterdir()) == [compare, out]


@pytest.mark.fault(10)
@pytest.mark.parametrize("suffix", ["mkv", "ts"])
def test_a_stream_that_begins_between_key_frames(
    suffix: str, samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """As when a recorder is switched on in the middle of a broadcast: the sound stays where it was."""
    whole = tmp_path / "whole.mp4"
    options = ("-c:v", "libx264", "-bf", "0", "-x264-params", "keyint=10:min-keyint=10:scenecut=0")
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", *options, "-c:a", "copy", whole)
    source = ffmpeg_says.remux(
        whole, tmp_path / f"late.{suffix}", "-map", "0", "-bsf:v", "noise=drop='lt(n,4)'", "-copyts"
    )
    sound, picture = ffmpeg_says.packets(source, "0:a:0"), ffmpeg_says.packets(source, "0:v:0")  # from a key frame on
    ran = vidrain("clean", source, "-o", out, "--json")
    assert indices(out) == list(range(10, COUNT))
    first = ffmpeg_says.shown_frames(out).seconds[0]
    written = ffmpeg_says.packets(out, "0:a:0")
    assert first - written.seconds[0] == pytest.approx(float(picture.seconds[0] - sound.seconds[0]), abs=1 / 1000)
    assert ran.code == 4
    (told,) = [event["message"] for event in ran.events if "begins" in event.get("message", "")]
    assert "the picture begins with frame 6" in told


@pytest.fixture
def patched_up(samples: Path, tmp_path: Path) -> Path:
    """H.264 with flipped bits that the decoder conceals: it gives out every frame and raises nothing."""
    source = tmp_path / "hurt.mp4"
    data = bytearray(index_in_front(samples / "street.mp4", tmp_path / "front.mp4").read_bytes())
    start, end = next((start, end) for kind, start, end in boxes(data) if kind == b"mdat")
    dice = random.Random(3)
    for _ in range(12):
        data[dice.randrange(start + (end - start) // 4, end)] ^= 1 << dice.randrange(8)
    source.write_bytes(data)
    assert len(ffmpeg_says.shown_frames(source).packets) == len(
        ffmpeg_says.shown_frames(samples / "street.mp4").packets
    )
    return source


@pytest.mark.fault(9)
def test_pictures_that_the_decoder_patched_up_are_lost_frames(patched_up: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", patched_up, "-o", out, "--json")
    assert ran.code == 4
    assert ran.events[-1]["frames_repeated"] > 0
    assert ran.events[-1]["frames_out"] == ran.events[-1]["frames_in"]
    assert any("could not be decoded and is missing" in event.get("message", "") for event in ran.events)


@pytest.mark.fault(9)
def test_fail_takes_no_patched_up_picture(patched_up: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", patched_up, "-o", out, "--on-bad-frame", "fail")
    assert (ran.code, ran.err.splitlines()[-1].startswith("vidrain: ")) == (3, True)
    assert list(out.parent.iterdir()) == []


def test_where_nothing_decodes_the_next_step_is_named(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    coded = coded_frame_by_frame(samples, tmp_path, "mjpeg")
    broken, out = wiped(coded, tmp_path / "broken.mov", range(10, 14)), tmp_path / "out.mov"
    part = ("--start", "10", "--end", "14")
    for command, step in (
        (("clean", broken, "-o", out, *part), "vidrain inspect names the damage"),
        (("export", broken, "-o", tmp_path / "out", *part), "vidrain inspect names the damage"),
        (("analyze", "rain", broken, *part), "vidrain inspect names the damage"),
        (("preview", broken, "--at", "10", "--seconds", "0.12"), "choose another --at"),
    ):
        ran = vidrain(*command)
        assert (ran.code, ran.err.count("\n")) == (3, 1), ran.err
        assert "could be decoded; " + step in ran.err
    assert "damage" in vidrain("inspect", broken).out
