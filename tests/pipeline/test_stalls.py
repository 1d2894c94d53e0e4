"""Sources that give nothing any more: the job ends by itself, in one line, and leaves nothing behind."""

from __future__ import annotations

import fcntl
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.batches import CHEAP
from tests.pipeline.conftest import Vidrain
from vidrain.batch.inputs import items_in
from vidrain.batch.journal import Journal
from vidrain.batch.options import BatchOptions
from vidrain.batch.plan import Look, files_of, look_at_all, look_soon
from vidrain.batch.run import run_batch
from vidrain.batch.task import clean_task, run_task
from vidrain.config import load_clean, plain
from vidrain.errors import InputError
from vidrain.events import BatchPlan, Event, Plan, Progress, VerifyPlan, ignore
from vidrain.inspection import inspect
from vidrain.video import access, clips, facts, subtitles
from vidrain.video.decode import Video
from vidrain.viewer.report import write_report

pytestmark = [pytest.mark.fault(33)]


@contextmanager
def nobody_gets_in(path: Path) -> Iterator[None]:
    """While a lease is held, the kernel lets whoever opens the file wait: a real stall, as of a dead network share."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)  # tells the holder that somebody waits
    holder = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        fcntl.fcntl(holder, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(holder)
        signal.signal(signal.SIGIO, before)


@pytest.fixture
def source(samples: Path, tmp_path: Path) -> Path:
    return ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "in.mp4", "-map", "0", "-t", "0.5")


leases = pytest.mark.skipif(sys.platform != "linux", reason="leases are of Linux")


@leases
@pytest.mark.proves("exit 3", "clean --stall-s", "inspect --stall-s", "verify --stall-s", "analyze id --stall-s")
@pytest.mark.parametrize("command", ["clean", "inspect", "analyze", "verify", "verify-out"])
def test_a_file_that_cannot_be_opened_in_time(
    command: str, source: Path, out: Path, samples: Path, vidrain: Vidrain
) -> None:
    arguments = {
        "clean": ("clean", source, "-o", out),
        "inspect": ("inspect", source),
        "analyze": ("analyze", "id", source),
        "verify": ("verify", samples / "odd.mp4", "--against", source),
        "verify-out": ("verify", source, "--against", samples / "odd.mp4"),
    }[command]
    with nobody_gets_in(source):
        began = time.monotonic()
        ran = vidrain(*arguments, "--stall-s", "0.5")
        assert time.monotonic() - began < 5
    assert (ran.code, ran.err.count("\n"), ran.out) == (3, 1, "")
    assert ran.err.startswith(f"vidrain: {source}: gave nothing for 0.5 s while it was opened")
    assert "raise --stall-s" in ran.err
    assert list(out.parent.iterdir()) == []


@leases
@pytest.mark.parametrize("name", ["source", "output"])
def test_a_comparison_that_stalls_once_it_is_under_way(name: str, source: Path, out: Path) -> None:
    """Both decoders open their file once more; the one that got nothing is named."""
    package.clean(source, out)
    stalled = source if name == "source" else out
    lease = nobody_gets_in(stalled)

    def meddle(event: Event) -> None:
        if isinstance(event, VerifyPlan):
            lease.__enter__()

    options = package.CleanOptions(stall_s=0.5)
    try:
        with pytest.raises(InputError, match=r"gave nothing for 0.5 s .*copy it to a disk") as raised:
            package.verify_against(out, source, full=True, options=options, on_event=meddle)
        assert str(raised.value).startswith(f"{stalled}: ")
    finally:
        lease.__exit__(None, None, None)
    assert package.verify_against(out, source, full=True, options=options).exit_code == 0


def test_a_long_list_of_packets_is_no_stall(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package.clean(source, out)
    at_once = facts.moved

    def slow(*arguments: object) -> bool:
        time.sleep(0.05)  # of 22 packets of sound
        return at_once(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(facts, "moved", slow)
    assert package.verify_against(out, source, options=package.CleanOptions(stall_s=0.5)).exit_code == 0


def test_random_access_that_stalls(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decoding in order went well."""
    release = threading.Event()
    monkeypatch.setattr(Video, "frame", lambda *_: release.wait(60))
    try:
        with pytest.raises(InputError, match=r"gave nothing for 0.5 s .*copy it to a disk"):
            inspect(source, further=["access"], stall_s=0.5)
    finally:
        release.set()


