"""Rows of a benchmark put together: gains, both means, tables, charts. Computes nothing from pictures."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from statistics import fmean
from typing import NamedTuple

from vidrain.charts import dot_chart
from vidrain.evaluation.measure import Row
from vidrain.evaluation.methods import INPUT
from vidrain.evaluation.sets import Kind

CLIPS, FRAMES = "mean over clips", "mean over frames"


class Line(NamedTuple):
    """One line of a table: a clip, or a mean, by one method. split: what the clips of the set are for."""

    of_set: str
    kind: Kind
    split: str
    clip: str
    method: str
    figures: Row
    is_mean: bool = False


class Column(NamedTuple):
    """A figure as it is shown. factor: for shares, which are shown in per cent; better: 1 more is better, -1 less, 0
    where neither is by itself."""

    key: str
    title: str
    digits: int
    better: int
    factor: float = 1.0


_PSNR_Y = Column("psnr_y", "PSNR-Y", 2, 1)
_LIKENESS = (
    Column("ssim_y", "SSIM-Y", 4, 1),
    Column("psnr_rgb", "PSNR-RGB", 2, 1),
    Column("ssim_rgb", "SSIM-RGB", 4, 1),
)
_STEPS = (Column("warp_ratio", "E_warp ratio", 3, -1), Column("tof", "tOF", 3, -1), Column("f_phys", "F_phys", 3, 1))
_OVERLAY = Column("overlay", "overlay max", 0, -1)
_CHANGED = (
    Column("changed", "pixels changed %", 2, -1, 100),
    Column("changed_frames", "frames changed %", 1, -1, 100),
)
_DRY = (
    Column("wet_gain", "gain of rainy frames", 2, 1),
    Column("dry_psnr_y", "dry PSNR-Y", 2, 1),
    Column("dry_changed", "dry frames changed %", 1, -1, 100),
)
_STILL = (Column("excess_gone", "gone %", 1, 1, 100), Column("flicker", "flicker", 3, -1))
_LOWEST = Column("lowest_psnr_y", "lowest", 2, 1)

COLUMNS: Mapping[Kind, tuple[Column, ...]] = {
    "pairs": (_PSNR_Y, Column("gain", "gain", 2, 1), *_LIKENESS, *_STEPS, *_STILL, _LOWEST, *_DRY, _OVERLAY),
    "clean": (_PSNR_Y, _LOWEST, *_LIKENESS, *_CHANGED, _OVERLAY),
    "real": (
        Column("excess_before", "excess of O", 1, 0),
        Column("excess", "excess of B", 1, -1),
        *_STILL,
        _STEPS[0],
        Column("tof", "tOF", 3, 0),
        _STEPS[2],
        Column("correlation", "correlation", 3, 0),
        Column("changed", "pixels changed %", 2, 0, 100),
        _OVERLAY,
    ),
}  # fmt: skip
_CHARTS: Mapping[Kind, tuple[str, ...]] = {
    "pairs": ("psnr_y",),
    "clean": ("psnr_y",),
    "real": ("excess_gone", "warp_ratio", "f_phys"),
}
_PER_FRAME = ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb", "changed", "tof", "f_phys", "correlation")


def with_gains(lines: Sequence[Line]) -> list[Line]:
    """The lines of pairs with what each method gains over the input, in dB-Y: over all frames, and over the rainy ones
    where others are dry."""
    inputs = {(line.of_set, line.clip): line.figures for line in lines if line.method == INPUT}
    found = []
    for line in lines:
        if line.kind == "pairs":
            before = inputs[line.of_set, line.clip]
            gains = {
                "gain": line.figures["psnr_y"] - before["psnr_y"],
                "wet_gain": line.figures["wet_psnr_y"] - before["wet_psnr_y"],
            }
            line = line._replace(figures=line.figures | gains)
        found.append(line)
    return found


def means(lines: Sequence[Line], frames: Mapping[tuple[str, str], Sequence[Row]]) -> Iterator[Line]:
    """Of every set and method: the mean over clips, all counting alike, and the mean over all frames.

    lines: of clips, with gains; frames: set and method -> figures of all frames. Means are over what could be measured;
    of the lowest, and of the largest change in an overlay, it is the lowest and the largest of all.
    """
    for of_set, method in dict.fromkeys((line.of_set, line.method) for line in lines):
        chosen = [line for line in lines if (line.of_set, line.method) == (of_set, method)]
        head = chosen[0]
        keys = dict.fromkeys(key for line in chosen for key in line.figures)
        over_clips = {key: _mean(line.figures.get(key, math.nan) for line in chosen) for key in keys}
        extremes = {
            "lowest_psnr_y": _extreme(min, [line.figures["lowest_psnr_y"] for line in chosen]),
            "overlay": _extreme(max, [line.figures["overlay"] for line in chosen]),
            "frames": sum(line.figures["frames"] for line in chosen),
        }
        yield head._replace(clip=f"{CLIPS} ({len(chosen)})", figures=over_clips | extremes, is_mean=True)
        rows = frames[of_set, method]
        over_frames = {key: _mean(row[key] for row in rows) for key in _PER_FRAME}
        if head.kind == "pairs":
            before = _mean(row["psnr_y"] for row in frames[of_set, INPUT])
            over_frames["gain"] = over_frames["psnr_y"] - before
        yield head._replace(clip=f"{FRAMES} ({len(rows)})", figures=over_frames | extremes, is_mean=True)


def markdown(lines: Sequence[Line]) -> Iterator[str]:
    """A table for every set, clips one below the other, then both means."""
    for of_set in dict.fromkeys(line.of_set for line in lines):
        chosen = [line for line in lines if line.of_set == of_set]
        columns = shown_columns(chosen)
        yield f"## {of_set} ({chosen[0].kind}, {chosen[0].split})"
        yield ""
        yield f"| clip | method | {' | '.join(column.title for column in columns)} |"
        yield "|" + " --- |" * (2 + len(columns))
        for clip in dict.fromkeys(line.clip for line in sorted(chosen, key=lambda line: line.is_mean)):
            for line in (line for line in chosen if line.clip == clip):
                cells = (shown(line.figures.get(column.key, math.nan), column) for column in columns)
                yield f"| {_cell(line.clip)} | {_cell(line.method)} | {' | '.join(cells)} |"
        yield ""


def _cell(text: str) -> str:
    """A text that stays in its column."""
    return text.replace("|", "\\|")


def shown_columns(lines: Sequence[Line]) -> list[Column]:
    """Columns of a set in which any line has a figure."""
    return [
        column
        for column in COLUMNS[lines[0].kind]
        if any(not math.isnan(line.figures.get(column.key, math.nan)) for line in lines)
    ]


def shown(value: float, column: Column) -> str:
    """A figure as text; empty where there is none."""
    if math.isnan(value):
        return ""
    sign = "+" if column.key in ("gain", "wet_gain") else ""
    return f"{value * column.factor:{sign}.{column.digits}f}"


def charts(lines: Sequence[Line]) -> Iterator[tuple[str, str]]:
    """(name, SVG) of the figures that count most in each set: a line for each clip, a mark for each method."""
    for of_set in dict.fromkeys(line.of_set for line in lines):
        chosen = [line for line in lines if line.of_set == of_set and not line.is_mean]
        for column in shown_columns(chosen):
            if column.key not in _CHARTS[chosen[0].kind]:
                continue
            clips = list(dict.fromkeys(line.clip for line in chosen))
            series = {
                method: [_figure(chosen, clip, method, column) for clip in clips]
                for method in dict.fromkeys(line.method for line in chosen)
            }
            yield f"{of_set}-{column.key}", dot_chart(clips, series, title=f"{of_set}: {column.title}")


def _figure(lines: Iterable[Line], clip: str, method: str, column: Column) -> float:
    """A figure as it is shown, NaN where there is none."""
    found = (line.figures.get(column.key, math.nan) for line in lines if (line.clip, line.method) == (clip, method))
    return next(found, math.nan) * column.factor


def _mean(values: Iterable[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return fmean(known) if known else math.nan


def _extreme(choose: Callable[[Iterable[float]], float], values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return choose(known) if known else math.nan
