"""The commands for research: what a video is made of, as arrays, tables and figures; `cli.py` offers them.

Everything heavy is imported inside the commands, so `vidrain --help` answers at once.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidrain.cli_options import FILE, LAYERS_EXITS, STALL
from vidrain.errors import OK, PARTIAL
from vidrain.export.names import FORMATS, LAYERS, SPACES
from vidrain.running import run_command

if TYPE_CHECKING:
    from vidrain.progress import Sink

_RAIN_EXITS = (
    "\b\nExit codes: 0 measured, 2 wrong usage, 3 the file cannot be read, 4 measured but frames are lost, 5 not\n"
    "writable, 6 busy, 7 model unusable, 70 a fault of vidrain, 130 Ctrl-C, 143 terminated."
)

_EVAL_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage, 3 clips or results unusable, 5 no space or output not writable, 6 busy,\n"
    "7 model unusable, 70 a fault of vidrain, 130 Ctrl-C, 143 terminated."
)
_EVAL_PAGE = "Also write its HTML page, DIR/results.html, to another place; an older one of DIR is replaced."


@click.command(epilog=LAYERS_EXITS)
@click.argument("source", metavar="CLIP", type=FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option(
    "-o", "--output", metavar="DIR", type=FILE, required=True, help="Folder of the export; one begun goes on."
)
@click.option("--observed", is_flag=True, help="Export O, the frames as decoded. Without a layer: all three.")
@click.option("--background", is_flag=True, help="Export B, the frames without rain.")
@click.option("--rain", is_flag=True, help="Export R = O - B, signed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="zarr",
    help="How the arrays are stored  [zarr].",
)
@click.option("--space", type=click.Choice(SPACES), default="rgb", help="RGB codes or stored planes  [rgb].")
@click.option("--start", metavar="T", help="First frame: 250 (a frame), 12.5s or 0:01:02.5.")
@click.option("--end", metavar="T", help="First frame not exported any more, likewise.")
@click.option("--model", help="Choose the model by its name, as for clean.")
@click.option("--weights", type=FILE, help="Weights of the model, a safetensors file.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace an export that exists, drop one that was begun.")
def export(source: Path, pairs: tuple[str, ...], output: Path, as_json: bool, **given: Any) -> None:
    """Store O, B and R of every frame of CLIP as arrays of integers with a frame table: O = B + R, exactly.

    KEY=VALUE sets any key of configs/clean.yaml that concerns the model, such as baseline.radius=3, device or video.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_clean
        from vidrain.export.plan import ExportOptions
        from vidrain.export.run import export_clip

        layers = tuple(layer for layer in LAYERS if given.pop(layer))
        form, space = given.pop("form"), given.pop("space")
        options = ExportOptions(layers=layers or LAYERS, format=form, space=space, clean=load_clean(None, pairs, given))
        report = export_clip(source, output, options=options, command=_command(), on_event=sink)
        return OK if report.status == "ok" else PARTIAL

    run_command(work, as_json, stopped="the export goes on where it stopped when it is started again")


