"""What lies beside an output while it is made: finished segments, and what they are of. `OUT.vidrain`.

A segment counts once its record has its name; records, like the plan, are written whole, flushed and renamed. Only who
holds the claim on the output works here. What a failure leaves that another try may mend stays, for the same command.
"""

import json
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vidrain import leftovers
from vidrain.errors import InputError, ModelError, OutputError, StallError, UsageError
from vidrain.events import Notice
from vidrain.outputs import beside, put, written
from vidrain.video.coded import Part
from vidrain.video.verify import UntrueError

_ADAPTED = "adapted.safetensors"
_ENDING, _PLAN, _RECORD = ".vidrain", "plan.json", ".json"
# What may lie there without a plan: one was killed, or stopped beside a thread that wrote, while it cleared the folder.
_RESTS = re.compile(r"\d+-\d{5}\.\w+|\.(\d+-\d{5}\.json|plan\.json|adapted\.safetensors)\.new|adapted\.safetensors")
_FOR_GOOD = (InputError, UsageError, ModelError, UntrueError)  # another try would do no better


@dataclass(frozen=True)
class Made:
    """A finished segment. parts: role -> coded frames; untouched: frames that the model failed on.

    seen: index of its last frame, and a checksum of that as it was decoded; rain: amount of every frame that goes out.
    """

    parts: Mapping[str, Part]
    untouched: tuple[int, ...]
    seen: tuple[int, int] | None
    rain: tuple[float, ...]

    @property
    def frames(self) -> int:
        """How many frames go out."""
        return len(self.parts["clean"].pts)


def folder_of(target: Path) -> Path:
    """Where the segments of `target` lie until it is finished."""
    return beside(target.with_name(f"{target.name}.x"), _ENDING)  # `beside` takes off a suffix


class Unfinished:
    """The folder of one output. threads: that torch is to compute with, those of the run that began it.

    Segments belong to a pass, one for each video that is cleaned, counted from 0.
    """

    def __init__(self, target: Path) -> None:
        self.target, self.path = target, folder_of(target)
        self.threads = 0
        self._total = 0
        self._made: dict[tuple[int, int], Made] = {}
        self._is_ours = False

    @property
    def adapted(self) -> Path:
        """Where weights that are fitted to the footage lie meanwhile."""
        return self.path / _ADAPTED

    @property
    def frames(self) -> int:
        """How many frames are done."""
        return sum(made.frames for made in self._made.values())

    def begin(self, facts: Mapping[str, Any], *, total: int, threads: int, fresh: bool) -> list[Notice]:
        """Take up what lies here if it was made by the same `facts`; returns what there is to say of the rest.

        total: frames that are to go out; fresh: begin anew. OutputError where segments by other facts lie here, or
        what is none of ours.
        """
        with written(self.target):
            found = self._plan()
            done = self._recorded() if found is not None else {}
            frames, notices = sum(made.frames for made in done.values()), []
            if found is not None and frames and not fresh and found["facts"] != facts:
                other = [name for name in facts if found["facts"].get(name) != facts[name]]
                raise OutputError(
                    f"{self.path}: holds {frames} of {found['frames']} frames of another job (other "
                    f"{', other '.join(other) or 'facts'}); finish it with its own command, drop it with --fresh, or "
                    "choose another -o"
                )
            if fresh and frames and found is not None:
                message = f"--fresh: {frames} of {found['frames']} finished frames in {self.path} are discarded"
                notices.append(Notice(code="fresh", message=message))
            goes_on = found is not None and found["facts"] == facts and not fresh
            self.path.mkdir(exist_ok=True)
            self._is_ours, self._total = True, total
            self.threads = found["threads"] if found is not None and goes_on else threads
            self._made = done if goes_on else {}
            self._sweep(with_adapted=fresh)
            leftovers.leave_nothing_of(self.path)
            self._say()
            if not goes_on:
                plan = {"v": 1, "facts": facts, "frames": total, "threads": threads}
                put(self.path / _PLAN, json.dumps(plan).encode())
        return notices

    def _plan(self) -> dict[str, Any] | None:
        """What was begun here; None where nothing was. OutputError where something else lies here."""
        path = self.path / _PLAN
        with suppress(ValueError, LookupError, TypeError):
            if path.exists():
                found = json.loads(path.read_bytes())
                return {name: found[name] for name in ("facts", "frames", "threads")}
            if not self.path.exists() or all(_RESTS.fullmatch(each.name) for each in self.path.iterdir()):
                return None
        raise OutputError(f"{self.path}: is no work of vidrain; move it away, or choose another -o")

    def _recorded(self) -> dict[tuple[int, int], Made]:
        """Segments whose files are what their records say."""
        found = {}
        for path in sorted(self.path.glob(f"*-*{_RECORD}")):
            with suppress(ValueError, LookupError, TypeError):
                place, number = map(int, path.stem.split("-"))
                record = json.loads(path.read_bytes())
                parts = {
                    role: Part(path.with_suffix(f".{role}"), tuple(pts), sha256)
                    for role, (pts, sha256) in record["parts"].items()
                }
                seen = record["seen"] and tuple(record["seen"])
                made = Made(parts, tuple(record["untouched"]), seen, tuple(record["rain"]))
                if all(part.is_whole for part in parts.values()):
                    found[place, number] = made
        return found

    def made(self, place: int) -> dict[int, Made]:
        """Number of a segment of that pass -> the segment, of those that are finished."""
        return {number: made for (each, number), made in sorted(self._made.items()) if each == place}

    def path_of(self, place: int, number: int, role: str) -> Path:
        """Where the coded frames of a segment are to be written."""
        return self.path / f"{place}-{number:05d}.{role}"

    def note(self, place: int, number: int, made: Made) -> None:
        """A segment is finished, its files are on the disk."""
        parts = {role: [part.pts, part.sha256] for role, part in made.parts.items()}
        record = {"parts": parts, "untouched": made.untouched, "seen": made.seen, "rain": made.rain}
        with written(self.target):
            put(self.path_of(place, number, _RECORD[1:]), json.dumps(record).encode())
        self._made[place, number] = made
        self._say()

    def _say(self) -> None:
        """What to tell whoever stops us."""
        if self.frames:
            leftovers.leave(
                self.path, f"{self.frames} of {self._total} frames are kept in {self.path}, the same command goes on"
            )

    def _sweep(self, *, with_adapted: bool) -> None:
        """Remove what belongs to no finished segment."""
        kept = {path.name for made in self._made.values() for path in (part.path for part in made.parts.values())}
        kept |= {self.path_of(*key, _RECORD[1:]).name for key in self._made}
        kept |= {_PLAN} if with_adapted else {_PLAN, _ADAPTED}
        for path in self.path.iterdir():
            if path.name not in kept:
                path.unlink()

    def close(self, *, keep: bool) -> None:
        """Leave what another run can go on from, if that is wanted and there is any; else nothing."""
        if not self._is_ours:
            return
        if keep and self._made:
            with suppress(OSError):
                self._sweep(with_adapted=False)
        else:
            shutil.rmtree(self.path, ignore_errors=True)
        leftovers.forget(self.path)


@contextmanager
def unfinished(target: Path) -> Iterator[Unfinished]:
    """The folder of `target`, which this process has claimed: gone in the end, unless another run can go on from it."""
    leftovers.begin()
    work = Unfinished(target)
    try:
        yield work
    except BaseException as error:
        work.close(keep=isinstance(error, StallError) or not isinstance(error, _FOR_GOOD))
        raise
    work.close(keep=False)
