"""Where results go: one process at a time, nothing half-made under a final name, nothing overwritten unasked.

A target is claimed by locking a partial file beside it. The lock ends with the process, however it ends, so a
partial file left by a kill is simply taken over. POSIX only (flock). Knows nothing of video.

    with claimed(Path("out.mp4"), force=False) as claim:
        write(claim.partial)
        claim.publish()
"""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vidrain.errors import BusyError, OutputError, UsageError


class Claim:
    """One target that this process alone may write; `partial` is where to write it."""

    def __init__(self, target: Path, partial: Path, *, force: bool) -> None:
        self.target, self.partial, self._force = target, partial, force

    def publish(self) -> None:
        """Give the finished partial file its final name, durably; replaces an older file in one step."""
        if self.target.exists() and not self._force:
            raise OutputError(f"{self.target}: appeared while this ran; it is kept, use --force to replace it")
        try:
            _sync(self.partial)
            self.partial.replace(self.target)
            _sync(self.target.parent)
        except OSError as error:
            raise OutputError(f"{self.target}: cannot be written ({error.strerror}); check space and rights") from error


def refuse_clashes(source: Path, targets: Iterable[Path]) -> None:
    """Refuse targets that are the source or each other, under whatever name; UsageError."""
    seen = {source.resolve(): "the source"}
    for target in targets:
        same = target.exists() and source.exists() and target.samefile(source)
        other = "the source" if same else seen.get(target.resolve())
        if other is not None:
            raise UsageError(f"{target}: is {other}; every output needs a name of its own")
        seen[target.resolve()] = "another output"


@contextmanager
def claimed(target: Path, *, force: bool) -> Iterator[Claim]:
    """Claim `target`; what was not published is removed at the end.

    Raises OutputError where the target exists (without `force`) or its folder takes no file, BusyError where
    another process holds the claim.
    """
    if target.is_dir():
        raise OutputError(f"{target}: is a folder; name the file to write")
    if target.exists() and not force:
        raise OutputError(f"{target}: exists already; use --force to replace it, or another -o")
    partial = target.with_name(f".{target.name}.partial{target.suffix}")
    lock = _locked(partial, target)
    try:
        yield Claim(target, partial, force=force)
    finally:
        if _same_file(lock, partial):
            partial.unlink(missing_ok=True)
        os.close(lock)


def _locked(partial: Path, target: Path) -> int:
    """An open descriptor of `partial` that holds its lock."""
    while True:
        try:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise OutputError(f"{target}: cannot be written there ({error.strerror}); choose another -o") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BusyError(f"{target}: another vidrain is writing it; wait for it, or choose another -o") from None
        if _same_file(descriptor, partial):
            return descriptor
        os.close(descriptor)  # its owner published or removed it between our two calls: it is no longer the lock


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _sync(path: Path) -> None:
    """Write what the system still holds of a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
