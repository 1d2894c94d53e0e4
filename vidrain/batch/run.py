"""run_batch(): many files to finished outputs, each done or explained; what an earlier run did is left as it is.

done = run_batch(files, Path("out"), BatchOptions(workers=2))
"""

import csv
from collections import Counter
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from io import StringIO
from pathlib import Path
from time import monotonic
from typing import Any, Literal

from vidrain.batch.engine import Engine, Tell
from vidrain.batch.estimate import free_bytes, leaves_room
from vidrain.batch.foresight import Plan, plan_batch
from vidrain.batch.inline import Inline
from vidrain.batch.journal import DONE, FOLDER, Journal, Record, receipt_of
from vidrain.batch.options import BatchOptions, workers_of
from vidrain.batch.plan import (
    EXISTS,
    File,
    Look,
    is_free,
    listed_before,
    look_again,
    look_soon,
    looks_the_same,
    mark_of,
    to_json,
    together,
)
from vidrain.batch.processes import Processes, log_of
from vidrain.batch.schedule import Begun, Over, scheduled
from vidrain.batch.states import discarded, end_of, ends_of
from vidrain.batch.wire import Result, Task, failed
from vidrain.batch_lines import many
from vidrain.errors import OutputError, VidrainError
from vidrain.events import BatchDone, FileEnd, FileNews, FileStart, Notice, OnEvent, ignore
from vidrain.segments.folder import kept_of

# What is to do: all that is not done and did not fail; what failed as well; all, and no other file is listed any more.
Mode = Literal["on", "again", "fresh"]

_MB = 1_000_000
_GOES_ON = "make room, and the same command goes on"
_NOT_FRESH = ", without --fresh"
_LOGS = "logs"


def run_batch(
    files: Sequence[File],
    out: Path,
    options: BatchOptions,
    *,
    mode: Mode = "on",
    on_event: OnEvent = ignore,
) -> BatchDone:
    """Do what is to do of `files`, one failure never stopping the others, and put down in OUT what became of each.

    Raises BusyError where another run is at work in `out`, OutputError where there is no room: what is finished stays,
    and the same call goes on.
    """
    began, fresh = monotonic(), mode == "fresh"
    journal = Journal(out)
    with journal.alone():
        journal = Journal(out)  # as whoever held it last left it
        journal.begin()
        for notice in _first_words(journal, out, files if fresh else ()):
            on_event(notice)
        if fresh:
            journal.forget({file.output for file in files})
        plan = plan_batch(files, out, options, journal, again=mode == "again")
        on_event(plan.event)
        listed = together([] if fresh else listed_before(journal), files)
        if mode != "again":
            journal.keep_plan(to_json(listed, asdict(options)))
        for look in plan.looks:
            if look.state == "done":
                journal.note_made(look.file.output)
        run = _Run(plan, out, options, journal, on_event, fresh=fresh)
        try:
            run.refuse_foreign()
            if plan.todo and (options.keep_going or not run.ended):
                run.all()
        except BaseException:
            with suppress(VidrainError):  # what stopped it counts
                run.conclude(listed, began)
            raise
        done = run.conclude(listed, began)
    goes_on = _GOES_ON + _NOT_FRESH * fresh
    if run.starved:
        raise OutputError(f"{out}: the disk was full before {many(run.starved, 'file')} could be written; {goes_on}")
    if done.left and (options.keep_going or not done.failed):
        raise OutputError(
            f"{out}: {free_bytes(out) / _MB:.0f} MB are free, too few for any of what is left, "
            f"{many(done.left, 'file')} (--min-free {options.min_free_mb:g} stay); {goes_on}"
        )
    return done


def _first_words(journal: Journal, out: Path, fresh: Sequence[File]) -> list[Notice]:
    """What became of the journal before this run, and what is to become of it. fresh: files that are begun anew."""
    found = []
    if journal.broken:
        lost = f"{many(journal.broken, 'damaged record')} in {out / FOLDER}"
        what = f"{lost}: what was said there is not known any more, and runs again"
        found.append(Notice(code="journal", message=what))
    if fresh and (notice := discarded(fresh, journal, out)) is not None:
        found.append(notice)
    return found


