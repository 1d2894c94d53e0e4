"""Pages of batches and of benchmarks in a real browser: tables are sorted, rows hidden, all is read."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests import browser
from vidrain.batch.inputs import items_in
from vidrain.batch.journal import Journal
from vidrain.batch.options import BatchOptions
from vidrain.batch.plan import files_of
from vidrain.batch.run import run_batch
from vidrain.evaluation.methods import Method
from vidrain.evaluation.plan import EvalOptions
from vidrain.evaluation.run import evaluate
from vidrain.evaluation.sets import SetOptions
from vidrain.job import CleanOptions
from vidrain.viewer.batch_report import write_batch_report
from vidrain.viewer.benchmark import write_benchmark
from vidrain.weights import PRESETS

pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.program() is None, reason="chromium not here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def overview(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of three files that are done, of very different sizes, and one that is none."""
    folder = tmp_path_factory.mktemp("overview")
    (folder / "card" / "no video.mp4").parent.mkdir()
    (folder / "card" / "no video.mp4").write_text("text")
    for name, clip in (("clip 10.mp4", "odd.mp4"), ("clip 9.mp4", "rotated.mp4"), ("<b>clip.mp4", "vfr.mp4")):
        shutil.copy(samples / clip, folder / "card" / name)
    files = files_of(items_in([str(folder / "card")], folder / "out"), lambda _: CleanOptions(end="3"), ())
    run_batch(files, folder / "out", BatchOptions(engine="inline"))
    journal = Journal(folder / "out")  # as vidrain wrote them that did not measure rain
    record = journal.last["clip 9.mp4"]
    with journal.alone():
        journal.note({name: value for name, value in record.items() if not name.startswith("rain")})
    return write_batch_report(folder / "out")


def test_table_of_a_batch_is_sorted_by_what_is_pressed(overview: Path) -> None:
    with browser.shown(overview) as (page, wrong):
        names = lambda: page.locator("#files tbody td[data-key=file]").all_inner_texts()  # noqa: E731
        assert names() == ["<b>clip.mp4", "clip 10.mp4", "clip 9.mp4", "no video.mp4"]
        heads = page.locator("#files th button")
        heads.nth(0).click()
        assert names().index("clip 9.mp4") < names().index("clip 10.mp4")
        assert page.get_attribute("th[data-key=file]", "aria-sort") == "ascending"
        page.focus("th[data-key=source_bytes] button")
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        sizes = {path.name: path.stat().st_size for path in (overview.parent / "card").iterdir()}
        assert names() == sorted(sizes, key=lambda name: -sizes[name])
        assert page.get_attribute("th[data-key=source_bytes]", "aria-sort") == "descending"
        page.click("th[data-key=seconds] button")
        assert names()[-1] == "no video.mp4", "what is not known comes last"
        page.click("th[data-key=rain] button")
        last = Journal(overview.parent / "out").last
        amounts = {name: record.get("rain", 1.0 + ("seconds" not in record)) for name, record in last.items()}
        assert names() == sorted(amounts, key=lambda name: amounts[name])
        rain = dict(zip(names(), page.locator("#files tbody td[data-key=rain]").all_inner_texts(), strict=True))
        assert rain["clip 10.mp4"].strip() == f"{100 * amounts['clip 10.mp4']:.3f} %"
        assert (rain["clip 9.mp4"], rain["no video.mp4"]) == ("not measured", "\N{EN DASH}")
        drawn = page.locator("#files svg")
        assert drawn.count() == 2
        label = (
            f"over time: {100 * min(curve := last['clip 10.mp4']['rain_over_time']):.3f} to {100 * max(curve):.3f} %"
        )
        assert label in [each.get_attribute("aria-label") for each in drawn.all()]
        assert drawn.first.bounding_box()["height"] == 24
        assert page.locator("#files img").count() == 3
        loaded = "() => Array.from(document.images).every((each) => each.complete && each.naturalWidth > 60)"
        assert page.evaluate(loaded)
        sides = page.evaluate(
            "() => Array.from(document.images).map((each) => [each.naturalWidth, each.naturalHeight])"
        )
        assert [90, 160] not in sides and any(width < height for width, height in sides), "upright, within its limits"
        assert page.get_attribute("#files a >> nth=0", "href").startswith("out/")
        assert page.locator("b").count() == 0
        assert f"{PRESETS['balanced']} weights=" in page.inner_text("#made")
        page.click("text=All settings of 4 files")
        assert '"end": "3"' in page.inner_text("#config pre")
        assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [browser.DESKTOP, browser.PHONE], ids=["desktop", "phone"])
