"""Matroska and WebM by arithmetic over their elements: where a file ends before its segment or a cluster does.

No decoding and no FFmpeg; a hostile file costs bounded memory and time. Elements: RFC 8794 and RFC 9559.
"""

from collections.abc import Iterator
from typing import BinaryIO

from vidrain.types import Damage, Structure
from vidrain.video.clusters import Walk, disagreements, read_heads
from vidrain.video.element import EBML, Element, checksum_holds, element_at

_MOST_ELEMENTS = 1 << 20  # in all
_SEGMENT, _CLUSTER, _INFO, _CUES = 0x18538067, 0x1F43B675, 0x1549A966, 0x1C53BB6B
_TOP = {EBML, _SEGMENT}
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


def examine_elements(file: BinaryIO, size: int) -> Structure:
    """What is broken in a Matroska file of `size` bytes."""
    segment = _segment(file, size)
    if segment is None:
        return Structure("matroska", (Damage("holds no segment: the file is cut in its head", size, size),))
    end = size if segment.end is None else min(segment.end, size)
    parts: dict[str, Element] = {}
    clusters: list[Element] = []
    position = segment.body
    damages: list[Damage] = []
    notes: list[str] = []
    for element in _children(file, segment.body, end):
        position = size if element.end is None else element.end
        if element.kind == _CLUSTER:
            clusters.append(element)
        else:
            parts.setdefault(_NAMES[element.kind], element)
        if position > size and element.kind == _CLUSTER:
            damages.append(Damage(f"a cluster ends {position - size} bytes behind the end of the file", size, position))
        elif position > size:
            notes.append(f"{_NAMES[element.kind]} end {position - size} bytes behind the end of the file")
    heads = read_heads(file, parts, segment.body, size)
    walk = Walk(_MOST_ELEMENTS)
    for cluster in clusters:
        stop = min(size if cluster.end is None else cluster.end, end)
        broken = walk.through(file, cluster, stop, heads)
        if broken is not None:
            what = f"{stop - broken} bytes of a cluster, from {broken} on, are no elements of Matroska"
            damages.append(Damage(what, broken, stop))
    if position < end:
        what = f"{end - position} bytes from {position} on are no elements of Matroska, such as zeros"
        damages.append(Damage(what, position, end))
    elif segment.end is not None and position <= size < segment.end:
        what = f"the segment ends {segment.end - size} bytes behind the end of the file"
        damages.append(Damage(what, size, segment.end))
    if not damages:
        said = [*disagreements(heads, walk), *_altered(file, [*parts.values(), *clusters], size)]
        damages += [Damage.anywhere(what) for what in said]
    if "Cues" not in parts and not damages:
        notes.append("holds no index (Cues): the recording was not closed, or it was made for streaming")
    if not heads.duration_ms:
        notes.append("states no duration")
    return Structure("matroska", tuple(damages), None, tuple(notes))


def _altered(file: BinaryIO, elements: list[Element], size: int) -> Iterator[str]:
    """Elements that are not what their checksum was taken of."""
    altered = [element for element in elements if not checksum_holds(file, element, size)]
    if altered:
        first = altered[0]
        yield f"{len(altered)} parts do not match their checksums, the first ({_NAMES[first.kind]}) at {first.start}"


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
