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
