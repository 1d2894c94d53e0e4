"""Text subtitles that a container refuses are converted: every line, at its time, with its text."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.round_trip import SAMPLES, decoded, opened, write
from vidrain.errors import OutputError
from vidrain.video.carried import plan_copy
from vidrain.video.mux import Copied, Span
from vidrain.video.subtitles import Line, one_at_a_time
from vidrain.video.verify import verify

LINES = """1
00:00:00,200 --> 00:00:00,900
Grüße, <i>Welt</i>

2
00:00:00,700 --> 00:00:01,000
Over
lap

3
00:00:01,100 --> 00:00:01,500
Last
"""
ONE_BY_ONE = [  # as MP4 shows them, where only one text stands at a time
    (0.2, 0.7, "Grüße, <i>Welt</i>"),
    (0.7, 0.9, "Grüße, <i>Welt</i>\nOver\nlap"),
    (0.9, 1.0, "Over\nlap"),
    (1.1, 1.5, "Last"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the sources lie; with the lines as a file."""
    folder = tmp_path_factory.mktemp("texts")
    (folder / "lines.srt").write_text(LINES, encoding="utf-8")
    return folder


def with_text(folder: Path, codec: str, suffix: str = "mkv") -> Path:
    """A video with its lines in `codec`, in Italian, forced, with a title."""
    target = folder / f"{codec}.{suffix}"
    if not target.exists():
        ffmpeg_says.quietly(
            *("-i", SAMPLES / "cut.mkv", "-i", folder / "lines.srt", "-map", "0:v", "-map", "0:a:0", "-map", "1:s"),
            *("-c", "copy", "-c:s", codec, "-metadata:s:s:0", "language=ita", "-metadata:s:s:0", "title=Testo"),
            *("-disposition:s:0", "forced", target),
        )
    return target


def texts(path: Path) -> list[tuple[float, float, str]]:
    """(start, end, text) of the subtitles, as the program reads them, however many lines a text has."""
    text = ffmpeg_says.quietly("-copyts", "-i", path, "-map", "0:s", "-f", "srt", "-").decode()
    clock = r"(\d+):(\d+):(\d+),(\d+)"
    found = re.findall(rf"{clock} --> {clock}\n(.*?)\n\n", text, re.S)
    return [(seconds(*row[:4]), seconds(*row[4:8]), row[8]) for row in found]


def seconds(hours: str, minutes: str, whole: str, thousandths: str) -> float:
    return int(hours) * 3600 + int(minutes) * 60 + int(whole) + int(thousandths) / 1000


@pytest.mark.fault(23, 24)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("codec", ["srt", "ass", "ssa", "webvtt"])
def test_text_becomes_timed_text(codec: str, suffix: str, folder: Path, tmp_path: Path) -> None:
    written = write(with_text(folder, codec), tmp_path / f"out.{suffix}", kept=slice(40))
    assert (written.copy.converted, written.copy.refused) == ({2: "mov_text"}, ())
    assert texts(written.path) == ONE_BY_ONE
    stream = next(line for line in ffmpeg_says.streams(written.path) if "Subtitle" in line)
    assert "mov_text" in stream
    assert "(ita)" in stream
    assert "Testo" in ffmpeg_says.described(written.path)


@pytest.mark.fault(23, 24)
def test_timed_text_becomes_subrip(folder: Path, tmp_path: Path) -> None:
    first = write(with_text(folder, "srt"), tmp_path / "first.mp4", kept=slice(40))
    written = write(first.path, tmp_path / "out.mkv")
    assert (written.copy.converted, written.copy.refused) == ({2: "subrip"}, ())
    assert texts(written.path) == ONE_BY_ONE
    stream = next(line for line in ffmpeg_says.streams(written.path) if "Subtitle" in line)
    assert "(ita): Subtitle: subrip" in stream
    assert "(forced)" in stream


@pytest.mark.parametrize("codec", ["srt", "ass", "webvtt"])
def test_text_that_the_container_takes_stays_as_it_is(codec: str, folder: Path, tmp_path: Path) -> None:
    source = with_text(folder, codec)
    written = write(source, tmp_path / "out.mkv", kept=slice(40))
    assert written.copy.converted == {}
    assert ffmpeg_says.packets(written.path, "0:s").contents == ffmpeg_says.packets(source, "0:s").contents


