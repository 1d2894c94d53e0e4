"""Claims on outputs: one owner at a time, whatever happens to the owners, and never a half-made or lost file."""

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
from vidrain.outputs import (
    Claim,
    FolderClaim,
    abandon,
    beside,
    claimed,
    claimed_folder,
    fresh_folder,
    publish_all,
    refuse_clashes,
)

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


def test_folder_stays_until_it_is_published(tmp_path: Path) -> None:
    target = tmp_path / "out.zarr"
    with pytest.raises(ValueError, match="stop"), claimed_folder(target, force=False, mark="done") as claim:
        (claim.partial / "a").write_text("1")
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == [".out.zarr.partial"]
    with claimed_folder(target, force=False, mark="done") as claim:
        assert (claim.partial / "a").read_text() == "1"
        (claim.partial / "done").touch()
        claim.publish()
    assert {path.name for path in target.iterdir()} == {"a", "done"}
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_folder_is_filled_by_one_process_alone(tmp_path: Path) -> None:
    folder = tmp_path / "out"
    first, second = claimed_folder(folder, force=False, mark="done"), claimed_folder(folder, force=True, mark="done")
    with first, pytest.raises(BusyError), second:
        pass


def test_only_a_folder_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    target = tmp_path / "out"
    target.mkdir()
    with claimed_folder(target, force=False, mark="done"):  # empty: nothing to lose
        pass
    (target / "letter").touch()
    for force in (False, True):
        with pytest.raises(OutputError, match="choose another"), claimed_folder(target, force=force, mark="done"):
            pass
    (target / "done").touch()
    with pytest.raises(OutputError, match="--force"), claimed_folder(target, force=False, mark="done"):
        pass
    with claimed_folder(target, force=True, mark="done") as claim:
        (claim.partial / "new").touch()
        claim.publish()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def finished(claim: FolderClaim, content: str = "new") -> None:
    """Fill the folder as a job does at its end."""
    (claim.partial / "done").touch()
    (claim.partial / content).touch()


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_appears_at_the_folder_meanwhile_is_kept(kind: str, force: bool, tmp_path: Path) -> None:
    """So is what was made: it goes on once the place is free."""
    target = tmp_path / "out"
    with claimed_folder(target, force=force, mark="done") as claim:
        finished(claim)
        if kind == "folder":
            target.mkdir()
            (target / "thesis").write_text("precious")
        else:
            target.write_text("precious")
        with pytest.raises(OutputError, match="exists already; choose another -o"):
            claim.publish()
    kept = target / "thesis" if kind == "folder" else target
    assert kept.read_text() == "precious"
    assert (tmp_path / ".out.partial" / "new").exists()
    kept.unlink()
    with claimed_folder(target, force=False, mark="done") as claim:
        claim.publish()
    assert {path.name for path in target.iterdir()} == {"done", "new"}


def test_a_folder_of_the_kind_that_appears_meanwhile_is_replaced_only_if_asked(tmp_path: Path) -> None:
    target = tmp_path / "out"
    with claimed_folder(target, force=False, mark="done") as claim:
        finished(claim)
        target.mkdir()
        (target / "done").write_text("of another run")
        with pytest.raises(OutputError, match="use --force"):
            claim.publish()
    assert (target / "done").read_text() == "of another run"
    with claimed_folder(target, force=True, mark="done") as claim:
        claim.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (target / "done").read_text() == ""


