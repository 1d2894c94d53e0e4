"""Flows on their grid, and what they say of pictures of any size."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.test_align import landscape
from vidrain import flow as flows
from vidrain.flow import (
    Flow,
    Offsets,
    Search,
    error_between,
    fetched,
    flow_between,
    forward_backward_error,
    inverted,
    offsets_of,
    resized,
)

sides = st.integers(1, 90)
speeds = st.floats(-3, 3, width=32)


def constant(across: float, down: float, size: tuple[int, int]) -> Flow:
    return np.full((*size, 2), (across, down), np.float32)


@given(speeds, speeds, st.tuples(sides, sides), st.tuples(sides, sides))
def test_offsets_grow_with_the_picture_along_each_side_by_itself(
    across: float, down: float, grid: tuple[int, int], size: tuple[int, int]
) -> None:
    found = offsets_of(constant(across, down, grid), size)
    assert found.across.shape == found.down.shape == size
    np.testing.assert_allclose(found.across, across * size[1] / grid[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.down, down * size[0] / grid[0], rtol=1e-4, atol=1e-5)


def test_offsets_of_their_own_size_are_themselves() -> None:
    offsets = Offsets(*np.random.default_rng(1).random((2, 7, 9), np.float32))
    assert resized(offsets, (7, 9)) is offsets


@given(speeds, st.integers(8, 40), st.integers(8, 40), st.integers(1, 6))
def test_an_error_is_told_in_pixels_of_the_picture(missed: float, height: int, width: int, times: int) -> None:
    """Forth by two and back by two and what is missed."""
    forth, back = constant(2, 0, (height, width)), constant(-2 + missed, 0, (height, width))
    found = error_between(forth, back, (times * height, times * width))
    assert found.shape == (times * height, times * width)
    np.testing.assert_allclose(found, abs(missed) * times, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "preset", "due"),
    [
        *(
            ((360, 640), "fast", (90, 160)),
            ((361, 643), "fast", (90, 160)),
            ((128, 200), "fast", (32, 50)),
            ((127, 200), "fast", (63, 100)),
            ((64, 64), "fine", (32, 32)),
        ),
        *(((63, 90), "fast", (63, 90)), ((20, 1000), "fast", (20, 1000)), ((1, 1), "fast", (1, 1))),
    ],
)
def test_the_grid_is_finer_on_small_pictures(
    size: tuple[int, int], preset: flows.FlowPreset, due: tuple[int, int]
) -> None:
    assert Search(preset).grid(np.zeros(size, np.uint8)).shape == due


@pytest.mark.parametrize("preset", ["quick", "fast", "fine", "medium"])
@pytest.mark.parametrize("size", [(160, 200), (161, 203), (98, 126)])
def test_a_pan_is_found_at_any_size(preset: flows.FlowPreset, size: tuple[int, int]) -> None:
    """By three to the left and two down, in pixels of the picture, whatever the grid is."""
    scene = (landscape()[..., 1] * 255).astype(np.uint8)
    height, width = size
    first, second = (scene[y : y + height, x : x + width].copy() for y, x in ((20, 20), (18, 23)))
    search = Search(preset)
    found = offsets_of(search.between(search.grid(first), search.grid(second)), size)
    inner = (slice(16, -16), slice(16, -16))
    off = float(np.hypot(found.across + 3, found.down - 2)[inner].mean())
    assert off < 0.5, off


@given(st.integers(0, 2**32 - 1), st.floats(0, 2, width=32))
def test_a_flow_turned_round_leads_back(seed: int, most: float) -> None:
    """Of a flow that changes slowly, as those of `Search` do: from where it led, to within a tenth of a pixel."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(-most, most, (4, 5, 2)).astype(np.float32)
    forth = np.ascontiguousarray(cv2.resize(coarse, (75, 60), interpolation=cv2.INTER_CUBIC))
    back = inverted(forth)
    assert back.shape == forth.shape and back.dtype == np.float32
    missed = forward_backward_error(back, forth)[8:-8, 8:-8]
    assert missed.max() < 0.1, missed.max()
    np.testing.assert_array_equal(inverted(constant(3, -2, (9, 9))), constant(-3, 2, (9, 9)))


def test_the_most_careful_flow_is_that_of_each_pixel() -> None:
    scene = (landscape()[..., 1] * 255).astype(np.uint8)
    first, second = scene[20:181, 20:223].copy(), scene[18:179, 23:226].copy()
    found: npt.NDArray[np.float32] = flow_between(first, second)
    assert found.shape == (161, 203, 2)
    np.testing.assert_allclose(found[16:-16, 16:-16].mean((0, 1)), (-3, 2), atol=0.2)
    again = fetched(second, found)
    assert np.abs(again.astype(int) - first)[16:-16, 16:-16].mean() < 3


@pytest.mark.parametrize("preset", ["ultrafast", "quick", "fast", "fine", "medium"])
@pytest.mark.parametrize("short", [1, 15, 16, 31, 32, 63, 65, 129])
def test_no_shape_of_a_picture_ends_the_process(preset: flows.FlowPreset, short: int) -> None:
    """What DIS cannot take it does not get: some narrow pictures end the process without a word."""
    search = Search(preset)
    for long in (96, 400, 4096, 16384):
        for size in ((short, long), (long, short)):
            scene = np.random.default_rng(long).integers(0, 255, size).astype(np.uint8)
            grid = search.grid(scene)
            assert np.isfinite(search.between(grid, grid)).all()
