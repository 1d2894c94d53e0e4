"""A folder of outputs as one page to look at."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.batches import write_card, written
from tests.pipeline.conftest import Vidrain
from tests.pipeline.test_batch import CHEAP, INLINE
from tests.pipeline.test_viewer import data_of


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
    assert written(out).keys() == {"a.mp4", "sub/b.MP4"}, "nothing new in OUT"
    assert vidrain("report", out).code == 5
    for refused in (("--against", card), ("--cfr", "25"), ("--video", "1")):
        ran = vidrain("report", out, "--force", *refused)
        assert (ran.code, ran.err.count("\n"), "is a folder" in ran.err) == (2, 1, True)
    ran = vidrain("report", card)
    assert (ran.code, "no batch was run there" in ran.err) == (2, True)
