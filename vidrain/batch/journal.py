"""What a folder of outputs remembers, in OUT/.vidrain: who writes there now, what was asked for, what became of it.

Every record is one line behind its own checksum, flushed to the disk before the work goes on: a line that a kill or a
full disk cut off is dropped, and its file done again. Nothing is ever deleted by going on.
"""

import hashlib
import json
import os
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vidrain.errors import OutputError
from vidrain.fingerprint import fingerprint, is_as_left, named_in
from vidrain.lease import Owner, holder_of, leased, refuse_lost
from vidrain.outputs import put, sync, written

# state: begun, done, partial, failed or kept; output: relative to OUT; files: path, likewise -> bytes it was left with;
# changed: path -> its time of change in nanoseconds, which records of earlier versions lack
Record = dict[str, Any]

FOLDER = ".vidrain"
DONE = ("done", "partial")
_DIGITS = 16  # of SHA-256, in hexadecimal


class Journal:
    """The records of one folder of outputs: `last` of every output, and which files there are of our making.

    made: the last record of every output that was made, whatever came behind it: a run that could not even read the
    source, or one with other settings that was stopped, takes nothing from what lies there.
    broken: lines that did not hold their checksum; what they said is not known any more.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self.folder = out / FOLDER
        names = ("journal", "plan.json", "lock", "failed.csv")
        self._lines, self._plan, self._lock, self._failures = (self.folder / name for name in names)
        self._open()

    def _open(self) -> None:
        self.last: dict[str, Record] = {}
        self.made: dict[str, Record] = {}
        self._left: dict[str, tuple[int, int | None]] = {}  # file, relative to OUT -> bytes and time it was left with
        self._begun: dict[str, list[str]] = {}  # output -> files that its run may have left
        self.records, self.broken, self._end = 0, 0, 0
        for record, end in self._read():
            if record is None:
                self.broken += 1
            else:
                self._end = end
                self._learn(record)

    def _read(self) -> Iterator[tuple[Record | None, int]]:
        """Record, None for a line that is not whole, and where the line ends. OutputError where it cannot be read."""
        end = 0
        try:
            with self._lines.open("rb") as file:
                for line in file:
                    end += len(line)
                    yield _record_in(line), end
        except (FileNotFoundError, NotADirectoryError):  # nothing was noted yet
            return
        except OSError as error:
            raise OutputError(f"{self._lines}: cannot be read ({error.strerror}); check its rights") from error

    def _learn(self, record: Record) -> None:
        self.records += 1
        output, files = record["output"], record.get("files", {})
        if record["state"] != "kept":
            self.last[output] = record
        if record["state"] == "begun":
            self._begun[output] = list(files)
            return
        if record["state"] in DONE:
            self.made[output] = record
            self._begun.pop(output, None)  # but not where it failed: a try may have named its files before
        self._left.update(_left_by(record))

    def begin(self) -> None:
        """Make ready to note: what was cut off at the end goes. Only for who holds the folder."""
        self._refuse_lost()
        with written(self._lines):
            self._lines.touch()
            os.truncate(self._lines, self._end)
            sync(self.folder)

    def note(self, record: Record) -> None:
        """Put one record on the disk; OutputError where there is no room, and then nothing of it stays.

        BusyError where another run has taken the folder over, here and wherever something is put down.
        """
        self._refuse_lost()
        line = _line_of(record)
        with written(self._lines):
            descriptor = os.open(self._lines, os.O_WRONLY | os.O_CREAT, 0o666)
            try:
                self._put(descriptor, line)
            finally:
                os.close(descriptor)
        self._end += len(line)
        self._learn(record)

    def _put(self, descriptor: int, line: bytes) -> None:
        """At the end of the last whole line, whatever a signal or a full disk left behind it."""
        try:
            os.ftruncate(descriptor, self._end)
            if os.pwrite(descriptor, line, self._end) < len(line):
                raise OSError(28, "no space left for a whole line")
            os.fsync(descriptor)
        except OSError:
            os.ftruncate(descriptor, self._end)
            raise

    def is_ours(self, path: str) -> bool:
        """Whether the file at `path`, relative to OUT, is one that a batch made here and nobody changed since."""
        if any(path in files and self._has_receipt(output, path) for output, files in self._begun.items()):
            return True
        return path in self._left and is_as_left(self._out / path, *self._left[path])

    def _has_receipt(self, output: str, path: str) -> bool:
        """Whether a run that was killed gave this very file its name, but did not come to note it."""
        target = (self._out / path).absolute()
        return fingerprint(target) in named_in(receipt_of(self._out, output)).get(str(target), ())

    def is_done(self, output: str, key: str) -> bool:
        """Whether `output` was made under this key, and all its files still lie there as they were left."""
        record = self.made.get(output)
        if record is None or record["key"] != key:
            return False
        if any(self._has_receipt(output, path) for path in self._begun.get(output, ())):
            return False  # a run that was killed put others in their place
        return all(is_as_left(self._out / path, *left) for path, left in _left_by(record).items())

    def note_made(self, output: str) -> None:
        """Let the record of what was made there be the last one again, so that all who ask hear the same."""
        if self.last[output] is not self.made[output]:
            self.note(self.made[output])

    def forget(self, outputs: Collection[str]) -> None:
        """Begin these anew: none counts as done or failed; which files are of our making stays known."""
        self._refuse_lost()
        found = [record for record, _ in self._read() if record is not None]
        others = [record for record in found if record["output"] not in outputs]
        named = {path: None for record in found if record["output"] in outputs for path in record.get("files", {})}
        left = {path: self._left[path] for path in named if path in self._left} | self._doubtful(outputs)
        kept = [_kept(path, *each) for path, each in left.items()]
        put(self._lines, b"".join(_line_of(record) for record in (*others, *kept)))
        self._open()

    def _doubtful(self, outputs: Collection[str]) -> dict[str, tuple[int, int | None]]:
        """Files that a run left of these which was killed, as they are now."""
        ours = [path for output in outputs for path in self._begun.get(output, ()) if self.is_ours(path)]
        return {path: (found[1], found[2]) for path in ours if (found := fingerprint(self._out / path)) is not None}

    def leave_out(self, outputs: Collection[str]) -> None:
        """Know no more what became of these, and leave what is on the disk: to look what a run would do."""
        for output in outputs:
            self.last.pop(output, None)
            self.made.pop(output, None)

    def keep_plan(self, plan: Mapping[str, Any]) -> None:
        """Remember what is asked for of OUT, in place of what was before."""
        self._refuse_lost()
        put(self._plan, json.dumps(plan).encode())

    def keep_failures(self, table: bytes | None) -> None:
        """Put the table of what failed in place of the one before; None where nothing did."""
        self._refuse_lost()
        if table is not None:
            put(self._failures, table)
            return
        with written(self._failures):
            self._failures.unlink(missing_ok=True)

    def plan(self) -> dict[str, Any] | None:
        """What is asked for of OUT; None where nothing was. OutputError where it cannot be read."""
        try:
            found: dict[str, Any] = json.loads(self._plan.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValueError) as error:
            raise OutputError(f"{self._plan}: cannot be read; give the whole `batch run` command again") from error
        return found

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder against every other run, of this host or another: BusyError where one is at work."""
        with written(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        with leased(self._lock, self._out):
            yield

    def _refuse_lost(self) -> None:
        """A run that was suspended wakes with an old end of the journal: what was noted since would go."""
        refuse_lost(self._lock, self._out)

    def holder(self) -> Owner | None:
        """Who is at work here, as far as this host can tell."""
        return holder_of(self._lock)


def id_of(output: str) -> str:
    """Short name of an output, relative to OUT: for logs, tasks and receipts."""
    return hashlib.sha256(output.encode(errors="surrogateescape")).hexdigest()[:_DIGITS]


def receipt_of(out: Path, output: str) -> Path:
    """Where the task of an output puts down which files it gives names to, until its record says so."""
    return out / FOLDER / "receipts" / f"{id_of(output)}.json"


def _line_of(record: Record) -> bytes:
    text = json.dumps(record).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _record_in(line: bytes) -> Record | None:
    checksum, _, text = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or checksum != b"%08x" % zlib.crc32(text):
        return None
    found: Record = json.loads(text)
    return found


def _left_by(record: Record) -> dict[str, tuple[int, int | None]]:
    changed = record.get("changed", {})
    return {path: (size, changed.get(path)) for path, size in record.get("files", {}).items()}


def _kept(path: str, size: int, changed: int | None) -> Record:
    return {"state": "kept", "output": path, "files": {path: size}} | ({"changed": {path: changed}} if changed else {})
