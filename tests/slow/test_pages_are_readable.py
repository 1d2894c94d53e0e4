"""Pages in a real browser: light and dark, on a desk and on a phone, by name and by contrast; nothing is fetched."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import browser
from tests.pages import page as page
from tests.pages import preview as preview
from tests.pages import report as report
from vidrain.job import CleanOptions
from vidrain.pipeline import clean
from vidrain.viewer.preview import write_preview
from vidrain.viewer.report import write_report
from vidrain.weights import PRESETS

pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.program() is None, reason="chromium not here: apt-get install chromium"),
]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [browser.DESKTOP, browser.PHONE], ids=["desktop", "phone"])
def test_readable_in_both_schemes_and_sizes(page: Path, scheme: str, size: tuple[int, int]) -> None:
    """Names for all controls, a ring around what has the focus, contrast of 4.5 (WCAG 2.2, 1.4.3), nothing cut off."""
    with browser.opened(page, size=size, scheme=scheme) as (opened, wrong):
        low = [each for each in opened.evaluate(browser.COLORS) if browser.contrast(each[1], each[2]) < 4.5]
        assert low == []
        assert opened.evaluate(browser.NAMELESS) == []
        assert opened.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        dark = browser.luminance(opened.evaluate("() => getComputedStyle(document.body).backgroundColor")) < 0.2
        assert dark == (scheme == "dark")
        opened.click("#theme")
        changed = browser.luminance(opened.evaluate("() => getComputedStyle(document.body).backgroundColor")) < 0.2
        assert changed != dark
        opened.keyboard.press("Tab")
        style = opened.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid"
        assert min(opened.evaluate(browser.LETTERS)) > 9
        assert wrong == []


@pytest.mark.proves("no network")
def test_nothing_is_fetched_even_if_a_name_asks_for_it(samples: Path, tmp_path: Path) -> None:
    """A file name that is HTML is shown as text; the policy of the page would refuse what it asked for anyway."""
    clip = (
        tmp_path
        / "<img src=x onerror=alert(1)> & <script>, a name of eighty letters and more that no phone has room for.mp4"
    )
    shutil.copy(samples / "odd.mp4", clip)
    made = write_preview(clip, tmp_path / "page.html", seconds=0.2).page
    with browser.opened(made, size=browser.PHONE) as (page, wrong):
        assert clip.name in page.inner_text("h1")
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")  # long as it is
        assert page.locator("img").count() == 0
        assert wrong == []
        page.evaluate("() => fetch('https://example.org/').catch(() => 0)")
        page.wait_for_timeout(100)
        assert any("Content Security Policy" in line for line in wrong)


def test_facts_of_verify_stand_in_the_report(report: Path) -> None:
    with browser.opened(report) as (page, _):
        text = page.inner_text("#verify")
        assert "The same in all but the picture." in text
        assert "28 in, 28 out, every time exact" in text
        assert "stream 1 (audio aac" in text
        assert page.locator("#made").inner_text().count(PRESETS["balanced"]) >= 1


def test_what_is_wrong_with_a_page_stands_on_top_of_it(samples: Path, tmp_path: Path) -> None:
    """A part that is not named as one."""
    source, made = samples / "full_range.mp4", tmp_path / "made.mp4"
    clean(source, made, options=CleanOptions(start="5", end="9"))
    with browser.opened(write_report(made, source), size=browser.PHONE) as (page, wrong):
        told = page.locator("#warnings")
        assert "make this page again with --start" in told.inner_text()
        assert told.bounding_box()["y"] < page.locator("#stage").bounding_box()["y"]
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        assert "differ." in page.inner_text("#verdict")
        assert wrong == []
