"""Fragments of an MP4 that are lost, exchanged, or changed by one number."""

from __future__ import annotations

import struct
import tracemalloc
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.broken import boxes
from vidrain.types import Damage
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight fragments of five frames or fewer, with sound."""
    target = tmp_path_factory.mktemp("fragments") / "whole.mp4"
    flags = "frag_keyframe+empty_moov+default_base_moof"
    options = ("-c:v", "libx264", "-g", "4", "-bf", "2", "-c:a", "copy", "-movflags", flags)
    ffmpeg_says.quietly("-i", SAMPLES / "full_range.mp4", *options, target)
    return target


def parts(path: Path) -> list[bytes]:
    data = path.read_bytes()
    return [data[start:end] for _, start, end in boxes(data)]


def examined(made: list[bytes], tmp_path: Path) -> tuple[Damage, ...]:
    path = tmp_path / "hurt.mp4"
    path.write_bytes(b"".join(made))
    return examine(path).damages


@pytest.mark.parametrize(
    "flags", ["frag_keyframe", "frag_every_frame+empty_moov", "dash+frag_keyframe", "cmaf+frag_keyframe"]
)
@pytest.mark.parametrize("sample", ["full_range.mp4", "vfr.mp4", "cut.mkv"])
def test_every_way_to_write_them_is_whole(flags: str, sample: str, tmp_path: Path) -> None:
    made = ffmpeg_says.remux(SAMPLES / sample, tmp_path / "made.mp4", "-map", "0", "-movflags", flags)
    assert examine(made).damages == ()


def test_a_fragment_that_is_lost(whole: Path, tmp_path: Path) -> None:
    assert examine(whole).damages == ()
    pieces = parts(whole)
    places = [place for place, piece in enumerate(pieces) if piece[4:8] == b"moof"]
    for place in places[1:-1]:
        assert examined(pieces[:place] + pieces[place + 2 :], tmp_path)
    # the last one is missed by the index at the end alone
    last = places[-1]
    assert any("index" in damage.what for damage in examined(pieces[:last] + pieces[last + 2 :], tmp_path))


def test_a_track_that_the_head_does_not_have(whole: Path, tmp_path: Path) -> None:
    """FFmpeg passes over all of its samples without a word."""
    pieces = parts(whole)
    place = next(number for number, piece in enumerate(pieces) if piece[4:8] == b"moov")
    moov = bytearray(pieces[place])
    moov[moov.rindex(b"tkhd") + 4 + 12] ^= 0x80
    pieces[place] = bytes(moov)
    assert any("is not in its head" in damage.what for damage in examined(pieces, tmp_path))


@pytest.mark.parametrize(("bit", "is_seen"), [(0, False), (1, False), (13, True), (20, True)])
def test_a_clock_with_a_turned_bit(bit: int, *, is_seen: bool, whole: Path, tmp_path: Path) -> None:
    """Of 12,800 ticks a second; by one more or less nobody sees anything."""
    data = bytearray(whole.read_bytes())
    place = data.index(b"mdhd") + 16
    clock = struct.unpack_from(">I", data, place)[0]
    struct.pack_into(">I", data, place, clock ^ 1 << bit)
    found = examined([bytes(data)], tmp_path)
    assert any("in the same fragments track" in damage.what for damage in found) == is_seen, found


def test_a_fragment_without_its_time(whole: Path, tmp_path: Path) -> None:
    """FFmpeg then goes on where it likes."""
    pieces = parts(whole)
    place = [number for number, piece in enumerate(pieces) if piece[4:8] == b"moof"][2]
    pieces[place] = pieces[place].replace(b"tfdt", b"pfdt", 1)
    assert any("states no time" in damage.what for damage in examined(pieces, tmp_path))


def moved(pieces: list[bytes], change: int) -> list[bytes]:
    """`pieces` with the first sample of the third fragment shown `change` ticks later."""
    place = [number for number, piece in enumerate(pieces) if piece[4:8] == b"moof"][2]
    moof = bytearray(pieces[place])
    run = moof.index(b"trun") + 4
    flags = struct.unpack_from(">I", moof, run)[0]
    assert flags & 0xF00 == 0xA00  # size and time of each sample
    at = run + 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4) + 4
    struct.pack_into(">I", moof, at, struct.unpack_from(">I", moof, at)[0] + change)
    return [*pieces[:place], bytes(moof), *pieces[place + 1 :]]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (1 << 30, "long before or after they are decoded"),
        (512, "shown unevenly"),  # where another one is shown
        (4 * 512, "shown unevenly"),
        (7, "shown unevenly"),  # in a gap
    ],
)
def test_a_sample_that_is_shown_at_another_time(change: int, said: str, whole: Path, tmp_path: Path) -> None:
    found = examined(moved(parts(whole), change), tmp_path)
    assert any(said in damage.what for damage in found), found


def test_fragments_exchanged(whole: Path, tmp_path: Path) -> None:
    pieces = parts(whole)
    (first, second, *_) = [place for place, piece in enumerate(pieces) if piece[4:8] == b"moof"]
    swapped = pieces[:first] + pieces[second : second + 2] + pieces[first:second] + pieces[second + 2 :]
    assert any("follows fragment" in damage.what for damage in examined(swapped, tmp_path))


@pytest.mark.parametrize(
    ("kind", "at", "change", "said"),
    [
        (b"mfhd", 4, 5, "follows fragment"),
        (b"tfhd", 4, 7, "which there is not"),
        (b"tfdt", 8, 1 << 20, "goes on at tick"),
        (b"trun", 16, 64, "of media and states"),
        (b"trun", 8, 2, "places its samples beside its media"),
        (b"tfhd", 0, 0x70FA - 0x38, "does not hold what its flags say"),
        (b"trun", 0, 1 << 12, "does not hold what its flags say"),
        (b"mdat", -8, 0, ""),
    ],
)
def test_numbers(kind: bytes, at: int, change: int, said: str, whole: Path, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    place = data.index(kind, data.index(b"moof", data.index(b"mdat"))) + 4 + at
    old = struct.unpack_from(">I", data, place)[0]
    struct.pack_into(">I", data, place, old + change)
    found = examined([bytes(data)], tmp_path)
    assert any(said in damage.what for damage in found) if change else not found


def test_a_first_fragment_without_a_name(whole: Path, tmp_path: Path) -> None:
    """Then none is found, and the head alone tells that there should be some."""
    data = whole.read_bytes()
    place = data.index(b"moof")
    found = examined([data[:place], b"\0\0\x70\xfa", data[place + 4 :]], tmp_path)
    assert any("are no boxes" in damage.what for damage in found), found


def test_a_name_that_is_none(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    place = data.index(b"moof", data.index(b"mdat"))
    found = examined([data[:place], b"moog", data[place + 4 :]], tmp_path)
    assert any("is no box" in damage.what for damage in found)


@pytest.mark.parametrize("fragment", [0, 1])
def test_a_name_that_is_none_and_a_length_beyond_the_file(whole: Path, tmp_path: Path, fragment: int) -> None:
    """Text, say, over the head of a fragment: all from there on is gone."""
    data = whole.read_bytes()
    place = -1
    for _ in range(fragment + 1):
        place = data.index(b"moof", place + 1)
    found = examined([data[: place - 4], b"6=4_1_<W", data[place + 4 :]], tmp_path)
    assert any("the last fragment is cut: the last box (1_<W) ends" in damage.what for damage in found)


def test_samples_without_a_byte_take_no_memory(whole: Path, tmp_path: Path) -> None:
    """A thousand runs of a million samples each, of the size and length that the head states: in a few kilobytes."""

    def box(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", 8 + len(body)) + kind + body

    run = box(b"trun", struct.pack(">II", 0, 1 << 20))
    head = box(b"tfhd", struct.pack(">II", 0, 1))
    last = box(b"moof", box(b"mfhd", struct.pack(">II", 0, 9)) + box(b"traf", head + 1000 * run))
    tracemalloc.start()
    examined([whole.read_bytes(), last, box(b"mdat", b"")], tmp_path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 400 << 20
