"""Options and texts that commands of `cli.py` and of `cli_research.py` share."""

from pathlib import Path

import click

from vidrain.watchdog import STALL_S

FILE = click.Path(path_type=Path)
STALL = click.option(
    "--stall-s", type=float, default=STALL_S, help=f"Give up after so many seconds without anything  [{STALL_S:g}]."
)
LAYERS_EXITS = (
    "\b\nExit codes: 0 done, 2 wrong usage or a library is missing, 3 input unusable, 4 done but frames are lost,\n"
    "5 no space or output not writable, 6 busy, 7 model unusable, 130 Ctrl-C, 143 terminated."
)
