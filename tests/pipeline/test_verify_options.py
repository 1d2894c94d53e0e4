"""`vidrain verify` after `clean` with an option: the honest file passes, and each broken one is named."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import av
import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import wiped
from tests.pipeline.conftest import Verify, Vidrain
from tests.rich import KEPT
from vidrain.video.decode import open_video

REPAINTED = ("-c:v", "libx264", "-bf", "0", "-crf", "10", "-fps_mode", "passthrough", "-enc_time_base", "demux")


@pytest.fixture
def uneven(samples: Path, tmp_path: Path) -> Path:
    """Uneven times and sound; without the tag that the program never copies."""
    return copied(samples / "vfr.mp4", tmp_path / "uneven.mp4", "-metadata", "creation_time=")


def copied(good: Path, target: Path, *arguments: str | Path, first: tuple[str | Path, ...] = ()) -> Path:
    """A copy of `good` with `arguments`, times as they are."""
    flags = KEPT if target.suffix != ".mkv" else ()
    ffmpeg_says.quietly(*first, "-copyts", "-i", good, "-map", "0", "-c", "copy", *arguments, *flags, target)
    return target


def facts(found: dict[str, Any]) -> list[str]:
    """What differs, each fact once, in the order of the report."""
    return list(dict.fromkeys(difference["fact"] for difference in found["differences"]))


def explained(found: dict[str, Any], fact: str) -> str:
    """All that is explained of `fact`."""
    return "; ".join(item["message"] for item in found["explained"] if item["fact"] == fact)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_padding_is_explained_by_its_tag(
    suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify
) -> None:
    source = copied(samples / "odd.mp4", tmp_path / "odd.mp4", "-metadata", "creation_time=")
    padded = tmp_path / f"out.{suffix}"
    assert vidrain("clean", source, "-o", padded, "--codec", "h264", "-e", "bf=0", "--pad").code == 0
    found = verify(padded, source, "--full")
    assert (facts(found), found["exit_code"]) == ([], 0)
    assert found["changes"][0]["frames"] == found["frames_in"] == found["frames_out"]
    assert explained(found, "size") == "padded: 131x97 is stored as 132x98, the last row or column repeated"
    if suffix == "mkv":
        return  # the program moves its times
    bare = copied(padded, tmp_path / f"bare.{suffix}", "-metadata", "vidrain_crop=")
    assert (facts(verify(bare, source)), verify(bare, source)["exit_code"]) == (["size"], 5)
    lying = copied(padded, tmp_path / f"lying.{suffix}", "-metadata", "vidrain_crop=131x98")
    assert facts(verify(lying, source)) == ["size", "tag vidrain_crop"]
    larger = copied(padded, tmp_path / f"larger.{suffix}", *REPAINTED, "-vf", "pad=134:98")
    assert "size" in facts(verify(larger, source))
    last = found["frames_in"] - 1
    filters = f"shuffleframes={' '.join(str({6: last, last: 6}.get(place, place)) for place in range(last + 1))}"
    other = copied(padded, tmp_path / f"other.{suffix}", *REPAINTED, "-vf", filters)
    assert facts(verify(other, source)) == []
    flaws = facts(verify(other, source, "--full"))
    assert flaws
    assert all(flaw.startswith("picture") for flaw in flaws)


@pytest.mark.proves("verify --full")
@pytest.mark.parametrize(("start", "end"), [("0", "6"), ("8", "9")])
def test_rain_that_takes_contrast_is_no_other_tone(
    start: str, end: str, samples: Path, out: Path, vidrain: Vidrain, verify: Verify
) -> None:
    """Of every frame, where a range holds none but those that lose most: up to 10 %."""
    part = ("--start", start, "--end", end)
    assert vidrain("clean", samples / "vfr.mp4", "-o", out, *part).code == 0
    found = verify(out, samples / "vfr.mp4", "--full", *part)
    assert (facts(found), found["exit_code"]) == ([], 0)
    pale = copied(out, out.with_name("pale.mp4"), *REPAINTED, "-vf", "lutyuv=y=val*219/255+16")
    assert "picture tone" in facts(verify(pale, samples / "vfr.mp4", "--full", *part))


def test_a_cover_leaves_no_place_for_the_size(samples: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify) -> None:
    source, padded = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg_says.quietly("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", tmp_path / "cover.png")
    covered = ("-i", tmp_path / "cover.png", "-map", "0", "-map", "1", "-disposition:v:1", "attached_pic")
    ffmpeg_says.remux(samples / "odd.mp4", source, *covered)
    assert vidrain("clean", source, "-o", padded, "--pad").code == 0
    found = verify(padded, source, "--full")
    assert (facts(found), found["exit_code"]) == ([], 0)
    assert "padded" in explained(found, "size")


TEXT = """1
00:00:00,200 --> 00:00:00,700
Rain, <i>much</i> of it

