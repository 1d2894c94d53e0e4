"""One element of EBML, as Matroska is built of (RFC 8794): reading it, and walking one level of them."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vidrain.video.boxes import read_at

EBML = 0x1A45DFA3
_MOST = 1 << 20  # on one level
_CRC = 0xBF
_AT_ONCE = 1 << 20  # bytes


@dataclass(frozen=True)
class Element:
    """One element: its identifier, where it begins, where its contents begin, its stated end; None if unknown."""

    kind: int
    start: int
    body: int
    end: int | None


def is_elements(head: bytes) -> bool:
    """Whether a file that begins with `head` is built of EBML elements."""
    return head[:4] == EBML.to_bytes(4, "big")


def element_at(file: BinaryIO, start: int, end: int) -> Element | None:
    """The element at `start`, or None where there is none before `end`."""
    head = read_at(file, start, min(12, end - start))
    id_length = 9 - head[0].bit_length() if head and head[0] else 9
    if id_length > 4 or len(head) <= id_length or not head[id_length]:
        return None
    size_length = 9 - head[id_length].bit_length()
    digits = head[id_length : id_length + size_length]
    if len(digits) < size_length:
        return None
    unknown = (1 << 7 * size_length) - 1
    value = int.from_bytes(digits, "big") & unknown
    body = start + id_length + size_length
    return Element(int.from_bytes(head[:id_length], "big"), start, body, None if value == unknown else body + value)


def elements_in(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """The elements from `start` to `end` on one level; the last may be of unknown size, or say that it ends behind."""
    for _ in range(_MOST):
        if start >= end or (element := element_at(file, start, end)) is None:
            return
        yield element
        if element.end is None:
            return
        start = element.end


def checksum_holds(file: BinaryIO, parent: Element, size: int) -> bool:
    """Whether the contents of `parent` are those that its CRC-32 was taken of; true where it has none."""
    first = element_at(file, parent.body, size)
    if first is None or first.kind != _CRC or first.end != first.body + 4 or parent.end is None or parent.end > size:
        return True
    found, start = 0, first.end
    while start < parent.end:
        data = read_at(file, start, min(_AT_ONCE, parent.end - start))
        found, start = zlib.crc32(data, found), start + len(data)
    return found == int.from_bytes(read_at(file, first.body, 4), "little")


def number_at(file: BinaryIO, element: Element) -> int:
    """The unsigned number that is the contents of `element`; 0 for what cannot be one."""
    if element.end is None or element.end - element.body > 8:
        return 0
    return int.from_bytes(read_at(file, element.body, element.end - element.body), "big")
