"""The boxes of MP4 and MOV files: walking them, and nothing else (ISO/IEC 14496-12).

A hostile file costs bounded memory and time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

Rows = npt.NDArray[np.int64]

_FIRST = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp", b"sidx"}
_MOST_BOXES = 1 << 20  # on one level; ten hours in fragments of a second have a tenth of that


@dataclass(frozen=True)
class Box:
    """One box: its type, where it begins, where its contents begin, and where it says that it ends."""

    kind: bytes
    start: int
    body: int
    end: int


def is_boxes(head: bytes) -> bool:
    """Whether a file that begins with `head` is built of boxes, be the name of the first one broken."""
    second = int.from_bytes(head[:4], "big")
    return head[4:8] in _FIRST or (is_name(head[4:8]) and second >= 8 and head[second + 4 : second + 8] in _FIRST)


def is_name(kind: bytes) -> bool:
    """Whether four bytes can be the type of a box."""
    return all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in kind)


def read_at(file: BinaryIO, start: int, size: int) -> bytes:
    """`size` bytes from `start`, fewer at the end of the file."""
    file.seek(start)
    return file.read(max(size, 0))


def walk(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes from `start` to `end` on one level; stops at what is none. The last may say that it ends behind."""
    for _ in range(_MOST_BOXES):
        head = read_at(file, start, min(16, end - start))
        if len(head) < 8:
            return
        length, body = int.from_bytes(head[:4], "big"), start + 8
        if length == 1 and len(head) == 16:
            length, body = int.from_bytes(head[8:], "big"), start + 16
        elif length == 0:
            length = end - start  # to the end of the file
        if start + length < body:
            return
        yield Box(head[4:8], start, body, start + length)
        start += length
        if start >= end:
            return


def stretches(lost: npt.NDArray[np.bool_], times: Rows) -> list[tuple[int, int]]:
    """(start, end) of every run in `lost` [N]; times [N + 1]: when each of them begins, and the last one ends."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], lost.astype(np.int8), [0]))))
    return [(int(times[a]), int(times[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def child(file: BinaryIO, box: Box | None, *path: bytes, size: int) -> Box | None:
    """The first box down `path` inside `box`."""
    for kind in path:
        if box is None:
            return None
        inner = walk(file, box.body, min(box.end, size))
        box = next((found for found in inner if found.kind == kind), None)
    return box
