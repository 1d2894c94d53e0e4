"""Where results go: one process at a time, nothing half-made under a final name, nothing overwritten unasked.

A target is claimed by locking a partial file beside it. The lock ends with the process, however it ends, so a
partial file left by a kill is simply taken over. POSIX only (flock). Knows nothing of video.

    with claimed(Path("out.mp4"), force=False) as claim:
        write(claim.partial)
        claim.publish()
"""

import fcntl
import json
import os
import shutil
import stat
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vidrain import leftovers
from vidrain.errors import BusyError, OutputError, UsageError
from vidrain.fingerprint import fingerprint, named_in
from vidrain.naming import LONGEST_NAME, partial_of

_LOCK = ".lock"  # of a folder that fills; holds the mark of its kind
_past_return: set[Path] = set()  # targets of this process that have, or are about to get, their final name
_receipts: list[Path] = []  # where it is put down, the last one counts, which files get names


class Claim:
    """One target that this process alone may write; `partial` is where to write it."""

    def __init__(self, target: Path, partial: Path, *, force: bool, ours: list[int] | None = None) -> None:
        self.target, self.partial, self._force, self._ours = target, partial, force, ours

    def write(self, content: bytes) -> None:
        """Write all of the partial file; OutputError where there is no room."""
        with written(self.target):
            self.partial.write_bytes(content)

    def make_ready(self) -> None:
        """Put the finished partial file on the disk; OutputError if it could not get its final name."""
        if _found(self.target) is not None and not self._force and fingerprint(self.target) != self._ours:
            raise OutputError(f"{self.target}: appeared while this ran; it is kept, use --force to replace it")
        with written(self.target):
            sync(self.partial)

    def publish(self) -> None:
        """Give the finished partial file its final name, durably; replaces an older file in one step."""
        self.make_ready()
        with written(self.target):
            self.partial.replace(self.target)
            sync(self.target.parent)


@contextmanager
def written(target: Path) -> Iterator[None]:
    """Around what writes `target`: a failure of the system, such as a full disk, is an OutputError of one line."""
    try:
        yield
    except OSError as error:
        why = error.strerror or " ".join(str(error).split())
        raise OutputError(f"{target}: cannot be written ({why}); check space and rights") from error


def publish_all(claims: Collection[Claim], note: Callable[[], None] = lambda: None) -> None:
    """Publish what belongs together, one after the other, after making sure that each can be, and a `note` of it.

    An OutputError in the middle names what has its name already.
    """
    for claim in claims:
        claim.make_ready()
    _past_return.update(claim.target for claim in claims)
    if _receipts:
        before = named_in(_receipts[-1])  # by a try that was killed, as this one may be before its own have names
        names = {str(each.target): (each, before.get(str(each.target), ())) for each in claims}
        found = {
            name: [fingerprint(each.partial), *(there for there in ours if there == fingerprint(each.target))]
            for name, (each, ours) in names.items()
        }
        put(_receipts[-1], json.dumps(found).encode())
    note()
    done: list[str] = []
    for claim in claims:
        try:
            claim.publish()
        except OutputError as error:
            if not done:
                raise
            raise OutputError(f"{error}; in place already: {', '.join(done)}") from error
        done.append(str(claim.target))


@contextmanager
def receipt(path: Path) -> Iterator[None]:
    """Put down at `path` what outputs get their names within, just before: for `named_in`."""
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    _receipts.append(path)
    try:
        yield
    finally:
        _receipts.remove(path)


def is_past_return() -> bool:
    """Whether outputs of the job at hand are getting their names, or have: from here on an interrupt comes too late."""
    return bool(_past_return)


def count_as_returned(target: Path) -> None:
    """What there was to do for `target` is done, without a name that it gets: an interrupt comes too late."""
    _past_return.add(target)


def refuse_clashes(source: Path, targets: Iterable[Path], named: str = "the source") -> None:
    """Refuse targets that are the source or each other, under whatever name; UsageError. named: what the source is."""
    origin = _found(source)
    seen = {source.resolve(): named}
    for target in targets:
        for path in (target, partial_of(target)):
            found = _found(path)
            same = found is not None and origin is not None and os.path.samestat(found, origin)
            other = named if same else seen.get(path.resolve())
            if other is not None:
                written = "" if path == target else f", written as {path.name} at first,"
                raise UsageError(f"{target}{written} is {other}; every output needs a name of its own")
            seen[path.resolve()] = "another output"


