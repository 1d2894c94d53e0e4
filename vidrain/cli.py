"""The command line: options in, one call of the library, an exit code out.

The commands for research are in `cli_research.py`, those for many files in `cli_batch.py` and so on; click is used in
these modules alone.

Everything heavy is imported inside the commands, so `vidrain --help` answers at once.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidrain import __version__
from vidrain.cli_batch import batch
from vidrain.cli_bench import bench
from vidrain.cli_options import FILE, LAYERS_EXITS, STALL, clean_settings, keys_of
from vidrain.cli_rain import rain
from vidrain.cli_research import analyze, evaluate, export
from vidrain.cli_segment import segment, write_array_script
from vidrain.errors import OK, PARTIAL, DeviceError, UsageError
from vidrain.running import run_command

if TYPE_CHECKING:
    from vidrain.progress import Sink
    from vidrain.report import CleanReport

_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage, 3 input unusable, 4 done but parts of the source were lost,\n"
    "5 no space or output not writable, 6 busy, 7 model unusable, 70 a fault of vidrain, 130 Ctrl-C, 143 terminated."
)
_VERIFY_EXITS = (
    "\b\nExit codes: 0 the same, 2 wrong usage, 3 IN or OUT cannot be read, 4 the same, but IN itself has lost parts,\n"
    "5 something differs."
)
_TRAIN_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage, 3 clips unusable, 5 not writable, 6 busy, 70 a fault of vidrain,\n"
    "130 Ctrl-C, 143 terminated."
)
_ADAPT_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage, 3 clips unusable, 5 no space or output not writable, 6 busy,\n"
    "7 weights unusable, 70 a fault of vidrain, 130 Ctrl-C, 143 terminated."
)
_REPORT_EXITS = "Exit codes: 0 done, 2 wrong usage, 3 IN or OUT cannot be read, 5 not writable, 6 busy."
_INSPECT_EXITS = "Exit codes: 0 the file is whole, 3 it cannot be read, 4 parts of it are missing."


@click.group(epilog="Start with: vidrain clean rainy.mp4")
@click.version_option(__version__, prog_name="vidrain")
def main() -> None:
    """Take the rain out of video and keep everything else exactly as it was."""


def command() -> None:
    """Run the command line as a program: what click finds wrong is one line too."""
    try:
        code = main.main(prog_name="vidrain", standalone_mode=False)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        code = error.exit_code
    except click.ClickException as error:
        context = error.ctx if isinstance(error, click.UsageError) else None
        place = context.command_path if context is not None else "vidrain"
        code = error.exit_code
        from vidrain.progress import sink_for  # rich takes a tenth of a second

        with sink_for("--json" in sys.argv, bar=False) as sink:  # click came to no option
            sink.failed(f"{' '.join(error.format_message().split())} See {place} --help", code)
    raise SystemExit(code)


@main.command(epilog=_EXITS)
@click.argument("source", metavar="INPUT", type=FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-o", "--output", type=FILE, help="Clean video, .mp4, .mov or .mkv  [INPUT.clean.mp4].")
@click.option("--rain", type=FILE, help="Also write what was removed: lossless, exact.")
@click.option("--rain-preview", type=FILE, help="Also write what was removed, three times as bright, to be looked at.")
@click.option("--compare", type=FILE, help="Also write before | after | 3 x removed, side by side.")
@click.option("--keep-adapted", type=FILE, help="Also write the weights that were used, a safetensors file.")
@click.option("--report", "page", type=FILE, help="Also write an HTML page to look at, when all is done.")
@click.option("--slurm", type=FILE, help="Only write a script for sbatch: its tasks make the segments, each one.")
@clean_settings
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace outputs that exist.")
@click.option("--fresh", is_flag=True, default=None, help="Begin anew where a run was broken off, even another one.")
def clean(source: Path, pairs: tuple[str, ...], output: Path | None, *, as_json: bool, **given: Any) -> None:
    """Take the rain out of INPUT.

    KEY=VALUE sets any key of configs/clean.yaml, such as baseline.radius=3. What is given here wins over KEY=VALUE,
    which wins over the file of -c.
    """
    page, slurm = given.pop("page"), given.pop("slurm")

    def work(sink: "Sink") -> int:
        from vidrain.config import load_clean
        from vidrain.pipeline import clean as run
        from vidrain.viewer.page import settings_text
        from vidrain.viewer.report import refuse_page, write_report

        options = load_clean(given.pop("config"), pairs, keys_of(given))
        if slurm is not None:
            write_array_script(slurm, source, output, options, sink)
            return OK
        if page is not None:
            refuse_page(page, source, output, options)

        def write_page(report: "CleanReport") -> None:
            if page is not None:
                settings = settings_text(asdict(options))
                write_report(report.outputs["clean"], source, page, options=options, settings=settings, on_event=sink)

        try:
            report = run(source, output, options=options, on_event=sink, then=write_page)
        except DeviceError as error:
            if error.device == "cpu":
                raise
            raise DeviceError(f"{error} (--device cpu --fresh)", error.device) from error
        return PARTIAL if report.status == "partial" else OK

    run_command(work, as_json)


@main.command(epilog=_INSPECT_EXITS)
@click.argument("source", metavar="INPUT", type=FILE)
@click.option("--frames", is_flag=True, help="One line per frame: index, time in ticks, seconds, whether a key frame.")
@STALL
@click.option("--access", is_flag=True, help="Also fetch 200 random frames by number and compare, with decord too.")
@click.option("--rain", is_flag=True, help="Also tell at twelve places whether it rains: decodes what lies before.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --frames one per frame.")
def inspect(source: Path, *, frames: bool, stall_s: float, as_json: bool, **further: Any) -> None:
    """Tell what is in INPUT, what is damaged, and what clean would do."""

    def work(sink: "Sink") -> int:
        from vidrain import listing
        from vidrain.inspection import inspect as look

        asked = [name for name, is_wanted in further.items() if is_wanted]
        if frames and asked:
            raise UsageError(f"--frames tells of frames alone, not of --{asked[0]}: leave out one of the two")
        found = look(source, stall_s=stall_s, further=asked)
        if frames:
            each = listing.frame_facts(found.source.index, found.source.info.time_base)
            for facts in each:
                click.echo(json.dumps(facts) if as_json else listing.frame_line(facts))
        else:
            facts = listing.file_facts(found)
            click.echo(json.dumps(facts) if as_json else "\n".join(listing.file_lines(facts)))
        return OK if found.is_whole else PARTIAL

    run_command(work, as_json, bar=False)


@main.command(epilog=_VERIFY_EXITS)
@click.argument("output", metavar="OUT", type=FILE)
@click.option("--against", "source", metavar="IN", type=FILE, required=True, help="The video OUT was made from.")
@click.option("--full", is_flag=True, help="Decode every frame of both, compare every time and every picture.")
@click.option("--start", metavar="T", help="If only a part was cleaned: its start, as given to clean.")
@click.option("--end", metavar="T", help="Its end, likewise.")
@click.option("--keep-pts", is_flag=True, help="If it was cleaned with --keep-pts.")
@click.option("--cfr", metavar="N", help="If it was cleaned with --cfr: its frame rate.")
@click.option("--video", metavar="N|all", default="0", help="Which video was cleaned, as given to clean  [0].")
@STALL
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --full progress before it, a line each.")
def verify(output: Path, source: Path, *, full: bool, as_json: bool, **given: Any) -> None:
    """Tell whether OUT is IN in everything but the rain."""

    def work(sink: "Sink") -> int:
        from vidrain import verdict
        from vidrain.job import CleanOptions
        from vidrain.verification import verify_against

        found = verify_against(output, source, full=full, options=CleanOptions(**given), on_event=sink)
        facts = verdict.verification_facts(found)
        sink.finish()
        click.echo(json.dumps(facts) if as_json else "\n".join(verdict.verification_lines(facts)))
        return found.exit_code

    run_command(work, as_json, bar=full)


@main.command(epilog=LAYERS_EXITS)
@click.argument("clip", metavar="CLIP", type=FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--at", metavar="T", default="0", help="First frame: 250 (a frame), 12.5s or 1:12  [0].")
@click.option("--seconds", type=float, default=5.0, help="How much to show, up to 60  [5].")
@click.option("-o", "--output", type=FILE, help="The page  [CLIP.preview.html].")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace a page that exists.")
def preview(clip: Path, pairs: tuple[str, ...], at: str, seconds: float, output: Path | None, **given: Any) -> None:
    """Clean a few seconds of CLIP and write one HTML file to look at them, before and after.

    KEY=VALUE sets any key of configs/clean.yaml that concerns the model, such as model=baseline.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_clean
        from vidrain.viewer.preview import write_preview

        options = load_clean(None, pairs, {"force": given["force"]})
        found = write_preview(clip, output, at=at, seconds=seconds, options=options, on_event=sink)
        _named(found.page, given["as_json"])
        return PARTIAL if found.missing else OK

    run_command(work, given["as_json"])


