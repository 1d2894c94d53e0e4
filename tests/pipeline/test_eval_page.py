"""What `vidrain eval` says: its events, its page, and a copy of the page for others."""

import json
import re
import sys
from html import escape
from pathlib import Path

import pytest

from tests.benchmarks import FAST, results
from tests.benchmarks import clips as clips
from tests.benchmarks import data as data
from tests.pipeline.conftest import Ran, Vidrain


def test_the_page_holds_all_figures_and_asks_for_nothing(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    label = "<b>&'\"@@MADE@@"
    ran = vidrain(
        *("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--set", "pairs", "--every", "13"),
        *("--method", f"{label}:{FAST}"),
    )
    assert (ran.code, ran.err) == (0, "")
    page = (tmp_path / "out" / "results.html").read_text()
    text = escape(label, quote=True)
    row = results(tmp_path / "out")["pairs", "road", label]
    (cells,) = re.findall(rf'<tr data-method="{re.escape(text)}"><th scope="row">road</th>(.*?)</tr>', page)
    assert f'<td data-value="{row["psnr_y"]}" class="best">{row["psnr_y"]:.2f}</td>' in cells
    assert label not in page
    assert page.count("<dt>command</dt>") == 1
    assert "default-src &#x27;none&#x27;" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert len(re.findall(r'<figure data-method="[^"]*"><img src="data:image/png;base64,', page)) == 1


@pytest.mark.proves("eval --json")
def test_what_it_tells(vidrain: Vidrain, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/vidrain", "eval", "-c", "my sets.yaml"])
    ran = vidrain(
        *("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--json", "--set", "pairs", "--every", "5"),
        *("--method", FAST),
    )
    assert (ran.code, ran.err) == (0, "")
    names = [event["event"] for event in ran.events]
    assert names[0] == "eval_plan"
    assert names[-1] == "eval_done"
    plan = ran.events[0]
    assert (plan["sets"], plan["methods"], plan["rows"], plan["frames"]) == (["pairs"], ["input", FAST], 2, 6)
    rows = [event for event in ran.events if event["event"] == "eval_row"]
    assert [row["method"] for row in rows] == ["input", FAST]
    whole = results(tmp_path / "out")["pairs", "road", FAST]
    assert rows[1]["figures"] == {name: value for name, value in whole.items() if "gain" not in name}
    last = [event for event in ran.events if event["event"] == "progress"][-1]
    assert (last["frames"], last["total"]) == (6, 6)
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    assert facts["command"] == "vidrain eval -c 'my sets.yaml'"
    assert set(facts["libraries"]) >= {"torch", "numpy", "av"}
    assert facts["machine"]["cores"] > 0
    assert len(facts["data"]["pairs/road"]["observed"]) == len(facts["data"]["pairs/road"]["truth"]) == 64
    assert facts["methods"][FAST]["made_by"].startswith("0.1.0 baseline weights=none config=")


@pytest.mark.proves("eval --report")
def test_the_page_is_written_to_another_place_as_well(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    out, page = tmp_path / "out", tmp_path / "pages" / "page.html"
    page.parent.mkdir()

    def ran(*more: str | Path) -> Ran:
        sets = ("--set", "pairs", "--every", "13", "--method", FAST)
        return vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", out, *sets, *more)

    done = ran("--report", page, "--json")
    assert (done.code, done.err) == (0, "")
    last = done.events[-1]
    assert (last["event"], last["output"], last["size"]) == ("page_done", str(page), page.stat().st_size)
    first = page.read_bytes()
    assert first == (out / "results.html").read_bytes()
    assert ran().code == 0
    assert page.read_bytes() == first, "none was asked for"
    assert ran("--report", page, "--method", f"again: {FAST}").code == 0, "one of the same folder is replaced"
    assert b"again" in page.read_bytes()
    assert page.read_bytes() == (out / "results.html").read_bytes()
    (tmp_path / "other").mkdir()
    other = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "other", "--set", "harm", "--report", page)
    assert (other.code, "is no page of" in other.err) == (5, True)
    assert list((tmp_path / "other").iterdir()) == []


@pytest.mark.proves("eval --report")
def test_a_page_that_could_not_be_written_is_refused_before_anything_is_measured(
    vidrain: Vidrain, data: Path, tmp_path: Path
) -> None:
    out, clip = tmp_path / "out", data / "clean" / "cat.mp4"
    before = clip.read_bytes()
    for page, code, why in (
        (clip, 5, "exists already, and is no page of"),
        (tmp_path / "eval.yaml", 5, "exists already, and is no page of"),
        (data, 5, "is a folder"),
        (tmp_path / "no" / "page.html", 5, "does not exist"),
        (out / "page.html", 2, "lies in"),
        (out, 2, "lies in"),
    ):
        ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", out, "--set", "harm", "--report", page)
        assert (ran.code, ran.out, ran.err.count("\n"), why in ran.err) == (code, "", 1, True), ran.err
        assert not out.exists()
    assert clip.read_bytes() == before
