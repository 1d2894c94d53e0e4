"""Sources that were cut, zeroed or never closed: FFmpeg reads them without a word, vidrain says what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import cut, in_fragments, index_in_front, with_gps, zeroed
from tests.pipeline.conftest import Ran, Vidrain
from vidrain.missing import missing_in
from vidrain.video.decode import open_video

FRAMES, RATE = 28, 25
Make = Callable[[Path, Path], Path]


def remuxed(suffix: str) -> Make:
    return lambda source, folder: ffmpeg_says.remux(source, folder / f"whole.{suffix}", "-map", "0")


def without_b_frames(source: Path, folder: Path) -> Path:
    """Then what a cut takes is one piece."""
    target = folder / "plain.mp4"
    ffmpeg_says.quietly("-i", source, "-c:v", "libx264", "-bf", "0", "-c:a", "copy", target)
    return target


def in_front(source: Path, folder: Path) -> Path:
    return index_in_front(source, folder / "front.mp4")


def fragments(source: Path, folder: Path) -> Path:
    return in_fragments(source, folder / "fragments.mp4")


def said(ran: Ran, code: str) -> list[str]:
    return [event["message"] for event in ran.events if event.get("code") == code]


@pytest.mark.fault(6, 7)
@pytest.mark.proves("exit 4")
@pytest.mark.parametrize(
    ("make", "share"),
    [(in_front, 0.6), (in_front, 0.97), (remuxed("mkv"), 0.6), (remuxed("mkv"), 0.9), (fragments, 0.6)],
    ids=["mp4", "mp4-end", "mkv", "mkv-end", "fragments"],
)
def test_a_cut_file_is_partial_and_the_seconds_are_named(
    make: Make, share: float, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    whole = make(without_b_frames(samples / "full_range.mp4", tmp_path), tmp_path)
    short = cut(whole, tmp_path / f"short{whole.suffix}", int(whole.stat().st_size * share))
    ran = vidrain("clean", short, "-o", out, "--json")
    assert ran.code == 4
    assert ran.events[-1]["status"] == "partial"
    left = len(ffmpeg_says.shown_frames(out).packets)
    assert left < FRAMES
    (message, *_) = said(ran, "missing")
    start, end = map(float, re.search(r"missing: (\S+)-(\S+) s$", message).groups())  # type: ignore[union-attr]
    # a frame whose last bytes are gone is concealed by the decoder and counts as missing
    assert left - 1 <= start * RATE <= left + 0.6  # fragments begin half a frame late
    assert FRAMES <= round(end * RATE, 1) <= FRAMES + 0.6
    assert said(ran, "damage")


@pytest.mark.fault(6, 7)
@pytest.mark.parametrize("make", [in_front, remuxed("mkv"), remuxed("ts"), fragments], ids=["mp4", "mkv", "ts", "frag"])
def test_no_cut_goes_unseen(make: Make, samples: Path, tmp_path: Path) -> None:
    """At every twentieth of the file, and one byte before its end where that is media."""
    whole = make(samples / "full_range.mp4", tmp_path)
    size = whole.stat().st_size
    for keep in [size * part // 20 for part in range(8, 20)]:
        keep += keep % 188 == 0  # a transport stream of whole packets is whole
        video = open_video(cut(whole, tmp_path / f"short{whole.suffix}", keep))
        shown = sum(1 for _ in video.frames())
        missing = missing_in(video, range(len(video.index.pts)))
        assert missing, f"{keep} of {size} bytes, {shown} frames"
        assert missing.notices()


def test_whole_files_are_not_called_short(samples: Path, tmp_path: Path) -> None:
    for suffix in ("mp4", "mov", "mkv", "ts"):
        for sample in ("vfr.mp4", "full_range.mp4", "cut.mkv"):
            video = open_video(ffmpeg_says.remux(samples / sample, tmp_path / f"{sample}.{suffix}", "-map", "0"))
            assert list(video.frames())
            assert not missing_in(video, range(len(video.index.pts)))


def test_a_range_before_the_cut_is_whole(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    whole = in_front(without_b_frames(samples / "full_range.mp4", tmp_path), tmp_path)
    short = cut(whole, tmp_path / "short.mp4", whole.stat().st_size * 6 // 10)
    assert vidrain("clean", short, "-o", out, "--end", "5").code == 0
    assert vidrain("clean", short, "-o", out, "--start", "5", "--force").code == 4


@pytest.mark.fault(8)
def test_a_tail_of_zeros(samples: Path, tmp_path: Path, out: Path) -> None:
    whole = in_front(without_b_frames(samples / "full_range.mp4", tmp_path), tmp_path)
    report = package.clean(zeroed(whole, tmp_path / "zeros.mp4", whole.stat().st_size * 6 // 10), out)
    assert report.status == "partial"
    ((start, end),) = report.missing
    assert 0.2 < start < 0.9
    assert end == pytest.approx(FRAMES / RATE)


def test_lost_sound_alone_is_partial_too(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    whole = in_front(samples / "full_range.mp4", tmp_path)
    ran = vidrain("clean", cut(whole, tmp_path / "short.mp4", -1), "-o", out, "--json")
    assert (ran.code, ran.events[-1]["frames_out"]) == (4, FRAMES)
    assert [message.partition(":")[0] for message in said(ran, "missing")] == ["audio is missing"]


def test_a_cut_stream_does_not_know_how_much(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    whole = remuxed("ts")(samples / "full_range.mp4", tmp_path)
    ran = vidrain("clean", cut(whole, tmp_path / "short.ts", 40_000), "-o", out, "--json")
    assert ran.code == 4
    assert any("how much is missing is not known" in message for message in said(ran, "missing"))


@pytest.mark.fault(9)
def test_zeros_inside_of_a_stream_are_timed(samples: Path, tmp_path: Path) -> None:
    whole = remuxed("ts")(samples / "full_range.mp4", tmp_path)
    video = open_video(zeroed(whole, tmp_path / "hole.ts", 188 * 100, 188 * 140))
    assert list(video.frames())
    ((start, end), *_) = missing_in(video, range(len(video.index.pts))).picture
    assert 0 < start < end < FRAMES / RATE


@pytest.mark.fault(5)
def test_a_recording_that_was_not_closed(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    whole = remuxed("mp4")(samples / "full_range.mp4", tmp_path)
    ran = vidrain("clean", cut(whole, tmp_path / "short.mp4", 30_000), "-o", out)
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "the recording was not closed: its index (moov) is missing" in ran.err
    assert list(out.parent.iterdir()) == []


def test_gps_that_is_not_carried_is_named(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    source = with_gps(samples / "full_range.mp4", tmp_path / "gps.mp4", 12)
    ran = vidrain("clean", source, "-o", out, "--end", "3", "--json")
    assert ran.code == 0
    assert [message.partition(" lie ")[0] for message in said(ran, "left_out")] == [
        "GPS: 12 positions (Novatek freeGPS)"
    ]
    report = package.clean(source, out, options=package.CleanOptions(end="3", force=True))
    assert "12 positions" in report.left_out[0]