@click.command("eval", epilog=_EVAL_EXITS)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option(
    "-o", "--output", metavar="DIR", type=FILE, required=True, help="Folder of the benchmark; one begun goes on."
)
@click.option("-c", "--config", type=FILE, help="YAML file that names the sets of clips, such as configs/eval.yaml.")
@click.option("--data", metavar="DIR", type=FILE, help="Folder of the clips that the sets name.")
@click.option(
    "--method",
    "methods",
    metavar="METHOD",
    multiple=True,
    help="MODEL, MODEL=WEIGHTS or results=FOLDER, settings behind it: 'baseline baseline.passes=2'; several: again.",
)
@click.option("--set", "use", metavar="NAME", multiple=True, help="This set alone; several: again  [all].")
@click.option("--every", type=int, help="Score every Nth frame, where a set does not say  [1].")
@click.option("--report", "page", type=FILE, help=_EVAL_PAGE)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
def evaluate(pairs: tuple[str, ...], output: Path, config: Path | None, as_json: bool, **given: Any) -> None:
    """Measure methods against the truth, on clips without rain and on real rain; write tables, charts and pictures.

    KEY=VALUE sets any key of configs/eval.yaml, such as sets.paired.every=6. What every column means stands in
    docs/eval.md.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_eval, load_methods
        from vidrain.evaluation.run import TABLES
        from vidrain.evaluation.run import evaluate as run
        from vidrain.viewer.benchmark import refuse_benchmark_page, write_benchmark

        page = given.pop("page")
        lists = {name: list(given.pop(name)) or None for name in ("methods", "use")}
        options = load_eval(config, pairs, given | lists)
        methods = load_methods(options.methods)
        if page is not None:
            refuse_benchmark_page(page, output)
        found = run(options, methods, output, command=_command(), on_event=sink)
        write_benchmark(found, page, on_event=sink)
        sink.finish()
        if not as_json:
            click.echo((found.folder / TABLES).read_text(encoding="utf-8"), nl=False)
        return OK

    run_command(work, as_json, stopped="finished rows are kept; the benchmark goes on when it is started again")


@click.group()
def analyze() -> None:
    """Measure what a video is made of."""


@analyze.command("id", epilog="Exit codes: 0 measured, 3 the file cannot be read, or is too short.")
@click.argument("clip", metavar="CLIP", type=FILE)
@STALL
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def analyze_id(clip: Path, *, stall_s: float, as_json: bool) -> None:
    """Tell the intrinsic dimension of background patches and of rain patches of CLIP.

    Levina-Bickel, two-nearest-neighbour estimate in brackets, of 8x8 and 16x16 patches: whether rain is the simpler
    layer here, raw and once it is denoised.
    """

    def work(sink: "Sink") -> int:
        from vidrain import analysis

        found = analysis.dimensions(clip, stall_s=stall_s)
        click.echo(json.dumps(analysis.as_facts(found)) if as_json else "\n".join(analysis.as_lines(found)))
        return OK

    run_command(work, as_json, bar=False)


@analyze.command("rain", epilog=_RAIN_EXITS)
@click.argument("clip", metavar="CLIP", type=FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-o", "--output", metavar="DIR", type=FILE, help="Folder for tables (CSV, Parquet) and charts (SVG).")
@click.option("--start", metavar="T", help="First frame: 250 (a frame), 12.5s or 0:01:02.5.")
@click.option("--end", metavar="T", help="First frame not measured any more, likewise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--force", is_flag=True, default=None, help="Replace such a folder that exists.")
def analyze_rain(clip: Path, pairs: tuple[str, ...], output: Path | None, as_json: bool, **given: Any) -> None:
    """Tell how much it rains in CLIP, which way and how long its streaks are, and the intrinsic dimension of R.

    KEY=VALUE sets any key of configs/clean.yaml that concerns the model, such as model=baseline.
    """

    def work(sink: "Sink") -> int:
        from contextlib import nullcontext

        from vidrain import rain_listing
        from vidrain.config import load_clean
        from vidrain.events import ignore
        from vidrain.outputs import fresh_folder, refuse_within
        from vidrain.rain_analysis import rain_in
        from vidrain.tables import require_parquet

        options = load_clean(None, pairs, given)
        if output is not None:
            require_parquet()
            refuse_within(clip, output)
        claim = fresh_folder(output, force=options.force, mark=rain_listing.SUMMARY) if output else nullcontext(None)
        with claim as claimed:
            found = rain_in(clip, options, on_event=ignore if as_json else sink)
            if claimed is not None:
                rain_listing.write_rain(found, claimed)
        facts = rain_listing.rain_facts(found)
        sink.finish()
        click.echo(json.dumps(facts) if as_json else "\n".join(rain_listing.rain_lines(facts)))
        return PARTIAL if found.missing else OK

    run_command(work, as_json)


def _command() -> str:
    """The command as it could be given again."""
    return shlex.join(["vidrain", *sys.argv[1:]])
