"""Sources of batches that are killed, and a place for what they make."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ffmpeg_says
from tools.bench_ray import write_twenty


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def two(samples: Path, tmp_path: Path) -> Path:
    """A manifest of two clips; the first has more bytes, the second takes longer than another process to start."""
    folder = tmp_path / "two"
    folder.mkdir()
    for name, times in (("first.mp4", "16"), ("second.mp4", "14")):
        ffmpeg_says.remux(samples / "full_range.mp4", folder / name, "-map", "0:v", first=("-stream_loop", times))
    (folder / "jobs.csv").write_text(
        "input,align.scale,align.preset,baseline.radius\nfirst.mp4,,,\nsecond.mp4,1.0,fast,3\n"
    )
    return folder / "jobs.csv"


@pytest.fixture
def twenty(footage: Path, samples: Path, tmp_path: Path) -> Path:
    """Fifteen cuts of real footage, and five files that are damaged in five ways."""
    clips = [*sorted((footage / "real").iterdir()), *sorted((footage / "paired").glob("*_rainy.mp4"))[:2]]
    assert len(clips) == 15
    return write_twenty(clips, samples / "full_range.mp4", tmp_path / "card", 0.4)
