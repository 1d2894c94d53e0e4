"""Arrays of an export against numpy: whatever index is given, the same comes back, or an IndexError."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, basic_indices, integer_array_indices

from vidrain.export.formats import format_named
from vidrain.export.reader import FrameArray
from vidrain.export.space import Array
from vidrain.export.stores import Shard, ToRead, ToWrite
from vidrain.video.decode import open_video

SHAPE, PER_SHARD = (7, 4, 5, 3), 3
WHOLE = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
MIXED = st.tuples(
    st.one_of(
        st.integers(-7, 6),
        st.lists(st.integers(-7, 6), max_size=4),
        arrays(np.int64, (2, 2), elements=st.integers(-7, 6)),
        arrays(np.bool_, 7),
        st.just(...),
        st.slices(7),
    ),
    st.one_of(st.integers(-4, 3), st.lists(st.integers(-4, 3), min_size=2, max_size=2), st.slices(4)),
    st.one_of(st.integers(-3, 2), st.lists(st.integers(-3, 2), min_size=2, max_size=2), st.just(...)),
)


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> FrameArray:
    """The array, as npz, in shards of three frames; the last holds one."""
    folder, array = tmp_path_factory.mktemp("export"), Array("rain", "rain", SHAPE[1:], "int16", 8)
    info = open_video(samples / "odd.mp4").info
    due = ToWrite(folder=folder, arrays=(array,), per_shard=PER_SHARD, frames=len(WHOLE), info=info, tags={})
    made = format_named("npz")
    writer = made.writer(due)
    for first in range(0, len(WHOLE), PER_SHARD):
        block = WHOLE[first : first + PER_SHARD]
        writer.write(Shard(first, tuple(range(first, first + len(block))), {"rain": block}))
    held = ToRead(folder=folder, arrays=(array,), per_shard=PER_SHARD, numbers=range(len(WHOLE)))
    return FrameArray(made.reader(held), array, len(WHOLE), PER_SHARD, folder)


@given(key=st.one_of(basic_indices(SHAPE), integer_array_indices(SHAPE), MIXED))
def test_every_index_gives_what_numpy_gives(key: Any, frames: FrameArray) -> None:
    try:
        due = WHOLE[key]
    except IndexError:  # shapes that do not go together, two ellipses
        with pytest.raises(IndexError):
            frames[key]
        return
    found = frames[key]
    assert np.shape(found) == np.shape(due)
    assert np.array_equal(found, due)
    assert found.dtype == due.dtype


@pytest.mark.parametrize(
    "key", [(..., 0), [[0, 1], [2, 3]], (..., 1, 2, 3, 0), ([1, 1], slice(None), 0), (2, slice(None), [0, 1]), (), ...]
)
def test_what_is_easily_mistaken(key: Any, frames: FrameArray) -> None:
    assert np.array_equal(frames[key], WHOLE[key])


@pytest.mark.parametrize("key", [None, (None, 0), (0, None), True, (0, 0, 0, 0, 0), (..., 0, ...), 7, -8, 0.5, "x"])
def test_what_is_no_index(key: Any, frames: FrameArray) -> None:
    with pytest.raises(IndexError):
        frames[key]
