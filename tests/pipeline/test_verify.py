"""`vidrain verify`: a good file passes, and of every file with one fact broken that fact is named, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import cut, index_in_front, zeroed
from tests.pipeline.conftest import Verify, Vidrain
from tests.rich import KEPT, METADATA
from tests.rich import rich as made_rich
from tests.round_trip import SAMPLES, write
from vidrain.video.encoder import EncodeOptions

WHOLE = ("-map", "0:v", "-map", "0:a", "-map", "0:s")
# The picture anew, everything else as it is.
REPAINTED = ("-c", "copy", "-c:v", "libx264", "-bf", "0", "-crf", "10", "-fps_mode", "passthrough")


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One of everything: two sound tracks, subtitles, chapters, tags, rotation, aspect ratio, a late start."""
    return made_rich(SAMPLES / "vfr.mp4", tmp_path_factory.mktemp("rich") / "rich.mp4")


@pytest.fixture(scope="module")
def good(rich: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Written as `clean` writes, with nothing taken out; packets in the order of the frames."""
    target = tmp_path_factory.mktemp("good") / "good.mp4"
    return write(rich, target, EncodeOptions(codec="h264", options={"bf": "0"})).path


def changed(good: Path, target: Path, *arguments: str | Path, first: tuple[str, ...] = ()) -> Path:
    """A copy of `good` with `arguments`, times as they are."""
    ffmpeg_says.quietly(*first, "-copyts", "-i", good, *WHOLE, "-c", "copy", *arguments, *KEPT, target)
    return target


def facts(found: dict[str, Any]) -> list[str]:
    """What differs, in the order of the report."""
    return [difference["fact"] for difference in found["differences"]]


def each(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    """Every way to break every fact."""
    return [(fact, way) for fact, ways in table.items() for way in ways]


def ids(table: dict[str, list[Any]]) -> list[str]:
    """`frames-1` for the first way to break the number of frames."""
    return [f"{fact}-{number}" for fact, ways in table.items() for number, _ in enumerate(ways, start=1)]


@pytest.mark.proves("verify --json")
@pytest.mark.parametrize("how", [(), ("--full",)])
def test_an_unbroken_copy_is_the_same(
    how: tuple[str, ...], rich: Path, good: Path, tmp_path: Path, verify: Verify
) -> None:
    """So that the others fail for what was done to them, not for having been copied."""
    for output in (good, changed(good, tmp_path / "copy.mp4")):
        found = verify(output, rich, *how)
        assert (facts(found), found["exit_code"]) == ([], 0)
        assert (found["frames_in"], found["frames_out"], found["largest_time_error"]) == (36, 36, 0)
        assert [name.split(" (")[0] for name in found["same_streams"]] == ["stream 1", "stream 2", "stream 3"]


# What is broken by copying: the packets, or what stands beside them.
COPIED = {
    "frames": [
        ("-bsf:v", "noise=drop=eq(n\\,20)"),
        ("-bsf:v", "noise=drop=eq(n\\,35)"),
        ("-bsf:v", "noise=drop=lt(n\\,1)"),
    ],
    "times": [("-bsf:v", "setts=ts=if(eq(N\\,5)\\,PTS+1\\,PTS)"), ("-bsf:v", "setts=ts=PTS+1")],
    "duration": [("-bsf:v", "setts=ts=PTS:duration=if(eq(N\\,35)\\,9*DURATION\\,DURATION)")],
    "sample aspect ratio": [("-aspect", "8:5")],
    "size": [("-bsf:v", "h264_metadata=crop_right=2")],
    "colour matrix": [
        ("-bsf:v", "h264_metadata=matrix_coefficients=6"),
        ("-bsf:v", "h264_metadata=matrix_coefficients=2"),
    ],
    "colour primaries": [("-bsf:v", "h264_metadata=colour_primaries=9")],
    "colour transfer": [("-bsf:v", "h264_metadata=transfer_characteristics=16")],
    "colour range": [("-bsf:v", "h264_metadata=video_full_range_flag=1")],
    "packets": [("-bsf:a:0", "noise=drop=eq(n\\,20)")],
    "bytes": [("-bsf:a:1", "noise=amount=-1"), ("-c:a:1", "aac", "-b:a:1", "32k")],
    "packet times": [("-bsf:a:0", "setts=ts=PTS+480"), ("-bsf:s", "setts=ts=PTS+250000")],
    "language": [("-metadata:s:a:1", "language=swe")],
    "disposition": [("-disposition:a:1", "0"), ("-disposition:s:0", "forced")],
    "tag handler_name": [("-metadata:s:a:0", "handler_name=Somebody")],
    "tag place": [("-metadata", "place=Oslo"), ("-metadata", "place=")],
    "tag title": [("-metadata", "title=A run")],
    "tag artist": [("-metadata", "artist=Nobody")],
    "chapters": [("-map_chapters", "-1")],
}


@pytest.mark.proves("exit 5")
@pytest.mark.parametrize(("fact", "damage"), each(COPIED), ids=ids(COPIED))
def test_one_fact_broken_by_copying(
    fact: str, damage: tuple[str, ...], rich: Path, good: Path, tmp_path: Path, verify: Verify
) -> None:
    found = verify(changed(good, tmp_path / "broken.mp4", *damage), rich)
    assert (facts(found), found["exit_code"]) == ([fact], 5)


@pytest.mark.parametrize("angle", ["0", "-90", "180"])
def test_another_rotation(angle: str, rich: Path, good: Path, tmp_path: Path, verify: Verify) -> None:
    found = verify(changed(good, tmp_path / "turned.mp4", first=("-display_rotation", angle)), rich)
    assert facts(found) == ["rotation"]


@pytest.mark.parametrize(
    ("wanted", "missing"),
    [
        (("-map", "0:v", "-map", "0:a:0", "-map", "0:s"), "stream 2 (audio aac, nor)"),
        (("-map", "0:v", "-map", "0:a:1", "-map", "0:s"), "stream 1 (audio aac, eng)"),
        (("-map", "0:v", "-map", "0:a"), "stream 3 (subtitle mov_text, eng)"),
    ],
)
def test_a_stream_that_is_missing(
    wanted: tuple[str, ...], missing: str, rich: Path, good: Path, tmp_path: Path, verify: Verify
) -> None:
    ffmpeg_says.quietly("-copyts", "-i", good, *wanted, "-c", "copy", *KEPT, tmp_path / "less.mp4")
    found = verify(tmp_path / "less.mp4", rich)
    lacking = [difference["where"] for difference in found["differences"] if difference["fact"] == "stream"]
    assert (lacking, found["exit_code"]) == ([missing], 5)
    assert set(facts(found)) <= {"stream", "disposition"}  # the muxer calls the only sound track the default one


def test_a_stream_too_many_and_two_swapped(rich: Path, good: Path, tmp_path: Path, verify: Verify) -> None:
    ffmpeg_says.quietly("-copyts", "-i", good, *WHOLE, "-map", "0:a:1", "-c", "copy", *KEPT, tmp_path / "more.mp4")
    found = verify(tmp_path / "more.mp4", rich)
    assert [(item["fact"], item["source"]) for item in found["differences"]] == [("stream", "none")]
    order = ("-map", "0:v", "-map", "0:a:1", "-map", "0:a:0", "-map", "0:s")
    ffmpeg_says.quietly("-copyts", "-i", good, *order, "-c", "copy", *KEPT, tmp_path / "swapped.mp4")
    assert {"language", "bytes"} <= {*facts(verify(tmp_path / "swapped.mp4", rich))}


@pytest.mark.parametrize(("tags", "fact"), [("title=Two\n", "chapter title"), ("END=1700\n", "chapter times")])
def test_another_chapter(tags: str, fact: str, rich: Path, good: Path, tmp_path: Path, verify: Verify) -> None:
    other = {"title=Two\n": "title=Three\n", "END=1700\n": "END=1600\n"}[tags]
    (tmp_path / "tags.txt").write_text(METADATA.replace(tags, other))
    ffmpeg_says.quietly(
        *("-copyts", "-i", good, "-i", tmp_path / "tags.txt", *WHOLE, "-map_chapters", "1", "-c", "copy"),
        *KEPT,
        tmp_path / "other.mp4",
    )
    found = verify(tmp_path / "other.mp4", rich)
    assert facts(found) == [fact]
    assert found["differences"][0]["where"] == "chapter 2"


def shuffled(**moves: int) -> str:
    """A filter that shows at place i the frame `moves["_i"]`."""
    places = [str(moves.get(f"_{place}", place)) for place in range(36)]
    return f"shuffleframes={' '.join(places)}"


# What only the pictures tell.
PAINTED = {
    "picture order": [shuffled(_20=21, _21=20), shuffled(_20=19), shuffled(_9=12), shuffled(_30=3)],
    "picture": ["drawbox=x=100:y=50:w=60:h=40:color=white:t=fill:enable=eq(n\\,30)"],
    "picture tone": ["lutyuv=y=val*219/255+16", "lutyuv=y=(val-16)*255/219", "lutyuv=y=val+9"],
    "picture colour": ["lutyuv=u=val+8", "swapuv"],
    "picture place": ["crop=254:160:2:0,pad=256:160", "crop=256:158:0:2,pad=256:160"],
}


@pytest.mark.proves("verify --full")
@pytest.mark.parametrize(("fact", "filters"), each(PAINTED), ids=ids(PAINTED))
def test_another_picture(fact: str, filters: str, rich: Path, good: Path, tmp_path: Path, verify: Verify) -> None:
    first = ("-noautorotate",)
    broken = changed(good, tmp_path / "broken.mp4", *REPAINTED, "-enc_time_base", "demux", "-vf", filters, first=first)
    assert facts(verify(broken, rich)) == []
    found = verify(broken, rich, "--full")
    assert (facts(found), found["exit_code"]) == ([fact], 5)


def test_the_same_pictures_encoded_once_more_pass(rich: Path, good: Path, tmp_path: Path, verify: Verify) -> None:
    """So that the others fail for the filter."""
    arguments = (*REPAINTED, "-enc_time_base", "demux", "-vf", "null")
    again = changed(good, tmp_path / "again.mp4", *arguments, first=("-noautorotate",))
    found = verify(again, rich, "--full")
    assert (facts(found), found["exit_code"]) == ([], 0)


def test_a_picture_that_does_not_decode(rich: Path, good: Path, tmp_path: Path, verify: Verify) -> None:
    with av.open(good) as file:
        packet = [packet for packet in file.demux(video=0) if packet.size][20]
    assert packet.pos is not None
    broken = zeroed(good, tmp_path / "broken.mp4", packet.pos + 8, packet.pos + packet.size)
    assert verify(broken, rich)["exit_code"] == 0
    assert verify(broken, rich, "--full")["exit_code"] == 5


@pytest.mark.proves("verify --start", "verify --end", "verify --keep-pts")
def test_a_range_is_checked_as_a_range(rich: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify) -> None:
    limits, kept = ("--start", "9", "--end", "20"), tmp_path / "kept.mp4"
    assert vidrain("clean", rich, "-o", tmp_path / "part.mp4", *limits).code == 0
    assert vidrain("clean", rich, "-o", kept, *limits, "--keep-pts").code == 0
    for output, options in ((tmp_path / "part.mp4", limits), (kept, (*limits, "--keep-pts"))):
        found = verify(output, rich, *options, "--full")
        assert (facts(found), found["frames_out"]) == ([], 11)
    assert "times" in facts(verify(kept, rich, *limits))
    assert "frames" in facts(verify(kept, rich, "--start", "9", "--keep-pts"))
    assert "frames" in facts(verify(kept, rich, "--end", "20", "--keep-pts"))
    late = verify(tmp_path / "part.mp4", rich, "--start", "10", "--end", "21", "--full")
    assert "picture order" in facts(late)


@pytest.mark.parametrize("suffix", [".mkv", ".mov"])
@pytest.mark.parametrize("sample", ["vfr.mp4", "odd.mp4", "cut.mkv", "rotated.mp4", "tenbit.mp4", "full_range.mp4"])
def test_what_the_container_makes_necessary_is_explained(
    sample: str, suffix: str, tmp_path: Path, verify: Verify
) -> None:
    output = write(SAMPLES / sample, tmp_path / f"out{suffix}").path
    found = verify(output, SAMPLES / sample, "--full")
    assert (facts(found), found["exit_code"]) == ([], 0)
    explained = {(item["fact"], "millisecond" in item["message"]) for item in found["explained"]}
    assert (("times", True) in explained) == (sample == "vfr.mp4" and suffix == ".mkv")
    assert any(item["fact"] == "pixel format" for item in found["explained"]) == (
        sample == "odd.mp4" and suffix == ".mov"  # FFV1, which Matroska takes, stores odd sizes as they are
    )


@pytest.mark.fault(24)
def test_a_stream_that_the_container_refuses_is_explained(tmp_path: Path, verify: Verify) -> None:
    source = ffmpeg_says.remux(
        SAMPLES / "odd.mp4", tmp_path / "in.mkv", "-map", "0", "-attach", SAMPLES / "README.md",
        *("-metadata:s:t", "mimetype=text/plain"),
    )  # fmt: skip
    found = verify(write(source, tmp_path / "out.mp4").path, source)
    assert (facts(found), found["exit_code"]) == ([], 0)
    assert any("attachment" in item["message"] for item in found["explained"])
    without = ffmpeg_says.remux(tmp_path / "out.mp4", tmp_path / "out.mkv", "-map", "0")
    assert "stream" in facts(verify(without, source))  # Matroska would take it


@pytest.mark.fault(6)
@pytest.mark.proves("exit 4")
def test_what_the_source_itself_has_lost(samples: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify) -> None:
    whole = index_in_front(samples / "full_range.mp4", tmp_path / "whole.mp4")
    short = cut(whole, tmp_path / "short.mp4", whole.stat().st_size * 6 // 10)
    assert vidrain("clean", short, "-o", tmp_path / "out.mp4").code == 4
    for how in ((), ("--full",)):
        found = verify(tmp_path / "out.mp4", short, *how)
        assert (facts(found), found["exit_code"]) == ([], 4)
        assert found["missing"][-1][1] == pytest.approx(1.12)
    found = verify(tmp_path / "out.mp4", whole)
    assert (found["exit_code"], "frames" in facts(found)) == (5, True)


def test_an_output_that_was_cut_is_damaged(good: Path, rich: Path, tmp_path: Path, verify: Verify) -> None:
    whole = tmp_path / "whole.mp4"
    ffmpeg_says.quietly("-copyts", "-i", good, *WHOLE, "-c", "copy", *KEPT[:3], "+faststart+use_metadata_tags", whole)
    assert facts(verify(whole, rich)) == []
    found = verify(cut(whole, tmp_path / "short.mp4", whole.stat().st_size * 7 // 10), rich)
    assert found["exit_code"] == 5
    assert {"damage", "frames"} <= {*facts(found)}


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cover_picture_is_compared_by_its_bytes(suffix: str, tmp_path: Path, verify: Verify) -> None:
    for name, color in (("red", "red"), ("blue", "blue")):
        ffmpeg_says.quietly("-f", "lavfi", "-i", f"color={color}:s=32x32", "-frames:v", "1", tmp_path / f"{name}.png")
    covered = {
        name: ffmpeg_says.remux(
            SAMPLES / "odd.mp4",
            tmp_path / f"{name}.mp4",
            *("-i", tmp_path / f"{name}.png", "-map", "0", "-map", "1", "-disposition:v:1", "attached_pic"),
        )
        for name in ("red", "blue")
    }
    output = write(covered["red"], tmp_path / f"out{suffix}").path
    assert facts(verify(output, covered["red"])) == []
    assert facts(verify(output, covered["blue"])) == ["bytes"]
    assert "stream" in facts(verify(output, SAMPLES / "odd.mp4"))


@pytest.mark.fault(1)
def test_what_cannot_be_read(good: Path, rich: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    for output, source in ((tmp_path / "none.mp4", rich), (good, tmp_path / "none.mp4")):
        ran = vidrain("verify", output, "--against", source)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    ran = vidrain("verify", good, "--against", rich, "--start", "99")
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


@pytest.mark.proves("verify", "verify OUT", "verify --against")
def test_a_finding_is_one_line_that_says_what_to_try(rich: Path, good: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    broken = changed(good, tmp_path / "broken.mp4", "-metadata:s:a:1", "language=swe", "-metadata", "place=a\nb")
    ran = vidrain("verify", broken, "--against", rich)
    lines = [line for line in ran.out.splitlines() if line.startswith("  differs ")]
    assert len(lines) == 2
    assert "'nor' in IN, 'swe' in OUT; " in lines[0]
    assert ran.out.startswith(f"{broken} against {rich}: 2 facts differ")
    assert all(line.isprintable() for line in ran.out.splitlines())


def test_from_python(rich: Path, good: Path) -> None:
    found = package.verify_against(good, rich, full=True)
    assert (found.exit_code, found.differences, found.frames_out) == (0, (), 36)
    ((_, change),) = found.changes
    assert 0 < change.mean < 1
