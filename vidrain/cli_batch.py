"""The commands for many files: batch run, status, retry; `cli.py` offers them.

Everything heavy is imported inside the commands, so `vidrain --help` answers at once.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidrain.cli_options import FILE, clean_settings, keys_of
from vidrain.errors import OK, UsageError
from vidrain.running import run_command
from vidrain.watchdog import STALL_S, Watchdog, refuse_hung

if TYPE_CHECKING:
    from vidrain.batch.journal import Journal
    from vidrain.batch.plan import File
    from vidrain.progress import Sink

_AT_WORK = (
    "5 no space, or OUT not writable, 6 another run is at work in OUT, 7 model unusable,\n"
    "70 a fault of vidrain, 130 Ctrl-C, 143 terminated."
)
_EXITS = (
    "\b\nExit codes: 0 all done, 1 some files failed,\n"
    "2 wrong usage, or a Ray cluster that is lost or has no CPUs,\n"
    "3 a folder, glob or manifest that stalls or cannot be read, 4 none failed but some are partial,\n" + _AT_WORK
)
_RETRY_EXITS = (
    "\b\nExit codes: 0 all done, 1 some files failed,\n"
    "2 wrong usage, no batch was run there, or a Ray cluster that is lost or has no CPUs,\n"
    "4 none failed but some are partial, or not finished,\n" + _AT_WORK
)
_STATUS_EXITS = (
    "\b\nExit codes: 0 all done, 1 some files failed, 2 no batch was run there,\n"
    "4 none failed but some are partial, or not finished, whether a run is at work or not,\n"
    "5 OUT cannot be read, or gives no answer."
)
_PAGE = "Also write an HTML page with a table of all files, when all is done; an older one of OUT is replaced."
_FRESH = "Forget what earlier runs did with these files, and list no others, after saying which; leave it out to go on."
_PROGRESS = click.option(
    "--progress/--no-progress",
    default=True,
    help="Whether a terminal shows a line for every worker; in a pipe none is shown  [progress].",
)
_STOPPED = "what is finished stays, and the same command goes on"


@click.group()
def batch() -> None:
    """Clean many files; what was stopped or killed goes on when it is started again."""


@batch.command("run", epilog=_EXITS)
@click.argument("arguments", metavar="IN... [KEY=VALUE]...", nargs=-1, required=True)
@click.option("-o", "--output", metavar="OUT", type=FILE, required=True, help="Folder of the clean videos.")
@click.option(
    "--also",
    multiple=True,
    type=click.Choice(["rain", "rain-preview", "compare"]),
    help="Also write this beside every clean video, as clean does; may be given several times.",
)
@click.option("--dry-run", is_flag=True, help="Only tell what would run, and about what time and space it takes.")
@click.option("--engine", type=click.Choice(["processes", "inline", "ray"]), help="Who does the work  [processes].")
@click.option("--workers", type=int, help="Files at a time  [a quarter of the cores].")
@click.option("--address", help="With --engine ray: the cluster, such as auto  [one on this machine].")
@click.option(
    "--keep-going/--stop-at-first", default=True, help="Whether a failed file lets others begin  [keep going]."
)
@click.option("--min-free", "min_free_mb", type=float, help="Megabytes on the disk of OUT that stay free  [1000].")
@click.option("--report", "page", type=FILE, help=_PAGE)
@click.option("--fresh", is_flag=True, help=_FRESH)
@clean_settings
@_PROGRESS
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, help="Replace files in OUT that no batch made there.")
def run(
    arguments: tuple[str, ...], output: Path, *, dry_run: bool, progress: bool, as_json: bool, **given: Any
) -> None:
    """Clean every IN: files, folders with all below them, globs in quotes, or a manifest with columns input[, output].

    Files that are done already, by the same settings from the same source, are left as they are. KEY=VALUE sets any key
    of configs/clean.yaml, such as baseline.radius=3, for all of them; a manifest may hold keys as further columns.
    """

    fresh = given.pop("fresh")

    def work(sink: "Sink") -> int:
        from vidrain.batch.foresight import foresee
        from vidrain.batch.inputs import items_in
        from vidrain.batch.journal import Journal
        from vidrain.batch.listing import plan_facts, plan_lines
        from vidrain.batch.options import BatchOptions
        from vidrain.batch.plan import files_of
        from vidrain.batch.run import run_batch
        from vidrain.batch.states import exit_code_of
        from vidrain.config import load_clean
        from vidrain.viewer.batch_report import refuse_batch_page

        also = tuple(dict.fromkeys(name.replace("-", "_") for name in given.pop("also")))
        names = ("engine", "workers", "address", "keep_going", "min_free_mb", "force")
        asked = {name: value for name in names if (value := given.pop(name)) is not None}
        options, page = BatchOptions(**asked), given.pop("page")
        config, keys = given.pop("config"), keys_of(given)
        inputs, pairs = _told_apart(arguments, keys["stall_s"] or STALL_S)
        patience_s = load_clean(config, pairs, keys).stall_s
        refuse_hung((output, page), patience_s)
        items = items_in(inputs, output, patience_s)
        files = files_of(items, lambda own: load_clean(config, [*pairs, *own], keys), also)
        if dry_run:
            journal = Journal(output)
            if fresh:
                _forget(files, journal, output, sink)
            plan = foresee(files, output, options, journal)
            sink.finish()
            click.echo(json.dumps(plan_facts(plan)) if as_json else "\n".join(plan_lines(plan)))
            return OK
        if page is not None:
            refuse_batch_page(page, files, output, force=options.force)
        run_batch(files, output, options, mode="fresh" if fresh else "on", on_event=sink)
        if page is not None:
            _write_page(page, output, sink, force=options.force)
        return exit_code_of(files, Journal(output))

    run_command(work, as_json, bar=progress, stopped=_STOPPED + ", without --fresh" * fresh)


@batch.command("status", epilog=_STATUS_EXITS)
@click.argument("output", metavar="OUT", type=FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def status(output: Path, *, as_json: bool) -> None:
    """Tell how far the batch in OUT is, and what failed; may be asked while it runs."""

    def work(sink: "Sink") -> int:
        from vidrain.batch.journal import Journal
        from vidrain.batch.listing import status_facts, status_lines
        from vidrain.batch.options import BatchOptions, at_a_time
        from vidrain.batch.plan import from_json

        refuse_hung((output,), STALL_S)
        journal = Journal(output)
        plan = _planned(journal, output)
        files, options = from_json(plan), BatchOptions(**plan["options"])
        facts = status_facts(files, journal, output, workers=at_a_time(options))
        click.echo(json.dumps(facts) if as_json else "\n".join(status_lines(facts)))
        return int(facts["exit_code"])

    run_command(work, as_json, bar=False)


@batch.command("retry", epilog=_RETRY_EXITS)
@click.argument("output", metavar="OUT", type=FILE)
@click.option("--report", "page", type=FILE, help=_PAGE)
@_PROGRESS
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
def retry(output: Path, page: Path | None, *, progress: bool, as_json: bool) -> None:
    """Run again what failed in OUT, with the settings of its last run; 4 where others are not finished yet."""

    def work(sink: "Sink") -> int:
        from vidrain.batch.journal import Journal
        from vidrain.batch.options import BatchOptions
        from vidrain.batch.plan import from_json
        from vidrain.batch.run import run_batch
        from vidrain.batch.states import ends_of, exit_code_of, unfinished
        from vidrain.viewer.batch_report import refuse_batch_page

        refuse_hung((output, page), STALL_S)
        journal = Journal(output)
        plan = _planned(journal, output)
        files = from_json(plan)
        options = replace(BatchOptions(**plan["options"]), force=False)  # that was said of what stood there then
        ends = ends_of(files, journal)
        failed = [file for file in files if ends.get(file.output, {}).get("state") == "failed"]
        if page is not None:
            refuse_batch_page(page, files, output, force=False)
        run_batch(failed, output, options, mode="again", on_event=sink)
        if page is not None:
            _write_page(page, output, sink, force=False)
        journal = Journal(output)
        ends = ends_of(files, journal)
        waiting = [file.output for file in files if file.output not in ends]
        if waiting:
            sink(unfinished(waiting))
        return exit_code_of(files, journal)

    run_command(work, as_json, bar=progress, stopped=_STOPPED)


def _forget(files: "list[File]", journal: "Journal", output: Path, sink: "Sink") -> None:
    """Have a dry run go by what `--fresh` would leave, and say what that discards; nothing is written."""
    from vidrain.batch.states import discarded

    if (notice := discarded(files, journal, output)) is not None:
        sink(notice)
    journal.leave_out({file.output for file in files})


def _told_apart(arguments: tuple[str, ...], patience_s: float) -> tuple[list[str], list[str]]:
    """Inputs and key=value pairs; a file may have = in its name."""
    inputs = [text for text in arguments if "=" not in text or _is_there(Path(text), patience_s)]
    if not inputs:
        raise UsageError("no IN is named; name files, folders, a glob or a manifest")
    return inputs, [text for text in arguments if text not in inputs]


def _is_there(path: Path, patience_s: float) -> bool:
    try:
        return Watchdog(path, patience_s).opened(lambda _: path.exists(), "while it was looked for")
    except OSError:  # no file could have such a name
        return False


def _planned(journal: Any, output: Path) -> dict[str, Any]:
    """What is asked for of OUT, by all its runs."""
    plan: dict[str, Any] | None = journal.plan()
    if plan is None:
        raise UsageError(f"{output}: no batch was run there; begin with: vidrain batch run IN -o {output}")
    return plan


def _write_page(page: Path, output: Path, sink: "Sink", *, force: bool) -> None:
    """The page of all files of the batch, not of this run alone."""
    from vidrain.viewer.batch_report import write_batch_report
    from vidrain.viewer.page import is_page_of

    write_batch_report(output, page, force=force or is_page_of(page, output), on_event=sink)
