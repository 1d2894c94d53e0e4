"""MP4 and MOV by arithmetic over their boxes: what the index promises and the file does not hold.

FFmpeg reads a file that was cut short without a word. Here the sample tables are compared with the size of the file,
and GPS records of dashcams are found. No decoding and no FFmpeg; a hostile file costs bounded memory and time.
Boxes: ISO/IEC 14496-12. GPS: the layout that Novatek cameras write.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from vidrain.types import Damage, Gps, Structure

Rows = npt.NDArray[np.int64]
Kind = Literal["video", "audio", "other"]

_FIRST = {b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof", b"styp", b"sidx"}
_MOST_BOXES = 1 << 20  # on one level; ten hours in fragments of a second have a tenth of that
_MOST_ROWS = 1 << 22  # of a table: frames of nineteen hours
_MOST_TRACKS = 64
_MOST_POINTS = 1 << 16  # one a second
_PROBED = 64  # bytes; no frame of a codec is zero for so long
_CODED = {b"avc1", b"avc3", b"hvc1", b"hev1", b"av01", b"vp08", b"vp09", b"mp4v", b"jpeg", b"mjpa", b"mjpb"}
_MEDIA = (b"mdat", b"moof")
_KINDS: dict[bytes, Kind] = {b"vide": "video", b"soun": "audio"}
_GPS_RECORD = b"freeGPS "
_GPS_BOXES = {b"GPS ": "70mai", b"gps0": "Navitel"}


@dataclass(frozen=True)
class Box:
    """One box: its type, where it begins, where its contents begin, and where it says that it ends."""

    kind: bytes
    start: int
    body: int
    end: int


@dataclass(frozen=True)
class _Track:
    """One track of the index; times in ticks of `timescale`, `shift` moves them to the clock of the file."""

    handler: bytes
    timescale: int
    shift: Fraction
    shown_from: int
    stbl: Box


def is_boxes(head: bytes) -> bool:
    """Whether a file that begins with `head` is built of boxes."""
    return head[4:8] in _FIRST


def read_at(file: BinaryIO, start: int, size: int) -> bytes:
    """`size` bytes from `start`, fewer at the end of the file."""
    file.seek(start)
    return file.read(max(size, 0))


def walk(file: BinaryIO, start: int, end: int) -> Iterator[Box]:
    """The boxes from `start` to `end` on one level; stops at what is none. The last may say that it ends behind."""
    for _ in range(_MOST_BOXES):
        head = read_at(file, start, min(16, end - start))
        if len(head) < 8:
            return
        length, body = int.from_bytes(head[:4], "big"), start + 8
        if length == 1 and len(head) == 16:
            length, body = int.from_bytes(head[8:], "big"), start + 16
        elif length == 0:
            length = end - start  # to the end of the file
        if start + length < body:
            return
        yield Box(head[4:8], start, body, start + length)
        start += length
        if start >= end:
            return


def stretches(lost: npt.NDArray[np.bool_], times: Rows) -> list[tuple[int, int]]:
    """(start, end) of every run in `lost` [N]; times [N + 1]: when each of them begins, and the last one ends."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], lost.astype(np.int8), [0]))))
    return [(int(times[a]), int(times[b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def examine_boxes(file: BinaryIO, size: int) -> Structure:
    """What is broken in an MP4 or MOV of `size` bytes, and whether it holds GPS records."""
    moov: Box | None = None
    last: Box | None = None
    fragmented, pictures, gps = False, False, None
    for box in walk(file, 0, size):
        if last is not None and not _is_name(box.kind):
            break  # zeros, or what a camera appends: behind the last box all is allowed
        last = box
        fragmented = fragmented or box.kind == b"moof"
        pictures = pictures or box.kind == b"meta"
        if box.kind == b"moov" and moov is None:
            moov = box
        elif box.kind in _GPS_BOXES:
            gps = Gps(_GPS_BOXES[box.kind], None)
    if moov is None or last is None:
        what = "the recording was not closed: its index (moov) is missing"
        return Structure("mp4", () if pictures else (Damage(what, size, size),), gps)
    damages, notes = [], []
    if moov.end > size:
        damages.append(Damage("the index (moov) is cut", size, moov.end))
    elif last.end > size:
        cut = f"the last box ({_named(last.kind)}) ends {last.end - size} bytes behind the end of the file"
        if fragmented and last.kind in _MEDIA:
            damages.append(Damage(f"the last fragment is cut: {cut}", size, last.end))
        else:
            notes.append(cut)
    if fragmented and last.end < size:
        damages.append(Damage(f"{size - last.end} bytes behind the last fragment are no boxes", last.end, size))
    for number, track in enumerate(_tracks(file, moov, size), start=1):
        damages += _lost_samples(file, size, track, number)
    return Structure("mp4", tuple(damages), _free_gps(file, moov, size) or gps, tuple(notes))


def _is_name(kind: bytes) -> bool:
    return all(0x20 <= letter < 0x7F or letter == 0xA9 for letter in kind)


def _named(kind: bytes) -> str:
    return kind.decode("latin-1")


def _child(file: BinaryIO, box: Box | None, *path: bytes, size: int) -> Box | None:
    """The first box down `path` inside `box`."""
    for kind in path:
        if box is None:
            return None
        inner = walk(file, box.body, min(box.end, size))
        box = next((child for child in inner if child.kind == kind), None)
    return box


def _tracks(file: BinaryIO, moov: Box, size: int) -> Iterator[_Track]:
    scale = _number(file, _child(file, moov, b"mvhd", size=size), size)
    traks = (box for box in walk(file, moov.body, min(moov.end, size)) if box.kind == b"trak")
    for trak, _ in zip(traks, range(_MOST_TRACKS), strict=False):
        mdia = _child(file, trak, b"mdia", size=size)
        stbl = _child(file, mdia, b"minf", b"stbl", size=size)
        hdlr = _child(file, mdia, b"hdlr", size=size)
        timescale = _number(file, _child(file, mdia, b"mdhd", size=size), size)
        if stbl is None or hdlr is None or not timescale:
            continue
        empty, media_time = _edit(file, _child(file, trak, b"edts", b"elst", size=size), size)
        shift = Fraction(empty, scale or timescale) - Fraction(media_time, timescale)
        yield _Track(read_at(file, hdlr.body + 8, 4), timescale, shift, media_time, stbl)


def _number(file: BinaryIO, box: Box | None, size: int) -> int:
    """The time scale of an mvhd or mdhd box, 0 if there is none."""
    data = b"" if box is None else read_at(file, box.body, min(24, size - box.body))
    at = 20 if data[:1] == b"\1" else 12
    return int.from_bytes(data[at : at + 4], "big") if len(data) >= at + 4 else 0


def _edit(file: BinaryIO, elst: Box | None, size: int) -> tuple[int, int]:
    """(empty time in front, in movie ticks; first media time shown) of the edit list."""
    if elst is None:
        return 0, 0
    data = read_at(file, elst.body, min(elst.end, size, elst.body + 64) - elst.body)
    wide = 8 if data[:1] == b"\1" else 4
    empty = 0
    for at in range(8, len(data) - 2 * wide + 1, 2 * wide + 4):
        media_time = int.from_bytes(data[at + wide : at + 2 * wide], "big", signed=True)
        if media_time >= 0:
            return empty, media_time
        empty += int.from_bytes(data[at : at + wide], "big")
    return empty, 0


def _table(file: BinaryIO, stbl: Box, kind: bytes, size: int, *, row: str, skip: int = 8) -> npt.NDArray[np.void]:
    """Rows of a table box, as many as its count, the file and our limit allow. row: NumPy's types of the columns."""
    dtype = np.dtype(row)
    box = _child(file, stbl, kind, size=size)
    if box is None:
        return np.zeros(0, dtype)
    stated = int.from_bytes(read_at(file, box.body + skip - 4, 4), "big")
    held = max(min(box.end, size) - box.body - skip, 0) // dtype.itemsize
    data = read_at(file, box.body + skip, min(stated, held, _MOST_ROWS) * dtype.itemsize)
    return np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype)


def _chunks(file: BinaryIO, stbl: Box, size: int) -> tuple[Rows, Rows]:
    """(offset in the file, number of samples) of every chunk."""
    kind, width = (b"co64", ">u8") if _child(file, stbl, b"co64", size=size) else (b"stco", ">u4")
    found = _table(file, stbl, kind, size, row=width)
    offsets = np.minimum(found.astype(np.uint64), 1 << 62).astype(np.int64)
    runs = _table(file, stbl, b"stsc", size, row=">u4,>u4,>u4")
    first = np.clip(runs["f0"].astype(np.int64) - 1, 0, len(offsets))
    if not len(runs) or first[0] != 0 or np.any(np.diff(first) < 0):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return offsets, np.repeat(runs["f1"].astype(np.int64), np.diff(first, append=len(offsets)))


def _lost_samples(file: BinaryIO, size: int, track: _Track, number: int) -> list[Damage]:
    """What the file does not hold of one track; runs of zeros count only where a codec would not write them."""
    is_video = track.handler == b"vide"
    offsets, ends, first = _places(file, track.stbl, size, by_sample=is_video)
    if not len(offsets):
        return []
    lost = ends > size
    beyond = int(lost.sum())
    if is_video and _codec(file, track.stbl, size) in _CODED:
        lost |= _zeroed(file, offsets, ends, ~lost)
    if not lost.any():
        return []
    kind: Kind = _KINDS.get(track.handler, "other")
    unit = "frames" if is_video else "chunks"
    parts = [f"{beyond} lie behind the end of the file"] if beyond else []
    parts += [f"{zeroed} are filled with zeros"] if (zeroed := int(lost.sum()) - beyond) else []
    what = f"of the {len(offsets)} {unit} of track {number} ({kind}) {', '.join(parts)}"
    seconds = _when(file, track, first, lost, size)
    return [Damage(what, int(offsets[lost].min()), int(ends[lost].max()), kind, seconds)]


def _codec(file: BinaryIO, stbl: Box, size: int) -> bytes:
    stsd = _child(file, stbl, b"stsd", size=size)
    return b"" if stsd is None else read_at(file, stsd.body + 12, 4)


def _places(file: BinaryIO, stbl: Box, size: int, *, by_sample: bool) -> tuple[Rows, Rows, Rows]:
    """(first byte, byte behind the last, number of the first sample) of every sample, or of every chunk."""
    none = np.zeros(0, np.int64)
    offsets, counts = _chunks(file, stbl, size)
    stsz = _child(file, stbl, b"stsz", size=size)
    if stsz is None or not len(offsets):
        return none, none, none
    head = read_at(file, stsz.body, 12)
    each, samples = int.from_bytes(head[4:8], "big"), int.from_bytes(head[8:12], "big")
    first = np.minimum(np.cumsum(counts) - counts, samples)
    counts = np.minimum(counts, samples - first)
    if each and not by_sample:
        return offsets, offsets + counts * each, first
    if each:
        sizes = np.full(min(samples, _MOST_ROWS), each, np.int64)
    else:
        sizes = _table(file, stbl, b"stsz", size, row=">u4", skip=12).astype(np.int64)
    first = np.minimum(first, len(sizes))
    counts = np.minimum(counts, len(sizes) - first)
    before = np.concatenate(([0], np.cumsum(sizes)))  # bytes of all samples before each
    if not by_sample:
        return offsets, offsets + before[first + counts] - before[first], first
    numbers = np.arange(int(counts.sum()), dtype=np.int64)
    starts = np.repeat(offsets - before[first], counts) + before[numbers]
    return starts, starts + sizes[numbers], numbers


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


def _at(runs: npt.NDArray[np.void], numbers: Rows, *, summed: bool) -> Rows:
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
    file: BinaryIO, track: _Track, first: Rows, lost: npt.NDArray[np.bool_], size: int
) -> tuple[tuple[Fraction, Fraction], ...]:
    """Stretches of time of what is `lost`, on the clock of the file, without what an edit list hides."""
    stts = _table(file, track.stbl, b"stts", size, row=">u4,>u4")
    ctts = _table(file, track.stbl, b"ctts", size, row=">u4,>i4")
    shown = _at(stts, first, summed=True) + _at(ctts, first, summed=False)
    visible = shown >= track.shown_from if track.handler == b"vide" else np.ones(len(shown), np.bool_)
    order = np.flatnonzero(visible)
    order = order[np.argsort(shown[order], kind="stable")]
    if not len(order):
        return ()
    durations = _at(stts, first, summed=False)
    times = np.append(shown[order], shown[order[-1]] + durations[order[-1]])
    found = stretches(lost[order], times)
    clock = [tuple(Fraction(time, track.timescale) + track.shift for time in stretch) for stretch in found]
    return tuple((start, end) for start, end in clock if start < end)


def _free_gps(file: BinaryIO, moov: Box, size: int) -> Gps | None:
    """The records that a `gps ` box lists: 8 bytes of head, then offset and size of each, 32 bits both."""
    box = _child(file, moov, b"gps ", size=size)
    if box is None:
        return None
    held = min(max(min(box.end, size) - box.body - 8, 0) // 8, _MOST_POINTS)
    rows = np.frombuffer(read_at(file, box.body + 8, held * 8)[: held * 8], ">u4").reshape(-1, 2)
    places = rows[(rows[:, 1] > 0) & (rows[:, 0] > 0), 0]
    points = sum(read_at(file, int(place) + 4, 8) == _GPS_RECORD for place in places)
    return Gps("Novatek freeGPS", points)
