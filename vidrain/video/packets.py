"""MPEG transport streams by arithmetic over their packets: where the even step of 188 bytes is lost.

No decoding and no FFmpeg; one pass in small pieces. Packets: ISO/IEC 13818-1, 2.4.3.
"""

from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from vidrain.types import Damage, Structure
from vidrain.video.boxes import read_at
from vidrain.video.continuity import Continuity

_SYNC = 0x47
_PACKET = 188
_SHAPES = ((188, 0), (192, 4), (204, 0))  # (step, bytes in front of the sync byte): plain, Blu-ray, with parity
HEAD = 1 << 14  # bytes in which it shows whether a file is a transport stream
_IN_A_ROW = 5  # sync bytes that make a rhythm, not a coincidence
_AT_ONCE = 1 << 14  # packets
_SEARCHED = 1 << 20  # bytes looked at, at once, for the rhythm to come back
_MOST_DAMAGES = 64


def is_packets(head: bytes) -> bool:
    """Whether a file that begins with `head` is a transport stream."""
    return _shape(head) is not None


def _shape(head: bytes) -> tuple[int, int] | None:
    """(step, bytes in front of each packet) of packets in a row in `head`; the first ones may be broken."""
    data = np.frombuffer(head, np.uint8)
    for step, lead in _SHAPES:
        if _rhythm(data, step, lead).any():
            return step, lead
    return None


def _rhythm(data: npt.NDArray[np.uint8], step: int, lead: int) -> npt.NDArray[np.bool_]:
    """At which bytes a row of packets begins. data [N] -> [M], M < N: as far as a whole row fits."""
    count = max(len(data) - lead - step * (_IN_A_ROW - 1), 0)
    good = np.ones(count, np.bool_)
    for turn in range(_IN_A_ROW):
        good &= data[lead + turn * step :][:count] == _SYNC
    return good


def examine_packets(file: BinaryIO, size: int) -> Structure:
    """Where a transport stream of `size` bytes is out of step, lacks packets, or ends inside of one."""
    shape = _shape(read_at(file, 0, HEAD))
    if shape is None:
        return Structure("mpegts")
    step, lead = shape
    damages: list[Damage] = []
    following = Continuity()
    position = 0
    while position < size and len(damages) < _MOST_DAMAGES:
        data = np.frombuffer(read_at(file, position, step * _AT_ONCE), np.uint8)
        whole = len(data) // step
        packets = data[: whole * step].reshape(-1, step)[:, lead : lead + _PACKET]
        wrong = np.flatnonzero(packets[:, 0] != _SYNC)
        good = int(wrong[0]) if len(wrong) else whole
        for number, pid, what in following.broken(packets[:good]):
            place = position + number * step
            what = f"stream {pid:#x}, at byte {place}: {what}"
            damages.append(Damage(what, place, place + step, following.kinds.get(pid, "other")))
        if len(wrong):
            start = position + good * step
            position = _found_again(file, start + 1, size, step, lead)
            damages.append(Damage(f"{position - start} bytes are no packets of a transport stream", start, position))
            following.restart()
        elif whole < _AT_ONCE:
            rest = len(data) - whole * step
            if rest:
                missing = step - rest
                what = f"the last packet is cut, {missing} of its {step} bytes are missing"
                damages.append(Damage(what, size, size + missing))
            break
        else:
            position += whole * step
    if not damages:
        for pid in following.beheaded():
            damages.append(
                Damage(f"the beginning of stream {pid:#x} is missing", 0, 1, following.kinds.get(pid, "other"))
            )
        for pid in following.unfinished():
            damages.append(
                Damage(f"the end of stream {pid:#x} is cut", size, size + 1, following.kinds.get(pid, "other"))
            )
    return Structure("mpegts", tuple(damages[:_MOST_DAMAGES]), units=following.units, restarts=following.restarts)


def _found_again(file: BinaryIO, start: int, size: int, step: int, lead: int) -> int:
    """Where packets follow one another in step again, from `start` on; the end of the file if nowhere."""
    reach = lead + step * (_IN_A_ROW - 1)
    while start + reach < size:
        data = np.frombuffer(read_at(file, start, _SEARCHED + reach), np.uint8)
        good = _rhythm(data, step, lead)
        if good.any():
            return start + int(good.argmax())
        start += len(good)
    return size
