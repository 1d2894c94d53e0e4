"""Soft dots by the hundred thousand on a picture: what they cover, and how bright they are, added up.

Dots of like softness are laid together on one layer, coarse ones on a coarse layer, and each layer is softened as a
whole; a dot between two softnesses is shared out between both, so that its variance is exact. Numpy alone, in one
thread: the same dots give the same numbers on any number of cores.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

# (scale, variance): pixels to a cell, and how soft its dots are in the end, in pixels^2. The first is a dot shared out
# over its four nearest pixels, which is 1/6 on average.
_LAYERS = ((1, 1 / 6), (1, 0.5), (1, 4 / 3), (2, 16 / 3), (4, 64 / 3), (8, 256 / 3))
_VARIANCES = np.array([variance for _, variance in _LAYERS])
_MARGIN = 32  # pixels around the picture on which dots are laid whose softness reaches in
_SHARED = 1 / 6  # variance of sharing out a dot over its nearest cells, in cells^2; and of blending coarse cells


class Canvas:
    """A picture of (height, width) to lay dots on."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._cells: dict[int, tuple[Floats, Floats]] = {}

    def levels(self, variance: Floats) -> Floats:
        """Place of softnesses (variances in pixels^2) among the layers: 1.25 is a quarter of the way from 1 to 2."""
        return np.asarray(np.interp(variance, _VARIANCES, np.arange(len(_LAYERS))))

    def add(self, place: Floats, covered: Floats, bright: Floats, level: Floats) -> None:
        """Lay dots. place: [N, 2] pixels (x, y); covered: [N], the sum of what each takes of the light, in pixels;
        bright: [N], how bright it is; level: [N], of `levels`."""
        lower = np.minimum(level.astype(np.int64), len(_LAYERS) - 1)
        upper_share = level - lower
        for number in range(len(_LAYERS)):
            here = np.where(lower == number, 1 - upper_share, np.where(lower == number - 1, upper_share, 0.0))
            chosen = here > 0
            if chosen.any():
                self._lay(number, place[chosen], covered[chosen] * here[chosen], bright[chosen])

    def finished(self) -> tuple[Picture, Picture]:
        """(depth, glow), each [H, W]: what was covered, added up, and the same times its brightness."""
        sums = [np.zeros(self._size, np.float32) for _ in range(2)]
        for number, cells in sorted(self._cells.items()):
            scale, variance = _LAYERS[number]
            within = variance / scale**2 - _SHARED - (_SHARED if scale > 1 else 0)
            for total, layer in zip(sums, cells, strict=True):
                total += _cut(softened(layer.astype(np.float32), within), scale, self._size) / np.float32(scale**2)
        return sums[0], sums[1]

    def _lay(self, number: int, place: Floats, covered: Floats, bright: Floats) -> None:
        scale = _LAYERS[number][0]
        rows, columns = ((side + 2 * _MARGIN) // scale + 2 for side in self._size)
        if number not in self._cells:
            self._cells[number] = (np.zeros((rows, columns)), np.zeros((rows, columns)))
        x, y = (place.T + _MARGIN) / scale - 0.5
        left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        right_share, low_share = x - left, y - top
        inside = (left >= 0) & (left < columns - 1) & (top >= 0) & (top < rows - 1)
        for down, across, share in (
            (0, 0, (1 - right_share) * (1 - low_share)),
            (0, 1, right_share * (1 - low_share)),
            (1, 0, (1 - right_share) * low_share),
            (1, 1, right_share * low_share),
        ):
            cell = ((top + down) * columns + left + across)[inside]
            weight = (covered * share)[inside]
            for layer, amount in zip(self._cells[number], (weight, weight * bright[inside]), strict=True):
                layer += np.bincount(cell, amount, minlength=rows * columns).reshape(rows, columns)


def softened(picture: Picture, variance: float) -> Picture:
    """A picture [..., H, W] under a Gaussian of `variance` pixels^2, edges repeated."""
    if variance <= 1e-6:
        return picture
    sigma = variance**0.5
    reach = max(1, int(np.ceil(3 * sigma)))
    offsets = np.arange(-reach, reach + 1)
    weights = np.exp(-0.5 * (offsets / sigma) ** 2)
    if sigma < 1:  # a sampled Gaussian so narrow is softer or sharper than meant: three taps of its very variance
        reach, share = 1, min(variance / 2, 1 / 3)
        weights = np.array([share, 1 - 2 * share, share])
        if variance > 2 / 3:
            return softened(softened(picture, variance / 2), variance / 2)
    weights = (weights / weights.sum()).astype(np.float32)
    for axis in (-2, -1):
        length = picture.shape[axis]
        pad = [(0, 0)] * picture.ndim
        pad[axis] = (reach, reach)
        wide = np.pad(picture, pad, "edge")
        total = np.zeros_like(picture)
        for offset, weight in enumerate(weights):
            total += weight * (
                wide[..., offset : offset + length, :] if axis == -2 else wide[..., offset : offset + length]
            )
        picture = total
    return picture


def enlarged(picture: Picture, scale: int, size: tuple[int, int], start: tuple[float, float] = (0.0, 0.0)) -> Picture:
    """Cells [..., h, w] of `scale` pixels each, blended linearly, as [..., H, W] pixels that begin at `start`."""
    for axis, length, first in ((-2, size[0], start[0]), (-1, size[1], start[1])):
        at = np.clip((np.arange(length) + 0.5 + first) / scale - 0.5, 0, picture.shape[axis] - 1)
        low = np.minimum(at.astype(np.int64), max(picture.shape[axis] - 2, 0))
        share = (at - low).astype(np.float32)
        high = np.minimum(low + 1, picture.shape[axis] - 1)
        share = share[:, None] if axis == -2 else share
        picture = picture.take(low, axis) * (1 - share) + picture.take(high, axis) * share
    return picture


def _cut(cells: Picture, scale: int, size: tuple[int, int]) -> Picture:
    """What of a layer lies in the picture, in pixels."""
    if scale == 1:
        return cells[_MARGIN : _MARGIN + size[0], _MARGIN : _MARGIN + size[1]]
    return enlarged(cells, scale, size, (_MARGIN, _MARGIN))
