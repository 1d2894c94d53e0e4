"""What is not the picture rides along: sound, subtitles, data, covers, attachments, chapters, tags.

The files are made, and the results read, with FFmpeg's own program.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.round_trip import SAMPLES, Written, decoded, opened, write
from vidrain.video.carried import plan_copy
from vidrain.video.mux import Span

CHAPTERS = """;FFMETADATA1
title=My clip
artist=Me
customkey=hello
[CHAPTER]
TIMEBASE=1/1000
START=0
END=700
title=One
[CHAPTER]
TIMEBASE=1/1000
START=700
END=1760
title=Two
"""
SUBTITLES = "1\n00:00:00,200 --> 00:00:00,900\nHello\n\n2\n00:00:01,000 --> 00:00:01,500\nWorld\n"


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with chapters, subtitles and a picture."""
    folder = tmp_path_factory.mktemp("parts")
    (folder / "chapters.txt").write_text(CHAPTERS, encoding="utf-8")
    (folder / "lines.srt").write_text(SUBTITLES, encoding="utf-8")
    ffmpeg_says.quietly("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", folder / "cover.png")
    return folder


@pytest.fixture(scope="module")
def rich_mp4(parts: Path) -> Path:
    """All that a camera or an editor may put into an MP4, but no cover; starts at 39039/90000, SAR 4:3, turned."""
    target = parts / "rich.mp4"
    shape = "h264_metadata=sample_aspect_ratio=4/3"
    ffmpeg_says.quietly(
        *("-display_rotation", "90", "-display_hflip", "-i", SAMPLES / "vfr.mp4", "-i", SAMPLES / "cut.mkv"),
        *("-i", parts / "chapters.txt", "-i", parts / "lines.srt", "-map", "0:v", "-map", "0:a", "-map", "1:a:1"),
        *("-map", "3:s", "-map_metadata", "2", "-map_chapters", "2", "-c", "copy", "-c:s", "mov_text", "-bsf:v", shape),
        *("-metadata:s:a:0", "language=deu", "-metadata:s:a:1", "language=fra", "-metadata:s:s:0", "language=ita"),
        *("-metadata:s:a:1", "handler_name=Second microphone", "-metadata:s:v:0", "handler_name=Lens"),
        *("-disposition:a:0", "default", "-disposition:a:1", "comment", "-timecode", "01:02:03:04", "-copyts"),
        *("-movflags", "+use_metadata_tags", "-movie_timescale", "90000", target),
    )
    return target


@pytest.fixture(scope="module")
def rich_mkv(parts: Path) -> Path:
    """Text subtitles, a cover and a font as attachments, chapters."""
    target = parts / "rich.mkv"
    ffmpeg_says.quietly(
        *("-i", SAMPLES / "cut.mkv", "-i", parts / "chapters.txt", "-i", parts / "lines.srt", "-map", "0:v"),
        *("-map", "0:a", "-map", "2:s", "-map_metadata", "1", "-map_chapters", "1", "-c", "copy", "-c:s", "srt"),
        *("-attach", parts / "cover.png", "-metadata:s:t:0", "mimetype=image/png", "-metadata:s:t:0", "filename=c.png"),
        *("-attach", parts / "lines.srt", "-metadata:s:t:1", "mimetype=font/ttf", "-metadata:s:t:1", "filename=f.ttf"),
        *("-metadata:s:a:1", "title=Kommentar", "-disposition:a:1", "comment", target),
    )
    return target


@pytest.fixture(scope="module")
def covered_mp4(parts: Path) -> Path:
    """Sound and a cover picture."""
    target = parts / "covered.mp4"
    ffmpeg_says.quietly(
        *("-i", SAMPLES / "full_range.mp4", "-i", parts / "cover.png", "-map", "0", "-map", "1:v", "-c", "copy"),
        *("-c:v:1", "png", "-disposition:v:1", "attached_pic", target),
    )
    return target


def chapters(path: Path) -> list[tuple[float, float, str]]:
    """(start, end, title) in seconds."""
    found = re.findall(r"TIMEBASE=(\S+)\nSTART=(\d+)\nEND=(\d+)\ntitle=(.*)", ffmpeg_says.metadata(path))
    return [(float(int(a) * Fraction(base)), float(int(b) * Fraction(base)), title) for base, a, b, title in found]


def lines(path: Path) -> list[tuple[float, float, str]]:
    """(start, end, text) of the subtitles, as the program shows them."""
    text = ffmpeg_says.quietly("-copyts", "-i", path, "-map", "0:s", "-f", "srt", "-").decode()

    def seconds(clock: str) -> float:
        hours, minutes, rest = clock.replace(",", ".").split(":")
        return int(hours) * 3600 + int(minutes) * 60 + float(rest)

    return [(seconds(a), seconds(b), line) for a, b, line in re.findall(r"(\S+) --> (\S+)\n(.*)", text)]


