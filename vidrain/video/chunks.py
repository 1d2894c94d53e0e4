"""AVI by arithmetic over its chunks: what its index lists and the file does not hold.

No decoding and no FFmpeg; a hostile file costs bounded memory and time. Chunks: Microsoft, "AVI RIFF File Reference";
files beyond a gigabyte: OpenDML AVI File Format Extensions 1.02.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import BinaryIO

import numpy as np

from vidrain.types import Damage, Structure
from vidrain.video.boxes import read_at, stretches

_MOST_CHUNKS = 1 << 20  # ten hours, with as many chunks of sound
_HAS_INDEX = 0x10
_DATA = {b"dc", b"db", b"wb", b"tx", b"pc", b"sb", b"__"}
_PICTURE = {b"dc", b"db"}
_MP3_SYNC, _MP3_SAME = 0xFFE00000, 0xFFFE0C00  # first bits of a frame; those that are alike in all of a stream
_MP3_FORMAT = b"\x55\0"
_MP3_LAYER = 0x7FFD  # its first bits: MPEG-1, Layer III
_MP3_KBIT = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0)
_NEARLY_ALL = 0.8  # chunks that begin with a frame; else frames run over the edges of chunks
_CHUNK_HEAD = re.compile(rb"\d\d(?:dc|db|wb)")
_SEARCHED = 1 << 16  # bytes
_FILLERS = {b"JUNK", b"IDIT", b"PAD "}


@dataclass(frozen=True)
class Chunk:
    """One chunk: its name (of a list, that of what it lists), where it begins and its contents do, its stated end."""

    name: bytes
    start: int
    body: int
    end: int


@dataclass
class _Found:
    """What the file holds. movies: their start and end; data: start -> (name, size) of what lies in them."""

    movies: list[tuple[int, int]] = field(default_factory=list)
    data: dict[int, tuple[bytes, int]] = field(default_factory=dict)
    index: Chunk | None = None
    has_index: bool = False
    steps: list[tuple[bytes, Fraction]] = field(default_factory=list)  # type, seconds a chunk of each stream lasts
    mp3: set[int] = field(default_factory=set)  # numbers of the streams that hold it


def is_chunks(head: bytes) -> bool:
    """Whether a file that begins with `head` is an AVI."""
    return head[:4] == b"RIFF" and head[8:12] == b"AVI "


def walk_chunks(file: BinaryIO, start: int, end: int) -> Iterator[Chunk]:
    """The chunks from `start` to `end` on one level; the last may say that it ends behind."""
    while start + 8 <= end:
        head = read_at(file, start, 12)
        length = int.from_bytes(head[4:8], "little")
        is_list = head[:4] in (b"RIFF", b"LIST")
        yield Chunk(head[8:12] if is_list else head[:4], start, start + (12 if is_list else 8), start + 8 + length)
        start += 8 + length + length % 2


def examine_chunks(file: BinaryIO, size: int) -> Structure:
    """What is broken in an AVI of `size` bytes."""
    found = _Found()
    damages = list(_riffs(file, size, found))
    damages += _strangers(file, found)
    if not found.movies:
        damages.append(Damage.anywhere("holds no list of pictures (movi) where it should stand"))
    elif found.index is not None:
        damages = list(_unlisted(file, size, found)) or damages  # the index tells more exactly
    elif found.has_index and len(found.movies) == 1 and not damages:
        damages.append(Damage("the recording was not closed: its index (idx1) is missing", size, size))
    return Structure("avi", tuple(damages))


def _riffs(file: BinaryIO, size: int, found: _Found) -> Iterator[Damage]:
    for riff in walk_chunks(file, 0, size):
        if riff.name not in (b"AVI ", b"AVIX"):
            rest = read_at(file, riff.start, min(size - riff.start, _SEARCHED))
            if _holds_chunks(rest):  # else it is what a camera appends
                yield Damage(f"{size - riff.start} bytes behind the last list hold chunks", riff.start, size)
            return
        for chunk in walk_chunks(file, riff.body, min(riff.end, size)):
            if chunk.name == b"hdrl":
                yield from _head(file, chunk, size, found)
            elif chunk.name == b"movi":
                found.movies.append((chunk.start + 8, min(chunk.end, size)))
                yield from _movie(file, chunk, size, found)
            elif chunk.name == b"idx1":
                found.index = chunk
                if chunk.end > size >= riff.end:  # readers leave such an index alone, and read on into it
                    yield Damage.anywhere(f"its index (idx1) ends {chunk.end - size} bytes behind the end of the file")
        if riff.end > size:
            yield Damage(f"the file ends {riff.end - size} bytes before it should", size, riff.end)


def _holds_chunks(data: bytes) -> bool:
    """Whether a whole chunk lies in `data`: its name alone may be chance, as in text."""
    return any(
        name.end() + 4 + int.from_bytes(data[name.end() : name.end() + 4], "little") <= len(data)
        for name in _CHUNK_HEAD.finditer(data)
    )


def _head(file: BinaryIO, hdrl: Chunk, size: int, found: _Found) -> Iterator[Damage]:
    """Notes what the head says of the streams; tells where its chunks leave the list they lie in."""
    for chunk in walk_chunks(file, hdrl.body, min(hdrl.end, size)):
        parts = list(walk_chunks(file, chunk.body, min(chunk.end, size))) if chunk.name == b"strl" else []
        if chunk.end > hdrl.end or any(part.end > chunk.end for part in parts):
            yield Damage.anywhere("chunks of its head end outside of the lists they lie in")
        if chunk.name == b"avih":
            found.has_index = bool(int.from_bytes(read_at(file, chunk.body + 12, 4), "little") & _HAS_INDEX)
        for part in parts:
            if part.name == b"strh":
                data = read_at(file, part.body, 28)
                scale, rate = int.from_bytes(data[20:24], "little"), int.from_bytes(data[24:28], "little")
                found.steps.append((data[:4], Fraction(scale, rate) if rate else Fraction(0)))
            elif part.name == b"strf" and read_at(file, part.body, 2) == _MP3_FORMAT:
                found.mp3.add(len(found.steps) - 1)


def _movie(file: BinaryIO, movie: Chunk, size: int, found: _Found) -> Iterator[Damage]:
    """Notes what lies in a list of data; tells where it breaks off."""
    end = min(movie.end, size)
    for chunk in walk_chunks(file, movie.body, end):
        if chunk.name == b"rec ":
            for part in walk_chunks(file, chunk.body, min(chunk.end, end)):
                found.data[part.start] = (part.name, part.end - part.body)
            continue
        is_data = chunk.name[:2].isdigit() and chunk.name[2:] in _DATA
        if not is_data and chunk.name not in _FILLERS and chunk.name[:2] != b"ix":
            yield Damage(f"{end - chunk.start} bytes from {chunk.start} on are no chunks", chunk.start, end)
            return
        if is_data:
            found.data[chunk.start] = (chunk.name, chunk.end - chunk.body)
        if len(found.data) >= _MOST_CHUNKS:
            return


def _strangers(file: BinaryIO, found: _Found) -> Iterator[Damage]:
    """Chunks of streams that the head does not have, and sound that does not begin as the rest of it."""
    count = len(found.steps)
    if lost := sum(length > 0 and int(name[:2]) >= count for name, length in found.data.values()):
        yield Damage.anywhere(f"{lost} chunks are of a stream that the head does not have")
    for number in (number for number, (kind, _) in enumerate(found.steps) if kind == b"auds" and number in found.mp3):
        name = f"{number:02d}wb".encode()
        begun = [place for place, (own, length) in found.data.items() if own == name and length >= 4]
        heads = Counter(int.from_bytes(read_at(file, place + 8, 4), "big") & _MP3_SAME for place in begun)
        (usual, many), *_ = heads.most_common(1) or [(0, 0)]
        if usual & _MP3_SYNC == _MP3_SYNC and _NEARLY_ALL <= many / len(begun) < 1:
            what = f"{len(begun) - many} of the {len(begun)} chunks of stream {number} do not begin as MP3 does"
            yield Damage.anywhere(what)
        lengths = {place: found.data[place][1] for place in begun}
        full = [place for place in begun if _mp3_length(read_at(file, place + 8, 4)) == lengths[place]]
        if _NEARLY_ALL <= len(full) / max(len(begun), 1) < 1:
            what = (
                f"{len(begun) - len(full)} of the {len(begun)} chunks of stream {number} are not as long as their MP3"
            )
            yield Damage.anywhere(what)


def _mp3_length(head: bytes) -> int:
    """Bytes of the frame of MPEG-1 Layer III that begins with `head`, 0 for any other (ISO/IEC 11172-3, 2.4.2.3)."""
    bits = int.from_bytes(head, "big")
    rate, sampling = _MP3_KBIT[bits >> 12 & 0xF], (44_100, 48_000, 32_000, 0)[bits >> 10 & 3]
    return 144_000 * rate // sampling + (bits >> 9 & 1) if bits >> 17 == _MP3_LAYER and rate and sampling else 0


def _facts(file: BinaryIO, place: int, found: _Found) -> tuple[bytes, int]:
    """(name, size) of the chunk at `place`, also where the walk lost its way before."""
    if place in found.data:
        return found.data[place]
    head = read_at(file, place, 8)
    return head[:4], int.from_bytes(head[4:], "little")


def _unlisted(file: BinaryIO, size: int, found: _Found) -> Iterator[Damage]:
    """Chunks of the index (of the first list of data) that are not there, or are there and not in it."""
    assert found.index is not None
    index, (begin, end) = found.index, found.movies[0] if found.movies else (0, 0)
    count = min((min(index.end, size) - index.body) // 16, _MOST_CHUNKS)
    data = read_at(file, index.body, count * 16)
    rows = np.frombuffer(data[: len(data) // 16 * 16], "S4,<u4,<u4,<u4")
    names, offsets, sizes = rows["f0"], rows["f2"].astype(np.int64), rows["f3"].astype(np.int64)
    is_data = ~np.char.startswith(names, b"rec ")
    names, offsets, sizes = names[is_data], offsets[is_data], sizes[is_data]
    if len(offsets) and found.data.get(int(offsets[0]), (b"",))[0] != names[0]:
        offsets = offsets + begin  # most count from the list of data on, some from the file
    listed = zip(offsets.tolist(), zip(names.tolist(), sizes.tolist(), strict=True), strict=True)
    lost = np.asarray([_facts(file, place, found) != facts for place, facts in listed], np.bool_)
    for number, (kind, step) in enumerate(found.steps):
        own = np.char.startswith(names, f"{number:02d}".encode())
        if not lost[own].any():
            continue
        what = f"of the {int(own.sum())} chunks of stream {number} in the index {int(lost[own].sum())} are not there"
        places, is_video = offsets[own][lost[own]], kind == b"vids"
        spans = stretches(lost[own], np.arange(int(own.sum()) + 1)) if is_video else []
        seconds = tuple((start * step, stop * step) for start, stop in spans if step)
        yield Damage(
            what, int(places.min()), int(places.max()), "video" if is_video else "other", seconds, is_anywhere=True
        )
    known = set(offsets.tolist())
    extra = sum(begin <= place < end and length > 0 for place, (_, length) in found.data.items() if place not in known)
    if extra and not lost.any():
        yield Damage(f"{extra} chunks are not in the index", begin, end, is_anywhere=True)
