"""Faults of sources in several segments, killed by kill -9 in the middle: the same command ends as an unbroken run.

What can be gone on from is, in front of what is damaged; what begins anew was said to.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import cut, index_in_front, zeroed
from tests.killed import LENGTH
from tests.pipeline.conftest import Ran, Vidrain
from tests.spoiled import Spoiled
from tests.stopped import outputs, resumed, stopped_at
from vidrain import pipeline
from vidrain.config import plain
from vidrain.job import CleanOptions
from vidrain.segments.folder import folder_of
from vidrain.video.decode import Video

pytestmark = pytest.mark.usefixtures("short_segments")

ROOT = Path(__file__).resolve().parents[2]
KILLED = 2 * LENGTH + 2  # frames: two segments are finished by then


def one_piece(samples: Path, folder: Path) -> Path:
    """Of 56 frames without B-frames, a key frame every ten, the index in front: damage at its end is not decoded yet
    when the first segments are put down."""
    coded, twice = folder / "coded.mp4", ("-stream_loop", "1")
    how = ("-c:v", "libx264", "-bf", "0", "-x264-params", "keyint=10:min-keyint=10:scenecut=0", "-c:a", "copy")
    ffmpeg_says.quietly(*twice, "-i", samples / "full_range.mp4", *how, coded)
    return index_in_front(coded, folder / "whole.mp4")


def cut_in_front(samples: Path, folder: Path) -> Path:
    whole = one_piece(samples, folder)
    return cut(whole, folder / "cut.mp4", whole.stat().st_size * 9 // 10)


def cut_matroska(samples: Path, folder: Path) -> Path:
    whole = ffmpeg_says.remux(one_piece(samples, folder), folder / "whole.mkv", "-map", "0")
    return cut(whole, folder / "cut.mkv", whole.stat().st_size * 9 // 10)


def cut_stream(samples: Path, folder: Path) -> Path:
    whole = ffmpeg_says.remux(one_piece(samples, folder), folder / "whole.ts", "-map", "0")
    return cut(whole, folder / "cut.ts", whole.stat().st_size * 9 // 10 // 188 * 188 + 94)


def zeros_behind(samples: Path, folder: Path) -> Path:
    whole = one_piece(samples, folder)
    return zeroed(whole, folder / "zeros.mp4", whole.stat().st_size * 9 // 10)


def between_key_frames(samples: Path, folder: Path) -> Path:
    drop = ("-bsf:v", "noise=drop='lt(n,4)'", "-copyts")
    return ffmpeg_says.remux(one_piece(samples, folder), folder / "late.mkv", "-map", "0", *drop)


def behind_the_end(samples: Path, folder: Path) -> Path:
    """The last chunk of the video is said to lie there."""
    data = bytearray(one_piece(samples, folder).read_bytes())
    table = data.index(b"stco") + 8
    last = table + 4 * int.from_bytes(data[table : table + 4], "big")
    data[last : last + 4] = (2 * len(data)).to_bytes(4, "big")
    source = folder / "behind.mp4"
    source.write_bytes(data)
    return source


def more_promised(samples: Path, folder: Path) -> Path:
    source = folder / "more.avi"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-c:v", "mpeg4", "-q:v", "4", "-c:a", "mp3", source)
    data = bytearray(source.read_bytes())
    data[48:52] = (431).to_bytes(4, "little")  # dwTotalFrames
    source.write_bytes(data)
    return source


def another_size(samples: Path, folder: Path) -> Path:
    """From frame 20 on."""
    parts = []
    for size in ("128x96", "96x128"):
        part = folder / f"{size}.h264"
        made = ("-f", "lavfi", "-i", f"testsrc2=s={size}:r=25", "-frames:v", "20", "-c:v", "libx264", "-bf", "0")
        ffmpeg_says.quietly(*made, "-pix_fmt", "yuv420p", part)
        parts.append(part.read_bytes())
    joined, source = folder / "joined.h264", folder / "joined.ts"
    joined.write_bytes(b"".join(parts))
    ffmpeg_says.quietly("-r", "25", "-i", joined, "-c", "copy", source)
    return source


def text_to_convert(samples: Path, folder: Path) -> Path:
    text, source = folder / "lines.srt", folder / "spoken.mkv"
    text.write_text("1\n00:00:00,100 --> 00:00:00,300\nrain\n\n2\n00:00:00,700 --> 00:00:00,900\nmore\n")
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-i", text, "-map", "0", "-map", "1", "-c", "copy", source)
    return source


class Case(NamedTuple):
    """A source, how its job ends, from which frame on it goes on, options, and what the output is called."""

    make: Callable[[Path, Path], Path]
    code: int
    kept: int = 2 * LENGTH
    options: CleanOptions = CleanOptions()
    name: str = "out.mp4"


CASES = {
    "6 index in front, cut": Case(cut_in_front, 4),
    "7 matroska, cut": Case(cut_matroska, 4),
    "7 transport stream, cut": Case(cut_stream, 4),
    "8 zeros behind": Case(zeros_behind, 4),
    "10 between key frames": Case(between_key_frames, 4, 0),
    "11 behind the end": Case(behind_the_end, 4),
    "12 more promised": Case(more_promised, 0),
    "18 another size": Case(another_size, 3),
    "18 what comes before": Case(another_size, 0, options=CleanOptions(end="20")),
    "24 text to convert": Case(text_to_convert, 0),
    "32 a name of 250 letters": Case(one_piece, 0, name=f"-\n{'ü' * 122}.mp4"),
}


@pytest.fixture(scope="module")
def killed(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Path]]:
    """Name of a case -> its source, and the output that a run was killed at."""
    made, jobs = dict[str, tuple[Path, Path]](), list[list[Any]]()
    for name, case in CASES.items():
        folder = tmp_path_factory.mktemp("case")
        (folder / "out").mkdir()
        made[name] = source, out = case.make(samples, folder), folder / "out" / case.name
        options = plain(case.options) | {"model": "baseline"}
        jobs.append([str(source), str(out), KILLED, options])
    listed = tmp_path_factory.mktemp("jobs") / "jobs.json"
    listed.write_text(json.dumps(jobs))
    command = [sys.executable, "-m", "tests.killed", str(listed)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # threads of torch would not outlive a fork
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return made


def told(ran: Ran) -> list[str]:
    """What is missing, damaged or left out, in words, and how it ended.

    But not from where it would begin again: that depends on how far ahead the decoder was.
    """
    last = ran.events[-1]
    words = [event["message"] for event in ran.events if event["event"] == "warning" and event["code"] != "restart"]
    return [*words, *(str(last.get(name)) for name in ("event", "status", "message", "frames_in", "frames_out"))]


def goes_on(name: str, killed: dict[str, tuple[Path, Path]], vidrain: Vidrain) -> None:
    """The same command, beside the run of the same job that nobody breaks off."""
    case, (source, out) = CASES[name], killed[name]
    assert [path.name for path in out.parent.iterdir() if not path.name.startswith(".")] == [folder_of(out).name]
    end = ("--end", case.options.end) if case.options.end else ()
    calm = out.parent.with_name("calm") / case.name
    calm.parent.mkdir()
    command = ("clean", source, "--model", "baseline", *end, "--json", "-o")
    due, ran = vidrain(*command, calm), vidrain(*command, out)
    assert (due.code, ran.code) == (case.code, case.code), due.out
    assert resumed(ran) == ([case.kept] if case.kept else [])
    assert told(ran) == told(due)
    assert outputs(out.parent) == outputs(calm.parent), "and no rests"
    if not case.kept:
        warned = [event["message"] for event in due.events if event.get("code") == "restart"]
        assert warned, "who begins anew was told that he would"


@pytest.mark.fault(6, 7, 8, 11)
@pytest.mark.parametrize("name", [name for name in CASES if name.split()[0] in ("6", "7", "8", "11")])
def test_what_is_damaged_goes_on(name: str, killed: dict[str, tuple[Path, Path]], vidrain: Vidrain) -> None:
    """In front of the damage: whoever films until the power fails has a file that is cut."""
    goes_on(name, killed, vidrain)


@pytest.mark.fault(7)
@pytest.mark.proves("clean")
def test_what_is_damaged_is_decoded_from_where_it_began(
    samples: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own words on where decoding can begin may be wrong."""
    source, seeks = cut_matroska(samples, tmp_path), list[int]()
    stopped_at(KILLED, source, out, CleanOptions(model="baseline"))

    def seek(*arguments: object) -> None:
        seeks.append(1)

    monkeypatch.setattr(Video, "_from_key", seek)
    report = package.clean(source, out, options=CleanOptions(model="baseline"))
    assert (report.status, seeks) == ("partial", [])