def kind_and_flags(path: Path) -> list[str]:
    """Language, kind, codec and dispositions of each stream, such as `(deu): Audio: aac ... (default)`."""
    return [re.sub(r"^\[\w+\]", "", line) for line in ffmpeg_says.streams(path)]


@pytest.mark.fault(23)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_everything_in_a_rich_mp4_arrives(rich_mp4: Path, suffix: str, tmp_path: Path) -> None:
    written = write(rich_mp4, tmp_path / f"out.{suffix}")
    assert written.copy.refused == ()
    assert written.copy.notes == ()
    assert ffmpeg_says.shown_frames(written.path).seconds == ffmpeg_says.shown_frames(rich_mp4).seconds
    for stream in ("0:a:0", "0:a:1", "0:s:0"):
        got, due = ffmpeg_says.packets(written.path, stream), ffmpeg_says.packets(rich_mp4, stream)
        assert got.contents == due.contents
        assert got.seconds == due.seconds
    assert chapters(written.path) == [(0, 0.7, "One"), (0.7, 1.76, "Two")]
    assert lines(written.path) == lines(rich_mp4)
    tags = ffmpeg_says.metadata(written.path)
    for tag in ("title=My clip", "artist=Me", "customkey=hello"):
        assert tag in tags.splitlines()
    described = ffmpeg_says.described(written.path)
    assert "handler_name    : Second microphone" in described
    assert "handler_name    : Lens" in described
    assert "SAR 4:3" in described
    streams = kind_and_flags(written.path)
    # FFmpeg knows German as "ger" in MOV, and no disposition but the default there.
    language, role = ("(deu)", "(comment)") if suffix == "mp4" else ("", "fltp, 32 kb/s")
    assert any(line.startswith(f"{language}: Audio: aac") and line.endswith("(default)") for line in streams)
    assert any(line.startswith("(fra): Audio: aac") and line.endswith(role) for line in streams)
    assert any(line.startswith("(ita): Subtitle: mov_text") for line in streams)


@pytest.mark.fault(23)
def test_the_timecode_track_is_made_anew_and_alike(rich_mp4: Path, tmp_path: Path) -> None:
    written = write(rich_mp4, tmp_path / "out.mp4")
    assert any("tmcd" in line for line in ffmpeg_says.streams(rich_mp4))
    due, got = (
        [track for track in ffmpeg_says.tracks(path, "-map", "0:d", "-c", "copy") if track.packets]
        for path in (rich_mp4, written.path)
    )
    assert len(due) == len(got) == 1
    assert [track.contents for track in got] == [track.contents for track in due]


def test_the_display_matrix_arrives_to_the_last_number(rich_mp4: Path, tmp_path: Path) -> None:
    written = write(rich_mp4, tmp_path / "out.mp4")
    matrix = opened(rich_mp4).info.display_matrix
    assert matrix == opened(written.path).info.display_matrix
    assert matrix is not None
    assert matrix != opened(SAMPLES / "rotated.mp4").info.display_matrix
    shown = [
        ffmpeg_says.run("-i", path, "-frames:v", "1", "-f", "null", "-").stderr.decode()
        for path in (rich_mp4, written.path)
    ]
    sizes = [re.findall(r"wrapped_avframe.*? (\d+x\d+)", text) for text in shown]
    assert sizes[0] == sizes[1] == ["160x256"]  # turned by a player


@pytest.mark.fault(23, 24)
def test_what_mp4_does_not_take_is_named_before_the_first_frame(rich_mkv: Path, tmp_path: Path) -> None:
    plan = plan_copy(opened(rich_mkv).info, "mp4")
    assert len(plan.refused) == 1
    assert re.match(r"stream \d \(attachment .*\) does not go into mp4: it is left out", plan.refused[0])
    written = write(rich_mkv, tmp_path / "out.mp4")
    assert written.copy == plan
    streams = kind_and_flags(written.path)
    assert [line for line in streams if "Attachment" in line] == []
    assert sum("Audio: aac" in line for line in streams) == 2
    assert any("Video: png" in line and "(attached pic)" in line for line in streams)


