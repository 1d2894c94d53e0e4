"""write_benchmark(): a benchmark as one HTML file: tables to sort, charts, worst frames, how it was made.

Everything stands in the page itself and can be read without its script, which sorts and hides rows.

    write_benchmark(evaluate(options, methods, folder))
"""

import base64
import json
import math
import re
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from vidrain.errors import OutputError, UsageError
from vidrain.evaluation.rows import Rows
from vidrain.evaluation.run import Benchmark
from vidrain.evaluation.summary import COLUMNS, Column, Line, charts, shown, shown_columns
from vidrain.events import OnEvent, PageDone, ignore
from vidrain.outputs import claimed
from vidrain.viewer.page import POLICY, is_page_of, name_of, script_of

PAGE = "results.html"
PICTURE_BYTES = 10_000_000  # of a page: as text a third more

_KINDS = {
    "pairs": "rendered rain, compared with the truth",
    "clean": "no rain: B compared with O, what is lost is harm done",
    "real": "real rain: no truth is known",
}
_STYLE = re.compile(r"<style>.*?</style>", re.DOTALL)  # of a chart: the page has its own, light and dark


def write_benchmark(found: Benchmark, page: Path | None = None, *, on_event: OnEvent = ignore) -> Path:
    """Write the page into the folder of the benchmark, in place of an older one, and to `page` too.

    Raises OutputError.
    """
    path, content = found.folder / PAGE, benchmark_page(found).encode()
    for target in (path, page):
        if target is not None:
            with claimed(target, force=True) as claim:
                claim.write(content)
                claim.publish()
    if page is not None:
        on_event(PageDone(output=str(page), size=len(content)))
    return path


def refuse_benchmark_page(page: Path, folder: Path) -> None:
    """Refuse beforehand a page that could not be written once all is measured. Raises VidrainError."""
    if folder.resolve() in (page.resolve(), *page.resolve().parents):
        raise UsageError(f"{page}: lies in {folder}, whose page is {folder / PAGE} anyway; choose another page")
    if page.is_file() and not is_page_of(page, folder):
        raise OutputError(f"{page}: exists already, and is no page of {folder}; choose another page")
    with claimed(page, force=True):
        pass


def benchmark_page(found: Benchmark) -> str:
    """The page as text."""
    folder = files("vidrain.viewer")
    page, own, style = (
        folder.joinpath(name).read_text(encoding="utf-8") for name in ("benchmark.html", "benchmark.css", "page.css")
    )
    slots = {
        "POLICY": escape(POLICY),
        "OF": name_of(found.folder),
        "STYLE": style + own,
        "SCRIPT": script_of("benchmark"),
        "METHODS": "".join(_choices(found.lines)),
        "SETS": "".join(_sets(found)),
        "WORST": "".join(_worst(found)),
        "MADE": "".join(_made(found)),
    }
    return re.sub(r"@@([A-Z]+)@@", lambda slot: slots[slot[1]], page)  # once: what is put in may hold any text


def _choices(lines: Sequence[Line]) -> Iterator[str]:
    """A box for each method, to hide its rows."""
    for method in dict.fromkeys(line.method for line in lines):
        text = escape(method, quote=True)
        yield f'<label class="choice"><input type="checkbox" checked data-method="{text}"> {text}</label>'


def _sets(found: Benchmark) -> Iterator[str]:
    drawn = dict(charts(found.lines))
    for number, name in enumerate(dict.fromkeys(line.of_set for line in found.lines)):
        lines = [line for line in found.lines if line.of_set == name]
        what = f"{_KINDS[lines[0].kind]}; {lines[0].split}"
        yield f'<section aria-labelledby="set{number}"><h2 id="set{number}">{escape(name)}</h2>'
        yield f'<p class="hint">{escape(what)}</p>'
        yield "".join(_table([line for line in lines if not line.is_mean], f"{name}, every clip"))
        both = sorted((line for line in lines if line.is_mean), key=lambda line: line.clip)  # over clips, over frames
        yield "".join(_table(both, f"{name}, means"))
        for column in COLUMNS[lines[0].kind]:
            if svg := drawn.get(f"{name}-{column.key}"):
                yield f'<div class="chart" tabindex="0" role="region" aria-label="Chart">{_STYLE.sub("", svg)}</div>'
        yield "</section>"


