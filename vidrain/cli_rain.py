"""The command that renders rain on a clean video; `cli.py` offers it.

Everything heavy is imported inside the command, so `vidrain --help` answers at once.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vidrain.cli_options import FILE
from vidrain.errors import OK, PARTIAL
from vidrain.running import run_command

if TYPE_CHECKING:
    from vidrain.progress import Sink

_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage, 3 input unusable, 4 done but frames of the source are lost,\n"
    "5 no space or output not writable, 6 busy, 70 a fault of vidrain, 130 Ctrl-C, 143 terminated."
)


@click.command(epilog=_EXITS)
@click.argument("clip", metavar="CLIP", type=FILE)
@click.argument("pairs", metavar="[KEY=VALUE]...", nargs=-1)
@click.option("-o", "--output", type=FILE, required=True, help="Rainy video, .mp4, .mov or .mkv.")
@click.option("--rate", type=float, help="How much it rains, in mm an hour, up to 200  [10].")
@click.option("--exposure", metavar="T", help="How long the shutter is open, in seconds: 1/60 or 0.004  [1/250].")
@click.option("--seed", type=int, help="The same seed gives the same pixels  [1].")
@click.option("--wind", type=float, help="Wind to the right, in m/s; below 0 to the left  [0].")
@click.option("--gusts", type=float, help="How much the wind changes: its standard deviation in m/s  [0].")
@click.option("--speed", type=float, help="How fast the camera drives ahead, in km/h  [0].")
@click.option("--light", type=click.Choice(["day", "night"]), help="Lit by the sky, or by lamps in the picture  [day].")
@click.option("--rolling-shutter", metavar="T", help="Seconds from reading the first row to reading the last  [0].")
@click.option("--glass", is_flag=True, default=None, help="Drops on the glass before the camera, and a wiper.")
@click.option("--clean", type=FILE, help="Also write the same frames without rain, encoded alike.")
@click.option("--rain", type=FILE, help="Also write what rain added: lossless, exact.")
@click.option("--streaks", type=FILE, help="Also write how opaque streaks and splashes are: grey, 12 bits, FFV1.")
@click.option("--veil", type=FILE, help="Also write how much light the mist lets through, likewise.")
@click.option("--params", type=FILE, help="Also write all settings, and what each frame holds, as JSON.")
@click.option("--json", "as_json", is_flag=True, help="Report as one JSON object per line on standard output.")
@click.option("--force", is_flag=True, default=None, help="Replace outputs that exist.")
@click.option("-c", "--config", type=FILE, help="YAML file with any of the keys of configs/rain.yaml.")
def rain(clip: Path, pairs: tuple[str, ...], output: Path, *, config: Path | None, as_json: bool, **given: Any) -> None:
    """Render rain on CLIP, a video without rain: drops that fall from frame to frame, and keep everything else.

    KEY=VALUE sets any key of configs/rain.yaml, such as camera.view=90, start=0:10 or encode.crf=12. What is modelled,
    and what is not, stands in docs/rain.md.
    """

    def work(sink: "Sink") -> int:
        from vidrain.config import load_rain
        from vidrain.rain.render import render_rain

        report = render_rain(clip, output, options=load_rain(config, pairs, given), on_event=sink)
        return OK if report.status == "ok" else PARTIAL

    run_command(work, as_json)
