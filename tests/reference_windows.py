"""Slow twins of what `filters` makes of the pixels around each pixel, in loops; imports nothing of vidrain."""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def over_window(picture: Array, window: tuple[int, int], combine: Callable[[Array], float]) -> Array:
    """`combine` of the pixels in the window around every pixel, the border repeated. [H, W]"""
    down, right = (side // 2 for side in window)
    padded = np.pad(picture, ((down, down), (right, right)), mode="edge")
    found = np.empty_like(picture)
    for y, x in np.ndindex(*picture.shape):
        found[y, x] = combine(padded[y : y + window[0], x : x + window[1]])
    return found


def shrunk(picture: Array, factor: tuple[int, int]) -> Array:
    """Means of cells of so many rows and columns, the last row and column repeated until they are whole."""
    height, width = (-(-side // times) for side, times in zip(picture.shape, factor, strict=True))
    found = np.empty((height, width))
    for y, x in np.ndindex(height, width):
        rows = np.minimum(np.arange(factor[0]) + y * factor[0], picture.shape[0] - 1)
        columns = np.minimum(np.arange(factor[1]) + x * factor[1], picture.shape[1] - 1)
        found[y, x] = picture[np.ix_(rows, columns)].astype(float).mean()
    return found


def enlarged(picture: Array, times: int, size: tuple[int, int]) -> Array:
    """Every pixel a square of so many; between their middles linear, beyond the outermost constant."""
    found = np.empty(size)
    for y, x in np.ndindex(*size):
        at = [
            min(max((place + 0.5) / times - 0.5, 0), side - 1)
            for place, side in zip((y, x), picture.shape, strict=True)
        ]
        (top, low), (left, right) = (
            (int(place), min(int(place) + 1, side - 1)) for place, side in zip(at, picture.shape, strict=True)
        )
        down, across = at[0] - top, at[1] - left
        upper = picture[top, left] * (1 - across) + picture[top, right] * across
        lower = picture[low, left] * (1 - across) + picture[low, right] * across
        found[y, x] = upper * (1 - down) + lower * down
    return found


def contrast(picture: Array) -> Array:
    """The larger of the differences of the two neighbours across and of those above and below."""
    padded = np.pad(picture, 1, mode="edge")
    found = np.empty_like(picture)
    for y, x in np.ndindex(*picture.shape):
        across = abs(padded[y + 1, x + 2] - padded[y + 1, x])
        down = abs(padded[y + 2, x + 1] - padded[y, x + 1])
        found[y, x] = max(across, down)
    return found
