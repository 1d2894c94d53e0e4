"""Many files: every one is done or explained, and what fails stops no other.

Most run in this process (`--engine inline`); kills and signals are in tests/slow/test_batch_kills.py.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.batches import CHEAP, INLINE, of, write_card, written
from tests.pipeline.conftest import Vidrain
from vidrain.batch.journal import FOLDER


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


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
    assert f"2 done before, 1 failed before (try them again: vidrain batch retry {out}), of 3 files" in again.err
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
        assert "3 files: 2 done, 0 partial, 1 failed" in vidrain("batch", "status", out).out


@pytest.mark.proves("batch run --also")
def test_layers_lie_beside_the_clean_video(card: Path, out: Path, vidrain: Vidrain) -> None:
    also = ("--also", "rain", "--also", "rain-preview", "--also", "compare", "--archive")
    assert vidrain("batch", "run", card / "sub" / "b.MP4", "-o", out, *INLINE, *CHEAP[:3], *also).code == 0
    assert sorted(written(out)) == ["b.MP4", "b.compare.MP4", "b.rain-preview.MP4", "b.rain.MP4"]
    assert list(package.recompose(out / "b.MP4", out / "b.rain.MP4"))
    refused = vidrain("batch", "run", card, "-o", out, *INLINE, "rain=r.mp4")
    assert (refused.code, refused.err.count("\n")) == (2, 1)
    assert "rain: names one output, but there may be many; use --also rain" in refused.err


@pytest.mark.proves("batch run --keep-going")
def test_it_may_stop_at_the_first_failure(card: Path, out: Path, vidrain: Vidrain) -> None:
    (card / "text.mp4").write_bytes(b"no video" * 100_000)  # the longest goes first
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--stop-at-first", "--json")
    assert (ran.code, written(out), ran.events[-1]["left"]) == (1, {}, 2)
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--keep-going").code == 1
    assert len(written(out)) == 2


@pytest.mark.proves("batch run --keep-going")
def test_what_is_in_the_way_is_such_a_failure(card: Path, out: Path, vidrain: Vidrain) -> None:
    out.mkdir()
    (out / "a.mp4").write_text("mine")
    ran = vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--stop-at-first", "--json")
    assert (ran.code, list(written(out)), ran.events[-1]["left"]) == (1, ["a.mp4"], 2)
    assert (out / "a.mp4").read_text() == "mine"


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


@pytest.mark.proves("batch run --engine", "batch run --workers")
def test_two_files_at_a_time_each_in_a_process_of_its_own(card: Path, out: Path, vidrain: Vidrain) -> None:
    """Both begin before one ends, which no single process does; what the text costs is its own try."""
    ran = vidrain("batch", "run", card, "-o", out, "--engine", "processes", "--workers", "2", *CHEAP, "--json")
    assert (ran.code, sorted(written(out))) == (1, ["a.mp4", "sub/b.MP4"])
    steps = [event["event"] for event in ran.events if event["event"] in ("file_start", "file_end")]
    assert steps[:2] == ["file_start", "file_start"]
    assert [path.name for path in (out / FOLDER / "logs").iterdir()] == [], "nobody had anything to say"
