"""O = B + R for every input: all depths, any removal, the extremes, and through the rain archive."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from vidrain.layers import pack, rain_layout, rain_offset, recomposed, subtract, unpack
from vidrain.types import Frame, Layers, PixelLayout, Planes, RainPlanes

DEPTHS = (8, 10, 12, 14)
INT16 = np.iinfo(np.int16)


def sample_type(depth: int) -> npt.DTypeLike:
    return PixelLayout("gray", depth).dtype


@st.composite
def taken_apart(draw: st.DrawFn) -> tuple[int, Planes, RainPlanes]:
    """(depth, observed planes, removal planes): chroma smaller than luma, values of the whole range."""
    depth = draw(st.sampled_from(DEPTHS))
    shapes = PixelLayout("yuv420p", depth).plane_shapes(draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    codes, removals = st.integers(0, (1 << depth) - 1), st.integers(INT16.min, INT16.max)
    observed = tuple(draw(hnp.arrays(sample_type(depth), shape, elements=codes)) for shape in shapes)
    removal = tuple(draw(hnp.arrays(np.int16, shape, elements=removals)) for shape in shapes)
    return depth, observed, removal


def same(first: tuple[npt.NDArray[Any], ...], second: tuple[npt.NDArray[Any], ...]) -> bool:
    pairs = zip(first, second, strict=True)
    return all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs)


def layers(observed: Planes, background: Planes) -> Layers:
    return Layers(Frame(observed, pts=0, duration=1, index=0), background)


@given(taken_apart())
def test_background_and_rain_give_the_observation_back(case: tuple[int, Planes, RainPlanes]) -> None:
    depth, observed, removal = case
    background = subtract(observed, removal, depth)
    rain = layers(observed, background).rain
    assert same(recomposed(background, rain), observed)
    assert same(unpack(pack(rain, depth), depth), rain)


@given(taken_apart())
def test_background_is_the_difference_clipped_to_the_codes(case: tuple[int, Planes, RainPlanes]) -> None:
    depth, observed, removal = case
    for o, r, b in zip(observed, removal, subtract(observed, removal, depth), strict=True):
        slow = [min(max(int(x) - int(y), 0), (1 << depth) - 1) for x, y in zip(o.flat, r.flat, strict=True)]
        assert b.flatten().tolist() == slow
        assert (b.dtype, b.shape) == (o.dtype, o.shape)


@given(taken_apart())
def test_no_removal_changes_nothing(case: tuple[int, Planes, RainPlanes]) -> None:
    depth, observed, removal = case
    background = subtract(observed, tuple(np.zeros_like(plane) for plane in removal), depth)
    assert same(background, observed)
    neutral = pack(layers(observed, background).rain, depth)
    assert all((plane == rain_offset(depth)).all() for plane in neutral)


@pytest.mark.parametrize("depth", DEPTHS)
def test_extremes_fit_the_archive(depth: int) -> None:
    top = (1 << depth) - 1
    observed = (np.array([[0, top, 0, top]], sample_type(depth)),)
    background = (np.array([[top, 0, 0, top]], sample_type(depth)),)
    rain = layers(observed, background).rain
    assert rain[0].tolist() == [[-top, top, 0, 0]]
    packed = pack(rain, depth)
    offset = 2 ** (depth + 1)
    assert packed[0].dtype == np.uint16
    assert packed[0].tolist() == [[offset - top, offset + top, offset, offset]]
    assert int(packed[0].max()) < 1 << rain_layout(PixelLayout("gray", depth)).depth
    assert same(unpack(packed, depth), rain)
    assert same(recomposed(background, rain), observed)


@pytest.mark.parametrize("depth", DEPTHS)
def test_archive_has_the_planes_of_the_video_and_two_bits_more(depth: int) -> None:
    archive = rain_layout(PixelLayout("yuv422p", depth))
    assert (archive.family, archive.depth) == ("yuv422p", depth + 2)


@given(taken_apart())
def test_planes_are_not_written_into(case: tuple[int, Planes, RainPlanes]) -> None:
    """Frames are read-only by convention: they may be views of the decoder's memory."""
    depth, observed, removal = case
    for plane in (*observed, *removal):
        plane.setflags(write=False)
    background = subtract(observed, removal, depth)
    rain = layers(observed, background).rain
    for plane in (*background, *rain):
        plane.setflags(write=False)
    recomposed(background, rain)
    unpack(pack(rain, depth), depth)
