"""One task in a process of its own: `python -m vidrain.batch.worker`, as engines start it.

The task is the first line of standard input, which stays open for as long as the work is wanted: when it ends, because
whoever started this was stopped or killed, the process ends at once and leaves nothing half-made. Events and the
result go to standard output, a JSON object a line; what libraries print goes to standard error, the log of the task.
A process in which nothing happens for six hours ends by itself, and its log says where every thread stood.
"""

import faulthandler
import json
import os
import signal
import sys
import threading
from types import FrameType
from typing import BinaryIO

from vidrain.arena import share_what_is_freed
from vidrain.errors import TERMINATED

_GRACE_S = 5.0  # for giving finished outputs their names
_SILENCE_S = 6 * 3600.0  # between two events: reading the index of a large source from a slow share takes an hour


def main() -> None:
    """Run the task of standard input."""
    faulthandler.enable()
    share_what_is_freed()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of the terminal: whoever started us decides
    signal.signal(signal.SIGTERM, _terminated)
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    task = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), name="vidrain-parent", daemon=True).start()
    from vidrain.batch.task import run_task
    from vidrain.events import Event
    from vidrain.progress import Lines

    silence = max(_SILENCE_S, 2 * task.get("settings", {}).get("stall_s", 0))  # a source has its own patience
    with Lines(told) as sink:

        def heard(event: Event) -> None:
            faulthandler.dump_traceback_later(silence, exit=True)  # in place of the one before
            sink(event)

        faulthandler.dump_traceback_later(silence, exit=True)
        result = run_task(task, heard)
        faulthandler.cancel_dump_traceback_later()
    told.write(json.dumps({"result": result}) + "\n")
    told.flush()
    os._exit(0)  # what a library left running has nothing more to say


def _end_with(parent: BinaryIO) -> None:
    """Wait for the other end of standard input to close, then end this process and those it started."""
    parent.read()
    outputs = sys.modules.get("vidrain.outputs")
    if outputs is not None and outputs.is_past_return():
        threading.Event().wait(_GRACE_S)  # the main thread ends the process when the outputs have their names
    _gone(outputs)


def _terminated(number: int, frame: FrameType | None) -> None:
    outputs = sys.modules.get("vidrain.outputs")
    if outputs is None or not outputs.is_past_return():
        _gone(outputs)


def _gone(outputs: object) -> None:
    try:
        if outputs is not None:
            outputs.leftovers.abandon()  # type: ignore[attr-defined]
    finally:  # whatever became of that
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpid(), signal.SIGKILL)
        os._exit(TERMINATED)


if __name__ == "__main__":
    main()