def _table(lines: Sequence[Line], caption: str) -> Iterator[str]:
    """Rows that can be sorted by any column; the best figure of each clip is marked."""
    columns = shown_columns(lines)
    yield f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption, quote=True)}">'
    yield f'<table class="sortable"><caption class="hidden">{escape(caption)}</caption><thead><tr>'
    heads = ["clip", "method", *(column.title for column in columns)]
    yield "".join(f'<th scope="col"><button type="button">{escape(head)}</button></th>' for head in heads)
    yield "</tr></thead><tbody>"
    best = {
        (clip, column.key): _best(lines, clip, column) for clip in {line.clip for line in lines} for column in columns
    }
    for line in lines:
        method = escape(line.method, quote=True)
        yield f'<tr data-method="{method}"><th scope="row">{escape(line.clip)}</th><td>{method}</td>'
        for column in columns:
            value = line.figures.get(column.key, math.nan)
            mark = ' class="best"' if value == best[line.clip, column.key] else ""
            yield f'<td data-value="{"" if math.isnan(value) else value}"{mark}>{shown(value, column)}</td>'
        yield "</tr>"
    yield "</tbody></table></div>"


def _best(lines: Sequence[Line], clip: str, column: Column) -> float | None:
    """The best figure of a clip; None where all methods have the same, or none is better by itself."""
    values = [line.figures.get(column.key, math.nan) for line in lines if line.clip == clip]
    known = [value for value in values if not math.isnan(value)]
    if len(set(known)) < 2 or not column.better:
        return None
    return max(known) if column.better > 0 else min(known)


def _worst(found: Benchmark) -> Iterator[str]:
    """Pictures of the worst frames, as many as fit; the others lie in the folder."""
    rows, room, left_out = Rows(found.folder), PICTURE_BYTES, 0
    for task, row in found.worst:
        path = rows.picture(task)
        content = path.read_bytes() if path.is_file() else b""
        if not content or len(content) > room:
            left_out += 1
            continue
        room -= len(content)
        worst = row["worst"]
        what = "O, B, truth, 3 x R" if worst["has_truth"] else "O, B, 3 x R"
        text = f"{' / '.join(task.name)}: frame {worst['frame']}, at {worst['left']}, {worst['top']}"
        source = base64.b64encode(content).decode()
        yield f'<figure data-method="{escape(task.method.label, quote=True)}">'
        yield f'<img src="data:image/png;base64,{source}" alt="{what} of {escape(text, quote=True)}">'
        yield f"<figcaption>{escape(text)} <span>({what})</span></figcaption></figure>"
    if left_out:
        yield f'<p class="hint">{left_out} more lie in the folder <code>worst</code> of the benchmark.</p>'


def _made(found: Benchmark) -> Iterator[str]:
    facts = found.facts
    texts = {
        "command": facts["command"],
        "vidrain": facts["vidrain"],
        "libraries": ", ".join(f"{name} {version}" for name, version in facts["libraries"].items()),
        "machine": ", ".join(f"{name}: {value}" for name, value in facts["machine"].items() if value is not None),
        "seed": str(facts["seed"]),
        "not measured": "; ".join(facts["not_measured"]),
    }
    yield "<dl>"
    yield from (f"<dt>{name}</dt><dd>{escape(text)}</dd>" for name, text in texts.items() if text)
    yield "</dl>"
    for title, key in (
        ("Methods and weights", "methods"),
        ("Hashes of all clips", "data"),
        ("All settings", "settings"),
    ):
        yield f"<details><summary>{title}</summary><pre>{escape(json.dumps(facts[key], indent=2))}</pre></details>"
