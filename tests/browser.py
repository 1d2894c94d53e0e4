"""A real browser for the pages that vidrain writes: headless Chromium, driven by playwright."""

from __future__ import annotations

import base64
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from playwright.sync_api import Page

# As root, without a GPU, and without a word to anybody.
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
ARGUMENTS += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
DESKTOP, PHONE = (1200, 900), (390, 844)


def program() -> str | None:
    """Path of Chromium, None where there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def opened(file: Path, *, size: tuple[int, int] = DESKTOP, scheme: Any = "light") -> Iterator[tuple[Page, list[str]]]:
    """The page in `file`, its pictures loaded; and what went wrong so far: errors, and requests that left the file."""
    with shown(file, size=size, scheme=scheme) as (page, wrong):
        settled(page)
        yield page, wrong


@contextmanager
def shown(file: Path, *, size: tuple[int, int] = DESKTOP, scheme: Any = "light") -> Iterator[tuple[Page, list[str]]]:
    """The same of a page without a video to wait for."""
    from playwright.sync_api import sync_playwright

    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=ARGUMENTS)
        viewport: Any = {"width": size[0], "height": size[1]}
        page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
        page.on("request", lambda request: wrong.append(request.url) if _leaves(request.url, file) else None)
        page.goto(file.as_uri())
        yield page, wrong
        browser.close()


def _leaves(url: str, file: Path) -> bool:
    return not url.startswith("data:") and url != file.as_uri()


def settled(page: Page, frame: int | None = None) -> None:
    """Wait until the frame that is named is the one that is drawn, and is `frame` if that is given.

    Without it this is true as well before what was pressed has had any effect.
    """
    page.wait_for_function(
        "() => { const c = document.getElementById('canvas'), v = document.getElementById('video');"
        "return c.dataset.frame !== undefined && !v.seeking && v.readyState >= 2 &&"
        "document.getElementById('where').textContent.startsWith(`frame ${c.dataset.frame} `) &&"
        f"c.dataset.frame === {f'String({frame})' if frame is not None else 'c.dataset.frame'}; }}"
    )


def picture(page: Page) -> npt.NDArray[np.uint8]:
    """What the canvas shows. [H, W, 3]"""
    url = page.evaluate("() => document.getElementById('canvas').toDataURL()")  # PNG: a number a sample takes seconds
    coded = np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8)
    shown = cv2.imdecode(coded, cv2.IMREAD_COLOR)
    assert shown is not None
    return np.ascontiguousarray(shown[..., ::-1])


def frame_of(page: Page) -> int:
    """The frame that the page names."""
    return int(page.inner_text("#where").split()[1])


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
