"""`clean` that is broken off, by whatever: the same command goes on, and the result is that of a run nobody stopped."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import wiped
from tests.pipeline.conftest import LENGTH, Ran, Vidrain, in_time
from tests.pipeline.test_exits import events_until, started
from vidrain.config import plain
from vidrain.errors import BusyError, OutputError
from vidrain.events import Event, Notice, Plan, Progress, Resumed
from vidrain.job import CleanOptions
from vidrain.segments.alone import make_segment, plan_segments
from vidrain.segments.folder import folder_of
from vidrain.video.encoder import EncodeOptions

SHORT = f"""
import vidrain.segments.plan as plan
plan.LONGEST = {LENGTH}
from vidrain.__main__ import run
run()
"""


pytestmark = pytest.mark.usefixtures("short_segments")


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    with started(*command, "--json", code=SHORT) as process:
        yield process


def past(process: subprocess.Popen[str], frames: int) -> None:
    events_until(process, lambda event: event["event"] == "progress" and event["frames"] >= frames)


def resumed(ran: Ran) -> list[int]:
    return [event["frames"] for event in ran.events if event["event"] == "resumed"]


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Stopped(Exception):
    """On purpose."""


def stopped_at(frames: int, source: Path, out: Path, options: CleanOptions) -> list[Event]:
    """A run in this process that ends in the middle; what it told."""
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        if isinstance(event, Progress) and event.frames >= frames:
            raise Stopped

    with pytest.raises(Stopped):
        package.clean(source, out, options=options, on_event=listen)
    return told


@pytest.mark.fault(25)
@pytest.mark.proves("clean", "clean --json")
def test_killed_three_times(clip: Path, out: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """By kill -9, at seeded moments; each run begins where the finished segments of those before it end."""
    names = ("--rain", "rain.mkv", "--rain-preview", "preview.mp4")
    others = [out.with_name(name) if "." in name else name for name in names]
    command = ("clean", clip, "-o", out, *others)
    assert vidrain(*command).code == 0
    due = outputs(out.parent)
    assert len(due) == 3
    shutil.rmtree(out.parent)
    out.parent.mkdir()
    done = 0
    for limit in sorted(random.Random(7).sample(range(LENGTH, 28), 3)):
        with running(*command) as process:
            past(process, limit)
            process.kill()
            process.communicate()
        assert not any(out.with_name(name).exists() for name in due)
        made = len(list(folder_of(out).glob("0-*.json"))) * LENGTH
        assert max(done, limit - LENGTH) <= made
        done = made
    ran = vidrain(*command, "--json")
    assert (ran.code, resumed(ran)) == (0, [done])
    frames = [event["frames"] for event in ran.events if event["event"] == "progress"]
    assert min(frames) > done
    assert outputs(out.parent) == due


@pytest.mark.fault(26)
@pytest.mark.proves("exit 130", "exit 143")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_keeps_what_is_finished(number: int, code: int, samples: Path, out: Path, vidrain: Vidrain) -> None:
    source = ffmpeg_says.remux(
        samples / "street.mp4", out.parent.with_name("long.mp4"), "-map", "0:v", first=("-stream_loop", "5")
    )

    def attempt() -> float:
        with running("clean", source, "-o", out) as process:
            past(process, 2 * LENGTH + 2)
            sent = time.monotonic()
            process.send_signal(number)
            last = events_until(process, lambda event: event["event"] == "error")
            took = time.monotonic() - sent
            process.communicate(timeout=60)
        (folder,) = out.parent.iterdir()
        assert (process.returncode, last["exit_code"], folder) == (code, code, folder_of(out))
        records = {path.stem for path in folder.glob("0-*.json")}
        said = f"{len(records) * LENGTH} of 264 frames are kept in {folder}, the same command goes on"
        assert said in last["message"]
        assert {path.name for path in folder.iterdir()} == {
            *("plan.json", *(f"{stem}{ending}" for stem in records for ending in (".json", ".clean")))
        }
        return took

    in_time(attempt, limit_s=2)


@pytest.mark.proves("clean --fresh")
def test_nothing_is_discarded_unasked(clip: Path, out: Path, vidrain: Vidrain) -> None:
    assert vidrain("clean", clip, "-o", out).code == 0
    due = out.read_bytes()
    out.unlink()
    stopped_at(14, clip, out, CleanOptions())
    left = outputs(folder_of(out))
    for options in (("--crf", "30"), ("--rain", out.with_name("rain.mkv")), ("--force", "baseline.radius=3")):
        ran = vidrain("clean", clip, "-o", out, *options)
        assert ran.code == 5
        assert "holds 12 of 28 frames of another job (other " in ran.err
        assert "drop it with --fresh" in ran.err
        assert outputs(folder_of(out)) == left
    ran = vidrain("clean", clip, "-o", out, "--crf", "30", "--fresh", "--json")
    said = [event["message"] for event in ran.events if event["event"] == "warning" and event["code"] == "fresh"]
    assert said == [f"--fresh: 12 of 28 finished frames in {folder_of(out)} are discarded"]
    assert (ran.code, resumed(ran), list(out.parent.iterdir())) == (0, [], [out])
    assert out.read_bytes() != due
    stopped_at(14, clip, out, CleanOptions(force=True))
    ran = vidrain("clean", clip, "-o", out, "--force", "--fresh", "--json")
    assert (ran.code, resumed(ran), out.read_bytes() == due) == (0, [], True)


def test_another_source_is_another_job(clip: Path, source: Path, out: Path, vidrain: Vidrain) -> None:
    stopped_at(7, source, out, CleanOptions())
    ran = vidrain("clean", clip, "-o", out)
    assert ran.code == 5
    assert "holds 6 of 10 frames of another job (other source, other frames)" in ran.err
    with source.open("ab") as file:
        file.write(b"\0" * 8)
    assert vidrain("clean", source, "-o", out).code == 5


@pytest.mark.parametrize(("name", "text"), [("mine.txt", "precious"), ("plan.json", "[1]"), ("plan.json", "{")])
def test_what_is_no_work_of_ours_stays(name: str, text: str, clip: Path, out: Path, vidrain: Vidrain) -> None:
    folder_of(out).mkdir()
    (folder_of(out) / name).write_text(text)
    ran = vidrain("clean", clip, "-o", out, "--fresh", "--force")
    assert (ran.code, "is no work of vidrain; move it away" in ran.err) == (5, True)
    assert outputs(folder_of(out)) == {name: text.encode()}


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    "name", ["", "0-00000.clean", "1-00003.rain_preview", ".0-00000.json.new", ".plan.json.new", "adapted.safetensors"]
)
def test_what_a_kill_left_of_a_folder_that_was_being_removed_is_ours(name: str, clip: Path, out: Path) -> None:
    """A worker is told to stop, its first segment just open: one thread clears the folder, the other still writes."""
    folder_of(out).mkdir()
    if name:
        (folder_of(out) / name).write_bytes(b"half")
    package.clean(clip, out)
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.fault(25)
@pytest.mark.proves("clean")
@pytest.mark.parametrize("spoilt", ["flip", "gone", "record", "list"])
def test_a_segment_that_is_not_what_was_written_is_made_again(spoilt: str, clip: Path, out: Path) -> None:
    """The disk, or who looked after it, changed what lay there."""
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    stopped_at(20, clip, out, CleanOptions())
    part = folder_of(out) / "0-00001.clean"
    data = part.read_bytes()
    match spoilt:
        case "flip":
            part.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
        case "gone":
            part.unlink()
        case "record":
            part.with_suffix(".json").write_bytes(b"{")
        case "list":
            part.with_suffix(".json").write_bytes(b'{"parts": []}')
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert [event for event in told if isinstance(event, Resumed)] == [Resumed(frames=12, total=28)]
    said = [event.message for event in told if isinstance(event, Notice) and event.code == "segments"]
    assert said == [f"1 segment in {folder_of(out)} could not be read, and will be made again"]
    assert out.read_bytes() == due
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.proves("clean --fresh")
@pytest.mark.parametrize("record", ["{", "[]", '{"parts": {}, "untouched": [], "seen": null, "rain": []}'])
def test_segments_that_cannot_be_read_are_not_discarded_unasked(
    record: str, clip: Path, out: Path, vidrain: Vidrain
) -> None:
    """Such as those of another version of vidrain, which writes its records otherwise."""
    stopped_at(14, clip, out, CleanOptions())
    for path in folder_of(out).glob("0-*.json"):
        path.write_text(record)
    left = outputs(folder_of(out))
    ran = vidrain("clean", clip, "-o", out, "--crf", "30")
    assert (ran.code, "holds 2 segments of another job (other " in ran.err) == (5, True)
    assert outputs(folder_of(out)) == left
    ran = vidrain("clean", clip, "-o", out, "--crf", "30", "--fresh", "--json")
    said = [event["message"] for event in ran.events if event["event"] == "warning" and event["code"] == "fresh"]
    assert (ran.code, said) == (0, [f"--fresh: 2 segments in {folder_of(out)} are discarded"])


@pytest.mark.fault(27)
@pytest.mark.proves("exit 5")
def test_no_room_for_a_record(clip: Path, out: Path, vidrain: Vidrain) -> None:
    """A folder in the place of a file is to whoever writes it what a full disk is."""
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    blocked = folder_of(out) / ".0-00002.json.new"

    def block(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 13:
            blocked.mkdir()

    with pytest.raises(OutputError, match=r"out\.mp4.*cannot be written"):
        package.clean(clip, out, on_event=block)
    assert list(out.parent.iterdir()) == [folder_of(out)]
    blocked.rmdir()
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert [event for event in told if isinstance(event, Resumed)] == [Resumed(frames=12, total=28)]
    assert outputs(out.parent) == {out.name: due}


VARIANTS = {
    "b-frames, uneven times": ("vfr.mp4", ".mp4", CleanOptions()),
    "a range at a constant rate": ("vfr.mp4", ".mp4", CleanOptions(start="3", end="30", cfr="30")),
    "lossless, odd, in Matroska": ("odd.mp4", ".mkv", CleanOptions(archive=True)),
    "10 bits, hevc": ("tenbit.mp4", ".mp4", CleanOptions(end="20")),
    "av1": ("full_range.mp4", ".mp4", CleanOptions(encode=EncodeOptions(codec="av1"), end="15")),
}


@pytest.mark.fault(25)
@pytest.mark.parametrize("variant", VARIANTS)
def test_whatever_is_asked_for_goes_on(variant: str, samples: Path, out: Path) -> None:
    name, suffix, options = VARIANTS[variant]
    source, out = samples / name, out.with_suffix(suffix)
    package.clean(source, out, options=options)
    due = out.read_bytes()
    out.unlink()
    stopped_at(LENGTH + 2, source, out, options)
    told = stopped_at(2 * LENGTH + 2, source, out, options)
    assert any(isinstance(event, Resumed) for event in told)
    package.clean(source, out, options=options)
    assert outputs(out.parent) == {out.name: due}


def test_every_video_of_a_file_goes_on(samples: Path, out: Path) -> None:
    """In the second pass, and again: the first is joined anew from its segments, none of its frames computed again."""
    camera = out.parent.with_name("camera.mp4")
    ffmpeg_says.quietly(
        *("-i", samples / "full_range.mp4", "-i", samples / "vfr.mp4", "-t", "0.9"),
        *("-map", "0:v", "-map", "1:v", "-map", "0:a", "-c", "copy", camera),
    )
    options = CleanOptions(video="all")
    report = package.clean(camera, out, options=options)
    due = out.read_bytes()
    out.unlink()
    first = len(ffmpeg_says.packets(camera, "0:v:0").packets)
    stopped_at(first + LENGTH + 1, camera, out, options)
    assert [path.name for path in out.parent.iterdir()] == ["out.mp4.vidrain"]
    told: list[Event] = []
    again = package.clean(camera, out, options=options, on_event=told.append)
    assert [event for event in told if isinstance(event, Resumed)] == [
        Resumed(frames=first + LENGTH, total=report.frames_out)
    ]
    assert (again.rain, again.rain_over_time) == (report.rain, report.rain_over_time)
    assert outputs(out.parent) == {out.name: due}


@pytest.mark.fault(9)
@pytest.mark.proves("clean --on-bad-frame")
def test_damage_goes_out_the_same_and_says_from_where_it_would_begin_again(
    samples: Path, out: Path, vidrain: Vidrain
) -> None:
    """Frames 14 to 16 do not decode: what is behind them is not put down, because it leans on what came before."""
    coded = out.parent.with_name("coded.mov")
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-an", "-c:v", "mjpeg", coded)
    broken = wiped(coded, coded.with_name("broken.mov"), range(14, 17))
    ran = vidrain("clean", broken, "-o", out, "--json")
    assert ran.code == 4
    due = out.read_bytes()
    said = [event["message"] for event in ran.events if event["event"] == "warning" and event["code"] == "restart"]
    (message,) = said  # where exactly depends on how far ahead the decoder was
    assert message.startswith("frames do not decode as they should at or before frame ")
    assert ": if this run is broken off, the same command begins " in message
    out.unlink()
    stopped_at(26, broken, out, CleanOptions())
    again = vidrain("clean", broken, "-o", out, "--json")
    assert (again.code, out.read_bytes() == due) == (4, True)
    assert [e["frames_repeated"] for e in (ran.events[-1], again.events[-1])] == [3, 3]


@pytest.mark.proves("clean")
def test_threads_are_those_of_the_run_that_began(clip: Path, out: Path) -> None:
    import torch

    stopped_at(8, clip, out, CleanOptions())
    path = folder_of(out) / "plan.json"
    begun = json.loads(path.read_bytes())
    path.write_text(json.dumps(begun | {"threads": 3}))
    before, seen = torch.get_num_threads(), set()

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            seen.add(torch.get_num_threads())

    package.clean(clip, out, on_event=listen)
    assert (begun["threads"], seen, torch.get_num_threads()) == (before, {3}, before)


@pytest.mark.fault(25)
@pytest.mark.proves("batch run --fresh", "batch run")
def test_a_batch_goes_on_inside_of_a_file(clip: Path, out: Path, vidrain: Vidrain) -> None:
    """What other settings left unfinished gives way, and is named; so it is with --fresh."""
    batch = ("batch", "run", clip, "-o", out.parent, "--engine", "inline", "--json")
    made, folder = out.with_name(clip.name), folder_of(out.with_name(clip.name))
    assert vidrain(*batch).code == 0
    due = made.read_bytes()
    assert not folder.exists()
    for more, discarded in (((), False), (("encode.crf=30",), True), (("--fresh",), True)):
        made.unlink()
        stopped_at(14, clip, made, CleanOptions())
        ran = vidrain(*batch, *more)
        fresh = [e for e in ran.events if e["event"] == "warning" and e["code"] == "fresh" and e.get("file")]
        assert (ran.code, bool(fresh), bool(resumed(ran))) == (0, discarded, not discarded)
        assert (made.read_bytes() == due) == ("encode.crf=30" not in more)
        assert not folder.exists()


def of_elsewhere(out: Path) -> dict[str, bytes]:
    """A run of another host takes over what lies beside `out`; what is there then."""
    folder_of(out).mkdir(exist_ok=True)
    (folder_of(out) / "lease").write_text('{"host": "elsewhere", "pid": 7}')
    (folder_of(out) / ".0-00004.clean.other").write_bytes(b"its own")
    return outputs(folder_of(out))


@pytest.mark.fault(31)
@pytest.mark.proves("exit 6")
@pytest.mark.parametrize("planned", [False, True])
def test_what_a_run_on_another_host_writes_is_not_touched(
    planned: bool, clip: Path, out: Path, vidrain: Vidrain
) -> None:
    """Whose lock does not reach here: its partial file is as good as unlocked."""
    partial = out.with_name(".out.mp4.partial.mp4")
    partial.write_bytes(b"half of it")
    before = partial.stat()
    left = of_elsewhere(out)
    ran = vidrain("clean", clip, "-o", out, *(["--slurm", out.parent.with_name("job.sh")] if planned else []))
    assert (ran.code, "a run on elsewhere (process 7) was alive" in ran.err) == (6, True)
    assert (partial.stat().st_ino, partial.read_bytes()) == (before.st_ino, b"half of it")
    assert outputs(folder_of(out)) == left


@pytest.mark.fault(31)
@pytest.mark.proves("exit 6")
@pytest.mark.parametrize("frames", [14, 0], ids=["segment", "publish"])
def test_a_run_that_was_taken_over_puts_nothing_down(frames: int, clip: Path, out: Path) -> None:
    """It was suspended for longer than a lease lasts: in the middle, or when all segments were there before."""
    options, left = CleanOptions(), dict[str, bytes]()
    if not frames:
        asked = {"source": str(clip), "settings": plain(options)}
        for number in range(plan_segments(clip, out, options=options, asked=asked).segments):
            make_segment(clip, out, number, options=options)

    def lose(event: Event) -> None:
        if isinstance(event, Plan if not frames else Progress) and getattr(event, "frames", 0) >= frames and not left:
            left.update(of_elsewhere(out))

    with pytest.raises(BusyError, match="process 7 on elsewhere has taken it over"):
        package.clean(clip, out, options=options, on_event=lose)
    half = [name for name in left if name.startswith(".0-00002.clean.")]
    assert outputs(folder_of(out)) == {name: data for name, data in left.items() if name not in half}
    assert (len(half), out.exists()) == (bool(frames), False)
