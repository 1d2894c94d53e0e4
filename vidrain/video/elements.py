"""Matroska and WebM by arithmetic over their elements: where a file ends before its segment or a cluster does.

No decoding and no FFmpeg; a hostile file costs bounded memory and time. Elements: RFC 8794 and RFC 9559.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from vidrain.types import Damage, Structure
from vidrain.video.boxes import read_at

_MOST_ELEMENTS = 1 << 20  # in all
_EBML, _SEGMENT, _CLUSTER, _INFO, _CUES, _DURATION = 0x1A45DFA3, 0x18538067, 0x1F43B675, 0x1549A966, 0x1C53BB6B, 0x4489
_LONGEST_HEAD = 12  # bytes of an identifier and a size; of a cut one less is left
_TOP = {_EBML, _SEGMENT}
_ANYWHERE = {0xEC, 0xBF}  # Void and CRC-32 stand on every level
_NAMES = {
    _CLUSTER: "Cluster",
    _INFO: "Info",
    _CUES: "Cues",
    0x114D9B74: "SeekHead",
    0x1654AE6B: "Tracks",
    0x1043A770: "Chapters",
    0x1254C367: "Tags",
    0x1941A469: "Attachments",
    0xEC: "Void",
    0xBF: "CRC-32",
}


@dataclass(frozen=True)
class Element:
    """One element: its identifier, where it begins, where its contents begin, its stated end; None if unknown."""

    kind: int
    start: int
    body: int
    end: int | None


def is_elements(head: bytes) -> bool:
    """Whether a file that begins with `head` is built of EBML elements."""
    return head[:4] == _EBML.to_bytes(4, "big")


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


def examine_elements(file: BinaryIO, size: int) -> Structure:
    """What is broken in a Matroska file of `size` bytes."""
    segment = _segment(file, size)
    if segment is None:
        return Structure("matroska", (Damage("holds no segment: the file is cut in its head", size, size),))
    end = size if segment.end is None else min(segment.end, size)
    seen: set[int] = set()
    position, has_duration = segment.body, False
    damages: list[Damage] = []
    notes: list[str] = []
    left = _MOST_ELEMENTS
    for element in _children(file, segment.body, end):
        seen.add(element.kind)
        position = size if element.end is None else element.end
        if element.kind == _CLUSTER and left > 0:
            stop, left = _walked(file, element, min(position, end), left)
            if stop is not None:
                what = f"{min(position, end) - stop} bytes of a cluster, from {stop} on, are no elements of Matroska"
                damages.append(Damage(what, stop, min(position, end)))
        has_duration = has_duration or (element.kind == _INFO and _states_duration(file, element, size))
        if position > size and element.kind == _CLUSTER:
            damages.append(Damage(f"a cluster ends {position - size} bytes behind the end of the file", size, position))
        elif position > size:
            notes.append(f"{_NAMES[element.kind]} end {position - size} bytes behind the end of the file")
    if position < end:
        what = f"{end - position} bytes from {position} on are no elements of Matroska, such as zeros"
        damages.append(Damage(what, position, end))
    elif segment.end is not None and position <= size < segment.end:
        what = f"the segment ends {segment.end - size} bytes behind the end of the file"
        damages.append(Damage(what, size, segment.end))
    if _CUES not in seen and not damages:
        notes.append("holds no index (Cues): the recording was not closed, or it was made for streaming")
    if not has_duration:
        notes.append("states no duration")
    return Structure("matroska", tuple(damages), None, tuple(notes))


def _segment(file: BinaryIO, size: int) -> Element | None:
    start = 0
    for _ in range(len(_TOP) + 2):  # the head, perhaps something void, the segment
        element = element_at(file, start, size)
        if element is None or element.kind == _SEGMENT:
            return element
        if element.end is None:
            return None
        start = element.end
    return None


def _children(file: BinaryIO, start: int, end: int) -> Iterator[Element]:
    """Elements of the segment. A cluster of unknown size ends where the last element fits that is inside of it."""
    left = _MOST_ELEMENTS
    while left > 0 and start < end:
        element = element_at(file, start, end)
        if element is None or element.kind not in _NAMES:
            return
        left -= 1
        if element.end is None:
            start = element.body
            while left > 0 and (inner := element_at(file, start, end)) is not None:
                if inner.end is None or inner.kind in (_NAMES.keys() | _TOP) - _ANYWHERE:
                    break
                start, left = inner.end, left - 1
            element = Element(element.kind, element.start, element.body, start)
        elif element.end > end:
            yield element
            return
        else:
            start = element.end
        yield element


def _walked(file: BinaryIO, cluster: Element, end: int, left: int) -> tuple[int | None, int]:
    """(where the blocks of a cluster break off, None if they fill it; how many more elements may be looked at)."""
    start = cluster.body
    while start < end and left > 0:
        element = element_at(file, start, end)
        if element is None or element.end is None or (element.end > end and end == cluster.end):
            return (start if end - start > _LONGEST_HEAD else None), left
        start, left = element.end, left - 1
    return None, left


def _states_duration(file: BinaryIO, info: Element, size: int) -> bool:
    """Whether the Info element holds a Duration above zero."""
    start, end = info.body, min(info.end or size, size)
    for _ in range(64):
        element = element_at(file, start, end)
        if element is None or element.end is None:
            return False
        if element.kind == _DURATION:
            data = read_at(file, element.body, min(element.end - element.body, 8))
            form = {4: ">f", 8: ">d"}.get(len(data))
            return form is not None and struct.unpack(form, data)[0] > 0
        start = element.end
    return False
