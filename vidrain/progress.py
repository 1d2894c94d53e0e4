"""Shows what a job tells: a bar on a terminal, NDJSON for programs, warnings alone in a pipe.

The only user of rich. A sink is an `OnEvent` and a context manager; the command line picks one.
"""

import json
import os
import sys
import threading
from contextlib import AbstractContextManager
from dataclasses import asdict
from datetime import UTC, datetime
from time import monotonic
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from vidrain import events, events_bench
from vidrain.batch_lines import batch_line, batch_summary, news_line, shortened, trouble_line

_NAMES = {
    events.Plan: "plan",
    events.Resumed: "resumed",
    events.Progress: "progress",
    events.Notice: "warning",
    events.FileDone: "file_done",
    events.SegmentsPlan: "segments_plan",
    events.SegmentDone: "segment_done",
    events.VerifyPlan: "verify_plan",
    events.RainPlan: "rain_plan",
    events.ExportStart: "export_plan",
    events.ExportDone: "export_done",
    events.PagePlan: "page_plan",
    events.PageDone: "page_done",
    events.EvalStart: "eval_plan",
    events.EvalRow: "eval_row",
    events.EvalDone: "eval_done",
    events_bench.BenchPlan: "bench_plan",
    events_bench.BenchRun: "bench_run",
    events_bench.BenchDone: "bench_done",
    events.TrainingPlan: "training_plan",
    events.TrainingStep: "training_step",
    events.TrainingDone: "training_done",
    events.AdaptationStep: "adaptation_step",
    events.AdaptationDone: "adaptation_done",
    events.BatchPlan: "batch_plan",
    events.FileStart: "file_start",
    events.FileEnd: "file_end",
    events.BatchDone: "batch_done",
}


# Plans of so many frames.
_COUNTED = events.Plan | events.VerifyPlan | events.RainPlan | events.PagePlan | events.EvalStart
_IDLE = "waits"  # a worker without a file


class Lines(AbstractContextManager["Lines"]):
    """NDJSON, schema 1: one object a line with `v`, `ts`, `event` and the event's own fields.

    From the plan on, progress comes at most every `at_most_every_s` seconds, but for the last frame, and at least
    every `at_least_every_s`, even when no frame was finished.
    """

    def __init__(self, stream: TextIO, *, at_most_every_s: float = 0.5, at_least_every_s: float = 10.0) -> None:
        self._stream = stream
        self._at_most_every_s, self._at_least_every_s = at_most_every_s, at_least_every_s
        self._lock = threading.Lock()
        self._done = threading.Event()
        self._written = monotonic()
        self._latest: events.Progress | events.TrainingStep | events.AdaptationStep | None = None
        self._beat = threading.Thread(target=self._keep_alive, name="vidrain-heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._beat.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Tell nothing more, so that a command can print its result as the last line."""
        self._done.set()
        self._beat.join()

    def __call__(self, event: events.Event) -> None:
        with self._lock:
            if isinstance(event, _COUNTED):
                self._latest = events.Progress(frames=0, total=event.frames, fps=0.0, eta_s=None)
            if isinstance(event, events.Resumed):
                self._latest = events.Progress(frames=event.frames, total=event.total, fps=0.0, eta_s=None)
            if isinstance(event, events.ExportStart):
                left = event.frames - event.resumed
                self._latest = events.Progress(frames=0, total=left, fps=0.0, eta_s=None)
            if isinstance(event, events.TrainingPlan):
                self._latest = events.TrainingStep(
                    steps=event.first, total=event.steps, loss=None, steps_per_s=0.0, eta_s=None
                )
            if isinstance(event, events.AdaptationDone):
                self._latest = None
            if isinstance(event, events.Progress | events.TrainingStep | events.AdaptationStep):
                self._latest = event
                if monotonic() - self._written < self._at_most_every_s and not event.is_last:
                    return
            if isinstance(event, events.FileNews):
                self._write(event.event, {"file": event.file, **event.fields})
                return
            self._write(_NAMES[type(event)], asdict(event))

    def failed(self, message: str, exit_code: int) -> None:
        """Last line of a run that failed, told people as well."""
        with self._lock:
            self._write("error", {"message": message, "exit_code": exit_code})
        sys.stderr.write(_error_line(message) + "\n")

    def _keep_alive(self) -> None:
        silence = self._at_least_every_s - self._at_most_every_s  # by the next look it would be too late
        while not self._done.wait(self._at_most_every_s):
            with self._lock:
                if self._latest is not None and monotonic() - self._written >= silence:
                    self._write(_NAMES[type(self._latest)], asdict(self._latest))

    def _write(self, name: str, fields: dict[str, object]) -> None:
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        try:
            self._stream.write(json.dumps({"v": 1, "ts": stamp, "event": name, **fields}) + "\n")
            self._stream.flush()
        except BrokenPipeError:  # whoever read along is gone; the work goes on
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)
        self._written = monotonic()


