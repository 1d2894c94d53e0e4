"""Pages in a real browser: the slider is dragged, keys are pressed, the chart is clicked, and every pixel looked at."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import browser, ffmpeg_says
from tests.pages import page as page
from tests.pages import preview as preview
from tests.pages import report as report
from tests.painted import read_index

pytest.importorskip("playwright.sync_api")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(browser.program() is None, reason="chromium not here: apt-get install chromium"),
]


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


SILENT = """<script>
const tell = HTMLVideoElement.prototype.requestVideoFrameCallback;
let told = 0;
HTMLVideoElement.prototype.requestVideoFrameCallback = function (call) {
  return tell.call(this, (...values) => { if (told++ < 1) call(...values); });
};
</script></head>"""


def test_a_browser_that_stops_telling_of_frames_shows_them_all_the_same(preview: Path, tmp_path: Path) -> None:
    """As one does that has much else to do."""
    (tmp_path / "page.html").write_text(preview.read_text().replace("</head>", SILENT, 1))
    with browser.opened(tmp_path / "page.html") as (page, wrong):
        page.keyboard.press("2")
        for key, frame in (("End", 35), ("Home", 0), ("ArrowRight", 1)):
            page.keyboard.press(key)
            browser.settled(page, frame)
            assert painted(page) == frame
        assert wrong == []
