"""The `vidrain` command and `python -m vidrain`: an interrupt counts from the first moment on.

Nothing that an interrupt could leave half-done exists while libraries are imported, and numpy and torch lose or
garble an exception raised inside of theirs: until the work begins the process just ends.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from vidrain.errors import INTERRUPTED, TERMINATED


def run() -> None:
    """Entry point of the command."""
    _handle(_end)
    from vidrain.cli import command  # click takes a tenth of a second

    try:
        command()
    finally:
        # All is said and done. Python puts its own handlers back while it winds down, but not for what is ignored: a
        # second Ctrl-C would end the process by the signal, without its exit code.
        _handle(signal.SIG_IGN)
        gc.freeze()  # nor is anything left to be collected: half a second of looking at all that was imported


def _handle(handler: Callable[[int, FrameType | None], None] | signal.Handlers) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> None:
    outputs = sys.modules.get("vidrain.outputs")  # to import here could wait for ever for an import under way
    if outputs is not None and outputs.is_past_return():
        return  # the work is done, only the interpreter is not
    os.write(2, b"vidrain: stopped before anything was written\n")
    os._exit(INTERRUPTED if number == signal.SIGINT else TERMINATED)


if __name__ == "__main__":
    run()
