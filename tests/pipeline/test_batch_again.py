"""A batch that is run again: what is done stays done, what a change touches or what failed runs again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests import ffmpeg_says
from tests.batches import CHEAP, INLINE, of, written
from tests.pipeline.conftest import LENGTH, Vidrain
from tests.pipeline.test_gate import constant_gate
from vidrain.batch.inputs import items_in
from vidrain.batch.journal import FOLDER, Journal
from vidrain.batch.options import BatchOptions
from vidrain.batch.plan import files_of
from vidrain.batch.run import run_batch
from vidrain.config import load_clean
from vidrain.errors import OutputError
from vidrain.events import BatchDone, BatchPlan, Event, FileEnd, FileNews, FileStart, Notice

QUICK = load_clean(None, CHEAP[:-2], {})


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def test_only_what_a_change_touches_runs_again(card: Path, out: Path, vidrain: Vidrain) -> None:
    manifest = card / "jobs.csv"

    def run(
        *arguments: str,
        rows: str = "a.mp4,\nsub/b.MP4,\n",
        model: tuple[str, str] = ("--model", "baseline"),
    ) -> list[str]:
        manifest.write_text(f"input,encode.crf\n{rows}")
        ran = vidrain("batch", "run", manifest, "-o", out, *INLINE, *CHEAP, "--json", *model, *arguments)
        assert ran.code == 0, ran.err
        return sorted(event["file"] for event in of(ran.events, "file_start"))

    assert run() == ["a.mp4", "sub/b.MP4"]
    assert run() == []
    assert run(model=("--preset", "fast")) == [], "the same model under another name"
    assert run("--device", "cpu", "--stall-s", "50") == []
    assert run("nlcl.statistics=live") == [], "of a model that is not used"
    assert run(rows="a.mp4,30\nsub/b.MP4,\n") == ["a.mp4"], "a setting of one file"
    assert run("--crf", "33", rows="a.mp4,30\nsub/b.MP4,\n") == ["a.mp4", "sub/b.MP4"], (
        "an option wins over the manifest"
    )
    assert run("--crf", "33", "--also", "rain") == ["a.mp4", "sub/b.MP4"]
    (out / "a.rain.mp4").unlink()
    assert run("--crf", "33", "--also", "rain") == ["a.mp4"], "one of its files is gone"
    os.utime(card / "a.mp4", (1, 1))
    assert run("--crf", "33", "--also", "rain") == ["a.mp4"], "another source"


def test_other_weights_are_another_model(card: Path, out: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    weights = tmp_path / "weights.safetensors"

    def run() -> int:
        ran = vidrain(
            *("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP[2:], "--json"),
            *("--model", "gate-s", "--weights", weights),
        )
        assert ran.code == 0, ran.err
        return len(of(ran.events, "file_start"))

    constant_gate(weights, "gate-s", 3.0)
    assert [run(), run()] == [1, 0]
    constant_gate(weights, "gate-s", -3.0)
    assert run() == 1, "the same name, other weights"


def failures(out: Path) -> list[str]:
    table = out / FOLDER / "failed.csv"
    return [row.split(",")[1] for row in table.read_text().splitlines()[1:]] if table.exists() else []


@pytest.mark.fault(34)
@pytest.mark.proves("batch run", "batch retry")
@pytest.mark.parametrize("command", ["run", "retry"])
def test_a_run_while_the_share_is_away_forgets_nothing(
    command: str, card: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    manifest, away = tmp_path / "jobs.csv", tmp_path / "away"
    manifest.write_text(f"input\n{card}/a.mp4\n{card}/sub/b.MP4\n")
    run = ("batch", "run", manifest, "-o", out, *INLINE, *CHEAP)
    assert vidrain(*run).code == 0
    before = written(out)
    card.rename(away)
    assert (vidrain(*run).code, failures(out)) == (1, ["a.mp4", "b.MP4"])
    away.rename(card)
    again = vidrain(*run, "--json") if command == "run" else vidrain("batch", "retry", out, "--json")
    assert (again.code, written(out), of(again.events, "file_start")) == (0, before, [])
    assert (vidrain("batch", "status", out).code, failures(out)) == (0, [])


@pytest.mark.fault(25)
@pytest.mark.proves("batch run")
def test_a_run_with_other_settings_that_is_stopped_forgets_nothing(
    card: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Journal.note

    def stopped(journal: Journal, record: dict[str, Any]) -> None:
        note(journal, record)
        raise KeyboardInterrupt

    run = ("batch", "run", card / "a.mp4", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP)
    assert vidrain(*run).code == 0
    before = written(out)
    with monkeypatch.context() as patch:
        patch.setattr(Journal, "note", stopped)
        assert vidrain(*run, "--crf", "30").code == 130
    again = vidrain(*run, "--json")
    assert (again.code, written(out), of(again.events, "file_start")) == (0, before, [])


@pytest.mark.proves("batch status", "batch retry")
def test_what_other_settings_came_to_is_not_what_is_asked_for_now(card: Path, out: Path, vidrain: Vidrain) -> None:
    """A run with others that had no room for one file: nothing of it is done, and nothing of it failed."""
    run = ("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    assert vidrain(*run).code == 1
    assert vidrain(*run, "--crf", "30", "--min-free", "1e12").code == 5
    asked = vidrain("batch", "status", out, "--json")
    facts = json.loads(asked.out)
    assert [facts[name] for name in ("done", "failed", "waiting", "troubles", "exit_code")] == [0, 0, 3, [], 4]
    assert asked.code == 4, "who waits for 0 must not take it for finished"
    ran = vidrain("batch", "retry", out, "--json")
    assert (ran.code, of(ran.events, "file_start")) == (4, [])
    assert vidrain(*run).code == 1
    facts = json.loads(vidrain("batch", "status", out, "--json").out)
    assert [facts[name] for name in ("done", "failed", "waiting")] == [2, 1, 0]


@pytest.mark.proves("batch run", "batch status", "batch retry")
def test_a_run_of_a_part_forgets_nothing_of_the_rest(card: Path, out: Path, vidrain: Vidrain) -> None:
    """The table of failures is a manifest: who runs it has to hear of all files of OUT all the same."""
    (card / "other.mp4").write_text("no video")
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--crf", "40").code == 1
    assert failures(out) == ["other.mp4", "text.mp4"]
    ran = vidrain("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP)
    assert (ran.code, failures(out)) == (0, ["other.mp4", "text.mp4"]), "its exit code is of its own files"
    assert "1 done, of 1 file," in ran.err
    status = vidrain("batch", "status", out)
    assert (status.code, "4 files: 2 done, 0 partial, 2 failed, 0 waiting" in status.out) == (1, True)
    for name in ("other.mp4", "text.mp4"):
        (card / name).write_bytes((card / "sub" / "b.MP4").read_bytes())
    (out / FOLDER / "failed.csv").write_text((out / FOLDER / "failed.csv").read_text().replace("text.mp4", "new.mp4"))
    (card / "text.mp4").rename(card / "new.mp4")
    assert vidrain("batch", "run", out / FOLDER / "failed.csv", "-o", out, *INLINE, *CHEAP).code == 0
    (card / "new.mp4").rename(card / "text.mp4")
    ran = vidrain("batch", "retry", out, "--json")
    assert (ran.code, [event["file"] for event in of(ran.events, "file_start")]) == (0, ["text.mp4"])
    assert (out / "text.mp4").read_bytes() == (out / "sub" / "b.MP4").read_bytes(), "each with its own settings"
    facts = json.loads(vidrain("batch", "status", out, "--json").out)
    assert [facts[name] for name in ("files", "done", "failed", "exit_code")] == [5, 5, 0, 0]


@pytest.mark.proves("batch run --fresh")
def test_fresh_names_what_it_forgets_and_does_all_again(card: Path, out: Path, vidrain: Vidrain) -> None:
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP).code == 1
    before = written(out)
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--fresh")
    what = f"what {out} knows of 3 files is discarded (2 done, 1 failed: a.mp4, text.mp4, sub/b.MP4)"
    assert f"note: --fresh: {what}; outputs stay until they are made again" in ran.err
    assert "2 done, 1 failed, of 3 files" in ran.err
    assert all(changed > before[name] for name, changed in written(out).items())


@pytest.mark.proves("batch run --fresh", "batch run --dry-run")
def test_fresh_forgets_the_files_that_are_named_and_no_others(card: Path, out: Path, vidrain: Vidrain) -> None:
    """The others are listed again, as what they are, by the next run that names them."""
    run = ("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    assert vidrain(*run).code == 1
    before = written(out)
    dry = vidrain(*run, "--fresh", "--dry-run")
    assert "3 of 3 files to do, 0 done before, 0 failed before" in dry.out
    assert "is discarded (2 done, 1 failed: a.mp4, text.mp4, sub/b.MP4)" in dry.err
    facts = json.loads(vidrain(*run, "--fresh", "--dry-run", "--json").out.splitlines()[-1])
    assert (facts["todo"], facts["done"]) == (3, 0)
    assert vidrain("batch", "status", out).code == 1, "nothing was forgotten yet"
    ran = vidrain("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP, "--fresh")
    what = f"what {out} knows of 1 file is discarded (1 done: a.mp4)"
    more = "2 files more leave its list until a run names them again (text.mp4, sub/b.MP4)"
    assert f"--fresh: {what}; {more}; outputs stay" in ran.err
    assert (ran.code, written(out)["a.mp4"] > before["a.mp4"]) == (0, True)
    assert "1 file: 1 done" in vidrain("batch", "status", out).out
    whole = vidrain(*run, "--json")
    assert (whole.code, of(whole.events, "file_start")) == (1, [])
    assert failures(out) == ["text.mp4"]


@pytest.mark.fault(25)
@pytest.mark.proves("batch run --fresh")
def test_fresh_is_told_before_anything_is_forgotten(card: Path, out: Path, vidrain: Vidrain) -> None:
    """And who is stopped is told how to go on: with it all would be forgotten once more."""
    run = ("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP)
    assert vidrain(*run).code == 0
    files = files_of(items_in([str(card / "a.mp4")], out), lambda own: load_clean(None, [*own, *CHEAP[:3]], {}), ())

    def stop(event: Event) -> None:
        assert isinstance(event, Notice) and event.code == "fresh"
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(files, out, BatchOptions(engine="inline"), mode="fresh", on_event=stop)
    assert list(Journal(out).last) == ["a.mp4"]
    ran = vidrain(*run, "--fresh", "--min-free", "1e12")
    assert ran.err.splitlines()[-1].endswith("the same command goes on, without --fresh")


@pytest.mark.fault(26)
@pytest.mark.fault(27)
@pytest.mark.proves("batch run")
@pytest.mark.parametrize("stop", ["a signal", "a full disk"])
def test_who_is_stopped_still_tells_what_failed(
    stop: str, card: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    note = Journal.note

    def stopped(journal: Journal, record: dict[str, Any]) -> None:
        if record["state"] == "done":
            raise KeyboardInterrupt if stop == "a signal" else OutputError("the journal: no space")
        note(journal, record)

    (card / "text.mp4").write_bytes(b"no video" * 100_000)  # the largest goes first
    monkeypatch.setattr(Journal, "note", stopped)
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    assert ran.code == (130 if stop == "a signal" else 5)
    row, counts, last = ran.err.splitlines()[-3:]
    assert row.startswith("vidrain: failed 3    text.mp4")
    assert "1 failed, 2 not run, of 3 files" in counts
    assert last.startswith("vidrain: interrupted; what is finished stays" if stop == "a signal" else "vidrain: the jou")
    assert failures(out) == ["text.mp4"]
    assert [path.name for path in (out / FOLDER).glob("*failed*")] == ["failed.csv"]


@pytest.mark.proves("batch status", "batch status OUT", "batch status --json")
@pytest.mark.proves("batch retry", "batch retry OUT", "batch retry --json")
def test_status_tells_what_failed_and_retry_runs_it_again(card: Path, out: Path, vidrain: Vidrain) -> None:
    for command in ("status", "retry"):
        none = vidrain("batch", command, out)
        assert (none.code, none.err.count("\n")) == (2, 1)
        assert "no batch was run there; begin with: vidrain batch run" in none.err
    vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--crf", "40")
    said = vidrain("batch", "status", out)
    assert said.code == 1
    assert f"failed    3 text.mp4: {card}/text.mp4: is no video file" in said.out
    assert "3 files: 2 done, 0 partial, 1 failed, 0 waiting" in said.out
    before = written(out)
    again = vidrain("batch", "retry", out, "--json")
    assert (again.code, [event["file"] for event in of(again.events, "file_start")]) == (1, ["text.mp4"]), "unchanged"
    (card / "text.mp4").write_bytes((card / "a.mp4").read_bytes())
    again = vidrain("batch", "retry", out, "--json")
    assert (again.code, [event["file"] for event in of(again.events, "file_start")]) == (0, ["text.mp4"])
    assert {name: written(out)[name] for name in before} == before
    assert (out / "text.mp4").read_bytes() == (out / "a.mp4").read_bytes(), "with the settings of the run"
    facts = json.loads(vidrain("batch", "status", out, "--json").out)
    assert [facts[name] for name in ("done", "failed", "waiting", "running", "exit_code")] == [3, 0, 0, None, 0]


def test_a_plan_of_another_version_is_told_in_one_line(card: Path, out: Path, vidrain: Vidrain) -> None:
    vidrain("batch", "run", card / "text.mp4", "-o", out, *INLINE)
    file = out / FOLDER / "plan.json"
    plan = json.loads(file.read_text())
    file.write_text(json.dumps(plan | {"version": "9.1", "options": plan["options"] | {"unheard_of": 1}}))
    for command in ("status", "retry"):
        ran = vidrain("batch", command, out)
        assert (ran.code, ran.err.count("\n")) == (2, 1), ran
        assert "of vidrain 9.1, this is" in ran.err and "give the whole `batch run` command again" in ran.err
    assert vidrain("batch", "run", card / "text.mp4", "-o", out, *INLINE).code == 1


@pytest.mark.proves("batch retry")
def test_a_retry_knows_of_the_partial_files_of_the_run(
    samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    film, card = tmp_path / "whole.mkv", tmp_path / "card"
    card.mkdir()
    ffmpeg_says.quietly("-i", samples / "street.mp4", "-t", "0.6", "-an", "-c:v", "mjpeg", film)
    (card / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    (card / "other.mkv").write_text("no video")
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP).code == 1
    (card / "other.mkv").write_bytes(film.read_bytes())
    assert vidrain("batch", "retry", out).code == 4
    assert vidrain("batch", "status", out).code == 4


@pytest.mark.proves("batch retry")
def test_a_retry_names_the_files_that_are_not_finished(card: Path, out: Path, vidrain: Vidrain) -> None:
    """A script that waits for 0 must not take the batch for finished."""
    text, largest = card / "text.mp4", b"no video" * 100_000
    text.write_bytes(largest)  # the largest goes first
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--stop-at-first").code == 1
    text.write_bytes((card / "a.mp4").read_bytes())
    ran = vidrain("batch", "retry", out)
    assert ran.code == 4
    assert "2 files are not finished yet (a.mp4, sub/b.MP4); the same `batch run` command goes on" in ran.err
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP).code == 0
    ran = vidrain("batch", "retry", out)
    assert (ran.code, "not finished yet" in ran.err) == (0, False)
    assert f"{out}: no file failed, there is nothing to try again" in ran.err


@pytest.mark.fault(26)
@pytest.mark.usefixtures("short_segments")
def test_who_is_stopped_hears_how_much_is_kept(clip: Path, out: Path) -> None:
    """Of a file that had begun; one that had not is not run."""
    files = files_of(items_in([str(clip), str(clip.with_name("street.mp4"))], out), lambda _: QUICK, ())
    told: list[Event] = []

    def stop(event: Event) -> None:
        told.append(event)
        if isinstance(event, FileNews) and event.event == "progress" and event.fields["frames"] > 2 * LENGTH:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_batch(files, out, BatchOptions(engine="inline"), on_event=stop)
    done = told[-1]
    assert isinstance(done, BatchDone)
    ((output, (frames, total)),) = done.kept.items()
    run_batch(
        [file for file in files if file.output == output], out, BatchOptions(engine="inline"), on_event=told.append
    )
    resumed = next(event for event in told if isinstance(event, FileNews) and event.event == "resumed")
    assert (done.left, resumed.file, resumed.fields) == (2, output, {"frames": frames, "total": total})
    assert frames >= LENGTH


@pytest.mark.fault(34)
@pytest.mark.proves("batch run")
def test_a_card_that_is_away_for_a_moment_marks_no_file_for_good(card: Path, out: Path) -> None:
    (card / "text.mp4").unlink()
    files = files_of(items_in([str(card)], out), lambda own: load_clean(None, [*own, *CHEAP[:3]], {}), ())

    def pull_out(event: Event) -> None:
        if isinstance(event, BatchPlan):
            card.rename(card.with_name("away"))

    done = run_batch(files, out, BatchOptions(engine="inline"), on_event=pull_out)
    assert (done.failed, {end.code for end in done.troubles}) == (2, {3})
    card.with_name("away").rename(card)
    done = run_batch(files, out, BatchOptions(engine="inline"))
    assert (done.done, done.failed) == (2, 0)


@pytest.mark.fault(34)
@pytest.mark.proves("batch run")
def test_a_card_that_is_away_while_it_is_looked_at_costs_no_finished_file(card: Path, out: Path) -> None:
    (card / "text.mp4").unlink()
    files = files_of(items_in([str(card)], out), lambda own: load_clean(None, [*own, *CHEAP[:3]], {}), ())
    assert run_batch(files, out, BatchOptions(engine="inline")).done == 2
    before = written(out)
    away, told = card.rename(card.with_name("away")), list[Event]()

    def put_back(event: Event) -> None:
        told.append(event)
        if isinstance(event, BatchPlan):
            away.rename(card)

    done = run_batch(files, out, BatchOptions(engine="inline"), on_event=put_back)
    assert (done.done, done.failed, done.left, written(out)) == (2, 0, 0, before)
    assert not any(isinstance(event, FileStart) for event in told)


@pytest.mark.fault(34)
@pytest.mark.proves("batch run")
def test_what_one_worker_alone_cannot_read_is_tried_again(
    card: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a node that lacks the share: the name of an open file of this process means nothing in another one."""
    monkeypatch.setattr("vidrain.batch.schedule._PAUSE_S", 0.0)
    monkeypatch.setattr("vidrain.batch.schedule.TRIES", 2)
    with (card / "a.mp4").open("rb") as file:
        here = f"/proc/self/fd/{file.fileno()}"
        files = files_of(items_in([here], out), lambda own: load_clean(None, [*own, *CHEAP[:3]], {}), ())
        ends: list[FileEnd] = []

        def listen(event: Event) -> None:
            if isinstance(event, FileEnd):
                ends.append(event)

        run_batch(files, out, BatchOptions(workers=1), on_event=listen)
        assert [(end.state, end.code) for end in ends] == [("again", 3), ("failed", 3)]
        assert run_batch(files, out, BatchOptions(engine="inline")).done == 1, "nor is it marked for good"
