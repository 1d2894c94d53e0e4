"""MP4 and MOV by arithmetic over their boxes: what the index promises and the file does not hold.

FFmpeg reads a file that was cut short without a word. Here the sample tables are compared with the size of the file and
with each other, and GPS records of dashcams are found. No decoding and no FFmpeg; a hostile file costs bounded memory
and time. GPS: the layout that Novatek cameras write.
"""

from typing import BinaryIO

import numpy as np

from vidrain.types import Damage, Gps, Structure
from vidrain.video.boxes import Box, child, is_name, read_at, walk
from vidrain.video.clocks import wrong_clocks
from vidrain.video.contradictions import contradictions, misplaced, trimmed_alone, unclaimed
from vidrain.video.fragments import KNOWN, MEDIA, examine_fragments
from vidrain.video.sample_tables import lost_samples, tracks_of

_MOST_POINTS = 1 << 16  # one a second
_GPS_RECORD = b"freeGPS "
_GPS_BOXES = {b"GPS ": "70mai", b"gps0": "Navitel"}


def examine_boxes(file: BinaryIO, size: int) -> Structure:
    """What is broken in an MP4 or MOV of `size` bytes, and whether it holds GPS records."""
    moov: Box | None = None
    last: Box | None = None
    media: list[Box] = []
    fragmented, pictures, gps = False, False, None
    for box in walk(file, 0, size):
        if last is not None and not is_name(box.kind):
            break  # zeros, or what a camera appends: behind the last box all is allowed
        last = box
        fragmented = fragmented or box.kind == b"moof"
        pictures = pictures or box.kind == b"meta"
        if box.kind == b"moov" and moov is None:
            moov = box
        elif box.kind == b"mdat":
            media.append(box)
        elif box.kind in _GPS_BOXES:
            gps = Gps(_GPS_BOXES[box.kind], None)
    if moov is None or last is None:
        what = "the recording was not closed: its index (moov) is missing"
        return Structure("mp4", () if pictures else (Damage(what, size, size),), gps)
    damages, notes = [], []
    fragmented = fragmented or child(file, moov, b"mvex", size=size) is not None
    if moov.end > size:
        damages.append(Damage("the index (moov) is cut", size, moov.end))
    elif last.end > size:
        cut = f"the last box ({_named(last.kind)}) ends {last.end - size} bytes behind the end of the file"
        if fragmented and (last.kind in MEDIA or last.kind not in KNOWN):
            damages.append(Damage(f"the last fragment is cut: {cut}", size, last.end))
        else:
            notes.append(cut)
    if fragmented and last.end < size:
        damages.append(Damage(f"{size - last.end} bytes behind the last fragment are no boxes", last.end, size))
    tracks = list(tracks_of(file, moov, size))
    for number, track in enumerate(tracks, start=1):
        damages += lost_samples(file, size, track, number) if track else ()
        damages += contradictions(file, size, track, number)
    found = [track for track in tracks if track]
    damages += [*misplaced(file, size, moov), *trimmed_alone(found), *wrong_clocks(file, size, found)]
    if fragmented and not damages:
        damages += examine_fragments(file, size, moov, found)
    elif not damages:
        damages += unclaimed(file, size, found, media)
    return Structure("mp4", tuple(damages), _free_gps(file, moov, size) or gps, tuple(notes))


def _named(kind: bytes) -> str:
    return kind.decode("latin-1")


def _free_gps(file: BinaryIO, moov: Box, size: int) -> Gps | None:
    """The records that a `gps ` box lists: 8 bytes of head, then offset and size of each, 32 bits both."""
    box = child(file, moov, b"gps ", size=size)
    if box is None:
        return None
    held = min(max(min(box.end, size) - box.body - 8, 0) // 8, _MOST_POINTS)
    rows = np.frombuffer(read_at(file, box.body + 8, held * 8)[: held * 8], ">u4").reshape(-1, 2)
    places = rows[(rows[:, 1] > 0) & (rows[:, 0] > 0), 0]
    points = sum(read_at(file, int(place) + 4, 8) == _GPS_RECORD for place in places)
    return Gps("Novatek freeGPS", points)