@dataclass
class _Run:
    """One run at work: what is told to the journal and to whoever listens."""

    plan: Plan
    out: Path
    options: BatchOptions
    journal: Journal
    on_event: OnEvent
    fresh: bool = False  # nothing counts that was begun before
    ended: dict[str, FileEnd] = field(default_factory=dict)  # output -> how it ended in this run
    begun: list[str] = field(default_factory=list)  # outputs that were begun in this run
    starved: int = 0  # files that found the disk full
    _silent: set[Path] = field(default_factory=set)  # folders in which a source gave nothing when its turn came
    _free: tuple[float, int] = (0.0, 0)  # when it was looked, bytes

    def __post_init__(self) -> None:
        self.looks = {look.file.id: look for look in self.plan.todo}

    def refuse_foreign(self) -> None:
        """Files that stand in the way and are not ours fail before anything runs, each for itself."""
        for number, look in list(self.looks.items()):
            if self.options.force or is_free(look.file, self.journal, self.out):
                continue
            del self.looks[number]
            end = failed(OutputError.exit_code, f"{self.out / look.file.output}: {EXISTS}", transient=True)
            self.over(look, end, is_last=True)

    def all(self) -> None:
        """Run what is to do; what is finished when a signal comes counts."""
        tasks = [self._task(look) for look in self.looks.values()]
        on_gpus = any(task["gpus"] for task in tasks)
        with engine_for(self.options, self.out / FOLDER / _LOGS, self.tell, on_gpus=on_gpus) as engine:
            try:
                keep_going = self.options.keep_going
                steps = scheduled(
                    tasks, engine, fits=self.fits, keep_going=keep_going, due=self.is_due, judged=self.judged
                )
                for step in steps:
                    self.note(step)
            except BaseException:
                for number, result in engine.stop():
                    self.over(self.looks[number], result, is_last=True)
                raise

    def _task(self, look: Look) -> Task:
        task = look.file.task(self.out, replace=False)  # said when it begins: hours may pass
        task["settings"]["fresh"] = self.fresh
        return task

    def _may_replace(self, file: File) -> bool:
        """Whether what stands at the places of its outputs may go: it is ours, or the user said so."""
        return self.options.force or is_free(file, self.journal, self.out)

    def note(self, step: Begun | Over) -> None:
        """Put one step of the schedule down, and tell of it."""
        look = self.looks[step.task["id"]]
        if isinstance(step, Over):
            is_for_good = step.result["state"] == "failed" and not step.result["transient"]
            if is_for_good and not (self._may_replace(look.file) and looks_the_same(look)):
                step.result["transient"] = True  # what stands there may be gone when the next run comes, a card back
            self.over(look, step.result, is_last=step.is_last)
            return
        if step.attempt > 1:
            step.task["settings"]["fresh"] = False
        files = dict.fromkeys(look.file.targets.values(), 0)
        self.journal.note({"state": "begun", "output": look.file.output, "key": look.key, "files": files})
        step.task["settings"]["force"] = self._may_replace(look.file)  # also what an attempt left that was lost
        self.begun.append(look.file.output)
        source = str(look.file.source)
        self.on_event(FileStart(file=look.file.output, source=source, attempt=step.attempt))

    def over(self, look: Look, result: Result, *, is_last: bool) -> None:
        """One file has ended, for good or to be tried again."""
        log = log_of(look.file.id, self.out / FOLDER / _LOGS)
        is_made = result["state"] in DONE
        is_kept = not is_made and _is_filled(log)
        record = self._record(look if look.size or not is_made else look_again(look), result)
        record["log"] = str(log) if is_kept else None
        self.journal.note(record)  # first: where another run has taken over, the log is that run's
        with suppress(OSError):  # what is left there says nothing that the record does not
            if not is_kept:
                log.unlink(missing_ok=True)
            if is_made:
                receipt_of(self.out, look.file.output).unlink(missing_ok=True)
        end = end_of(record, str(look.file.source))
        if is_last:
            self.starved += result.get("is_full", False)
            self.ended[look.file.output] = end
        else:
            end = FileEnd(**{**asdict(end), "state": "again"})
        self.on_event(end)

    def _record(self, look: Look, result: Result) -> Record:
        left = {
            name: {_inside(path, self.out): value for path, value in result.pop(name, {}).items()}
            for name in ("files", "changed")
        }
        own = {"output": look.file.output, "source": str(look.file.source), "key": look.key, "mark": mark_of(look.file)}
        return {**own, "source_bytes": look.size, **result, **left}

    def tell(self, number: str, event: dict[str, Any]) -> None:
        """Pass on what the job of a file tells, under the name of that file."""
        fields = {name: value for name, value in event.items() if name not in ("v", "ts", "event")}
        self.on_event(FileNews(file=self.looks[number].file.output, event=event["event"], fields=fields))

    def fits(self, task: Task, running: Collection[Task]) -> bool:
        """Whether its outputs, and those of all that run, leave the room that must stay."""
        looked, free = self._free
        if monotonic() - looked > 1:
            free = free_bytes(self.out)
            self._free = monotonic(), free
        due = sum(self.plan.ahead.space.get(self.looks[each["id"]].file.output, 0) for each in (task, *running))
        return leaves_room(free, due, self.options.min_free_mb * _MB)

    def is_due(self, task: Task) -> bool:
        """Whether a file is still to be done: its source may only have been away while it was looked at."""
        look = self.looks[task["id"]]
        folder = look.file.source.parent
        if look.size or folder in self._silent:
            return True
        if (now := look_soon(look)) is None:
            self._silent.add(folder)  # nobody waits here for each of its files, while others run
            return True
        look = self.looks[task["id"]] = now
        if not (look.size and self.journal.is_done(look.file.output, look.key)):
            return True
        self.journal.note_made(look.file.output)
        end = self.ended[look.file.output] = end_of(self.journal.last[look.file.output], str(look.file.source))
        self.on_event(end)
        return False

    def judged(self, task: Task, result: Result) -> Result:
        """A source that a worker cannot read, but we can, as it was: the fault is where that worker is."""
        look = self.looks[task["id"]]
        is_here = result.get("is_unread", False) and look.size and looks_the_same(look)
        return result | {"transient": True} if is_here else result

    def conclude(self, listed: Sequence[File], began: float) -> BatchDone:
        """Put down what failed of all that OUT lists, and tell what came of this run, as far as it got."""
        done = self.summary(monotonic() - began)
        try:
            self.journal.keep_failures(_table_of_failures(listed, self.journal))
        finally:
            self.on_event(done)
        return done

    def summary(self, seconds: float) -> BatchDone:
        """What came of it, and every file that is not simply done."""
        states = Counter(end.state for end in self.ended.values())
        left = [output for output in dict.fromkeys(self.begun) if output not in self.ended]
        troubles = [end for look in self.plan.looks if (end := self._trouble(look)) is not None]
        return BatchDone(
            output=str(self.out),
            files=len(self.plan.looks),
            before=self.plan.event.done,
            done=states["done"],
            partial=states["partial"],
            failed=states["failed"],
            left=len(self.plan.todo) - len(self.ended),
            seconds=round(seconds, 1),
            troubles=troubles,
            kept={output: kept for output in left if (kept := kept_of(self.out / output)) is not None},
        )

    def _trouble(self, look: Look) -> FileEnd | None:
        if look.state == "to do":
            end = self.ended.get(look.file.output)
        else:
            end = end_of(self.journal.last[look.file.output], str(look.file.source))
        return end if end is not None and end.state != "done" else None