def test_what_takes_the_place_of_an_older_folder_in_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the folder and its move."""
    target, look = tmp_path / "out", FolderClaim.refuse_taken
    target.mkdir()
    (target / "done").touch()

    def late(claim: FolderClaim) -> None:
        look(claim)
        (target / "done").rename(target / "thesis")
        monkeypatch.setattr(FolderClaim, "_is_marked", lambda claim, folder: folder == target or marked(claim, folder))

    marked = FolderClaim._is_marked
    with claimed_folder(target, force=True, mark="done") as claim:
        finished(claim)
        monkeypatch.setattr(FolderClaim, "refuse_taken", late)
        with pytest.raises(OutputError, match="appeared while this ran"):
            claim.publish()
    assert [path.name for path in target.iterdir()] == ["thesis"]


def test_an_older_folder_that_a_kill_left_aside_is_no_hindrance(tmp_path: Path) -> None:
    target, aside = tmp_path / "out", tmp_path / ".out.partial.old"
    for folder in (target, aside):
        folder.mkdir()
        (folder / "done").touch()
    with claimed_folder(target, force=True, mark="done") as claim:
        finished(claim)
        claim.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_begun_work_of_another_kind_is_kept(tmp_path: Path) -> None:
    target, partial = tmp_path / "out", tmp_path / ".out.partial"
    with claimed_folder(target, force=False, mark="done") as claim:
        (claim.partial / "hours").touch()
    for kind in (claimed_folder, fresh_folder):
        with pytest.raises(OutputError, match="something else was begun there"), kind(target, force=False, mark="x"):
            raise AssertionError("was claimed")
    assert (partial / "hours").exists()
    with claimed_folder(target, force=False, mark="done") as claim:
        assert (claim.partial / "hours").exists()
    with fresh_folder(target, force=True, mark="x") as claim:
        assert [path.name for path in partial.iterdir()] == [".lock"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("force", [False, True])
def test_a_foreign_folder_of_the_name_of_a_partial_one_is_kept(force: bool, tmp_path: Path) -> None:
    partial = tmp_path / ".out.partial"
    partial.mkdir()
    (partial / "letter").touch()
    with (
        pytest.raises(OutputError, match="is no work of vidrain"),
        claimed_folder(tmp_path / "out", force=force, mark="done"),
    ):
        raise AssertionError("was claimed")
    assert (partial / "letter").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_folder_filled_in_one_go_begins_empty_and_leaves_nothing(error: type[BaseException], tmp_path: Path) -> None:
    target = tmp_path / "out"
    with claimed_folder(target, force=False, mark="done") as claim:
        (claim.partial / "half").touch()  # as after a kill
    with pytest.raises(error), fresh_folder(target, force=False, mark="done") as claim:
        assert [path.name for path in claim.partial.iterdir()] == [".lock"]
        (claim.partial / "half").touch()
        raise error
    assert list(tmp_path.iterdir()) == []
    with fresh_folder(target, force=False, mark="done") as claim:
        finished(claim)
        claim.publish()
    assert {path.name for path in target.iterdir()} == {"done", "new"}


def test_a_folder_filled_in_one_go_is_removed_by_a_hard_end_too(tmp_path: Path) -> None:
    with fresh_folder(tmp_path / "out", force=False, mark="done") as claim:
        (claim.partial / "half").touch()
        abandon()
        assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["older", "empty", "nothing"])
def test_a_link_to_a_folder_stays_one(there: str, tmp_path: Path) -> None:
    """As where results lie on another disk; the partial folder then grows there too."""
    disk = tmp_path / "disk"
    disk.mkdir()
    link, real = tmp_path / "out", disk / "real"
    link.symlink_to(real)
    if there != "nothing":
        real.mkdir()
    if there == "older":
        (real / "done").touch()
    for _ in range(2):
        with claimed_folder(link, force=True, mark="done") as claim:
            assert claim.partial.parent == disk
            finished(claim)
            claim.publish()
        assert link.is_symlink()
        assert {path.name for path in link.iterdir()} == {"done", "new"}
        assert {path.name for path in tmp_path.rglob("*")} == {"disk", "out", "real", "done", "new"}


def test_the_folder_one_stands_in_may_be_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with claimed_folder(Path(), force=False, mark="done") as claim:
        finished(claim)
        claim.publish()
    assert {path.name for path in (tmp_path / "here").iterdir()} == {"done", "new"}


@pytest.mark.parametrize("rename", ["first", "second"])
def test_a_folder_that_cannot_be_renamed_keeps_its_work(
    rename: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, true = tmp_path / "out", Path.rename

    def failing(path: Path, other: Path) -> Path:
        if (path == target) == (rename == "first"):
            raise OSError(5, "Input/output error")
        return true(path, other)

    for content in ("older", "newer"):
        with claimed_folder(target, force=True, mark="done") as claim:
            finished(claim, content)
            if content == "newer":
                monkeypatch.setattr(Path, "rename", failing)
                with pytest.raises(OutputError, match="Input/output error"):
                    claim.publish()
                monkeypatch.undo()
            else:
                claim.publish()
    with claimed_folder(target, force=True, mark="done") as claim:
        assert (claim.partial / "newer").exists()
        claim.publish()
    assert {path.name for path in target.iterdir()} == {"done", "newer"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


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
