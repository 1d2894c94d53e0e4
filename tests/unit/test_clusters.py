"""Matroska with one number changed: a block of no track, a cluster out of time, an index that points nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ffmpeg_says
from vidrain.types import Damage
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
CLUSTER, BLOCK, CUES = b"\x1f\x43\xb6\x75", b"\xa3", b"\x1c\x53\xbb\x6b"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    target = tmp_path_factory.mktemp("clusters") / "whole.mkv"
    options = ("-c:v", "libx264", "-g", "6", "-c:a", "copy", "-cluster_time_limit", "200")
    ffmpeg_says.quietly("-i", SAMPLES / "full_range.mp4", *options, target)
    assert examine(target).damages == ()
    return target.read_bytes()


def examined(data: bytes, tmp_path: Path) -> tuple[Damage, ...]:
    path = tmp_path / "hurt.mkv"
    path.write_bytes(data)
    return examine(path).damages


def replaced(data: bytes, place: int, new: bytes) -> bytes:
    return data[:place] + new + data[place + len(new) :]


def block_in(data: bytes, cluster: int) -> tuple[int, int]:
    """(where the first block of a cluster begins, where its track number stands)."""
    place = data.index(BLOCK, cluster + 12)
    return place, place + 1 + 9 - data[place + 1].bit_length()


def test_a_block_of_no_track(whole: bytes, tmp_path: Path) -> None:
    _, track = block_in(whole, whole.index(CLUSTER))
    assert whole[track] in (0x81, 0x82)
    (damage, *_) = examined(replaced(whole, track, b"\x9f"), tmp_path)
    assert "or of a track that there is not" in damage.what


def test_a_block_that_is_none(whole: bytes, tmp_path: Path) -> None:
    place, _ = block_in(whole, whole.index(CLUSTER))
    (damage, *_) = examined(replaced(whole, place, b"\xa2"), tmp_path)
    assert "are no elements of Matroska" in damage.what


def test_an_index_that_points_nowhere(whole: bytes, tmp_path: Path) -> None:
    place = whole.index(b"\xb3", whole.rindex(CUES))  # the time of the first line
    length = whole[place + 1] & 0x7F
    (damage, *_) = examined(replaced(whole, place + 1 + length, b"\x33"), tmp_path)
    assert "entries of the index (Cues) point to no block" in damage.what


def test_a_stated_duration_far_off(whole: bytes, tmp_path: Path) -> None:
    place = whole.index(b"\x44\x89\x88") + 3
    (damage, *_) = examined(replaced(whole, place, b"\x40\xc3\x88\x00\x00\x00\x00\x00"), tmp_path)  # ten seconds
    assert "its duration is 10.000 s" in damage.what
    (damage, *_) = examined(replaced(whole, place, b"\x40\x59\x00\x00\x00\x00\x00\x00"), tmp_path)  # a tenth
    assert "its duration is 0.100 s" in damage.what


def test_a_cluster_out_of_time(whole: bytes, tmp_path: Path) -> None:
    """Later than all others is told by the stated duration."""
    last = whole.rindex(CLUSTER)
    place = whole.index(b"\xe7", last + 5)
    length = whole[place + 1] & 0x7F
    assert length in (1, 2)
    assert examined(replaced(whole, place + 2, b"\xff" * length), tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [
        ("-c", "copy", "-live", "1"),
        ("-c", "copy", "-cluster_time_limit", "100"),
        ("-c", "copy", "-ss", "0.5"),
        ("-c", "copy", "-t", "0.6"),
        ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus"),
    ],
)
def test_every_way_to_write_them_is_whole(arguments: tuple[str, ...], tmp_path: Path) -> None:
    for sample in ("street.mp4", "vfr.mp4"):
        ffmpeg_says.quietly("-i", SAMPLES / sample, *arguments, tmp_path / "made.mkv")
        assert examine(tmp_path / "made.mkv").damages == ()


@pytest.mark.fault(11)
@pytest.mark.parametrize("kind", [0x23, 0x12, 1, 3])
def test_a_track_of_another_kind(kind: int, whole: bytes, tmp_path: Path) -> None:
    """FFmpeg then leaves its sound out without a word."""
    place = whole.index(b"\x83\x81\x02", whole.index(b"\x16\x54\xae\x6b"))
    hurt = bytearray(replaced(whole, place + 2, bytes([kind])))
    tracks = hurt.index(b"\x16\x54\xae\x6b")
    checksum = hurt.index(b"\xbf\x84", tracks)
    hurt[checksum] = 0xEC  # no checksum, as in files of other muxers
    found = examined(bytes(hurt), tmp_path)
    assert any("a known kind" in damage.what for damage in found), found
