"""Puts what a batch will do, and what became of one, into words and JSON."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vidrain.batch.foresight import Plan
from vidrain.batch.journal import DONE, Journal, Record
from vidrain.batch.plan import File, State
from vidrain.batch.states import end_of, ends_of, exit_code_of, states_of
from vidrain.batch_lines import many, readable
from vidrain.stream import Pulse, patiently

_HARDLY_S = 2.0
_STATES = ("done", "partial", "failed", "waiting")
_REFUSED: tuple[State, ...] = ("in the way", "unreadable", "no room")


def plan_facts(plan: Plan) -> dict[str, Any]:
    """What would run, ready for JSON."""
    event = plan.event
    files = [
        {"source": str(look.file.source), "output": look.file.output, "state": look.state, "bytes": look.size}
        | ({"cause": look.why} if look.why else {})
        | {"settings": look.file.settings, "also": list(look.file.also)}
        for look in plan.looks
    ]
    counts = {name: getattr(event, name) for name in ("files", "done", "failed", "todo", "engine", "workers")}
    states = Counter(look.state for look in plan.looks)
    counts |= {state.replace(" ", "_"): states[state] for state in _REFUSED}
    ahead = {name: getattr(event, name) for name in ("size", "space", "free", "seconds", "basis")}
    return {"v": 1, "output": event.output, **counts, **ahead, "each": files}


def plan_lines(plan: Plan) -> list[str]:
    """The same for people: a line for every file that is not done, and what that will take."""
    event = plan.event
    lines = [
        f"{look.state:10} {look.file.source} -> {look.file.output}" + (f": {look.why}" if look.why else "")
        for look in plan.looks
        if look.state != "done"
    ]
    states = Counter(look.state for look in plan.looks)
    counts = [
        f"{event.todo} of {many(event.files, 'file')} to do",
        f"{event.done} done before",
        f"{event.failed} failed before",
    ]
    lines += [", ".join(counts + [f"{states[state]} {state}" for state in _REFUSED if states[state]])]
    if event.todo or states["no room"]:
        lines += [f"{_amount(event.size)} to read, about {_amount(event.space)} to write, {_amount(event.free)} free"]
        lines += [f"about {_span(event.seconds)}" if event.seconds is not None else "how long is not known"]
        lines += [f"from: {event.basis}"]
    return [readable(line) for line in lines]


def status_facts(files: Sequence[File], journal: Journal, out: Path, *, workers: int | None) -> dict[str, Any]:
    """What the journal knows of the files that OUT lists, ready for JSON.

    exit_code: 0 where all are done; seconds_left: of so many workers, by the bytes of what is done, None before and
    where their number is not known.
    """
    states, ends = states_of(files, journal), ends_of(files, journal)
    troubles = [end_of(each, each["source"]) for each in ends.values() if each["state"] in ("partial", "failed")]
    counts = {state: states[state] for state in _STATES}
    spent = sum(each.get("seconds", 0.0) for each in ends.values())
    return {
        "v": 1,
        "output": str(out),
        "files": len(files),
        **counts,
        "seconds_of_work": round(spent, 1),
        "seconds_left": _left(files, ends, workers),
        "running": owner._asdict() if (owner := journal.holder()) else None,
        "troubles": [vars(end) for end in troubles],
        "exit_code": exit_code_of(files, journal),
    }


def _left(files: Sequence[File], ends: Mapping[str, Record], workers: int | None) -> float | None:
    done = [each for each in ends.values() if each["state"] in DONE]
    read = sum(record["source_bytes"] for record in done)
    if not read or workers is None:
        return None
    waiting = [file.source for file in files if file.output not in ends]
    if (size := _size_of(waiting)) is None:
        return None
    spent = sum(record["seconds"] for record in done)
    return round(float(size * spent / read / workers), 1)


def _size_of(sources: Sequence[Path]) -> int | None:
    """Bytes of all of them; None where a share that they lie on hangs."""

    def sized(pulse: Pulse) -> int:
        total = 0
        for source in sources:
            total += _size(source)
            pulse.beat()
        return total

    try:
        return patiently(sized, _HARDLY_S, "sizes")
    except TimeoutError:
        return None


def _size(source: Path) -> int:
    """Bytes of a source; none where it, or the share it lies on, cannot be asked."""
    try:
        return source.stat().st_size
    except OSError:
        return 0


def status_lines(facts: dict[str, Any]) -> list[str]:
    """The same for people."""
    lines = [
        f"{end['state']:7} {end['code']:3} {end['file']}: {end['cause']}"
        + (f" (log: {end['log']})" if end["log"] else "")
        for end in facts["troubles"]
    ]
    counts = ", ".join(f"{facts[state]} {state}" for state in _STATES)
    lines += [f"{facts['output']}: {many(facts['files'], 'file')}: {counts}"]
    if (owner := facts["running"]) is not None:
        left = f", about {_span(facts['seconds_left'])} left" if facts["seconds_left"] is not None else ""
        lines += [f"a run is at work: process {owner['pid']} on {owner['host']}{left}"]
    elif facts["waiting"]:
        lines += ["no run is at work; the same `batch run` command goes on"]
    elif facts["failed"]:
        lines += [f"try what failed again: vidrain batch retry {facts['output']}"]
    return [readable(line) for line in lines]


def _amount(size: int) -> str:
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if size >= scale:
            return f"{size / scale:.1f} {unit}"
    return f"{size / 1e3:.0f} kB"


def _span(seconds: float) -> str:
    if round(seconds) < 60:
        return f"{max(round(seconds), 1)} s"
    minutes, left = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d} h" if hours else f"{minutes}:{left:02d} min"
