"""What lies beside an output while it is made: finished segments, and what they are of. `OUT.vidrain`.

A segment counts once its record has its name; records, like the plan, are written whole, flushed and renamed. Either
one run works here that has claimed the output, or any number of tasks, on several machines perhaps, each at a segment
of its own: leases tell. What a failure leaves that another try may mend stays, for the same command.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from vidrain import __version__, leftovers
from vidrain.errors import (
    DeviceError,
    InputError,
    ModelError,
    OtherJob,
    OutputError,
    SourceLost,
    StallError,
    UsageError,
)
from vidrain.events import Notice
from vidrain.identity import Identity
from vidrain.lease import is_ours, leased, refuse_held, refuse_lost
from vidrain.naming import beside
from vidrain.outputs import count_as_returned, forget_return, put, written
from vidrain.video.coded import Part
from vidrain.video.verify import UntrueError

_ADAPTED = "adapted.safetensors"
_ENDING, _PLAN, _RECORD, _LEASE = ".vidrain", "plan.json", ".json", "lease"
_INDEX = "index"  # of the source, for tasks
# What may lie there without a plan: one was killed, or stopped beside a thread that wrote, while it cleared the folder.
_RESTS = re.compile(
    r"\d+-\d{5}\.\w+|\.(\d+-\d{5}\.json|plan\.json|adapted\.safetensors|index)\.new|adapted\.safetensors|index"
    r"|\.\d+-\d{5}\.\w+\.[0-9a-f]+|lease|\.now-.+|\.nfs.+"
)
_LATER = (StallError, SourceLost, DeviceError)  # of the errors below, those that it may mend
_FOR_GOOD = (InputError, UsageError, ModelError, UntrueError)  # another try would do no better


@dataclass(frozen=True)
class Made:
    """A finished segment. parts: role -> coded frames; untouched: frames that the model failed on.

    seen: index of its last frame, and a checksum of that as it was decoded; before: the same of the frame before its
    first, where it was made alone. rain: amount of every frame that goes out; dry: how many of them were left alone.
    """

    parts: Mapping[str, Part]
    untouched: tuple[int, ...]
    seen: tuple[int, int] | None
    rain: tuple[float, ...]
    dry: int
    before: tuple[int, int] | None = None

    @property
    def frames(self) -> int:
        """How many frames go out."""
        return len(self.parts["clean"].pts)


def folder_of(target: Path) -> Path:
    """Where the segments of `target` lie until it is finished."""
    return beside(target.with_name(f"{target.name}.x"), _ENDING)  # `beside` takes off a suffix


class Unfinished:
    """The folder of one output. threads: that torch is to compute with, those of the run that began it.

    Segments belong to a pass, one for each video that is cleaned, counted from 0. asked: what tasks are to know that
    make segments alone; None where none do. held: what ends with the work here.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.path = target, folder_of(target)
        self.threads = 0
        self.asked: dict[str, Any] | None = None
        self.held = ExitStack()
        self._total = 0
        self._own, self._open = uuid4().hex[:8], set[Path]()  # no other process, whatever its host, writes there
        self._made: dict[tuple[int, int], Made] = {}
        self._is_ours = self._lingers = False
        self._lease = self.path / _LEASE  # what we work under

    @property
    def adapted(self) -> Path:
        """Where weights that are fitted to the footage lie meanwhile."""
        return self.path / _ADAPTED

    @property
    def frames(self) -> int:
        """How many frames are done."""
        return sum(made.frames for made in self._made.values())

    def begin(
        self,
        facts: Mapping[str, Any],
        *,
        total: int,
        threads: int,
        fresh: bool,
        asked: dict[str, Any] | None = None,
    ) -> list[Notice]:
        """Take up what lies here if it was made by the same `facts`; returns what there is to say of the rest.

        total: frames that are to go out; fresh: begin anew; asked: put down for tasks. OutputError where segments by
        other facts lie here, or what is none of ours; BusyError where others are at work.
        """
        with written(self.target):
            found = self._plan()
            self.path.mkdir(exist_ok=True)
            self._refuse_others()
            done, notices = ({}, []) if found is None else self._taken_up(found, facts, fresh=fresh)
            goes_on = found is not None and found["facts"] == facts and not fresh
            self._is_ours, self._total = True, total
            self.threads = found["threads"] if found is not None and goes_on else threads
            self.asked = asked or (found["asked"] if found is not None and goes_on else None)
            self._made = done if goes_on else {}
            self._sweep(with_adapted=fresh)
            if self.asked is None:
                leftovers.leave_nothing_of(self.path, lambda: is_ours(self._lease))
            self._say()
            if not goes_on or asked is not None:
                plan = {"v": 1, "facts": facts, "frames": total, "threads": self.threads, "asked": self.asked}
                put(self.path / _PLAN, json.dumps(plan).encode())
        return notices

    def take_over(self, facts: Mapping[str, Any]) -> None:
        """The output is finished: what lies here of it goes in the end; OutputError where that is of other `facts`."""
        with written(self.target):
            if self.path.exists():
                if (found := self._plan()) is not None:
                    self._refuse_other(found, facts, "work")
                self._refuse_others()
                self._is_ours = True

    def _taken_up(
        self, found: Mapping[str, Any], facts: Mapping[str, Any], *, fresh: bool
    ) -> tuple[dict[tuple[int, int], Made], list[Notice]]:
        """The segments that lie here under a plan, and what there is to say of them; OutputError for other `facts`."""
        done = self._recorded()
        frames, unread = sum(made.frames for made in done.values()), len(self._records()) - len(done)
        spoilt = f"{unread} segment{'s' * (unread > 1)}"
        what = f"{frames} of {found['frames']} frames" if frames else spoilt if unread else "the plan"
        if fresh and (frames or unread):
            what = f"{frames} of {found['frames']} finished frames" if frames else spoilt
            return done, [Notice(code="fresh", message=f"--fresh: {what} in {self.path} are discarded")]
        if not fresh and (done or unread or found["asked"] is not None):
            self._refuse_other(found, facts, what)
        message = f"{spoilt} in {self.path} could not be read, and will be made again"
        return done, [Notice(code="segments", message=message)] if unread else []

    def _refuse_other(self, found: Mapping[str, Any], facts: Mapping[str, Any], what: str) -> None:
        """OtherJob where what lies here was made, or is to be, by other facts."""
        if other := [name for name in facts if found["facts"].get(name) != facts[name]]:
            said = f"{self.path}: holds {what} of another job (other {', other '.join(other)})"
            raise OtherJob(said, "finish it with its own command, drop it with --fresh, or choose another -o", other)

    def _refuse_others(self) -> None:
        """Hold all of the folder; BusyError where another run, or a task, is at work in it."""
        self.held.enter_context(leased(self.path / _LEASE, self.target))
        for lease in self.path.glob(f"*.{_LEASE}"):
            refuse_held(lease, self.target)

    def refuse_busy(self) -> None:
        """BusyError where another run is at work here: before anything is opened that may be its own."""
        refuse_held(self.path / _LEASE, self.target)

    def refuse_lost(self) -> None:
        """BusyError where another run or task has taken over what this one does; OutputError where that went away."""
        refuse_lost(self._lease, self.target)

    @property
    def is_over(self) -> bool:
        """Whether the output is there and nothing is planned for it any more."""
        return self.target.is_file() and not (self.path / _PLAN).exists()

    def take_task(self) -> dict[str, Any]:
        """What a task is to know, and the threads it computes with; UsageError where no tasks are planned here."""
        found = self._plan() if self.path.exists() else None
        if found is None or found["asked"] is None:
            advice = "begin with: vidrain clean IN -o OUT --slurm FILE"
            raise UsageError(f"{self.target}: no segments are planned there as tasks; {advice}")
        self.threads, asked = found["threads"], dict(found["asked"])
        return asked

    def keep_index(self, source: Identity, index: bytes) -> None:
        """Put down for tasks what planning found out about the source by reading all of it."""
        with written(self.target):
            put(self.path / _INDEX, _head_of(source, index) + index)

    def index_of(self, source: Identity) -> bytes | None:
        """What was put down of a source that looked so; None where it was another, or not all of it is there."""
        with suppress(OSError):
            head, line, index = (self.path / _INDEX).read_bytes().partition(b"\n")
            if head + line == _head_of(source, index):
                return index
        return None

    @contextmanager
    def alone(self, facts: Mapping[str, Any], place: int, number: int) -> Iterator[bool]:
        """Be the task that makes one segment, beside others; yields whether that is to be done, or was already.

        OutputError where the segments here are planned by other facts; BusyError where another task makes this one, or
        a run all of them.
        """
        found = self._plan()
        if found is not None:
            self._refuse_other(found, facts, "the plan")
        self._lease = lease = self.path_of(place, number, _LEASE)
        with leased(lease, self.target):
            refuse_held(self.path / _LEASE, self.target)  # whoever holds that looks for our lease when it has its own
            self._made = self._recorded(lease.stem)
            forget_return()
            try:
                yield not self._made
                count_as_returned(lease)
            finally:
                self._forget_open()

    def _plan(self) -> dict[str, Any] | None:
        """What was begun here; None where nothing was. OutputError where something else lies here."""
        path = self.path / _PLAN
        with suppress(ValueError, LookupError, TypeError, AttributeError):
            if path.exists():
                found = json.loads(path.read_bytes())
                return {name: found[name] for name in ("facts", "frames", "threads")} | {"asked": found.get("asked")}
            if not self.path.exists() or self.holds_rests:
                return None
        raise OutputError(f"{self.path}: is no work of vidrain; move it away, or choose another -o")

    @property
    def holds_rests(self) -> bool:
        """Whether the folder is there, and nothing in it but what a kill leaves of one that goes, or has just come."""
        return self.path.is_dir() and all(_RESTS.fullmatch(each.name) for each in self.path.iterdir())

    def _recorded(self, which: str = "*-*") -> dict[tuple[int, int], Made]:
        """Segments whose files are what their records say."""
        found = {}
        for path in self._records(which):
            with suppress(ValueError, LookupError, TypeError, AttributeError):
                place, number = map(int, path.stem.split("-"))
                record = json.loads(path.read_bytes())
                parts = {
                    role: Part(path.with_suffix(f".{role}"), tuple(pts), sha256)
                    for role, (pts, sha256) in record["parts"].items()
                }
                seen, before = (tuple(each) if each else None for each in (record["seen"], record.get("before")))
                made = Made(parts, tuple(record["untouched"]), seen, tuple(record["rain"]), int(record["dry"]), before)
                if "clean" in parts and all(part.is_whole for part in parts.values()):
                    found[place, number] = made
        return found

    def _records(self, which: str = "*-*") -> list[Path]:
        """Where segments are said to be finished."""
        return sorted(self.path.glob(f"{which}{_RECORD}"))

    def made(self, place: int) -> dict[int, Made]:
        """Number of a segment of that pass -> the segment, of those that are finished."""
        return {number: made for (each, number), made in sorted(self._made.items()) if each == place}

    def path_of(self, place: int, number: int, role: str) -> Path:
        """Where the coded frames of a finished segment lie, and what belongs to them."""
        return self.path / f"{place}-{number:05d}.{role}"

    def open_path(self, place: int, number: int, role: str) -> Path:
        """Where they are to be written: another process may be at the same segment, whose node counts as lost."""
        due = self.path_of(place, number, role)
        path = due.with_name(f".{due.name}.{self._own}")
        self._open.add(path)
        leftovers.files[path] = leftovers.always
        return path

    def note(self, place: int, number: int, made: Made) -> Made:
        """A segment is finished, its files are on the disk; returns it as it lies there for good."""
        self.refuse_lost()
        with written(self.target):
            moved = {role: part.path.replace(self.path_of(place, number, role)) for role, part in made.parts.items()}
            made = replace(made, parts={role: replace(part, path=moved[role]) for role, part in made.parts.items()})
            parts = {role: [part.pts, part.sha256] for role, part in made.parts.items()}
            facts = {"untouched": made.untouched, "seen": made.seen, "before": made.before, "rain": made.rain}
            record = {"parts": parts, **facts, "dry": made.dry}
            put(self.path_of(place, number, _RECORD[1:]), json.dumps(record).encode())
        self._made[place, number] = made
        self._say()
        return made

    def _forget_open(self) -> None:
        """Nothing that is half-made stays."""
        for path in self._open:
            path.unlink(missing_ok=True)
            leftovers.files.pop(path, None)
        self._open.clear()

    def _say(self) -> None:
        """What to tell whoever stops us."""
        if self.frames and self._is_ours:
            leftovers.leave(
                self.path, f"{self.frames} of {self._total} frames are kept in {self.path}, the same command goes on"
            )

    def _sweep(self, *, with_adapted: bool) -> None:
        """Remove what belongs to no finished segment."""
        kept = {path.name for made in self._made.values() for path in (part.path for part in made.parts.values())}
        kept |= {self.path_of(*key, _RECORD[1:]).name for key in self._made}
        kept |= {_PLAN, _LEASE} if with_adapted else {_PLAN, _LEASE, _ADAPTED}
        kept |= {_INDEX} if self.asked is not None else set()
        for path in self.path.iterdir():
            if path.name not in kept:
                path.unlink(missing_ok=True)  # whoever finds us busy, or a task that ends, takes its own away

    def close(self, *, keep: bool) -> None:
        """Leave what another run can go on from, if that is wanted and there is any; else nothing."""
        if not self._is_ours:
            return
        if not is_ours(self._lease):  # another run goes on with what lies there
            self._forget_open()
        elif keep and (self._made or self.asked):
            with suppress(OSError):
                self._sweep(with_adapted=False)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
            self._lingers = self.path.exists()
        leftovers.forget(self.path)
        for path in self._open:
            leftovers.files.pop(path, None)

    def leave(self) -> None:
        """Once nothing is held any more: on NFS a lease that is open stays until then, and with it the folder."""
        if self._lingers:
            with suppress(OSError):
                self.path.rmdir()


