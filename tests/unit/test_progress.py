"""What a job tells, as people and programs get to see it."""

import inspect
import io
import json
import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from vidrain.events import (
    AdaptationDone,
    AdaptationStep,
    BatchDone,
    BatchPlan,
    EvalDone,
    EvalRow,
    EvalStart,
    Event,
    FileDone,
    FileEnd,
    FileNews,
    FileStart,
    Meter,
    Notice,
    Plan,
    Progress,
    Resumed,
    TrainingDone,
    TrainingPlan,
    TrainingStep,
    VerifyPlan,
)
from vidrain.progress import Bar, Lines, Quiet, sink_for, summary

PLAN = Plan(
    source="in.mp4",
    outputs={"clean": "out.mp4"},
    model="baseline",
    made_by="0.1.0 baseline weights=none config=0123456789ab",
    encoder="libx264",
    pix_fmt="yuv420p",
    width=640,
    height=360,
    frames=20,
)
DONE = FileDone(
    status="ok",
    outputs={"clean": "out.mp4", "rain": "rain.mp4"},
    frames_in=20,
    frames_out=20,
    frames_repeated=0,
    pts_equal=True,
    streams=["audio aac", "subtitle mov_text"],
    seconds=4.0,
)
TRAINING = TrainingPlan(
    run_dir="runs/[1]", model="gate-s", parameters=37000, device="cpu", clips=["a.mp4"], first=0, steps=20
)
TRAINED = TrainingDone(run_dir="runs/[1]", weights="runs/[1]/w.safetensors", steps=20, loss=0.0025, seconds=4.0)
VERIFY = VerifyPlan(output="out.mp4", source="in.mp4", frames=20)
ADAPTED = AdaptationDone(
    steps=60,
    kept_steps=45,
    gain=0.125,
    error_before=0.008,
    error_after=0.007,
    benefit_before=0.001,
    benefit_after=0.002,
    fell_back=False,
    reason=None,
    is_reused=False,
    weights="0123456789ab",
    seconds=31.0,
)
NOTICE = Notice(code="times", message="two times were moved")


def progress(frames: int, total: int = 20) -> Progress:
    return Progress(frames=frames, total=total, fps=5.0, eta_s=(total - frames) / 5.0)


def adapting(steps: int, *, total: int | None = None, limit_s: float | None = None) -> AdaptationStep:
    return AdaptationStep(steps=steps, total=total, seconds=steps / 2, limit_s=limit_s, gain=0.034)


