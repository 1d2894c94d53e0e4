"""Means, minima and maxima over windows of a picture: by OpenCV where it lies in memory, by PyTorch on other devices.

PyTorch's own take several times as long on a CPU. Both give the same values, means to rounding; borders are repeated.
All take and give [H, W], float32 or int16.

    eroded(picture, (1, 7))       # the least of seven pixels in a row
    shrunk(picture, (2, 2))       # half the size
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

Window = tuple[int, int]
"""Rows and columns: odd numbers of them around every pixel, or how many of them make one."""


def beyond(picture: Tensor, other: Tensor) -> Tensor:
    """What a picture has more than another one, 0 where it has less. Luma in fixed point is never negative."""
    if picture.is_floating_point() or not _lies_in_memory(picture):
        return (picture - other).clamp_(min=0)
    return _tensor(cv2.subtract(_array(picture).view(np.uint16), _array(other).view(np.uint16)).view(np.int16))


def averaged(picture: Tensor, window: Window) -> Tensor:
    """Mean over the window around every pixel."""
    if not _lies_in_memory(picture):
        return _as(picture, shifted(picture.float(), window, torch.add).div_(window[0] * window[1]))
    return _tensor(cv2.blur(_array(picture), window[::-1], borderType=cv2.BORDER_REPLICATE))


def eroded(picture: Tensor, window: Window) -> Tensor:
    """The least in the window around every pixel."""
    if not _lies_in_memory(picture):
        return shifted(picture, window, torch.minimum)
    return _tensor(cv2.erode(_array(picture), np.ones(window, np.uint8), borderType=cv2.BORDER_REPLICATE))


def dilated(picture: Tensor, window: Window) -> Tensor:
    """The most in the window around every pixel."""
    if not _lies_in_memory(picture):
        return shifted(picture, window, torch.maximum)
    return _tensor(cv2.dilate(_array(picture), np.ones(window, np.uint8), borderType=cv2.BORDER_REPLICATE))


def shifted(picture: Tensor, window: Window, combine: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """`combine` over the window around every pixel: shifted views, one after the other."""
    total = bordered(picture, window[0] // 2, window[1] // 2)
    for axis, side in enumerate(window):
        size = picture.shape[axis]
        views = [total.narrow(axis, start, size) for start in range(side)]
        total = views[0]
        for view in views[1:]:
            total = combine(total, view)
    return total.clone() if window == (1, 1) else total


def bordered(picture: Tensor, rows: int, columns: int) -> Tensor:
    """The picture with its border repeated so many times on every side."""
    if _lies_in_memory(picture):
        return _tensor(cv2.copyMakeBorder(_array(picture), rows, rows, columns, columns, cv2.BORDER_REPLICATE))
    padded = functional.pad(picture[None, None].float(), (columns, columns, rows, rows), mode="replicate")[0, 0]
    return _as(picture, padded)


def shrunk(picture: Tensor, factor: Window) -> Tensor:
    """A picture so many times smaller, each pixel the mean of those it covers; the border repeated where it ends."""
    if factor == (1, 1):
        return picture
    below, right = (-side % times for side, times in zip(picture.shape, factor, strict=True))
    if not _lies_in_memory(picture):
        padded = functional.pad(picture[None, None].float(), (0, right, 0, below), mode="replicate")
        return _as(picture, functional.avg_pool2d(padded, factor)[0, 0])
    array = _array(picture)
    if below or right:
        array = cv2.copyMakeBorder(array, 0, below, 0, right, cv2.BORDER_REPLICATE)
    size = (array.shape[1] // factor[1], array.shape[0] // factor[0])
    return _tensor(cv2.resize(array, size, interpolation=cv2.INTER_AREA))


def enlarged(picture: Tensor, times: int, size: Window) -> Tensor:
    """A picture so many times larger, by linear interpolation, as far as `size` (rows, columns) reaches."""
    height, width = picture.shape
    if not _lies_in_memory(picture):
        grown = functional.interpolate(picture[None, None], scale_factor=times, mode="bilinear")[0, 0]
    else:
        grown = _tensor(cv2.resize(_array(picture), (width * times, height * times), interpolation=cv2.INTER_LINEAR))
    return grown[: size[0], : size[1]]


def resized(picture: Tensor, size: Window) -> Tensor:
    """A float32 picture of `size` (rows, columns): linear between its pixels, means of four points where it shrinks.

    What is nearest to infinity is infinite, and counts as 0 for what is not. The picture itself where it has that size.
    """
    if tuple(picture.shape) == tuple(size):
        return picture
    times = 1 if size[0] >= picture.shape[0] else 2
    rows, columns = (times * side for side in size)
    known = picture.isfinite()
    finite = picture if bool(known.all()) else picture.nan_to_num(posinf=0)
    if _lies_in_memory(picture):
        points = _tensor(cv2.resize(_array(finite), (columns, rows), interpolation=cv2.INTER_LINEAR))
    else:
        points = functional.interpolate(finite[None, None], (rows, columns), mode="bilinear")[0, 0]
    found = shrunk(points, (times, times))
    if finite is not picture:
        nearest = functional.interpolate(known[None, None].float(), size, mode="nearest")[0, 0]
        found.masked_fill_(nearest == 0, torch.inf)
    return found


def contrast(picture: Tensor) -> Tensor:
    """The larger of the differences between the pixels on both sides, across and down."""
    padded = bordered(picture, 1, 1)
    across, down = (padded[1:-1, 2:], padded[1:-1, :-2]), (padded[2:, 1:-1], padded[:-2, 1:-1])
    if not _lies_in_memory(picture):
        return torch.maximum(*((first - second).abs_() for first, second in (across, down)))
    differences = (cv2.absdiff(_array(first), _array(second)) for first, second in (across, down))
    return _tensor(cv2.max(*differences))


def _lies_in_memory(picture: Tensor) -> bool:
    """Whether OpenCV can read it; tests say no, to compare what other devices compute."""
    return picture.device.type == "cpu"


def _as(picture: Tensor, found: Tensor) -> Tensor:
    """What was computed in float32 for a picture, of its type."""
    return found if picture.is_floating_point() else found.round_().to(picture.dtype)


def _array(picture: Tensor) -> npt.NDArray[Any]:
    return picture.numpy()


def _tensor(array: Any) -> Tensor:
    return torch.from_numpy(array)