def test_random_access_to_many_frames_is_no_stall(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest, difference = access._digest, clips._check_frame

    def slow_digest(*arguments: object) -> bytes:
        time.sleep(0.05)  # twice for each of 12 frames
        return digest(*arguments)  # type: ignore[arg-type]

    def slow_check(*arguments: object) -> None:
        time.sleep(0.05)
        difference(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(access, "_digest", slow_digest)
    monkeypatch.setattr(clips, "_check_frame", slow_check)
    found = inspect(source, further=["access"], stall_s=0.9).access
    assert found is not None
    assert (found.wrong, found.decord) == ((), None)


@leases
def test_a_file_that_stalls_once_the_job_is_under_way(source: Path, out: Path) -> None:
    """The share goes away after the plan: other streams and decoder open the file once more."""
    lease = nobody_gets_in(source)

    def meddle(event: Event) -> None:
        if isinstance(event, Plan):
            lease.__enter__()

    try:
        with pytest.raises(InputError, match=r"gave nothing for 0.5 s .*copy it to a disk"):
            package.clean(source, out, options=package.CleanOptions(stall_s=0.5), on_event=meddle)
        assert list(out.parent.iterdir()) == []
    finally:
        lease.__exit__(None, None, None)
    assert package.clean(source, out).status == "ok"


def test_a_decoder_that_stalls_is_left_behind(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The place is named; the clock starts anew with every frame."""
    frames, release = Video.frames, threading.Event()

    def stuck(video: Video, first: int = 0) -> Iterator[object]:
        for frame in frames(video, first):
            if frame.index == 7:
                release.wait(60)
            yield frame
            time.sleep(0.1)

    monkeypatch.setattr(Video, "frames", stuck)
    try:
        with pytest.raises(InputError, match=r"gave nothing for 0.5 s at frame \d+;"):
            package.clean(source, out, options=package.CleanOptions(stall_s=0.5))
        assert list(out.parent.iterdir()) == []
    finally:
        release.set()


def test_a_report_whose_pictures_stall(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames, release = Video.frames, threading.Event()
    options = package.CleanOptions(stall_s=0.5, end="4")
    package.clean(source, out, options=options)

    def stuck(video: Video, first: int = 0) -> Iterator[object]:
        for frame in frames(video, first):
            if under_way and frame.index == 2 and video.info.path == source:
                release.wait(60)
            yield frame

    under_way: list[Event] = []

    def note(event: Event) -> None:
        if isinstance(event, Progress):
            under_way.append(event)

    monkeypatch.setattr(Video, "frames", stuck)
    try:
        with pytest.raises(InputError, match=rf"^{source}: gave nothing for 0.5 s"):
            write_report(out, source, options=options, on_event=note)
        assert list(out.parent.iterdir()) == [out]
    finally:
        release.set()


def test_text_that_stalls_while_it_is_read(
    source: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read whole before the first frame, to be converted."""
    text, spoken = tmp_path / "lines.srt", tmp_path / "spoken.mkv"
    text.write_text("1\n00:00:00,100 --> 00:00:00,300\nrain\n")
    ffmpeg_says.quietly("-i", source, "-i", text, "-map", "0", "-map", "1", "-c", "copy", spoken)
    release, lines = threading.Event(), subtitles.lines_of

    def stuck(*arguments: object) -> object:
        release.wait(30)
        return lines(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(subtitles, "lines_of", stuck)
    try:
        with pytest.raises(InputError, match=r"gave nothing for 0.5 s"):
            package.clean(spoken, out, options=package.CleanOptions(stall_s=0.5))
        assert list(out.parent.iterdir()) == []
    finally:
        release.set()


def test_a_clip_that_stalls_while_it_is_measured(
    samples: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    frames, release = Video.frames, threading.Event()

    def stuck(video: Video, first: int = 0) -> Iterator[object]:
        for frame in frames(video, first):
            if frame.index == 3:
                release.wait(60)
            yield frame

    monkeypatch.setattr(Video, "frames", stuck)
    try:
        ran = vidrain("analyze", "id", samples / "odd.mp4", "--stall-s", "0.5")
        assert (ran.code, ran.err.count("\n")) == (3, 1)
        assert "gave nothing for 0.5 s at frame" in ran.err
    finally:
        release.set()


def test_a_slow_model_is_no_stall(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vidrain.baseline import Baseline

    at_once = Baseline.__call__

    def slow(self: Baseline, aligned: object) -> object:
        time.sleep(0.4)
        return at_once(self, aligned)  # type: ignore[arg-type]

    monkeypatch.setattr(Baseline, "__call__", slow)
    assert package.clean(source, out, options=package.CleanOptions(stall_s=0.3, end="4")).frames_out == 4


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_patience_must_be_some_seconds(seconds: str, source: Path, out: Path, vidrain: Vidrain) -> None:
    clean = ("clean", source, "-o", out)
    for arguments in (
        *(clean, (*clean, "--report", out.with_name("page.html")), (*clean, "--slurm", out.with_name("array.sh"))),
        *(("batch", "run", source, "-o", out.parent), ("inspect", source), ("verify", source, "--against", source)),
    ):
        ran = vidrain(*arguments, "--stall-s", seconds)
        assert (ran.code, ran.err.count("\n")) == (2, 1)
        assert "allowed are seconds above 0" in ran.err
    assert vidrain("clean", source, "-o", out, f"stall_s={seconds}").code == 2


def test_pipes_and_devices_are_refused_at_once(tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", Path(os.devnull)):
        for command in (("clean", path, "-o", out), ("inspect", path)):
            ran = vidrain(*command)
            assert (ran.code, ran.err.count("\n")) == (3, 1)
            assert "is a pipe or a device" in ran.err
    assert list(out.parent.iterdir()) == []


@leases
def test_a_batch_waits_for_it_once_more_and_no_oftener(source: Path, out: Path) -> None:
    task = clean_task("7", source, out, plain(package.CleanOptions(stall_s=0.5)), replace=False)
    with nobody_gets_in(source):
        result = run_task(task, ignore)
    assert (result["code"], result["transient"], result["tries"]) == (3, True, 2)


@leases
@pytest.mark.timeout(60)
def test_what_was_made_of_a_source_that_stalled_at_first_counts_by_what_it_is(source: Path, out: Path) -> None:
    """Not by having stalled, as another video in its place may stall as well."""
    pairs = (*CHEAP[:-2], "stall_s=0.5")
    files = files_of(items_in([str(source)], out.parent), lambda own: load_clean(None, pairs, {}), ())

    def run(*, stalls: bool) -> tuple[int, int]:
        """Files done before, and in this run; the source comes back once it was looked at."""
        with ExitStack() as stall:
            if stalls:
                stall.enter_context(nobody_gets_in(source))
            heard = lambda event: stall.close() if isinstance(event, BatchPlan) else None  # noqa: E731
            done = run_batch(files, out.parent, BatchOptions(engine="inline"), on_event=heard)
        return done.before, done.done

    assert run(stalls=True) == (0, 1)
    assert run(stalls=False) == (1, 0), "it is known by now what it was"
    ffmpeg_says.remux(source, source.with_name("other.mp4"), "-map", "0", "-t", "0.3")
    source.with_name("other.mp4").replace(source)
    assert run(stalls=True) == (0, 1), "another video"


@leases
@pytest.mark.timeout(60)
def test_of_a_folder_that_stalls_few_are_asked(source: Path, out: Path) -> None:
    names = [f"{number}.mp4" for number in range(8)]
    for name in names:
        source.with_name(name).write_bytes(source.read_bytes())
    files = files_of(
        items_in([str(source.with_name(name)) for name in names], out.parent),
        lambda own: load_clean(None, ["stall_s=0.5"], {}),
        (),
    )
    began, threads = time.monotonic(), threading.active_count()
    with ExitStack() as stall:
        for name in names:
            stall.enter_context(nobody_gets_in(source.with_name(name)))
        looks = look_at_all(files, Journal(out.parent))
        assert threading.active_count() - threads == 3
    assert [(look.state, look.size) for look in looks] == [("to do", 0)] * 8
    assert time.monotonic() - began < 3 * 0.5 + 1


@leases
@pytest.mark.timeout(60)
@pytest.mark.parametrize("patience", ["0.5", pytest.param("5", marks=pytest.mark.slow)])
def test_a_batch_that_looks_at_its_sources_waits_for_none_in_vain(
    patience: str, source: Path, out: Path, vidrain: Vidrain
) -> None:
    """And hardly for those that lie beside one that stalled; what is done stays so."""
    for name in ("a.mp4", "other.mp4"):
        (source.parent / name).write_bytes(source.read_bytes())
    run = ("batch", "run", source.parent, "-o", out.parent, "--engine", "inline", "model=baseline")
    assert vidrain(*run).code == 0

    def looked() -> dict[str, str]:
        ran = vidrain(*run, "--stall-s", patience, "--dry-run", "--json")
        return {each["output"]: each["state"] for each in ran.events[-1]["each"]}

    began = time.monotonic()
    with nobody_gets_in(source), nobody_gets_in(source.parent / "other.mp4"):
        assert looked() == {"a.mp4": "done", "in.mp4": "unreadable", "other.mp4": "unreadable"}
    assert time.monotonic() - began < float(patience) + 4
    assert set(looked().values()) == {"done"}


@leases
def test_of_a_folder_that_hangs_one_file_is_looked_at_when_its_turn_comes(
    source: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile nobody would hear those that run; each of its tasks waits for itself."""
    names = ("a.mp4", "b.mp4", "c.mp4")
    for name in names:
        (source.parent / name).write_bytes(source.read_bytes())
    source.unlink()
    files = files_of(items_in([str(source.parent)], out.parent), lambda own: load_clean(None, ["stall_s=0.5"], {}), ())
    looked = list[Look]()
    monkeypatch.setattr("vidrain.batch.run.look_soon", lambda look: looked.append(look) or look_soon(look))
    monkeypatch.setattr("vidrain.batch.schedule.TRIES", 1)
    with ExitStack() as stall:
        for name in names:
            stall.enter_context(nobody_gets_in(source.with_name(name)))
        assert run_batch(files, out.parent, BatchOptions(engine="inline")).failed == 3
    assert len(looked) == 1


@leases
@pytest.mark.proves("batch run --stall-s")
def test_a_manifest_that_stalls_is_not_waited_for(source: Path, out: Path, vidrain: Vidrain) -> None:
    """Nothing is begun; how a folder that hangs ends is in tests/slow/test_hung_share.py."""
    jobs = source.with_name("jobs.csv")
    jobs.write_text("input\nin.mp4\n")
    run = ("batch", "run", jobs, "-o", out.parent, "--engine", "inline", *CHEAP, "--stall-s", "0.5")
    with nobody_gets_in(jobs):
        ran = vidrain(*run)
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert ran.err.startswith(f"vidrain: {jobs}: gave nothing for 0.5 s while it was listed; copy it to a disk")
    assert list(out.parent.iterdir()) == []
    assert vidrain(*run).code == 0
