"""Where the index of an MP4 or MOV contradicts itself, or leaves media unclaimed: a flipped bit in it loses frames.

Every fact that is checked stands in the file twice; what cameras and muxers of many makes agree on is demanded, what
only some write is not.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import BinaryIO

import numpy as np

from vidrain.types import Damage
from vidrain.video.boxes import Box, Rows, child, is_name, read_at, walk
from vidrain.video.order import follow_evenly, leaps, strays_among, without_held
from vidrain.video.sample_tables import (
    MOST_ROWS,
    Track,
    at_samples,
    chunks_of,
    codec_of,
    places_of,
    sample_count,
    table,
)

_TABLES = {b"stts": (8, 8), b"ctts": (8, 8), b"stsc": (8, 12), b"stco": (8, 4), b"co64": (8, 8), b"stss": (8, 4)}
_NEEDED = ((b"stsd",), (b"stts",), (b"stsc",), (b"stsz", b"stz2"), (b"stco", b"co64"))
_OTHERS = {b"sdtp", b"sbgp", b"sgpd", b"subs", b"saiz", b"saio", b"cslg", b"stdp", b"stsh", b"padb", b"stps"}
_FILLERS = {b"free", b"skip", b"wide", b"uuid"}
_PARENTS = {b"moov", b"trak", b"mdia", b"minf", b"stbl", b"edts"}
_PART, _WHOLE = 0.8, 0.95  # of a track
_FILLING = 16  # bytes of zeros with which some end a box
_EMPTY = -1  # time of an edit that shows nothing
_FAR = 4  # frames; what an edit list hides in front follows on without a gap
_UNKNOWN = {0, (1 << 32) - 1, (1 << 64) - 1}  # durations that are not stated
_LENGTH_FIRST = {b"avc1", b"avc3", b"hvc1", b"hev1"}  # codecs whose units are preceded by their length
_JPEG = {b"jpeg", b"mjpa", b"mjpb"}
_FASTEST = 4000  # frames a second: more than any camera states that writes MP4
_SOUND_OFF = 3  # packets by which edit lists of sound are off in files of common muxers
_MOST_GAPS = 3  # more of them are the habit of a muxer
_SMALLEST_GAP = 64  # bytes
_SHOWN_GAP = 1 << 16


def contradictions(file: BinaryIO, size: int, track: Track | None, number: int) -> Iterator[Damage]:
    """What in the tables of one track cannot all be true."""
    if track is None:
        yield Damage.anywhere(f"track {number} lacks its head or its tables")
        return
    said = [*_boxes(file, size, track), *_counts(file, size, track)]
    if not said and track.kind != "other":
        said += _times(file, size, track)
    if said:
        yield Damage.anywhere(f"the index of track {number} ({track.kind}) contradicts itself: {'; '.join(said)}")


def trimmed_alone(tracks: list[Track]) -> Iterator[Damage]:
    """A video of which an edit list shows but a part, beside sound that is shown whole: editors trim both."""
    shares = [(track.kind, _share(track)) for track in tracks]
    shown = max((share for kind, share in shares if kind == "video"), default=1.0)
    heard = min((share for kind, share in shares if kind == "audio"), default=0.0)
    if shown < _PART and heard > _WHOLE:
        yield Damage.anywhere(f"the index shows {shown:.0%} of the video and all of the sound")


def _share(track: Track) -> float:
    """What part of its media a track shows."""
    if track.duration in _UNKNOWN or track.presented in _UNKNOWN or not track.movie_scale:
        return 1.0
    shown = sum(length for length, time in track.edits if time >= 0) or track.presented
    return shown / track.movie_scale * track.timescale / track.duration


def misplaced(file: BinaryIO, size: int, parent: Box) -> Iterator[Damage]:
    """What in the index is no box, or ends outside of the box it lies in."""
    stop = min(parent.end, size)
    for box in walk(file, parent.body, stop):
        if box.end > stop and parent.end <= size:
            yield Damage.anywhere(
                f"{box.kind.decode('latin-1')!r} in the index ends outside of {parent.kind.decode()!r}"
            )
        elif not is_name(box.kind) and stop - box.start > _FILLING:
            yield Damage.anywhere(f"{stop - box.start} bytes from {box.start} on in the index are no boxes")
        elif (
            parent.kind == b"moov"
            and box.kind not in {b"trak", *_FILLERS}
            and child(file, box, b"tkhd", size=size) is not None
        ):
            yield Damage.anywhere(f"a track of the index is named {box.kind.decode('latin-1')!r}")
        elif box.kind == b"elst" and stop - box.body > _FILLING and not any(read_at(file, box.body + 4, 4)):
            yield Damage.anywhere("an edit list states no edits and holds some")
        elif box.kind in _PARENTS:
            yield from misplaced(file, size, box)


def _boxes(file: BinaryIO, size: int, track: Track) -> Iterator[str]:
    """Tables that are missing, unknown, or state more rows than they hold."""
    found = {box.kind: box for box in walk(file, track.stbl.body, min(track.stbl.end, size))}
    for kinds in _NEEDED:
        if not found.keys() & set(kinds):
            yield f"no table {kinds[0].decode()}"
    for kind, box in found.items():
        if kind in _TABLES:
            skip, row = _TABLES[kind]
            stated = int.from_bytes(read_at(file, box.body + skip - 4, 4), "big")
            if stated * row > min(box.end, size) - box.body - skip:
                yield f"{kind.decode()} states {stated} rows and holds fewer"
        elif kind not in _OTHERS | _FILLERS and not any(kind in kinds for kinds in _NEEDED):
            yield f"{kind.decode('latin-1')!r} is no table"


def _counts(file: BinaryIO, size: int, track: Track) -> Iterator[str]:
    """Samples, counted by each table."""
    stbl = track.stbl
    if child(file, stbl, b"stz2", size=size) is not None:
        return
    samples = sample_count(file, stbl, size)
    _, counts = chunks_of(file, stbl, size)
    found = {"stsc": int(counts.sum())}
    for kind in (b"stts", b"ctts"):
        rows = table(file, stbl, kind, size, row=">u4,>u4")
        if len(rows) or kind == b"stts":
            found[kind.decode()] = int(rows["f0"].astype(np.int64).sum())
    for name, count in found.items():
        if count != samples:
            yield f"{count} samples by {name}, {samples} by stsz"
    stsd = child(file, stbl, b"stsd", size=size)
    kinds = 0 if stsd is None else int.from_bytes(read_at(file, stsd.body + 4, 4), "big")
    described = table(file, stbl, b"stsc", size, row=">u4,>u4,>u4")["f2"]  # counted from 1
    if strays := int(((described < 1) | (described > kinds)).sum()):
        yield f"{strays} rows of stsc are of a description that there is not"


def _times(file: BinaryIO, size: int, track: Track) -> Iterator[str]:
    """Durations of pictures or sound: by the media head, summed over the samples, and as the edit list shows them."""
    stts = table(file, track.stbl, b"stts", size, row=">u4,>u4")
    samples = int(stts["f0"].astype(np.int64).sum())
    if not 0 < samples <= MOST_ROWS:
        return
    numbers = np.arange(samples, dtype=np.int64)
    ctts = table(file, track.stbl, b"ctts", size, row=">u4,>i4")
    steps = at_samples(stts, numbers, summed=False)
    shown = at_samples(stts, numbers, summed=True) + at_samples(ctts, numbers, summed=False)
    begin, end = int(shown.min()), int((shown + steps).max())
    is_even = len(np.unique(steps[:-1])) <= 1  # the last may last longer
    step = int(steps[0] if is_even else np.median(steps))
    if track.kind == "video" and samples * track.timescale > _FASTEST * max(int(steps.sum()), 1) and samples > 1:
        yield f"its clock makes {samples * track.timescale / max(int(steps.sum()), 1):.0f} frames a second"
    decoded = at_samples(stts, numbers, summed=True)
    keys = table(file, track.stbl, b"stss", size, row=">u4").astype(np.int64) - 1
    until = _shown_until(track) if track.edits else math.inf
    # a last picture may come late and stay: then the edit list knows
    settled = without_held(shown, step) if shown.max() <= until < math.inf else shown
    if track.kind == "video" and is_even and not follow_evenly(settled, step):
        yield "its samples last equally long, but are shown unevenly"
    elif track.kind == "video" and not is_even and (strays := strays_among(decoded, shown, keys, until)):
        yield f"{strays} samples are decoded when no frame is shown, as all others are"
    elif track.kind == "video" and leaps(settled, int(steps.max())):
        yield "some samples are shown long before or after all others"
    # what was cut without coding it anew lacks frames near its end: then some count all steps, some what is shown
    apart = [track.duration - (end - begin), track.duration - int(steps.sum())]
    exact = [abs(off - last) for off in apart for last in (0, step, -step)]
    if track.duration not in _UNKNOWN and (min(exact) > 1 if is_even else min(map(abs, apart)) > step):
        yield f"its samples last {end - begin} ticks, {track.duration} by mdhd"
    yield from _edited(track, shown, step, end, is_even=is_even)


def _edited(track: Track, shown: Rows, step: int, end: int, *, is_even: bool) -> Iterator[str]:
    """What the edit list shows of samples that are `shown` (as decoded) and last until `end`."""
    begin = int(shown.min())
    shown_edits = [(length, time) for length, time in track.edits if time >= 0]
    if not track.movie_scale or track.presented in _UNKNOWN:
        return
    tick = track.timescale / track.movie_scale
    if any(time < _EMPTY for _, time in track.edits):
        yield "its edit list begins before its first sample"
    spans = [(time, time + length * tick) for length, time in shown_edits]
    if any(start < before - step for (_, before), (start, _) in pairwise(spans)):
        yield "its edit list shows parts of it twice"
    if track.edits and not any(length for length, _ in shown_edits):
        yield "its edit list shows nothing of it"
    if len(shown_edits) == 1:
        (length, time), whole = shown_edits[0], sum(length for length, _ in track.edits)
        until = time + length * tick
        hidden = shown[shown < time]
        strays = track.kind == "video" and len(hidden) and (begin < 0 or time - hidden.max() > _FAR * step)
        if strays or (is_even and np.any(np.diff(np.sort(shown))[: len(hidden)] != step)):
            yield f"its edit list hides {len(hidden)} frames that lie apart"
        # an editor trims both, and a muxer lets the last of uneven frames last on, which stts does not say
        agreed = whole == track.presented and (until < end or not is_even)
        off = abs(until - end)
        if not is_even:  # then muxers also write the steps of decoding, summed
            off = min(off, abs(length * tick - track.duration))
        is_moved = is_even or abs(length * tick - (end - begin)) <= step  # the last of uneven frames may last on
        if len(hidden) and is_moved and until > end + tick + (1 if is_even else step):
            yield f"its edit list hides {len(hidden)} frames and ends {until - end:.0f} ticks behind the last"
        elif 0 < time < begin - tick - 1 and abs(length * tick - (end - begin)) <= tick + 1:  # some forget: 0
            yield f"its edit list begins {begin - time} ticks before its first frame and hides the last"
        elif off > (1 if track.kind == "video" else _SOUND_OFF) * step + tick and not agreed:
            yield f"its edit list shows it up to tick {until:.0f} of {end}"
    elif not track.edits and abs(track.presented * tick - track.duration) > step + tick:
        yield f"it lasts {track.presented * tick:.0f} ticks by tkhd, {track.duration} by mdhd"


def _shown_until(track: Track) -> float:
    """Where the edit list ends, in ticks of the track."""
    tick = track.timescale / (track.movie_scale or track.timescale)
    return max((time + length * tick for length, time in track.edits if time >= 0), default=0.0)


def unclaimed(file: BinaryIO, size: int, tracks: list[Track], media: list[Box]) -> Iterator[Damage]:
    """Stretches of media that belong to no sample, but look as if they did; and samples that lie over each other."""
    parts = [places_of(file, track.stbl, size, by_sample=False)[:2] for track in tracks]
    if not media or not any(len(offsets) for offsets, _ in parts):
        return
    offsets, ends = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = np.lexsort((ends, offsets))
    offsets, ends = offsets[order], ends[order]
    reached = np.maximum.accumulate(ends)
    over = int(((offsets[1:] < reached[:-1]) & (ends[1:] > offsets[1:])).sum())
    if over:
        yield Damage.anywhere(f"{over} chunks of the index lie over others")
    codecs = {codec_of(file, track.stbl, size) for track in tracks}
    holes = list(_holes(offsets, reached, [box for box in media if box.end <= size]))
    for start, end in holes:
        data = read_at(file, start, min(end - start, _SHOWN_GAP))
        if end - start < _SMALLEST_GAP or not any(data) or _is_box(data):
            continue
        if len(holes) <= _MOST_GAPS or _is_picture(data, end - start, codecs):
            yield Damage(
                f"{end - start} bytes of media, from {start} on, belong to no frame", start, end, is_anywhere=True
            )


def _holes(offsets: Rows, reached: Rows, media: list[Box]) -> Iterator[tuple[int, int]]:
    """(start, end) of what lies in `media` between, before and behind the chunks."""
    for box in media:
        inside = (offsets >= box.body) & (offsets < box.end)
        starts = [*offsets[inside].tolist(), box.end]
        for before, after in zip([box.body, *reached[inside].tolist()], starts, strict=True):
            if before < after:
                yield before, after


def _is_box(data: bytes) -> bool:
    """Whether a camera put a box of its own there, such as `free` with positions in it."""
    return data[4:8].isascii() and data[4:8].replace(b" ", b"a").isalnum()


def _is_picture(data: bytes, length: int, codecs: set[bytes]) -> bool:
    if codecs & _JPEG and data[:2] == b"\xff\xd8":
        return True
    unit = int.from_bytes(data[:4], "big")
    return bool(codecs & _LENGTH_FIRST) and 0 < unit <= length - 4 and not data[4] & 0x80
