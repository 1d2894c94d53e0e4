"""Clocks of an MP4 that do not fit its edit lists are found; edit lists by which editors trim are not called wrong."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from tests import ffmpeg_says
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


def altered(source: Path, target: Path, kind: bytes, at: int, value: int, *, nth: int = 0) -> Path:
    """`source` with another number of 32 bits, `at` bytes behind the head of its box `kind`."""
    data = bytearray(source.read_bytes())
    place = -1
    for _ in range(nth + 1):
        place = data.index(kind, place + 1)
    assert struct.unpack_from(">I", data, place + 4 + at)[0] != value
    struct.pack_into(">I", data, place + 4 + at, value)
    target.write_bytes(data)
    return target


@pytest.fixture(params=["full_range.mp4", "vfr.mp4"])
def whole(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """With a clock of the movie that no track has, as FFmpeg chooses it for exact times."""
    options = ("-map", "0", "-movie_timescale", "192000")
    return ffmpeg_says.remux(SAMPLES / request.param, tmp_path / "whole.mp4", *options)


@pytest.mark.fault(11)
@pytest.mark.parametrize("bit", [20, 23, 29])
def test_a_bit_of_the_movie_clock(bit: int, whole: Path, tmp_path: Path) -> None:
    """FFmpeg then shows a frame or two, and says nothing."""
    assert examine(whole).damages == ()
    hurt = altered(whole, tmp_path / "hurt.mp4", b"mvhd", 12, 192_000 ^ 1 << bit)
    assert any("mvhd" in damage.what and "fit 192000" in damage.what for damage in examine(hurt).damages)


@pytest.mark.fault(11)
def test_another_number_than_the_usual_ones(tmp_path: Path) -> None:
    """A wild number where 1000 stood, which is what most files have."""
    options = ("-map", "0", "-movie_timescale", "1000")
    whole = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "whole.mp4", *options)
    hurt = altered(whole, tmp_path / "hurt.mp4", b"mvhd", 12, 77_777)
    assert any("fit 1000" in damage.what for damage in examine(hurt).damages)


@pytest.mark.fault(11)
@pytest.mark.parametrize("scale", [2, 48_000 ^ 1 << 15, 15_000])
def test_the_clock_of_sound(scale: int, whole: Path, tmp_path: Path) -> None:
    """Its sampling rate stands in its description as well."""
    hurt = altered(whole, tmp_path / "hurt.mp4", b"mdhd", 12, scale, nth=1)
    assert any("edit list of its audio fits 48000" in damage.what for damage in examine(hurt).damages)


@pytest.mark.parametrize("part", [0.9, 0.6, 0.5, 0.3, 0.07])
@pytest.mark.parametrize("scale", [1000, 600, 90_000, 12_800, 192_000])
def test_an_editor_trims_as_it_likes(scale: int, part: float, tmp_path: Path) -> None:
    """Picture and sound alike, by the edit list alone."""
    options = ("-map", "0", "-movie_timescale", str(scale))
    path = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "whole.mp4", *options)
    data = bytearray(path.read_bytes())
    length = round(1.12 * part * scale)
    at = -1
    for _ in range(2):
        at = data.index(b"tkhd", at + 1)
        struct.pack_into(">I", data, at + 4 + 20, length)
        struct.pack_into(">I", data, data.index(b"elst", at) + 4 + 8, length)
    path.write_bytes(data)
    assert examine(path).damages == ()
