"""evaluate(): any methods on any sets of clips, to tables, charts and pictures in one folder.

    evaluate(options, methods, Path("eval"), command="vidrain eval ...")

Rows are kept one by one: what is done already is not computed again while its clips, its method and the version are
what they were.
"""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from vidrain import __version__
from vidrain.adaptation import adapt_clips
from vidrain.errors import OutputError
from vidrain.evaluation.clips import clip_of
from vidrain.evaluation.measure import FRAME, Measured, Row, clip_figures, measure, wanted_of
from vidrain.evaluation.methods import Method, backgrounds
from vidrain.evaluation.plan import EvalOptions, EvalPlan, Task, libraries, machine, plan_eval
from vidrain.evaluation.rows import Kept, Rows
from vidrain.evaluation.sets import Found
from vidrain.evaluation.summary import Line, charts, markdown, means, with_gains
from vidrain.events import AdaptationDone, EvalDone, EvalRow, EvalStart, Event, Meter, Notice, OnEvent, ignore
from vidrain.outputs import claimed, held, written
from vidrain.tables import Columns, has_parquet, write_csv, write_parquet

RESULTS, TABLES = "results.json", "results.md"
_LOCK = ".vidrain-eval"
_NAMES: Columns = {"set": "text", "clip": "text", "method": "text"}
_FRAMES: Columns = {**_NAMES, "frame": "int", **FRAME}


@dataclass(frozen=True)
class Benchmark:
    """What came out. lines: clips, then both means; worst: the worst frames of each set and method, worst first."""

    folder: Path
    facts: dict[str, Any]
    lines: tuple[Line, ...]
    worst: tuple[tuple[Task, Kept], ...]
    plan: EvalPlan


def evaluate(
    options: EvalOptions, methods: list[Method], output: Path, *, command: str = "", on_event: OnEvent = ignore
) -> Benchmark:
    """Measure methods on the sets of `options`, and write everything into the folder `output`.

    command: as it could be given again, to be written down. Raises VidrainError.
    """
    began = monotonic()
    _refuse_foreign(output)
    plan = plan_eval(options, methods)
    with written(output):
        output.mkdir(exist_ok=True)
    with held(output / _LOCK, output):
        rows = Rows(output)
        todo = [task for task in plan.tasks if rows.of(task) is None]
        on_event(
            EvalStart(
                output=str(output),
                sets=list(dict.fromkeys(task.found.of_set for task in plan.tasks)),
                methods=list(dict.fromkeys(task.method.label for task in plan.tasks)),
                rows=len(plan.tasks),
                kept=len(plan.tasks) - len(todo),
                frames=sum(task.frames for task in todo),
            )
        )
        for sentence in plan.skipped:
            on_event(Notice(code="eval", message=sentence))
        meter = Meter(sum(task.frames for task in todo))
        for task in todo:
            _compute(task, rows, options, meter, on_event)
        benchmark = _gathered(plan, rows, options, methods, command)
        _write(benchmark, rows)
    on_event(
        EvalDone(output=str(output), rows=len(plan.tasks), computed=len(todo), seconds=round(monotonic() - began, 3))
    )
    return benchmark


def _refuse_foreign(output: Path) -> None:
    """OutputError for a folder that holds something else, or a parent that is not there."""
    if output.is_dir():
        if any(output.iterdir()) and not (output / _LOCK).is_file():
            raise OutputError(f"{output}: holds something else than a benchmark; choose another -o")
    elif output.exists():
        raise OutputError(f"{output}: is no folder; choose another -o")
    elif not output.parent.is_dir():
        raise OutputError(f"{output}: the folder {output.parent} does not exist; create it, or choose another -o")


def _compute(task: Task, rows: Rows, options: EvalOptions, meter: Meter, on_event: OnEvent) -> None:
    """Measure one row and keep it."""
    began = monotonic()
    torch.manual_seed(options.seed)
    weights, adapted = _adapted(task, rows, on_event)
    found = measured(task.found, task.method, weights, lambda: on_event(meter.tick()))
    seconds = monotonic() - began
    rows.keep(task, found, seconds, adapted)
    figures = _without_nan(found.clip)
    on_event(EvalRow(set=task.name[0], clip=task.name[1], method=task.name[2], figures=figures, seconds=seconds))


def measured(
    found: Found, method: Method, weights: Path | None = None, tick: Callable[[], None] = lambda: None
) -> Measured:
    """One clip by one method. weights: in place of its own; tick: called after every frame. Raises VidrainError."""
    sources = clip_of(found.path), None if found.truth is None else clip_of(found.truth)
    cleaned = backgrounds(method, method.decomposer(weights), found, wanted_of(found))
    return measure(found, sources, cleaned, tick)


def _adapted(task: Task, rows: Rows, on_event: OnEvent) -> tuple[Path | None, dict[str, Any] | None]:
    """Weights fitted to the clip and what came of it; None where the method is used as it is."""
    if task.method.options is None or not task.method.is_adapted:
        return None, None
    path = rows.weights(task)
    with written(path):
        path.parent.mkdir(parents=True, exist_ok=True)

    def passed_on(event: Event) -> None:
        if isinstance(event, AdaptationDone | Notice):  # its steps would move the bar of the frames
            on_event(event)

    options = replace(task.method.options, force=True)
    made = adapt_clips([task.found.path], path, options, on_event=passed_on)
    return path, {"weights": made.hash, "steps": made.outcome.steps, "factors": made.outcome.factors}


