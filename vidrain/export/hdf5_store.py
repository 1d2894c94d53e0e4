"""Arrays as HDF5: a chunk per frame, a file per shard, one file in front that shows them whole. The only door to h5py.

A file per shard, because HDF5 files do not survive a kill while they are open; made in memory, because the library ends
the process where a disk is full.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import h5py

from vidrain.export.space import Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, as_samples, shard_name
from vidrain.outputs import sync

_FRONT = "data.h5"
_SHARDS = "data"


class Hdf5Writer:
    """`data.h5` (virtual data sets) and `data/`; gzip after a byte shuffle."""

    def __init__(self, due: ToWrite) -> None:
        self._due = due

    def write(self, shard: Shard) -> list[Path]:
        """A shard is one file for all arrays."""
        path = _path(self._due.folder, shard.first)
        path.parent.mkdir(exist_ok=True)
        with _made(path) as file:
            for name, block in shard.blocks.items():
                file.create_dataset(
                    name, data=block, chunks=(1, *block.shape[1:]), compression="gzip", compression_opts=1, shuffle=True
                )
        return [path]

    def finish(self, times: Times) -> None:
        """Write the file in front."""
        due, count = self._due, len(times.pts)
        with _made(due.folder / _FRONT) as front:
            for array in due.arrays:
                whole = h5py.VirtualLayout((count, *array.shape), array.dtype)
                for first in range(0, count, due.per_shard):
                    stop = min(first + due.per_shard, count)
                    where = f"{_SHARDS}/{_path(due.folder, first).name}"
                    whole[first:stop] = h5py.VirtualSource(where, array.name, (stop - first, *array.shape))
                data = front.create_virtual_dataset(array.name, whole)
                for axis, letter in enumerate(array.axes):
                    data.dims[axis].label = letter
        sync(due.folder / _FRONT)


class Hdf5Reader:
    """Reads its shards."""

    def __init__(self, held: ToRead) -> None:
        self._held = held

    def read(self, name: str, first: int, stop: int) -> Samples:
        """From its shard."""
        begin = first - first % self._held.per_shard
        with h5py.File(_path(self._held.folder, begin), "r") as file:
            return as_samples(file[name][first - begin : stop - begin])


def _path(folder: Path, first: int) -> Path:
    return folder / _SHARDS / f"{shard_name(first)}.h5"


@contextmanager
def _made(path: Path) -> Iterator[h5py.File]:
    """A file that is written at once when it is complete."""
    memory = BytesIO()
    with h5py.File(memory, "w") as file:
        yield file
    path.write_bytes(memory.getbuffer())
