"""Claims on outputs: one owner at a time, whatever happens to the owners, and never a half-made or lost file."""

import errno
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from vidrain.errors import BusyError, OutputError, UsageError
from vidrain.naming import beside
from vidrain.outputs import Claim, claimed, publish_all, put, refuse_clashes

HOLD = """
import sys
from pathlib import Path
from vidrain.outputs import claimed
with claimed(Path(sys.argv[1]), force=False) as claim:
    claim.partial.write_bytes(b"half of it")
    print("held", flush=True)
    sys.stdin.read()
"""
# A superuser may write anywhere; without this capability the bits of a folder hold for it as for anybody.
WITHOUT_PRIVILEGE = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)
os.execv(sys.executable, [sys.executable, "-c", *sys.argv[1:]])
"""
ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def held_elsewhere(target: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that has claimed `target`; it lets go when its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(target)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        try:
            yield process
        finally:
            process.kill()


def test_published_file_gets_its_name_and_nothing_else_stays(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with claimed(target, force=False) as claim:
        assert claim.partial.parent == tmp_path
        assert claim.partial.suffix == ".mp4"
        claim.partial.write_bytes(b"done")
        assert not target.exists()
        claim.publish()
        assert target.read_bytes() == b"done"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_failed_is_removed(error: type[BaseException], tmp_path: Path) -> None:
    with pytest.raises(error), claimed(tmp_path / "out.mp4", force=False) as claim:
        claim.partial.write_bytes(b"half of it")
        raise error
    assert list(tmp_path.iterdir()) == []


def test_what_was_not_published_is_removed(tmp_path: Path) -> None:
    with claimed(tmp_path / "out.mp4", force=False) as claim:
        claim.partial.write_bytes(b"all of it")
    assert list(tmp_path.iterdir()) == []


def test_existing_file_is_kept_without_force(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    with pytest.raises(OutputError, match=r"exists already; use --force"), claimed(target, force=False):
        raise AssertionError("was claimed")
    assert target.read_bytes() == b"precious"
    assert list(tmp_path.iterdir()) == [target]


def test_forced_file_is_replaced_only_when_done(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"older")
    with claimed(target, force=True) as claim:
        claim.partial.write_bytes(b"newer")
        assert target.read_bytes() == b"older"
    assert target.read_bytes() == b"older"
    with claimed(target, force=True) as claim:
        claim.partial.write_bytes(b"newer")
        claim.publish()
    assert target.read_bytes() == b"newer"


@pytest.mark.parametrize("force", [False, True])
def test_folder_is_no_target(force: bool, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder"), claimed(tmp_path, force=force):
        raise AssertionError("was claimed")


@pytest.mark.parametrize("missing", ["no/such/out.mp4", "file/out.mp4"])
def test_missing_folder(missing: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(OutputError, match=r"does not exist; create it|cannot be written there"),
        claimed(tmp_path / missing, force=False),
    ):
        raise AssertionError("was claimed")


def test_other_process_at_work_means_busy(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with held_elsewhere(target) as holder:
        with pytest.raises(BusyError, match="another vidrain is writing it"), claimed(target, force=True):
            raise AssertionError("was claimed")
        (partial,) = tmp_path.iterdir()
        assert partial.read_bytes() == b"half of it"
        holder.communicate()
    with claimed(target, force=False) as claim:
        claim.publish()
    assert list(tmp_path.iterdir()) == [target]


def test_partial_file_of_a_killed_process_is_taken_over(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with held_elsewhere(target) as holder:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    (left,) = tmp_path.iterdir()
    with claimed(target, force=False) as claim:
        assert claim.partial == left
        claim.partial.write_bytes(b"done")
        claim.publish()
    assert list(tmp_path.iterdir()) == [target]
    assert target.read_bytes() == b"done"


@pytest.mark.parametrize("publishes", [True, False])
def test_lock_on_a_file_that_its_owner_just_gave_up_does_not_count(
    publishes: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other run ends between our open and our lock: we would hold, and at last remove, its finished file."""
    target = tmp_path / "out.mp4"
    other = ExitStack()
    first = other.enter_context(claimed(target, force=False))
    first.partial.write_bytes(b"first")

    def other_ends() -> None:
        if publishes:
            first.publish()
        other.close()

    monkeypatch.setattr(fcntl, "flock", once_before(fcntl.flock, other_ends))
    with claimed(target, force=True) as second:
        assert second.partial.read_bytes() == b""
        if publishes:
            assert not second.partial.samefile(target)
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([b"first"] if publishes else [])


