"""Pages in a real browser: the slider is dragged, keys are pressed, the chart is clicked, and every pixel looked at."""

from __future__ import annotations

import json
import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import browser, ffmpeg_says
from tests.painted import read_index
from vidrain.batch.inputs import items_in
from vidrain.batch.journal import Journal
from vidrain.batch.plan import files_of
from vidrain.batch.run import BatchOptions, run_batch
from vidrain.evaluation.methods import Method
from vidrain.evaluation.plan import EvalOptions
from vidrain.evaluation.run import evaluate
from vidrain.evaluation.sets import SetOptions
from vidrain.job import CleanOptions
from vidrain.pipeline import clean
from vidrain.viewer.batch_report import write_batch_report
from vidrain.viewer.benchmark import write_benchmark
from vidrain.viewer.preview import write_preview
from vidrain.viewer.report import write_report

pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.program() is None, reason="chromium not here: apt-get install chromium"),
]


@pytest.fixture(scope="module")
def preview(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 36 frames of vfr.mp4, whose pictures carry their numbers and whose times are uneven."""
    return write_preview(samples / "vfr.mp4", tmp_path_factory.mktemp("preview") / "vfr.html", seconds=10).page


@pytest.fixture(scope="module")
def report(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    shutil.copy(samples / "full_range.mp4", folder / "in.mp4")
    clean(folder / "in.mp4", folder / "in.clean.mp4", options=CleanOptions())
    return write_report(folder / "in.clean.mp4")


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
        assert "baseline weights=none" in page.inner_text("#made")
        page.click("text=All settings of 4 files")
        assert '"end": "3"' in page.inner_text("#config pre")
        assert wrong == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [browser.DESKTOP, browser.PHONE], ids=["desktop", "phone"])
def test_table_of_a_batch_is_readable(overview: Path, scheme: str, size: tuple[int, int]) -> None:
    with browser.shown(overview, size=size, scheme=scheme) as (page, wrong):
        assert [each for each in page.evaluate(COLORS) if contrast(each[1], each[2]) < 4.5] == []
        assert page.evaluate(NAMELESS) == []
        assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        rain = page.locator("td[data-key=rain]").first.bounding_box()
        assert rain["x"] + rain["width"] <= size[0], "seen without scrolling"
        cause = page.get_by_text("is no video file").locator("visible=true")
        assert cause.count() == 1, "told once"
        if size == browser.PHONE:
            place = cause.bounding_box()
            assert place["x"] >= 0 and place["x"] + place["width"] <= size[0], "why a file failed is seen, too"
        dark = luminance(page.evaluate("() => getComputedStyle(document.body).backgroundColor")) < 0.2
        assert dark == (scheme == "dark")
        assert wrong == []


@pytest.fixture(params=["preview", "report"])
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found


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
            assert page.evaluate(NAMELESS) == []
            clip = page.locator("table.sortable").first.locator("tbody tr:visible th").first
            here = clip.bounding_box()
            assert size == browser.DESKTOP or 80 < here["width"] < 0.45 * size[0], "words whole, room for figures"
            page.evaluate("() => { document.querySelector('.scroll').scrollLeft = 9999; }")
            scrolled = page.evaluate("() => document.querySelector('.scroll').scrollLeft")
            assert (scrolled > 0) == (size == browser.PHONE)
            assert clip.bounding_box() == here, "which clip it is stays in sight"
            assert min(page.evaluate(LETTERS)) > 9
            before = page.evaluate("getComputedStyle(document.body).backgroundColor")
            page.get_by_role("button", name="Switch between light and dark").press("Enter")
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
            assert wrong == []


TIMES = "\N{MULTIPLICATION SIGN}"


def painted(page: Any) -> int:
    """The number painted into the picture that the canvas shows."""
    return read_index(browser.picture(page).mean(axis=2).astype(np.uint8))


@pytest.mark.proves("frame stepping")
def test_keys_step_through_frames_whose_pictures_are_those_named(preview: Path, samples: Path) -> None:
    track = ffmpeg_says.shown_frames(samples / "vfr.mp4")
    with browser.opened(preview) as (page, wrong):
        page.keyboard.press("2")  # before
        page.keyboard.press("Home")
        last = len(track.pts) - 1
        for frame in range(len(track.pts)):
            browser.settled(page, frame)
            assert browser.frame_of(page) == painted(page) == frame
            assert f"PTS {track.pts[frame]} {TIMES} {track.time_base}" in page.inner_text("#where")
            page.keyboard.press("ArrowRight")
        browser.settled(page, last)
        assert painted(page) == last  # there is no further one
        page.keyboard.press("ArrowLeft")
        page.keyboard.press(",")
        browser.settled(page, last - 2)
        assert painted(page) == last - 2
        page.keyboard.press("3")  # after: the same frame
        page.wait_for_selector("[data-view=after][aria-pressed=true]")
        assert painted(page) == last - 2
        assert wrong == []


def test_dragged_divider_shows_before_on_its_left_and_after_on_its_right(page: Path) -> None:
    with browser.opened(page) as (opened, wrong):
        opened.keyboard.press("2")
        before = browser.picture(opened)
        opened.keyboard.press("3")
        after = browser.picture(opened)
        assert np.abs(before.astype(int) - after).max() > 30
        opened.keyboard.press("1")
        box = opened.locator("#stage").bounding_box()
        assert box is not None
        middle = box["y"] + box["height"] / 2
        opened.mouse.move(box["x"] + box["width"] * 0.5, middle)
        opened.mouse.down()
        opened.mouse.move(box["x"] + box["width"] * 0.8, middle, steps=4)
        opened.mouse.up()
        shown, width = browser.picture(opened), before.shape[1]
        at = round(0.8 * width)
        assert np.array_equal(shown[:, : at - 2], before[:, : at - 2])
        assert np.array_equal(shown[:, at + 2 :], after[:, at + 2 :])
        assert opened.input_value("#split") == "80"
        divider = opened.locator("#divider").bounding_box()
        assert divider is not None
        assert abs(divider["x"] + divider["width"] / 2 - (box["x"] + box["width"] * 0.8)) < 2
        opened.focus("#split")
        opened.keyboard.press("Home")
        assert np.array_equal(browser.picture(opened)[:, 2:], after[:, 2:])
        assert wrong == []


def test_difference_and_rain_are_what_was_removed(preview: Path) -> None:
    with browser.opened(preview) as (page, _):
        seen = {}
        for key, name in enumerate(("slider", "before", "after", "difference", "rain"), start=1):
            page.keyboard.press(str(key))
            assert page.get_attribute(f"[data-view={name}]", "aria-pressed") == "true"
            seen[name] = browser.picture(page).astype(int)
        due = np.clip(4 * np.abs(seen["before"] - seen["after"]), 0, 255)
        assert np.abs(seen["difference"] - due).mean() < 1
        brighter = np.clip(3 * (seen["before"] - seen["after"]).mean(axis=2), 0, 255)
        assert np.abs(seen["rain"].mean(axis=2) - brighter).mean() < 6  # coded on its own
        assert np.corrcoef(seen["rain"].mean(axis=2).ravel(), brighter.ravel())[0, 1] > 0.8


def test_chart_jumps_to_the_frame_of_that_time(preview: Path, samples: Path) -> None:
    seconds = np.array([float(time) for time in ffmpeg_says.shown_frames(samples / "vfr.mp4").seconds])
    with browser.opened(preview) as (page, _):
        chart = page.locator("#chart svg")
        box = chart.bounding_box()
        assert box is not None
        for share in (0.1, 0.5, 0.93):
            x = 58 + share * (box["width"] - 68)  # between the axes
            chart.click(position={"x": x, "y": box["height"] / 2})
            browser.settled(page)
            wanted = seconds[0] + share * (seconds[-1] - seconds[0])
            assert abs(seconds[browser.frame_of(page)] - wanted) <= np.abs(seconds - wanted).min() + 0.01
        here = browser.frame_of(page)
        page.focus("#chart")
        page.keyboard.press("ArrowLeft")
        browser.settled(page)
        assert browser.frame_of(page) < here
        page.locator("#worst button").first.click()
        browser.settled(page)
        assert str(browser.frame_of(page)) == page.inner_text("#worst tbody tr:first-child td:first-child")


def test_keys_work_whatever_has_the_focus(preview: Path) -> None:
    """A list, a slider and the chart keep the keys that they move by, and no others."""
    with browser.opened(preview) as (page, wrong):
        for control in ("#excerpt", "#split", "#seek", "#chart", "#worst >> xpath=.."):
            page.keyboard.press("1")
            page.focus(control)
            page.keyboard.press("5")
            assert page.get_attribute("[data-view=rain]", "aria-pressed") == "true", control
            page.keyboard.press("[")
            browser.settled(page, 0)
            page.keyboard.press(".")
            browser.settled(page, 1)
        page.keyboard.press("1")
        page.focus("#split")
        page.keyboard.press("End")
        assert (page.input_value("#split"), browser.frame_of(page)) == ("100", 1)
        page.focus("#excerpt")
        page.keyboard.press("Home")
        assert browser.frame_of(page) == 1
        assert wrong == []


def test_altgr_types_a_bracket_and_a_command_is_left_alone(preview: Path) -> None:
    with browser.opened(preview) as (page, _):
        page.keyboard.press("End")
        browser.settled(page, 35)
        press = (
            "(more) => document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '[', bubbles: true, ...more}))"
        )
        for held in ({"ctrlKey": True}, {"altKey": True}, {"ctrlKey": True, "altKey": True}, {"metaKey": True}):
            page.evaluate(press, held)
            assert browser.frame_of(page) == 35
        page.evaluate(press, {"ctrlKey": True, "altKey": True, "modifierAltGraph": True})
        browser.settled(page, 0)


def test_chart_moves_by_the_keys_of_a_slider(preview: Path) -> None:
    with browser.opened(preview) as (page, _):
        page.focus("#chart")
        page.keyboard.press("End")
        browser.settled(page, 35)
        page.keyboard.press("Home")
        browser.settled(page, 0)
        page.keyboard.press("ArrowUp")
        browser.settled(page, 1)
        page.keyboard.press("ArrowDown")
        browser.settled(page, 0)
        page.keyboard.press("Control+End")
        assert browser.frame_of(page) == 0


def test_frames_are_not_read_out_while_it_plays(preview: Path) -> None:
    with browser.opened(preview) as (page, _):
        assert page.get_attribute("#where", "aria-live") == "polite"
        page.keyboard.press("Home")
        browser.settled(page, 0)
        page.keyboard.press(" ")
        page.wait_for_function("() => document.getElementById('play').textContent === 'Pause'")
        assert page.get_attribute("#where", "aria-live") == "off"
        assert page.get_attribute("#play", "aria-pressed") is None, "its name says it already"
        page.keyboard.press(" ")
        page.wait_for_function("() => document.getElementById('where').getAttribute('aria-live') === 'polite'")


@pytest.mark.parametrize("size", [browser.DESKTOP, browser.PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    ("span", "shown"),
    [
        ((0.0, 0.12), {"0.05 s", "0.10 s"}),
        ((0.0, 1.4), {"0.5 s", "1.0 s"}),
        ((10.03, 10.19), {"10.10 s", "10.1 s"}),
        ((0.0, 59.9), {"20 s", "0 s"}),
        ((0.0, 80.0), {"0:30", "1:00"}),
        ((100.0, 100.2), {"1:40.1", "1:40.10"}),
        ((0.0, 3599.0), {"0:00", "30:00"}),
        ((0.0, 3600.0), {"0:00:00", "0:30:00", "1:00:00"}),
        ((0.0, 40000.0), {"0:00:00"}),
        ((-0.08, 1.0), {"0.0 s", "1.0 s"}),
    ],
)
def test_times_of_the_chart_stand_where_they_are(
    span: tuple[float, float], shown: set[str], size: tuple[int, int], preview: Path, tmp_path: Path
) -> None:
    """Whatever the length: no label twice, none beside its place, none cut off or in the other's way."""
    text, (first, last) = preview.read_text(), span
    head, data, tail = re.split(r'(?<=id="data">)(.*?)(?=</script>)', text, maxsplit=1)
    facts = json.loads(data)
    for rows in (facts["chart"], *(excerpt["frames"] for excerpt in facts["excerpts"])):
        for row, second in zip(rows, np.linspace(first, last, len(rows)), strict=True):
            row[2] = float(second)
    (tmp_path / "page.html").write_text(head + json.dumps(facts) + tail)
    with browser.shown(tmp_path / "page.html", size=size) as (page, wrong):
        found = page.evaluate(
            """() => Array.from(document.querySelectorAll('#chart text')).filter((t) => +t.getAttribute('y') > 205).map(
               (t) => [t.textContent, +t.getAttribute('x'), t.getBBox().x, t.getBBox().x + t.getBBox().width])"""
        )
        width = page.evaluate("() => document.querySelector('#chart svg').viewBox.baseVal.width")
        labels = [label for label, *_ in found]
        assert 1 <= len(labels) <= 6
        assert len(set(labels)) == len(labels)
        assert shown & set(labels)
        for label, x, left, right in found:
            parts = [float(part) for part in label.removesuffix(" s").split(":")]
            said = sum(part * 60**power for power, part in enumerate(reversed(parts)))
            assert 58 + (said - first) / (last - first) * (width - 68) == pytest.approx(x, abs=0.01), label
            assert 0 <= left < right <= width, label
        assert all(one[3] < other[2] for one, other in pairwise(found))
        assert wrong == []


def test_plays_and_stops(preview: Path) -> None:
    with browser.opened(preview) as (page, wrong):
        page.keyboard.press("Home")
        browser.settled(page)
        page.keyboard.press(" ")
        page.wait_for_function("() => Number(document.getElementById('seek').value) > 5")
        page.wait_for_function("() => document.getElementById('video').ended")
        assert page.inner_text("#play") == "Play"
        page.click("#play")  # from the beginning again
        page.wait_for_function("() => document.getElementById('play').textContent === 'Pause'")
        page.keyboard.press("ArrowLeft")  # a step stops it
        browser.settled(page)
        assert page.inner_text("#play") == "Play"
        page.keyboard.press("2")
        assert painted(page) == browser.frame_of(page)
        assert wrong == []


def luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)`: WCAG 2.2."""
    parts = [int(part) / 255 for part in color.partition("(")[2].rstrip(")").split(",")[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one: str, other: str) -> float:
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


COLORS = """() => Array.from(document.querySelectorAll('h1,h2,p,td,th,dt,dd,button,kbd,output,select')).filter(
  (node) => node.offsetParent && node.textContent.trim()).map((node) => {
  let under = node;
  while (getComputedStyle(under).backgroundColor === 'rgba(0, 0, 0, 0)') under = under.parentElement || document.body;
  return [node.tagName + ' ' + node.textContent.trim().slice(0, 20), getComputedStyle(node).color,
          getComputedStyle(under).backgroundColor]; })"""
LETTERS = "() => Array.from(document.querySelectorAll('svg text')).map((text) => text.getBoundingClientRect().height)"
NAMELESS = """() => Array.from(document.querySelectorAll('button,input,select,th,[tabindex="0"],.scroll')).filter(
  (node) =>
  node.matches('.scroll:not([tabindex="0"][role=region]),.scroll:not([aria-label],[aria-labelledby])') ||
  !(node.getAttribute('aria-label') || node.textContent.trim() || (node.labels && node.labels.length))).map(
  (node) => node.outerHTML)"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [browser.DESKTOP, browser.PHONE], ids=["desktop", "phone"])
def test_readable_in_both_schemes_and_sizes(page: Path, scheme: str, size: tuple[int, int]) -> None:
    """Names for all controls, a ring around what has the focus, contrast of 4.5 (WCAG 2.2, 1.4.3), nothing cut off."""
    with browser.opened(page, size=size, scheme=scheme) as (opened, wrong):
        low = [each for each in opened.evaluate(COLORS) if contrast(each[1], each[2]) < 4.5]
        assert low == []
        assert opened.evaluate(NAMELESS) == []
        assert opened.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
        dark = luminance(opened.evaluate("() => getComputedStyle(document.body).backgroundColor")) < 0.2
        assert dark == (scheme == "dark")
        opened.click("#theme")
        changed = luminance(opened.evaluate("() => getComputedStyle(document.body).backgroundColor")) < 0.2
        assert changed != dark
        opened.keyboard.press("Tab")
        style = opened.evaluate("() => getComputedStyle(document.activeElement).outlineStyle")
        assert style == "solid"
        assert min(opened.evaluate(LETTERS)) > 9
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
        assert page.locator("#made").inner_text().count("baseline") >= 1


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


@pytest.mark.timeout(1200)
def test_a_page_stays_below_20_megabytes_whatever_it_shows(tmp_path: Path) -> None:
    """Noise in the largest size that is shown, more frames than are: no encoder makes less of them by itself."""
    source, made = tmp_path / "in.mp4", tmp_path / "in.clean.mp4"
    noise = "testsrc2=s=640x480:r=25,noise=alls=60:allf=t"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "0", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly("-f", "lavfi", "-i", noise, "-frames:v", "500", *coding, "-crf", "15", source)
    ffmpeg_says.quietly("-i", source, "-fps_mode", "passthrough", *coding, "-crf", "20", made)
    page = write_report(made)
    assert 10_000_000 < page.stat().st_size < 20_000_000
