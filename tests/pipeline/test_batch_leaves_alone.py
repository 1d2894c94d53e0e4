"""What a batch leaves alone: files that are not its own, room on the disk, a folder in which another is at work."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest

from tests.batches import CHEAP, INLINE, written
from tests.pipeline.conftest import Vidrain
from vidrain.batch.journal import FOLDER, Journal, id_of
from vidrain.batch.processes import log_of


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.proves("batch run --force")
def test_files_that_no_batch_made_stay_without_force(card: Path, out: Path, vidrain: Vidrain) -> None:
    out.mkdir()
    (out / "a.mp4").write_text("mine")
    ran = vidrain("batch", "run", card / "a.mp4", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP)
    assert ran.code == 1
    assert (out / "a.mp4").read_text() == "mine"
    assert "a.mp4: exists already and is none of this batch, or was changed since; use --force to replace it" in ran.err
    before = written(out)["b.MP4"]
    forced = vidrain("batch", "run", card / "a.mp4", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP, "--force")
    assert forced.code == 0
    assert (out / "a.mp4").read_bytes()[4:8] == b"ftyp"
    assert written(out)["b.MP4"] == before, "--force does nothing again that is done"


@pytest.mark.proves("batch run --force")
def test_an_output_that_was_changed_stays_though_its_size_is_the_same(card: Path, out: Path, vidrain: Vidrain) -> None:
    run = ("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP)
    assert vidrain(*run).code == 0
    made = bytearray((out / "a.mp4").read_bytes())
    made[-1] ^= 1
    (out / "a.mp4").write_bytes(made)
    for settings in ((), ("--crf", "30")):
        ran = vidrain(*run, *settings)
        assert (ran.code, (out / "a.mp4").read_bytes()) == (1, bytes(made))
        assert "a.mp4: exists already and is none of this batch, or was changed since; use --force" in ran.err
    assert vidrain(*run, "--force").code == 0


@pytest.mark.proves("batch retry")
def test_a_retry_does_not_inherit_force(card: Path, out: Path, vidrain: Vidrain) -> None:
    """It was said of what stood there when that run began; what came there since nobody gave up."""
    assert vidrain("batch", "run", card / "text.mp4", "-o", out, *INLINE, *CHEAP, "--force").code == 1
    (out / "text.mp4").write_text("mine")
    (card / "text.mp4").write_bytes((card / "a.mp4").read_bytes())
    ran = vidrain("batch", "retry", out)
    assert (ran.code, (out / "text.mp4").read_text()) == (1, "mine")
    assert "text.mp4: exists already and is none of this batch, or was changed since" in ran.err
    (out / "text.mp4").unlink()
    assert vidrain("batch", "retry", out).code == 0


@pytest.mark.fault(27)
@pytest.mark.proves("batch run --min-free")
def test_it_stops_before_the_disk_is_full_and_goes_on_later(card: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP, "--min-free", "1e12")
    assert (ran.code, written(out)) == (5, {})
    assert "make room, and the same command goes on" in ran.err.splitlines()[-1]
    assert vidrain("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP).code == 0


@pytest.mark.parametrize("room", ["nan", "-1"])
def test_room_that_cannot_stay_free_is_refused(room: str, card: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("batch", "run", card / "a.mp4", "-o", out, *INLINE, "--min-free", room)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert f"--min-free {room}: allowed: megabytes, 0 or more" in ran.err


@pytest.mark.fault(31)
def test_a_second_run_on_the_same_folder_is_busy(card: Path, out: Path, vidrain: Vidrain) -> None:
    (out / FOLDER).mkdir(parents=True)
    with (out / FOLDER / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    assert (ran.code, ran.err.count("\n"), written(out)) == (6, 1, {})
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP).code == 1


@pytest.mark.fault(25)
def test_a_kill_between_the_file_and_its_record_costs_one_file_and_no_question(
    card: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output has its name, the journal does not know: it is of our making all the same, and made again."""
    note = Journal.note

    def killed(journal: Journal, record: dict[str, Any]) -> None:
        if record["state"] == "done":
            raise KeyboardInterrupt
        note(journal, record)

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", killed)
        vidrain("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP)
    before = written(out)
    assert list(before) == ["a.mp4"]
    assert vidrain("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP).code == 0
    assert written(out)["a.mp4"] > before["a.mp4"]


@pytest.mark.fault(25)
@pytest.mark.proves("batch run")
@pytest.mark.parametrize("moment", ["before it had its name", "before its record"])
def test_a_file_of_the_user_in_place_of_one_that_was_begun_stays(
    moment: str, card: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A batch is killed within a file; somebody puts his own there, of the same size even; the batch goes on."""
    state = "begun" if moment == "before it had its name" else "done"
    note = Journal.note

    def killed(journal: Journal, record: dict[str, Any]) -> None:
        if state == "begun":
            note(journal, record)
        if record["state"] == state:
            raise KeyboardInterrupt
        note(journal, record)

    run = ("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", killed)
        assert vidrain(*run).code == 130
    made = out / "a.mp4"
    assert made.exists() == (state == "done")
    mine = made.read_bytes() if made.exists() else b"mine"
    made.unlink(missing_ok=True)
    made.write_bytes(mine)
    before = written(out)
    ran = vidrain(*run)
    assert (ran.code, written(out)) == (1, before)
    assert "a.mp4: exists already and is none of this batch, or was changed since; use --force to replace it" in ran.err
    made.unlink()
    assert vidrain(*run).code == 0


@pytest.mark.proves("batch run")
def test_a_file_that_appears_while_others_run_stays(
    card: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in place of one that was ours when the batch looked at its files, hours ago."""
    run = ("batch", "run", card / "a.mp4", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP)
    assert vidrain(*run).code == 0
    note = Journal.note
    put: list[str] = []

    def meanwhile(journal: Journal, record: dict[str, Any]) -> None:
        note(journal, record)
        if record["state"] == "done" and not put:
            other = ({"a.mp4", "b.MP4"} - {record["output"]}).pop()
            put.append(other)
            (out / other).write_text("mine")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", meanwhile)
        ran = vidrain(*run, "--crf", "30")
    assert (ran.code, (out / put[0]).read_text()) == (1, "mine")
    assert f"{put[0]}: exists already" in ran.err
    (out / put[0]).unlink()
    assert vidrain(*run, "--crf", "30").code == 0, "what failed for that is tried again"
    assert not list((out / FOLDER / "receipts").iterdir())


@pytest.mark.fault(25)
def test_what_stands_in_the_journal_folder_costs_no_record(card: Path, out: Path, vidrain: Vidrain) -> None:
    """The file is done, and noted, whatever becomes of the log that it does not need."""
    (log_of(id_of("a.mp4"), out / FOLDER / "logs") / "mine").mkdir(parents=True)
    run = ("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP)
    ran = vidrain(*run)
    assert ran.code == 0, ran.err
    assert Journal(out).last["a.mp4"]["state"] == "done"


@pytest.mark.parametrize("command", ["run", "status", "retry"])
def test_a_journal_that_cannot_be_read_is_one_line(command: str, card: Path, out: Path, vidrain: Vidrain) -> None:
    (out / FOLDER / "journal").mkdir(parents=True)
    ran = vidrain("batch", command, *([card, "-o"] if command == "run" else []), out)
    assert (ran.code, ran.err.count("\n")) == (5, 1)
    assert f"{out / FOLDER / 'journal'}: cannot be read (Is a directory); check its rights" in ran.err


def test_a_name_that_no_file_could_have_is_the_fault_of_its_file_alone(card: Path, out: Path, vidrain: Vidrain) -> None:
    (card / "jobs.csv").write_text(f"input,output\na.mp4,{300 * 'x'}.mp4\nsub/b.MP4,\n")
    ran = vidrain("batch", "run", card / "jobs.csv", "-o", out, *INLINE, *CHEAP, "--json")
    assert (ran.code, list(written(out))) == (1, ["sub/b.MP4"])
    (end,) = ran.events[-1]["troubles"]
    assert (end["code"], "File name too long" in end["cause"]) == (5, True)