@pytest.mark.fault(23)
def test_everything_in_a_rich_mkv_arrives(rich_mkv: Path, parts: Path, tmp_path: Path) -> None:
    written = write(rich_mkv, tmp_path / "out.mkv")
    assert written.copy.refused == ()
    for stream in ("0:a:0", "0:a:1", "0:s:0"):
        got, due = ffmpeg_says.packets(written.path, stream), ffmpeg_says.packets(rich_mkv, stream)
        assert got.contents == due.contents
        assert got.seconds == due.seconds
    assert lines(written.path) == [(0.2, 0.9, "Hello"), (1.0, 1.5, "World")]
    assert chapters(written.path) == [(0, 0.7, "One"), (0.7, 1.76, "Two")]
    described = ffmpeg_says.described(written.path)
    for tag in (r"title +: My clip", r"(?i)artist +: Me", r"(?i)customkey +: hello", r"title +: Kommentar"):
        assert re.search(tag, described), tag
    streams = kind_and_flags(written.path)
    assert any(line.startswith("(eng): Audio: aac") for line in streams)
    assert any(line.startswith("(deu): Audio: aac") and line.endswith("(comment)") for line in streams)
    assert picture_in(written.path) == picture_in(rich_mkv)
    fonts = tmp_path / "font"
    ffmpeg_says.run("-dump_attachment:t:0", fonts, "-i", written.path, check=False)
    assert fonts.read_bytes() == (parts / "lines.srt").read_bytes()
    assert re.search(r"filename +: f.ttf", described)


def picture_in(path: Path) -> list[tuple[int, str]]:
    """Size and hash of the cover, which the program lists behind the video."""
    return ffmpeg_says.packets(path, "0:v:1").contents


@pytest.mark.fault(4, 23)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_cover_stays_a_cover(covered_mp4: Path, suffix: str, tmp_path: Path) -> None:
    written = write(covered_mp4, tmp_path / f"out.{suffix}")
    assert picture_in(written.path) == picture_in(covered_mp4)
    assert "(attached pic)" in next(line for line in ffmpeg_says.streams(written.path) if "png" in line)
    assert written.copy.refused == ()
    assert bool(written.copy.notes) == (suffix != "mkv")
    assert "title=vidrain sample: full_range" in ffmpeg_says.metadata(written.path)


@pytest.mark.fault(24)
def test_mov_takes_neither_cover_nor_font(covered_mp4: Path, rich_mkv: Path, tmp_path: Path) -> None:
    written = write(covered_mp4, tmp_path / "out.mov")
    assert len(written.copy.refused) == 1
    assert written.copy.refused[0].startswith("stream 2 (video png) does not go into mov: it is left out")
    assert written.copy.notes == ()
    assert len(plan_copy(opened(rich_mkv).info, "mov").refused) == 2


@pytest.mark.fault(23, 24)
def test_timed_text_of_mp4_becomes_subrip_in_mkv(rich_mp4: Path, tmp_path: Path) -> None:
    written = write(rich_mp4, tmp_path / "out.mkv")
    assert (written.copy.kept, written.copy.converted, written.copy.refused) == ((1, 2), {3: "subrip"}, ())
    assert lines(written.path) == lines(rich_mp4)
    assert any(line.startswith("(ita): Subtitle: subrip") for line in kind_and_flags(written.path))
    assert chapters(written.path) == [(0, 0.7, "One"), (0.7, 1.76, "Two")]


@pytest.mark.fault(23)
def test_a_second_video_is_copied_and_said(tmp_path: Path) -> None:
    source = tmp_path / "two.mkv"
    ffmpeg_says.quietly(
        *("-i", SAMPLES / "full_range.mp4", "-i", SAMPLES / "rotated.mp4", "-map", "0:v", "-map", "1:v"),
        *("-c", "copy", source),
    )
    written = write(source, tmp_path / "out.mkv")
    assert written.copy.videos == {1: 1}
    assert ffmpeg_says.packets(written.path, "0:v:1").contents == ffmpeg_says.packets(source, "0:v:1").contents


def test_the_video_keeps_its_place_among_the_streams(tmp_path: Path) -> None:
    source = ffmpeg_says.remux(SAMPLES / "cut.mkv", tmp_path / "sound_first.mkv", "-map", "0:a", "-map", "0:v")
    written = write(source, tmp_path / "out.mkv")
    kinds = [re.search(r"(Audio|Video)", line) for line in ffmpeg_says.streams(written.path)]
    assert [kind and kind[1] for kind in kinds] == ["Audio", "Audio", "Video"]


def test_sound_from_a_transport_stream_loses_only_its_headers(tmp_path: Path) -> None:
    """MP4 keeps AAC without ADTS headers, as FFmpeg's own filter takes them off."""
    source = ffmpeg_says.remux(SAMPLES / "street.mp4", tmp_path / "in.ts", "-map", "0:v", "-map", "0:a")
    bare = ffmpeg_says.remux(source, tmp_path / "bare.mp4", "-map", "0:a")
    for suffix in ("mp4", "mkv"):
        written = write(source, tmp_path / f"out.{suffix}", kept=slice(6))
        assert ffmpeg_says.packets(written.path, "0:a").contents == ffmpeg_says.packets(bare, "0:a").contents


