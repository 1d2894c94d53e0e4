"""What a source looks like before it is read, so that one that changes meanwhile, or another one, is known."""

import hashlib
from pathlib import Path
from stat import S_ISFIFO
from typing import NamedTuple

from vidrain.errors import InputError
from vidrain.video.lost import lost

_COMPARED = 1 << 16  # bytes at both ends


class Identity(NamedTuple):
    """Size, time of change in nanoseconds, and SHA-256 of both ends: some programs put the time back."""

    size: int
    changed: int
    ends: str


def identity_of(path: Path, then: str = "give the same command again when it is back") -> Identity:
    """What is at `path` now; SourceLost if nothing is, InputError if it may not be read. then: what comes of it."""
    try:
        stat = path.stat()
        if S_ISFIFO(stat.st_mode):
            raise InputError(f"{path}: is a pipe, but a file is expected; save it to a file first")  # or wait for ever
        with path.open("rb") as file:
            ends = file.read(_COMPARED)
            file.seek(max(stat.st_size - _COMPARED, 0))
            ends += file.read(_COMPARED)
    except PermissionError as error:
        raise InputError(f"{path}: may not be read ({error.strerror}); check its permissions") from error
    except OSError as error:
        raise lost(path, error, then) from error
    return Identity(stat.st_size, stat.st_mtime_ns, hashlib.sha256(ends).hexdigest())
