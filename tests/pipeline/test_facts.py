"""The tool that writes docs/facts.md: what it calls equal is equal, and what is not is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from tests.rich import KEPT, rich
from tools import facts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich(ROOT / "samples" / "vfr.mp4", tmp_path_factory.mktemp("rich") / "rich.mp4")


@pytest.mark.parametrize(
    ("damage", "column"),
    [
        ((), None),
        (("-bsf:v", "setts=pts=if(eq(N\\,5)\\,PTS+1\\,PTS)"), "all times"),
        (("-bsf:a:1", "noise=amount=-1"), "sound, subtitles"),
        (("-metadata:s:a:0", "language=swe"), "sound, subtitles"),
        (("-bsf:v", "h264_metadata=colour_primaries=9"), "colour"),
        (("-aspect", "8:5"), "SAR"),
        (("-metadata", "place=Oslo"), "chapters, tags"),
    ],
)
def test_what_was_changed_is_seen(damage: tuple[str, ...], column: str | None, source: Path, tmp_path: Path) -> None:
    selection = ("-map", "0:v", "-map", "0:a", "-map", "0:s", "-c", "copy")
    ffmpeg_says.quietly("-copyts", "-i", source, *selection, *damage, *KEPT, tmp_path / "copy.mp4")
    before, after = facts.facts(source), facts.facts(tmp_path / "copy.mp4")
    assert [name for name in before if before[name] != after[name]] == ([column] if column else [])
    cells = f"13 facts, {1 if column else 0} differ"
    assert cells in facts.page({"rich": (before, after)})


def test_the_page_is_not_stale(tmp_path: Path, vidrain: Vidrain) -> None:
    """A row made anew is the row of the page."""
    sample = ROOT / "samples" / "odd.mp4"
    assert vidrain("clean", sample, "-o", tmp_path / "odd.mp4").code == 0
    anew = facts.page({"odd": (facts.facts(sample), facts.facts(tmp_path / "odd.mp4"))}).splitlines()
    lines = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8").splitlines()
    assert {*anew[:9], *anew[-3:]} <= {*lines}


def test_the_page_shows_no_difference_that_is_not_explained() -> None:
    lines = (ROOT / "docs" / "facts.md").read_text(encoding="utf-8").splitlines()
    clips = {line.split(" | ")[0].strip("| ") for line in lines if "→" in line and line.startswith("| ")}
    assert clips <= facts.EXPLAINED.keys()
