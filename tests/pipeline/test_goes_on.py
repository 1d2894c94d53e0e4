"""`clean` that is broken off, by whatever: the same command goes on, and the result is that of a run nobody stopped."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from pathlib import Path

import cv2
import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import wiped
from tests.pipeline.conftest import LENGTH, Vidrain, in_time
from tests.pipeline.test_exits import events_until
from tests.stopped import VARIANTS, outputs, past, resumed, running, stopped_at
from vidrain.events import Event, Progress, Resumed
from vidrain.job import CleanOptions
from vidrain.segments.folder import folder_of

pytestmark = pytest.mark.usefixtures("short_segments")


@pytest.mark.slow
@pytest.mark.fault(25)
@pytest.mark.proves("clean", "clean --json")
def test_killed_three_times(clip: Path, out: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """By kill -9, at seeded moments; each run begins where the finished segments of those before it end."""
    names = ("--rain", "rain.mkv", "--rain-preview", "preview.mp4")
    others = [out.with_name(name) if "." in name else name for name in names]
    command = ("clean", clip, "-o", out, *others, "--preset", "fast")  # named: others run outside of this process
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
    before, seen = (torch.get_num_threads(), cv2.getNumThreads()), set()

    def listen(event: Event) -> None:
        if isinstance(event, Progress):
            seen.add((torch.get_num_threads(), cv2.getNumThreads()))

    package.clean(clip, out, on_event=listen)
    assert (begun["threads"], seen) == (max(1, before[0] // 2), {(3, 3)})
    assert (torch.get_num_threads(), cv2.getNumThreads()) == before


@pytest.mark.fault(25)
@pytest.mark.proves("batch run --fresh", "batch run")
def test_a_batch_goes_on_inside_of_a_file(clip: Path, out: Path, vidrain: Vidrain) -> None:
    """What other settings left unfinished stays, and is named; it gives way to --fresh alone."""
    batch = ("batch", "run", clip, "-o", out.parent, "--engine", "inline", "--json")
    made, folder = out.with_name(clip.name), folder_of(out.with_name(clip.name))
    assert vidrain(*batch).code == 0
    due = made.read_bytes()
    assert not folder.exists()
    for more, discarded in (((), False), (("--fresh",), True)):
        made.unlink()
        stopped_at(14, clip, made, CleanOptions())
        left = outputs(folder)
        other = vidrain(*batch, "encode.crf=30")
        (end,) = other.events[-1]["troubles"]
        assert (other.code, end["code"], outputs(folder)) == (1, 5, left)
        assert "holds 12 of 28 frames of another job (other settings or weights" in end["cause"]
        assert (
            "finish it with its own settings, or remove that folder (--fresh: those of all files that are named)"
            in end["cause"]
        )
        ran = vidrain(*batch, *more)
        fresh = [e for e in ran.events if e["event"] == "warning" and e["code"] == "fresh" and e.get("file")]
        assert (ran.code, bool(fresh), bool(resumed(ran))) == (0, discarded, not discarded)
        assert made.read_bytes() == due
        assert not folder.exists()
    made.unlink()
    stopped_at(14, clip, made, CleanOptions())
    assert vidrain(*batch, "encode.crf=30").code == 1
    shutil.rmtree(folder)
    assert vidrain(*batch, "encode.crf=30").code == 0, "the same command, once the folder is gone"


@pytest.mark.fault(25)
@pytest.mark.proves("batch run")
@pytest.mark.parametrize("fact", ["device", "version of vidrain", "source"])
def test_a_batch_begins_a_file_anew_that_cannot_be_finished(fact: str, clip: Path, out: Path, vidrain: Vidrain) -> None:
    """Segments of a GPU that is gone, of libraries that were updated, of a source that was replaced: told in a pipe."""
    batch = ("batch", "run", clip, "-o", out.parent, "--engine", "inline")
    made, folder = out.with_name(clip.name), folder_of(out.with_name(clip.name))
    stopped_at(14, clip, made, CleanOptions())
    plan = json.loads((folder / "plan.json").read_text())
    plan["facts"][fact] = "another"
    (folder / "plan.json").write_text(json.dumps(plan))
    ran = vidrain(*batch)
    said = f"vidrain: {clip.name}: note: {folder}: holds 12 of 28 frames of another job (other {fact}), which cannot"
    assert (ran.code, said in ran.err, made.exists(), folder.exists()) == (0, True, True, False), ran.err
    made.unlink()
    stopped_at(14, clip, made, CleanOptions())
    assert f"vidrain: {clip.name}: resumed 42 %" in vidrain(*batch).err.splitlines()
