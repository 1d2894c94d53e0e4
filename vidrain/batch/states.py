"""What the journal says of the files that are asked for, by the settings that they have now; sources are not looked at.

>>> states_of(files, Journal(out))
Counter({'done': 4, 'waiting': 1})
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from vidrain.batch.journal import Journal, Record
from vidrain.batch.plan import File, listed_before, mark_of
from vidrain.batch_lines import many
from vidrain.errors import OK, PARTIAL, SOME_FAILED, ModelError
from vidrain.events import FileEnd, Notice

_NAMED = 3  # of many files, in one line


def ends_of(files: Sequence[File], journal: Journal) -> dict[str, Record]:
    """Output -> how it ended, of files that did so by the settings that they have now: the others are waiting."""
    marks: dict[tuple[int, tuple[str, ...]], str | None] = {}  # thousands of files hold the same settings
    found = {}
    for file in files:
        record = journal.last.get(file.output)
        if record is None or record["state"] == "begun":
            continue
        alike = id(file.settings), file.also
        if alike not in marks:
            marks[alike] = _mark(file)
        if marks[alike] in (None, record["mark"]):
            found[file.output] = record
    return found


def _mark(file: File) -> str | None:
    """None where its weights are gone: whether they are those of the record cannot be told, so they are believed."""
    try:
        return mark_of(file)
    except ModelError:
        return None


def states_of(files: Sequence[File], journal: Journal) -> Counter[str]:
    """How many files are done, partial, failed, and waiting."""
    ends = ends_of(files, journal)
    return Counter(str(ends[file.output]["state"]) if file.output in ends else "waiting" for file in files)


def end_of(record: Record, source: str) -> FileEnd:
    """A record of a file that ended, as the event that told of it."""
    missing = ", ".join(f"{start:.2f} to {end:.2f} s" for start, end in record.get("missing", []))
    cause = record.get("cause") or (f"missing: {missing}" if missing else "; ".join(record.get("notes", [])))
    return FileEnd(
        file=record["output"],
        source=source,
        state=record["state"],
        code=record["code"],
        cause=cause,
        log=record["log"],
        seconds=record.get("seconds", 0.0),
    )


def exit_code_of(files: Sequence[File], journal: Journal) -> int:
    """Of these files, in whichever run: 1 where one failed, 4 where one is partial or waits, 0 where all are done."""
    states = states_of(files, journal)
    return SOME_FAILED if states["failed"] else PARTIAL if states["partial"] or states["waiting"] else OK


def unfinished(outputs: Sequence[str]) -> Notice:
    """What is said of files that a retry leaves, because they did not fail."""
    are = "are" if len(outputs) > 1 else "is"
    said = f"{many(len(outputs), 'file')} {are} not finished yet ({_named(outputs)})"
    return Notice(code="waiting", message=f"{said}; the same `batch run` command goes on")


def discarded(files: Sequence[File], journal: Journal, out: Path) -> Notice | None:
    """What `--fresh` discards: what is known of these files, and that others are listed; None where that is nothing."""
    outputs = {file.output: None for file in files}
    known = [output for output in outputs if output in journal.last]
    others = [file.output for file in listed_before(journal) if file.output not in outputs]
    said = []
    if known:
        states = Counter(str(journal.last[output]["state"]) for output in known)
        counts = ", ".join(f"{number} {state}" for state, number in sorted(states.items()))
        said += [f"what {out} knows of {many(len(known), 'file')} is discarded ({counts}: {_named(known)})"]
    if others:
        said += [f"{many(len(others), 'file')} more leave its list until a run names them again ({_named(others)})"]
    if not said:
        return None
    return Notice(code="fresh", message=f"--fresh: {'; '.join(said)}; outputs stay until they are made again")


def _named(outputs: Sequence[str]) -> str:
    return ", ".join(outputs[:_NAMED]) + (", ..." if len(outputs) > _NAMED else "")
