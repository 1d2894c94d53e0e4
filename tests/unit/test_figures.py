"""Figures of a page: amounts, the histogram, the noise that is left out, and which stretches are shown."""

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_space import info_of
from vidrain.batch.inputs import SUFFIXES
from vidrain.types import Frame
from vidrain.video.color import conversion_for
from vidrain.viewer import figures, page
from vidrain.viewer.figures import EDGES, Figures, Shown, excerpts, luma_levels
from vidrain.viewer.page import Content, page_of
from vidrain.viewer.report import _beside


def frame(index: int) -> Frame:
    return Frame((), 40 * index, 40, index)


@given(st.lists(st.floats(0, 1), max_size=900), st.integers(60, 400), st.integers(10, 60))
def test_excerpts_are_in_order_apart_and_hold_the_worst(amounts: list[float], most: int, length: int) -> None:
    found = excerpts(amounts, most=most, length=length)
    places = [place for each in found for place in each]
    assert places == sorted(set(places))
    assert len(places) <= most
    assert all(before.stop < after.start for before, after in pairwise(found))
    if len(amounts) <= most:
        assert places == list(range(len(amounts)))
    else:
        assert int(np.argmax(amounts)) in places
        assert all(len(each) >= length for each in found)
        assert places[-1] < len(amounts)


def test_excerpts_of_a_long_job_are_the_worst_and_spread() -> None:
    amounts = np.zeros(9000)
    amounts[[1000, 1010, 8100]] = (3, 2, 1)
    found = excerpts(amounts.tolist(), most=480, length=60)
    assert {1000, 1010, 8100} <= {place for each in found for place in each}
    assert len(found) >= 6
    spread = [each.start for each in found]
    assert min(spread) < 2000
    assert max(spread) > 7000


def test_amount_and_histogram_are_those_of_the_change() -> None:
    found = Figures(Fraction(1, 1000), is_noisy=False)
    before, after = np.full((4, 4), 100, np.float32), np.full((4, 4), 100, np.float32)
    after[0, 0], after[0, 1] = 49, 120  # 51 levels darker, 20 brighter
    found.look(frame(3), before, after)
    assert found.frames == [Shown(3, 120, 0.12, pytest.approx(51 / 255 / 16))]
    assert (found.changed, found.pixels) == (2, 16)
    bars = {EDGES[place]: int(count) for place, count in enumerate(found.histogram) if count}
    assert bars == {-24: 1, 48: 1}


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
def test_levels_are_of_luma_in_rgb_too(red: int, green: int, blue: int) -> None:
    info = info_of("gbrp", 8, matrix=6, size=(2, 1))
    planes = tuple(np.full((1, 2), code, np.uint8) for code in (green, blue, red))
    due = 0.299 * red + 0.587 * green + 0.114 * blue
    assert luma_levels(planes, conversion_for(info)) == pytest.approx(np.full((1, 2), due), abs=1e-3)


def test_levels_of_a_limited_range_reach_from_black_to_white() -> None:
    planes = (np.array([[16, 235], [126, 1]], np.uint8),)
    levels = luma_levels(planes, conversion_for(info_of("gray", 8, size=(2, 2))))
    assert levels == pytest.approx(np.array([[0, 255], [128.08, -17.47]]), abs=0.01)


def test_noise_of_an_encoder_is_no_rain() -> None:
    rng = np.random.default_rng(1)
    before = np.full((90, 160), 100, np.float32)
    noisy = before + rng.normal(0, 2, before.shape).astype(np.float32)
    rainy = noisy.copy()
    rainy[10:60, 30:32] -= 60
    clean, found = Figures(Fraction(1, 25), is_noisy=True), Figures(Fraction(1, 25), is_noisy=True)
    clean.look(frame(0), before, noisy)
    found.look(frame(0), before, rainy)
    due = 100 * 60 / before.size / 255
    assert clean.frames[0].amount < 0.05 * due
    assert found.frames[0].amount == pytest.approx(due, rel=0.1)


@pytest.mark.parametrize("suffix", sorted(SUFFIXES))
def test_the_source_of_a_clean_file_is_found_beside_it(suffix: str, tmp_path: Path) -> None:
    """Whatever a folder of a batch takes for a video."""
    source, made = tmp_path / f"cam{suffix.upper()}", tmp_path / "cam.clean.mp4"
    for path in (source, made, tmp_path / "cam.txt"):
        path.touch()
    assert _beside(made) == source


def test_chart_keeps_every_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(figures, "_MOST_POINTS", 10)
    found = Figures(Fraction(1, 25), is_noisy=False)
    found.frames = [Shown(index, index, index / 25, float(index == 37)) for index in range(95)]
    assert len(found.chart) <= 10
    assert max(each.amount for each in found.chart) == 1
    assert [each.index for each in found.worst] == [37]


def test_page_holds_any_text_and_no_address() -> None:
    """Names and tags are data: none of them can end the element they stand in, or name a slot of the page."""
    evil = "</script><script>alert(1)</script> @@SCRIPT@@ & <b>"
    figures_of = Figures(Fraction(1, 25), is_noisy=False)
    verified = {"differences": [], "missing": [], "missing_besides": [evil], "x": evil}
    content = Content(evil, [(evil, evil)], evil, "1/25", evil, [], figures_of, verified)
    text = page_of(content)
    assert text.count("<script") == 2
    assert text.count("</script>") == 2
    assert "alert(1)</script>" not in text
    assert "http:" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "https:" not in text
    assert page.POLICY.replace("'", "&#x27;") in text
    assert text.count((Path(page.__file__).parent / "page.js").read_text()) == 1
