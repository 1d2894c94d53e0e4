"""Many files: every one is done or explained, what is done stays done, and what fails stops no other.

Most run in this process (`--engine inline`); kills and signals are in tests/slow/test_batch.py.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.batches import write_card, written
from tests.pipeline.conftest import Vidrain
from tests.pipeline.test_gate import constant_gate
from vidrain.batch.inputs import items_in
from vidrain.batch.journal import FOLDER, Journal
from vidrain.batch.plan import files_of
from vidrain.batch.run import BatchOptions, run_batch
from vidrain.config import load_clean
from vidrain.events import BatchPlan, Event

CHEAP = ("baseline.radius=1", "align.preset=ultrafast", "align.scale=0.25", "-e", "preset=ultrafast")
INLINE = ("--engine", "inline")


@pytest.fixture
def card(samples: Path, tmp_path: Path) -> Path:
    return write_card(tmp_path / "card", samples)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [event for event in events if event["event"] == name]


@pytest.mark.fault(3)
@pytest.mark.proves("batch run", "batch run IN KEY=VALUE", "batch run --output", "exit 1")
def test_every_file_is_done_or_explained_and_stays_so(card: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "encode.crf=19")
    assert ran.code == 1
    assert sorted(written(out)) == ["a.mp4", "sub/b.MP4"]
    assert package.verify_against(out / "a.mp4", card / "a.mp4", full=True).exit_code == 0
    table, last = ran.err.splitlines()[-2:]
    assert table.startswith(f"vidrain: failed 3    text.mp4 {card}/text.mp4: is no video file")
    assert "2 done, 1 failed, of 3 files" in last
    before = written(out)
    again = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "encode.crf=19")
    assert (again.code, written(out)) == (1, before)
    assert again.err.splitlines()[-2] == table
    assert "2 done before, 1 failed before (try them again: vidrain batch retry), of 3 files" in again.err
    other = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "encode.crf=20")
    assert {name for name, changed in written(out).items() if changed == before[name]} == set(), "another crf"
    assert "2 done, 1 failed" in other.err


@pytest.mark.timeout(120)
@pytest.mark.fault(1)
@pytest.mark.fault(2)
def test_a_missing_and_an_empty_file_stop_no_other(card: Path, out: Path, vidrain: Vidrain) -> None:
    (card / "empty.mp4").touch()
    os.mkfifo(card / "pipe.mp4")  # nobody writes into it: whoever reads it waits
    (card / "jobs.csv").write_text("input\ngone.mp4\nempty.mp4\npipe.mp4\nsub\na.mp4\n")
    ran = vidrain("batch", "run", card / "jobs.csv", "-o", out, *INLINE, *CHEAP, "--json")
    assert (ran.code, list(written(out))) == (1, ["a.mp4"])
    causes = {end["file"]: (end["code"], end["cause"]) for end in ran.events[-1]["troubles"]}
    assert {name: code for name, (code, _) in causes.items()} == dict.fromkeys(
        ("gone.mp4", "empty.mp4", "pipe.mp4", "sub.mp4"), 3
    )
    assert "is empty (0 bytes)" in causes["empty.mp4"][1]
    again = vidrain("batch", "run", card / "jobs.csv", "-o", out, *INLINE, *CHEAP, "--json")
    assert of(again.events, "file_start") == [], "what cannot be read is not tried again until it changes"


@pytest.mark.fault(1)
def test_a_folder_that_may_not_be_read_stops_no_other(samples: Path, vidrain: Vidrain) -> None:
    """Root may read any folder, so another user tries where root runs the tests."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        card, out = write_card(root / "card", samples), root / "out"
        out.mkdir()
        for folder, mode in ((root, 0o755), (out, 0o777), (card / "sub", 0)):
            folder.chmod(mode)
        if user == 0:
            os.seteuid(65534)
        try:
            ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--json")
        finally:
            os.seteuid(user)
            (card / "sub").chmod(0o755)
        causes = {end["file"]: (end["code"], end["cause"]) for end in ran.events[-1]["troubles"]}
        assert (ran.code, list(written(out))) == (1, ["a.mp4"])
        why = f"{card}/sub: may not be read (Permission denied); check its permissions"
        assert causes.keys() == {"sub/*.mp4", "text.mp4"}
        assert causes["sub/*.mp4"] == (3, why)
        assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP).code == 1
        assert sorted(written(out)) == ["a.mp4", "sub/b.MP4"], "once it may be read"


