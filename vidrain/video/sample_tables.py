"""The index of an MP4 or MOV: its tracks, where their samples lie and when they are shown, and which the file has not.

No decoding; tables are read as far as their box, the file and our limit allow.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from vidrain.types import Damage
from vidrain.video.boxes import Box, Rows, child, read_at, stretches, walk

Kind = Literal["video", "audio", "other"]

MOST_ROWS = 1 << 22  # of a table: frames of nineteen hours
_MOST_TRACKS = 64
_LONGEST_EDITS = 4096  # bytes of an edit list
_PROBED = 64  # bytes; no frame of a codec is zero for so long
_CODED = {b"avc1", b"avc3", b"hvc1", b"hev1", b"av01", b"vp08", b"vp09", b"mp4v", b"jpeg", b"mjpa", b"mjpb"}
_KINDS: dict[bytes, Kind] = {b"vide": "video", b"soun": "audio"}


@dataclass(frozen=True)
class Track:
    """One track of the index; times in ticks of `timescale`, `shift` moves them to the clock of the file.

    number: by which other boxes call it; edits: (duration in movie ticks, first media time or -1) of the edit list;
    duration: as its media head states it; presented: movie ticks, as its own head states it, 0 in fragments;
    movie_scale: those ticks in a second.
    """

    number: int
    handler: bytes
    timescale: int
    shift: Fraction
    shown_from: int
    stbl: Box
    duration: int
    presented: int
    movie_scale: int
    edits: tuple[tuple[int, int], ...]

    @property
    def kind(self) -> Kind:
        """What it carries."""
        return _KINDS.get(self.handler, "other")


def tracks_of(file: BinaryIO, moov: Box, size: int) -> Iterator[Track | None]:
    """The tracks of an index; None for one that lacks what every track has."""
    scale, _ = _clock(file, child(file, moov, b"mvhd", size=size), size)
    in_fragments = child(file, moov, b"mvex", size=size) is not None  # then heads count what came before the first
    traks = (box for box in walk(file, moov.body, min(moov.end, size)) if box.kind == b"trak")
    for trak, _ in zip(traks, range(_MOST_TRACKS), strict=False):
        mdia = child(file, trak, b"mdia", size=size)
        stbl = child(file, mdia, b"minf", b"stbl", size=size)
        hdlr = child(file, mdia, b"hdlr", size=size)
        timescale, duration = _clock(file, child(file, mdia, b"mdhd", size=size), size)
        tkhd = child(file, trak, b"tkhd", size=size)
        if stbl is None or hdlr is None or tkhd is None or not timescale:
            yield None
            continue
        edits = _edits(file, child(file, trak, b"edts", b"elst", size=size), size)
        empty, media_time = _first_shown(edits)
        yield Track(
            number=_number(file, tkhd, size),
            handler=read_at(file, hdlr.body + 8, 4),
            timescale=timescale,
            shift=Fraction(empty, scale or timescale) - Fraction(media_time, timescale),
            shown_from=media_time,
            stbl=stbl,
            duration=duration,
            presented=0 if in_fragments else _presented(file, tkhd, size),
            movie_scale=scale,
            edits=edits,
        )


def _clock(file: BinaryIO, box: Box | None, size: int) -> tuple[int, int]:
    """(time scale, duration) of an mvhd or mdhd box, 0 where there is none."""
    data = b"" if box is None else read_at(file, box.body, min(32, size - box.body))
    at, wide = (20, 8) if data[:1] == b"\1" else (12, 4)
    if len(data) < at + 4 + wide:
        return 0, 0
    return int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 4 : at + 4 + wide], "big")


def _number(file: BinaryIO, tkhd: Box, size: int) -> int:
    data = read_at(file, tkhd.body, min(24, size - tkhd.body))
    return int.from_bytes(data[20:24] if data[:1] == b"\1" else data[12:16], "big")


def _presented(file: BinaryIO, tkhd: Box, size: int) -> int:
    data = read_at(file, tkhd.body, min(36, size - tkhd.body))
    return int.from_bytes(data[28:36] if data[:1] == b"\1" else data[20:24], "big")


def _edits(file: BinaryIO, elst: Box | None, size: int) -> tuple[tuple[int, int], ...]:
    """(duration in movie ticks, media time or -1) of each edit."""
    if elst is None:
        return ()
    data = read_at(file, elst.body, min(elst.end, size, elst.body + _LONGEST_EDITS) - elst.body)
    wide = 8 if data[:1] == b"\1" else 4
    found = []
    for at in range(8, len(data) - 2 * wide + 1, 2 * wide + 4):
        length = int.from_bytes(data[at : at + wide], "big")
        found.append((length, int.from_bytes(data[at + wide : at + 2 * wide], "big", signed=True)))
    return tuple(found[: int.from_bytes(data[4:8], "big")])


def _first_shown(edits: tuple[tuple[int, int], ...]) -> tuple[int, int]:
    """(empty time in front, in movie ticks; first media time shown)."""
    empty = 0
    for length, media_time in edits:
        if media_time >= 0:
            return empty, media_time
        empty += length
    return empty, 0


def table(file: BinaryIO, stbl: Box, kind: bytes, size: int, *, row: str, skip: int = 8) -> npt.NDArray[np.void]:
    """Rows of a table box, as many as its count, the file and our limit allow. row: NumPy's types of the columns."""
    dtype = np.dtype(row)
    box = child(file, stbl, kind, size=size)
    if box is None:
        return np.zeros(0, dtype)
    stated = int.from_bytes(read_at(file, box.body + skip - 4, 4), "big")
    held = max(min(box.end, size) - box.body - skip, 0) // dtype.itemsize
    data = read_at(file, box.body + skip, min(stated, held, MOST_ROWS) * dtype.itemsize)
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)