def engine_for(options: BatchOptions, logs: Path, tell: Tell, *, on_gpus: bool) -> Engine:
    """The engine that is asked for; its library is imported then. on_gpus: whether files are to be done on a GPU."""
    match options.engine:
        case "inline":
            return Inline(tell)
        case "processes":
            return Processes(workers_of(options), logs, tell)
        case "ray":
            from vidrain.batch.ray_engine import RayEngine

            return RayEngine(options.address, options.workers, logs, tell, on_gpus=on_gpus)


def _is_filled(log: Path) -> bool:
    """Whether a worker printed anything; what cannot be asked must not keep its file from being noted."""
    try:
        return log.stat().st_size > 0
    except OSError:
        return False


def _inside(path: str, out: Path) -> str:
    return Path(path).relative_to(out.absolute()).as_posix()


def _table_of_failures(files: Sequence[File], journal: Journal) -> bytes | None:
    """What failed, for people and as a manifest; None where nothing did."""
    ends = ends_of(files, journal)
    rows = [
        (file.source.absolute(), file.output, end["code"], end["cause"], end["log"] or "")
        for file in files
        if (end := ends.get(file.output, {})).get("state") == "failed"
    ]
    table = StringIO(newline="")
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("input", "output", "code", "cause", "log"))
    writer.writerows(rows)
    return table.getvalue().encode(errors="surrogateescape") if rows else None