def once_before(function: Callable[..., None], event: Callable[[], None]) -> Callable[..., None]:
    """`function`, with `event` happening before its first call."""
    waiting = [event]

    def call(*arguments: int) -> None:
        while waiting:
            waiting.pop()()
        function(*arguments)

    return call


def test_target_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with pytest.raises(OutputError, match="appeared while this ran; it is kept"), claimed(target, force=False) as claim:
        claim.partial.write_bytes(b"ours")
        target.write_bytes(b"theirs")
        claim.publish()
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("late", [0, 1])
def test_outputs_are_published_together_or_not_at_all(late: int, tmp_path: Path) -> None:
    targets = [tmp_path / "clean.mp4", tmp_path / "rain.mp4"]
    with ExitStack() as stack, pytest.raises(OutputError, match="appeared"):
        claims = [stack.enter_context(claimed(target, force=False)) for target in targets]
        targets[late].write_bytes(b"theirs")
        publish_all(claims)
    assert list(tmp_path.iterdir()) == [targets[late]]
    assert targets[late].read_bytes() == b"theirs"
    with ExitStack() as stack:
        claims = [stack.enter_context(claimed(target, force=True)) for target in targets]
        publish_all(claims)
    assert sorted(tmp_path.iterdir()) == targets


def test_what_has_its_name_already_is_named_when_the_next_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two renames are not one: a disk that goes away between them leaves the first, and it is said."""
    clean, rain = tmp_path / "clean.mp4", tmp_path / "rain.mp4"
    publish = Claim.publish

    def gone(claim: Claim) -> None:
        if claim.target == rain:
            raise OutputError(f"{rain}: cannot be written (Input/output error)")
        publish(claim)

    monkeypatch.setattr(Claim, "publish", gone)
    with ExitStack() as stack, pytest.raises(OutputError, match=r"rain\.mp4: .*; in place already: .*clean\.mp4$"):
        publish_all([stack.enter_context(claimed(target, force=False)) for target in (clean, rain)])
    assert list(tmp_path.iterdir()) == [clean]


@pytest.mark.parametrize("alias", ["same", "dots", "symlink", "hardlink", "through a linked folder"])
def test_source_under_any_name_is_no_target(alias: str, tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / "alias.mp4"
    source.write_bytes(b"precious")
    (tmp_path / "x").mkdir()
    if alias == "symlink":
        target.symlink_to(source)
    elif alias == "hardlink":
        target.hardlink_to(source)
    elif alias == "through a linked folder":
        (tmp_path / "y").symlink_to(tmp_path)
        target = tmp_path / "y" / "in.mp4"
    else:
        target = source if alias == "same" else tmp_path / "x" / ".." / "in.mp4"
    with pytest.raises(UsageError, match="is the source"):
        refuse_clashes(source, [tmp_path / "other.mp4", target])


def test_outputs_with_one_name_clash(tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    source.write_bytes(b"")
    (tmp_path / "x").mkdir()
    refuse_clashes(source, [tmp_path / "a.mp4", tmp_path / "b.mp4"])
    with pytest.raises(UsageError, match="is another output"):
        refuse_clashes(source, [tmp_path / "a.mp4", tmp_path / "x" / ".." / "a.mp4"])


@pytest.mark.parametrize("length", [200, 236, 251, 255])
def test_any_name_that_a_file_can_have(length: int, tmp_path: Path) -> None:
    """The partial file has a longer name than the target, which may have the longest there is."""
    target = tmp_path / ("ü" * ((length - 4) // 2) + "x" * (length % 2) + ".mp4")
    assert len(os.fsencode(target.name)) == length
    with claimed(target, force=False) as claim:
        claim.partial.write_bytes(b"done")
        claim.publish()
    assert list(tmp_path.iterdir()) == [target]


def test_longest_names_do_not_share_a_partial_file(tmp_path: Path) -> None:
    a, b = (tmp_path / ("x" * 250 + end + ".mp4") for end in "ab")
    with claimed(a, force=False) as first, claimed(b, force=False) as second:
        assert first.partial != second.partial


def test_name_too_long_for_a_file(tmp_path: Path) -> None:
    source, target = tmp_path / "in.mp4", tmp_path / ("x" * 300 + ".mp4")
    source.write_bytes(b"")
    with pytest.raises(OutputError, match="cannot be written there"):
        refuse_clashes(source, [target])
    with pytest.raises(OutputError, match="cannot be written there"), claimed(target, force=True):
        raise AssertionError("was claimed")
    assert list(tmp_path.iterdir()) == [source]


def test_folder_that_takes_no_files(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    folder.chmod(0o555)
    result = subprocess.run(
        [sys.executable, "-c", WITHOUT_PRIVILEGE, HOLD, str(folder / "out.mp4")],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.stdout == ""
    assert "OutputError" in result.stderr
    assert "Permission denied" in result.stderr
    assert list(folder.iterdir()) == []


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    target = tmp_path / "none" / "out.mp4"
    with pytest.raises(OutputError, match=r"the folder .*none does not exist; create it"), claimed(target, force=False):
        pass


@pytest.mark.parametrize("letter", ["x", "\N{LATIN SMALL LETTER U WITH DIAERESIS}", "\udcff"])
@pytest.mark.parametrize("length", [3, 120, 241, 242, 243, 251])
def test_a_name_beside_a_source_is_always_one(letter: str, length: int, tmp_path: Path) -> None:
    stem = letter * (length // len(os.fsencode(letter)))
    found, other = (beside(tmp_path / f"{stem}{end}.mp4", ".preview.html") for end in ("", "y"))
    found.touch()
    assert found != other
    assert found.name.endswith(".preview.html")
    if len(os.fsencode(stem)) <= 242:
        assert found.name == f"{stem}.preview.html"


@pytest.mark.fault(31)
@pytest.mark.parametrize("content", [b"", b"the other one's"])
def test_what_another_host_writes_stays_when_we_find_it_busy(content: bytes, tmp_path: Path) -> None:
    """Locks may not reach from host to host: the lease tells, when the file is open already."""
    with pytest.raises(BusyError), claimed(tmp_path / "out.mp4", force=False) as claim:
        claim.partial.write_bytes(content)
        raise BusyError("a run on elsewhere")
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([content] if content else [])


@pytest.mark.fault(31)
def test_who_was_taken_for_dead_writes_into_a_file_of_its_own(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    with claimed(target, force=False) as claim:
        partial = claim.partial
    with partial.open("wb", buffering=0) as other:
        other.write(b"half")
        with claimed(target, force=False) as claim:
            claim.partial.write_bytes(b"whole")
            other.write(b"and more, for it woke up")
            assert claim.partial.read_bytes() == b"whole"
            claim.publish()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"whole"]


def test_what_cannot_be_put_down_leaves_nothing(tmp_path: Path) -> None:
    """A folder in its place is to whoever writes it what a full disk is."""
    (tmp_path / "it").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        put(tmp_path / "it", b"all of it")
    assert list(tmp_path.iterdir()) == [tmp_path / "it"]


@pytest.mark.fault(28)
@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_one_line(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NFS whose lock service does not answer, Lustre that was mounted without flock: nobody writes unlocked."""

    def refused(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", refused)
    said = r"out.mp4: no locks are to be had there \(.*\); .* or choose another -o$"
    with pytest.raises(OutputError, match=said), claimed(tmp_path / "out.mp4", force=False):
        raise AssertionError("nobody holds it")
    assert list(tmp_path.iterdir()) == []