def chunks_of(file: BinaryIO, stbl: Box, size: int) -> tuple[Rows, Rows]:
    """(offset in the file, number of samples) of every chunk."""
    kind, width = (b"co64", ">u8") if child(file, stbl, b"co64", size=size) else (b"stco", ">u4")
    found = table(file, stbl, kind, size, row=width)
    offsets = np.minimum(found.astype(np.uint64), 1 << 62).astype(np.int64)
    runs = table(file, stbl, b"stsc", size, row=">u4,>u4,>u4")
    first = np.clip(runs["f0"].astype(np.int64) - 1, 0, len(offsets))
    if not len(runs) or runs["f0"][0] != 1 or np.any(np.diff(first) < 0):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return offsets, np.repeat(runs["f1"].astype(np.int64), np.diff(first, append=len(offsets)))


def sample_count(file: BinaryIO, stbl: Box, size: int) -> int:
    """Samples by the table of their sizes, 0 without one."""
    stsz = child(file, stbl, b"stsz", size=size)
    return 0 if stsz is None else int.from_bytes(read_at(file, stsz.body + 8, 4), "big")


def places_of(file: BinaryIO, stbl: Box, size: int, *, by_sample: bool) -> tuple[Rows, Rows, Rows]:
    """(first byte, byte behind the last, number of the first sample) of every sample, or of every chunk."""
    none = np.zeros(0, np.int64)
    offsets, counts = chunks_of(file, stbl, size)
    stsz = child(file, stbl, b"stsz", size=size)
    if stsz is None or not len(offsets):
        return none, none, none
    head = read_at(file, stsz.body, 12)
    each, samples = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
    first = np.minimum(np.cumsum(counts) - counts, samples)
    counts = np.minimum(counts, samples - first)
    if each and not by_sample:
        return offsets, offsets + counts * each, first
    if each:
        sizes = np.full(min(samples, MOST_ROWS), each, np.int64)
    else:
        sizes = table(file, stbl, b"stsz", size, row=">u4", skip=12).astype(np.int64)
    first = np.minimum(first, len(sizes))
    counts = np.minimum(counts, len(sizes) - first)
    before = np.concatenate(([0], np.cumsum(sizes)))  # bytes of all samples before each
    if not by_sample:
        return offsets, offsets + before[first + counts] - before[first], first
    numbers = np.arange(int(counts.sum()), dtype=np.int64)
    starts = np.repeat(offsets - before[first], counts) + before[numbers]
    return starts, starts + sizes[numbers], numbers


