"""HDR data as FFmpeg lays it out in memory, and as each encoder wants it written."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_color import info_of
from vidrain.types import ColorTags, PixelLayout, StaticHdr
from vidrain.video.hdr import hdr_options, is_half_a_picture, is_same, remarks, static_hdr

steps = st.tuples(*(st.integers(0, 50_000) for _ in range(8)), st.integers(0, 50_000), st.integers(0, 10**8))
levels = st.none() | st.tuples(st.integers(1, 10_000), st.integers(0, 10_000))


def fractions(of_steps: tuple[int, ...]) -> tuple[Fraction, ...]:
    return tuple(Fraction(step, 50_000 if place < 8 else 10_000) for place, step in enumerate(of_steps))


def laid_out(of_steps: tuple[int, ...], *, colours: int = 1, luminance: int = 1) -> bytes:
    """AVMasteringDisplayMetadata: ten fractions, two flags."""
    pairs = [number for place, step in enumerate(of_steps) for number in (step, 50_000 if place < 8 else 10_000)]
    return struct.pack("=22i", *pairs, colours, luminance)


@given(steps, levels)
def test_data_is_read_and_written_to_the_step(of_steps: tuple[int, ...], light: tuple[int, int] | None) -> None:
    data = {"MASTERING_DISPLAY_METADATA": laid_out(of_steps)}
    data |= {"CONTENT_LIGHT_LEVEL": struct.pack("=2I", *light)} if light else {}
    hdr = static_hdr(data)
    assert hdr == StaticHdr(fractions(of_steps), light)
    rx, ry, gx, gy, bx, by, wx, wy, darkest, brightest = of_steps
    due = f"G({gx},{gy})B({bx},{by})R({rx},{ry})WP({wx},{wy})L({brightest},{darkest})"
    for encoder, key in (("libx265", "x265-params"), ("libx264", "x264-params")):
        options = hdr_options(encoder, hdr)
        assert options is not None
        assert due in options[key]
        assert (f"cll={light[0]},{light[1]}" in options[key]) if light else ("cll" not in options[key])
    decimals = hdr_options("libsvtav1", hdr)
    assert decimals is not None
    numbers = [
        float(number) for number in re.findall(r"[\d.]+(?=[,)])", decimals["svtav1-params"].partition(":content")[0])
    ]
    for got, place in zip(numbers, (2, 3, 4, 5, 0, 1, 6, 7, 9, 8), strict=True):
        assert abs(got - hdr.mastering[place]) < 1e-6  # type: ignore[index]


def test_nothing_stated_asks_nothing_of_an_encoder() -> None:
    assert {hdr_options(encoder, StaticHdr()) == {} for encoder in ("libx264", "libx265", "libsvtav1", "ffv1")} == {
        True
    }
    assert hdr_options("ffv1", StaticHdr(light=(1, 1))) is None


@pytest.mark.parametrize(("colours", "luminance"), [(0, 1), (1, 0), (0, 0)])
def test_half_a_display_is_none_and_that_is_said(colours: int, luminance: int) -> None:
    data = laid_out((1,) * 10, colours=colours, luminance=luminance)
    assert static_hdr({"MASTERING_DISPLAY_METADATA": data}) == StaticHdr()
    info = replace(info_of(PixelLayout("yuv420p", 10)), side_data=("MASTERING_DISPLAY_METADATA",))
    (said,) = remarks(info, StaticHdr())
    assert "not carried: mastering display; keep the source" in said


def test_levels_of_zero_are_not_known() -> None:
    assert static_hdr({"CONTENT_LIGHT_LEVEL": struct.pack("=2I", 0, 0)}) == StaticHdr()


@given(steps, st.integers(0, 9), st.sampled_from([-3, -1, 0, 1, 3]))
def test_rounding_is_tolerated_and_no_more(of_steps: tuple[int, ...], place: int, off: int) -> None:
    moved = list(of_steps)
    moved[place] += off if place != 9 else off * 100  # cd/m2 of the brightest count in hundredths at most
    same = is_same(StaticHdr(fractions(tuple(moved))), StaticHdr(fractions(of_steps)))
    assert same == (abs(off) <= 1)
    assert is_same(StaticHdr(fractions(of_steps), (1, 1)), StaticHdr())
    assert not is_same(StaticHdr(), StaticHdr(fractions(of_steps)))


@pytest.mark.parametrize(
    ("matrix", "transfer", "rpu", "half"),
    [
        (9, 16, None, False),
        (2, 2, None, False),
        (15, 16, None, True),
        (9, 16, b"\x19\x08\x09\x08\x00", False),  # profile 1 of the data: Dolby Vision 7 or 8
        (9, 16, b"\x19\x08\x09\x00\x00", True),  # 0: Dolby Vision 5
        (9, 18, b"", False),
        (2, 16, b"\x19\x08\x09\x08\x00", True),
        (9, 2, b"", True),
    ],
)
def test_half_pictures(matrix: int, transfer: int, rpu: bytes | None, half: bool) -> None:
    data = {} if rpu is None else {"DOVI_METADATA": b"", "DOVI_RPU_BUFFER": rpu}
    assert is_half_a_picture(data, ColorTags(matrix, 1, 9, transfer)) == half
