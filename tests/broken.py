"""Makes broken files, and files that hide something, out of whole ones. Knows nothing of vidrain."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import av

from tests import ffmpeg_says


def cut(whole: Path, target: Path, size: int) -> Path:
    """The first `size` bytes of a file; a negative size leaves off as many at its end."""
    target.write_bytes(whole.read_bytes()[:size])
    return target


def zeroed(whole: Path, target: Path, start: int, end: int | None = None) -> Path:
    """A file with the bytes from `start` to `end` filled with zeros, as after a power cut."""
    data = whole.read_bytes()
    end = len(data) if end is None else end
    target.write_bytes(data[:start] + bytes(end - start) + data[end:])
    return target


def index_in_front(source: Path, target: Path) -> Path:
    """The same MP4 with its index before the frames, as made for the web."""
    return ffmpeg_says.remux(source, target, "-map", "0", "-movflags", "+faststart")


def in_fragments(source: Path, target: Path) -> Path:
    """The same MP4 in fragments."""
    flags = "frag_keyframe+empty_moov+default_base_moof"
    return ffmpeg_says.remux(source, target, "-map", "0", "-movflags", flags)


def box(kind: bytes, *contents: bytes) -> bytes:
    """One box of an MP4."""
    data = b"".join(contents)
    return struct.pack(">I", 8 + len(data)) + kind + data


def boxes(data: bytes, start: int = 0) -> Iterator[tuple[bytes, int, int]]:
    """(type, start, end) of each box on one level of a whole file."""
    while start < len(data):
        length = int.from_bytes(data[start : start + 4], "big")
        yield data[start + 4 : start + 8], start, start + length
        start += length


def with_gps(whole: Path, target: Path, points: int) -> Path:
    """An MP4 as Novatek cameras write it: records in boxes between the media, listed by a box `gps ` in the index."""
    data = ffmpeg_says.remux(whole, target, "-map", "0").read_bytes()  # the index comes last
    _, start, end = next(found for found in boxes(data) if found[0] == b"moov")
    assert end == len(data)
    record = box(b"free", b"GPS ", bytes(116))
    places = [start + number * len(record) for number in range(points)]
    table = b"".join(struct.pack(">II", place, len(record)) for place in places)
    moov = box(b"moov", data[start + 8 : end], box(b"gps ", struct.pack(">II", 0x101, points), table))
    target.write_bytes(data[:start] + record * points + moov)
    return target


def wiped(coded: Path, target: Path, packets: range) -> Path:
    """A copy of `coded` in which these packets of the video are nothing but zeros."""
    data = bytearray(coded.read_bytes())
    with av.open(str(coded)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    for number in packets:
        start, size = places[number]
        data[start : start + size] = bytes(size)
    target.write_bytes(data)
    return target