2
00:00:00,500 --> 00:00:01,000
{\\an8}Over
lap

3
00:00:01,100 --> 00:00:01,400
Dry
"""


@pytest.mark.parametrize(
    ("codec", "own", "suffix"),
    [("srt", "mkv", "mp4"), ("ass", "mkv", "mov"), ("webvtt", "mkv", "mp4"), ("mov_text", "mp4", "mkv")],
)
def test_text_that_was_converted_is_compared_line_by_line(
    codec: str, own: str, suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify
) -> None:
    source, output = tmp_path / f"in.{own}", tmp_path / f"out.{suffix}"

    def subtitled(text: str, video: Path, target: Path, codec: str) -> Path:
        (tmp_path / "lines.srt").write_text(text)
        both = ("-map", "0:v", "-map", "0:a?", "-map", "1:s", "-metadata:s:s", "language=ita", "-c", "copy")
        tags = ("-map_metadata", "0", *KEPT) if target.suffix != ".mkv" else ()
        ffmpeg_says.quietly("-copyts", "-i", video, "-i", tmp_path / "lines.srt", *both, "-c:s", codec, *tags, target)
        return target

    subtitled(TEXT, samples / "vfr.mp4", source, codec)
    assert vidrain("clean", source, "-o", output).code == 0
    found = verify(output, source, "--full")
    assert (facts(found), found["exit_code"]) == ([], 0)
    lines = 3 if codec == "mov_text" else 4  # the program leaves overlapping lines as they are, MP4 cuts the first
    assert f"{lines} lines; styling may be lost" in explained(found, "stream")
    if suffix == "mkv":
        return  # the program moves its times
    taken = "mov_text"
    broken = {
        "line text": TEXT.replace("Dry", "Wet"),
        "line times": TEXT.replace("00:00:01,100", "00:00:01,103"),
        "lines": TEXT[: TEXT.index("3\n00:00:01")],
    }
    for fact, text in broken.items():
        one_by_one = one_line_at_a_time(text)
        other = subtitled(one_by_one, output, tmp_path / f"{fact.replace(' ', '_')}.{suffix}", taken)
        assert fact in facts(verify(other, source)), fact
        assert verify(other, source)["exit_code"] == 5
    again = subtitled(one_line_at_a_time(TEXT), output, tmp_path / f"again.{suffix}", taken)
    assert not {*broken} & {*facts(verify(again, source))}


def one_line_at_a_time(text: str) -> str:
    """The text as MP4 shows it, where two of its lines overlap."""
    first, second, *rest = text.split("\n\n")
    said, other = (part.split("\n", 2)[2] for part in (first, second))
    pieces = [
        ("00:00:00,200 --> 00:00:00,500", said),
        ("00:00:00,500 --> 00:00:00,700", f"{said}\n{other}"),
        ("00:00:00,700 --> 00:00:01,000", other),
    ]
    head = [f"{number}\n{time}\n{words}" for number, (time, words) in enumerate(pieces, start=1)]
    return "\n\n".join([*head, *rest])


@pytest.mark.proves("verify --cfr")
@pytest.mark.parametrize("options", [(), ("--start", "7", "--end", "30"), ("--start", "7", "--keep-pts")])
@pytest.mark.parametrize(("rate", "suffix"), [("25", "mp4"), ("60", "mkv"), ("30000/1001", "mov")])
def test_a_constant_rate_is_checked_place_by_place(
    rate: str, suffix: str, options: tuple[str, ...], uneven: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify
) -> None:
    source, even = uneven, tmp_path / f"out.{suffix}"
    assert vidrain("clean", source, "-o", even, "--cfr", rate, "-e", "bf=0", *options).code == 0
    found = verify(even, source, "--full", "--cfr", rate, *options)
    assert (facts(found), found["exit_code"]) == ([], 0)
    assert found["frames_in"] == found["frames_out"] == found["changes"][0]["frames"] == len(open_video(even).index.pts)
    unsaid = verify(even, source, *options)
    assert (unsaid["exit_code"], {*facts(unsaid)} <= {"frames", "times", "duration"}) == (5, True)
    assert "--cfr" in unsaid["differences"][0]["try"]
    assert verify(even, source, "--cfr", "24", *options)["exit_code"] == 5
    if suffix == "mkv":
        return  # the program moves its times
    last = found["frames_out"] - 1
    order = " ".join(str({5: 12, last - 3: last - 9}.get(place, place)) for place in range(last + 1))
    other = copied(even, tmp_path / f"other.{suffix}", *REPAINTED, "-vf", f"shuffleframes={order}")
    assert facts(verify(other, source, "--cfr", rate, *options)) == []
    flaws = facts(verify(other, source, "--full", "--cfr", rate, *options))
    assert flaws
    assert all(flaw.startswith("picture") for flaw in flaws)
    late = copied(even, tmp_path / f"late.{suffix}", "-bsf:v", "setts=ts=if(eq(N\\,5)\\,PTS+1\\,PTS)")
    assert facts(verify(late, source, "--cfr", rate, *options)) == ["times"]
    less = copied(even, tmp_path / f"less.{suffix}", "-bsf:v", "noise=drop=eq(n\\,9)")
    assert "place 9 (frame" in verify(less, source, "--cfr", rate, *options)["differences"][0]["where"]


@pytest.fixture
def camera(tmp_path: Path, samples: Path) -> Path:
    """Two videos with sound, the second of odd size."""
    ffmpeg_says.quietly(
        *("-copyts", "-i", samples / "vfr.mp4", "-i", samples / "odd.mp4", "-map", "0:v", "-map", "0:a"),
        *("-map", "1:v", "-c", "copy", "-metadata:s:v:1", "handler_name=Rear", *KEPT, tmp_path / "camera.mp4"),
    )
    return tmp_path / "camera.mp4"


@pytest.mark.proves("verify --video")
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_the_video_that_was_cleaned_is_named(
    suffix: str, camera: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify
) -> None:
    for chosen in ("0", "1", "all"):
        output = tmp_path / f"out{chosen}.{suffix}"
        assert vidrain("clean", camera, "-o", output, "--video", chosen, "--pad").code == 0
        found = verify(output, camera, "--full", "--video", chosen)
        assert (facts(found), found["exit_code"]) == ([], 0)
        assert [change["video"] for change in found["changes"]] == ([0, 1] if chosen == "all" else [int(chosen)])
        assert any("second video" in name for name in found["same_streams"]) == (chosen != "all")
        for other in {"0", "1", "all"} - {chosen}:
            wrong = verify(output, camera, "--video", other)
            if (chosen, other) != ("0", "all") and (chosen, other) != ("1", "all"):
                assert wrong["exit_code"] == 5
                assert {*facts(wrong)} & {"bytes", "packets", "codec"}
    short = copied(tmp_path / f"outall.{suffix}", tmp_path / f"short.{suffix}", "-map", "-0:v:1")
    assert verify(short, camera, "--video", "all")["exit_code"] == 5
    swapped = tmp_path / f"swapped.{suffix}"
    streams = ("-map", "0:v:0", "-map", "0:a", "-map", "0:v:1", "-c", "copy")
    filters = ("-c:v:1", "libx264", "-crf", "10", "-filter:v:1", "lutyuv=y=val+9", "-fps_mode:v:1", "passthrough")
    both = ("-copyts", "-i", tmp_path / f"outall.{suffix}", *streams, *filters, "-enc_time_base:v:1", "demux")
    ffmpeg_says.quietly(*both, *(KEPT if suffix == "mp4" else ()), swapped)
    found = verify(swapped, camera, "--full", "--video", "all")
    tones = [item["where"] for item in found["differences"] if item["fact"] == "picture tone"]
    assert [where.split(",")[0] for where in tones] == ["video 1"]


def test_a_part_of_one_of_several_videos(camera: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify) -> None:
    part = ("--start", "3", "--end", "20", "--video", "1")
    assert vidrain("clean", camera, "-o", tmp_path / "part.mp4", "--pad", *part).code == 0
    found = verify(tmp_path / "part.mp4", camera, "--full", *part)
    assert (facts(found), found["exit_code"]) == ([], 0)
    assert "another video, which cannot be cut" in explained(found, "stream")
    for wrong in (("--video", "2"), ("--video", "x"), ("--video", "all", "--start", "3")):
        ran = vidrain("verify", tmp_path / "part.mp4", "--against", camera, *wrong)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("chosen", ["repeat", "drop"])
@pytest.mark.parametrize("rate", [(), ("--cfr", "30")])
def test_frames_that_the_source_lost_are_explained(
    chosen: str, rate: tuple[str, ...], samples: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify
) -> None:
    coded, output = tmp_path / "coded.mov", tmp_path / "out.mp4"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-c:v", "mjpeg", "-q:v", "2", "-c:a", "copy", coded)
    source = wiped(coded, tmp_path / "damaged.mov", range(10, 16))
    assert vidrain("clean", source, "-o", output, "--on-bad-frame", chosen, "-e", "bf=0", *rate).code == 4
    found = verify(output, source, "--full", *rate)
    assert (facts(found), found["exit_code"]) == ([], 4)
    assert found["missing"] == [[pytest.approx(0.4), pytest.approx(0.64)]]
    concealed = chosen == "repeat" or bool(rate)
    assert ("cannot be decoded; OUT has pictures in their place" in explained(found, "frames")) == concealed
    less = copied(output, tmp_path / "less.mp4", "-bsf:v", "noise=drop=eq(n\\,20)")
    assert (facts(verify(less, source, *rate)), verify(less, source, *rate)["exit_code"]) == (["frames"], 5)
    assert verify(output, coded, "--full", *rate)["exit_code"] == 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_times_below_zero_are_moved_up_to_it(
    suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify
) -> None:
    """Half a second before the clock of a transport stream starts anew: FFmpeg counts that as before zero."""
    output = tmp_path / f"out.{suffix}"
    shift = ("-output_ts_offset", str((2**33 - 45_000) / 90_000), "-muxdelay", "0", "-muxpreload", "0")
    source = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "wrap.ts", "-map", "0", *shift)
    begins = float(open_video(source).index.pts[0] * open_video(source).info.time_base)
    assert begins < 0
    assert vidrain("clean", source, "-o", output, "-e", "bf=0").code == 0
    found = verify(output, source, "--full")
    assert (facts(found), found["exit_code"]) == ([], 0)
    assert f"IN begins at {begins:.3f} s" in explained(found, "times")
    with av.open(output) as file:
        ticks = round(1 / file.streams.video[0].time_base / 50) if file.streams.video[0].time_base else 0
    late = copied(output, tmp_path / f"late.{suffix}", "-bsf:v", f"setts=ts=PTS+{ticks}")
    assert "times" in facts(verify(late, source))
    assert verify(late, source)["exit_code"] == 5


def test_another_pixel_format_stays_a_difference(
    samples: Path, tmp_path: Path, vidrain: Vidrain, verify: Verify
) -> None:
    source, output = samples / "street.mp4", tmp_path / "out.mp4"
    assert vidrain("clean", source, "-o", output, "--pix-fmt", "yuv444p", "--end", "5").code == 0
    found = verify(output, source, "--full", "--end", "5")
    assert (facts(found), found["exit_code"]) == (["pixel format"], 5)
    assert "without --pix-fmt" in found["differences"][0]["try"]


@pytest.mark.parametrize(
    ("options", "coded", "edge"),
    [
        (("--archive",), ("-c:v", "ffv1"), "fillborders=right=1:bottom=1:mode=reflect"),
        (("--codec", "h264"), REPAINTED, "fillborders=right=1:bottom=1:mode=fixed:color=gray"),
    ],
)
def test_padding_is_the_last_row_and_column_again(
    options: tuple[str, ...],
    coded: tuple[str, ...],
    edge: str,
    samples: Path,
    tmp_path: Path,
    vidrain: Vidrain,
    verify: Verify,
) -> None:
    """To the code where nothing is lost; in a lossy codec as far as a stripe of its own goes."""
    source, padded = tmp_path / "odd.mp4", tmp_path / "padded.mp4"
    copied(samples / "odd.mp4", source, "-metadata", "creation_time=")
    assert vidrain("clean", source, "-o", padded, "--pad", *options).code == 0
    assert facts(verify(padded, source, "--full")) == []
    other = copied(padded, tmp_path / "other.mp4", *coded, "-vf", edge)
    found = verify(other, source, "--full")
    assert facts(found) == ["padding"]
    assert found["differences"][0]["where"] == "frame 0, 1, 2 and 13 more of OUT"
    assert "--pad" in found["differences"][0]["try"]


def test_progress_of_a_full_comparison(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """Events come before the result, which stays the last line and as it is without them."""
    source, output = samples / "full_range.mp4", tmp_path / "out.mp4"
    vidrain("clean", source, "-o", output)
    ran = vidrain("verify", output, "--against", source, "--json", "--full")
    plan, *progress, result = ran.events
    assert (plan["event"], plan["source"], plan["frames"]) == ("verify_plan", str(source), 28)
    assert {each["event"] for each in progress} == {"progress"}
    assert (progress[-1]["frames"], progress[-1]["total"], progress[-1]["eta_s"]) == (28, 28, 0)
    assert all(each["fps"] > 0 for each in progress)
    assert (result["full"], result["exit_code"], "event" in result) == (True, 0, False)
    quick = vidrain("verify", output, "--against", source, "--json")
    assert [each["full"] for each in quick.events] == [False]


def test_the_bar_goes_to_the_terminal_and_the_result_into_the_file(samples: Path, tmp_path: Path) -> None:
    """While a bar is there, what is printed would go to its terminal."""
    source, output = samples / "full_range.mp4", tmp_path / "out.mp4"
    package.clean(source, output)
    ours, theirs = os.openpty()
    command = [sys.executable, "-m", "vidrain", "verify", output, "--against", source, "--full"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        shown = b""
        with suppress(OSError):  # of Linux, where nobody has the other end any more
            while piece := os.read(ours, 1 << 16):
                shown += piece
        said, _ = process.communicate()
    os.close(ours)
    assert process.returncode == 0
    assert said.startswith(f"{output} against {source}: the same in all but the picture\n")
    assert b"comparing" in shown
    assert b"28/28" in shown
    assert b"frames/s" in shown
    assert b"against" not in shown
