"""What lies ahead of a run: its files as they were looked at, and what they may take; for `--dry-run` also refusals.

plan = foresee(files, Path("out"), BatchOptions(), journal)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from vidrain.batch.estimate import Estimate, estimate, free_bytes, leaves_room
from vidrain.batch.journal import Journal
from vidrain.batch.options import BatchOptions, at_a_time
from vidrain.batch.plan import EXISTS, File, Look, is_free, look_at_all
from vidrain.events import BatchPlan
from vidrain.fingerprint import fingerprint

_MB = 1_000_000


class Plan(NamedTuple):
    """What a run will do: all files as they were looked at, and what that may take."""

    looks: list[Look]
    ahead: Estimate
    event: BatchPlan

    @property
    def todo(self) -> list[Look]:
        """Files to run, the longest first: the last ones to end are then short."""
        return sorted((look for look in self.looks if look.state == "to do"), key=lambda look: -look.size)


def plan_batch(files: Sequence[File], out: Path, options: BatchOptions, journal: Journal, *, again: bool) -> Plan:
    """Look at every file and at the disk; writes nothing, computes nothing. again: what failed before is to do, too."""
    looks = look_at_all(files, journal)
    if again:
        looks = [look._replace(state="to do") if look.state == "failed" else look for look in looks]
    ahead = estimate(looks, journal, workers=at_a_time(options), machines=None)
    return _plan(looks, ahead, free_bytes(out), out, options)


def foresee(files: Sequence[File], out: Path, options: BatchOptions, journal: Journal) -> Plan:
    """The same for who only asks: what the run would refuse is told apart, and some frames are computed for the time.

    What only lacks room counts in size, space and seconds.
    """
    looks = _refused(look_at_all(files, journal), journal, out, force=options.force)
    workers = at_a_time(options)
    machines = 1 if options.address is None or workers is None else workers  # those of this one share its cores
    ahead = estimate(looks, journal, workers=workers, machines=machines)
    free = free_bytes(out)
    stands = {look.file.output: _standing(look.file, out) for look in looks if look.state == "to do"}
    looks = crowded(_unopened(looks, ahead.unread), ahead.space, stands, free, options.min_free_mb * _MB)
    return _plan(looks, ahead, free, out, options)


def _plan(looks: list[Look], ahead: Estimate, free: int, out: Path, options: BatchOptions) -> Plan:
    states = Counter(look.state for look in looks)
    event = BatchPlan(
        output=str(out),
        files=len(looks),
        done=states["done"],
        failed=states["failed"],
        todo=states["to do"],
        engine=options.engine,
        workers=at_a_time(options),
        size=sum(look.size for look in looks if look.state in ("to do", "no room")),
        space=round(sum(ahead.space.values())),
        free=free,
        seconds=ahead.seconds,
        basis=ahead.basis,
    )
    return Plan(looks, ahead, event)


def _refused(looks: Sequence[Look], journal: Journal, out: Path, *, force: bool) -> list[Look]:
    """The same, with those told apart that stand in the way of something, or whose source cannot be read."""
    return [_told(look, journal, out, force=force) if look.state == "to do" else look for look in looks]


def _told(look: Look, journal: Journal, out: Path, *, force: bool) -> Look:
    if not (force or is_free(look.file, journal, out)):
        return look._replace(state="in the way", why=f"{out / look.file.output}: {EXISTS}")
    return look if look.size else look._replace(state="unreadable")


def _unopened(looks: Sequence[Look], unread: Mapping[str, str]) -> list[Look]:
    """The same, with those told apart that an estimate could not open. unread: output -> why."""
    return [
        look._replace(state="unreadable", why=unread[look.file.output]) if look.file.output in unread else look
        for look in looks
    ]


def crowded(
    looks: Sequence[Look], space: Mapping[str, float], stands: Mapping[str, int], free: int, min_free: float
) -> list[Look]:
    """The same, with those told apart that the disk has no room for, taken in the order of the run: the largest first.

    space: output -> bytes that are written for it; stands: output -> bytes there now, which go when it is replaced.
    """
    cramped: dict[str, str] = {}
    for look in sorted((look for look in looks if look.state == "to do"), key=lambda look: -look.size):
        output = look.file.output
        if leaves_room(free, due := space.get(output, 0.0), min_free):
            free -= round(due) - stands.get(output, 0)
        else:
            cramped[output] = (
                f"may take {due / _MB:.0f} MB and as much for its segments, {free / _MB:.0f} MB are free by then "
                f"(--min-free {min_free / _MB:g} stay)"
            )
    return [
        look._replace(state="no room", why=cramped[look.file.output]) if look.file.output in cramped else look
        for look in looks
    ]


def _standing(file: File, out: Path) -> int:
    """Bytes at the places of its outputs."""
    found = (fingerprint(out / path) for path in file.targets.values())
    return sum(each[1] for each in found if each is not None)
