"""Arrays of an export against numpy: whatever index is given, the same comes back, or an IndexError."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays, basic_indices, integer_array_indices

from tests import ffmpeg_says
from vidrain.errors import InputError
from vidrain.export.formats import format_named
from vidrain.export.names import FormatName
from vidrain.export.plan import ExportOptions
from vidrain.export.reader import FrameArray
from vidrain.export.run import export_clip
from vidrain.export.space import Array, Samples, Space
from vidrain.export.stores import Shard, Times, ToRead, ToWrite
from vidrain.job import CleanOptions
from vidrain.video import decode
from vidrain.video.decode import Video, open_video

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


@dataclass
class Counted:
    """Counts calls of what it stands in front of."""

    made: Callable[..., Any]
    calls: int = 0

    def instead(self) -> Callable[..., Any]:
        def call(*values: Any, **named: Any) -> Any:
            self.calls += 1
            return self.made(*values, **named)

        return call


def nine_arrays(form: FormatName, folder: Path, source: Path) -> tuple[dict[str, FrameArray], dict[str, Samples]]:
    """The planes of three layers, seven frames in shards of three, as they are read and as they were written."""
    video = open_video(source)
    planes = [frame.planes for frame in islice(video.frames(), 7)]
    held = Space("yuv", video.info).arrays(("observed", "background", "rain"))
    whole = {array.name: np.stack([p[i % 3] for p in planes]).astype(array.dtype) for i, array in enumerate(held)}
    writer = format_named(form).writer(
        ToWrite(folder=folder, arrays=held, per_shard=PER_SHARD, frames=7, info=video.info, tags={})
    )
    for first in range(0, 7, PER_SHARD):
        numbers = tuple(range(first, min(first + PER_SHARD, 7)))
        writer.write(Shard(first, numbers, {name: block[first : first + PER_SHARD] for name, block in whole.items()}))
    writer.finish(Times(range(7), [1] * 7, Fraction(1, 25)))
    reader = format_named(form).reader(ToRead(folder=folder, arrays=held, per_shard=PER_SHARD, numbers=range(7)))
    return {array.name: FrameArray(reader, array, 7, PER_SHARD, folder) for array in held}, whole


@pytest.mark.parametrize(
    ("form", "owner", "name", "due"),
    [("npz", np, "load", 9 * 3), ("hdf5", h5py, "File", 9 * 3), ("ffv1", Video, "_numbered", 3 * 3)],
)
def test_reading_in_order_opens_a_shard_once(
    form: FormatName, owner: Any, name: str, due: int, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Arrays side by side, as the docs do it; of a video once for all planes of a layer."""
    arrays, whole = nine_arrays(form, tmp_path, samples / "odd.mp4")
    counted = Counted(getattr(owner, name))
    monkeypatch.setattr(owner, name, counted.instead())
    for place, parts in enumerate(zip(*arrays.values(), strict=True)):
        assert all(np.array_equal(part, block[place]) for part, block in zip(parts, whole.values(), strict=True))
        assert all(part.base is None for part in parts), "a frame that is kept keeps its shard"
    assert (place, counted.calls) == (6, due)


def test_frames_by_their_numbers_unpack_an_archive_once(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    arrays, whole = nine_arrays("npz", tmp_path, samples / "odd.mp4")
    counted = Counted(np.load)
    monkeypatch.setattr(np, "load", counted.instead())
    for place in range(7):
        assert all(np.array_equal(array[place], whole[name][place]) for name, array in arrays.items())
    assert counted.calls == 9 * 3


def test_frames_of_a_video_here_and_there_are_those_in_order_and_open_it_once(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By several threads, too: what one seeks, another would find."""
    arrays, whole = nine_arrays("ffv1", tmp_path, samples / "odd.mp4")
    counted = Counted(decode.open_input)
    monkeypatch.setattr(decode, "open_input", counted.instead())
    asked = [(name, place) for place in (5, 1, 6, 3, 2, 6, 1, 4) for name in ("observed.y", "rain.v", "background.u")]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda each: arrays[each[0]][each[1]], asked * 5))
    for (name, place), frame in zip(asked * 5, found, strict=True):
        assert np.array_equal(frame, whole[name][place]), (name, place)
    assert counted.calls == 3
    assert len(open_video(tmp_path / "rain.mp4").index.keys) == 7, "else one frame would be decoded after others"


CHILDREN = """
import os, sys, numpy as np, vidrain
rain = vidrain.open_export(sys.argv[1])["rain"]
whole, places = np.asarray(rain), np.random.default_rng(0).integers(1, len(rain), 60)
rain[3]
child = os.fork()
same = all(np.array_equal(rain[int(place)], whole[place]) for place in (places if child else places[::-1]))
if not child:
    os._exit(not same)
sys.exit(bool(os.waitpid(child, 0)[1]) or not same)
"""


def test_a_child_opens_a_video_of_its_own(samples: Path, tmp_path: Path) -> None:
    """As loaders of training data do: both would move one place in the file that they share."""
    options = ExportOptions(layers=("rain",), format="ffv1", clean=CleanOptions(end="8"))
    export_clip(samples / "street.mp4", tmp_path / "out", options=options)
    script = [sys.executable, "-c", CHILDREN, tmp_path / "out"]
    ran = subprocess.run(script, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr


def test_a_video_that_lacks_frames_is_refused(samples: Path, tmp_path: Path) -> None:
    """Those behind them would pass for them."""
    arrays, _ = nine_arrays("ffv1", tmp_path, samples / "odd.mp4")
    short = ffmpeg_says.remux(tmp_path / "rain.mp4", tmp_path / "short.mp4", "-frames:v", "5")
    short.replace(tmp_path / "rain.mp4")
    assert len(list(arrays["observed.y"])) == 7
    for key in (0, slice(0, 3), slice(3, 6), 6):
        with pytest.raises(InputError, match="holds 5 of 7 frames"):
            arrays["rain.y"][key]


def test_shards_of_nothing_but_zeros_are_files_too(tmp_path: Path, samples: Path) -> None:
    """So that zeros of a dry clip are told from those that Zarr gives for a file that is gone."""
    array, info = Array("rain", "rain", SHAPE[1:], "int16", 8), open_video(samples / "odd.mp4").info
    due = ToWrite(folder=tmp_path, arrays=(array,), per_shard=PER_SHARD, frames=7, info=info, tags={})
    writer = format_named("zarr").writer(due)
    for first in range(0, 7, PER_SHARD):
        numbers = tuple(range(first, min(first + PER_SHARD, 7)))
        files = writer.write(Shard(first, numbers, {"rain": np.zeros((len(numbers), *SHAPE[1:]), np.int16)}))
        assert [file.is_file() for file in files] == [True]
    held = ToRead(folder=tmp_path, arrays=(array,), per_shard=PER_SHARD, numbers=range(7))
    rain = FrameArray(format_named("zarr").reader(held), array, 7, PER_SHARD, tmp_path)
    assert not rain[:].any()
    files[0].unlink()
    assert not rain[:6].any()
    with pytest.raises(InputError, match="rain, frames 6 to 6 cannot be read"):
        rain[6]


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
