"""A folder for temporary files of which nothing stays for good after a kill: the next one of its kind removes it.

Its owner has it locked, and the lock ends with the process, however that ends. POSIX only (flock).

    with scratch_folder("bench") as folder:
        work_in(folder)
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp

from vidrain import leftovers
from vidrain.outputs import written


@contextmanager
def scratch_folder(kind: str) -> Iterator[Path]:
    """A folder that is gone in the end; those of this `kind` go first whose owners were killed. Raises OutputError."""
    prefix = f"vidrain-{kind}-"
    _sweep(prefix)
    with written(Path(gettempdir())):
        folder, lock = _ours(prefix)
    leftovers.leave_nothing_of(folder, leftovers.always)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        leftovers.forget(folder)
        os.close(lock)


def _ours(prefix: str) -> tuple[Path, int]:
    """A new folder, and the descriptor that holds its lock."""
    while True:
        folder = Path(mkdtemp(prefix=prefix))
        lock = _locked(folder)
        if lock is not None:
            return folder, lock  # else another swept it away before we had the lock


def _sweep(prefix: str) -> None:
    """Remove what nobody works in any more, of this user alone."""
    for folder in Path(gettempdir()).glob(f"{prefix}*"):
        with suppress(OSError):
            if folder.lstat().st_uid != os.getuid() or (lock := _locked(folder)) is None:
                continue
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """A descriptor of the folder that holds its lock; None where another does, or it is gone, or is none."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), folder.stat()):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
