"""The worst place of a frame as pictures: O | B | truth | 3 x R side by side, and a PNG of them. Pure, numpy in."""

import struct
import zlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidrain.evaluation.scores import Picture

SIDE = 160  # pixels of the picture, where it has so many
_GAIN = 3
_GAP = 4
_BLOCK = 16


class Crops(NamedTuple):
    """One place of a frame: pictures of one size [h, w, 3]; the place is that of its upper left corner."""

    observed: Picture
    background: Picture
    truth: Picture | None
    left: int
    top: int


def crops_of(observed: Picture, background: Picture, truth: Picture | None) -> Crops:
    """The place where B is farthest from the truth, or from O where there is none."""
    reference = observed if truth is None else truth
    error = np.square(background.astype(np.int32) - reference).sum(-1).astype(np.float64)
    height, width = error.shape
    sides = min(SIDE, height), min(SIDE, width)
    summed = np.pad(error, ((1, 0), (1, 0))).cumsum(0).cumsum(1)
    tops, lefts = (_places(size, side) for size, side in zip(error.shape, sides, strict=True))
    down, right = tops[:, None], lefts[None]
    inside = (
        summed[down + sides[0], right + sides[1]]
        - summed[down, right + sides[1]]
        - summed[down + sides[0], right]
        + summed[down, right]
    )
    row, column = np.unravel_index(int(np.argmax(inside)), inside.shape)
    top, left = int(tops[row]), int(lefts[column])
    place = (slice(top, top + sides[0]), slice(left, left + sides[1]))
    target = None if truth is None else truth[place].copy()
    return Crops(observed[place].copy(), background[place].copy(), target, left, top)


def side_by_side(crops: Crops) -> Picture:
    """O | B | truth (where there is one) | 3 x R around grey, with gaps."""
    rain = crops.observed.astype(np.int32) - crops.background
    shown = np.clip(128 + _GAIN * rain, 0, 255).astype(np.uint8)
    parts = [part for part in (crops.observed, crops.background, crops.truth, shown) if part is not None]
    gap = np.full((parts[0].shape[0], _GAP, 3), 255, np.uint8)
    pieces = [parts[0]]
    for part in parts[1:]:
        pieces += [gap, part]
    return np.concatenate(pieces, axis=1)


def png_of(picture: Picture) -> bytes:
    """A picture [H, W, 3] as the bytes of a PNG file; the same picture gives the same bytes.

    Source: PNG specification (W3C, third edition), sections 5 and 11: IHDR, IDAT, IEND; no filter.
    """
    height, width = picture.shape[:2]
    rows = np.concatenate([np.zeros((height, 1), np.uint8), picture.reshape(height, width * 3)], axis=1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def _places(size: int, side: int) -> npt.NDArray[np.int64]:
    """Where a crop may begin, in steps of a block; the last one ends with the picture."""
    return np.unique(np.append(np.arange(0, size - side + 1, _BLOCK), size - side))
