"""Whether packets of a transport stream follow each other: the counter of each PID, and lengths of what they carry.

ISO/IEC 13818-1, 2.4.3. Fed packet block by packet block, in order; holds a few numbers for each PID.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["video", "audio", "other"]
Packets = npt.NDArray[np.uint8]

_NULL_PID = 0x1FFF
_VIDEO = {0x01, 0x02, 0x10, 0x1B, 0x24, 0x33, 0xD1, 0xEA}  # stream types: MPEG-1 to VVC, Dirac, VC-1
_AUDIO = {0x03, 0x04, 0x0F, 0x11, 0x1C, 0x81, 0x82, 0x83, 0x84, 0x87, 0x8A}
# DTS on Blu-ray discs, subtitles in American cable (ANSI/SCTE 27); those come in sections of this table, not in units.
_DTS_OR_TEXT, _TEXT_TABLE = 0x82, 0xC6
_UNIT = b"\0\0\1"
_FEWEST = 3  # PIDs that count from 0, so that it is no coincidence: the tables are two
_BEHIND_CLOCK = 12  # bytes of a packet among which its clock may stand
_PAYLOAD = 184  # bytes of a packet behind its head


@dataclass
class _Carried:
    """Where one PID stands. first: its first counter, None where that packet carried nothing.

    due, got: bytes of the unit (PES) under way, as it states them (0: it does not), so far.
    """

    first: int | None
    last: Packets | None = None
    due: int = 0
    got: int = 0


@dataclass
class Continuity:
    """Follows the PIDs of a stream.

    kinds: PID -> what it carries, as far as the stream has said; restarts: places where it says that clocks start anew.
    """

    kinds: dict[int, Kind] = field(default_factory=dict)
    restarts: int = 0
    _begun: dict[int, int] = field(default_factory=dict)
    _maps: set[int] = field(default_factory=set)
    _maybe_texts: set[int] = field(default_factory=set)
    _texts: set[int] = field(default_factory=set)
    _pids: dict[int, _Carried] = field(default_factory=dict)

    def broken(self, packets: Packets) -> Iterator[tuple[int, int, str]]:
        """(number of the packet, PID, what is wrong) for `packets` [N, 188]; what follows, follows them."""
        pids = (packets[:, 1] & 0x1F).astype(np.int64) << 8 | packets[:, 2]
        self._read_tables(0, packets[pids == 0])  # first: what carries what
        for pid in sorted(self._maps):
            self._read_tables(pid, packets[pids == pid])
        for pid in np.unique(pids).tolist():
            if pid == _NULL_PID:
                continue
            numbers = np.flatnonzero(pids == pid)
            own = packets[numbers]
            for place, what in (*self._counted(pid, own), *self._measured(pid, own)):
                yield int(numbers[place]), pid, what

    def unfinished(self) -> Iterator[int]:
        """PIDs whose last unit has not come whole."""
        return (pid for pid, carried in self._pids.items() if carried.got < carried.due)

    @property
    def units(self) -> tuple[tuple[int, int], ...]:
        """(PID, units that have begun) of every video."""
        return tuple((pid, count) for pid, count in self._begun.items() if self.kinds.get(pid) == "video")

    def beheaded(self) -> Iterator[int]:
        """PIDs of pictures and sound that do not count from 0 in a file where all else does, as muxers begin.

        Of a recording that was begun in mid-stream nothing is known: there no PID does, but by chance.
        """
        late = [pid for pid, carried in self._pids.items() if carried.first]
        others = len(self._pids) - len(late)
        return (pid for pid in late if others >= _FEWEST and len(late) == 1 and self.kinds.get(pid, "other") != "other")

    def restart(self) -> None:
        """Packets were lost here in any case."""
        self._pids.clear()

    def _counted(self, pid: int, own: Packets) -> Iterator[tuple[int, str]]:
        """Packets before which some are missing, by the counter of four bits."""
        counters, loaded = (own[:, 3] & 0x0F).astype(np.int64), own[:, 3] & 0x10 != 0
        carried = self._pids.setdefault(pid, _Carried(int(counters[0]) if loaded[0] else None))
        announced = (own[:, 3] & 0x20 != 0) & (own[:, 4] > 0) & (own[:, 5] & 0x80 != 0)
        self.restarts += int(announced.sum())
        first = counters[0] - loaded[0] if carried.last is None else carried.last[3] & 0x0F
        before = np.concatenate(([first], counters[:-1]))
        steps = (counters - before) % 16
        # a packet may come twice, but for its clock the same, and one without payload does not count
        ahead = own[:1] if carried.last is None else carried.last[None]
        again = np.all(own[:, _BEHIND_CLOCK:] == np.concatenate([ahead, own[:-1]])[:, _BEHIND_CLOCK:], axis=1)
        twice = loaded & (steps == 0) & again
        wrong = (steps != loaded) & ~twice & ~announced
        carried.last = own[-1].copy()
        if pid in self.kinds:
            for place in np.flatnonzero(twice & ~announced).tolist():
                yield place, "a packet comes twice, as it may, but FFmpeg reads both as one after the other"
        for place in np.flatnonzero(wrong).tolist():
            yield place, f"packets are missing (counter {before[place]}, then {counters[place]})"
        for place in np.flatnonzero(own[:, 1] & 0x80).tolist():
            yield place, "a packet is marked as damaged"

    def _measured(self, pid: int, own: Packets) -> Iterator[tuple[int, str]]:
        """Units that are shorter than they state."""
        carried = self._pids[pid]
        loaded, extended = own[:, 3] & 0x10 != 0, own[:, 3] & 0x20 != 0
        skipped = np.where(extended, 1 + own[:, 4].astype(np.int64), 0)
        lengths = np.where(loaded, np.maximum(_PAYLOAD - skipped, 0), 0)
        starts = np.flatnonzero((own[:, 1] & 0x40 != 0) & loaded)
        edges = [0, *starts.tolist(), len(own)]
        for turn, (begin, end) in enumerate(pairwise(edges)):
            if turn:
                if carried.got < carried.due:
                    yield begin, f"a unit of it has {carried.got} of its {carried.due} bytes"
                self._begun[pid] = self._begun.get(pid, 0) + 1
                payload = own[begin, 4 + int(skipped[begin]) :]
                unit = bytes(payload[:6])
                carried.due, carried.got = _stated(unit), 0
                if pid in self._maybe_texts and _table(bytes(payload))[:1] == bytes([_TEXT_TABLE]):
                    self._texts.add(pid)
                    self.kinds[pid] = "other"
                if self.kinds.get(pid, "other") != "other" and len(unit) == 6 and unit[:3] != _UNIT:
                    yield begin, "a unit of it does not begin as units do"
            carried.got += int(lengths[begin:end].sum())

    def _read_tables(self, pid: int, own: Packets) -> None:
        """Learn from the first section of a packet: tables of programs, then their maps."""
        for packet in own[own[:, 1] & 0x40 != 0][:1]:
            data = bytes(packet[4 + (1 + int(packet[4]) if packet[3] & 0x20 else 0) :])
            table = _table(data)
            end = min(3 + (int.from_bytes(table[1:3], "big") & 0xFFF) - 4, len(table))
            if pid == 0:
                rows = range(8, end - 3, 4)
                self._maps |= {int.from_bytes(table[at + 2 : at + 4], "big") & 0x1FFF for at in rows}
            elif table[:1] == b"\x02":
                at = 12 + (int.from_bytes(table[10:12], "big") & 0xFFF)
                while at + 5 <= end:
                    kind: Kind = "video" if table[at] in _VIDEO else "audio" if table[at] in _AUDIO else "other"
                    carrier = int.from_bytes(table[at + 1 : at + 3], "big") & 0x1FFF
                    (self._maybe_texts.add if table[at] == _DTS_OR_TEXT else self._maybe_texts.discard)(carrier)
                    self.kinds[carrier] = "other" if carrier in self._texts & self._maybe_texts else kind
                    at += 5 + (int.from_bytes(table[at + 3 : at + 5], "big") & 0xFFF)


def _table(payload: bytes) -> bytes:
    """The first section that begins in the payload of a packet, behind the byte that says where; nothing if none."""
    return payload[1 + payload[0] :] if payload else b""


def _stated(head: bytes) -> int:
    """Bytes of a unit by its head; 0 where it begins otherwise or does not say, as video may."""
    length = int.from_bytes(head[4:6], "big")
    return 6 + length if head[:3] == _UNIT and length else 0