def _overview(folder: Path, source: Path | None, output: Path | None, given: dict[str, Any], sink: "Sink") -> Path:
    """The page of a batch, to which the options of one file mean nothing."""
    from vidrain.viewer.batch_report import write_batch_report

    force, video = given.pop("force"), given.pop("video")
    if source is not None or any(given.values()) or video != "0":
        raise UsageError(
            f"{folder}: is a folder; --against, --start, --end, --keep-pts, --cfr and --video are of files"
        )
    return write_batch_report(folder, output, force=force, on_event=sink)


@main.command(epilog=_REPORT_EXITS)
@click.argument("clean_file", metavar="OUT", type=FILE)
@click.option("--against", "source", metavar="IN", type=FILE, help="What OUT was made from  [beside it, less .clean].")
@click.option("-o", "--output", type=FILE, help="The page  [OUT.report.html].")
@click.option("--start", metavar="T", help="If only a part was cleaned: its start, as given to clean.")
@click.option("--end", metavar="T", help="Its end, likewise.")
@click.option("--keep-pts", is_flag=True, help="If it was cleaned with --keep-pts.")
@click.option("--cfr", metavar="N", help="If it was cleaned with --cfr: its frame rate.")
@click.option("--video", metavar="N", default="0", help="Which video, as given to clean  [0].")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, help="Replace a page that exists.")
def report(clean_file: Path, source: Path | None, output: Path | None, *, as_json: bool, **given: Any) -> None:
    """Write one HTML file about the clean video OUT: before and after, rain over time, facts kept and lost.

    Where OUT is the folder of a batch: a table of its files to sort, with small pictures.
    """

    def work(sink: "Sink") -> int:
        from vidrain.job import CleanOptions
        from vidrain.viewer.report import write_report

        if clean_file.is_dir():
            _named(_overview(clean_file, source, output, given, sink), as_json)
            return OK
        page = write_report(clean_file, source, output, options=CleanOptions(**given), on_event=sink)
        _named(page, as_json)
        return OK

    run_command(work, as_json)


