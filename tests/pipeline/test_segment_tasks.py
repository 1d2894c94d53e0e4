"""Segments as tasks: made alone, in any order, by anyone; joined they are the file of one run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import wiped
from tests.pipeline.conftest import LENGTH, Ran, Vidrain
from tests.pipeline.test_exits import ROOT, events_until
from tests.stopped import SHORT, VARIANTS, Stopped, outputs, resumed, running, stopped_at
from tools.bench_segments import measure
from vidrain.config import plain
from vidrain.errors import BusyError
from vidrain.events import Event, Progress, Resumed
from vidrain.job import CleanOptions
from vidrain.lease import leased
from vidrain.outputs import claimed
from vidrain.segments.alone import make_segment, plan_segments
from vidrain.segments.folder import folder_of
from vidrain.segments.script import array_script

pytestmark = pytest.mark.usefixtures("short_segments")


def planned(source: Path, out: Path, options: CleanOptions) -> int:
    asked = {"source": str(source), "settings": plain(options)}
    return plan_segments(source, out, options=options, asked=asked).segments


def last(ran: Ran) -> dict[str, object]:
    found: dict[str, object] = ran.events[-1]
    return found


@pytest.mark.proves("clean --slurm", "segment run", "segment run OUT", "segment run --index", "segment run --json")
def test_out_of_order_and_twice_they_are_the_file_of_one_run(clip: Path, out: Path, vidrain: Vidrain) -> None:
    command = ("clean", clip, "-o", out, "--rain", out.with_name("rain.mkv"), "--crf", "30", "baseline.radius=2")
    assert vidrain(*command).code == 0
    due = outputs(out.parent)
    assert len(due) == 2
    for name in due:
        (out.parent / name).unlink()
    script = out.parent.with_name("job.sh")
    ran = vidrain(*command, "--slurm", script, "--json")
    assert (ran.code, last(ran)["event"], last(ran)["segments"], last(ran)["script"]) == (
        *(0, "segments_plan", 5),
        str(script),
    )
    assert [path.name for path in out.parent.iterdir()] == ["out.mp4.vidrain"]
    order = random.Random(3).sample(range(5), 5)
    for number, was_made in [(each, False) for each in order] + [(order[0], True)]:
        done = last(vidrain("segment", "run", out, "--index", str(number), "--json"))
        assert (done["event"], done["index"], done["was_made"]) == ("segment_done", number, was_made)
        assert done["frames"] == (4 if number == 4 else LENGTH)
    kept = {path.name for path in folder_of(out).iterdir()}
    assert kept == {"plan.json", "index", *(f"0-0000{n}.{end}" for n in range(5) for end in ("clean", "rain", "json"))}
    ran = vidrain(*command, "--json")
    assert (ran.code, resumed(ran)) == (0, [28])
    assert outputs(out.parent) == due
    late = vidrain("segment", "run", out, "--index", "2")
    assert (late.code, late.err) == (0, f"vidrain: note: {out}: is there already, and no segments of it are planned\n")
    assert outputs(out.parent) == due


@pytest.mark.parametrize("variant", VARIANTS)
def test_whatever_is_asked_for(variant: str, samples: Path, out: Path) -> None:
    name, suffix, options = VARIANTS[variant]
    source, out = samples / name, out.with_suffix(suffix)
    package.clean(source, out, options=options)
    due = out.read_bytes()
    out.unlink()
    for number in reversed(range(planned(source, out, options))):
        made = make_segment(source, out, number, options=options)
        assert made is not None
        assert not made.was_made
    told: list[Event] = []
    package.clean(source, out, options=options, on_event=told.append)
    assert not any(isinstance(event, Progress) for event in told), "there is nothing left to compute"
    assert outputs(out.parent) == {out.name: due}


@pytest.mark.proves("clean --slurm")
def test_clean_makes_what_tasks_left(clip: Path, out: Path) -> None:
    """Two tasks failed, one was never run; a stop between does not discard the plan."""
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    options = CleanOptions()
    planned(clip, out, options)
    stopped_at(1, clip, out, options)
    for number in (1, 3):
        make_segment(clip, out, number, options=options)
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert [event for event in told if isinstance(event, Resumed)] == [Resumed(frames=12, total=28)]
    assert outputs(out.parent) == {out.name: due}


@pytest.mark.fault(9)
@pytest.mark.proves("segment run")
def test_frames_that_do_not_decode_are_left_to_clean(samples: Path, out: Path, vidrain: Vidrain) -> None:
    """The segments behind them, made by tasks that knew nothing of it, are made again."""
    coded = out.parent.with_name("coded.mov")
    ffmpeg_says.quietly("-i", samples / "street.mp4", "-an", "-c:v", "mjpeg", coded)
    broken = wiped(coded, coded.with_name("broken.mov"), range(1, 3))
    package.clean(broken, out)
    due = out.read_bytes()
    out.unlink()
    planned(broken, out, CleanOptions())
    last = -(-44 // LENGTH) - 1  # the only one that needs none of the frames before the fifth
    codes = [vidrain("segment", "run", out, "--index", str(number)).code for number in (0, last)]
    assert codes == [4, 0]
    assert "0-00000.json" not in outputs(folder_of(out))
    told: list[Event] = []
    report = package.clean(broken, out, on_event=told.append)
    assert sum(isinstance(event, Progress) for event in told) == 44
    assert (report.status, report.frames_repeated, out.read_bytes() == due) == ("partial", 2, True)


@pytest.mark.proves("segment run")
@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_task_reads_its_own_part_of_the_source(suffix: str, samples: Path, tmp_path: Path) -> None:
    """Planning reads all of it, once; without what that put down every task would."""
    read = measure(samples / "street.mp4", 39, suffix, tmp_path)
    assert read.task < read.source / 5
    assert min(read.planning, read.task_without) > read.source


@pytest.mark.proves("segment run")
@pytest.mark.parametrize("index", [b"", b"[]", b"{}\n{}", None], ids=repr)
def test_an_index_that_is_spoilt_is_no_index(index: bytes | None, clip: Path, out: Path) -> None:
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    options = CleanOptions()
    planned(clip, out, options)
    path = folder_of(out) / "index"
    path.write_bytes(path.read_bytes()[:-1] if index is None else index)
    make_segment(clip, out, 2, options=options)
    package.clean(clip, out)
    assert outputs(out.parent) == {out.name: due}


@pytest.mark.proves("segment run")
def test_a_segment_that_saw_other_pictures_is_made_again(clip: Path, out: Path) -> None:
    """Decoding from a key frame gives other pictures in some files: the frame before the segment tells."""
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    options = CleanOptions()
    planned(clip, out, options)
    for number in range(5):
        make_segment(clip, out, number, options=options)
    record = folder_of(out) / "0-00002.json"
    said = json.loads(record.read_bytes())
    assert said["before"][0] == 2 * LENGTH - 1
    record.write_text(json.dumps(said | {"before": [said["before"][0], said["before"][1] ^ 1]}))
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert sum(isinstance(event, Progress) for event in told) == LENGTH
    assert outputs(out.parent) == {out.name: due}


@pytest.mark.proves("clean --slurm")
def test_what_depends_on_more_than_the_source_is_refused(
    clip: Path, samples: Path, out: Path, vidrain: Vidrain
) -> None:
    script = out.with_name("job.sh")
    damaged = out.parent.with_name("cut.mp4")
    damaged.write_bytes((samples / "street.mp4").read_bytes()[:-20_000])
    for said, arguments in (
        ("segments as tasks need weights that are there", (clip, "--model", "gate-s", "--adapt-steps", "1")),
        ("the source is damaged, so its segments cannot be tasks", (damaged,)),
    ):
        ran = vidrain("clean", *arguments, "-o", out, "--slurm", script)
        assert (ran.code, said in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err
    camera = out.parent.with_name("camera.mp4")
    ffmpeg_says.quietly("-i", clip, "-i", clip, "-map", "0:v", "-map", "1:v", "-c", "copy", camera)
    ran = vidrain("clean", camera, "-o", out, "--slurm", script, "--video", "all")
    assert (ran.code, "one video is cleaned after the other" in ran.err) == (2, True)
    assert list(out.parent.iterdir()) == []


@pytest.mark.proves("clean --slurm", "clean --fresh")
def test_a_plan_for_tasks_is_not_replaced_unasked(clip: Path, out: Path, vidrain: Vidrain) -> None:
    """Before any of its tasks is done: a thousand of them may stand in a queue."""
    planned(clip, out, CleanOptions())
    due = outputs(folder_of(out))
    script = out.parent.with_name("job.sh")
    for more in ((), ("--slurm", script)):
        ran = vidrain("clean", clip, "-o", out, "--crf", "30", *more)
        assert (ran.code, "holds the plan of another job (other " in ran.err, ran.err.count("\n")) == (5, True, 1)
        assert outputs(folder_of(out)) == due
    assert vidrain("clean", clip, "-o", out, "--slurm", script, "--fresh", "--crf", "30").code == 0
    assert outputs(folder_of(out)) != due


@pytest.mark.proves("clean --slurm")
@pytest.mark.parametrize("is_named", [True, False])
def test_a_script_among_the_segments_is_refused(
    is_named: bool, clip: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """All but segments is swept from there."""
    source = tmp_path / "in.mp4"
    source.write_bytes(clip.read_bytes())
    target = out if is_named else tmp_path / "in.clean.mp4"
    for _ in range(2):
        script = folder_of(target) / "job.sh"
        ran = vidrain("clean", source, *(["-o", out] if is_named else []), "--slurm", script)
        assert (ran.code, "nothing but segments stays in" in ran.err, ran.err.count("\n")) == (2, True, 1)
        planned(source, target, CleanOptions())
        assert not script.exists()


@pytest.mark.proves("segment run")
def test_what_a_task_refuses(clip: Path, source: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("segment", "run", out, "--index", "0")
    assert (ran.code, "no segments are planned there as tasks; begin with: vidrain clean" in ran.err) == (2, True)
    stopped_at(7, clip, out, CleanOptions())
    assert vidrain("segment", "run", out, "--index", "1").code == 2
    moved = source.with_name("moved.mp4")
    moved.write_bytes(clip.read_bytes())
    script = out.parent.with_name("job.sh")
    assert vidrain("clean", moved, "-o", out, "--slurm", script).code == 5, "other facts: nothing is discarded"
    assert vidrain("clean", moved, "-o", out, "--slurm", script, "--fresh").code == 0
    ran = vidrain("segment", "run", out, "--index", "5")
    assert (ran.code, "has segments 0 to 4" in ran.err) == (2, True)
    before = outputs(folder_of(out))
    with moved.open("ab") as file:
        file.write(b"\0" * 8)
    ran = vidrain("segment", "run", out, "--index", "0")
    assert (ran.code, "holds the plan of another job (other source)" in ran.err) == (5, True)
    assert outputs(folder_of(out)) == before


@pytest.mark.fault(31)
@pytest.mark.proves("segment run")
def test_no_two_at_one_segment_and_none_beside_a_run(clip: Path, out: Path, vidrain: Vidrain) -> None:
    options = CleanOptions()
    planned(clip, out, options)
    busy: list[int] = []

    def listen(event: Event) -> None:
        """In the middle of segment 1, here, others come."""
        if isinstance(event, Progress) and event.frames == 3:
            busy.extend(
                vidrain(*arguments).code
                for arguments in (
                    ("segment", "run", out, "--index", "1"),
                    ("segment", "run", out, "--index", "2"),
                    ("clean", clip, "-o", out),
                    ("clean", clip, "-o", out, "--slurm", out.parent.with_name("job.sh")),
                )
            )

    make_segment(clip, out, 1, options=options, on_event=listen)
    assert busy == [6, 0, 6, 6]
    other = folder_of(out) / "0-00003.lease"
    other.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    assert vidrain("segment", "run", out, "--index", "3").code == 6
    assert vidrain("clean", clip, "-o", out).code == 6
    os.utime(other, (time.time() - 90,) * 2)
    assert vidrain("segment", "run", out, "--index", "3").code == 0, "it has not beaten for a minute"
    with claimed(out, force=False), leased(folder_of(out) / "lease", out), pytest.raises(BusyError):
        make_segment(clip, out, 4, options=options)
    assert sorted(path.stem for path in folder_of(out).glob("0-*.json")) == ["0-00001", "0-00002", "0-00003"]
    assert list(folder_of(out).glob("*lease")) == []


@pytest.mark.fault(26)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_the_segments_that_are_made(number: int, code: int, clip: Path, out: Path) -> None:
    options = CleanOptions()
    planned(clip, out, options)
    make_segment(clip, out, 2, options=options)
    before = outputs(folder_of(out))
    with running("segment", "run", out, "--index", "0") as process:
        events_until(process, lambda event: event["event"] == "plan")
        assert len(list(folder_of(out).glob("*.lease"))) == 1
        process.send_signal(number)
        last = events_until(process, lambda event: event["event"] == "error")
        process.communicate(timeout=60)
    assert (process.returncode, "the segment is not made, those that are stay" in last["message"]) == (code, True)
    assert outputs(folder_of(out)) == before


@pytest.mark.fault(26)
def test_a_task_that_fails_in_the_middle_leaves_nothing_half_made(clip: Path, out: Path) -> None:
    options = CleanOptions()
    planned(clip, out, options)
    before = outputs(folder_of(out))
    inside: list[str] = []

    def fail(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 3:
            inside.extend(path.name for path in folder_of(out).glob(".0-00001.clean.*"))
            raise Stopped

    with pytest.raises(Stopped):
        make_segment(clip, out, 1, options=options, on_event=fail)
    assert len(inside) == 1
    assert outputs(folder_of(out)) == before


@pytest.mark.fault(26)
def test_a_signal_when_the_segment_is_made_comes_too_late(clip: Path, out: Path) -> None:
    """While the interpreter winds down."""
    planned(clip, out, CleanOptions())
    late = f"import atexit, os; atexit.register(lambda: os.kill(os.getpid(), {int(signal.SIGTERM)}))"
    command = [sys.executable, "-c", late + SHORT, "segment", "run", str(out), "--index", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


NAMES = ("plain.mp4", "two words.mp4", "it's $HOME `id`; rm -rf x.mp4", "line\nbreak #SBATCH.mp4", "-dash.mp4")


@pytest.mark.proves("clean --slurm")
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_a_name_to_the_shell(name: str, tmp_path: Path) -> None:
    """The words that bash makes of the script, read back from a program in place of ours."""
    script = tmp_path / "job.sh"
    text = array_script(tmp_path / name, segments=2300, threads=3, device="cuda")
    script.write_text(text)
    subprocess.run(["bash", "-n", script], check=True)
    head = [line for line in text.splitlines() if line.startswith("#SBATCH ")]
    assert head == [
        *("#SBATCH --job-name=vidrain", "#SBATCH --array=0-999", "#SBATCH --cpus-per-task=3", "#SBATCH --gres=gpu:1")
    ]
    echo = tmp_path / "echo"
    echo.write_text('#!/bin/bash\nprintf "%s\\0" "$@"\nexit 3\n')
    echo.chmod(0o755)
    script.write_text(text.replace(sys.executable, str(echo), 1))
    done = subprocess.run(["bash", script], env={**os.environ, "SLURM_ARRAY_TASK_ID": "7"}, capture_output=True)
    assert done.returncode == 3, "a task that failed says so, behind the others"
    words = done.stdout.decode().split("\0")
    assert words[:-1] == [
        word
        for index in ("7", "1007", "2007")
        for word in ("-m", "vidrain", "segment", "run", str(tmp_path / name), "--index", index)
    ]
