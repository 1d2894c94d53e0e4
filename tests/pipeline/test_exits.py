"""How runs end that do not go well: the exit code, one line that says why, and nothing half-made left behind."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import wiped
from tests.pipeline.conftest import Ran, Vidrain, in_time
from vidrain.events import Event, Progress
from vidrain.outputs import claimed
from vidrain.segments.folder import folder_of

ROOT = Path(__file__).resolve().parents[2]
RATE = 25  # frames a second of full_range.mp4, which has 28
LIMITED = """
import resource, sys
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from vidrain.cli import main
main()
"""
HOLD = """
import sys
from pathlib import Path
from vidrain.outputs import claimed
with claimed(Path(sys.argv[1]), force=False):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def long_clip(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Minutes of work: a sample over and over."""
    path = tmp_path_factory.mktemp("long") / "long.mp4"
    return ffmpeg_says.remux(samples / "street.mp4", path, "-map", "0:v", first=("-stream_loop", "60"))


def check_error(ran: Ran, code: int, said: str) -> None:
    assert (ran.code, ran.out) == (code, "")
    assert ran.err.startswith("vidrain: ")
    assert ran.err.endswith("\n")
    assert ran.err.count("\n") == 1
    assert said in ran.err


def fails(run: Vidrain, code: int, said: str, *arguments: str | Path) -> None:
    """The command ends with `code` and one line, and with --json tells the same as its last event."""
    check_error(run(*arguments), code, said)
    ran = run(*arguments, "--json")
    last = ran.events[-1]
    assert (ran.code, last["event"], last["exit_code"], last["v"]) == (code, "error", code, 1)
    assert said in last["message"]
    assert ran.err == f"vidrain: {last['message']}\n"


@pytest.mark.fault(32)
@pytest.mark.proves("exit 2")
def test_contradictions_are_wrong_usage(source: Path, out: Path, vidrain: Vidrain) -> None:
    for said, arguments in (
        ("is the source", ("-o", source)),
        ("is another output", ("-o", out, "--rain", out)),
        ("names no container", ("-o", out.with_suffix(".gif"))),
        ("drop one", ("-o", out, "--archive", "--codec", "h264")),
        ("is no position", ("-o", out, "--start", "noon")),
        ("no frame lies there", ("-o", out, "--start", "5", "--end", "5")),
        ("did you mean preset", ("-o", out, "-e", "presett=slow")),
        ("Did you mean: 'crf'", ("-o", out, "encode.crff=20")),
        ("cannot be read", ("-o", out, "-c", out.with_suffix(".yaml"))),
    ):
        fails(vidrain, 2, said, "clean", source, *arguments)
    assert vidrain("clean", source, "--no-such-option").code == 2
    assert vidrain("clean").code == 2
    assert list(out.parent.iterdir()) == []


def missing(folder: Path) -> tuple[Path, str]:
    return folder / "none.mp4", "no such file"


def empty(folder: Path) -> tuple[Path, str]:
    (folder / "empty.mp4").write_bytes(b"")
    return folder / "empty.mp4", "is empty (0 bytes)"


def text(folder: Path) -> tuple[Path, str]:
    (folder / "text.mp4").write_text("Rain, rain, go away.\n" * 100)
    return folder / "text.mp4", "is no video file that can be opened"


def sound_only(folder: Path) -> tuple[Path, str]:
    return ffmpeg_says.remux(folder / "in.mp4", folder / "sound.m4a", "-map", "0:a"), "holds no video stream"


def a_folder(folder: Path) -> tuple[Path, str]:
    return folder, "is a folder"


def name_too_long(folder: Path) -> tuple[Path, str]:
    return folder / ("x" * 300 + ".mp4"), "File name too long"


def two_lines(folder: Path) -> tuple[Path, str]:
    return folder / "no such\nfile.mp4", "no such"


def nothing_decodes(folder: Path) -> tuple[Path, str]:
    coded = folder / "coded.mov"
    ffmpeg_says.quietly("-i", folder / "in.mp4", "-an", "-c:v", "mjpeg", coded)
    every = range(len(ffmpeg_says.packets(coded, "0:v:0").packets))
    return wiped(coded, folder / "wiped.mov", every), "no frame of its mjpeg video can be decoded"


@pytest.mark.fault(1, 2, 3, 4, 32)
@pytest.mark.proves("exit 3")
@pytest.mark.parametrize(
    "make", [missing, empty, text, sound_only, a_folder, name_too_long, two_lines, nothing_decodes]
)
def test_unusable_input(make: Callable[[Path], tuple[Path, str]], source: Path, out: Path, vidrain: Vidrain) -> None:
    path, said = make(source.parent)
    if make is two_lines:
        check_error(vidrain("clean", path, "-o", out), 3, said)
    else:
        fails(vidrain, 3, said, "clean", path, "-o", out)
    assert list(out.parent.iterdir()) == []


@pytest.mark.proves("exit 5")
def test_output_that_cannot_be_written(source: Path, out: Path, vidrain: Vidrain) -> None:
    fails(vidrain, 5, "does not exist; create it", "clean", source, "-o", out.parent / "none" / "out.mp4")
    fails(vidrain, 5, "cannot be written there", "clean", source, "-o", out.with_name("x" * 300 + ".mp4"))
    folder = out.with_name("folder.mp4")
    folder.mkdir()
    fails(vidrain, 5, "is a folder", "clean", source, "-o", folder, "--force")
    folder.rmdir()
    out.write_bytes(b"precious")
    fails(vidrain, 5, "exists already", "clean", source, "-o", out)
    fails(vidrain, 5, "exists already", "clean", source, "-o", out.with_name("b.mp4"), "--rain", out)
    assert list(out.parent.iterdir()) == [out]
    assert out.read_bytes() == b"precious"


@contextmanager
def started(*command: str | Path, code: str | None = None) -> Iterator[subprocess.Popen[str]]:
    """A run of `python -m vidrain`, or of `code`, in a process of its own; killed at the end if it still runs."""
    how = ["-m", "vidrain"] if code is None else ["-c", code]
    process = subprocess.Popen(
        [sys.executable, *how, *map(str, command)],
        cwd=ROOT,
        env=os.environ | {"OMP_WAIT_POLICY": "PASSIVE"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("limit", "options", "which", "left"),
    [
        (2_000, (), "out.mp4", []),
        (300_000, ("--rain",), "other.mp4", []),
        (300_000, ("--compare",), "other.mp4", ["out.mp4.vidrain"]),
    ],
)
def test_full_disk(limit: int, options: tuple[str, ...], which: str, left: list[str], samples: Path, out: Path) -> None:
    """What is finished stays, for the same command to go on from.

    A limit on the size of files is what a quota or a full disk is to a program: writes that fail.
    """
    others = [out.with_name("other.mp4")] if options else []
    arguments = ("clean", samples / "street.mp4", "-o", out, *options, *others, "--end", "12", "--json")
    with started(str(limit), *arguments, code=LIMITED) as process:
        said, err = process.communicate()
    last = json.loads(said.splitlines()[-1])
    assert (process.returncode, last["event"], last["exit_code"]) == (5, "error", 5)
    assert which in last["message"]
    assert err == f"vidrain: {last['message']}\n"
    assert [path.name for path in out.parent.iterdir()] == left


def test_disk_that_fills_up_with_the_last_bytes(samples: Path, out: Path, vidrain: Vidrain) -> None:
    """The index of an MP4 is written when all frames are: the last writes count as well."""
    arguments = ("clean", samples / "street.mp4", "-o", out, "--end", "4", "--preset", "fast")
    assert vidrain(*arguments).code == 0
    size = out.stat().st_size
    out.unlink()
    for limit, code in ((size - 1, 5), (size, 0)):
        with started(str(limit), *arguments, code=LIMITED) as process:
            _, err = process.communicate()
        assert (process.returncode, err.count("\n")) == (code, bool(code))
        assert list(out.parent.iterdir()) == ([folder_of(out)] if code else [out])


@pytest.mark.proves("exit 6")
def test_output_that_another_run_is_writing(source: Path, out: Path, vidrain: Vidrain) -> None:
    with started(out, code=HOLD) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        fails(vidrain, 6, "another vidrain is writing it", "clean", source, "-o", out)
        fails(vidrain, 6, "another vidrain is writing it", "clean", source, "-o", out.with_name("b.mp4"), "--rain", out)
        assert len(list(out.parent.iterdir())) == 1  # the other's partial file
        holder.communicate()
    assert vidrain("clean", source, "-o", out).code == 0


@pytest.mark.proves("exit 7")
def test_weights_that_cannot_be_used(source: Path, out: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    weights = tmp_path / "model.safetensors"
    fails(vidrain, 7, "no such weights file", "clean", source, "-o", out, "--weights", weights)
    weights.write_bytes(pickle.dumps({"model": "baseline"}))
    fails(vidrain, 7, "is no safetensors file", "clean", source, "-o", out, "--weights", weights)
    fails(vidrain, 7, "model nonesuch is not known", "clean", source, "-o", out, "--model", "nonesuch")
    assert list(out.parent.iterdir()) == []


def events_until(process: subprocess.Popen[str], wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The first event that is wanted; reads all before it."""
    assert process.stdout is not None
    for line in process.stdout:
        if wanted(event := json.loads(line)):
            return dict(event)
    raise AssertionError("ended too early")


def stopped(number: signal.Signals, when: str, source: Path, out: Path) -> float:
    """A run that gets this signal in its first segment ends with its code and one line, and leaves no trace; seconds.

    Python itself, with torch loaded, takes a second or more to end on a busy machine.
    """
    before = source.read_bytes()
    arguments = ("clean", source, "-o", out, "--rain", out.with_name("rain.mp4"), "--json")
    with started(*arguments) as process:
        events_until(process, lambda event: event["event"] == when and event["frames"] > 3)
        assert len(list(out.parent.iterdir())) == 3
        sent = time.monotonic()
        process.send_signal(number)
        last = events_until(process, lambda event: event["event"] == "error")
        took = time.monotonic() - sent
        assert list(out.parent.iterdir()) == []
        said, err = process.communicate(timeout=60)
    assert (process.returncode, last["exit_code"], said) == (128 + number, 128 + number, "")
    assert err == f"vidrain: {last['message']}\n"
    assert list(out.parent.iterdir()) == []
    assert source.read_bytes() == before
    return took


@pytest.mark.proves("exit 130")
@pytest.mark.parametrize("when", ["plan", "progress"])
def test_ctrl_c(when: str, long_clip: Path, out: Path) -> None:
    in_time(lambda: stopped(signal.SIGINT, when, long_clip, out), limit_s=2)


@pytest.mark.proves("exit 143")
@pytest.mark.parametrize("when", ["plan", "progress"])
def test_termination(when: str, long_clip: Path, out: Path) -> None:
    in_time(lambda: stopped(signal.SIGTERM, when, long_clip, out), limit_s=2)


def test_a_reader_of_events_that_goes_away_stops_nothing(source: Path, out: Path) -> None:
    """As in `vidrain clean ... --json | head -1`: the video is what was asked for."""
    with started("clean", source, "-o", out, "--json") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        _, err = process.communicate(timeout=120)
    assert (process.returncode, err) == (0, "")
    assert list(out.parent.iterdir()) == [out]


def test_after_a_kill_the_next_run_succeeds(long_clip: Path, out: Path, vidrain: Vidrain) -> None:
    with started("clean", long_clip, "-o", out, "--json") as process:
        events_until(process, lambda event: event["event"] == "progress")
        process.kill()
        process.communicate()
    assert {path.name for path in out.parent.iterdir()} == {"out.mp4.vidrain", ".out.mp4.partial.mp4"}
    assert vidrain("clean", long_clip, "-o", out, "--end", "3").code == 0
    assert list(out.parent.iterdir()) == [out]
    assert len(ffmpeg_says.shown_frames(out).packets) == 3


@pytest.mark.proves("exit 70")
@pytest.mark.parametrize(
    ("command", "raised", "named"),
    [
        (("clean",), "KeyError('no such key')", "KeyError: 'no such key'"),
        (("batch", "run", "--engine", "inline"), "KeyError('no such key')", "KeyError: 'no such key'"),
        (("clean",), "BrokenPipeError(32, 'of something else')", "BrokenPipeError: [Errno 32] of something else"),
    ],
)
def test_a_fault_of_ours_is_no_failed_file(
    command: tuple[str, ...], raised: str, named: str, source: Path, out: Path
) -> None:
    """Python alone would end with 1, which says that the other files of a batch are done."""
    fault = f"""
import vidrain.identity, vidrain.pipeline, vidrain.batch.plan
def broken(*_): raise {raised}
vidrain.pipeline.identity_of = vidrain.batch.plan.identity_of = broken
from vidrain.__main__ import run
run()
"""
    with started(*command, source, "-o", out, "--json", code=fault) as process:
        told, said = process.communicate(timeout=60)
    assert process.returncode == 70, said
    assert "Traceback" in said
    assert said.splitlines()[-1] == f"vidrain: a fault of vidrain: {named}"
    last = json.loads(told.splitlines()[-1])
    assert (last["event"], last["exit_code"]) == ("error", 70)


def test_caller_that_fails_leaves_nothing(source: Path, out: Path) -> None:
    def fail(event: Event) -> None:
        if isinstance(event, Progress):
            raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        package.clean(source, out, on_event=fail)
    assert list(out.parent.iterdir()) == []
    with claimed(out, force=False):
        pass
