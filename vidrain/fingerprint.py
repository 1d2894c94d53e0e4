"""Tells a file that is ours from one that was put in its place: by what it is on the disk, not by its content.

fingerprint(Path("out.mp4")) in named_in(receipt).get("/card/out.mp4", ())
"""

import json
from contextlib import suppress
from pathlib import Path


def fingerprint(path: Path) -> list[int] | None:
    """What tells a file from one that was put in its place: inode, bytes, time of change; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def named_in(receipt: Path) -> dict[str, list[list[int]]]:
    """Target -> every fingerprint that a file of ours may have there; nothing where no such `receipt` lies."""
    with suppress(OSError, ValueError):
        found: dict[str, list[list[int]]] = json.loads(receipt.read_bytes())
        return found if isinstance(found, dict) else {}
    return {}
