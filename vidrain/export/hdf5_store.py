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
from vidrain.export.stores import Shard, Shelf, Times, as_samples, shard_name

_FRONT = "data.h5"
_SHARDS = "data"


class Hdf5Store:
    """`data.h5` (virtual data sets) and `data/`; gzip after a byte shuffle."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def write(self, shard: Shard) -> list[Path]:
        """A shard is one file for all arrays."""
        path = self._path(shard.first)
        path.parent.mkdir(exist_ok=True)
        with _made(path) as file:
            for name, block in shard.blocks.items():
                file.create_dataset(
                    name, data=block, chunks=(1, *block.shape[1:]), compression="gzip", compression_opts=1, shuffle=True
                )
        return [path]

    def finish(self, times: Times) -> None:
        """Write the file in front."""
        shelf, count = self._shelf, len(times.pts)
        with _made(shelf.folder / _FRONT) as front:
            for array in shelf.arrays:
                whole = h5py.VirtualLayout((count, *array.shape), array.dtype)
                for first in range(0, count, shelf.per_shard):
                    stop = min(first + shelf.per_shard, count)
                    where = f"{_SHARDS}/{self._path(first).name}"
                    whole[first:stop] = h5py.VirtualSource(where, array.name, (stop - first, *array.shape))
                data = front.create_virtual_dataset(array.name, whole)
                for axis, letter in enumerate(array.axes):
                    data.dims[axis].label = letter

    def read(self, name: str, first: int, stop: int) -> Samples:
        """From its shard."""
        begin = first - first % self._shelf.per_shard
        with h5py.File(self._path(begin), "r") as file:
            return as_samples(file[name][first - begin : stop - begin])

    def _path(self, first: int) -> Path:
        return self._shelf.folder / _SHARDS / f"{shard_name(first)}.h5"


@contextmanager
def _made(path: Path) -> Iterator[h5py.File]:
    """A file that is written at once when it is complete."""
    memory = BytesIO()
    with h5py.File(memory, "w") as file:
        yield file
    path.write_bytes(memory.getbuffer())
