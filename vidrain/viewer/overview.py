"""Many files on one page: a table to sort, with small pictures. Knows nothing of how they came about."""

import base64
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vidrain.viewer.page import filled


@dataclass(frozen=True, kw_only=True)
class Row:
    """One file. href: where the clean file lies, from the page; pictures: JPEGs of before and after, or of after alone.

    frames, seconds (of work), source_bytes, written_bytes, rain: None where they are not known. rain: mean amount, in
    [0, 1]; rain_over_time: the same of equal stretches.
    """

    file: str
    href: str
    source: str
    state: str
    cause: str = ""
    frames: int | None = None
    seconds: float | None = None
    source_bytes: int | None = None
    written_bytes: int | None = None
    rain: float | None = None
    rain_over_time: Sequence[float] = ()
    pictures: Sequence[bytes] = ()


@dataclass(frozen=True, kw_only=True)
class Made:
    """What made the files: lines of provenance, and settings as texts, each with how many files it made."""

    lines: Sequence[tuple[str, int]]
    settings: Sequence[tuple[str, int]]


def overview_of(title: str, note: str, rows: Sequence[Row], made: Made, *, of: str) -> str:
    """The page as text. note: a sentence above the table; of: what tells this table from others, in the page."""
    data: dict[str, Any] = {"of": of, "note": note, "rows": [_plain(row) for row in rows]}
    data |= {"made": made.lines, "settings": made.settings}
    return filled("overview", title, data)


def _plain(row: Row) -> dict[str, Any]:
    return asdict(row) | {"pictures": [base64.b64encode(picture).decode() for picture in row.pictures]}
