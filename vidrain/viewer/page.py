"""Puts figures, proxies and facts into one HTML file that needs nothing else. Knows nothing of how they came about."""

import base64
import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any

from vidrain.batch_lines import readable
from vidrain.outputs import written
from vidrain.types import Frame, VideoInfo
from vidrain.verdict import headline
from vidrain.viewer.figures import EDGES, Figures, Shown
from vidrain.viewer.proxy import part_size

# Nothing may be fetched, from anywhere: whatever a file name or a tag says, it can be shown only.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; media-src data:; img-src data:"

VIDEO_BYTES = 12_000_000  # of a page: as text a third more, and a page is to stay below 20 MB


@dataclass(frozen=True)
class Excerpt:
    """A stretch of frames that can be looked at. video: bytes of the MP4; size: of one of its three parts."""

    frames: Sequence[Shown]
    durations: Sequence[float]  # seconds
    video: bytes
    size: tuple[int, int]


@dataclass(frozen=True)
class Content:
    """What a page shows. facts: label and value; verification: as `verdict.verification_facts`, None without one.

    config: as text; note: a sentence on what the rain amounts are; warnings: sentences on top of all.
    """

    title: str
    facts: Sequence[tuple[str, str]]
    note: str
    time_base: str
    config: str
    excerpts: Sequence[Excerpt]
    figures: Figures
    verification: dict[str, Any] | None = None
    warnings: Sequence[str] = ()


def excerpt_of(shown: Sequence[Shown], frames: Sequence[Frame], info: VideoInfo, small: Path) -> Excerpt:
    """What a page needs of the proxy at `small`. shown, frames: the same frames in order."""
    durations = [float(frame.duration * info.time_base) for frame in frames]
    return Excerpt(shown, durations, small.read_bytes(), part_size(info))


def facts_of(info: VideoInfo) -> list[tuple[str, str]]:
    """What a viewer may want to know of the source."""
    found = [
        ("source", readable(info.path.name)),
        ("picture", f"{info.codec} {info.width}x{info.height} {info.pix_fmt}"),
    ]
    if info.color.transfer in (16, 18):  # ISO/IEC 23091-2: PQ, HLG
        found.append(("note", "HDR: the small copies here show its codes as they are, paler than on an HDR display"))
    return found


def settings_text(settings: Mapping[str, Any]) -> str:
    """Settings as a page shows them: of paths the last name alone, since pages are given to others."""
    return json.dumps(settings, indent=2, default=_named)


def _named(value: object) -> str:
    return readable(value.name) if isinstance(value, Path) else str(value)


def page_of(content: Content) -> str:
    """The page as text."""
    return filled("page", content.title, _data(content))


def filled(name: str, title: str, data: dict[str, Any]) -> str:
    """The page `name`.html with its script, the style of all pages, and the data that its script shows."""
    texts = {part: _text(part) for part in (f"{name}.html", "page.css")}
    slots = {
        "POLICY": escape(POLICY),
        "TITLE": escape(readable(title)),
        "STYLE": texts["page.css"],
        "SCRIPT": script_of(name),
        "DATA": _as_script(data),
    }
    # in one go: a title may name a slot
    return re.sub("@@([A-Z]+)@@", lambda slot: slots[slot[1]], texts[f"{name}.html"])


def script_of(name: str) -> str:
    """The script of the page `name`.html: its own, and what all pages do."""
    return _text(f"{name}.js") + _text("theme.js")


def _text(name: str) -> str:
    return files("vidrain.viewer").joinpath(name).read_text(encoding="utf-8")


def write_page(content: Content, path: Path) -> None:
    """Write the page to `path`."""
    with written(path):
        path.write_text(page_of(content), encoding="utf-8")


def name_of(folder: Path) -> str:
    """Of a folder that pages are about, in these pages: where it lies is none of their readers' business."""
    return hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()


def is_page_of(page: Path, folder: Path) -> bool:
    """Whether `page` is about `folder` already, so that a newer one of it may take its place."""
    try:
        return name_of(folder).encode() in page.read_bytes()
    except OSError:
        return False


def _as_script(data: dict[str, Any]) -> str:
    """JSON that cannot end the element it stands in."""
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _data(content: Content) -> dict[str, Any]:
    figures = content.figures
    return {
        "facts": [list(fact) for fact in content.facts],
        "note": content.note,
        "timeBase": content.time_base,
        "config": content.config,
        "chart": [_row(frame) for frame in figures.chart],
        "worst": [_row(frame) for frame in figures.worst],
        "histogram": {"edges": list(EDGES), "counts": figures.histogram.tolist()},
        "changed": figures.changed / max(figures.pixels, 1),
        "excerpts": [
            {
                "frames": [_row(frame) for frame in excerpt.frames],
                "durations": list(excerpt.durations),
                "size": list(excerpt.size),
                "video": base64.b64encode(excerpt.video).decode(),
            }
            for excerpt in content.excerpts
        ],
        "verification": content.verification,
        "verdict": None if content.verification is None else headline(content.verification),
        "warnings": list(content.warnings),
    }


def _row(frame: Shown) -> list[float]:
    """Index, PTS, seconds, amount."""
    return list(asdict(frame).values())
