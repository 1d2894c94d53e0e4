"""Puts an analysis of rain into words, JSON, tables and charts, all from the same figures."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

from vidrain.charts import bar_chart, line_chart
from vidrain.outputs import FolderClaim, sync, written
from vidrain.rain_analysis import DIRECTIONS, LENGTHS, RainAnalysis
from vidrain.tables import Columns, Row, write_csv, write_parquet

SUMMARY = "rain.json"
FRAMES: Columns = {
    "frame": "int",
    "pts": "int",
    "seconds": "float",
    "rain": "float",
    "area": "float",
    "streaks": "int",
    "direction": "float",
    "length": "float",
}
_BINS: Columns = {"from": "int", "to": "int", "streaks": "int"}
_DIMENSIONS: Columns = {"side": "int", "patches": "int", "levina_bickel": "float", "two_nearest": "float"}
_NONE = float("nan")  # in tables: no streaks in that frame, too few patches


def rain_facts(found: RainAnalysis) -> dict[str, Any]:
    """The summary, ready for JSON."""
    mean = found.mean_direction
    return {
        "v": 1,
        "source": str(found.source),
        "made_by": found.made_by,
        "frames": len(found.frames),
        "missing": [list(stretch) for stretch in found.missing.picture],
        "missing_besides": list(found.missing.other),
        "rain": found.amount,
        "worst_frame": max(found.frames, key=lambda frame: frame.amount).index,
        "streaks": found.streaks,
        "direction": None if mean is None else {"degrees": mean[0], "concentration": mean[1]},
        "directions": _bins(DIRECTIONS, found.directions),
        "lengths": _bins(LENGTHS, found.lengths),
        "dimensions": [asdict(row) for row in found.dimensions],
    }


def rain_lines(facts: dict[str, Any]) -> Iterator[str]:
    """`rain_facts` for people."""
    yield (
        f"{facts['source']}: {facts['frames']} frames, rain {facts['rain']:.3%} of the range of luma, most in frame "
        f"{facts['worst_frame']}"
    )
    yield from (f"  missing    {start:.3f}-{end:.3f} s" for start, end in facts["missing"])
    yield from (f"  missing    {sentence}" for sentence in facts["missing_besides"])
    yield f"  streaks    {_streaks(facts)}"
    for row in facts["dimensions"]:
        figure = "too few patches" if row["levina_bickel"] is None else f"{row['levina_bickel']:.1f}"
        second = "" if row["two_nearest"] is None else f" ({row['two_nearest']:.1f})"
        yield f"  dimension  {figure}{second} of {row['side']}x{row['side']} patches of R"


def _streaks(facts: dict[str, Any]) -> str:
    if facts["direction"] is None:
        return "none"
    way = facts["direction"]
    lean = "right" if way["degrees"] > 0 else "left"
    return (
        f"{facts['streaks']}, falling {abs(way['degrees']):.1f} degrees to the {lean} of straight down "
        f"(concentration {way['concentration']:.2f}), half of them up to {_median(facts['lengths'])} pixels long"
    )


def write_rain(found: RainAnalysis, claim: FolderClaim) -> None:
    """Tables, charts and the summary into the folder that is claimed, which then gets its name."""
    with written(claim.target):
        _fill(found, claim.partial)
    claim.publish()


def _fill(found: RainAnalysis, folder: Path) -> None:
    facts = rain_facts(found)
    tables: list[tuple[str, Columns, Iterable[Row]]] = [
        ("frames", FRAMES, list(_frame_rows(found))),
        ("directions", _BINS, facts["directions"]),
        ("lengths", _BINS, facts["lengths"]),
        ("dimensions", _DIMENSIONS, [_with_nan(row) for row in facts["dimensions"]]),
    ]
    for name, columns, rows in tables:
        write_csv(rows, columns, folder / f"{name}.csv")
        write_parquet(rows, columns, folder / f"{name}.parquet")
    seconds, amounts = zip(*((frame.seconds, frame.amount * 100) for frame in found.frames), strict=True)
    charts = {
        "amount": line_chart(seconds, amounts, title="Rain over time", labels=("seconds", "% of the range of luma")),
        "directions": bar_chart(
            DIRECTIONS,
            found.directions,
            title="Direction of streaks",
            labels=("degrees from straight down, positive to the right", "streaks"),
        ),
        "lengths": bar_chart(
            LENGTHS[:-1],
            found.lengths[:-1],
            title="Length of streaks",
            labels=(
                f"pixels; {found.lengths[-1]} longer than {LENGTHS[-2]}" if found.lengths[-1] else "pixels",
                "streaks",
            ),
        ),
    }
    for name, svg in charts.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    (folder / SUMMARY).write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    for path in folder.iterdir():
        sync(path)


def _frame_rows(found: RainAnalysis) -> Iterator[Row]:
    for frame in found.frames:
        yield {
            "frame": frame.index,
            "pts": frame.pts,
            "seconds": frame.seconds,
            "rain": frame.amount,
            "area": frame.area,
            "streaks": frame.streaks,
            "direction": _NONE if frame.direction is None else frame.direction,
            "length": _NONE if frame.length is None else frame.length,
        }


def _with_nan(row: Row) -> Row:
    return {name: _NONE if value is None else value for name, value in row.items()}


def _bins(edges: tuple[int, ...], counts: tuple[int, ...]) -> list[dict[str, int]]:
    return [{"from": low, "to": high, "streaks": n} for (low, high), n in zip(pairwise(edges), counts, strict=True)]


def _median(bins: list[dict[str, int]]) -> int:
    """Upper edge of the bin that holds the middle one."""
    half, seen = sum(each["streaks"] for each in bins) / 2, 0
    for each in bins:
        seen += each["streaks"]
        if seen >= half:
            return each["to"]
    return bins[-1]["to"]
