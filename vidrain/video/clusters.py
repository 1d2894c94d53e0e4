"""What lies in the clusters of a Matroska file, and whether the heads and the index of the file agree with it.

Elements: RFC 9559. Told apart from `elements.py`, which finds where a file breaks off, because all is whole here: a
flipped bit alone makes a frame belong to no track, or to another time.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from vidrain.video.boxes import read_at
from vidrain.video.element import Element, elements_in, number_at

_TIMESTAMP, _SIMPLE_BLOCK, _GROUP, _BLOCK = 0xE7, 0xA3, 0xA0, 0xA1
_ENTRY, _NUMBER = 0xAE, 0xD7
_TYPE, _CODEC = 0x83, 0x86
# kind of a track -> first letters of its codec, where they are prescribed; WebM's text is D_WEBVTT
_TYPES = {1: (b"V",), 2: (b"A",), 17: (b"S", b"D"), 18: (b"B",)}
_RARE = {3, 16, 32, 33}  # complex, logo, control, metadata
_NEEDED = {0x73C5, _TYPE, _CODEC}  # what a track has besides: its identity, kind and codec
_POINT, _CUE_TIME, _POSITIONS, _CUE_TRACK, _CUE_CLUSTER = 0xBB, 0xB3, 0xB7, 0xF7, 0xF1
_SCALE, _DURATION = 0x2AD7B1, 0x4489
_SHORT = {_TIMESTAMP, 0xA7, 0xAB}  # numbers: also where the cluster lies, and how long the one before is
_KNOWN = {_SIMPLE_BLOCK, _GROUP, 0x5854, 0xEC, 0xBF} | _SHORT
# what stands beside the block of a group, and never for long but for additions
_IN_GROUP = {_BLOCK, 0x75A1, 0x9B, 0xFA, 0xFB, 0xFD, 0xA4, 0x75A2, 0x8E, 0xEC, 0xBF}
_LONGEST_HEAD = 12  # bytes of an identifier and a size; of a cut one less is left
_MOST_CUES = 1 << 18
_SLACK_MS = 1000.0  # a stated duration may count what other streams add


class Cue(NamedTuple):
    """A line of the index: a block of `track` at `time` (ticks) in the cluster at byte `cluster`."""

    cluster: int
    track: int
    time: int


@dataclass
class Heads:
    """What the heads say.

    tracks: their numbers, incomplete: how many lack what all have; cues: still to be found; duration_ms: None where not
    stated.
    """

    tracks: set[int] = field(default_factory=set)
    incomplete: int = 0
    cues: set[Cue] = field(default_factory=set)
    scale_ns: int = 1_000_000
    duration_ms: float | None = None


@dataclass
class Walk:
    """How far the clusters were walked. left: elements that may still be looked at; times in ticks."""

    left: int
    last: int | None = None
    widest: int = 0
    strays: int = 0
    backwards: int = 0
    _cluster: int | None = None

    def through(self, file: BinaryIO, cluster: Element, end: int, heads: Heads) -> int | None:
        """Look at the blocks of one cluster up to `end`; where they break off, None if they fill it."""
        start, time = cluster.body, 0
        for element in elements_in(file, cluster.body, end):
            is_whole = element.end is not None and (element.end <= end or end != cluster.end)
            is_short = element.kind not in _SHORT or (element.end or 0) - element.body <= 8
            if element.kind not in _KNOWN or not (is_whole and is_short and self.left):
                break
            if element.kind == _TIMESTAMP:
                time = number_at(file, element)
                reordered = int(_SLACK_MS * 1e6) // max(heads.scale_ns, 1)  # B-frames may open a cluster
                self.backwards += self._cluster is not None and time + reordered < self._cluster
                self._cluster = time
            elif element.kind == _SIMPLE_BLOCK:
                self._block(file, element, Cue(cluster.start, 0, time), heads)
            elif element.kind == _GROUP:
                filled = element.body
                for inner in elements_in(file, element.body, min(element.end or end, end)):
                    filled = inner.end or end if inner.kind in _IN_GROUP else end + 1
                    if inner.kind == _BLOCK:
                        self._block(file, inner, Cue(cluster.start, 0, time), heads)
                self.strays += filled != element.end
            start, self.left = element.end or end, self.left - 1
        return start if self.left and end - start > _LONGEST_HEAD else None

    def _block(self, file: BinaryIO, block: Element, found: Cue, heads: Heads) -> None:
        head = read_at(file, block.body, 10)
        length = 9 - head[0].bit_length() if head and head[0] else 9
        if len(head) < length + 2:
            self.strays += 1
            return
        track = int.from_bytes(head[:length], "big") & (1 << 7 * length) - 1
        time = found.time + struct.unpack(">h", head[length : length + 2])[0]
        self.strays += bool(heads.tracks) and track not in heads.tracks
        heads.cues.discard(Cue(found.cluster, track, time))
        if self.last is not None:
            self.widest = max(self.widest, time - self.last)
        self.last = time if self.last is None else max(self.last, time)


def read_heads(file: BinaryIO, parts: dict[str, Element], begin: int, size: int) -> Heads:
    """What Tracks, Cues and Info say, if they are there. begin: where places in the segment count from."""
    heads = Heads()
    for entry in _inside(file, parts.get("Tracks"), size):
        found = {part.kind: part for part in _inside(file, entry, size)} if entry.kind == _ENTRY else {}
        is_known = found.keys() >= {_NUMBER, *_NEEDED} and _is_kind(file, found[_TYPE], found[_CODEC])
        heads.incomplete += entry.kind == _ENTRY and not is_known
        heads.tracks |= {number_at(file, found[_NUMBER])} if _NUMBER in found else set()
    for point in _inside(file, parts.get("Cues"), size):
        if point.kind == _POINT and len(heads.cues) < _MOST_CUES:
            heads.cues |= set(_cues(file, point, begin, size))
    for part in _inside(file, parts.get("Info"), size):
        if part.kind == _SCALE:
            heads.scale_ns = number_at(file, part)
        elif part.kind == _DURATION and part.end is not None:
            data = read_at(file, part.body, min(part.end - part.body, 8))
            form = {4: ">f", 8: ">d"}.get(len(data))
            heads.duration_ms = struct.unpack(form, data)[0] * heads.scale_ns / 1e6 if form else None
    return heads


def disagreements(heads: Heads, walk: Walk) -> Iterator[str]:
    """What heads, index and blocks do not agree on, once all clusters were walked."""
    if heads.incomplete:
        yield f"{heads.incomplete} tracks lack their number, a known kind or their codec"
    if walk.strays:
        yield f"{walk.strays} blocks are broken, or of a track that there is not"
    if walk.backwards:
        yield f"{walk.backwards} clusters begin long before the one in front of them"
    if heads.cues:
        yield f"{len(heads.cues)} entries of the index (Cues) point to no block"
    tick_ms = heads.scale_ns / 1e6
    if walk.last is None or not heads.duration_ms or not heads.duration_ms > 0:
        return
    last_ms = walk.last * tick_ms
    if last_ms > heads.duration_ms + tick_ms or heads.duration_ms > last_ms + walk.widest * tick_ms + _SLACK_MS:
        yield f"its duration is {heads.duration_ms / 1000:.3f} s, its last block lies at {last_ms / 1000:.3f} s"


def _is_kind(file: BinaryIO, kind: Element, codec: Element) -> bool:
    """Whether a track is of a kind that there is, and its codec one of that kind."""
    number = number_at(file, kind)
    own = read_at(file, codec.body, 1)
    return own in _TYPES[number] if number in _TYPES else number in _RARE and own not in (b"V", b"A")


def _inside(file: BinaryIO, element: Element | None, size: int) -> Iterator[Element]:
    if element is not None:
        yield from elements_in(file, element.body, min(size if element.end is None else element.end, size))


def _cues(file: BinaryIO, point: Element, begin: int, size: int) -> Iterator[Cue]:
    time = 0
    for part in _inside(file, point, size):
        if part.kind == _CUE_TIME:
            time = number_at(file, part)
        elif part.kind == _POSITIONS:
            found = {inner.kind: number_at(file, inner) for inner in _inside(file, part, size)}
            yield Cue(begin + found.get(_CUE_CLUSTER, 0), found.get(_CUE_TRACK, 0), time)
