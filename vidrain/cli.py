"""The command line: options in, one call of the library, an exit code out. The only user of click.

Everything heavy is imported inside the commands, so `vidrain --help` answers at once.
"""

import json
import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidrain import __version__
from vidrain.errors import OK, PARTIAL, UsageError
from vidrain.running import run_command

if TYPE_CHECKING:
    from vidrain.progress import Sink

_FILE = click.Path(path_type=Path)
_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage, 3 input unusable, 4 done but parts of the source were lost,\n"
    "5 no space or output not writable, 6 busy, 7 model unusable, 130 Ctrl-C, 143 terminated."
)
_VERIFY_EXITS = (
    "\b\nExit codes: 0 the same, 2 wrong usage, 3 IN or OUT cannot be read, 4 the same, but IN itself has lost parts,\n"
    "5 something differs."
)
_TRAIN_EXITS = (
    "Exit codes: 0 done, 2 wrong usage, 3 clips unusable, 5 not writable, 6 busy, 130 Ctrl-C, 143 terminated."
)
_EXPORT_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage or a library is missing, 3 input unusable, 4 done but frames are lost,\n"
    "5 no space or output not writable, 6 busy, 7 model unusable, 130 Ctrl-C, 143 terminated."
)
_REPORT_EXITS = "Exit codes: 0 done, 2 wrong usage, 3 IN or OUT cannot be read, 5 not writable, 6 busy."
_LAYERS: tuple[Any, ...] = ("observed", "background", "rain")
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
        click.echo(f"vidrain: {' '.join(error.format_message().split())} See {place} --help", err=True)
        code = error.exit_code
    raise SystemExit(code)