@main.command(epilog=_TRAIN_EXITS)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-o", "--output", "run_dir", type=FILE, required=True, help="Folder of the run; one begun goes on.")
@click.option("-c", "--config", type=FILE, help="YAML file with any of the keys of configs/train.yaml.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
def train(pairs: tuple[str, ...], run_dir: Path, config: Path | None, as_json: bool) -> None:
    """Train a network on rainy clips; no clean picture is needed.

    KEY=VALUE sets any key of configs/train.yaml, such as data.rainy=rain/,more.mp4, and wins over the file of -c.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_train
        from vidrain.train.loop import train as run

        run(load_train(config, pairs), run_dir, on_event=sink)
        return OK

    run_command(work, as_json, stopped="the run goes on from its last checkpoint when it is started again")


@main.command(epilog=_ADAPT_EXITS)
@click.argument("arguments", metavar="CLIP... [KEY=VALUE]...", nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="Adapted weights, a safetensors file.")
@click.option("--weights", type=FILE, help="Weights to begin with, such as vidrain train makes.")
@click.option("--seconds", metavar="N", help="How long  [30].")
@click.option("--steps", metavar="N", help="How many steps, whatever they take; repeats a run exactly.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where the model runs  [auto].")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace an output that exists.")
@click.option("-c", "--config", type=FILE, help="YAML file with any of the keys of configs/clean.yaml.")
def adapt(arguments: tuple[str, ...], output: Path, config: Path | None, as_json: bool, **given: Any) -> None:
    """Fit a trained network to the footage of each CLIP, as far as that helps on frames held out.

    KEY=VALUE sets any key of configs/clean.yaml, such as adapt.seed=1. Where adapting does not help, the output
    holds the base weights, and that is said.
    """

    def work(sink: "Sink") -> int:
        from vidrain.adaptation import adapt_clips
        from vidrain.config import load_clean

        clips = [text for text in arguments if "=" not in text or Path(text).exists()]
        if not clips:
            raise UsageError("no CLIP is named; name one video or more")
        limits = {f"adapt.{name}": given.pop(name) for name in ("seconds", "steps")}
        options = load_clean(config, [text for text in arguments if text not in clips], given | limits)
        adapt_clips([Path(text) for text in clips], output, options, on_event=sink)
        return OK

    run_command(work, as_json)


@main.command(epilog="Exit codes: 0 all is well, 5 nothing can be written here, 7 no model runs here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> None:
    """Tell whether vidrain can work here: libraries, encoders, devices, space."""
    from vidrain import doctor as checkup

    found = checkup.diagnose()
    click.echo(json.dumps(checkup.as_facts(found)) if as_json else "\n".join(checkup.as_lines(found)))
    raise SystemExit(found.exit_code)


def _named(page: Path, as_json: bool) -> None:
    """Say where a page lies; events have said so already."""
    if not as_json:
        click.echo(page)


main.add_command(export)
main.add_command(analyze)
main.add_command(evaluate)
main.add_command(bench)
main.add_command(rain)
main.add_command(batch)
main.add_command(segment)
