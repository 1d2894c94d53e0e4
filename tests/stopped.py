"""Runs that are broken off in the middle, what they tell, what they leave: segments of a few frames."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vidrain as package
from tests.pipeline.conftest import LENGTH, Ran
from tests.pipeline.test_exits import events_until, started
from vidrain.events import Event, Progress
from vidrain.job import CleanOptions
from vidrain.video.encoder import EncodeOptions

SHORT = f"""
import vidrain.segments.plan as plan
plan.LONGEST = {LENGTH}
from vidrain.__main__ import run
run()
"""


@contextmanager
def running(*command: str | Path) -> Iterator[subprocess.Popen[str]]:
    with started(*command, "--json", code=SHORT) as process:
        yield process


def past(process: subprocess.Popen[str], frames: int) -> None:
    events_until(process, lambda event: event["event"] == "progress" and event["frames"] >= frames)


def resumed(ran: Ran) -> list[int]:
    return [event["frames"] for event in ran.events if event["event"] == "resumed"]


def outputs(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Stopped(Exception):
    """On purpose."""


def stopped_at(frames: int, source: Path, out: Path, options: CleanOptions) -> list[Event]:
    """A run in this process that ends in the middle; what it told."""
    told: list[Event] = []

    def listen(event: Event) -> None:
        told.append(event)
        if isinstance(event, Progress) and event.frames >= frames:
            raise Stopped

    with pytest.raises(Stopped):
        package.clean(source, out, options=options, on_event=listen)
    return told


VARIANTS = {
    "b-frames, uneven times": ("vfr.mp4", ".mp4", CleanOptions()),
    "a range at a constant rate": ("vfr.mp4", ".mp4", CleanOptions(start="3", end="30", cfr="30")),
    "lossless, odd, in Matroska": ("odd.mp4", ".mkv", CleanOptions(archive=True)),
    "10 bits, hevc": ("tenbit.mp4", ".mp4", CleanOptions(end="20")),
    "av1": ("full_range.mp4", ".mp4", CleanOptions(encode=EncodeOptions(codec="av1"), end="15")),
}
