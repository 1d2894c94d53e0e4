"""A folder of outputs as one page to look at."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

import vidrain as library
from tests.batches import CHEAP, INLINE, write_card, written
from tests.pipeline.conftest import Vidrain
from tests.pipeline.test_viewer import data_of
from vidrain.batch.journal import Journal
from vidrain.config import clean_from


@pytest.mark.proves("report OUT")
def test_a_folder_of_outputs_is_a_page_as_well(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    card, out = write_card(tmp_path / "card", samples), tmp_path / "out"
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP).code == 1
    (card / "a.mp4").unlink()  # what it looked like before cannot be told any more
    page = tmp_path / "out.report.html"
    ran = vidrain("report", out)
    assert (ran.code, ran.out.strip(), ran.err) == (0, str(page), "")
    rows = {row["file"]: row for row in data_of(page)["rows"]}
    assert {name: row["state"] for name, row in rows.items()} == {
        "a.mp4": "done",
        "sub/b.MP4": "done",
        "text.mp4": "failed",
    }
    assert [len(rows[name]["pictures"]) for name in ("a.mp4", "sub/b.MP4", "text.mp4")] == [1, 2, 0]
    for picture in (*rows["a.mp4"]["pictures"], *rows["sub/b.MP4"]["pictures"]):
        assert base64.b64decode(picture)[:3] == b"\xff\xd8\xff"  # JPEG
    done = rows["sub/b.MP4"]
    assert (done["href"], done["written_bytes"]) == ("out/sub/b.MP4", (out / "sub" / "b.MP4").stat().st_size)
    assert done["source_bytes"] == (card / "sub" / "b.MP4").stat().st_size
    assert "is no video file" in rows["text.mp4"]["cause"]
    assert {row["source"] for row in rows.values()} == {"a.mp4", "b.MP4", "text.mp4"}
    assert str(tmp_path) not in page.read_text(), "a page is given to others"
    assert (rows["text.mp4"]["rain"], rows["text.mp4"]["rain_over_time"]) == (None, [])
    alone = library.clean(
        card / "sub" / "b.MP4", tmp_path / "b.mp4", options=clean_from(Journal(out).plan()["settings"][0])
    )
    assert done["rain"] == alone.rain > 0
    assert done["rain_over_time"] == pytest.approx(alone.rain_over_time, abs=1e-6)
    data = data_of(page)
    assert data["made"] == [[f"vidrain {alone.made_by}", 2]]
    ((text, count),) = data["settings"]
    assert (count, json.loads(text)["baseline"]["radius"]) == (3, 1)
    assert written(out).keys() == {"a.mp4", "sub/b.MP4"}, "nothing new in OUT"
    assert vidrain("report", out).code == 5
    for refused in (("--against", card), ("--cfr", "25"), ("--video", "1")):
        ran = vidrain("report", out, "--force", *refused)
        assert (ran.code, ran.err.count("\n"), "is a folder" in ran.err) == (2, 1, True)
    ran = vidrain("report", card)
    assert (ran.code, "no batch was run there" in ran.err) == (2, True)


def test_what_happened_names_no_folder_of_this_machine(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    card, out = write_card(tmp_path / "card", samples), tmp_path / "out"
    (out / "sub").mkdir(parents=True)
    (out / "sub" / "b.MP4").write_text("mine")
    assert vidrain("batch", "run", card, "-o", out, *INLINE, *CHEAP, "--report", tmp_path / "page.html").code == 1
    rows = {row["file"]: row["cause"] for row in data_of(tmp_path / "page.html")["rows"]}
    assert rows["sub/b.MP4"].startswith("b.MP4: exists already")
    assert str(tmp_path) not in (tmp_path / "page.html").read_text()


@pytest.mark.proves("batch run --report", "batch retry --report")
def test_a_run_writes_the_page_of_all_its_files(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    card, out = write_card(tmp_path / "card", samples), tmp_path / "out"
    page = out / "index.html"  # in a folder that the run makes
    command = ("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    ran = vidrain(*command, "--report", page, "--json")
    assert (ran.code, [event["event"] for event in ran.events][-1]) == (1, "page_done")
    states = lambda: {row["file"]: row["state"] for row in data_of(page)["rows"]}  # noqa: E731
    assert states() == {"a.mp4": "done", "sub/b.MP4": "done", "text.mp4": "failed"}
    first = page.read_bytes()
    assert vidrain(*command).code == 1
    assert page.read_bytes() == first, "none was asked for"
    (card / "c.mp4").write_bytes((card / "a.mp4").read_bytes())
    assert vidrain(*command, "--report", page).code == 1
    assert states()["c.mp4"] == "done", "the same command goes on, page and all"
    (card / "text.mp4").write_bytes((card / "a.mp4").read_bytes())
    assert vidrain("batch", "retry", out, "--report", page).code == 0
    assert states() == dict.fromkeys(("a.mp4", "c.mp4", "sub/b.MP4", "text.mp4"), "done")


@pytest.mark.proves("batch run --report")
def test_a_page_that_could_not_be_written_is_refused_before_the_work(
    samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    card, out, foreign = write_card(tmp_path / "card", samples), tmp_path / "out", tmp_path / "mine.html"
    foreign.write_text("mine")
    command = ("batch", "run", card, "-o", out, *INLINE, *CHEAP)
    for page, code, why in (
        (foreign, 5, "exists already, and is no page of this batch; choose another page"),
        (tmp_path / "no" / "page.html", 5, "does not exist"),
        (card / "a.mp4", 2, "is the source"),
        (out / "sub" / "b.MP4", 2, "is where a clean video goes"),
        (out / ".vidrain" / "journal", 2, "keeps its journal"),
    ):
        ran = vidrain(*command, "--report", page)
        assert (ran.code, ran.err.count("\n"), why in ran.err) == (code, 1, True), ran.err
        assert not out.exists()
    assert foreign.read_text() == "mine"
    assert vidrain(*command, "--report", foreign, "--force").code == 1
    ran = vidrain("batch", "retry", tmp_path / "out", "--report", card / "a.mp4")
    assert (ran.code, "is the source" in ran.err) == (2, True)
    foreign.write_text("mine")
    ran = vidrain("batch", "retry", tmp_path / "out", "--report", foreign)
    assert (ran.code, "choose another page" in ran.err, "--force" in ran.err) == (5, True, False)
