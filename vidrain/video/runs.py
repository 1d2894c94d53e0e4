"""Reads the fragments of an MP4: the runs of samples that each states, and the media behind it. Judges nothing.

Boxes: ISO/IEC 14496-12, 8.8. A hostile file costs bounded memory: runs may state samples that take no bytes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np

from vidrain.video.boxes import Box, Rows, child, read_at, walk

_MOST_OF_A_RUN = 1 << 20  # samples
_MOST_SAMPLES = 1 << 22  # frames of nineteen hours


@dataclass(frozen=True)
class Defaults:
    """What a run takes where it states nothing of its own."""

    duration: int
    size: int


@dataclass(frozen=True)
class Run:
    """Samples of one track in one fragment. start: their first decoding time, None where it is not stated.

    place: first byte of its media in the file, None where that follows from other runs; goes_on: whether it follows
    another run of the same fragment, and needs no start; offsets: from when each sample is decoded to when it is shown,
    none where it is the same.
    """

    track: int
    start: int | None
    durations: Rows
    offsets: Rows
    size: int
    place: int | None
    goes_on: bool


@dataclass(frozen=True)
class Fragment:
    """What one moof box, which begins at byte `start`, states, and the boxes of media between it and the next."""

    start: int
    runs: tuple[Run, ...]
    media: tuple[Box, ...]


def defaults_of(file: BinaryIO, moov: Box, size: int) -> dict[int, Defaults]:
    """What runs of each track take where they state nothing of their own."""
    found: dict[int, Defaults] = {}
    mvex = child(file, moov, b"mvex", size=size)
    if mvex is not None:
        for trex in (box for box in walk(file, mvex.body, min(mvex.end, size)) if box.kind == b"trex"):
            track, _, duration, length = np.frombuffer(
                read_at(file, trex.body + 4, 16).ljust(16, b"\0"), ">u4"
            ).tolist()
            found[track] = Defaults(duration, length)
    return found


def fragments_of(file: BinaryIO, tops: list[Box], defaults: dict[int, Defaults]) -> Iterator[Fragment]:
    """The fragments among the boxes `tops` of a file, as many as hold `_MOST_SAMPLES` together."""
    left = _MOST_SAMPLES
    places = [place for place, box in enumerate(tops) if box.kind == b"moof"]
    for place, stop in zip(places, [*places[1:], len(tops)], strict=False):
        runs = []
        for run in _runs(file, tops[place], defaults):
            runs.append(run)
            left -= len(run.durations)
            if left < 0:
                return
        media = tuple(box for box in tops[place + 1 : stop] if box.kind == b"mdat")
        yield Fragment(tops[place].start, tuple(runs), media)


def _runs(file: BinaryIO, moof: Box, defaults: dict[int, Defaults]) -> Iterator[Run]:
    for traf in (box for box in walk(file, moof.body, moof.end) if box.kind == b"traf"):
        tfhd = child(file, traf, b"tfhd", size=moof.end)
        if tfhd is None:
            continue
        flags = int.from_bytes(read_at(file, tfhd.body, 4), "big") & 0xFFFFFF
        track, *stated = np.frombuffer(read_at(file, tfhd.body + 4, 28).ljust(28, b"\0"), ">u4").tolist()
        base = moof.start if flags & 0x20000 else None  # FFmpeg itself writes other bases that are wrong
        at = 2 * bool(flags & 1) + bool(flags & 2)  # an offset of eight bytes, a description of four
        own = defaults.get(track, Defaults(0, 0))
        duration, at = (stated[at], at + 1) if flags & 8 else (own.duration, at)
        own = Defaults(duration, stated[at] if flags & 16 else own.size)
        tfdt = child(file, traf, b"tfdt", size=moof.end)
        start = None if tfdt is None else _decode_time(read_at(file, tfdt.body, 12))
        truns = (box for box in walk(file, traf.body, traf.end) if box.kind == b"trun")
        for number, trun in enumerate(truns):
            durations, offsets, size = _read_run(file, trun, own)
            head = read_at(file, trun.body, 12)
            away = int.from_bytes(head[8:12], "big", signed=True) if head[3] & 1 else None
            place = None if base is None or away is None else base + away
            yield Run(track, None if number else start, durations, offsets, size, place, goes_on=number > 0)


def _decode_time(data: bytes) -> int:
    return int.from_bytes(data[4:12] if data[:1] == b"\1" else data[4:8], "big")


def _read_run(file: BinaryIO, trun: Box, own: Defaults) -> tuple[Rows, Rows, int]:
    """(durations of the samples, offsets of them, bytes of them all)."""
    head = read_at(file, trun.body, 8)
    flags, count = int.from_bytes(head[:4], "big") & 0xFFFFFF, int.from_bytes(head[4:8], "big")
    first = trun.body + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    columns = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]  # duration, size, flags, time offset
    if not columns:
        count = min(count, _MOST_OF_A_RUN)
        return np.full(count, own.duration, np.int64), np.zeros(0, np.int64), count * own.size
    row = 4 * len(columns)
    count = min(count, max(trun.end - first, 0) // row, _MOST_OF_A_RUN)
    data = read_at(file, first, count * row)
    rows = np.frombuffer(data[: len(data) // row * row], ">u4").reshape(-1, len(columns)).astype(np.int64)
    durations = rows[:, columns.index(0x100)] if 0x100 in columns else np.full(len(rows), own.duration, np.int64)
    offsets = np.zeros(0, np.int64)
    if 0x800 in columns:
        offsets = rows[:, columns.index(0x800)].astype(np.int32).astype(np.int64)  # signed, whatever version 0 says
    return durations, offsets, int(rows[:, columns.index(0x200)].sum()) if 0x200 in columns else len(rows) * own.size