def test_tags_in_an_old_encoding_keep_their_bytes(tmp_path: Path) -> None:
    source = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "old.mkv", "-metadata", "artist=Mxlle")
    source.write_bytes(source.read_bytes().replace(b"Mxlle", b"M\xfcll\xe9"))
    written = write(source, tmp_path / "out.mkv", kept=slice(3))
    assert b"M\xfcll\xe9" in written.path.read_bytes()


class TestSpan:
    """A part of the video takes with it all that is heard and shown meanwhile, on the clock of the part."""

    @staticmethod
    def cut(source: Path, target: Path, kept: slice) -> tuple[Written, Span]:
        frames, base = decoded(source), opened(source).info.time_base
        end = frames[kept.stop].pts * base if kept.stop is not None else None
        start = frames[kept.start or 0].pts * base
        span = Span(start, end, start)
        return write(source, target, kept=kept, span=span), span

    @pytest.mark.parametrize("kept", [slice(10, 20), slice(0, 10), slice(20, None)], ids=str)
    @pytest.mark.parametrize("name", ["street.mp4", "vfr.mp4", "cut.mkv"])
    def test_overlapping_sound_is_kept_and_shifted(self, name: str, kept: slice, tmp_path: Path) -> None:
        source = SAMPLES / name
        written, span = self.cut(source, tmp_path / "out.mkv", kept)
        due = ffmpeg_says.packets(source, "0:a:0")
        expected = [
            (packet.size, packet.hash, packet.pts * due.time_base - span.shift)
            for packet in due.packets
            if (packet.pts + packet.duration) * due.time_base > span.start
            and (span.end is None or packet.pts * due.time_base < span.end)
        ]
        assert 0 < len(expected) < len(due.packets)
        got = ffmpeg_says.packets(written.path, "0:a:0")
        assert got.contents == [(size, digest) for size, digest, _ in expected]
        for seconds, (_, _, want) in zip(got.seconds, expected, strict=True):
            assert abs(seconds - want) <= Fraction(1, 1000)
        base = opened(source).info.time_base
        shown = zip(ffmpeg_says.shown_frames(written.path).seconds, decoded(source)[kept], strict=True)
        assert all(abs(seconds - frame.pts * base + span.shift) <= Fraction(1, 2000) for seconds, frame in shown)

    def test_in_mp4_sound_stays_in_step_with_the_picture(self, tmp_path: Path) -> None:
        """MP4 hides what sounds before the first frame by an edit list; the rest keeps its distance to the frames."""
        source = SAMPLES / "vfr.mp4"
        written, span = self.cut(source, tmp_path / "out.mp4", slice(8, 30))
        due = {packet.hash: packet.pts for packet in ffmpeg_says.packets(source, "0:a").packets}
        got = ffmpeg_says.packets(written.path, "0:a")
        assert len(got.packets) > 30
        for packet in got.packets:
            assert (
                packet.pts * got.time_base
                == due[packet.hash] * got.time_base - round(span.shift / got.time_base) * got.time_base
            )
        frames = decoded(source)[8:30]
        assert ffmpeg_says.shown_frames(written.path).pts == [frame.pts - frames[0].pts for frame in frames]

    def test_chapters_and_subtitles_are_cut_to_the_part(self, rich_mkv: Path, tmp_path: Path) -> None:
        written, _ = self.cut(rich_mkv, tmp_path / "out.mkv", slice(10, 30))  # 0.4 s to 1.2 s
        assert chapters(written.path) == [
            (0, pytest.approx(0.3), "One"),
            (pytest.approx(0.3), pytest.approx(0.8), "Two"),
        ]
        shown = lines(written.path)
        assert [text for _, _, text in shown] == ["Hello", "World"]
        assert shown[0][:2] == pytest.approx((0, 0.5))
        assert shown[1][0] == pytest.approx(0.6)

    def test_a_chapter_outside_is_left_out(self, rich_mkv: Path, tmp_path: Path) -> None:
        written, _ = self.cut(rich_mkv, tmp_path / "out.mkv", slice(20, None))
        assert chapters(written.path) == [(0, pytest.approx(0.96), "Two")]
        assert [text for _, _, text in lines(written.path)] == ["Hello", "World"]

    def test_the_cover_stays(self, covered_mp4: Path, tmp_path: Path) -> None:
        written, _ = self.cut(covered_mp4, tmp_path / "out.mp4", slice(5, 9))
        assert picture_in(written.path) == picture_in(covered_mp4)
