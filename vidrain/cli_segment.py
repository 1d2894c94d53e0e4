"""The command for one segment of a video that many tasks make; `cli.py` offers it, `clean --slurm` plans them.

Everything heavy is imported inside the command, so `vidrain --help` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidrain.cli_options import FILE
from vidrain.errors import OK, PARTIAL, UsageError
from vidrain.running import run_command

if TYPE_CHECKING:
    from vidrain.job import CleanOptions
    from vidrain.progress import Sink

_EXITS = (
    "\b\nExit codes: 0 it is made, or OUT is there, 2 nothing is planned there, 3 input unusable, 4 it is left to\n"
    "clean: frames do not decode, 5 no space, or another job is planned there, 6 busy,\n"
    "7 model unusable, 70 a fault of vidrain, 130 Ctrl-C, 143 terminated."
)
_STOPPED = "the segment is not made, those that are stay"


@click.group()
def segment() -> None:
    """Make a video in segments, as tasks of a cluster."""


@segment.command("run", epilog=_EXITS)
@click.argument("output", metavar="OUT", type=FILE)
@click.option("--index", type=int, required=True, help="Which segment, from 0.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
def run(output: Path, *, index: int, as_json: bool) -> None:
    """Make one segment of OUT, as clean --slurm planned it.

    Segments may be made in any order, at the same time, on any machine that has the same version of vidrain and sees
    the files under the same paths. One that is made already is left as it is.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import clean_from
        from vidrain.events import Notice
        from vidrain.segments.alone import make_segment
        from vidrain.segments.folder import Unfinished
        from vidrain.watchdog import STALL_S, refuse_hung

        refuse_hung((output,), STALL_S)
        there = Unfinished(output)
        if there.is_over:
            sink(Notice(code="segments", message=f"{output}: is there already, and no segments of it are planned"))
            return OK
        asked = there.take_task()
        options = clean_from(asked["settings"])
        made = make_segment(Path(asked["source"]), output, index, options=options, on_event=sink)
        return PARTIAL if made is None else OK

    run_command(work, as_json, stopped=_STOPPED)


def write_array_script(script: Path, source: Path, output: Path | None, options: "CleanOptions", sink: "Sink") -> None:
    """Plan the segments of a job and write the script that makes them."""
    import os

    from vidrain.config import plain
    from vidrain.events import SegmentsPlan
    from vidrain.job import default_outputs
    from vidrain.outputs import claimed, refuse_clashes
    from vidrain.segments.alone import plan_segments
    from vidrain.segments.folder import folder_of
    from vidrain.segments.script import array_script
    from vidrain.watchdog import Watchdog, refuse_hung

    refuse_hung((script, output), options.stall_s)
    asked: dict[str, Any] = {"source": str(source.absolute()), "settings": plain(options)}
    written = [script, *([output] if output is not None else [])]
    Watchdog(source, options.stall_s).opened(lambda _: refuse_clashes(source, written))
    for target in default_outputs(source) if output is None else (output,):
        if folder_of(target).resolve() in (script.resolve(), *script.resolve().parents):
            raise UsageError(f"--slurm {script}: nothing but segments stays in {folder_of(target)}; name another place")
    with claimed(script, force=options.force) as claim:
        tasks = plan_segments(source, output, options=options, asked=asked, on_event=sink)
        text = array_script(tasks.target, segments=tasks.segments, threads=tasks.threads, device=tasks.device)
        claim.write(os.fsencode(text))
        claim.publish()
    plan = SegmentsPlan(
        source=str(source),
        output=str(tasks.target),
        script=str(script),
        frames=tasks.frames,
        segments=tasks.segments,
    )
    sink(plan)
