"""Who is at work on something: a lock that beats, so that two never are, on one host or on several.

The lock of a process ends with it, however that ends: a dead one on this host is taken over at once. Not every shared
file system hands locks from host to host. For those the holder beats; while its beat is fresh it counts as alive.

    with leased(Path("out.mp4.vidrain/lease"), Path("out.mp4")):
        work()
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from vidrain import leftovers
from vidrain.errors import BusyError, OutputError
from vidrain.outputs import held, written

LEASE_S = 60.0  # without a beat, after which a holder on another host, whose lock we may not see, counts as dead
_BEAT_S = 10.0
_MARGIN_S = 1.0  # clocks of file systems are coarse


class Owner(NamedTuple):
    """A process of some host."""

    host: str
    pid: int


@contextmanager
def leased(lease: Path, target: Path) -> Iterator[None]:
    """Hold the file `lease` for as long as this process works on `target`; it is gone in the end.

    BusyError where another process holds it, or one on another host did so less than `LEASE_S` ago; OutputError where
    the file cannot be written.
    """
    with held(lease, target) as descriptor:
        _refuse_elsewhere(lease, target)
        with written(lease):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_ourselves()._asdict()).encode(), 0)

        def is_held() -> bool:
            return _is_at(descriptor, lease) and is_ours(lease)

        leftovers.files[lease] = is_held
        over = threading.Event()
        beat = threading.Thread(target=_beat, args=(lease, over), name="vidrain-lease", daemon=True)
        beat.start()
        try:
            yield
        finally:
            over.set()
            beat.join()
            del leftovers.files[lease]
            if is_held():
                lease.unlink(missing_ok=True)


def is_ours(lease: Path) -> bool:
    """Whether it is still this process that holds `lease`."""
    return owner_of(lease) == _ourselves()


def refuse_lost(lease: Path, target: Path) -> None:
    """Before what is done under `lease` is put down: BusyError where our beats came too late and another has it now.

    OutputError where it is gone, and what lay beside it perhaps.
    """
    if (owner := owner_of(lease)) is None:
        raise OutputError(f"{target}: {lease} went away while this ran; give the same command again")
    if not is_ours(lease):
        raise BusyError(
            f"{target}: gave no sign of life for {LEASE_S:.0f} s, process {owner.pid} on {owner.host} has taken it "
            "over; wait for that, or choose another -o"
        )


def _ourselves() -> Owner:
    return Owner(socket.gethostname(), os.getpid())


def refuse_held(lease: Path, target: Path) -> None:
    """BusyError where somebody is at work under `lease`, for one who does other work on `target`."""
    owner = owner_of(lease)
    if owner is not None and owner.host == socket.gethostname() and _is_locked(lease):
        raise BusyError(f"{target}: process {owner.pid} is writing it; wait for it, or choose another -o")
    _refuse_elsewhere(lease, target)


def _refuse_elsewhere(lease: Path, target: Path) -> None:
    owner = owner_of(lease)
    if owner is None or owner.host == socket.gethostname() or (age := _age(lease)) >= LEASE_S:
        return
    raise BusyError(
        f"{target}: a run on {owner.host} (process {owner.pid}) was alive {age:.0f} s ago; wait for it, or "
        f"{LEASE_S:.0f} s if it is dead",
        free_in_s=LEASE_S - age + _MARGIN_S,
    )


def holder_of(lease: Path) -> Owner | None:
    """Who is at work under `lease`, as far as this host can tell; None where nobody is."""
    owner = owner_of(lease)
    if owner is None:
        return None
    is_alive = _is_locked(lease) if owner.host == socket.gethostname() else _age(lease) < LEASE_S
    return owner if is_alive else None


def owner_of(lease: Path) -> Owner | None:
    """Who holds `lease`, or did when it was killed; None where the last one went in order."""
    try:
        found = json.loads(lease.read_bytes())
        return Owner(str(found["host"]), int(found["pid"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def _is_locked(lease: Path) -> bool:
    """Whether a process of this host has the lock."""
    try:
        descriptor = os.open(lease, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no locks are to be had there, and nobody holds one
        return False
    finally:
        os.close(descriptor)
    return False


def _age(lease: Path) -> float:
    """Seconds since its last beat, by the clock of the file system, which made that; by ours where we may not write."""
    probe = lease.with_name(f".now-{socket.gethostname()}-{os.getpid()}")
    try:
        beaten = lease.stat().st_mtime
    except FileNotFoundError:
        return LEASE_S
    try:
        probe.touch()
        return probe.stat().st_mtime - beaten
    except OSError:
        return time.time() - beaten
    finally:
        with suppress(OSError):
            probe.unlink()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False


def _beat(lease: Path, over: threading.Event) -> None:
    while not over.wait(_BEAT_S):
        try:
            os.utime(lease)
        except FileNotFoundError:  # it is not ours any more: whoever writes there next says so
            return
        except OSError:  # a share that does not answer may do so the next time
            continue