def refuse_within(source: Path, folder: Path) -> None:
    """Refuse a folder to be written that holds the source, which would go with an older folder; UsageError."""
    if folder.resolve() in source.resolve().parents:
        raise UsageError(f"{folder}: holds {source}, which is read; choose another -o")


@contextmanager
def claimed(target: Path, *, force: bool, ours: list[int] | None = None) -> Iterator[Claim]:
    """Claim `target`; what was not published is removed at the end, but for what another host may have written there.

    Raises OutputError where the target exists (without `force`, and its `fingerprint` is not `ours`) or its folder
    takes no file, BusyError where another process holds the claim.
    """
    found = _found(target)
    if found is not None and stat.S_ISDIR(found.st_mode):
        raise OutputError(f"{target}: is a folder; name the file to write")
    if found is not None and not force and fingerprint(target) != ours:
        raise OutputError(f"{target}: exists already; use --force to replace it, or another -o")
    partial = partial_of(target)
    lock = _locked(partial, target)
    if os.fstat(lock).st_size:  # who was taken for dead may write on: not into ours
        partial.unlink(missing_ok=True)
        os.close(lock)
        lock = _locked(partial, target)
    _past_return.clear()  # a new job
    leftovers.files[partial] = lambda: _same_file(lock, partial)
    is_theirs = False
    try:
        yield Claim(target, partial, force=force, ours=ours)
    except BusyError:
        is_theirs = os.fstat(lock).st_size > 0
        raise
    finally:
        if not is_theirs and _same_file(lock, partial):
            partial.unlink(missing_ok=True)
        del leftovers.files[partial]
        os.close(lock)