def lost_samples(file: BinaryIO, size: int, track: Track, number: int) -> list[Damage]:
    """What the file does not hold of one track; runs of zeros count only where a codec would not write them."""
    is_video = track.handler == b"vide"
    offsets, ends, first = places_of(file, track.stbl, size, by_sample=is_video)
    if not len(offsets):
        return []
    lost = ends > size
    beyond = int(lost.sum())
    if is_video and codec_of(file, track.stbl, size) in _CODED:
        lost |= _zeroed(file, offsets, ends, ~lost)
    if not lost.any():
        return []
    unit = "frames" if is_video else "chunks"
    parts = [f"{beyond} lie behind the end of the file"] if beyond else []
    parts += [f"{zeroed} are filled with zeros"] if (zeroed := int(lost.sum()) - beyond) else []
    what = f"of the {len(offsets)} {unit} of track {number} ({track.kind}) {', '.join(parts)}"
    seconds = _when(file, track, first, lost, size)
    return [Damage(what, int(offsets[lost].min()), int(ends[lost].max()), track.kind, seconds)]


def codec_of(file: BinaryIO, stbl: Box, size: int) -> bytes:
    stsd = child(file, stbl, b"stsd", size=size)
    return b"" if stsd is None else read_at(file, stsd.body + 12, 4)


def _zeroed(file: BinaryIO, offsets: Rows, ends: Rows, held: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which samples belong to a tail of zeros, as a recorder leaves that reserved space and lost power."""
    order = np.flatnonzero(held & (ends - offsets >= _PROBED))
    order = order[np.argsort(offsets[order], kind="stable")]
    found = np.zeros(len(offsets), np.bool_)

    def is_zero(place: int, at: Rows, back: int) -> bool:
        data = read_at(file, int(at[order[place]]) - back, _PROBED)
        return len(data) == _PROBED and not any(data)

    if not len(order) or not is_zero(len(order) - 1, offsets, 0):
        return found
    low, high = 0, len(order) - 1  # the first that is zero lies in [low, high]
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if is_zero(middle, offsets, 0) else (middle + 1, high)
    if low and is_zero(low - 1, ends, _PROBED):
        low -= 1  # its own end is zero already
    found[order[low:]] = True
    return found


def at_samples(runs: npt.NDArray[np.void], numbers: Rows, *, summed: bool) -> Rows:
    """Value of a run-length table (count, value) for sample `numbers`; summed: of all values before each."""
    if not len(runs):
        return np.zeros(len(numbers), np.int64)
    counts, values = runs["f0"].astype(np.int64), runs["f1"].astype(np.int64)
    ends = np.cumsum(counts)
    run = np.minimum(np.searchsorted(ends, numbers, "right"), len(runs) - 1)
    found: Rows = values[run]
    if not summed:
        return found
    summed_before: Rows = (np.cumsum(counts * values) - counts * values)[run]
    inside: Rows = numbers - (ends - counts)[run]
    return summed_before + inside * found


def _when(
    file: BinaryIO, track: Track, first: Rows, lost: npt.NDArray[np.bool_], size: int
) -> tuple[tuple[Fraction, Fraction], ...]:
    """Stretches of time of what is `lost`, on the clock of the file, without what an edit list hides."""
    stts = table(file, track.stbl, b"stts", size, row=">u4,>u4")
    ctts = table(file, track.stbl, b"ctts", size, row=">u4,>i4")
    shown = at_samples(stts, first, summed=True) + at_samples(ctts, first, summed=False)
    visible = shown >= track.shown_from if track.handler == b"vide" else np.ones(len(shown), np.bool_)
    order = np.flatnonzero(visible)
    order = order[np.argsort(shown[order], kind="stable")]
    if not len(order):
        return ()
    durations = at_samples(stts, first, summed=False)
    times = np.append(shown[order], shown[order[-1]] + durations[order[-1]])
    found = stretches(lost[order], times)
    clock = [tuple(Fraction(time, track.timescale) + track.shift for time in stretch) for stretch in found]
    return tuple((start, end) for start, end in clock if start < end)
