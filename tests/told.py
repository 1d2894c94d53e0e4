"""What a job on one video tells, and how it looks to people and programs, for the tests of what is shown."""

import io
import json
import re
import time
from collections.abc import Callable
from typing import Any

from rich.console import Console

from vidrain.events import Event, FileDone, Notice, Plan, Progress
from vidrain.progress import Bar

PLAN = Plan(
    source="in.mp4",
    outputs={"clean": "out.mp4"},
    model="baseline",
    made_by="0.1.0 baseline weights=none config=0123456789ab",
    encoder="libx264",
    pix_fmt="yuv420p",
    width=640,
    height=360,
    frames=20,
)
DONE = FileDone(
    status="ok",
    outputs={"clean": "out.mp4", "rain": "rain.mp4"},
    frames_in=20,
    frames_out=20,
    frames_repeated=0,
    pts_equal=True,
    streams=["audio aac", "subtitle mov_text"],
    seconds=4.0,
)
NOTICE = Notice(code="times", message="two times were moved")


def progress(frames: int, total: int = 20) -> Progress:
    return Progress(frames=frames, total=total, fps=5.0, eta_s=(total - frames) / 5.0)


def lines_of(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def until(condition: Callable[[], bool]) -> None:
    """Wait for another thread, for as long as a busy machine may take."""
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


def shown_by_bar(*told: Event, width: int = 200, failure: str | None = None) -> tuple[str, str]:
    """(everything sent to a terminal, what of it is no control sequence)."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, highlight=False, color_system=None)
    with Bar(console) as sink:
        for event in told:
            sink(event)
            sink._bar.refresh()
        if failure is not None:
            sink.failed(failure, 3)
    return stream.getvalue(), re.sub(r"\x1b\[[?\d;]*[a-zA-Z]", "", stream.getvalue())