class FolderClaim:
    """One folder that this process alone may fill; `partial` is where, until it is finished.

    mark: a file that every finished folder of this kind holds: JSON that says what made it.
    """

    def __init__(self, target: Path, *, mark: str, force: bool) -> None:
        self.target, self.partial = target, partial_of(target, suffix="")
        self._mark, self._force = mark, force
        self.is_published = False

    def refuse_taken(self) -> None:
        """OutputError where something stands at the target that may not be replaced."""
        found = _found(self.target)
        if found is None:
            return
        is_folder = stat.S_ISDIR(found.st_mode)
        is_ours = is_folder and self._is_marked(self.target)
        with written(self.target):
            is_free = is_folder and not any(self.target.iterdir())
        if not (is_free or (is_ours and self._force)):
            advice = "use --force to replace it, or another -o" if is_ours else "choose another -o"
            raise OutputError(f"{self.target}: exists already; {advice}")

    def refuse_begun(self, kind: str) -> None:
        """Make room where work of another `kind` was begun, if that was asked for, else OutputError; "" is no work."""
        if not kind and any(item.name != _LOCK for item in self.partial.iterdir()):
            raise OutputError(f"{self.partial}: is no work of vidrain; move it away, or choose another -o")
        if kind and not self._force:
            raise OutputError(
                f"{self.target}: something else was begun there ({self.partial.name}); finish it with its own command, "
                "use --force to drop it, or choose another -o"
            )
        self.clear()

    def clear(self) -> None:
        """Drop what was begun."""
        for item in self.partial.iterdir():
            if item.is_dir() and not item.is_symlink():
                shutil.rmtree(item)
            elif item.name != _LOCK:
                item.unlink()

    def discard(self) -> None:
        """Drop what was begun, and the partial folder with it; done by the time that the claim ends."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def publish(self) -> None:
        """Give the finished folder its final name; an older one of its kind is replaced, if that was asked for.

        What came to stand there meanwhile is kept, and so is the partial folder then: OutputError.
        """
        self.refuse_taken()
        _past_return.add(self.target)
        with written(self.target):
            if self._is_marked(self.target):
                self._move_aside()
            self.partial.rename(self.target)  # onto nothing or an empty folder: the system refuses all else
            self.is_published = True
            self.target.joinpath(_LOCK).unlink(missing_ok=True)
            sync(self.target.parent)
            self._remove_old()

    def _is_marked(self, folder: Path) -> bool:
        return _is_ours(folder.joinpath(self._mark))

    @property
    def _old(self) -> Path:
        return self.partial.with_name(f"{self.partial.name}.old")

    def _move_aside(self) -> None:
        self._remove_old()
        self.target.rename(self._old)
        if not self._is_marked(self._old):  # it was replaced since we looked
            self._old.rename(self.target)
            raise OutputError(f"{self.target}: appeared while this ran; it is kept, choose another -o")

    def _remove_old(self) -> None:
        """Also what a kill left there."""
        if self._is_marked(self._old):
            shutil.rmtree(self._old, ignore_errors=True)


@contextmanager
def claimed_folder(target: Path, *, force: bool, mark: str) -> Iterator[FolderClaim]:
    """Claim a folder that fills bit by bit: what is in it stays when the work is broken off, to go on from.

    mark: a file that every finished folder of this kind holds, a JSON object with `v` and `made_by`; only such a one is
    replaced with `force`. A link is followed. Raises OutputError where something else stands there or work of another
    kind was begun, BusyError where another process fills it.
    """
    _found(target)  # refuses a name that cannot be
    claim = FolderClaim(target.resolve() if _leads_elsewhere(target) else target, mark=mark, force=force)
    claim.refuse_taken()
    try:
        claim.partial.mkdir(exist_ok=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    lock = _locked(claim.partial / _LOCK, target)
    _past_return.clear()
    try:
        with written(target):
            begun = os.pread(lock, LONGEST_NAME, 0).decode(errors="replace")
            if begun != mark:
                claim.refuse_begun(begun)
                os.ftruncate(lock, 0)
                os.pwrite(lock, mark.encode(), 0)
        yield claim
    finally:
        os.close(lock)


@contextmanager
def held(lock: Path, target: Path) -> Iterator[int]:
    """Hold `lock`, a file that stays, for as long as this process works on `target`; yields its descriptor.

    BusyError where another process holds it; that of a dead one is free.
    """
    descriptor = _locked(lock, target)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def forget_return() -> None:
    """The outputs that have their names belong to a part of the job that is over: an interrupt counts again."""
    _past_return.clear()


@contextmanager
def fresh_folder(target: Path, *, force: bool, mark: str) -> Iterator[FolderClaim]:
    """Claim a folder that is filled in one go: it begins empty, and what was not published is removed at the end."""
    with claimed_folder(target, force=force, mark=mark) as claim:
        leftovers.leave_nothing_of(claim.partial, leftovers.always)
        try:
            claim.clear()
            yield claim
        finally:
            if not claim.is_published:
                claim.discard()
            leftovers.forget(claim.partial)


def _is_ours(mark: Path) -> bool:
    """Whether a mark says that vidrain made its folder: others call files of theirs manifest.json too."""
    try:
        found = json.loads(mark.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(found, dict) and isinstance(found.get("v"), int) and _is_line(found.get("made_by"))


def _is_line(made_by: object) -> bool:
    """Whether it is a line of `provenance`: version, model, weights, config."""
    return isinstance(made_by, str) and " weights=" in made_by and " config=" in made_by


def _leads_elsewhere(target: Path) -> bool:
    """Whether a target is a link, or a name such as `.`, beside which nothing can be put."""
    return target.is_symlink() or target.name in ("", "..")


def _found(target: Path) -> os.stat_result | None:
    """What stands at `target`, or None; OutputError for a name that no file could have."""
    try:
        return target.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _unwritable(target, error) from error


def _unwritable(target: Path, error: OSError) -> OutputError:
    if isinstance(error, FileNotFoundError) and not target.parent.exists():
        return OutputError(f"{target}: the folder {target.parent} does not exist; create it, or choose another -o")
    return OutputError(f"{target}: cannot be written there ({error.strerror}); choose another -o")


def _locked(partial: Path, target: Path) -> int:
    """An open descriptor of `partial` that holds its lock."""
    while True:
        try:
            descriptor = os.open(partial, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise _unwritable(target, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            raise BusyError(f"{target}: another vidrain is writing it; wait for it, or choose another -o") from None
        except OSError as error:  # NFS whose lock service does not answer, Lustre that was mounted without flock
            if not os.fstat(descriptor).st_size:
                partial.unlink(missing_ok=True)
            os.close(descriptor)
            why = f"no locks are to be had there ({error.strerror}); mount it with them (flock), or choose another -o"
            raise OutputError(f"{target}: {why}") from error
        if _same_file(descriptor, partial):
            return descriptor
        os.close(descriptor)  # its owner published or removed it between our two calls: it is no longer the lock


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def sync(path: Path) -> None:
    """Write what the system still holds of a file or folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(path: Path, content: bytes) -> None:
    """All of a file at once: whoever reads it meanwhile, or after a kill, finds the old or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    with written(path):
        try:
            fresh.write_bytes(content)
            sync(fresh)
            fresh.replace(path)
        except OSError:
            with suppress(OSError):
                fresh.unlink()
            raise
        sync(path.parent)
