"""Clips for a batch, and what lies in a folder of its outputs."""

from pathlib import Path
from typing import Any

from tests import ffmpeg_says
from vidrain.batch.journal import FOLDER

CHEAP = ("model=baseline", "baseline.radius=1", "align.preset=ultrafast", "align.scale=0.25", "-e", "preset=ultrafast")
INLINE = ("--engine", "inline")


def written(out: Path) -> dict[str, int]:
    """Every file in OUT but what the batch itself keeps there -> when it was last changed."""
    files = (path for path in out.rglob("*") if path.is_file() and FOLDER not in path.parts)
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in files}


def write_card(folder: Path, samples: Path) -> Path:
    """Two clips of a few frames, one of them in a folder of its own, and a text that calls itself a video."""
    (folder / "sub").mkdir(parents=True)
    ffmpeg_says.remux(samples / "full_range.mp4", folder / "a.mp4", "-map", "0", "-t", "0.2")
    ffmpeg_says.remux(samples / "full_range.mp4", folder / "sub" / "b.MP4", "-map", "0", "-t", "0.1")
    (folder / "text.mp4").write_text("no video")
    (folder / "notes.txt").write_text("of no interest")
    return folder


def of(events: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The events of that name."""
    return [event for event in events if event["event"] == name]