def _gathered(plan: EvalPlan, rows: Rows, options: EvalOptions, methods: Sequence[Method], command: str) -> Benchmark:
    """All rows of the plan put together."""
    kept = [(task, row) for task in plan.tasks if (row := rows.of(task)) is not None]
    lines = with_gains([_line(task, row) for task, row in kept])
    frames: dict[tuple[str, str], list[Row]] = {}
    for task, row in kept:
        frames.setdefault((task.found.of_set, task.method.label), []).extend(row["frames"].values())
    whole = (*lines, *means(lines, frames))
    facts = {
        "v": 1,
        "vidrain": __version__,
        "command": command,
        "seed": options.seed,
        "libraries": libraries(),
        "machine": machine(),
        "settings": _plain(asdict(options)),
        "methods": {method.label: method.facts for method in methods},
        "data": plan.hashes,
        "not_measured": list(plan.skipped),
        "rows": [
            {**_named(line), "is_mean": line.is_mean, "figures": _without_nan(line.figures)}
            | ({"worst": kept[place][1]["worst"], "adapted": kept[place][1]["adapted"]} if place < len(kept) else {})
            for place, line in enumerate(whole)
        ],
    }
    return Benchmark(rows.folder, facts, whole, tuple(_worst(kept, options.worst)), plan)


def _line(task: Task, row: Kept) -> Line:
    """The line of a clip; what follows from its frames is taken from them anew, as a later version may say more."""
    found = task.found
    figures = row["clip"] | clip_figures(row["frames"])
    return Line(found.of_set, found.kind, found.split, found.name, task.method.label, figures)


def _worst(kept: Iterable[tuple[Task, Kept]], count: int) -> Iterator[tuple[Task, Kept]]:
    """Of each set and method the clips whose worst frame is worst; the input is as it is."""
    groups: dict[tuple[str, str], list[tuple[Task, Kept]]] = {}
    for task, row in kept:
        if row["worst"] is not None and task.method.kind != "input":
            groups.setdefault((task.found.of_set, task.method.label), []).append((task, row))
    for group in groups.values():
        yield from sorted(group, key=_badness)[:count]


def _badness(item: tuple[Task, Kept]) -> tuple[float, str]:
    task, row = item
    figures = row["frames"][row["worst"]["frame"]]
    value = figures["f_phys" if task.found.kind == "real" else "psnr_y"]
    return (math.inf if math.isnan(value) else value), task.found.name


def _write(benchmark: Benchmark, rows: Rows) -> None:
    """Tables, charts and pictures, each in one step; those of an earlier run that mean nothing any more go."""
    folder = benchmark.folder
    _put(folder / RESULTS, json.dumps(benchmark.facts, indent=1) + "\n")
    _put(folder / TABLES, "\n".join(_page(benchmark)) + "\n")
    _table(benchmark, rows)
    with written(folder):
        shutil.rmtree(folder / "charts", ignore_errors=True)
        (folder / "charts").mkdir()
    for name, svg in charts(benchmark.lines):
        _put(folder / "charts" / f"{name}.svg", svg)


def _page(benchmark: Benchmark) -> Iterator[str]:
    """The tables as Markdown, with all that is needed to get them again."""
    facts = benchmark.facts
    yield "# Benchmark"
    yield ""
    yield from markdown(benchmark.lines)
    yield from (f"Not measured: {sentence}." for sentence in facts["not_measured"])
    if benchmark.worst:
        yield "## Worst frames: O, B, truth (where it is known), three times R around grey"
        yield ""
    for task, row in benchmark.worst:
        path = Rows(Path()).picture(task).as_posix()
        place = f"frame {row['worst']['frame']} at {row['worst']['left']}, {row['worst']['top']}"
        yield f"{' / '.join(task.name)}, {place}:"
        yield ""
        yield f"![{task.found.name}]({path})"
        yield ""
    yield "## How this was made"
    yield ""
    yield f"    {facts['command'] or 'vidrain.evaluate'}"
    yield ""
    used = [f"vidrain {facts['vidrain']}", *(f"{name} {found}" for name, found in facts["libraries"].items())]
    on = facts["machine"]
    yield f"{', '.join(used)}; seed {facts['seed']}; {on['processor']}, {on['cores']} cores."
    yield f"Weights, hashes of all clips and every setting: {RESULTS}. Every frame: frames.csv."


def _table(benchmark: Benchmark, rows: Rows) -> None:
    """Figures of every frame."""

    def each() -> Iterator[dict[str, Any]]:
        for task in benchmark.plan.tasks:
            row = rows.of(task)
            for index, figures in (row["frames"] if row else {}).items():
                yield dict(zip(_NAMES, task.name, strict=True)) | {"frame": index} | figures

    writers = [("frames.csv", write_csv)]
    if has_parquet():
        writers.append(("frames.parquet", write_parquet))
    for name, write in writers:
        with claimed(benchmark.folder / name, force=True) as claim:
            with written(claim.target):
                write(each(), _FRAMES, claim.partial)
            claim.publish()


def _put(path: Path, text: str) -> None:
    with claimed(path, force=True) as claim:
        claim.write(text.encode())
        claim.publish()


def _named(line: Line) -> dict[str, str]:
    return {"set": line.of_set, "kind": line.kind, "split": line.split, "clip": line.clip, "method": line.method}


def _without_nan(figures: Row) -> dict[str, float | None]:
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def _plain(settings: Any) -> Any:
    """Settings as JSON can hold them."""
    return json.loads(json.dumps(settings, default=str))