def trained(steps: int, total: int = 20) -> TrainingStep:
    return TrainingStep(steps=steps, total=total, loss=0.0125, steps_per_s=5.0, eta_s=(total - steps) / 5.0)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread, for as long as a busy machine may take."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class TestLines:
    def test_every_line_is_an_object_of_schema_1(self, capsys: pytest.CaptureFixture[str]) -> None:
        stream = io.StringIO()
        with Lines(stream) as sink:
            for event in (PLAN, NOTICE, progress(20), DONE):
                sink(event)
            sink.failed("in.mp4: no such file; check the path", 3)
        assert capsys.readouterr() == ("", "vidrain: in.mp4: no such file; check the path\n")
        lines = lines_of(stream)
        assert [line["event"] for line in lines] == ["plan", "warning", "progress", "file_done", "error"]
        assert [line["v"] for line in lines] == [1] * 5
        stamps = [datetime.fromisoformat(line["ts"]) for line in lines]
        assert all(stamp.utcoffset() == timedelta(0) for stamp in stamps)
        assert stamps == sorted(stamps)
        bare = [{key: value for key, value in line.items() if key not in ("v", "ts", "event")} for line in lines]
        assert bare == [
            {
                "source": "in.mp4",
                "outputs": {"clean": "out.mp4"},
                "model": "baseline",
                "made_by": "0.1.0 baseline weights=none config=0123456789ab",
                "encoder": "libx264",
                "pix_fmt": "yuv420p",
                "width": 640,
                "height": 360,
                "frames": 20,
            },
            {"code": "times", "message": "two times were moved"},
            {"frames": 20, "total": 20, "fps": 5.0, "eta_s": 0.0},
            {
                "status": "ok",
                "outputs": {"clean": "out.mp4", "rain": "rain.mp4"},
                "frames_in": 20,
                "frames_out": 20,
                "frames_repeated": 0,
                "pts_equal": True,
                "streams": ["audio aac", "subtitle mov_text"],
                "seconds": 4.0,
            },
            {"message": "in.mp4: no such file; check the path", "exit_code": 3},
        ]

    def test_text_of_any_kind_stays_one_line_of_ascii(self) -> None:
        stream = io.StringIO()
        with Lines(stream) as sink:
            sink(Notice(code="x", message='Fluß\n"quoted" \udcff \u2028'))
        assert stream.getvalue().isascii()
        assert len(stream.getvalue().splitlines()) == 1
        assert lines_of(stream)[0]["message"] == 'Fluß\n"quoted" \udcff \u2028'

    def test_progress_is_not_written_more_often_than_wanted(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.05) as sink:
            sink(PLAN)
            began = time.monotonic()
            for frame in range(1, 100):
                sink(progress(frame, 1000))
                time.sleep(0.001)
            took = time.monotonic() - began
        written = [line["frames"] for line in lines_of(stream)[1:]]
        assert 1 <= len(written) <= took / 0.05
        assert written == sorted(written)

    def test_twice_a_second_and_every_ten_seconds_unless_told_otherwise(self) -> None:
        intervals = inspect.signature(Lines).parameters
        assert (intervals["at_most_every_s"].default, intervals["at_least_every_s"].default) == (0.5, 10.0)

    def test_last_progress_is_always_written(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=60, at_least_every_s=120) as sink:
            for frame in range(1, 21):
                sink(progress(frame))
        assert [line["frames"] for line in lines_of(stream)] == [20]

    def test_a_frame_that_takes_long_is_not_silence(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.02, at_least_every_s=0.1) as sink:
            sink(PLAN)
            until(lambda: stream.getvalue().count("\n") >= 3)
            sink(progress(20))
            until(lambda: stream.getvalue().count('"frames": 20, "total"') >= 3)
        lines = lines_of(stream)
        assert [line["event"] for line in lines] == ["plan"] + ["progress"] * (len(lines) - 1)
        assert (lines[1]["frames"], lines[1]["total"], lines[1]["eta_s"]) == (0, 20, None)
        assert lines[-1]["frames"] == 20

    def test_what_an_earlier_run_did_counts(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.02) as sink:
            sink(PLAN)
            sink(Resumed(frames=13, total=20))
            until(lambda: stream.getvalue().count("\n") >= 3)
        lines = lines_of(stream)
        assert [line["event"] for line in lines[:2]] == ["plan", "resumed"]
        assert (lines[-1]["event"], lines[-1]["frames"], lines[-1]["total"]) == ("progress", 13, 20)

    def test_silence_ends_in_time(self) -> None:
        """The look at the clock that comes last before the limit writes, not the one behind it."""
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.1, at_least_every_s=0.3) as sink:
            sink(PLAN)
            began = time.monotonic()
            until(lambda: stream.getvalue().count("\n") >= 2)
            assert time.monotonic() - began < 0.3 + 1.0  # a busy machine may be late by itself

    def test_before_the_plan_there_is_nothing_to_say(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.02):
            time.sleep(0.1)
        assert stream.getvalue() == ""

    def test_training_is_told_likewise(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=60) as sink:
            for event in (TRAINING, trained(7), trained(20), TRAINED):
                sink(event)
        lines = lines_of(stream)
        assert [line["event"] for line in lines] == ["training_plan", "training_step", "training_done"]
        assert (lines[0]["clips"], lines[1]["steps"], lines[1]["loss"]) == (["a.mp4"], 20, 0.0125)

    def test_a_comparison_is_told_likewise_and_nothing_comes_behind_its_end(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.02, at_least_every_s=0.1) as sink:
            sink(VERIFY)
            until(lambda: stream.getvalue().count('"frames": 0, "total": 20') >= 2)
            sink.finish()
            written = stream.getvalue()
            time.sleep(0.3)
            assert stream.getvalue() == written
        assert [line["event"] for line in lines_of(stream)][:2] == ["verify_plan", "progress"]

    def test_adapting_is_told_likewise(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.05) as sink:
            sink(adapting(7, limit_s=30))
            until(lambda: stream.getvalue().count("adaptation_step") >= 2)
            sink(ADAPTED)
            written = stream.getvalue().count("\n")
            time.sleep(0.1)
            assert stream.getvalue().count("\n") == written  # it is over
        lines = lines_of(stream)
        assert [line["event"] for line in lines[-2:]] == ["adaptation_step", "adaptation_done"]
        assert (lines[0]["steps"], lines[0]["total"], lines[0]["limit_s"], lines[0]["gain"]) == (7, None, 30, 0.034)
        assert (lines[-1]["kept_steps"], lines[-1]["weights"]) == (45, "0123456789ab")

    def test_a_step_that_takes_long_is_not_silence(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.05) as sink:
            sink(TRAINING)
            until(lambda: stream.getvalue().count("training_step") >= 2)
        assert {line["loss"] for line in lines_of(stream)[1:]} == {None}

    def test_nothing_comes_after_the_end(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.02) as sink:
            sink(PLAN)
        written = stream.getvalue()
        time.sleep(0.1)
        assert stream.getvalue() == written


BATCH = BatchPlan(
    output="clean",
    files=5,
    done=1,
    failed=1,
    todo=3,
    engine="processes",
    workers=2,
    size=1000,
    space=1500,
    free=10**9,
    seconds=None,
    basis="",
)


