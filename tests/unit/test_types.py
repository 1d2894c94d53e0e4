"""Plane shapes and sample types are FFmpeg's own, odd sizes included; names are its names."""

from typing import get_args

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.types import Family, Frame, Layers, PixelLayout

FAMILIES: tuple[Family, ...] = get_args(Family)


def ffmpeg_layouts() -> list[PixelLayout]:
    """Every layout that exists under its name in FFmpeg; yuv440p and others lack some depths."""
    found = []
    for family in FAMILIES:
        for depth in (8, 10, 12, 14):
            layout = PixelLayout(family, depth)
            try:
                av.VideoFormat(layout.name)
            except ValueError:
                continue
            found.append(layout)
    return found


LAYOUTS = ffmpeg_layouts()


def test_no_layout_is_missing() -> None:
    missing = {PixelLayout(family, depth) for family in FAMILIES for depth in (8, 10, 12, 14)} - set(LAYOUTS)
    assert missing <= {PixelLayout("yuv440p", 14)}


@given(layout=st.sampled_from(LAYOUTS), width=st.integers(1, 70), height=st.integers(1, 70))
def test_planes_are_those_of_ffmpeg(layout: PixelLayout, width: int, height: int) -> None:
    frame = av.VideoFrame(width, height, layout.name)
    assert layout.plane_shapes(width, height) == tuple((plane.height, plane.width) for plane in frame.planes)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_depth_and_sample_type_are_those_of_ffmpeg(layout: PixelLayout) -> None:
    form = av.VideoFormat(layout.name, 64, 64)
    assert {component.bits for component in form.components} == {layout.depth}
    plane = av.VideoFrame(64, 64, layout.name).planes[0]
    assert plane.line_size // layout.dtype.itemsize >= plane.width
    assert layout.dtype.itemsize == (layout.depth + 7) // 8


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_chroma_shift_is_that_of_ffmpeg(layout: PixelLayout) -> None:
    chroma = av.VideoFormat(layout.name, 64, 64)
    if len(layout.plane_shapes(64, 64)) == 1:
        return
    shift_x, shift_y = layout.chroma_shift
    assert (chroma.chroma_width(), chroma.chroma_height()) == (64 >> shift_x, 64 >> shift_y)


def test_rain_is_signed() -> None:
    observed, background = np.array([[0, 255]], np.uint8), np.array([[255, 0]], np.uint8)
    (rain,) = Layers(Frame((observed,), 0, 1, 0), (background,)).rain
    assert rain.dtype == np.int16
    assert rain.tolist() == [[-255, 255]]
