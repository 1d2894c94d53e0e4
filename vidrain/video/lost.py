"""Tells a source that went away, and may come back, from one that is broken.

A card that is pulled out, a share that does not answer: what was read before is as good as ever, and so is the file.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vidrain.errors import InputError, SourceLost

# Of disks, mounts and networks; FFmpeg makes none of them up.
_AWAY = {
    *(errno.ESTALE, errno.ETIMEDOUT, errno.ENODEV, errno.ENXIO),
    *(errno.ENOTCONN, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.EREMOTEIO),
}
_PIECE = 1 << 20
_MOST = 1 << 28  # bytes that are read once more before a disk is believed to be sound


def refuse_lost(path: Path, error: Exception, place: int = 0) -> None:
    """SourceLost where `error`, met in reading `path`, is of its disk or network; nothing where it is of the file.

    place: bytes at its beginning that were read well. FFmpeg has EIO for data that end too early as well, so that is
    believed only where what follows cannot be read.
    """
    if not isinstance(error, OSError):
        return
    if error.errno in _AWAY or (error.errno == errno.EIO and not is_readable(path, place)):
        raise lost(path, error) from error


def lost(path: Path, error: OSError, then: str = "give the same command again when it is back") -> SourceLost:
    """The error for a source that went away. then: what comes of it, in words."""
    return SourceLost(f"{path}: went away while it was read ({error.strerror}); {then}")


def is_readable(path: Path, place: int) -> bool:
    """Whether the bytes from `place` on can be read."""
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(place)
            for _ in range(_MOST // _PIECE):
                if not file.read(_PIECE):
                    break
    except OSError:
        return False
    return True


@contextmanager
def lost_if_gone(path: Path) -> Iterator[None]:
    """Around what reads `path`: SourceLost in place of another InputError where nothing is there any more."""
    try:
        yield
    except SourceLost:
        raise
    except InputError as error:
        try:
            path.stat()
        except OSError as gone:
            raise lost(path, gone) from error
        raise