@pytest.mark.parametrize("kept", [slice(10, 26), slice(20, None)], ids=str)
def test_a_range_takes_its_lines_along(kept: slice, folder: Path, tmp_path: Path) -> None:
    source = with_text(folder, "srt")
    base = opened(source).info.time_base
    start = decoded(source)[kept.start].pts * base
    end = decoded(source)[kept.stop].pts * base if kept.stop else None
    written = write(source, tmp_path / "out.mp4", kept=kept, span=Span(start, end, start))
    due = [(a - float(start), text) for a, b, text in ONE_BY_ONE if b > start and (end is None or a < end)]
    got = texts(written.path)
    assert [text for _, _, text in got] == [text for _, text in due]
    assert [a for a, _, _ in got] == pytest.approx([max(a, 0) for a, _ in due], abs=0.001)


@pytest.mark.fault(23, 24)
def test_pictures_as_subtitles_are_named_and_left_out(tmp_path: Path) -> None:
    """Made by hand, because FFmpeg has no encoder for them: one composition without objects, then its end."""
    composition = b"\x01\x00\x00\xa0\x10\x00\x00\x00\x00\x00\x00"
    segments = ((0x16, composition), (0x80, b""))
    head = (90_000).to_bytes(4, "big") + bytes(4)
    sup = b"".join(b"PG" + head + bytes([kind]) + len(data).to_bytes(2, "big") + data for kind, data in segments)
    (tmp_path / "pictures.sup").write_bytes(sup)
    source = tmp_path / "in.mkv"
    ffmpeg_says.quietly(
        *(
            "-i",
            SAMPLES / "cut.mkv",
            "-i",
            tmp_path / "pictures.sup",
            "-map",
            "0:v",
            "-map",
            "1:s",
            "-c",
            "copy",
            source,
        )
    )
    plan = plan_copy(opened(source).info, "mp4")
    assert plan.converted == {}
    assert len(plan.refused) == 1
    assert plan.refused[0].startswith("stream 1 (subtitle pgssub) does not go into mp4: it is left out")
    assert plan_copy(opened(source).info, "matroska").refused == ()


def test_bytes_that_are_not_utf8_cost_no_line(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "old.mkv"
    source.write_bytes(with_text(folder, "srt").read_bytes().replace("Grüße".encode(), b"Gr\xfc\xfc\xdfee"))
    written = write(source, tmp_path / "out.mp4", kept=slice(40))
    assert texts(written.path)[0][2] == "Gr\ufffd\ufffd\ufffdee, <i>Welt</i>"
    assert len(texts(written.path)) == len(ONE_BY_ONE)


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        ("noise=drop=eq(n\\,2)", r"copied stream subtitle subrip has 3 packets .*, 4 in"),
        ("noise=amount=-1", "the bytes of copied stream subtitle subrip differ"),
        ("setts=ts=if(eq(N\\,2)\\,PTS+40\\,PTS)", "a line of subtitle subrip is shown at another time"),
        ("setts=ts=PTS+40", r"copied stream subtitle subrip starts \+0.040 s off"),
    ],
)
def test_a_converted_track_is_checked_line_by_line(damage: str, what: str, folder: Path, tmp_path: Path) -> None:
    first = write(with_text(folder, "srt"), tmp_path / "first.mp4", kept=slice(40))
    good = write(first.path, tmp_path / "good.mkv")
    broken = ffmpeg_says.remux(
        *(
            good.path,
            tmp_path / "broken.mkv",
            "-copyts",
            "-avoid_negative_ts",
            "disabled",
            "-map",
            "0",
            "-bsf:s",
            damage,
        )
    )
    with pytest.raises(OutputError, match=what):
        verify(broken, good.expected)


def test_a_lost_line_of_timed_text_is_found(folder: Path, tmp_path: Path) -> None:
    good = write(with_text(folder, "ass"), tmp_path / "good.mp4", kept=slice(40))
    more = Copied("subtitle mov_text", is_cover=False, count=5, first=Fraction(1, 5))
    with pytest.raises(OutputError, match=r"subtitle mov_text has 4 packets .*, 5 in"):
        verify(good.path, replace(good.expected, copied={**good.expected.copied, 2: more}))


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 12), st.sampled_from([b"a", b"b", b"c"])), max_size=8).map(
        lambda rows: sorted((Line(start, start + length, text) for start, length, text in rows), key=lambda x: x.start)
    )
)
def test_one_at_a_time_shows_what_was_shown(lines: list[Line]) -> None:
    """Against a look at every moment."""
    pieces = list(one_at_a_time(lines))
    for moment in range(50):
        due = [line.text for line in lines if line.start <= moment < line.end]
        got = [piece.text for piece in pieces if piece.start <= moment < piece.end]
        assert got == ([b"\\N".join(due)] if due else [])
    assert all(a.end <= b.start for a, b in pairwise(pieces))
