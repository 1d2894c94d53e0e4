"""A constant frame rate on request: even times, nothing lost but what is said, sound where it was."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from tests.pipeline.conftest import Vidrain
from vidrain import clean, recompose
from vidrain.job import CleanOptions
from vidrain.video.decode import open_video


def indices(path: Path) -> list[int]:
    return [read_index(frame.planes[0]) for frame in open_video(path).frames()]


def nearest(source: Path, rate: Fraction, places: int) -> list[int]:
    """The frame of the source for every place: the last within half a place, else the last before."""
    times = ffmpeg_says.shown_frames(source).seconds
    due = [times[0] + place / rate for place in range(places)]
    half = Fraction(1, 2) / rate
    return [max(n for n, time in enumerate(times) if time - moment < half) for moment in due]


@pytest.mark.fault(14)
@pytest.mark.proves("clean --cfr")
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("text", ["25", "29.97", "60"])
def test_frames_stand_at_even_times(text: str, suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = samples / "vfr.mp4", tmp_path / f"out.{suffix}"
    ran = vidrain("clean", source, "-o", target, "--cfr", text, "--json")
    assert ran.code == 0, ran.err
    rate = {"25": Fraction(25), "29.97": Fraction(30000, 1001), "60": Fraction(60)}[text]
    due, got = ffmpeg_says.shown_frames(source), ffmpeg_says.shown_frames(target)
    allowed = Fraction(1, 2000) if suffix == "mkv" else 0
    even = [due.seconds[0] + place / rate for place in range(len(got.packets))]
    assert max(abs(a - b) for a, b in zip(got.seconds, even, strict=True)) <= allowed
    end = due.seconds[-1] + due.packets[-1].duration * due.time_base
    assert abs(len(even) / rate - (end - due.seconds[0])) <= Fraction(1, 2) / rate
    shown = indices(target)
    assert shown == nearest(source, rate, len(even))
    dropped, repeated = 36 - len(set(shown)), len(shown) - len(set(shown))
    events = {event["event"]: event for event in ran.events}
    messages = [event["message"] for event in ran.events if event.get("code") == "cfr"]
    assert messages == [
        f"at {rate} frames per second 36 frames become {len(shown)}: {repeated} repeated, {dropped} dropped"
    ]
    assert repeated + dropped > 0
    assert events["plan"]["frames"] == events["progress"]["frames"] == events["progress"]["total"] == len(shown)
    assert (events["file_done"]["frames_in"], events["file_done"]["frames_out"]) == (36, len(shown))
    assert not events["file_done"]["pts_equal"]
    assert ffmpeg_says.packets(target, "0:a").contents == ffmpeg_says.packets(source, "0:a").contents
    assert re.search(rf"\b{float(rate):.4g} fps", ffmpeg_says.described(target))


def test_without_it_no_frame_is_ever_moved(samples: Path, tmp_path: Path) -> None:
    report = clean(samples / "vfr.mp4", tmp_path / "out.mp4", options=CleanOptions(end="9"))
    assert (report.repeated, report.dropped, report.pts_equal) == (0, 0, True)


def test_rain_follows_the_same_frames(samples: Path, tmp_path: Path) -> None:
    source = samples / "vfr.mp4"
    target, rain, preview = (tmp_path / f"{name}.mp4" for name in ("clean", "rain", "preview"))
    report = clean(
        source, target, options=CleanOptions(cfr="50", archive=True, rain=rain, rain_preview=preview, video="all")
    )
    frames = {frame.index: frame.planes for frame in open_video(source).frames()}
    shown = nearest(source, Fraction(50), report.frames_out)
    assert report.repeated == len(shown) - len(set(shown))
    times = ffmpeg_says.shown_frames(target).seconds
    assert ffmpeg_says.shown_frames(rain).seconds == ffmpeg_says.shown_frames(preview).seconds == times
    for number, again in zip(shown, recompose(target, rain), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(again.planes, frames[number], strict=True))


@pytest.mark.parametrize("options", [("--start", "7", "--end", "30"), ("--start", "7", "--end", "30", "--keep-pts")])
def test_a_range_begins_where_it_would(
    options: tuple[str, ...], samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source, target, plain = samples / "vfr.mp4", tmp_path / "out.mp4", tmp_path / "plain.mp4"
    assert vidrain("clean", source, "-o", target, "--cfr", "30000/1001", *options).code == 0
    assert vidrain("clean", source, "-o", plain, *options).code == 0
    got, due = ffmpeg_says.shown_frames(target), ffmpeg_says.shown_frames(plain)
    assert got.seconds[0] == due.seconds[0]
    rate = Fraction(30000, 1001)
    assert got.seconds == [got.seconds[0] + place / rate for place in range(len(got.packets))]
    shown = indices(target)
    assert (shown[0], shown[-1]) == (7, 29)
    assert ffmpeg_says.packets(target, "0:a").contents == ffmpeg_says.packets(plain, "0:a").contents
    first = zip(ffmpeg_says.packets(target, "0:a").seconds, ffmpeg_says.packets(plain, "0:a").seconds, strict=True)
    assert max(abs(a - b) for a, b in first) <= Fraction(1, 48000)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--cfr", "fast"), "allowed: such as 25, 29.97 or 30000/1001"),
        (("--cfr", "0"), "more than 0"),
        (("--cfr", "1/0"), "allowed: such as"),
        (("cfr=99999",), "up to 1000"),
        (("--cfr", "25", "--compare", "c.mp4"), "drop it, or --cfr"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], said: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    ran = vidrain("clean", samples / "vfr.mp4", "-o", tmp_path / "out.mp4", *arguments)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


def test_one_frame_stays_one(samples: Path, tmp_path: Path) -> None:
    report = clean(samples / "odd.mp4", tmp_path / "out.mp4", options=CleanOptions(cfr="25", end="1"))
    assert (report.frames_in, report.frames_out) == (1, 1)