def _head_of(source: Identity, index: bytes) -> bytes:
    """The first line of an index: of what, by which vidrain, and that it is whole."""
    return json.dumps([__version__, *source, hashlib.sha256(index).hexdigest()]).encode() + b"\n"


def kept_of(target: Path) -> tuple[int, int] | None:
    """Frames of `target` in segments that are said to be finished, and of how many; None where nothing is kept.

    By their records alone: who stops has no time to read the segments.
    """
    folder = folder_of(target)
    try:
        records = [json.loads(path.read_bytes()) for path in folder.glob(f"*-*{_RECORD}")]
        total = int(json.loads((folder / _PLAN).read_bytes())["frames"])
        frames = sum(len(record["parts"]["clean"][0]) for record in records)
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return (frames, total) if frames else None


@contextmanager
def unfinished(target: Path) -> Iterator[Unfinished]:
    """The folder of `target`, which this process has claimed: gone in the end, unless another run can go on from it."""
    leftovers.begin()
    work = Unfinished(target)
    try:
        with work.held:
            try:
                yield work
            except BaseException as error:
                work.close(keep=isinstance(error, _LATER) or not isinstance(error, _FOR_GOOD))
                raise
            work.close(keep=False)
    finally:
        work.leave()


def drop_rests(target: Path) -> None:
    """Remove what a kill left of the folder of an output that is finished, where nothing can go on from it."""
    there = Unfinished(target)
    if there.is_over and there.holds_rests:
        with unfinished(target) as work:
            work.take_over({})
