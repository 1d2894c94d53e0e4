"""The command that measures speed; `cli.py` offers it.

Everything heavy is imported inside the command, so `vidrain --help` answers at once.
"""

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vidrain.cli_options import FILE
from vidrain.errors import OK, PARTIAL, UsageError
from vidrain.running import run_command

if TYPE_CHECKING:
    from vidrain.progress import Sink

_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage, 4 done but some methods could not be measured, 5 no space or output not\n"
    "writable, 6 busy, 7 model unusable or no method could be measured, 70 a fault of vidrain,\n"
    "130 Ctrl-C, 143 terminated."
)


@click.command(epilog=_EXITS)
@click.option("-o", "--output", metavar="DIR", type=FILE, help="Folder for results.json and results.md.")
@click.option(
    "--method",
    "methods",
    metavar="METHOD,...",
    multiple=True,
    help="passthrough, published, a preset or a model, settings behind it: 'gate-s align.scale=0.25'; several: with "
    "commas, or again  [passthrough,fast,balanced,quality].",
)
@click.option("--size", "sizes", metavar="SIZE,...", default="720p", help="vga to 8k, or such as 640x360  [720p].")
@click.option("--frames", metavar="N,...", default="900", help="Length of the clip; several are compared  [900].")
@click.option("--repeats", type=int, default=5, help="How often everything is measured  [5].")
@click.option("--seed", type=int, default=1, help="The same seed gives the same clips and weights  [1].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; progress before it, a line each.")
@click.option("--force", is_flag=True, help="Replace such a folder that exists.")
def bench(
    output: Path | None,
    methods: tuple[str, ...],
    sizes: str,
    frames: str,
    *,
    repeats: int,
    seed: int,
    as_json: bool,
    force: bool,
) -> None:
    """Measure how long cleaning takes here, against decoding and encoding alone (passthrough), and how much memory.

    Clips are rendered on the fly. Nothing else should run meanwhile. How to read the tables: docs/speed.md.
    """

    def work(sink: "Sink") -> int:
        from vidrain.bench.plan import METHODS, BenchOptions
        from vidrain.bench.run import bench as run
        from vidrain.config import load_bench_methods, methods_in

        named = [part for text in methods for part in methods_in(text)]
        options = BenchOptions(
            methods=load_bench_methods(named or METHODS),
            sizes=tuple(sizes.split(",")),
            frames=_numbers(frames),
            repeats=repeats,
            seed=seed,
        )
        command = shlex.join(["vidrain", *sys.argv[1:]])
        found = run(options, output, force=force, command=command, on_event=sink)
        sink.finish()
        click.echo(json.dumps(found.facts) if as_json else found.page, nl=as_json)
        return OK if found.is_whole else PARTIAL

    run_command(work, as_json)


def _numbers(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    parts = text.split(",")
    if not all(part.isdecimal() for part in parts):
        raise UsageError(f"--frames {text}: is not a number, or several with commas between them, such as 300,3000")
    return tuple(int(part) for part in parts)