class Bar(AbstractContextManager["Bar"]):
    """For people at a terminal: what will be done, a bar with frames, frames/s and time left, what was done."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._workers: list[TaskID] = []  # of a batch: a line for each
        self._files: dict[str, int] = {}  # those that run -> the place of their worker

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Take the bar away, so that a command can print its result: meanwhile standard output is the bar's."""
        self._bar.stop()

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.AdaptationStep():
                self._adapting(event)
            case events.AdaptationDone():
                self._say(adaptation_summary(event))
            case events.Plan():
                size = f"{event.width}x{event.height}"
                self._say(f"{event.source}: {size}, {event.frames} frames; {event.model}, {event.encoder}")
                if self._task is not None:
                    self._bar.remove_task(self._task)
                self._task = self._bar.add_task("cleaning", total=event.frames, rate="")
            case events.Resumed():
                self._say(f"resumed {100 * event.frames // max(event.total, 1)} %")
                if self._task is not None:
                    self._bar.update(self._task, completed=event.frames)
            case events.RainPlan():
                size = f"{event.width}x{event.height}"
                self._say(f"{event.source}: {size}, {event.frames} frames; seed {event.seed}, {event.encoder}")
                self._task = self._bar.add_task("raining", total=event.frames, rate="")
            case events.VerifyPlan():
                self._task = self._bar.add_task("comparing", total=event.frames, rate="")
            case events.ExportStart():
                size = f"{event.width}x{event.height}"
                going_on = f", {event.resumed} done before" if event.resumed else ""
                self._say(f"{event.source}: {size}, {event.frames} frames{going_on}; {event.model}, {event.format}")
                self._task = self._bar.add_task("exporting", total=event.frames - event.resumed, rate="")
            case events.EvalStart() | events.EvalRow() | events.EvalDone():
                self._evaluating(event)
            case events_bench.BenchPlan():
                self._task = self._bar.add_task("measuring", total=event.runs, rate="")
            case events_bench.BenchRun() if self._task is not None:
                self._bar.update(self._task, advance=1, rate=f"{event.method}, {event.size}: {event.seconds:.1f} s")
            case events.PagePlan():
                self._say(f"{event.source}: {event.frames} frames to look at")
                self._task = self._bar.add_task("looking", total=event.frames, rate="")
            case events.PageDone():
                self._say(f"OK {event.output}  {event.size / 1e6:.1f} MB")
            case events.ExportDone():
                self._say(f"{event.status.upper()} {event.output}  {event.frames} frames")
            case events.Progress() if self._task is not None:
                self._bar.update(self._task, completed=event.frames, rate=f"{event.fps:.1f} frames/s")
            case events.TrainingPlan():
                self._say(f"{event.run_dir}: {event.model}, {len(event.clips)} clips, {event.steps} steps")
                self._task = self._bar.add_task("training", total=event.steps, completed=event.first, rate="")
            case events.TrainingStep() if self._task is not None:
                rate = f"{event.steps_per_s:.1f} steps/s, loss {event.loss:.5f}"
                self._bar.update(self._task, completed=event.steps, rate=rate)
            case events.TrainingDone():
                self._say(f"OK {event.weights}  {event.steps} steps, loss {event.loss:.5f}")
            case events.Notice():
                self._say(f"note: {event.message}")
            case events.FileDone():
                self._say(summary(event))
            case events.SegmentsPlan() | events.SegmentDone():
                self._say(segment_line(event))
            case events.BatchPlan():
                self._say(batch_line(event))
                self._task = self._bar.add_task("files", total=event.todo, rate="")
                lines = range(1, min(event.workers or 0, event.todo) + 1)
                self._workers = [self._bar.add_task(f"{line}  {_IDLE}", total=0, rate="") for line in lines]
            case events.FileStart():
                self._started(event)
            case events.FileNews() if event.file in self._files:
                self._news(event)
            case events.FileEnd():
                self._ended(event)
            case events.BatchDone():
                for line in batch_summary(event):
                    self._say(line)

    def failed(self, message: str, exit_code: int) -> None:
        """Last line of a run that failed."""
        self._say(_error_line(message))

    def _started(self, start: events.FileStart) -> None:
        """The first line that is free; workers of a cluster come and go, and no plan knows their number."""
        busy = set(self._files.values())
        place = next(place for place in range(len(busy) + 1) if place not in busy)
        if place == len(self._workers):
            self._workers.append(self._bar.add_task("", total=0, rate=""))
        self._files[start.file] = place
        self._bar.reset(self._workers[place], total=0, description=f"{place + 1}  {shortened(start.file)}", rate="")

    def _news(self, news: events.FileNews) -> None:
        """One line per worker: the frames of its file; above them what became of earlier work on it."""
        if (said := news_line(news)) is not None:
            self._say(said)
        line, fields = self._workers[self._files[news.file]], news.fields
        if news.event == "plan":
            self._bar.update(line, total=fields["frames"])
        elif news.event == "progress":
            self._bar.update(line, completed=fields["frames"], rate=f"{fields['fps']:.1f} frames/s")

    def _ended(self, end: events.FileEnd) -> None:
        if (place := self._files.pop(end.file, None)) is not None:  # some fail before they begin
            self._bar.reset(self._workers[place], total=0, description=f"{place + 1}  {_IDLE}", rate="")
        if end.state != "done":
            self._say(trouble_line(end))
        if end.state != "again" and self._task is not None:
            self._bar.advance(self._task)

    def _evaluating(self, event: events.Evaluating) -> None:
        match event:
            case events.EvalStart():
                known = f", {event.kept} kept" if event.kept else ""
                self._say(f"{event.output}: {event.rows} rows{known}; {', '.join(event.methods)}")
                self._task = self._bar.add_task("measuring", total=event.frames, rate="")
            case events.EvalRow():
                self._say(f"{event.set} / {event.clip} / {event.method}  {event.seconds:.1f} s")
            case events.EvalDone():
                self._say(f"OK {event.output}  {event.rows} rows, {event.computed} computed")

    def _adapting(self, event: events.AdaptationStep) -> None:
        """The bar of the steps, or of the time where that is the limit; it makes room for the one of the frames."""
        total = event.total if event.total is not None else event.limit_s
        if self._task is None:
            self._task = self._bar.add_task("adapting", total=total, rate="")
        done = event.steps if event.total is not None else min(round(event.seconds), int(event.limit_s or 0))
        rate = f"{event.steps} steps, {event.gain:.1%} less error"
        self._bar.update(self._task, completed=done, rate=rate)

    def _say(self, line: str) -> None:
        """Print one line as it is: [brackets] in a file name are no markup, and long paths stay in one piece."""
        self._console.print(line, markup=False, soft_wrap=True)


