"""AVI by arithmetic: chunks that its index lists and the file does not hold, and the other way round."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.broken import cut, wiped
from vidrain.types import Structure
from vidrain.video.chunks import examine_chunks
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("avi") / "whole.avi"
    ffmpeg_says.quietly("-i", SAMPLES / "full_range.mp4", "-c:v", "mjpeg", "-q:v", "5", "-c:a", "mp3", target)
    return target


def places(path: Path) -> list[tuple[int, int]]:
    """(first byte, number among the chunks of the stream) of the coded pictures, as PyAV knows them."""
    with av.open(str(path)) as container:
        return [(packet.pos or 0, packet.dts or 0) for packet in container.demux(video=0) if packet.size]


@pytest.mark.parametrize("options", [("-c:v", "mjpeg"), ("-c:v", "mpeg4", "-bf", "2"), ("-c:v", "copy")])
@pytest.mark.parametrize("sample", ["full_range.mp4", "vfr.mp4", "street.mp4"])
def test_whole_files_are_whole(sample: str, options: tuple[str, ...], tmp_path: Path) -> None:
    made = tmp_path / "made.avi"
    ffmpeg_says.quietly("-i", SAMPLES / sample, *options, "-c:a", "mp3", made)
    assert examine(made) == Structure("avi")


@pytest.mark.fault(7)
def test_every_cut_is_seen(whole: Path, tmp_path: Path) -> None:
    size = whole.stat().st_size
    for keep in range(12_000, size, size // 25):
        assert examine(cut(whole, tmp_path / "cut.avi", keep)).damages


@pytest.mark.fault(9)
def test_a_frame_whose_head_is_gone_is_timed(whole: Path, tmp_path: Path) -> None:
    data = bytearray(whole.read_bytes())
    place, number = places(whole)[10]
    data[place - 8 : place] = bytes(8)
    path = tmp_path / "hurt.avi"
    path.write_bytes(data)
    timed = [damage for damage in examine(path).damages if damage.kind == "video" and damage.seconds]
    assert [damage.seconds for damage in timed] == [((Fraction(number, 25), Fraction(number + 1, 25)),)]
    assert examine(wiped(whole, tmp_path / "wiped.avi", range(10, 11))).damages == ()  # its head is whole


def without_its_head(data: bytearray) -> None:
    """The list of the second stream bears another name."""
    place = data.index(b"strl", data.index(b"strl") + 1)
    data[place : place + 4] = b"JUNK"


def with_a_broken_frame(data: bytearray) -> None:
    """Of MP3: FFmpeg drops it."""
    data[data.index(b"01wb", data.index(b"movi") + 2000) + 8] ^= 1


def with_a_stretch_twice(data: bytearray) -> None:
    """From the middle of the index on, as a copy that began anew leaves it."""
    data += data[data.rindex(b"idx1") + 100 :]


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_its_head, "are of a stream that the head does not have"),
        (with_a_broken_frame, "do not begin as MP3 does"),
        (with_a_stretch_twice, "behind the last list hold chunks"),
    ],
)
def test_sound_that_is_lost_or_doubled(
    change: Callable[[bytearray], None], said: str, whole: Path, tmp_path: Path
) -> None:
    data = bytearray(whole.read_bytes())
    change(data)
    path = tmp_path / "hurt.avi"
    path.write_bytes(data)
    found = examine(path).damages
    assert any(said in damage.what for damage in found), found


def test_sound_of_another_length(whole: Path, tmp_path: Path) -> None:
    """Another rate in the head of one MP3 frame: FFmpeg then drops it, for it is not as long as its chunk."""
    data = bytearray(whole.read_bytes())
    place = -1
    for _ in range(5):
        place = data.index(b"01wb", place + 1)
    data[place + 10] ^= 0x20
    path = tmp_path / "hurt.avi"
    path.write_bytes(data)
    assert any("are not as long as their MP3" in damage.what for damage in examine(path).damages)


def test_chunks_of_the_head_that_leave_their_list(whole: Path, tmp_path: Path) -> None:
    """FFmpeg then looks for the first picture behind them, and does not find it."""
    data = bytearray(whole.read_bytes())
    place = data.index(b"JUNK") + 4
    data[place : place + 4] = (1 << 16).to_bytes(4, "little")
    path = tmp_path / "hurt.avi"
    path.write_bytes(data)
    assert any("outside of the lists" in damage.what for damage in examine(path).damages)


def test_an_index_that_is_longer_than_the_file(whole: Path, tmp_path: Path) -> None:
    """FFmpeg leaves it alone and reads its rows as chunks: a packet of sound more."""
    data = bytearray(whole.read_bytes())
    place = data.rindex(b"idx1") + 4
    data[place + 2] ^= 2
    path = tmp_path / "hurt.avi"
    path.write_bytes(data)
    assert any("its index (idx1) ends" in damage.what for damage in examine(path).damages)


def test_what_a_camera_appends_is_no_damage(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "appended.avi"
    path.write_bytes(whole.read_bytes() + b"GPS $GPRMC,120000,A,4717.11,N,00833.91,E" * 40)
    assert examine(path).damages == ()


def test_chunks_that_are_not_in_the_index(whole: Path, tmp_path: Path) -> None:
    data = whole.read_bytes()
    index = data.rindex(b"idx1")
    rows = int.from_bytes(data[index + 4 : index + 8], "little")
    path = tmp_path / "hurt.avi"
    shorter = data[: index + 4] + (rows - 32).to_bytes(4, "little") + data[index + 8 : -32]
    size = int.from_bytes(shorter[4:8], "little") - 32
    path.write_bytes(shorter[:4] + size.to_bytes(4, "little") + shorter[8:])
    (damage,) = examine(path).damages
    assert "2 chunks are not in the index" in damage.what


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 1 << 30), st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF])), max_size=6))
def test_numbers_made_up_do_no_harm(changes: list[tuple[int, int]]) -> None:
    data = bytearray(_small())
    for place, value in changes:
        at = place % (len(data) - 4)
        data[at : at + 4] = value.to_bytes(4, "little")
    found = examine_chunks(io.BytesIO(data), len(data))
    assert all(start < end for damage in found.damages for start, end in damage.seconds)


def _small() -> bytes:
    """An AVI of two chunks."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return name + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)

    head = chunk(b"strh", b"vids" + bytes(16) + (1).to_bytes(4, "little") + (25).to_bytes(4, "little"))
    hdrl = chunk(b"LIST", b"hdrl" + chunk(b"avih", bytes(56)) + chunk(b"LIST", b"strl" + head))
    movie = chunk(b"LIST", b"movi" + chunk(b"00dc", b"abcdef") + chunk(b"00dc", b"ghij"))
    rows = b"".join(
        b"00dc" + bytes(4) + at.to_bytes(4, "little") + n.to_bytes(4, "little") for at, n in ((4, 6), (18, 4))
    )
    body = hdrl + movie + chunk(b"idx1", rows)
    return b"RIFF" + (len(body) + 4).to_bytes(4, "little") + b"AVI " + body


def test_the_small_one_is_whole() -> None:
    assert examine_chunks(io.BytesIO(_small()), len(_small())) == Structure("avi")
