"""Damages the bytes of a video file as cards, cables and interrupted recorders do: seeded, bytes in and bytes out.

Half of the damage goes where it hurts: into heads, sizes, counts and offsets, which `anatomy` finds.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO

from vidrain.video.boxes import is_boxes, walk
from vidrain.video.element import element_at, is_elements

_CONTAINERS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts", b"dinf", b"udta", b"moof", b"traf", b"mvex"}
_MASTERS = {0x18538067, 0x1F43B675, 0x1654AE6B, 0xAE, 0xE0, 0x1C53BB6B, 0xBB, 0xB7, 0x1549A966, 0x114D9B74, 0xA0}
_LISTS = {b"RIFF", b"LIST"}
_TIMES = {b"mvhd", b"tkhd", b"mdhd", b"elst", b"stts", b"ctts", b"tfhd", b"trun"}  # boxes that state when, and no more
# TimestampScale, Duration, Timestamp of a cluster, BlockDuration, DefaultDuration: RFC 9559, 5.1.
_CLOCKS = {0x2AD7B1, 0x4489, 0xE7, 0x9B, 0x23E383}
PACKET = 188
_HEAD = 16  # bytes behind an edge that count as structure
_WILD = (0, 1, 2, 0x7F, 0xFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF0, 0x00010000)


@dataclass(frozen=True)
class Anatomy:
    """Where the parts of a file begin: edges, sorted, with 0 and the size; small: (start, end) of small ones.

    times: (start, end) of what boxes and elements hold that state when samples are shown.
    """

    edges: tuple[int, ...]
    small: tuple[tuple[int, int], ...]
    times: tuple[tuple[int, int], ...] = ()


def anatomy(data: bytes) -> Anatomy:
    """Edges of boxes, elements, packets or chunks of a file."""
    parts: list[tuple[int, int, int]] = []
    clocks: list[tuple[int, int]] = []
    if is_boxes(data[:16]):
        _boxes(data, 0, len(data), parts)
    elif is_elements(data[:16]):
        _elements(data, 0, len(data), parts, clocks)
    elif data[:4] == b"RIFF":
        _chunks(data, 0, len(data), parts)
    else:
        parts += [(start, start + _HEAD, start + PACKET) for start in range(0, len(data), PACKET)]
    edges = sorted({0, len(data), *(start for start, _, _ in parts), *(body for _, body, _ in parts)})
    small = tuple((start, min(end, start + 4096)) for start, _, end in parts if 8 <= end - start <= 4096)
    times = [*clocks, *((body, end) for _, body, end in parts if data[body - 4 : body] in _TIMES)]
    inside = tuple(edge for edge in edges if edge <= len(data))
    return Anatomy(inside, small or ((0, min(len(data), 4096)),), tuple(times))


def _boxes(data: bytes, start: int, end: int, parts: list[tuple[int, int, int]]) -> None:
    for box in walk(BytesIO(data), start, end):
        parts.append((box.start, box.body, min(box.end, end)))
        if box.kind in _CONTAINERS:
            _boxes(data, box.body, min(box.end, end), parts)


def _elements(
    data: bytes, start: int, end: int, parts: list[tuple[int, int, int]], clocks: list[tuple[int, int]]
) -> None:
    while start < end and (element := element_at(BytesIO(data), start, end)) is not None:
        stop = end if element.end is None else min(element.end, end)
        parts.append((element.start, element.body, stop))
        if element.kind in _CLOCKS:
            clocks.append((element.body, stop))
        if element.kind in _MASTERS:
            _elements(data, element.body, stop, parts, clocks)
        start = stop


def _chunks(data: bytes, start: int, end: int, parts: list[tuple[int, int, int]]) -> None:
    while start + 8 <= end:
        size = int.from_bytes(data[start + 4 : start + 8], "little")
        stop = min(start + 8 + size + size % 2, end)
        parts.append((start, start + 8, stop))
        if data[start : start + 4] in _LISTS:
            _chunks(data, start + 12, stop, parts)
        start = stop


def mutated(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    """(damaged bytes, what was done). data is never returned as it is."""
    while True:
        hurt, said = dice.choice(_WAYS)(data, found, dice)
        if hurt != data:
            return hurt, said


def _somewhere(data: bytes, found: Anatomy, dice: random.Random) -> int:
    """An offset: half of them in small parts, such as tables and heads."""
    if dice.random() < 0.5:
        start, end = dice.choice(found.small)
        return min(dice.randrange(start, end), len(data) - 1)
    return dice.randrange(len(data))


def _flip(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    hurt = bytearray(data)
    places = sorted(_somewhere(data, found, dice) for _ in range(dice.choice((1, 1, 1, 2, 5, 20))))
    for place in places:
        hurt[place] ^= 1 << dice.randrange(8)
    return bytes(hurt), f"bits flipped at {places}"


def _flip_head(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    hurt = bytearray(data)
    place = min(dice.choice(found.edges) + dice.randrange(_HEAD), len(data) - 1)
    hurt[place] ^= 1 << dice.randrange(8)
    return bytes(hurt), f"bit flipped at {place}"


def _wild(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    """A size, count or offset becomes a wild one."""
    hurt = bytearray(data)
    start, end = dice.choice(found.small)
    place = start + 4 * dice.randrange(max((end - start) // 4, 1))
    number = dice.choice((*_WILD, len(data), dice.randrange(1 << 32)))
    hurt[place : place + 4] = number.to_bytes(4, "big")
    return bytes(hurt[: len(data)]), f"{number:#x} at {place}"


def _cut(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    at_edge = dice.random() < 0.5
    keep = dice.choice(found.edges[1:-1] or (1,)) if at_edge else dice.randrange(1, len(data))
    return data[:keep], f"cut to {keep} of {len(data)} bytes"


def _zeros(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    start = dice.choice(found.edges[:-1]) if dice.random() < 0.5 else dice.randrange(len(data))
    length = dice.choice((16, 188, 512, 4096, 16384, len(data)))
    end = min(start + length, len(data))
    return data[:start] + bytes(end - start) + data[end:], f"zeros from {start} to {end}"


def _block(data: bytes, found: Anatomy, dice: random.Random) -> tuple[int, int]:
    """Start and end of a stretch: between two edges, or a sector."""
    if dice.random() < 0.5 and len(found.edges) > 2:
        first = dice.randrange(len(found.edges) - 1)
        last = min(first + dice.choice((1, 2, 5)), len(found.edges) - 1)
        return found.edges[first], found.edges[last]
    start = dice.randrange(len(data))
    return start, min(start + dice.choice((1, 7, 188, 512, 4096)), len(data))


def _remove(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    start, end = _block(data, found, dice)
    return data[:start] + data[end:], f"bytes {start} to {end} removed"


def _double(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    start, end = _block(data, found, dice)
    return data[:end] + data[start:], f"bytes {start} to {end} twice"


def _splice(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    start, end = _block(data, found, dice)
    place = dice.randrange(len(data))
    return data[:place] + data[start:end] + data[place + end - start :], f"bytes {start} to {end} over {place}"


def _swap(data: bytes, found: Anatomy, dice: random.Random) -> tuple[bytes, str]:
    edges = found.edges
    if len(edges) < 4:
        return _remove(data, found, dice)
    a, b, c = sorted(dice.sample(range(len(edges)), 3))
    if dice.random() < 0.7:  # neighbours
        a = dice.randrange(len(edges) - 2)
        b, c = a + 1, a + 2
    swapped = data[edges[b] : edges[c]] + data[edges[a] : edges[b]]
    return data[: edges[a]] + swapped + data[edges[c] :], f"{edges[a]}-{edges[b]}-{edges[c]} swapped"


_WAYS: tuple[Callable[[bytes, Anatomy, random.Random], tuple[bytes, str]], ...] = (
    _flip, _flip, _flip_head, _flip_head, _wild, _wild, _cut, _cut, _zeros, _remove, _double, _splice, _swap,
)  # fmt: skip