def start(name: str) -> FileStart:
    return FileStart(file=name, source=f"card/{name}", attempt=1)


def end(name: str, state: str, code: int = 0, cause: str = "") -> FileEnd:
    return FileEnd(file=name, source=f"card/{name}", state=state, code=code, cause=cause, log=None, seconds=1.0)


TROUBLES = [end("a\nb.mp4", "failed", 3, "no video"), end("c.mp4", "partial", 4, "missing: 1.00 to 2.00 s")]
BATCH_DONE = BatchDone(
    output="clean", files=5, before=1, done=1, partial=1, failed=0, left=1, seconds=9.0, troubles=TROUBLES
)
TABLE = [
    "state   code file    cause",
    "failed  3    a b.mp4 no video",
    "partial 4    c.mp4   missing: 1.00 to 2.00 s",
    "clean: 1 done, 1 partial, 1 not run, 1 done before, 1 failed before (try them again: vidrain batch retry), of 5 "
    "files, in 9.0 s",
]


def shown_by_bar(*told: Event, width: int = 200, failure: str | None = None) -> tuple[str, str]:
    """(everything sent to a terminal, what of it is no control sequence)."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, highlight=False, color_system=None)
    with Bar(console) as sink:
        for event in told:
            sink(event)
            sink._bar.refresh()
        if failure is not None:
            sink.failed(failure, 3)
    return stream.getvalue(), re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", stream.getvalue())


class TestBar:
    def test_shows_frames_rate_and_time_left(self) -> None:
        meter = Meter(20)
        time.sleep(0.1)
        _, text = shown_by_bar(PLAN, *[meter.tick() for _ in range(15)])
        assert "in.mp4: 640x360, 20 frames; baseline, libx264" in text
        assert "15/20" in text
        last = [line for line in re.split(r"[\r\n]", text) if "15/20" in line][-1]
        rate = re.search(r"([\d.]+) frames/s", last)
        assert rate is not None
        assert 0 < float(rate[1]) <= 150
        assert re.search(r"\d+:\d\d:\d\d", last)

    def test_what_an_earlier_run_did_counts(self) -> None:
        _, text = shown_by_bar(PLAN, Resumed(frames=13, total=20))
        assert "resumed 65 %" in text
        assert re.search(r"cleaning .* 13/20", text)

    def test_line_at_the_end_stays_and_the_bar_does_not(self) -> None:
        raw, text = shown_by_bar(PLAN, progress(20), NOTICE, DONE)
        assert "note: two times were moved" in text
        assert summary(DONE) in text
        assert "\x1b[2K" in raw  # the line of the bar is wiped
        assert "\x1b[?25h" in raw  # and the cursor is back

    def test_shows_how_far_a_comparison_is(self) -> None:
        _, text = shown_by_bar(VERIFY, progress(15))
        assert re.search(r"comparing .* 15/20 5.0 frames/s", text)

    def test_shows_how_far_a_benchmark_is_and_what_is_measured(self) -> None:
        start = EvalStart(output="out", sets=["a"], methods=["input", "it"], rows=7, kept=2, frames=60)
        row = EvalRow(set="a", clip="road", method="it", figures={}, seconds=2.5)
        done = EvalDone(output="out", rows=7, computed=5, seconds=9.0)
        _, text = shown_by_bar(start, progress(12, total=60), row, done)
        assert re.search(r"measuring .* 12/60 5.0 frames/s", text)
        for line in ("out: 7 rows, 2 kept; input, it", "a / road / it  2.5 s", "OK out  7 rows, 5 computed"):
            assert line in text

    def test_shows_steps_and_loss(self) -> None:
        _, text = shown_by_bar(TRAINING, trained(7), TRAINED)
        assert "runs/[1]: gate-s, 1 clips, 20 steps" in text
        assert "5.0 steps/s, loss 0.01250" in text
        assert "7/20" in text
        assert "OK runs/[1]/w.safetensors  20 steps, loss 0.00250" in text

    def test_shows_how_far_adapting_is_and_then_the_frames(self) -> None:
        _, text = shown_by_bar(adapting(7, total=20), ADAPTED, PLAN, progress(3))
        assert "7/20" in text
        assert "7 steps, 3.4% less error" in text
        assert "adapted: 45 of 60 steps, 12.5% less error on held-out frames, weights 0123456789ab" in text
        last = [line for line in re.split(r"[\r\n]", text) if "3/20" in line][-1]
        assert "cleaning" in last
        _, text = shown_by_bar(adapting(14, limit_s=30.0), AdaptationDone(**{**vars(ADAPTED), "fell_back": True}))
        assert "7/30" in text
        assert "base weights kept" in text

    def test_shows_a_line_for_every_file_that_runs_and_one_for_all(self) -> None:
        frames: dict[str, Any] = {"frames": 7, "total": 20, "fps": 5.0, "eta_s": 2.6}
        told = [BATCH, start("x.mp4"), start(long := "a/" * 30 + "y.mp4"), start("[red]z.mp4")]
        told += [FileNews(file="x.mp4", event="plan", fields={"frames": 20})]
        told += [FileNews(file="x.mp4", event="progress", fields=frames)]
        _, text = shown_by_bar(*told)
        assert "clean: 3 of 5 files to do, 1 done before, 1 failed before; processes" in text
        assert "[red]z.mp4 " in text, "no markup"
        assert re.search(r"x\.mp4 .* 7/20 5\.0 frames/s", text)
        assert re.search(r"\.\.\.(/?a)+/y\.mp4 ", text)
        last = shown_by_bar(*told, end("x.mp4", "done"), end(long, "again", 137, "killed"))[1]
        assert f"AGAIN {long}: 137: killed" in last
        assert re.search(r"files .* 1/3", last), "what will be tried again is not over"
        assert "x.mp4" not in re.split(r"1/3", last)[-1]

    def test_lists_what_went_wrong_with_many_files(self) -> None:
        never_began = end("z.mp4", "failed", 5, "exists already")
        _, text = shown_by_bar(BATCH, never_began, BATCH_DONE)
        lines = [line.rstrip() for line in re.split(r"[\r\n]+", text)]
        assert "FAILED z.mp4: 5: exists already" in lines
        assert [line for line in lines if line in TABLE] == TABLE

    def test_failure_is_one_line(self) -> None:
        _, text = shown_by_bar(PLAN, failure="out.mp4: " + "long " * 60, width=40)
        assert [line for line in re.split(r"[\r\n]", text) if "long" in line] == ["vidrain: out.mp4: " + "long " * 60]

    def test_brackets_in_names_are_no_markup(self) -> None:
        name = "rain [final][/b] [red].mp4"
        plan = Plan(**{**vars(PLAN), "source": name})
        done = FileDone(**{**vars(DONE), "outputs": {"clean": name}})
        _, text = shown_by_bar(plan, Notice(code="x", message=name), done, failure=name)
        assert text.count(name) == 4


def test_quiet_tells_notices_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with Quiet() as sink:
        for event in (PLAN, progress(1), NOTICE, progress(20), DONE):
            sink(event)
        sink.failed("two\nlines.mp4: it went wrong", 5)
    assert capsys.readouterr() == ("", "vidrain: note: two times were moved\nvidrain: two lines.mp4: it went wrong\n")


def test_quiet_tells_how_a_batch_went(capsys: pytest.CaptureFixture[str]) -> None:
    with Quiet() as sink:
        for event in (BATCH, start("x.mp4"), end("x.mp4", "done"), BATCH_DONE):
            sink(event)
    assert capsys.readouterr() == ("", "".join(f"vidrain: {line}\n" for line in TABLE))


def test_sink_fits_who_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(sink_for(True), Lines)
    for terminal, kind in ((True, Bar), (False, Quiet)):
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda answer=terminal: answer)
        monkeypatch.setattr("sys.stderr", stream)
        assert isinstance(sink_for(False), kind)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {},
            "OK out.mp4  20/20 frames, times identical, copied: audio aac, subtitle mov_text, 5.0 frames/s",
        ),
        (
            {"status": "partial", "frames_out": 17, "pts_equal": False, "streams": []},
            "PARTIAL out.mp4  17/20 frames, times not all identical (see the notes), no other streams, 4.2 frames/s",
        ),
        (
            {"seconds": 0.0, "frames_out": 0, "streams": []},
            "OK out.mp4  0/20 frames, times identical, no other streams, 0.0 frames/s",
        ),
    ],
)
def test_summary(changes: dict[str, Any], line: str) -> None:
    assert summary(FileDone(**{**vars(DONE), **changes})) == line


def test_meter_of_a_run_that_goes_on() -> None:
    meter = Meter(10, 6)
    time.sleep(0.02)
    tick = meter.tick()
    assert (tick.frames, tick.total) == (7, 10)
    assert tick.fps <= 1 / 0.02, "what was done before says nothing of the rate"
    assert tick.eta_s == pytest.approx(3 / tick.fps)


def test_meter_counts_and_estimates() -> None:
    meter = Meter(3)
    time.sleep(0.02)
    ticks = [meter.tick() for _ in range(4)]  # one more than announced must not break anything
    assert [tick.frames for tick in ticks] == [1, 2, 3, 4]
    assert all(0 < tick.fps <= tick.frames / 0.02 for tick in ticks)
    assert ticks[0].eta_s == pytest.approx(2 / ticks[0].fps)
    assert ticks[2].eta_s == ticks[3].eta_s == 0
