"""The journal of a batch: what it says after any cut, any flipped bit, and who may write into it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.batch.journal import FOLDER, Journal, receipt_of
from vidrain.errors import BusyError, OutputError
from vidrain.outputs import claimed, publish_all, receipt

ROOT = Path(__file__).resolve().parents[2]


def record(output: str, state: str = "done", key: str = "k", **more: Any) -> dict[str, Any]:
    return {"output": output, "state": state, "key": key, "files": {output: 3}} | more


def filled(out: Path, *records: dict[str, Any]) -> Journal:
    journal = Journal(out)
    with journal.alone():
        journal.begin()
        for each in records:
            journal.note(each)
    return journal


THREE = (record("a.mp4"), record("b.mp4", "failed", files={}), record("c.mp4", cause="ü \udcff\n"))


def test_what_was_noted_is_known_to_the_next_run(tmp_path: Path) -> None:
    filled(tmp_path, *THREE)
    assert list(Journal(tmp_path).last.values()) == list(THREE)


def test_a_journal_cut_anywhere_keeps_its_whole_lines_and_goes_on(tmp_path: Path) -> None:
    """Power fails at any byte: the lines before it count, and the next one is not spoiled by what is left."""
    filled(tmp_path, *THREE)
    lines = tmp_path / FOLDER / "journal"
    content = lines.read_bytes()
    for cut in range(len(content) + 1):
        lines.write_bytes(content[:cut])
        whole = content[:cut].count(b"\n")
        assert len(Journal(tmp_path).last) == whole
        filled(tmp_path, record("d.mp4"))
        again = Journal(tmp_path)
        assert list(again.last) == [each["output"] for each in (*THREE[:whole], record("d.mp4"))]
        assert again.broken == 0


@given(where=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_costs_its_line_alone(where: int, bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("journal")
    filled(out, *THREE)
    lines = out / FOLDER / "journal"
    content = bytearray(lines.read_bytes())
    content[where % len(content)] ^= 1 << bit
    lines.write_bytes(content)
    found = Journal(out)
    lost = [each["output"] for each in THREE if found.last.get(each["output"]) != each]
    assert 1 <= len(lost) <= 2  # two where the line break between them is gone
    assert found.broken >= 1


def test_done_means_the_same_key_and_every_file_as_it_was_left(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"abc")
    journal = filled(tmp_path, record("a.mp4"))
    assert journal.is_done("a.mp4", "k")
    assert not journal.is_done("a.mp4", "other")
    assert not journal.is_done("b.mp4", "k")
    (tmp_path / "a.mp4").write_bytes(b"abcd")
    assert not journal.is_done("a.mp4", "k")
    (tmp_path / "a.mp4").unlink()
    assert not journal.is_done("a.mp4", "k")


def left(out: Path, name: str) -> dict[str, Any]:
    """The record of a file as it lies there."""
    return record(name, changed={name: (out / name).stat().st_mtime_ns})


def test_a_file_of_the_same_size_that_was_changed_is_neither_done_nor_ours(tmp_path: Path) -> None:
    """Also after --fresh; of a record without the time of change the size alone is known."""
    for name in ("a.mp4", "old.mp4"):
        (tmp_path / name).write_bytes(b"abc")
    journal = filled(tmp_path, left(tmp_path, "a.mp4"), record("old.mp4"))
    assert [(journal.is_done(name, "k"), journal.is_ours(name)) for name in ("a.mp4", "old.mp4")] == 2 * [(True, True)]
    for name in ("a.mp4", "old.mp4"):
        rewritten(tmp_path / name, b"abd")
    assert [journal.is_done(name, "k") for name in ("a.mp4", "old.mp4")] == [False, True]
    with journal.alone():
        journal.forget(("a.mp4", "old.mp4"))
    assert [journal.is_ours(name) for name in ("a.mp4", "old.mp4")] == [False, True]


def rewritten(path: Path, content: bytes) -> None:
    """Later, as far as the clock of the file system tells."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before + 1_500_000, before + 1_500_000))


