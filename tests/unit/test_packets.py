"""Transport streams by arithmetic: lost step, cut packets, the three shapes there are."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.broken import cut, zeroed
from vidrain.types import Structure
from vidrain.video.continuity import Continuity
from vidrain.video.decode import open_video
from vidrain.video.packets import examine_packets
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ffmpeg_says.remux(SAMPLES / "vfr.mp4", tmp_path_factory.mktemp("ts") / "whole.ts")


def reshaped(whole: Path, target: Path, front: bytes, behind: bytes) -> Path:
    data = whole.read_bytes()
    target.write_bytes(b"".join(front + data[at : at + 188] + behind for at in range(0, len(data), 188)))
    return target


@pytest.mark.parametrize(("front", "behind"), [(b"", b""), (b"\0\1\2\3", b""), (b"", bytes(16))])
def test_every_shape(front: bytes, behind: bytes, whole: Path, tmp_path: Path) -> None:
    path = reshaped(whole, tmp_path / "shaped.ts", front, behind)
    step = 188 + len(front) + len(behind)
    assert examine(path) == Structure("mpegts")
    (damage,) = examine(cut(path, tmp_path / "cut.ts", step * 50 + 7)).damages
    assert (damage.start, damage.end) == (step * 50 + 7, step * 51)


def test_where_the_step_is_lost(whole: Path, tmp_path: Path) -> None:
    (damage,) = examine(zeroed(whole, tmp_path / "zeros.ts", 188 * 20, 188 * 30)).damages
    assert (damage.start, damage.end) == (188 * 20, 188 * 30)
    data = whole.read_bytes()
    shorter = tmp_path / "shorter.ts"
    shorter.write_bytes(data[: 188 * 20 + 50] + data[188 * 20 + 60 :])  # ten bytes are gone: all behind has moved
    (damage,) = examine(shorter).damages
    assert damage.end == 188 * 22 - 10
    (damage,) = examine(zeroed(whole, tmp_path / "tail.ts", 188 * 20)).damages
    assert (damage.start, damage.end) == (188 * 20, len(data))


@settings(max_examples=60)
@given(st.lists(st.sampled_from([b"G", b"G" + bytes(187), bytes(100), b"G" * 188]), max_size=60))
def test_bytes_made_up_do_no_harm(parts: list[bytes]) -> None:
    data = (b"G" + bytes(187)) * 6 + b"".join(parts)
    found = examine_packets(io.BytesIO(data), len(data))
    assert all(0 <= damage.start < damage.end for damage in found.damages)


def test_a_thousand_holes_are_not_all_told() -> None:
    piece = (b"G" + bytes(187)) * 6 + bytes(100)
    data = piece * 1000
    sizes = [damage.end - damage.start for damage in examine_packets(io.BytesIO(data), len(data)).damages]
    assert sizes == [np.int64(100)] * 64


def without(whole: Path, target: Path, *numbers: int) -> Path:
    """A stream without some of its packets."""
    data = whole.read_bytes()
    kept = [data[place : place + 188] for place in range(0, len(data), 188) if place // 188 not in numbers]
    target.write_bytes(b"".join(kept))
    return target


def pid_of(packet: bytes) -> int:
    return int.from_bytes(packet[1:3], "big") & 0x1FFF


@pytest.mark.fault(7)
def test_every_packet_that_is_missing_in_the_middle(whole: Path, tmp_path: Path) -> None:
    """By the counter of its PID, whatever it carried; only tables that come again are the same without one."""
    data = whole.read_bytes()
    packets = [data[place : place + 188] for place in range(0, len(data), 188)]
    pids = [pid_of(packet) for packet in packets]
    for number in range(0, len(packets), 7):
        behind, before = pids[number + 1 :], pids[:number]
        if pids[number] in behind and pids[number] in before and packets[number][3] & 0x10:
            found = examine(without(whole, tmp_path / "hole.ts", number)).damages
            assert any("packets are missing" in damage.what for damage in found), number


def test_a_stream_whose_first_packets_are_missing(whole: Path, tmp_path: Path) -> None:
    """Where all others count from 0 as muxers do; FFmpeg passes over the rest of its first unit."""
    data = whole.read_bytes()
    pids = [pid_of(data[place : place + 3]) for place in range(0, len(data), 188)]
    for pid in (0x100, 0x101):
        first = pids.index(pid)
        for numbers in ([first], [first, pids.index(pid, first + 1)]):
            (damage,) = examine(without(whole, tmp_path / "beheaded.ts", *numbers)).damages
            assert damage.what == f"the beginning of stream {pid:#x} is missing"


def test_a_recording_that_was_begun_in_mid_stream_is_whole(whole: Path, tmp_path: Path) -> None:
    """There every counter stands somewhere."""
    data = bytearray(whole.read_bytes())
    for place in range(0, len(data), 188):
        pid = pid_of(data[place : place + 3])
        data[place + 3] = data[place + 3] & 0xF0 | (data[place + 3] + (5 if pid != 0x1FFF else 0) + (pid & 3)) & 0x0F
    later = tmp_path / "later.ts"
    later.write_bytes(data)
    assert examine(later) == Structure("mpegts", units=examine(whole).units)


def test_a_packet_that_comes_twice(whole: Path, tmp_path: Path) -> None:
    """It may, but FFmpeg hands its bytes out twice, and what a decoder makes of them is lost; a table does no harm."""
    data = whole.read_bytes()
    twice = tmp_path / "twice.ts"
    packets = [data[place : place + 188] for place in range(0, len(data), 188)]
    for number in range(0, len(packets), 7):
        if packets[number][3] & 0x10:
            twice.write_bytes(b"".join([*packets[: number + 1], *packets[number:]]))
            what = [damage.what for damage in examine(twice).damages]
            assert bool(what) == (pid_of(packets[number]) in (0x100, 0x101)), number
            assert all("comes twice" in line for line in what)
    twice.write_bytes(b"".join([packets[0], *packets]))  # the first may be any
    assert examine(twice) == Structure("mpegts")


def test_a_packet_marked_as_damaged(whole: Path, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    data[188 * 50 + 1] |= 0x80
    marked = tmp_path / "marked.ts"
    marked.write_bytes(data)
    (damage,) = examine(marked).damages
    assert "marked as damaged" in damage.what


def test_the_end_of_a_unit_that_says_how_long_it_is(whole: Path, tmp_path: Path) -> None:
    """Sound does: a cut between two packets in the middle of it is seen."""
    data = whole.read_bytes()
    seen = [bool(examine(cut(whole, tmp_path / "cut.ts", keep)).damages) for keep in range(188 * 20, len(data), 188)]
    assert any(seen)
    assert not all(seen)


def test_a_unit_without_its_first_bytes(whole: Path, tmp_path: Path) -> None:
    """FFmpeg passes over the whole unit, whichever it is; the map of streams may have a higher number than they."""
    data = whole.read_bytes()
    starts = [at for at in range(0, len(data), 188) if data[at + 1] & 0x40 and b"\0\0\1\xc0" in data[at : at + 188]]
    assert len(starts) > 1
    for at in (starts[0], starts[-1]):
        place = data.index(b"\0\0\1\xc0", at)
        hurt = tmp_path / "hurt.ts"
        hurt.write_bytes(data[: place + 1] + b"\x08" + data[place + 2 :])
        (damage,) = examine(hurt).damages
        assert "does not begin as units do" in damage.what


@pytest.mark.parametrize("together", [True, False])
def test_a_packet_that_comes_again_is_the_same(together: bool) -> None:
    """With a turned bit a packet of another stream may have the counter of the one before it; its clock may differ."""
    first = np.arange(188, dtype=np.uint8)
    first[:4] = (0x47, 0x01, 0x00, 0x30)
    other, later = first.copy(), first.copy()
    other[100] ^= 1
    later[8] ^= 1
    for second, is_wrong in ((first, False), (later, False), (other, True)):
        following = Continuity()
        blocks = [np.stack([first, second])] if together else [first[None], second[None]]
        assert bool([place for block in blocks for place in following.broken(block)]) == is_wrong


def section(table: bytes) -> bytes:
    """A table with its checksum (ISO/IEC 13818-1, annex A) behind the byte that says it begins at once."""
    crc = 0xFFFFFFFF
    for byte in table:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ (0x04C11DB7 if crc & 1 << 31 else 0)) & 0xFFFFFFFF
    return b"\0" + table + crc.to_bytes(4, "big")


def with_cable_subtitles(whole: Path, target: Path) -> Path:
    """A stream whose map also names subtitles as in American cable, with a message after every twentieth packet."""
    data, pid, packets = whole.read_bytes(), 0x150, []
    for number, at in enumerate(range(0, len(data), 188)):
        packet = data[at : at + 188]
        if packet[5:6] == b"\x02" and packet[1] & 0x40:  # the map: a registration, one more stream
            table = packet[5 : 5 + 3 + (int.from_bytes(packet[6:8], "big") & 0xFFF) - 4]
            assert table[10:12] == b"\xf0\0"
            body = table[3:10] + b"\xf0\x06\x05\x04GA94" + table[12:] + b"\x82" + (0xE000 | pid).to_bytes(2, "big")
            body += b"\xf0\0"
            head = table[:1] + (0xB000 | len(body) + 4).to_bytes(2, "big")
            packet = (packet[:4] + section(head + body)).ljust(188, b"\xff")
        packets.append(packet)
        if number % 20 == 0:
            message = section(b"\xc6\x30\x24" + bytes(32))
            count = 0x10 | number // 20 % 16
            packets.append((bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, count]) + message).ljust(188, b"\xff"))
    target.write_bytes(b"".join(packets))
    return target


def test_subtitles_of_american_cable_are_no_broken_sound(whole: Path, tmp_path: Path) -> None:
    """They have the number that DTS has on discs, and come in sections."""
    source = with_cable_subtitles(whole, tmp_path / "cable.ts")
    assert examine(source) == Structure("mpegts")
    assert open_video(source).info.codec == "h264"
    texts = [at for at in range(0, source.stat().st_size, 188) if pid_of(source.read_bytes()[at : at + 188]) == 0x150]
    (damage,) = examine(without(source, tmp_path / "hole.ts", texts[2] // 188)).damages
    assert (damage.kind, "packets are missing" in damage.what) == ("other", True)


def test_sound_of_that_number_is_still_looked_at(whole: Path, tmp_path: Path) -> None:
    source = with_cable_subtitles(whole, tmp_path / "cable.ts")
    data = bytearray(source.read_bytes())
    first = next(at for at in range(0, len(data), 188) if pid_of(data[at : at + 188]) == 0x150)
    data[first + 5] = 0  # neither a message nor a unit
    hurt = tmp_path / "hurt.ts"
    hurt.write_bytes(data)
    (damage,) = examine(hurt).damages
    assert "does not begin as units do" in damage.what
