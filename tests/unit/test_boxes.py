"""MP4 by arithmetic: what a cut takes away, told to the frame, and files made to do harm."""

import io
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.broken import box, cut, in_fragments, index_in_front, with_gps, zeroed
from vidrain.types import Damage, Gps, Structure
from vidrain.video.boxes import stretches
from vidrain.video.movie import examine_boxes
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
WHOLE = sorted(SAMPLES.glob("*.mp4"))


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Index in front, B-frames, an edit list, sound between the frames."""
    return index_in_front(SAMPLES / "vfr.mp4", tmp_path_factory.mktemp("front") / "front.mp4")


def truth(path: Path, size: int) -> tuple[set[Fraction], set[Fraction]]:
    """Times of the frames of a whole file that end behind `size`, and of the others, as PyAV knows them."""
    lost, held = set(), set()
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            if packet.size:
                seconds = packet.pts * Fraction(packet.time_base)
                (lost if packet.pos + packet.size > size else held).add(seconds)
    return lost, held


def inside(times: set[Fraction], damages: tuple[Damage, ...]) -> set[Fraction]:
    spans = [span for damage in damages if damage.kind == "video" for span in damage.seconds]
    return {time for time in times if any(start <= time < end for start, end in spans)}


@pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.name)
def test_whole_files_are_whole(path: Path) -> None:
    assert examine(path) == Structure("mp4")


def test_a_cut_names_exactly_the_frames_it_took(front: Path, tmp_path: Path) -> None:
    size = front.stat().st_size
    for keep in np.random.default_rng(1).integers(5_000, size, 20).tolist():
        found = examine(cut(front, tmp_path / "cut.mp4", keep))
        lost, held = truth(front, keep)
        assert inside(lost | held, found.damages) == lost
        assert all(damage.end <= size and damage.end > keep for damage in found.damages)
    assert examine(cut(front, tmp_path / "cut.mp4", -1)).damages  # one byte, of the sound
    assert {damage.kind for damage in found.damages} <= {"video", "audio"}


def test_a_tail_of_zeros_is_lost(front: Path, tmp_path: Path) -> None:
    start = front.stat().st_size * 6 // 10
    found = examine(zeroed(front, tmp_path / "zeros.mp4", start))
    lost, held = truth(front, start + 64)  # of a frame that is zero only at its end
    assert inside(lost | held, found.damages) >= lost
    assert len(inside(held, found.damages)) <= 1
    assert "filled with zeros" in found.damages[0].what


def test_reserved_zeros_behind_the_media_are_no_loss(tmp_path: Path) -> None:
    padded = tmp_path / "padded.mp4"
    padded.write_bytes((SAMPLES / "vfr.mp4").read_bytes() + bytes(100_000))
    assert examine(padded) == Structure("mp4")


def test_without_an_index(tmp_path: Path) -> None:
    data = (SAMPLES / "vfr.mp4").read_bytes()
    start = data.index(b"moov") - 4
    for keep, said in ((start, "recording was not closed"), (start + 4, "was not closed"), (start + 300, "is cut")):
        damage = examine(cut(SAMPLES / "vfr.mp4", tmp_path / "cut.mp4", keep)).damages[0]
        assert said in damage.what


def test_fragments(tmp_path: Path) -> None:
    whole = in_fragments(SAMPLES / "full_range.mp4", tmp_path / "fragments.mp4")
    assert examine(whole) == Structure("mp4")
    (damage,) = examine(cut(whole, tmp_path / "cut.mp4", -1000)).damages
    assert "last fragment is cut" in damage.what
    zeros = tmp_path / "zeros.mp4"
    zeros.write_bytes(whole.read_bytes() + bytes(5000))
    (damage,) = examine(zeros).damages
    assert (damage.end - damage.start, damage.end) == (5000, zeros.stat().st_size)


@pytest.mark.fault(11)
def test_a_table_that_points_behind_the_end_at_its_front(front: Path, tmp_path: Path) -> None:
    data = bytearray(front.read_bytes())
    at = data.index(b"stco") + 12
    data[at : at + 4] = struct.pack(">I", len(data) + 1000)
    path = tmp_path / "front.mp4"
    path.write_bytes(data)
    (damage,) = examine(path).damages
    assert damage.kind == "video"
    assert damage.seconds[0][0] == min(set.union(*truth(front, 0)))


def test_gps_of_novatek_is_counted(tmp_path: Path) -> None:
    path = with_gps(SAMPLES / "vfr.mp4", tmp_path / "gps.mp4", 177)
    assert examine(path) == Structure("mp4", gps=Gps("Novatek freeGPS", 177))
    wiped = path.read_bytes().replace(b"freeGPS ", b"freeABC ", 7)
    path.write_bytes(wiped)
    assert examine(path).gps == Gps("Novatek freeGPS", 170)


def test_gps_box_of_others(tmp_path: Path) -> None:
    path = tmp_path / "gps.mp4"
    path.write_bytes((SAMPLES / "vfr.mp4").read_bytes() + box(b"GPS ", bytes(400)))
    assert examine(path).gps == Gps("70mai", None)


def test_stretches() -> None:
    lost = np.array([True, False, True, True])
    assert stretches(lost, np.array([0, 4, 5, 7, 9])) == [(0, 4), (5, 9)]
    assert stretches(~lost, np.array([0, 4, 5, 7, 9])) == [(4, 5)]


HUGE = st.sampled_from([0, 1, 2, 7, 8, 9, 16, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])


@settings(max_examples=150)
@given(st.integers(0, 1 << 30), st.lists(st.tuples(st.integers(0, 1 << 30), HUGE), min_size=1, max_size=6))
@example(0, [(0, 1)])
def test_numbers_made_up_do_no_harm(end: int, changes: list[tuple[int, int]]) -> None:
    """Any number of the index replaced by an extreme one, any length: an answer, soon, and never an exception."""
    data = bytearray((SAMPLES / "street.mp4").read_bytes())
    start = data.index(b"moov") - 4
    for place, value in changes:
        at = start + place % (len(data) - start - 4)
        data[at : at + 4] = value.to_bytes(4, "big")
    keep = data[: len(data) - end % 300]
    found = examine_boxes(io.BytesIO(keep), len(keep))
    assert all(start < end for damage in found.damages for start, end in damage.seconds)


@settings(max_examples=100)
@given(st.lists(st.tuples(HUGE, st.sampled_from([b"ftyp", b"moov", b"trak", b"mdat", b"gps ", b"\0\0\0\0"]))))
def test_boxes_made_up_do_no_harm(made: list[tuple[int, bytes]]) -> None:
    data = b"".join(length.to_bytes(4, "big") + kind + bytes(8) for length, kind in made)
    examine_boxes(io.BytesIO(data), len(data))


def test_tables_that_claim_everything_cost_little() -> None:
    """Counts of four thousand million in a file of a few hundred bytes, and runs that overflow when summed."""
    full = struct.pack(">I", 0xFFFFFFFF)
    runs = struct.pack(">II", 0, 2) + full * 4
    stbl = box(
        b"stbl",
        *(box(b"stts", runs), box(b"ctts", runs), box(b"stsd", bytes(40))),
        box(b"stsc", struct.pack(">II3I", 0, 1, 1, 0xFFFFFFFF, 1)),
        box(b"stsz", bytes(4), full, full),
        box(b"stco", struct.pack(">IIII", 0, 0xFFFFFFFF, 8, 0xFFFFFFF0)),
    )
    media = [box(b"mdhd", bytes(12), full, full, bytes(4)), box(b"hdlr", bytes(8), b"soun", bytes(12))]
    head = box(b"tkhd", bytes(84))
    moov = box(b"moov", box(b"trak", head, box(b"mdia", *media, box(b"minf", stbl))))
    data = box(b"ftyp", bytes(8)) + moov
    damage, contradiction = examine_boxes(io.BytesIO(data), len(data)).damages
    assert damage.kind == "audio"
    assert "contradicts itself" in contradiction.what
