"""What a run would refuse, or not begin, told before it: for `--dry-run`. Asks for names and sizes, decodes nothing.

looks = refused(looks, journal, Path("out"), force=False)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from vidrain.batch.estimate import leaves_room
from vidrain.batch.journal import Journal
from vidrain.batch.plan import EXISTS, File, Look, is_free
from vidrain.fingerprint import fingerprint

_MB = 1_000_000


def refused(looks: Sequence[Look], journal: Journal, out: Path, *, force: bool) -> list[Look]:
    """The same, with those told apart that stand in the way of something, or whose source cannot be read."""
    return [_refused(look, journal, out, force=force) if look.state == "to do" else look for look in looks]


def _refused(look: Look, journal: Journal, out: Path, *, force: bool) -> Look:
    if not (force or is_free(look.file, journal, out)):
        return look._replace(state="in the way", why=f"{out / look.file.output}: {EXISTS}")
    return look if look.size else look._replace(state="unreadable")


def unopened(looks: Sequence[Look], unread: Mapping[str, str]) -> list[Look]:
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


def standing(file: File, out: Path) -> int:
    """Bytes at the places of its outputs."""
    found = (fingerprint(out / path) for path in file.targets.values())
    return sum(each[1] for each in found if each is not None)
