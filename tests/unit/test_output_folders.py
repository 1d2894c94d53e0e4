"""Claims on folders: what is begun goes on, what stands there is kept, whatever happens in between."""

import shutil
from pathlib import Path

import pytest

from vidrain import leftovers
from vidrain.errors import BusyError, OutputError
from vidrain.leftovers import abandon
from vidrain.outputs import FolderClaim, claimed_folder, fresh_folder

MARK = '{"v": 1, "made_by": "0.1.0 baseline weights=none config=5c1f0e8a9b7d"}'


def mark(path: Path) -> None:
    """What vidrain writes into a finished folder."""
    path.write_text(MARK)


def test_folder_stays_until_it_is_published(tmp_path: Path) -> None:
    target = tmp_path / "out.zarr"
    with pytest.raises(ValueError, match="stop"), claimed_folder(target, force=False, mark="done") as claim:
        (claim.partial / "a").write_text("1")
        raise ValueError("stop")
    assert [path.name for path in tmp_path.iterdir()] == [".out.zarr.partial"]
    with claimed_folder(target, force=False, mark="done") as claim:
        assert (claim.partial / "a").read_text() == "1"
        mark(claim.partial / "done")
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
    mark(target / "done")
    with pytest.raises(OutputError, match="--force"), claimed_folder(target, force=False, mark="done"):
        pass
    with claimed_folder(target, force=True, mark="done") as claim:
        (claim.partial / "new").touch()
        claim.publish()
    assert [path.name for path in target.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["manifest.json", "rain.json"])
@pytest.mark.parametrize(
    "content",
    [
        '{"name": "my app"}',
        "[]",
        "",
        "\xff",
        '{"v": 1}',
        '{"v": 1, "made_by": "me"}',
        f"[{MARK}]",
        "[" * 100_000,
        "a folder",
    ],
)
def test_a_folder_with_a_file_of_someone_else_under_our_name_is_kept(name: str, content: str, tmp_path: Path) -> None:
    """Web apps have a manifest.json too."""
    target, precious = tmp_path / "out", tmp_path / "out" / "precious.txt"
    target.mkdir()
    precious.write_text("precious")
    if content == "a folder":
        (target / name).mkdir()
    else:
        (target / name).write_text(content, encoding="latin-1")
    for kind in (claimed_folder, fresh_folder):
        for force in (False, True):
            with pytest.raises(OutputError, match="choose another"), kind(target, force=force, mark=name):
                raise AssertionError("was claimed")
    assert precious.read_text() == "precious"
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def finished(claim: FolderClaim, content: str = "new") -> None:
    """Fill the folder as a job does at its end."""
    mark(claim.partial / "done")
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
        of_another_run = MARK.replace("baseline", "gate-s")
        (target / "done").write_text(of_another_run)
        with pytest.raises(OutputError, match="use --force"):
            claim.publish()
    assert (target / "done").read_text() == of_another_run
    with claimed_folder(target, force=True, mark="done") as claim:
        claim.publish()
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (target / "done").read_text() == MARK


def test_what_takes_the_place_of_an_older_folder_in_the_last_moment_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the folder and its move."""
    target, look = tmp_path / "out", FolderClaim.refuse_taken
    target.mkdir()
    mark(target / "done")

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
        mark(folder / "done")
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
        mark(real / "done")
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


@pytest.mark.fault(25)
def test_a_lock_goes_behind_what_it_guards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who gets the lock while a process ends works in the same folder: nothing of it may vanish then."""
    lock, folder = tmp_path / "lock", tmp_path / "folder"
    lock.touch()
    folder.mkdir()
    monkeypatch.setattr(leftovers, "files", {lock: leftovers.always})
    monkeypatch.setattr(leftovers, "folders", {folder: leftovers.always})
    locked: list[bool] = []
    remove = shutil.rmtree

    def watched(path: Path, **options: bool) -> None:
        locked.append(lock.exists())
        remove(path, **options)

    monkeypatch.setattr(shutil, "rmtree", watched)
    abandon()
    assert locked == [True]
    assert list(tmp_path.iterdir()) == []


class Adding(type(Path())):  # type: ignore[misc]
    """A file that another thread follows with the next one while it is removed."""

    def unlink(self, missing_ok: bool = False) -> None:
        leftovers.files[self.with_name("next")] = leftovers.always
        super().unlink(missing_ok)


@pytest.mark.fault(25)
def test_leftovers_go_while_others_are_added_and_one_that_cannot_go_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread that ends a worker is not the one that works."""
    files = [Adding(tmp_path / name) for name in "abc"]
    for file in files:
        file.touch()
    (tmp_path / "folder").mkdir()  # cannot be removed as a file
    mine = dict.fromkeys([tmp_path / "folder", tmp_path / "gone", *files], leftovers.always)
    monkeypatch.setattr(leftovers, "files", mine)
    monkeypatch.setattr(leftovers, "folders", {})
    abandon()
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