def test_only_what_a_change_touches_runs_again(card: Path, out: Path, vidrain: Vidrain) -> None:
    manifest = card / "jobs.csv"

    def run(*arguments: str, rows: str = "a.mp4,\nsub/b.MP4,\n") -> list[str]:
        manifest.write_text(f"input,encode.crf\n{rows}")
        ran = vidrain("batch", "run", manifest, "-o", out, *INLINE, *CHEAP, "--json", *arguments)
        assert ran.code == 0, ran.err
        return sorted(event["file"] for event in of(ran.events, "file_start"))

    assert run() == ["a.mp4", "sub/b.MP4"]
    assert run() == []
    assert run("--preset", "fast") == [], "the same model under another name"
    assert run("--model", "baseline", "--device", "cpu", "--stall-s", "50") == []
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


@pytest.mark.proves("batch run --also")
def test_layers_lie_beside_the_clean_video(card: Path, out: Path, vidrain: Vidrain) -> None:
    also = ("--also", "rain", "--also", "rain-preview", "--also", "compare", "--archive")
    assert vidrain("batch", "run", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP[:3], *also).code == 0
    assert sorted(written(out)) == ["b.MP4", "b.compare.MP4", "b.rain-preview.MP4", "b.rain.MP4"]
    assert list(package.recompose(out / "b.MP4", out / "b.rain.MP4"))
    refused = vidrain("batch", "run", card, "-o", out, *INLINE, "rain=r.mp4")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "rain: names one output, but there may be many; use --also rain" in refused.err


@pytest.mark.proves("batch run --force")
def test_files_that_no_batch_made_stay_without_force(card: Path, out: Path, vidrain: Vidrain) -> None:
    out.mkdir()
    (out / "a.mp4").write_text("mine")
    ran = vidrain("batch", "run", card / "a.mp4", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP)
    assert ran.code == 1
    assert (out / "a.mp4").read_text() == "mine"
    assert "a.mp4: exists already and is none of this batch; use --force to replace it" in ran.err
    before = written(out)["b.MP4"]
    forced = vidrain("batch", "run", card / "a.mp4", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP, "--force")
    assert forced.code == 0
    assert (out / "a.mp4").read_bytes()[4:8] == b"ftyp"
    assert written(out)["b.MP4"] == before, "--force does nothing again that is done"


@pytest.mark.proves("batch run --fresh")
def test_fresh_names_what_it_forgets_and_does_all_again(card: Path, out: Path, vidrain: Vidrain) -> None:
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP).code == 1
    before = written(out)
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--fresh")
    assert f"note: --fresh: the journal of {out} is discarded (2 done, 1 failed); outputs stay" in ran.err
    assert "2 done, 1 failed, of 3 files" in ran.err
    assert all(changed > before[name] for name, changed in written(out).items())


