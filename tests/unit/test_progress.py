"""What a job on one video tells, as people and programs get to see it."""

import inspect
import io
import re
import time
from dataclasses import fields
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.told import DONE, NOTICE, PLAN, lines_of, progress, shown_by_bar, until
from vidrain import progress as progress_module
from vidrain.events import EvalDone, EvalRow, EvalStart, FileDone, Meter, Notice, Plan, Resumed, VerifyPlan
from vidrain.events_bench import BenchPlan, BenchRun
from vidrain.progress import Bar, Lines, Quiet, sink_for, summary

VERIFY = VerifyPlan(output="out.mp4", source="in.mp4", frames=20)


ROOT = Path(__file__).parents[2]


def test_every_event_and_every_warning_stands_in_the_contract() -> None:
    """With all its fields; those of a batch stand in a page of their own."""
    page = {name: (ROOT / "docs" / f"{name}.md").read_text() for name in ("contract", "batch")}
    rows = {row.split("`")[1]: row for text in page.values() for row in text.splitlines() if row.startswith("| `")}
    for kind, name in progress_module._NAMES.items():
        assert [field.name for field in fields(kind) if f"`{field.name}`" not in rows.get(name, "")] == [], name
    found = set[str]()
    for file in (ROOT / "vidrain").rglob("*.py"):
        found |= set(re.findall(r'code="([a-z_]+)"', file.read_text()))
    foreseen = (ROOT / "vidrain" / "foreseen.py").read_text()
    found |= set(re.findall(r'(?:yield|append\(|= \[|\+= \[)\s*\(?\s*"([a-z_]+)",', foreseen))
    assert {"encoder", "cfr", "interlaced", "damage", "left_out", "busy"} <= found
    assert sorted(code for code in found if f"`{code}`" not in rows["warning"]) == []


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
                "frames_dry": 0,
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

    def test_nothing_comes_after_the_end(self) -> None:
        stream = io.StringIO()
        with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.02) as sink:
            sink(PLAN)
        written = stream.getvalue()
        time.sleep(0.1)
        assert stream.getvalue() == written


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

    def test_shows_how_far_a_benchmark_of_speed_is(self) -> None:
        plan = BenchPlan(output="", methods=["fast"], sizes=["720p"], frames=[900], runs=12)
        run = BenchRun(method="fast", size="720p", frames=900, repeat=1, seconds=41.27)
        _, text = shown_by_bar(plan, run, run)
        assert re.search(r"measuring .* 2/12 fast, 720p: 41.3 s", text)

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
            {"frames_dry": 8, "streams": []},
            "OK out.mp4  20/20 frames (8 dry, left as they are), times identical, no other streams, 5.0 frames/s",
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