@pytest.mark.fault(10)
def test_what_begins_between_key_frames(killed: dict[str, tuple[Path, Path]], vidrain: Vidrain) -> None:
    goes_on("10 between key frames", killed, vidrain)


@pytest.mark.fault(12, 24, 32)
@pytest.mark.parametrize("name", ["12 more promised", "24 text to convert", "32 a name of 250 letters"])
def test_what_is_whole_goes_on(name: str, killed: dict[str, tuple[Path, Path]], vidrain: Vidrain) -> None:
    goes_on(name, killed, vidrain)


@pytest.mark.fault(18)
@pytest.mark.parametrize("name", ["18 another size", "18 what comes before"])
def test_a_picture_that_changes(name: str, killed: dict[str, tuple[Path, Path]], vidrain: Vidrain) -> None:
    """Refused where it changes, as by an unbroken run; what comes before goes on."""
    goes_on(name, killed, vidrain)


@pytest.mark.fault(33)
def test_a_decoder_that_stalls_costs_no_finished_segment(
    clip: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once it is awake the same command goes on."""
    frames, release = Video.frames, threading.Event()

    def stuck(video: Video, first: int = 0) -> Iterator[object]:
        for frame in frames(video, first):
            if frame.index == KILLED + 4:
                release.wait(60)
            yield frame

    command = ("clean", clip, "-o", out, "--model", "baseline", "--json")
    with monkeypatch.context() as patch:
        patch.setattr(Video, "frames", stuck)
        ran = vidrain(*command, "--stall-s", "1")
    release.set()
    assert (ran.code, "12 of 28 frames are kept" in ran.events[-1]["message"]) == (3, True)
    again = vidrain(*command)
    assert (again.code, resumed(again)) == (0, [2 * LENGTH])
    assert list(outputs(out.parent)) == [out.name]


@pytest.mark.fault(30)
def test_frames_without_numbers_stay_known(
    out: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To the run that goes on behind them, with a model that fails no more."""
    source = tmp_path / "source.mp4"
    made = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-frames:v", "120", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*made, "-c:v", "libx264", source)

    def spoilt(*calls: int) -> None:
        model = Spoiled(frozenset(calls), lambda rain: rain * float("nan"))
        monkeypatch.setattr(pipeline, "load_decomposer", lambda *_, **__: model)

    spoilt(3)
    stopped_at(KILLED, source, out, CleanOptions(model="baseline"))
    spoilt()
    ran = vidrain("clean", source, "-o", out, "--model", "baseline", "--json")
    assert (ran.code, resumed(ran)) == (0, [2 * LENGTH])
    said = "the model gave NaN or infinity for 1 frames (3): they keep their rain"
    assert said in [event["message"] for event in ran.events if event["event"] == "warning"]
