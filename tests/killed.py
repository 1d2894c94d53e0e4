"""Jobs of `clean` that are killed by kill -9 in the middle, one after the other.

python -m tests.killed JOBS, a JSON file: a list of [source, output, frames, options of clean]; each is killed once so
many frames are through. They run in children of one process, so that none costs a start.
"""

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import vidrain
from vidrain.config import clean_from
from vidrain.events import Event, Progress
from vidrain.segments import plan

LENGTH = 6  # frames of a segment, as in tests/pipeline/conftest.py


def killed(source: str, output: str, frames: int, options: dict[str, Any]) -> None:
    """Run it until so many frames are through: this process does not come back then."""

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.frames >= frames:
            os.kill(os.getpid(), signal.SIGKILL)

    plan.LONGEST = LENGTH
    vidrain.clean(source, output, options=clean_from(options), on_event=listen)


if __name__ == "__main__":
    for job in json.loads(Path(sys.argv[1]).read_text()):
        if not (child := os.fork()):
            killed(*job)
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL, f"{job}: was never killed"