@pytest.mark.parametrize("grain", [1, 100, 1_000, 10_000_000, 1_000_000_000, 2_000_000_000])
def test_a_folder_that_was_copied_with_its_times_is_ours(grain: int, tmp_path: Path) -> None:
    """Another inode, and a file system that rounds times down; a copy without times counts as changed."""
    (tmp_path / "a.mp4").write_bytes(b"abc")
    made = 1_790_000_003_987_654_321
    os.utime(tmp_path / "a.mp4", ns=(made, made))
    filled(tmp_path, left(tmp_path, "a.mp4"))
    copy = shutil.copytree(tmp_path, tmp_path / "copy")
    os.utime(copy / "a.mp4", ns=(made, made // grain * grain))
    assert (Journal(copy).is_done("a.mp4", "k"), Journal(copy).is_ours("a.mp4")) == (True, True)
    (copy / "a.mp4").touch()
    assert (Journal(copy).is_done("a.mp4", "k"), Journal(copy).is_ours("a.mp4")) == (False, False)


def test_what_was_made_stays_so_whatever_is_noted_behind_it(tmp_path: Path) -> None:
    """A share was away for a run, or one with other settings was stopped: what lies there lies there still."""
    (tmp_path / "a.mp4").write_bytes(b"abc")
    made, later = record("a.mp4"), [record("a.mp4", state, "other", files={}) for state in ("begun", "failed")]
    journal = filled(tmp_path, made, *later)
    assert [journal.is_done("a.mp4", key) for key in ("k", "other")] == [True, False]
    journal = filled(tmp_path, record("a.mp4", "begun", "other"))
    assert journal.is_done("a.mp4", "k")
    given_name(tmp_path, "a.mp4")
    assert not journal.is_done("a.mp4", "k"), "what the other run made has the same size"
    assert not filled(tmp_path, record("a.mp4", key="other")).is_done("a.mp4", "k")


def test_ours_is_what_a_batch_left_or_may_have_left(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4", "c.mp4"):
        (tmp_path / name).write_bytes(b"abc")
    begun = record("b.mp4", "begun")
    journal = filled(tmp_path, record("a.mp4"), begun)
    assert [journal.is_ours(name) for name in ("a.mp4", "b.mp4", "c.mp4")] == [True, False, False]
    given_name(tmp_path, "b.mp4")
    assert [journal.is_ours(name) for name in ("a.mp4", "b.mp4", "c.mp4")] == [True, True, False]
    (tmp_path / "b.mp4").write_bytes(b"ABC")
    assert not journal.is_ours("b.mp4"), "it was begun, but this is another file"
    given_name(tmp_path, "b.mp4")
    (tmp_path / "a.mp4").write_bytes(b"of somebody else")
    assert not journal.is_ours("a.mp4")
    failed = record("b.mp4", "failed", files={})
    assert filled(tmp_path, failed).is_ours("b.mp4"), "the try before the one that failed gave it its name"
    (tmp_path / "b.mp4").write_bytes(b"ABC")
    assert not Journal(tmp_path).is_ours("b.mp4")


def given_name(out: Path, name: str, killed: Callable[[], None] = lambda: None) -> None:
    """Publish a file as the task of a batch does, of which the journal then hears nothing. killed: just before."""
    with receipt(receipt_of(out, name)), claimed(out.absolute() / name, force=True) as claim:
        claim.write(b"abc")
        publish_all([claim], killed)


def test_what_a_try_named_that_was_killed_stays_ours_when_the_next_is_killed_before_it_names_any(
    tmp_path: Path,
) -> None:
    journal = filled(tmp_path, record("a.mp4", "begun"))
    given_name(tmp_path, "a.mp4")

    def killed() -> None:
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            given_name(tmp_path, "a.mp4", killed)
        assert journal.is_ours("a.mp4")
    (tmp_path / "a.mp4").write_bytes(b"of somebody else")
    with pytest.raises(KeyboardInterrupt):
        given_name(tmp_path, "a.mp4", killed)
    assert not journal.is_ours("a.mp4")


def test_forgetting_keeps_what_is_ours(tmp_path: Path) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"abc")
    journal = filled(tmp_path, record("a.mp4"), record("b.mp4", "begun"), record("c.mp4", "failed", files={}))
    given_name(tmp_path, "b.mp4")
    with journal.alone():
        journal.forget({"a.mp4", "b.mp4", "c.mp4"})
    for found in (journal, Journal(tmp_path)):
        assert found.last == {}
        assert [found.is_ours(name) for name in ("a.mp4", "b.mp4")] == [True, True]


def test_forgetting_some_leaves_the_others_as_they_were(tmp_path: Path) -> None:
    names = ("a.mp4", "b.mp4", "c.mp4", "d.mp4")
    for name in names:
        (tmp_path / name).write_bytes(b"abc")
    journal = filled(
        tmp_path,
        record("a.mp4"),
        record("b.mp4"),
        record("b.mp4", "begun", "other"),
        record("c.mp4", "begun"),
        THREE[1],
    )
    given_name(tmp_path, "c.mp4")
    before = Journal(tmp_path)
    with journal.alone():
        journal.forget({"a.mp4"})
        journal.forget({"a.mp4"})
    for found in (journal, Journal(tmp_path)):
        assert found.last == {name: before.last[name] for name in ("b.mp4", "c.mp4")}
        assert (found.made.keys(), found.is_done("a.mp4", "k")) == ({"b.mp4"}, False)
        assert [found.is_ours(name) for name in names] == [True, True, True, False]
    with journal.alone():
        journal.forget({"b.mp4", "c.mp4"})
    assert [Journal(tmp_path).is_ours(name) for name in names] == [True, True, True, False]


def test_a_run_that_was_taken_over_puts_nothing_more_down(tmp_path: Path) -> None:
    """It was suspended, and one on another host, which does not see its lock, took its lease: what that noted stays."""
    suspended = Journal(tmp_path)
    with suspended.alone():
        suspended.begin()
        suspended.note(record("a.mp4"))
        other, lock = Journal(tmp_path), tmp_path / FOLDER / "lock"
        ours = lock.read_text()
        other.note(record("b.mp4"))
        lock.write_text('{"host": "elsewhere", "pid": 7}')
        puts = (
            lambda: suspended.note(record("c.mp4")),
            lambda: suspended.keep_plan({"v": 1}),
            lambda: suspended.forget(()),
        )
        for put_down in (*puts, suspended.begin):
            with pytest.raises(BusyError, match="process 7 on elsewhere has taken it over"):
                put_down()
        assert list(Journal(tmp_path).last) == ["a.mp4", "b.mp4"]
        assert Journal(tmp_path).plan() is None
        lock.write_text(ours)


def test_no_room_for_a_line_leaves_none_of_it(tmp_path: Path) -> None:
    """A disk that is full within a line: what is there stays readable, and the next line is whole."""
    limited = f"""
import resource, sys
sys.path.insert(0, {str(ROOT)!r})
from pathlib import Path
from vidrain.batch.journal import Journal
from vidrain.errors import BusyError, OutputError
import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path(sys.argv[1]))
with journal.alone():
    journal.begin()
    journal.note({record("a.mp4")!r})
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, resource.RLIM_INFINITY))
    try:
        journal.note({record("b.mp4")!r})
    except OutputError as error:
        print(error)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    journal.note({record("c.mp4")!r})
"""
    done = subprocess.run([sys.executable, "-c", limited, tmp_path], capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert list(Journal(tmp_path).last) == ["a.mp4", "c.mp4"]
    assert Journal(tmp_path).broken == 0


def test_a_plan_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    assert journal.plan() is None
    with journal.alone():
        journal.keep_plan({"v": 1})
    assert journal.plan() == {"v": 1}
    (tmp_path / FOLDER / "plan.json").write_text("{")
    with pytest.raises(OutputError, match="give the whole `batch run` command again"):
        journal.plan()
