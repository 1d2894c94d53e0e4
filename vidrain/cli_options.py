"""Options and texts that commands share, whichever module they stand in."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from vidrain.errors import UsageError
from vidrain.watchdog import STALL_S

Command = TypeVar("Command", bound=Callable[..., Any])


class _File(click.Path):
    """A path that is taken as it is: click would look what lies there, and wait for ever for a share that hangs."""

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        """The same as a `Path`."""
        return Path(value)


FILE = _File(path_type=Path)
STALL = click.option(
    "--stall-s", type=float, default=STALL_S, help=f"Give up after so many seconds without anything  [{STALL_S:g}]."
)
LAYERS_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage or a library is missing, 3 input unusable, 4 done but frames are lost,\n"
    "5 no space or output not writable, 6 busy, 7 model unusable, 70 a fault of vidrain,\n"
    "130 Ctrl-C, 143 terminated."
)


def _seconds(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The value of --adapt, for which `--adapt in.mp4` would take the name of the source."""
    try:
        float(value or 0)
    except ValueError as error:
        advice = "is no number of seconds; write --adapt=30, or --adapt alone behind all else"
        raise click.BadParameter(f"{value} {advice}") from error
    return value


# Settings of `clean` that name no output: they hold for one file as for many.
_SETTINGS = (
    click.option("--preset", type=click.Choice(["fast", "balanced", "quality"]), help="Choose the model  [balanced]."),
    click.option("--model", help="Choose the model by its name: baseline, nlcl, gate-s, gate-m, gate-l or gate-b."),
    click.option("--weights", type=FILE, help="Weights of the model, a safetensors file."),
    click.option(
        "--adapt",
        metavar="[=SECONDS]",
        is_flag=False,
        flag_value="30",
        callback=_seconds,
        help="First fit the weights to INPUT, for 30 seconds or so many: --adapt=60.",
    ),
    click.option("--adapt-steps", metavar="N", help="Fit them by N steps, whatever that takes; repeats a run exactly."),
    click.option("--archive", is_flag=True, default=None, help="Lossless clean video: the same as --codec ffv1."),
    click.option(
        "--codec", type=click.Choice(["h264", "hevc", "av1", "ffv1"]), help="Codec  [that of INPUT, else h264]."
    ),
    click.option("--crf", type=int, help="Quality of the encoder, less is better  [18]."),
    click.option("--pix-fmt", help="Pixel format of the clean video  [that of INPUT]."),
    click.option("--pad", is_flag=True, default=None, help="Repeat the last row or column of a picture of odd size."),
    click.option(
        "-e", "encoder", metavar="KEY=VALUE", multiple=True, help="Option of the encoder, such as preset=slow."
    ),
    click.option("--start", metavar="T", help="First frame kept: 250 (a frame), 12.5s or 0:01:02.5."),
    click.option("--end", metavar="T", help="First frame not kept any more, likewise."),
    click.option(
        "--keep-pts", is_flag=True, default=None, help="With --start: keep the times instead of starting at 0."
    ),
    click.option(
        "--cfr", metavar="N", help="Constant frame rate, such as 25 or 30000/1001: frames are repeated or dropped."
    ),
    click.option("--video", metavar="N|all", help="Which video, where there are several: 0 is the first  [0]."),
    click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), help="Where the model runs  [auto]."),
    click.option(
        "--on-bad-frame",
        type=click.Choice(["repeat", "drop", "fail"]),
        help="Frames that do not decode: show the one before, leave them out, or give up  [repeat].",
    ),
    click.option(
        "--stall-s", type=float, help=f"Give up after so many seconds without anything from INPUT  [{STALL_S:g}]."
    ),
    click.option("-c", "--config", type=FILE, help="YAML file with any of the keys of configs/clean.yaml."),
)


def clean_settings(command: Command) -> Command:
    """Give a command the settings of `clean`, in this order."""
    for option in reversed(_SETTINGS):
        command = option(command)
    return command


def keys_of(given: dict[str, Any]) -> dict[str, Any]:
    """Options of the command line as keys of the configuration."""
    nested = {f"encode.{name}": given.pop(name) for name in ("codec", "crf", "pix_fmt")}
    nested |= {"adapt.seconds": given.pop("adapt"), "adapt.steps": given.pop("adapt_steps")}
    for pair in given.pop("encoder"):
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"-e {pair}: is not KEY=VALUE, such as -e preset=slow")
        nested[f"encode.options.{key}"] = value
    return given | nested