@pytest.mark.proves("batch run --dry-run")
def test_a_dry_run_writes_nothing_and_says_what_it_takes(card: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--dry-run")
    assert (ran.code, ran.err, out.exists()) == (0, "", False)
    assert f"to do  {card}/a.mp4 -> a.mp4" in ran.out
    assert "3 of 3 files to do, 0 done before, 0 failed before" in ran.out
    assert "frames of a.mp4 computed now" in ran.out or "frames of b.MP4 computed now" in ran.out
    vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    facts = json.loads(vidrain("batch", "run", card, "-o", out, *CHEAP, "--dry-run", "--json").out)
    assert {name: facts[name] for name in ("files", "done", "failed", "todo")} == dict(
        files=3, done=2, failed=1, todo=0
    )
    (card / "c.mp4").write_bytes((card / "a.mp4").read_bytes())
    facts = json.loads(vidrain("batch", "run", card, "-o", out, *CHEAP, "--dry-run", "--json").out)
    assert (facts["todo"], facts["basis"]) == (1, "2 files done here with these settings, by their bytes")
    made = sum((out / name).stat().st_size for name in ("a.mp4", "sub/b.MP4"))
    read = sum((card / name).stat().st_size for name in ("a.mp4", "sub/b.MP4"))
    assert facts["space"] == round((card / "c.mp4").stat().st_size * made / read)
    assert facts["seconds"] > 0


@pytest.mark.proves("batch run --keep-going")
def test_it_may_stop_at_the_first_failure(card: Path, out: Path, vidrain: Vidrain) -> None:
    (card / "text.mp4").write_bytes(b"no video" * 100_000)  # the longest goes first
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--stop-at-first", "--json")
    assert (ran.code, written(out), ran.events[-1]["left"]) == (1, {}, 2)
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--keep-going").code == 1
    assert len(written(out)) == 2


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
    assert vidrain("batch", "retry", out).code == 1
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


def test_a_partial_file_is_listed_and_says_what_is_missing(
    samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    film = tmp_path / "whole.mkv"
    ffmpeg_says.quietly("-i", samples / "street.mp4", "-t", "0.6", "-an", "-c:v", "mjpeg", film)
    (tmp_path / "cut.mkv").write_bytes(film.read_bytes()[: film.stat().st_size * 2 // 3])
    for _ in range(2):
        ran = vidrain("batch", "run", tmp_path / "cut.mkv", "-o", out, *INLINE, *CHEAP)
        assert ran.code == 4
        assert "partial 4    cut.mkv missing: " in ran.err


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


@pytest.mark.proves("batch run --json")
def test_events_name_their_file(card: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--json")
    names = [event["event"] for event in ran.events]
    assert (names[0], names[-1]) == ("batch_plan", "batch_done")
    assert all(event["v"] == 1 and "ts" in event for event in ran.events)
    of_a = [event["event"] for event in ran.events if event.get("file") == "a.mp4"]
    assert of_a[:2] == ["file_start", "plan"]
    assert of_a[-3:] == ["progress", "file_done", "file_end"]
    ends = {event["file"]: (event["state"], event["code"]) for event in of(ran.events, "file_end")}
    assert ends == {"a.mp4": ("done", 0), "sub/b.MP4": ("done", 0), "text.mp4": ("failed", 3)}


@pytest.mark.fault(32)
def test_any_name_will_do(card: Path, out: Path, vidrain: Vidrain) -> None:
    names = ["-dash.mp4", "new\nline.mp4", "a=b c.mp4", "ü" * 123 + ".mp4", os.fsdecode(b"\xff.mp4")]
    for name in names:
        (card / "odd").mkdir(exist_ok=True)
        (card / "odd" / name).write_bytes((card / "sub" / "b.MP4").read_bytes())
    (card / "odd" / "\udcfe\n.mkv").write_text("no video")
    ran = vidrain("batch", "run", card / "odd", "-o", out, *INLINE, *CHEAP)
    assert (ran.code, sorted(written(out))) == (1, sorted(names))
    assert "failed 3    \\udcfe .mkv " in ran.err
    again = vidrain("batch", "run", card / "odd", "-o", out, *INLINE, *CHEAP, "--json")
    assert of(again.events, "file_start") == []
    assert vidrain("batch", "status", out).out.count("\n") == 3
    table = (out / FOLDER / "failed.csv").read_text(errors="surrogateescape")
    assert "\udcfe\n.mkv" in table
    assert vidrain("batch", "run", out / FOLDER / "failed.csv", "-o", out, *INLINE, *CHEAP, "--dry-run").code == 0


SETTINGS = {
    "preset": (("--preset", "fast"), ("preset",), "fast"),
    "model": (("--model", "nlcl"), ("model",), "nlcl"),
    "weights": (("--weights", "my.safetensors"), ("weights",), "my.safetensors"),
    "adapt": (("--adapt=7",), ("adapt", "seconds"), 7.0),
    "adapt-steps": (("--adapt-steps", "3"), ("adapt", "steps"), 3),
    "archive": (("--archive",), ("archive",), True),
    "codec": (("--codec", "hevc"), ("encode", "codec"), "hevc"),
    "crf": (("--crf", "31"), ("encode", "crf"), 31),
    "pix-fmt": (("--pix-fmt", "yuv444p"), ("encode", "pix_fmt"), "yuv444p"),
    "pad": (("--pad",), ("pad",), True),
    "e": (("-e", "preset=slow"), ("encode", "options", "preset"), "slow"),
    "start": (("--start", "3"), ("start",), "3"),
    "end": (("--end", "9"), ("end",), "9"),
    "keep-pts": (("--keep-pts",), ("keep_pts",), True),
    "cfr": (("--cfr", "25"), ("cfr",), "25"),
    "video": (("--video", "1"), ("video",), "1"),
    "device": (("--device", "cpu"), ("device",), "cpu"),
    "on-bad-frame": (("--on-bad-frame", "drop"), ("on_bad_frame",), "drop"),
    "stall-s": (("--stall-s", "5"), ("stall_s",), 5.0),
    "config": (("-c", "my.yaml"), ("baseline", "radius"), 4),
}


@pytest.mark.proves("batch run --preset", "batch run --model", "batch run --weights", "batch run --adapt")
@pytest.mark.proves("batch run --adapt-steps", "batch run --archive", "batch run --codec", "batch run --crf")
@pytest.mark.proves("batch run --pix-fmt", "batch run --pad", "batch run -e", "batch run --start", "batch run --end")
@pytest.mark.proves("batch run --keep-pts", "batch run --cfr", "batch run --video", "batch run --device")
@pytest.mark.proves("batch run --on-bad-frame", "batch run --stall-s", "batch run --config")
@pytest.mark.parametrize("option", SETTINGS)
def test_settings_of_clean_reach_every_file(
    option: str, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my.yaml").write_text("baseline: {radius: 4}")
    for name in ("a.mp4", "b.mp4", "my.safetensors"):
        Path(name).touch()
    given, keys, due = SETTINGS[option]
    ran = vidrain("batch", "run", "a.mp4", "b.mp4", "-o", "out", "--dry-run", "--json", *given)
    each = json.loads(ran.out)["each"]
    assert len(each) == 2
    for file in each:
        value = file["settings"]
        for key in keys:
            value = value[key]
        assert value == (str(tmp_path / str(due)) if option == "weights" else due)


@pytest.mark.proves("batch run --engine", "batch run --workers")
def test_two_files_at_a_time_each_in_a_process_of_its_own(card: Path, out: Path, vidrain: Vidrain) -> None:
    """Both begin before one ends, which no single process does; what the text costs is its own try."""
    ran = vidrain("batch", "run", card, "-o", out, "--engine", "processes", "--workers", "2", *CHEAP, "--json")
    assert (ran.code, sorted(written(out))) == (1, ["a.mp4", "sub/b.MP4"])
    steps = [event["event"] for event in ran.events if event["event"] in ("file_start", "file_end")]
    assert steps[:2] == ["file_start", "file_start"]
    assert [path.name for path in (out / FOLDER / "logs").iterdir()] == [], "nobody had anything to say"


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
    assert "a.mp4: exists already and is none of this batch; use --force to replace it" in ran.err
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