def test_table_of_a_batch_is_readable(overview: Path, scheme: str, size: tuple[int, int]) -> None:
    with browser.shown(overview, size=size, scheme=scheme) as (page, wrong):
        assert [each for each in page.evaluate(browser.COLORS) if browser.contrast(each[1], each[2]) < 4.5] == []
        assert page.evaluate(browser.NAMELESS) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        rain = page.locator("td[data-key=rain]").first.bounding_box()
        assert rain["x"] + rain["width"] <= size[0], "seen without scrolling"
        cause = page.get_by_text("is no video file").locator("visible=true")
        assert cause.count() == 1, "told once"
        if size == browser.PHONE:
            place = cause.bounding_box()
            assert place["x"] >= 0 and place["x"] + place["width"] <= size[0], "why a file failed is seen, too"
        dark = browser.luminance(page.evaluate("() => getComputedStyle(document.body).backgroundColor")) < 0.2
        assert dark == (scheme == "dark")
        assert wrong == []


def test_a_benchmark_is_sorted_and_filtered_by_keys(samples: Path, tmp_path: Path) -> None:
    for kind, source in (("rainy", "street"), ("clean", "street_clean")):
        shutil.copy(samples / f"{source}.mp4", tmp_path / f"one_{kind}.mp4")
        shutil.copy(samples / f"{source}.mp4", tmp_path / f"two_{kind}.mp4")
    shutil.copy(samples / "street_clean.mp4", tmp_path / "two_rainy.mp4")
    sets = {"pairs": SetOptions(rainy=["*_rainy.mp4"], truth=["*_clean.mp4"], frames=2, steps=False)}
    methods = [Method(label="it", kind="model", options=CleanOptions(model="baseline"))]
    page_file = write_benchmark(evaluate(EvalOptions(data=tmp_path, sets=sets), methods, tmp_path / "out"))
    for size, scheme in ((browser.DESKTOP, "light"), (browser.PHONE, "dark")):
        with browser.shown(page_file, size=size, scheme=scheme) as (page, wrong):

            def shown(page: Any = page) -> list[list[str]]:
                """Clip, method and PSNR-Y of the rows that are seen."""
                rows = page.locator("table.sortable").first.locator("tbody tr:visible").all()
                return [row.locator("th,td").all_inner_texts()[:3] for row in rows]

            first = shown()
            assert [row[:2] for row in first] == [["one", "input"], ["one", "it"], ["two", "input"], ["two", "it"]]
            head = page.get_by_role("button", name="PSNR-Y", exact=True).first
            head.focus()
            page.keyboard.press("Enter")
            assert shown() == sorted(first, key=lambda row: float(row[2]))
            page.keyboard.press("Enter")
            assert shown() == sorted(first, key=lambda row: -float(row[2]))
            assert page.locator("th[aria-sort=descending]").count() == 1
            page.get_by_label("input", exact=True).press("Space")
            assert {row[1] for row in shown()} == {"it"}
            assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
            assert page.evaluate(browser.NAMELESS) == []
            clip = page.locator("table.sortable").first.locator("tbody tr:visible th").first
            here = clip.bounding_box()
            assert size == browser.DESKTOP or 80 < here["width"] < 0.45 * size[0], "words whole, room for figures"
            page.evaluate("() => { document.querySelector('.scroll').scrollLeft = 9999; }")
            scrolled = page.evaluate("() => document.querySelector('.scroll').scrollLeft")
            assert (scrolled > 0) == (size == browser.PHONE)
            assert clip.bounding_box() == here, "which clip it is stays in sight"
            assert min(page.evaluate(browser.LETTERS)) > 9
            before = page.evaluate("getComputedStyle(document.body).backgroundColor")
            page.get_by_role("button", name="Switch between light and dark").press("Enter")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
            assert wrong == []