@main.command(epilog=_EXITS)
@click.argument("source", metavar="INPUT", type=_FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-o", "--output", type=_FILE, help="Clean video, .mp4, .mov or .mkv  [INPUT.clean.mp4].")
@click.option("--preset", type=click.Choice(["fast", "balanced", "quality"]), help="Choose the model  [balanced].")
@click.option("--model", help="Choose the model by its name: baseline, nlcl, gate-s, gate-m or gate-l.")
@click.option("--weights", type=_FILE, help="Weights of the model, a safetensors file.")
@click.option("--rain", type=_FILE, help="Also write what was removed: lossless, exact.")
@click.option("--rain-preview", type=_FILE, help="Also write what was removed, three times as bright, to be looked at.")
@click.option("--compare", type=_FILE, help="Also write before | after | 3 x removed, side by side.")
@click.option("--report", "page", type=_FILE, help="Also write an HTML page to look at, when all is done.")
@click.option("--archive", is_flag=True, default=None, help="Lossless clean video: the same as --codec ffv1.")
@click.option("--codec", type=click.Choice(["h264", "hevc", "av1", "ffv1"]), help="Codec  [that of INPUT, else h264].")
@click.option("--crf", type=int, help="Quality of the encoder, less is better  [18].")
@click.option("--pix-fmt", help="Pixel format of the clean video  [that of INPUT].")
@click.option("--pad", is_flag=True, default=None, help="Repeat the last row or column of a picture of odd size.")
@click.option("-e", "encoder", metavar="KEY=VALUE", multiple=True, help="Option of the encoder, such as preset=slow.")
@click.option("--start", metavar="T", help="First frame kept: 250 (a frame), 12.5s or 0:01:02.5.")
@click.option("--end", metavar="T", help="First frame not kept any more, likewise.")
@click.option("--keep-pts", is_flag=True, default=None, help="With --start: keep the times instead of starting at 0.")
@click.option(
    "--cfr", metavar="N", help="Constant frame rate, such as 25 or 30000/1001: frames are repeated or dropped."
)
@click.option("--video", metavar="N|all", help="Which video, where there are several: 0 is the first  [0].")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where the model runs  [auto].")
@click.option(
    "--on-bad-frame",
    type=click.Choice(["repeat", "drop", "fail"]),
    help="Frames that do not decode: show the one before, leave them out, or give up  [repeat].",
)
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace outputs that exist.")
@click.option("-c", "--config", type=_FILE, help="YAML file with any of the keys of configs/clean.yaml.")
def clean(
    source: Path, pairs: tuple[str, ...], output: Path | None, page: Path | None, as_json: bool, **given: Any
) -> None:
    """Take the rain out of INPUT.

    KEY=VALUE sets any key of configs/clean.yaml, such as baseline.radius=3. What is given here wins over KEY=VALUE,
    which wins over the file of -c.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_clean
        from vidrain.pipeline import clean as run
        from vidrain.viewer.report import refuse_page, write_report

        options = load_clean(given.pop("config"), pairs, _keys(given))
        if page is not None:
            refuse_page(page, source, output, options)
        report = run(source, output, options=options, on_event=sink)
        if page is not None:
            settings = json.dumps(asdict(options), indent=2, default=str)
            write_report(report.outputs["clean"], source, page, options=options, settings=settings, on_event=sink)
        return PARTIAL if report.status == "partial" else OK

    run_command(work, as_json)


@main.command(epilog=_INSPECT_EXITS)
@click.argument("source", metavar="INPUT", type=_FILE)
@click.option("--frames", is_flag=True, help="One line per frame: index, time in ticks, seconds, whether a key frame.")
@click.option("--access", is_flag=True, help="Also fetch 200 random frames by number and compare, with decord too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object; with --frames one per frame.")
def inspect(source: Path, frames: bool, access: bool, as_json: bool) -> None:
    """Tell what is in INPUT, what is damaged, and what clean would do."""

    def work(sink: "Sink") -> int:
        from vidrain import listing
        from vidrain.inspection import inspect as look

        found = look(source, access=access)
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
@click.argument("output", metavar="OUT", type=_FILE)
@click.option("--against", "source", metavar="IN", type=_FILE, required=True, help="The video OUT was made from.")
@click.option("--full", is_flag=True, help="Decode every frame of both, compare every time and every picture.")
@click.option("--start", metavar="T", help="If only a part was cleaned: its start, as given to clean.")
@click.option("--end", metavar="T", help="Its end, likewise.")
@click.option("--keep-pts", is_flag=True, help="If it was cleaned with --keep-pts.")
@click.option("--cfr", metavar="N", help="If it was cleaned with --cfr: its frame rate.")
@click.option("--video", metavar="N|all", default="0", help="Which video was cleaned, as given to clean  [0].")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def verify(output: Path, source: Path, *, full: bool, as_json: bool, **given: Any) -> None:
    """Tell whether OUT is IN in everything but the rain."""

    def work(sink: "Sink") -> int:
        from vidrain import verdict
        from vidrain.job import CleanOptions
        from vidrain.verification import verify_against

        found = verify_against(output, source, full=full, options=CleanOptions(**given))
        facts = verdict.verification_facts(found)
        click.echo(json.dumps(facts) if as_json else "\n".join(verdict.verification_lines(facts)))
        return found.exit_code

    run_command(work, as_json, bar=False)


@main.command(epilog=_EXPORT_EXITS)
@click.argument("source", metavar="CLIP", type=_FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option(
    "-o", "--output", metavar="DIR", type=_FILE, required=True, help="Folder of the export; one begun goes on."
)
@click.option("--observed", is_flag=True, help="Export O, the frames as decoded. Without a layer: all three.")
@click.option("--background", is_flag=True, help="Export B, the frames without rain.")
@click.option("--rain", is_flag=True, help="Export R = O - B, signed.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["png16", "tiff", "npz", "zarr", "hdf5", "exr", "ffv1"]),
    default="zarr",
    help="How the arrays are stored  [zarr].",
)
@click.option("--space", type=click.Choice(["rgb", "yuv"]), default="rgb", help="RGB codes or stored planes  [rgb].")
@click.option("--start", metavar="T", help="First frame: 250 (a frame), 12.5s or 0:01:02.5.")
@click.option("--end", metavar="T", help="First frame not exported any more, likewise.")
@click.option("--model", help="Choose the model by its name, as for clean.")
@click.option("--weights", type=_FILE, help="Weights of the model, a safetensors file.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace an export that exists, drop one that was begun.")
def export(
    source: Path, pairs: tuple[str, ...], output: Path, *, form: Any, space: Any, as_json: bool, **given: Any
) -> None:
    """Store O, B and R of every frame of CLIP as arrays of integers with a frame table: O = B + R, exactly.

    KEY=VALUE sets any key of configs/clean.yaml that concerns the model, such as baseline.radius=3, device or video.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_clean
        from vidrain.export.plan import ExportOptions
        from vidrain.export.run import export_clip

        layers = tuple(layer for layer in _LAYERS if given.pop(layer))
        options = ExportOptions(
            layers=layers or _LAYERS, format=form, space=space, clean=load_clean(None, pairs, given)
        )
        report = export_clip(source, output, options=options, command=_command(), on_event=sink)
        return OK if report.status == "ok" else PARTIAL

    run_command(work, as_json, stopped="the export goes on where it stopped when it is started again")


@main.command(epilog=_EXPORT_EXITS)
@click.argument("clip", metavar="CLIP", type=_FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("--at", metavar="T", default="0", help="First frame: 250 (a frame), 12.5s or 1:12  [0].")
@click.option("--seconds", type=float, default=5.0, help="How much to show, up to 60  [5].")
@click.option("-o", "--output", type=_FILE, help="The page  [CLIP.preview.html].")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace a page that exists.")
def preview(clip: Path, pairs: tuple[str, ...], at: str, seconds: float, output: Path | None, **given: Any) -> None:
    """Clean a few seconds of CLIP and write one HTML file to look at them, before and after.

    KEY=VALUE sets any key of configs/clean.yaml that concerns the model, such as model=gate-s.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_clean
        from vidrain.viewer.preview import write_preview

        options = load_clean(None, pairs, {"force": given["force"]})
        page = write_preview(clip, output, at=at, seconds=seconds, options=options, on_event=sink)
        _named(page, given["as_json"])
        return OK

    run_command(work, given["as_json"])


@main.command(epilog=_REPORT_EXITS)
@click.argument("clean_file", metavar="OUT", type=_FILE)
@click.option("--against", "source", metavar="IN", type=_FILE, help="What OUT was made from  [beside it, less .clean].")
@click.option("-o", "--output", type=_FILE, help="The page  [OUT.report.html].")
@click.option("--start", metavar="T", help="If only a part was cleaned: its start, as given to clean.")
@click.option("--end", metavar="T", help="Its end, likewise.")
@click.option("--keep-pts", is_flag=True, help="If it was cleaned with --keep-pts.")
@click.option("--cfr", metavar="N", help="If it was cleaned with --cfr: its frame rate.")
@click.option("--video", metavar="N", default="0", help="Which video, as given to clean  [0].")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, help="Replace a page that exists.")
def report(clean_file: Path, source: Path | None, output: Path | None, *, as_json: bool, **given: Any) -> None:
    """Write one HTML file about the clean video OUT: before and after, rain over time, facts kept and lost."""

    def work(sink: "Sink") -> int:
        from vidrain.job import CleanOptions
        from vidrain.viewer.report import write_report

        page = write_report(clean_file, source, output, options=CleanOptions(**given), on_event=sink)
        _named(page, as_json)
        return OK

    run_command(work, as_json)


@main.command(epilog=_TRAIN_EXITS)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-o", "--output", "run_dir", type=_FILE, required=True, help="Folder of the run; one begun goes on.")
@click.option("-c", "--config", type=_FILE, help="YAML file with any of the keys of configs/train.yaml.")
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


@main.command(epilog="Exit codes: 0 all is well, 5 nothing can be written here, 7 no model runs here.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> None:
    """Tell whether vidrain can work here: libraries, encoders, devices, space."""
    from vidrain import doctor as checkup

    found = checkup.diagnose()
    click.echo(json.dumps(checkup.as_facts(found)) if as_json else "\n".join(checkup.as_lines(found)))
    raise SystemExit(found.exit_code)


@main.group()
def analyze() -> None:
    """Measure what a video is made of."""


@analyze.command("id", epilog="Exit codes: 0 measured, 3 the file cannot be read, or is too short.")
@click.argument("clip", metavar="CLIP", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def analyze_id(clip: Path, as_json: bool) -> None:
    """Tell the intrinsic dimension of background patches and of rain patches of CLIP.

    Levina-Bickel, two-nearest-neighbour estimate in brackets, of 8x8 and 16x16 patches: whether rain is the simpler
    layer here, raw and once it is denoised.
    """

    def work(sink: "Sink") -> int:
        from vidrain import analysis

        found = analysis.dimensions(clip)
        click.echo(json.dumps(analysis.as_facts(found)) if as_json else "\n".join(analysis.as_lines(found)))
        return OK

    run_command(work, as_json, bar=False)


@analyze.command("rain", epilog="Exit codes: 0 measured, 2 wrong usage, 3 the file cannot be read, 5 not writable.")
@click.argument("clip", metavar="CLIP", type=_FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-o", "--output", metavar="DIR", type=_FILE, help="Folder for tables (CSV, Parquet) and charts (SVG).")
@click.option("--start", metavar="T", help="First frame: 250 (a frame), 12.5s or 0:01:02.5.")
@click.option("--end", metavar="T", help="First frame not measured any more, likewise.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.option("--force", is_flag=True, default=None, help="Replace such a folder that exists.")
def analyze_rain(clip: Path, pairs: tuple[str, ...], output: Path | None, as_json: bool, **given: Any) -> None:
    """Tell how much it rains in CLIP, which way and how long its streaks are, and the intrinsic dimension of R.

    KEY=VALUE sets any key of configs/clean.yaml that concerns the model, such as model=gate-s.
    """

    def work(sink: "Sink") -> int:
        from contextlib import nullcontext

        from vidrain import rain_listing
        from vidrain.config import load_clean
        from vidrain.outputs import claimed_folder
        from vidrain.rain_analysis import rain_in
        from vidrain.tables import require_parquet

        options = load_clean(None, pairs, given)
        if output is not None:
            require_parquet()
        claim = claimed_folder(output, force=options.force, mark=rain_listing.SUMMARY) if output else nullcontext(None)
        with claim as claimed:
            found = rain_in(clip, options)
            if claimed is not None:
                rain_listing.write_rain(found, claimed)
        facts = rain_listing.rain_facts(found)
        click.echo(json.dumps(facts) if as_json else "\n".join(rain_listing.rain_lines(facts)))
        return OK

    run_command(work, as_json, bar=False)


def _named(page: Path, as_json: bool) -> None:
    """Say where a page lies; events have said so already."""
    if not as_json:
        click.echo(page)


def _command() -> str:
    """The command as it could be given again."""
    return shlex.join(["vidrain", *sys.argv[1:]])


def _keys(given: dict[str, Any]) -> dict[str, Any]:
    """Options of the command line as keys of the configuration."""
    encode = {f"encode.{name}": given.pop(name) for name in ("codec", "crf", "pix_fmt")}
    for pair in given.pop("encoder"):
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"-e {pair}: is not KEY=VALUE, such as -e preset=slow")
        encode[f"encode.options.{key}"] = value
    return given | encode
