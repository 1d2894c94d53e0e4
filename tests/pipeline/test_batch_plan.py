"""A batch before it runs: every setting reaches every file, and a dry run says what it will take."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.batches import CHEAP, INLINE, written
from tests.pipeline.conftest import Vidrain
from vidrain.batch.estimate import _Rate, estimate
from vidrain.batch.inputs import items_in
from vidrain.batch.journal import Journal
from vidrain.batch.plan import files_of, look_at_all
from vidrain.config import load_clean


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.mark.proves("batch run --dry-run")
def test_a_dry_run_writes_nothing_and_says_what_it_takes(card: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--dry-run")
    assert (ran.code, ran.err, out.exists()) == (0, "", False)
    assert re.search(r"^about \d+ s$", ran.out, re.MULTILINE)
    assert f"to do      {card}/a.mp4 -> a.mp4\n" in ran.out
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


@pytest.mark.proves("batch run --dry-run")
def test_a_dry_run_names_what_the_run_would_refuse(card: Path, out: Path, vidrain: Vidrain) -> None:
    """What is in the way, cannot be read or is empty, and what failed before, each with its cause."""
    run = ("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    vidrain(*run)
    (card / "empty.mp4").touch()
    (card / "gone.mp4").symlink_to("nowhere")
    (card / "taken.mp4").write_bytes((card / "a.mp4").read_bytes())
    (out / "taken.mp4").write_text("mine")
    ran = vidrain(*run, "--dry-run")
    assert ran.code == 0
    lines = {line.partition(" -> ")[2].partition(": ")[0]: line for line in ran.out.splitlines()}
    assert lines["text.mp4"].startswith(f"failed     {card}/text.mp4 -> text.mp4: {card}/text.mp4: is no video file")
    assert lines["empty.mp4"] == f"unreadable {card}/empty.mp4 -> empty.mp4: {card}/empty.mp4: is empty (0 bytes)"
    assert lines["gone.mp4"].startswith(f"unreadable {card}/gone.mp4 -> gone.mp4: {card}/gone.mp4: ")
    assert lines["taken.mp4"].startswith(f"in the way {card}/taken.mp4 -> taken.mp4: {out}/taken.mp4: exists already")
    assert "0 of 6 files to do, 2 done before, 1 failed before, 1 in the way, 2 unreadable" in ran.out.splitlines()
    facts = json.loads(vidrain(*run, "--dry-run", "--json").out)
    counts = [facts[name] for name in ("todo", "in_the_way", "unreadable", "no_room")]
    each = {file["output"]: (file["state"], "cause" in file) for file in facts["each"]}
    assert (counts, each["taken.mp4"], each["empty.mp4"]) == ([0, 1, 2, 0], ("in the way", True), ("unreadable", True))
    assert "1 of 6 files to do" in vidrain(*run, "--dry-run", "--force").out


@pytest.mark.proves("batch run --dry-run", "batch run --min-free")
def test_a_dry_run_counts_what_does_not_fit_on_the_disk(card: Path, out: Path, vidrain: Vidrain) -> None:
    run = ("batch", "run", card / "a.mp4", card / "sub", "-o", out, *INLINE, *CHEAP)
    ran = vidrain(*run, "--dry-run", "--min-free", "1e12")
    line = ran.out.splitlines()[0]
    assert line.startswith(f"no room    {card}/a.mp4 -> a.mp4: may take ") and "(--min-free 1e+12 stay)" in line
    assert "0 of 2 files to do, 0 done before, 0 failed before, 2 no room" in ran.out
    assert " to read, about " in ran.out, "what it takes to make room for"
    assert vidrain(*run, "--min-free", "1e12").code == 5


def test_what_an_estimate_could_not_open_is_not_to_do(card: Path, out: Path, vidrain: Vidrain) -> None:
    (card / "b.mp4").write_bytes(b"no video" * 10)
    ran = vidrain("batch", "run", card / "b.mp4", "-o", out, *INLINE, *CHEAP, "--dry-run")
    assert f"unreadable {card}/b.mp4 -> b.mp4: {card}/b.mp4: is no video file" in ran.out
    assert "0 of 1 file to do" in ran.out


def test_what_cannot_be_tried_beforehand_ends_no_batch(
    card: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is room for layers taken for that of a lossy file then: it is fifty times as much."""

    def full(*_: object, **__: object) -> None:
        raise RuntimeError("no memory\nis left")

    monkeypatch.setattr("vidrain.batch.estimate.open_video", full)
    run = ("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP, "--also", "rain", "--json")
    ran = vidrain(*run)
    assert (ran.code, sorted(written(out))) == (0, ["a.mp4", "a.rain.mp4"])
    basis = ran.events[0]["basis"]
    assert basis == "not one file could be tried (RuntimeError: no memory is left); 51.5 bytes assumed for a byte"


def test_no_frame_is_computed_beside_the_tasks(
    card: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What crashes a model would end the batch; the size and the number of the frames tell the room as well."""
    run = ("batch", "run", card / "a.mp4", "-o", out, *INLINE, *CHEAP, "--also", "rain")
    due = json.loads(vidrain(*run, "--dry-run", "--json").out.splitlines()[-1])["space"]
    monkeypatch.delattr("vidrain.batch.estimate.plan_part")
    plan = vidrain(*run, "--json").events[0]
    assert (plan["space"], plan["basis"]) == (due, "no file is done yet; space assumed by frames")


def test_machines_of_a_cluster_share_what_was_computed_on_this_one(
    card: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Workers of this machine share its cores, and are no quicker together."""
    files = files_of(items_in([str(card)], out), lambda own: load_clean(None, own, {}), ())
    looks, journal = look_at_all(files, Journal(out)), Journal(out)
    monkeypatch.setattr("vidrain.batch.estimate._of_frames", lambda look: _Rate(1.0, 1.0, "measured"))
    alone = estimate(looks, journal, workers=1, machines=1)
    assert alone.seconds == sum(look.size for look in looks) > 0
    assert estimate(looks, journal, workers=4, machines=1) == alone
    spread = estimate(looks, journal, workers=4, machines=4)
    assert spread.seconds == alone.seconds / 4
    assert spread.basis == "measured, by 4 machines that are taken to be as fast as this one"


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


def test_weights_that_no_file_could_be_are_one_line(card: Path, out: Path, vidrain: Vidrain) -> None:
    """Their name is too long for any, as a pair of the command line too, which might be a file with = in its name."""
    weights = f"/{300 * 'x'}.safetensors"
    for named in (("--weights", weights), (f"weights={weights}",)):
        ran = vidrain("batch", "run", card, "-o", out, *INLINE, "--model", "gate-s", *named)
        assert (ran.code, ran.err.count("\n")) == (7, 1)
        assert "cannot be read (File name too long)" in ran.err


@pytest.mark.fault(27)
@pytest.mark.proves("batch run --min-free", "batch run --dry-run")
def test_rows_of_a_manifest_take_the_room_that_their_own_settings_need(card: Path, out: Path, vidrain: Vidrain) -> None:
    """Whichever of them comes first: a lossless file takes many times as much as another."""
    names = ("a.mp4", "sub/b.MP4")

    def space(first: str, second: str) -> int:
        (card / "jobs.csv").write_text(f"input,archive\n{names[0]},{first}\n{names[1]},{second}\n")
        ran = vidrain("batch", "run", card / "jobs.csv", "-o", out, *INLINE, *CHEAP[:-2], "--dry-run", "--json")
        return int(json.loads(ran.out)["space"])

    none, one, other, both = space("", ""), space("true", ""), space("", "true"), space("true", "true")
    assert none < min(one, other) <= max(one, other) < both
    assert abs(one + other - none - both) < both / 5, "of both, one is measured"
