"""One number of an MP4's index changed at a time: each is found; files that were cut without coding anew stay whole."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.broken import index_in_front
from vidrain.types import Damage
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
# MOV takes no FFV1, which odd.mp4 holds
CUT = [
    ("odd.mp4", "mp4"),
    *(
        (name, suffix)
        for name in ("vfr.mp4", "full_range.mp4", "tenbit.mp4", "street.mp4")
        for suffix in ("mp4", "mov")
    ),
]
Change = Callable[[bytearray], None]


def number(kind: bytes, at: int, change: int, *, nth: int = 0) -> Change:
    """Change the number of 32 bits that stands `at` bytes behind the name of the box `kind`."""

    def apply(data: bytearray) -> None:
        place = -1
        for _ in range(nth + 1):
            place = data.index(kind, place + 1)
        place += 4 + at
        old = struct.unpack_from(">I", data, place)[0]
        struct.pack_into(">I", data, place, (old + change) % (1 << 32))

    return apply


def zeroed(kind: bytes, at: int) -> Change:
    def apply(data: bytearray) -> None:
        place = data.index(kind) + 4 + at
        data[place : place + 4] = bytes(4)

    return apply


def renamed(kind: bytes) -> Change:
    def apply(data: bytearray) -> None:
        data[data.index(kind, data.index(b"moov"))] ^= 0x20

    return apply


def zeros_over(kind: bytes) -> Change:
    def apply(data: bytearray) -> None:
        place = data.rindex(kind) - 4
        data[place : place + 300] = bytes(300)

    return apply


def damages_of(change: Change, tmp_path: Path) -> tuple[Damage, ...]:
    data = bytearray(index_in_front(SAMPLES / "full_range.mp4", tmp_path / "whole.mp4").read_bytes())
    change(data)
    path = tmp_path / "hurt.mp4"
    path.write_bytes(data)
    return examine(path).damages


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (number(b"stsz", 8, -1), "samples by"),
        (number(b"stsz", 8, -17), "samples by"),
        (number(b"stts", 8, -4), "samples by stts"),
        (number(b"stts", 12, 1), "samples last"),
        (number(b"stts", 12, 65536), "samples last"),
        (number(b"stts", 4, 1), "stts states"),
        (number(b"ctts", 8, 2), "samples by ctts"),
        (number(b"ctts", 4, 1), "ctts states"),
        (number(b"ctts", 12, 512), "unevenly"),
        (number(b"ctts", 12, 100), "unevenly"),
        (number(b"ctts", 36, 8192), "unevenly"),  # as if the frames in between had been cut
        (number(b"stsc", 4, -1), "samples by stsc"),
        (number(b"stsc", 8, -1), "samples by stsc"),  # chunks are counted from 1
        (number(b"stsc", 12, 1), "samples by stsc"),
        (number(b"stsc", 16, 1 << 23), "of a description that there is not"),
        (number(b"stsc", 16, -1), "of a description that there is not"),
        (number(b"stco", 4, -1), "samples by stsc"),
        (number(b"stco", 8, 40), "lie over others"),
        (number(b"mdhd", 16, -5120), "by mdhd"),
        (number(b"mdhd", 12, 4096), "edit list"),
        (number(b"mdhd", 12, -12673), "of the video and all of the sound"),
        (number(b"elst", 8, -76800), "edit list"),
        (number(b"elst", 12, 65536), "edit list"),
        (number(b"elst", 4, -1, nth=1), "states no edits and holds some"),
        (zeroed(b"elst", 8), "shows nothing of it"),
        (number(b"elst", 12, -1025), "shows nothing of it"),
        (number(b"elst", 12, 32), "hides 1 frames and ends 32 ticks behind"),
        (number(b"elst", 12, -897), "897 ticks before its first frame"),
        (number(b"elst", 12, 512), "hides 1 frames and ends 512 ticks behind"),
        (number(b"elst", 12, 1 << 18, nth=1), "edit list"),
        (zeros_over(b"trak"), "are no boxes"),
        (number(b"stsz", -8, 1 << 16), "ends outside of"),
        (renamed(b"stsz"), "no table stsz"),
        (renamed(b"ctts"), "is no table"),
        (renamed(b"stbl"), "lacks its head or its tables"),
        (renamed(b"mdhd"), "lacks its head or its tables"),
        (renamed(b"trak"), "a track of the index is named"),
        (renamed(b"tkhd"), "lacks its head or its tables"),
    ],
)
def test_every_number_that_stands_twice(change: Change, said: str, tmp_path: Path) -> None:
    found = damages_of(change, tmp_path)
    assert any(said in damage.what for damage in found), found


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (number(b"elst", 24, 1 << 14), "edit list"),  # hides half of the frames
        (number(b"elst", 12, 3), "shows parts of it twice"),  # what was empty shows the beginning
        (number(b"ctts", 12, 1 << 28), "long before or after all others"),
        (number(b"mdhd", 12, 1 << 25), "frames a second"),
        (number(b"ctts", 60, 1 << 14), "are decoded when no frame is shown"),
    ],
)
def test_numbers_of_a_video_with_a_variable_rate(change: Change, said: str, tmp_path: Path) -> None:
    """It begins late: its edit list has an empty part in front."""
    options = ("-map", "0", "-c:v", "libx264", "-bf", "2", "-fps_mode", "passthrough", "-enc_time_base", "demux")
    late = ("-c:a", "copy", "-output_ts_offset", "0.434", "-movflags", "+faststart")
    whole = tmp_path / "whole.mp4"
    ffmpeg_says.quietly("-i", SAMPLES / "vfr.mp4", *options, *late, whole)
    assert examine(whole).damages == ()
    data = bytearray(whole.read_bytes())
    change(data)
    path = tmp_path / "hurt.mp4"
    path.write_bytes(data)
    found = examine(path).damages
    assert any(said in damage.what for damage in found), found


@pytest.mark.parametrize("begins", [0, 1])
def test_an_edit_that_begins_before_the_first_frame(begins: int, tmp_path: Path) -> None:
    """At zero it may be the habit of a muxer; one tick later it is none."""
    options = ("-c:v", "libx264", "-bf", "2", "-g", "6", "-fps_mode", "passthrough", "-enc_time_base", "demux")
    whole = tmp_path / "whole.mp4"
    ffmpeg_says.quietly("-i", SAMPLES / "vfr.mp4", *options, "-an", "-frames:v", "12", whole)
    assert examine(whole).damages == ()
    data = bytearray(whole.read_bytes())
    place = data.rindex(b"elst") + 4 + 24
    assert struct.unpack_from(">I", data, place)[0] > 3000
    struct.pack_into(">I", data, place, begins)
    hurt = tmp_path / "hurt.mp4"
    hurt.write_bytes(data)
    assert any("before its first frame" in damage.what for damage in examine(hurt).damages) == bool(begins)


def test_pictures_that_no_table_claims(tmp_path: Path) -> None:
    """Tables that agree with each other on three frames less."""

    def shorten(data: bytearray) -> None:
        for kind, at in ((b"stsz", 8), (b"stts", 8)):
            number(kind, at, -3)(data)
        place = data.index(b"ctts") + 4
        count = struct.unpack_from(">I", data, place + 4)[0]
        last = place + 8 + 8 * (count - 1)
        left = 3
        while left:
            taken = min(left, struct.unpack_from(">I", data, last)[0])
            struct.pack_into(">I", data, last, struct.unpack_from(">I", data, last)[0] - taken)
            left, last = left - taken, last - 8
        number(b"mdhd", 16, -3 * 512)(data)
        stsc = data.index(b"stsc") + 4
        rows = struct.unpack_from(">I", data, stsc + 4)[0]
        assert rows  # whatever the runs are, they now promise three too many
        number(b"stsc", 12 + 12 * (rows - 1), -3 if rows == 1 else 0)(data)

    assert damages_of(shorten, tmp_path)


def test_bytes_between_frames(tmp_path: Path) -> None:
    """A hole in the media is damage if it looks like pictures, not if it is empty or a box of the camera."""
    whole = index_in_front(SAMPLES / "full_range.mp4", tmp_path / "whole.mp4").read_bytes()
    media = whole.index(b"mdat") - 4
    for hole, is_damage in (
        (whole[media + 8 : media + 208], True),
        (bytes(200), False),
        (struct.pack(">I", 200) + b"free" + b"GPS " * 48, False),
    ):
        data = bytearray(whole[: media + 8] + hole + whole[media + 8 :])
        struct.pack_into(">I", data, media, struct.unpack_from(">I", data, media)[0] + len(hole))
        at = -1
        for _ in range(2):
            at = data.index(b"stco", at + 1)
            for row in range(struct.unpack_from(">I", data, at + 8)[0]):
                place = at + 12 + 4 * row
                struct.pack_into(">I", data, place, struct.unpack_from(">I", data, place)[0] + len(hole))
        path = tmp_path / "hole.mp4"
        path.write_bytes(data)
        assert bool(examine(path).damages) == is_damage


@pytest.mark.parametrize(("sample", "suffix"), CUT)
@pytest.mark.parametrize(
    "cut", [("-frames:v", "12"), ("-t", "0.5"), ("-t", "0.77"), ("-frames:v", "1"), ("-frames:v", "2")]
)
def test_what_was_cut_without_coding_anew_is_whole(
    cut: tuple[str, ...], sample: str, suffix: str, tmp_path: Path
) -> None:
    """FFmpeg leaves holes near the end then, and counts durations in two ways."""
    made = ffmpeg_says.remux(SAMPLES / sample, tmp_path / f"cut.{suffix}", "-map", "0", *cut)
    assert examine(made).damages == ()


@pytest.mark.parametrize(("sample", "suffix"), CUT)
@pytest.mark.parametrize("first", ["0.1", "0.3", "0.5"])
def test_what_was_cut_at_both_ends_is_whole(first: str, sample: str, suffix: str, tmp_path: Path) -> None:
    """An edit list hides the frames from the key frame before on."""
    made = ffmpeg_says.remux(
        SAMPLES / sample, tmp_path / f"cut.{suffix}", "-map", "0", "-t", "0.4", first=["-ss", first]
    )
    assert examine(made).damages == ()
