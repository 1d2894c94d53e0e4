"""Leases: one holder at a time, a dead one taken over at once on its host, and after its last beat on another."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier, Thread

import pytest

from vidrain.batch.journal import FOLDER, Journal
from vidrain.errors import BusyError, OutputError
from vidrain.lease import LEASE_S, holder_of, leased, owner_of, refuse_held, refuse_lost
from vidrain.leftovers import abandon
from vidrain.outputs import claimed
from vidrain.segments.folder import folder_of, unfinished

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from vidrain.leftovers import abandon
from vidrain.lease import leased
with leased(Path(sys.argv[1]), Path("out")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lease(tmp_path: Path) -> Path:
    return tmp_path / "lease"


def held_elsewhere(lease: Path) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, lease], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


@pytest.mark.fault(31)
def test_one_at_a_time_and_a_dead_one_is_taken_over_at_once(lease: Path) -> None:
    with held_elsewhere(lease) as holder:
        owner = holder_of(lease)
        assert owner is not None
        assert owner.pid == holder.pid
        with pytest.raises(BusyError, match="another vidrain is writing it"), leased(lease, Path("out")):
            pytest.fail("two hold one lease")
        with pytest.raises(BusyError, match=f"process {holder.pid} is writing it"):
            refuse_held(lease, Path("out"))
        holder.kill()
        holder.wait()
        assert owner_of(lease) == owner, "it was killed: its lease still lies there"
        assert holder_of(lease) is None
        refuse_held(lease, Path("out"))
        with leased(lease, Path("out")):
            pass
        assert not lease.exists()


def of_another_host(lease: Path, age: float) -> None:
    lease.parent.mkdir(parents=True, exist_ok=True)
    lease.write_text(json.dumps({"host": "elsewhere", "pid": 7}))
    os.utime(lease, (time.time() - age,) * 2)


@contextmanager
def cleaning(target: Path) -> Iterator[None]:
    with unfinished(target) as work:
        work.begin({}, total=1, threads=1, fresh=False)
        yield


Work = Callable[[Path], AbstractContextManager[None]]
WORKS: dict[str, tuple[Work, Callable[[Path], Path]]] = {
    "lease": (lambda out: leased(out, out), lambda out: out),
    "batch": (lambda out: Journal(out).alone(), lambda out: out / FOLDER / "lock"),
    "clean": (cleaning, lambda out: folder_of(out) / "lease"),
}


@pytest.mark.fault(31)
@pytest.mark.parametrize("name", WORKS)
@pytest.mark.parametrize(("age", "is_busy"), [(0, True), (LEASE_S / 2, True), (LEASE_S * 1.5, False)])
def test_one_of_another_host_counts_while_it_beats(age: float, is_busy: bool, name: str, tmp_path: Path) -> None:
    """Not every shared file system hands locks from host to host."""
    work, place = WORKS[name]
    out = tmp_path / "out"
    lease = place(out)
    of_another_host(lease, age)
    assert (holder_of(lease) is not None) == is_busy
    if is_busy:
        with pytest.raises(BusyError, match=r"a run on elsewhere \(process 7\) was alive"), work(out):
            pytest.fail("two hold one lease")
        with pytest.raises(BusyError, match=r"a run on elsewhere"):
            refuse_held(lease, out)
        assert owner_of(lease) == ("elsewhere", 7)
    else:
        with work(out):
            owner = owner_of(lease)
            assert owner is not None
            assert owner.pid == os.getpid()
    assert [path for path in lease.parent.glob(".now*")] == []


def test_it_beats(lease: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrain.lease._BEAT_S", 0.02)
    with leased(lease, Path("out")):
        os.utime(lease, (1, 1))
        until = time.monotonic() + 10
        while lease.stat().st_mtime < 100:
            assert time.monotonic() < until
            time.sleep(0.01)


def test_never_two_however_often_they_come_and_go(lease: Path) -> None:
    """Whoever ends takes the file away: who has opened it just before must not take that for the lease."""
    inside, most, got = [0], [0], [0]
    together = Barrier(4)

    def come_and_go() -> None:
        together.wait()
        while got[0] < 100:
            with suppress(BusyError), leased(lease, Path("out")):
                inside[0] += 1
                most[0], got[0] = max(most[0], inside[0]), got[0] + 1
                time.sleep(0.002)
                inside[0] -= 1

    threads = [Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] == 1


def test_a_beat_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share that does not answer for a moment: its folder is no folder then."""
    monkeypatch.setattr("vidrain.lease._BEAT_S", 0.02)
    folder = tmp_path / "folder"
    folder.mkdir()
    with leased(folder / "lease", Path("out")):
        folder.rename(tmp_path / "away")
        folder.touch()
        time.sleep(0.2)
        folder.unlink()
        (tmp_path / "away").rename(folder)
        os.utime(folder / "lease", (1, 1))
        until = time.monotonic() + 10
        while (folder / "lease").stat().st_mtime < 100:
            assert time.monotonic() < until
            time.sleep(0.01)


