"""Which arithmetic a file gets, whatever its name says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ffmpeg_says
from vidrain.types import Structure
from vidrain.video.structure import examine


@pytest.mark.parametrize(("suffix", "kind"), [("mp4", "mp4"), ("mov", "mp4"), ("mkv", "matroska"), ("ts", "mpegts")])
def test_told_by_the_first_bytes(suffix: str, kind: str, samples: Path, tmp_path: Path) -> None:
    made = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / f"made.{suffix}")
    assert examine(made.rename(tmp_path / "clip.bin")).kind == kind


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("suffix", "hurt", "kind"),
    [("mp4", slice(4, 5), "mp4"), ("ts", slice(0, 1), "mpegts"), ("ts", slice(0, 900), "mpegts")],
)
def test_told_also_if_the_first_bytes_are_broken(
    suffix: str, hurt: slice, kind: str, samples: Path, tmp_path: Path
) -> None:
    """FFmpeg opens these without a word."""
    data = bytearray(ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / f"made.{suffix}").read_bytes())
    data[hurt] = b"v" * len(data[hurt])
    path = tmp_path / "hurt"
    path.write_bytes(data)
    found = examine(path)
    assert (found.kind, bool(found.damages)) == (kind, suffix == "ts")


def test_what_is_not_looked_into(samples: Path, tmp_path: Path) -> None:
    assert examine(ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "clip.nut")) == Structure("other")


@given(st.binary(max_size=300))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(data)
    examine(path)


def test_real_footage_is_whole(footage: Path) -> None:
    clips = [clip for clip in sorted(footage.rglob("*.m[pk][4v]")) if clip.is_file()]
    assert clips
    assert {clip.name: examine(clip).damages for clip in clips if examine(clip).damages} == {}