class Quiet(AbstractContextManager["Quiet"]):
    """For pipes and logs: only what a user should know, on standard error."""

    def __call__(self, event: events.Event) -> None:
        if isinstance(event, events.Notice):
            sys.stderr.write(f"vidrain: note: {event.message}\n")
        if isinstance(event, events.FileNews) and (said := news_line(event)) is not None:
            sys.stderr.write(f"vidrain: {said}\n")
        if isinstance(event, events.BatchDone):
            sys.stderr.writelines(f"vidrain: {line}\n" for line in batch_summary(event))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()

    def finish(self) -> None:
        """Nothing is held back."""
        sys.stderr.flush()

    def failed(self, message: str, exit_code: int) -> None:
        """Last line of a run that failed."""
        sys.stderr.write(_error_line(message) + "\n")


Sink = Lines | Bar | Quiet


def sink_for(as_json: bool, *, bar: bool = True) -> Sink:
    """NDJSON on standard output if asked for; else a bar where standard error is a terminal and there is progress."""
    if as_json:
        return Lines(sys.stdout)
    return Bar() if bar and sys.stderr.isatty() else Quiet()


def _error_line(message: str) -> str:
    """One line, even for a file whose name has two."""
    return f"vidrain: {' '.join(message.splitlines())}"


def adaptation_summary(done: events.AdaptationDone) -> str:
    """The one line that says what adapting came to."""
    factors = " ".join(f"{factor:g}" for factor in done.factors)
    less = f"shares times {factors}, {done.gain:.1%} less error on held-out frames"
    what = "base weights kept" if done.fell_back else less
    again = ", of a run that was killed" if done.is_reused else ""
    return f"adapted: {done.steps} steps, {what}, weights {done.weights}{again}"


def segment_line(event: events.SegmentsPlan | events.SegmentDone) -> str:
    """What is to become of segments that are tasks, or what became of one."""
    if isinstance(event, events.SegmentsPlan):
        return f"{event.script}: makes {event.segments} segments of {event.output}; run it: sbatch {event.script}"
    word = "made before" if event.was_made else "made"
    return f"OK {event.output}  segment {event.index} of 0 to {event.segments - 1} {word}, {event.frames} frames"


def summary(done: events.FileDone) -> str:
    """The one line that says how it went."""
    times = "times identical" if done.pts_equal else "times not all identical (see the notes)"
    streams = f"copied: {', '.join(done.streams)}" if done.streams else "no other streams"
    word = "OK" if done.status == "ok" else "PARTIAL"
    rate = done.frames_out / max(done.seconds, 1e-9)
    frames = f"{done.frames_out}/{done.frames_in} frames"
    if done.frames_dry:
        frames += f" ({done.frames_dry} dry, left as they are)"
    return f"{word} {next(iter(done.outputs.values()))}  {frames}, {times}, {streams}, {rate:.1f} frames/s"