@pytest.mark.fault(31)
@pytest.mark.parametrize(("age", "is_alive"), [(0, True), (LEASE_S * 1.5, False)])
def test_who_may_only_read_is_told_who_is_at_work(age: float, is_alive: bool) -> None:
    """Root may write everywhere, so another user asks where root runs the tests."""
    user = os.geteuid()
    with TemporaryDirectory() as name:
        lease = Path(name) / "lease"
        of_another_host(lease, age)
        Path(name).chmod(0o555)
        if user == 0:
            os.seteuid(65534)
        try:
            assert (holder_of(lease) is not None) == is_alive
        finally:
            os.seteuid(user)
            Path(name).chmod(0o755)


@pytest.mark.fault(31)
def test_a_lease_that_another_took_over_is_left_to_it(lease: Path) -> None:
    with leased(lease, Path("out")):
        refuse_lost(lease, Path("out"))
        of_another_host(lease, 0)
        with pytest.raises(BusyError, match="process 7 on elsewhere has taken it over"):
            refuse_lost(lease, Path("out"))
    assert owner_of(lease) == ("elsewhere", 7)
    with leased(lease.with_name("other"), Path("out")):
        lease.with_name("other").unlink()
        with pytest.raises(OutputError, match="went away"):
            refuse_lost(lease.with_name("other"), Path("out"))


@pytest.mark.fault(31)
@pytest.mark.parametrize("is_lost", [False, True])
def test_an_end_without_unwinding_leaves_alone_what_another_took_over(is_lost: bool, tmp_path: Path) -> None:
    """Before the first segment is finished, when all would go; the other has files of its own under the same names."""
    out = tmp_path / "out.mp4"
    folder = folder_of(out)
    with suppress(BusyError), claimed(out, force=False) as claim, unfinished(out) as work:
        work.begin({}, total=1, threads=1, fresh=False)
        half = work.open_path(0, 0, "clean")
        half.touch()
        if is_lost:
            of_another_host(folder / "lease", 0)
            (folder / "0-00000.clean").touch()
            claim.partial.unlink()
            claim.partial.touch()
        before = {path for path in tmp_path.rglob("*") if path != half}
        abandon()
        assert set(tmp_path.rglob("*")) == (before if is_lost else set())


def test_what_others_take_away_meanwhile_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that finds us busy looked at the clock of the file system, a task has ended: both remove files of theirs."""
    folder, unlink = folder_of(tmp_path / "out.mp4"), Path.unlink
    folder.mkdir()
    theirs = [folder / ".now-elsewhere-7", folder / "0-00001.lease"]
    for path in theirs:
        path.touch()

    def late(path: Path, missing_ok: bool = False) -> None:
        for other in theirs:
            unlink(other, missing_ok=True)
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", late)
    with cleaning(tmp_path / "out.mp4"):
        assert {path.name for path in folder.iterdir()} == {"lease", "plan.json"}


def test_a_folder_goes_though_its_lease_is_open_till_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on NFS: who removes a file that is open there finds it under another name until it is closed."""
    folder, unlink, close = folder_of(tmp_path / "out.mp4"), os.unlink, os.close

    def renamed(path: str | Path, *, dir_fd: int | None = None) -> None:
        if Path(path).name == "lease":
            os.rename(path, ".nfs0123", src_dir_fd=dir_fd, dst_dir_fd=dir_fd)
        else:
            unlink(path, dir_fd=dir_fd)

    def closed(descriptor: int) -> None:
        close(descriptor)
        with suppress(FileNotFoundError):
            unlink(folder / ".nfs0123")

    with monkeypatch.context() as patch:
        with cleaning(tmp_path / "out.mp4"):
            patch.setattr(os, "unlink", renamed)
            lock = (folder / "lease").stat().st_ino
            patch.setattr(os, "close", lambda fd: closed(fd) if os.fstat(fd).st_ino == lock else close(fd))
        assert list(tmp_path.iterdir()) == []
