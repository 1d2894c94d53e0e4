"""MP4 in fragments: whether each has its media, follows the one before, and is all that was written.

Boxes: ISO/IEC 14496-12, 8.8. What every muxer writes twice is checked: numbers in a row, times that go on where
the fragment before ended, sizes that fill the media.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import BinaryIO

import numpy as np

from vidrain.types import Damage
from vidrain.video.boxes import Box, Rows, child, read_at, walk
from vidrain.video.contradictions import follow_evenly, without_held

_KNOWN = {
    *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"mfra", b"sidx", b"ssix", b"prft", b"emsg", b"pdin"),
    *(b"free", b"skip", b"wide", b"uuid", b"meta", b"udta"),
}
_MOST_FRAGMENTS = 1 << 16
_MOST_ROWS = 1 << 20  # samples of one run
_MOST_SAID = 16
_REORDERED = 17  # frames: no codec moves one farther
# bits of the flags of a head or a run -> bytes that each stands for; 0: none (ISO/IEC 14496-12, 8.8.7 and 8.8.8)
_HEAD_FIELDS = {0x1: 8, 0x2: 4, 0x8: 4, 0x10: 4, 0x20: 4, 0x10000: 0, 0x20000: 0}
_RUN_FIELDS, _SAMPLE_FIELDS = {0x1: 4, 0x4: 4}, {0x100: 4, 0x200: 4, 0x400: 4, 0x800: 4}
_TOGETHER_S = 0.2
_EMPTY = b"\xff" * 8  # time of an edit that shows nothing
_APART = 1.5  # times that one track may go on as fast as another


@dataclass(frozen=True)
class _Defaults:
    """What a run takes where it states nothing of its own."""

    duration: int
    size: int


@dataclass(frozen=True)
class _Run:
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


def examine_fragments(file: BinaryIO, size: int, moov: Box) -> Iterator[Damage]:
    """What is wrong between the fragments of a file."""
    defaults = dict(_defaults(file, moov, size))
    tops = [box for box, _ in zip(walk(file, 0, size), range(4 * _MOST_FRAGMENTS), strict=False)]
    whole = [box for box in tops if box.end <= size]
    said = [
        *_strangers(file, moov, size, defaults),
        *_order(file, whole),
        *_flags(file, whole),
        *_runs(file, whole, defaults),
        *_paces(file, moov, whole, defaults),
        *_index(file, whole, size),
    ]
    said = said or list(_shown(file, whole, defaults, moov))
    for what, place in said[:_MOST_SAID]:
        yield Damage(what, place, place, is_anywhere=True)


def _strangers(file: BinaryIO, moov: Box, size: int, defaults: dict[int, _Defaults]) -> Iterator[tuple[str, int]]:
    """Tracks for which the head has defaults, but no description: their samples are passed over."""
    for track in sorted(defaults.keys() - dict(_scales(file, moov, size)).keys()):
        yield f"track {track} of its fragments is not in its head", moov.start


def _scales(file: BinaryIO, moov: Box, size: int) -> Iterator[tuple[int, int]]:
    """(number, ticks in a second) of every track of the head; 0 ticks where they are not stated."""
    for trak in (box for box in walk(file, moov.body, moov.end) if box.kind == b"trak"):
        tkhd, mdhd = (child(file, trak, *path, size=size) for path in ((b"tkhd",), (b"mdia", b"mdhd")))
        if tkhd is not None:
            clock = b"" if mdhd is None else read_at(file, mdhd.body, 24)
            at = 20 if clock[:1] == b"\1" else 12
            yield _track(read_at(file, tkhd.body, 24)), int.from_bytes(clock[at : at + 4], "big")


def _late(file: BinaryIO, moov: Box) -> Iterator[int]:
    """Tracks that an edit list begins later than the movie: their fragments count from there."""
    for trak in (box for box in walk(file, moov.body, moov.end) if box.kind == b"trak"):
        tkhd, elst = (child(file, trak, *path, size=moov.end) for path in ((b"tkhd",), (b"edts", b"elst")))
        if tkhd is None or elst is None:
            continue
        head = read_at(file, elst.body, 24)
        if head[16:24] == _EMPTY if head[:1] == b"\1" else head[12:16] == _EMPTY[:4]:
            yield _track(read_at(file, tkhd.body, 24))


def _paces(file: BinaryIO, moov: Box, tops: list[Box], defaults: dict[int, _Defaults]) -> Iterator[tuple[str, int]]:
    """Tracks that go on faster than others: what is in one fragment belongs together, so that a clock is wrong."""
    late = set(_late(file, moov))
    scales = {track: scale for track, scale in _scales(file, moov, moov.end) if track not in late}
    pairs: dict[tuple[int, int], list[tuple[float, float]]] = {}  # of tracks -> when both begin, in each fragment
    for box in (box for box in tops if box.kind == b"moof"):
        runs = [run for run in _read_runs(file, box, defaults) if run.start is not None and scales.get(run.track)]
        begins = {run.track: (run.start or 0) / scales[run.track] for run in runs}
        for pair in combinations(sorted(begins), 2):
            pairs.setdefault(pair, []).append((begins[pair[0]], begins[pair[1]]))
    for pair, begun in pairs.items():
        lasted = [end - start for start, end in zip(begun[0], begun[-1], strict=True)]
        is_together = abs(begun[0][0] - begun[0][1]) < _TOGETHER_S  # sound that begins late may catch up
        if is_together and min(lasted) >= 0 and max(lasted) > _APART * min(lasted):
            said = " and ".join(
                f"track {track} goes on for {time:.3f} s" for track, time in zip(pair, lasted, strict=True)
            )
            yield f"in the same fragments {said}", moov.start


def _track(data: bytes) -> int:
    return int.from_bytes(data[20:24] if data[:1] == b"\1" else data[12:16], "big")


def _order(file: BinaryIO, tops: list[Box]) -> Iterator[tuple[str, int]]:
    """Boxes that are none, and numbers that do not follow each other."""
    number: int | None = None
    for box in tops:
        if box.kind not in _KNOWN:
            yield f"{box.kind.decode('latin-1')!r} at {box.start} is no box of a file in fragments", box.start
        if box.kind != b"moof":
            continue
        found = int.from_bytes(read_at(file, box.body + 12, 4), "big")
        if number is not None and found != number + 1:
            yield f"fragment {found} follows fragment {number}", box.start
        number = found


def _flags(file: BinaryIO, tops: list[Box]) -> Iterator[tuple[str, int]]:
    """Heads and runs whose flags promise other fields than they hold: readers then take one for another."""
    for moof in (box for box in tops if box.kind == b"moof"):
        for traf in (box for box in walk(file, moof.body, moof.end) if box.kind == b"traf"):
            for box in walk(file, traf.body, traf.end):
                if box.kind not in (b"tfhd", b"trun"):
                    continue
                head = read_at(file, box.body, 8)
                flags, count = int.from_bytes(head[1:4], "big"), int.from_bytes(head[4:8], "big")
                once, each = (_HEAD_FIELDS, {}) if box.kind == b"tfhd" else (_RUN_FIELDS, _SAMPLE_FIELDS)
                due = 8 + _width(flags, once) + count * _width(flags, each)
                if flags & ~sum({**once, **each}) or due != box.end - box.body:
                    yield f"{box.kind.decode()} at {box.start} does not hold what its flags say", moof.start


def _width(flags: int, fields: dict[int, int]) -> int:
    return sum(width for bit, width in fields.items() if flags & bit)


def _runs(file: BinaryIO, tops: list[Box], defaults: dict[int, _Defaults]) -> Iterator[tuple[str, int]]:
    """Media that is not of the size that its fragment states, and times that do not go on."""
    due: dict[int, tuple[int, int]] = {}  # track -> when its next sample is decoded, longest step so far
    far: dict[
        int, tuple[int, int]
    ] = {}  # track -> how far it moved a sample, where; until it shows whether frames follow
    timed: dict[int, bool] = {}  # track -> whether its first fragment says when it begins
    for place, box in enumerate(tops):
        if box.kind != b"moof":
            continue
        stop = next((n for n in range(place + 1, len(tops)) if tops[n].kind == b"moof"), len(tops))
        mdats = [other for other in tops[place + 1 : stop] if other.kind == b"mdat"]
        media = sum(mdat.end - mdat.body for mdat in mdats)
        runs = list(_read_runs(file, box, defaults))
        stated = sum(run.size for run in runs)
        if stated != media:
            yield f"the fragment at {box.start} has {media} bytes of media and states {stated}", box.start
        elif len(mdats) == 1 and not _fills(runs, mdats[0].body):
            yield f"the fragment at {box.start} places its samples beside its media", box.start
        for run in runs:
            if run.track not in defaults:
                yield f"the fragment at {box.start} is of track {run.track}, which there is not", box.start
            if not run.goes_on and timed.setdefault(run.track, run.start is not None) != (run.start is not None):
                yield f"the fragment at {box.start} states no time, or alone one, for track {run.track}", box.start
            if not len(run.durations):
                continue
            longest = int(run.durations.max())
            start, last = due.get(run.track, (run.start or 0, longest))
            if run.start is not None and abs(run.start - start) > max(longest, last):
                ends = f"track {run.track} goes on at tick {run.start}, the fragment before ended at {start}"
                yield f"the fragment at {box.start}: {ends}", box.start
            begin = start if run.start is None else run.start
            due[run.track] = begin + int(run.durations.sum()), max(longest, last)
            if len(run.offsets) and np.abs(run.offsets).max() > _REORDERED * max(longest, last, 1):
                far[run.track] = int(np.abs(run.offsets).max()), box.start
            elif run.track in far and max(longest, last) * _REORDERED < far[run.track][0]:
                place = far.pop(run.track)[1]  # a last picture may come late, but frames follow on this one
                yield f"the fragment at {place} shows samples long before or after they are decoded", place


def _shown(file: BinaryIO, tops: list[Box], defaults: dict[int, _Defaults], moov: Box) -> Iterator[tuple[str, int]]:
    """Tracks whose samples last equally long, but are shown unevenly; each fragment goes on where the last ended."""
    runs = [run for box in tops if box.kind == b"moof" for run in _read_runs(file, box, defaults)]
    for track in sorted({run.track for run in runs if len(run.offsets)}):
        own = [run for run in runs if run.track == track]
        steps = np.concatenate([run.durations for run in own])
        if len(steps) > _MOST_ROWS or len(np.unique(steps[:-1])) != 1:
            continue
        offsets = [run.offsets if len(run.offsets) else np.zeros_like(run.durations) for run in own]
        shown = np.arange(len(steps)) * steps[0] + np.concatenate(offsets)
        if not follow_evenly(without_held(shown, int(steps[0])), int(steps[0])):
            yield f"samples of track {track} last equally long, but are shown unevenly", moov.start


def _fills(runs: list[_Run], start: int) -> bool:
    """Whether the media of `runs` lies in a row from `start` on, as far as they say where."""
    parts = sorted((run.place, run.size) for run in runs if run.place is not None and run.size)
    if len(parts) < sum(run.size > 0 for run in runs):
        return True
    for place, size in parts:
        if place != start:
            return False
        start += size
    return True


def _index(file: BinaryIO, tops: list[Box], size: int) -> Iterator[tuple[str, int]]:
    """Fragments that the index at the end (mfra) knows and the file does not hold."""
    places = {box.start for box in tops if box.kind == b"moof"}
    for mfra in (box for box in tops if box.kind == b"mfra"):
        for tfra in (box for box in walk(file, mfra.body, mfra.end) if box.kind == b"tfra"):
            head = read_at(file, tfra.body, 16)
            lengths = int.from_bytes(head[8:12], "big")
            wide = 8 if head[:1] == b"\1" else 4
            row = 2 * wide + sum((lengths >> shift & 3) + 1 for shift in (0, 2, 4))
            count = min(int.from_bytes(head[12:16], "big"), (min(tfra.end, size) - tfra.body - 16) // row, _MOST_ROWS)
            data = read_at(file, tfra.body + 16, count * row)
            known = {int.from_bytes(data[at + wide : at + 2 * wide], "big") for at in range(0, len(data), row)}
            if lost := sorted(known - places):
                yield f"{len(lost)} fragments of its index are not there, the first at {lost[0]}", lost[0]


def _defaults(file: BinaryIO, moov: Box, size: int) -> Iterator[tuple[int, _Defaults]]:
    mvex = child(file, moov, b"mvex", size=size)
    if mvex is not None:
        for trex in (box for box in walk(file, mvex.body, min(mvex.end, size)) if box.kind == b"trex"):
            track, _, duration, length = np.frombuffer(
                read_at(file, trex.body + 4, 16).ljust(16, b"\0"), ">u4"
            ).tolist()
            yield track, _Defaults(duration, length)


def _read_runs(file: BinaryIO, moof: Box, defaults: dict[int, _Defaults]) -> Iterator[_Run]:
    for traf in (box for box in walk(file, moof.body, moof.end) if box.kind == b"traf"):
        tfhd = child(file, traf, b"tfhd", size=moof.end)
        if tfhd is None:
            continue
        flags = int.from_bytes(read_at(file, tfhd.body, 4), "big") & 0xFFFFFF
        track, *stated = np.frombuffer(read_at(file, tfhd.body + 4, 28).ljust(28, b"\0"), ">u4").tolist()
        base = moof.start if flags & 0x20000 else None  # FFmpeg itself writes other bases that are wrong
        at = 2 * bool(flags & 1) + bool(flags & 2)  # an offset of eight bytes, a description of four
        own = defaults.get(track, _Defaults(0, 0))
        duration, at = (stated[at], at + 1) if flags & 8 else (own.duration, at)
        own = _Defaults(duration, stated[at] if flags & 16 else own.size)
        tfdt = child(file, traf, b"tfdt", size=moof.end)
        start = None if tfdt is None else _decode_time(read_at(file, tfdt.body, 12))
        truns = (box for box in walk(file, traf.body, traf.end) if box.kind == b"trun")
        for number, trun in enumerate(truns):
            durations, offsets, size = _read_run(file, trun, own)
            head = read_at(file, trun.body, 12)
            away = int.from_bytes(head[8:12], "big", signed=True) if head[3] & 1 else None
            place = None if base is None or away is None else base + away
            yield _Run(track, None if number else start, durations, offsets, size, place, goes_on=number > 0)


def _decode_time(data: bytes) -> int:
    return int.from_bytes(data[4:12] if data[:1] == b"\1" else data[4:8], "big")


def _read_run(file: BinaryIO, trun: Box, own: _Defaults) -> tuple[Rows, Rows, int]:
    """(durations of the samples, offsets of them, bytes of them all)."""
    head = read_at(file, trun.body, 8)
    flags, count = int.from_bytes(head[:4], "big") & 0xFFFFFF, int.from_bytes(head[4:8], "big")
    first = trun.body + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    columns = [bit for bit in (0x100, 0x200, 0x400, 0x800) if flags & bit]  # duration, size, flags, time offset
    if not columns:
        count = min(count, _MOST_ROWS)
        return np.full(count, own.duration, np.int64), np.zeros(0, np.int64), count * own.size
    row = 4 * len(columns)
    count = min(count, max(trun.end - first, 0) // row, _MOST_ROWS)
    data = read_at(file, first, count * row)
    rows = np.frombuffer(data[: len(data) // row * row], ">u4").reshape(-1, len(columns)).astype(np.int64)
    durations = rows[:, columns.index(0x100)] if 0x100 in columns else np.full(len(rows), own.duration, np.int64)
    offsets = np.zeros(0, np.int64)
    if 0x800 in columns:
        offsets = rows[:, columns.index(0x800)].astype(np.int32).astype(np.int64)  # signed, whatever version 0 says
    return durations, offsets, int(rows[:, columns.index(0x200)].sum()) if 0x200 in columns else len(rows) * own.size
