"""The tables of a benchmark as Markdown, for people: docs/speed.md says how to read them. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vidrain.bench.plan import PASSTHROUGH, PUBLISHED, size_of
from vidrain.bench.stages import BEFORE, CODEC, MODEL

Facts = Mapping[str, Any]
Figures = Mapping[str, Any]

BUSY = 0.5  # cores: half of one


def page(facts: Facts) -> str:
    """All tables that have rows, and what they were measured on."""
    summary = facts["summary"]
    parts = [
        _head(facts),
        _section("Whole jobs", summary["jobs"], _job_table),
        _section("Stages, ms a frame", summary["stages"], _stage_table),
        _section("Against the published network, per frame", summary["published"], _published_table),
        _section("Long clips against short ones", summary["lengths"], _length_table),
        _section("Cost of a pixel", summary["pixels"], _pixel_table),
        _failures(facts["failed"]),
    ]
    return "\n".join(line for part in parts for line in part)


def _head(facts: Facts) -> Iterator[str]:
    on, settings = facts["machine"], facts["settings"]
    yield "# Speed"
    yield ""
    yield f"    {facts['command'] or 'vidrain.bench'}"
    yield ""
    libraries = ", ".join(f"{name} {version}" for name, version in facts["libraries"].items())
    yield f"vidrain {facts['vidrain']}, {libraries}; {on['system']}, Python {on['python']}."
    devices = f"; {on['gpu']}" if on["gpu"] else "; no GPU"
    yield f"{on['processor']}, {on['cores']} cores, {on['torch_threads']} threads of torch{devices}."
    yield (
        f"{settings['repeats']} repeats behind one that warms up, methods in turns; medians, and in brackets the middle"
        f" half. {facts['encoder']}. Seed {settings['seed']}."
    )
    yield f"Load average at the start: {on['load']:.2f}."
    if facts["is_busy"]:
        yield ""
        yield f"**The machine was busy: load average above {BUSY:g} at the start. These figures mean nothing.**"
    drawn = [label for label, method in facts["methods"].items() if method["draws_weights"]]
    if drawn:
        yield ""
        yield f"Weights drawn at random: {', '.join(drawn)}; what encoding their pictures costs means nothing."


def _section(title: str, rows: Sequence[Figures], table: Any) -> Iterator[str]:
    if rows:
        yield from ("", f"## {title}", "")
        yield from table(rows)


def _job_table(rows: Sequence[Figures]) -> Iterator[str]:
    yield from _top(
        *("size", "frames", "method", "seconds", "ms a frame", "frames/s", f"times {PASSTHROUGH}"),
        *("ms after 30 frames", "seconds besides", "seconds to the first", "CPU ms a frame", "peak MiB", "other cores"),
    )
    for row in rows:
        rate = 1000 / row["ms_per_frame"]["median"]
        yield _row(
            *(row["size"], str(row["frames"]), row["method"], _span(row["seconds"], 2)),
            *(_span(row["ms_per_frame"], 1), f"{rate:.1f}", _span(row["to_passthrough"], 2)),
            *(
                _span(row["steady_ms"], 1),
                _span(row["besides_s"], 2),
                _span(row["first_s"], 2),
                _span(row["cpu_ms_per_frame"], 1),
            ),
            *(f"{row['peak_mib']:.0f}", "" if row["others"] is None else f"{row['others']:.2f}"),
        )


def _stage_table(rows: Sequence[Figures]) -> Iterator[str]:
    names = [name for name in (*CODEC, *MODEL) if any(name in row["stages"] for row in rows)]
    yield from _top("size", "method", *map(heading_of, names))
    for row in rows:
        yield _row(row["size"], row["method"], *(_span(row["stages"].get(name), 2) for name in names))


def heading_of(name: str) -> str:
    """What a column of the stage of that name is called."""
    before = next((before for before in BEFORE if name.startswith(before)), "")
    return f"{before}pass: {name.removeprefix(before)}" if before else name


def _published_table(rows: Sequence[Figures]) -> Iterator[str]:
    yield from _top("size", "frames", "method", "ms a frame", "times as fast")
    for row in rows:
        is_network = row["method"] == PUBLISHED
        name, frames = ("its network alone", "") if is_network else (row["method"], str(row["frames"]))
        ratio = "1" if is_network else _span(row["times_as_fast"], 1)
        yield _row(row["size"], frames, name, _span(row["ms_per_frame"], 1), ratio)


def _length_table(rows: Sequence[Figures]) -> Iterator[str]:
    yield from _top("size", "method", "frames", "time of a frame after the first 30, long / short", "peak MiB")
    for row in rows:
        frames, peaks = (" / ".join(f"{value:.0f}" for value in reversed(row[name])) for name in ("frames", "peak_mib"))
        yield _row(row["size"], row["method"], frames, _span(row["steady_ratio"], 3), peaks)


def _pixel_table(rows: Sequence[Figures]) -> Iterator[str]:
    yield from _top("method", "frames", "size", "ns a pixel", "to the smallest", "stages that are not linear")
    for row in rows:
        width, height = size_of(row["size"])
        stages = ", ".join(f"{name} x{ratio:.2f}" for name, ratio in row["not_linear"].items())
        sides = f"{width}x{height}"
        size = sides if row["size"] == sides else f"{row['size']} ({sides})"
        yield _row(
            *(row["method"], str(row["frames"]), size),
            *(_span(row["ns_per_pixel"], 1), _span(row["to_smallest"], 2), stages),
        )


def _failures(failed: Sequence[Figures]) -> Iterator[str]:
    if failed:
        yield from ("", "## Not measured", "")
    for row in failed:
        yield f"- {row['method']}, {row['size']}, {row['frames']} frames: {row['error']}"


def _span(figures: Mapping[str, float] | None, digits: int) -> str:
    """Median (first to third quartile), empty where nothing was measured."""
    if figures is None:
        return ""
    low, high = (f"{figures[name]:.{digits}f}" for name in ("low", "high"))
    return f"{figures['median']:.{digits}f} ({low}-{high})"


def _top(*names: str) -> Iterator[str]:
    yield _row(*names)
    yield f"|{' --- |' * len(names)}"


def _row(*cells: str) -> str:
    safe = (cell.replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(safe)} |"
