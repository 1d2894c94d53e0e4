"""Matroska by arithmetic: cuts, files without sizes, and files made to do harm."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.broken import cut, zeroed
from vidrain.types import Structure
from vidrain.video.element import element_at
from vidrain.video.elements import examine_elements
from vidrain.video.structure import examine

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
WHOLE = SAMPLES / "cut.mkv"
CUES, CLUSTER = b"\x1c\x53\xbb\x6b", b"\x1f\x43\xb6\x75"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made for streaming: neither the segment nor its clusters say how long they are."""
    return ffmpeg_says.remux(WHOLE, tmp_path_factory.mktemp("live") / "live.mkv", "-map", "0", "-live", "1")


def test_whole_files_are_whole(live: Path) -> None:
    assert examine(WHOLE) == Structure("matroska")
    found = examine(live)
    assert found.damages == ()
    assert [note.partition(":")[0] for note in found.notes] == ["holds no index (Cues)", "states no duration"]


def test_every_cut_in_the_media_is_seen(live: Path, tmp_path: Path) -> None:
    data = WHOLE.read_bytes()
    first, cues = data.index(CLUSTER), data.rindex(CUES)
    for keep in np.random.default_rng(1).integers(first + 1, cues, 20).tolist():
        found = examine(cut(WHOLE, tmp_path / "cut.mkv", keep))
        assert found.damages
        assert all(damage.start == keep < damage.end for damage in found.damages)
    for keep in np.random.default_rng(2).integers(live.stat().st_size // 4, live.stat().st_size - 1, 20).tolist():
        assert examine(cut(live, tmp_path / "live.mkv", keep)).damages


def test_a_cut_behind_the_media_is_only_noted(tmp_path: Path) -> None:
    cues = WHOLE.read_bytes().rindex(CUES)
    found = examine(cut(WHOLE, tmp_path / "cut.mkv", cues + 10))
    assert found.damages == ()
    assert "behind the end of the file" in found.notes[0]
    assert "the segment ends" in examine(cut(WHOLE, tmp_path / "cut.mkv", cues)).damages[0].what


def test_zeros_between_clusters(tmp_path: Path) -> None:
    last = WHOLE.read_bytes().rindex(CLUSTER)
    (damage,) = examine(zeroed(WHOLE, tmp_path / "zeros.mkv", last)).damages
    assert (damage.start, damage.end) == (last, WHOLE.stat().st_size)


def test_cut_in_its_head(tmp_path: Path) -> None:
    (damage,) = examine(cut(WHOLE, tmp_path / "cut.mkv", 20)).damages
    assert "holds no segment" in damage.what


@pytest.mark.parametrize(
    ("data", "kind", "body", "end"),
    [
        (b"\xa3\x85", 0xA3, 2, 7),
        (b"\xa3\xff", 0xA3, 2, None),
        (b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff", 0x1F43B675, 12, None),
        (b"\x42\x86\x40\x02", 0x4286, 4, 6),
    ],
)
def test_numbers_of_any_length(data: bytes, kind: int, body: int, end: int | None) -> None:
    """The examples of RFC 8794, sections 4 and 5."""
    element = element_at(io.BytesIO(data), 0, len(data))
    assert element is not None
    assert (element.kind, element.body, element.end) == (kind, body, end)


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\xa3", b"\xa3\0", b"\x08\x85", b"\xa3\x01\xff"])
def test_what_is_no_element(data: bytes) -> None:
    assert element_at(io.BytesIO(data), 0, len(data)) is None


@settings(max_examples=150)
@given(st.integers(0, 80_000), st.lists(st.tuples(st.integers(0, 600), st.binary(min_size=1, max_size=9)), max_size=4))
@example(0, [(0, b"\x18\x53\x80\x67\x81\x80")])
def test_bytes_made_up_do_no_harm(end: int, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(WHOLE.read_bytes())
    for at, value in changes:
        data[at : at + len(value)] = value
    keep = bytes(data[: len(data) - end])
    examine_elements(io.BytesIO(keep), len(keep))


def test_zeros_inside_of_a_cluster(live: Path, tmp_path: Path) -> None:
    for whole in (WHOLE, live):
        middle = whole.stat().st_size // 2
        damages = examine(zeroed(whole, tmp_path / "zeros.mkv", middle, middle + 15000)).damages
        assert damages
        assert damages[0].start <= middle + 15000
        assert examine(zeroed(whole, tmp_path / "zeros.mkv", middle)).damages
