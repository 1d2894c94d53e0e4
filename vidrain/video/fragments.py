"""MP4 in fragments: whether each has its media, follows the one before, and is all that was written.

Boxes: ISO/IEC 14496-12, 8.8. What every muxer writes twice is checked: numbers in a row, times that go on where
the fragment before ended, sizes that fill the media.
"""

from collections.abc import Iterator
from itertools import accumulate, combinations
from typing import BinaryIO

import numpy as np

from vidrain.types import Damage
from vidrain.video.boxes import Box, read_at, walk
from vidrain.video.order import FARTHEST, follow_evenly, without_held
from vidrain.video.runs import Defaults, Fragment, Run, defaults_of, fragments_of
from vidrain.video.sample_tables import Track

MEDIA = {b"moof", b"mdat"}  # what a fragment is made of
KNOWN = MEDIA | {
    *(b"ftyp", b"styp", b"moov", b"mfra", b"sidx", b"ssix", b"prft", b"emsg", b"pdin"),
    *(b"free", b"skip", b"wide", b"uuid", b"meta", b"udta"),
}
_MOST_FRAGMENTS = 1 << 16
_MOST_ROWS = 1 << 20  # of an index
_MOST_SAID = 16
# bits of the flags of a head or a run -> bytes that each stands for; 0: none (ISO/IEC 14496-12, 8.8.7 and 8.8.8)
_HEAD_FIELDS = {0x1: 8, 0x2: 4, 0x8: 4, 0x10: 4, 0x20: 4, 0x10000: 0, 0x20000: 0}
_RUN_FIELDS, _SAMPLE_FIELDS = {0x1: 4, 0x4: 4}, {0x100: 4, 0x200: 4, 0x400: 4, 0x800: 4}
_TOGETHER_S = 0.2  # tracks that begin within so much of each other
_APART = 1.5  # times that one of them may go on as fast as the other

Said = tuple[str, int]  # what is wrong, and at which byte


def examine_fragments(file: BinaryIO, size: int, moov: Box, tracks: list[Track]) -> Iterator[Damage]:
    """What is wrong between the fragments of a file. tracks: those that its head describes."""
    defaults = defaults_of(file, moov, size)
    tops = [box for box, _ in zip(walk(file, 0, size), range(4 * _MOST_FRAGMENTS), strict=False)]
    whole = [box for box in tops if box.end <= size]
    fragments = list(fragments_of(file, whole, defaults))
    said = [
        *_strangers(moov, tracks, defaults),
        *_order(file, whole),
        *_flags(file, whole),
        *_media(fragments),
        *_times(fragments, defaults),
        *_paces(moov, tracks, fragments),
        *_index(file, whole, size),
    ]
    said = said or list(_shown(moov, fragments))
    for what, place in said[:_MOST_SAID]:
        yield Damage(what, place, place, is_anywhere=True)


def _strangers(moov: Box, tracks: list[Track], defaults: dict[int, Defaults]) -> Iterator[Said]:
    """Tracks for which the head has defaults, but no description: their samples are passed over."""
    for number in sorted(defaults.keys() - {track.number for track in tracks}):
        yield f"track {number} of its fragments is not in its head", moov.start


def _paces(moov: Box, tracks: list[Track], fragments: list[Fragment]) -> Iterator[Said]:
    """Tracks that go on faster than others: what is in one fragment belongs together, so that a clock is wrong.

    Sound that begins late may catch up, and where an edit list says so, fragments count from there.
    """
    scales = {track.number: track.timescale for track in tracks if not track.edits or track.edits[0][1] >= 0}
    pairs: dict[tuple[int, int], list[tuple[float, float]]] = {}  # of tracks -> when both begin, in each fragment
    for fragment in fragments:
        starts = {run.track: run.start for run in fragment.runs if run.start is not None and run.track in scales}
        for one, other in combinations(sorted(starts), 2):
            begins = starts[one] / scales[one], starts[other] / scales[other]
            pairs.setdefault((one, other), []).append(begins)
    for pair, begun in pairs.items():
        lasted = [end - start for start, end in zip(begun[0], begun[-1], strict=True)]
        is_together = abs(begun[0][0] - begun[0][1]) < _TOGETHER_S
        if is_together and min(lasted) >= 0 and max(lasted) > _APART * min(lasted):
            said = (f"track {number} goes on for {time:.3f} s" for number, time in zip(pair, lasted, strict=True))
            yield f"in the same fragments {' and '.join(said)}", moov.start


