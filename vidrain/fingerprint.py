"""Tells a file that is ours from one that was put in its place: by what it is on the disk, not by its content.

fingerprint(Path("out.mp4")) in named_in(receipt).get("/card/out.mp4", ())
is_as_left(Path("out.mp4"), size, changed)
"""

import json
from contextlib import suppress
from pathlib import Path

# Nanoseconds that a copy may round the time of change down to: SMB, microseconds, exFAT, ext3 and tar, FAT.
_GRAINS = (1, 100, 1_000, 10_000_000, 1_000_000_000, 2_000_000_000)


def fingerprint(path: Path) -> list[int] | None:
    """What tells a file from one that was put in its place: inode, bytes, time of change; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def is_as_left(path: Path, size: int, changed: int | None) -> bool:
    """Whether a file has the size and the time of change that it was left with: a copy has them too, by another inode.

    changed: in nanoseconds, None where it was not noted.
    """
    found = fingerprint(path)
    if found is None or found[1] != size:
        return False
    return changed is None or any(changed // grain * grain == found[2] for grain in _GRAINS)


def named_in(receipt: Path) -> dict[str, list[list[int]]]:
    """Target -> every fingerprint that a file of ours may have there; nothing where no such `receipt` lies."""
    with suppress(OSError, ValueError):
        found: dict[str, list[list[int]]] = json.loads(receipt.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}