def _order(file: BinaryIO, tops: list[Box]) -> Iterator[Said]:
    """Boxes that are none, and numbers that do not follow each other."""
    number: int | None = None
    for box in tops:
        if box.kind not in KNOWN:
            yield f"{box.kind.decode('latin-1')!r} at {box.start} is no box of a file in fragments", box.start
        if box.kind != b"moof":
            continue
        found = int.from_bytes(read_at(file, box.body + 12, 4), "big")
        if number is not None and found != number + 1:
            yield f"fragment {found} follows fragment {number}", box.start
        number = found


def _flags(file: BinaryIO, tops: list[Box]) -> Iterator[Said]:
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


def _media(fragments: list[Fragment]) -> Iterator[Said]:
    """Media that is not of the size that its fragment states, or lies elsewhere."""
    for fragment in fragments:
        media, stated = sum(box.end - box.body for box in fragment.media), sum(run.size for run in fragment.runs)
        if stated != media:
            yield f"the fragment at {fragment.start} has {media} bytes of media and states {stated}", fragment.start
        elif len(fragment.media) == 1 and not _fill(fragment.runs, fragment.media[0].body):
            yield f"the fragment at {fragment.start} places its samples beside its media", fragment.start


def _fill(runs: tuple[Run, ...], start: int) -> bool:
    """Whether the media of `runs` lies in a row from `start` on, as far as they say where."""
    parts = sorted((run.place, run.size) for run in runs if run.place is not None and run.size)
    if len(parts) < sum(run.size > 0 for run in runs):
        return True
    ends = accumulate((size for _, size in parts), initial=start)
    return all(place == end for (place, _), end in zip(parts, ends, strict=False))


def _times(fragments: list[Fragment], defaults: dict[int, Defaults]) -> Iterator[Said]:
    """Times that do not go on where the fragment before ended."""
    due: dict[int, tuple[int, int]] = {}  # track -> when its next sample is decoded, longest step so far
    timed: dict[int, bool] = {}  # track -> whether its first fragment says when it begins
    far: dict[int, tuple[int, int]] = {}  # track -> by how much a sample was moved, and where
    for place, run in ((fragment.start, run) for fragment in fragments for run in fragment.runs):
        if run.track not in defaults:
            yield f"the fragment at {place} is of track {run.track}, which there is not", place
        if not run.goes_on and timed.setdefault(run.track, run.start is not None) != (run.start is not None):
            yield f"the fragment at {place} states no time, or alone one, for track {run.track}", place
        if not len(run.durations):
            continue
        longest = int(run.durations.max())
        start, last = due.get(run.track, (run.start or 0, longest))
        longest = max(longest, last)
        if run.start is not None and abs(run.start - start) > longest:
            ends = f"track {run.track} goes on at tick {run.start}, the fragment before ended at {start}"
            yield f"the fragment at {place}: {ends}", place
        due[run.track] = (start if run.start is None else run.start) + int(run.durations.sum()), longest
        moved = int(np.abs(run.offsets).max(initial=0))
        if moved > FARTHEST * max(longest, 1):
            far[run.track] = moved, place
        elif (
            far.get(run.track, (0, 0))[0] > FARTHEST * longest
        ):  # of a last picture, which may come late, nothing follows
            _, where = far.pop(run.track)
            yield f"the fragment at {where} shows samples long before or after they are decoded", where


def _shown(moov: Box, fragments: list[Fragment]) -> Iterator[Said]:
    """Tracks whose samples last equally long, but are shown unevenly; each fragment goes on where the last ended."""
    runs = [run for fragment in fragments for run in fragment.runs]
    for track in sorted({run.track for run in runs if len(run.offsets)}):
        own = [run for run in runs if run.track == track]
        steps = np.concatenate([run.durations for run in own])
        if len(np.unique(steps[:-1])) != 1:
            continue
        offsets = [run.offsets if len(run.offsets) else np.zeros_like(run.durations) for run in own]
        shown = np.arange(len(steps)) * steps[0] + np.concatenate(offsets)
        if not follow_evenly(without_held(shown, int(steps[0])), int(steps[0])):
            yield f"samples of track {track} last equally long, but are shown unevenly", moov.start


def _index(file: BinaryIO, tops: list[Box], size: int) -> Iterator[Said]:
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
