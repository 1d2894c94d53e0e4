"""Arrays as Zarr version 3: a chunk per frame, shards of several, Blosc. The only door to zarr."""

from pathlib import Path

import zarr
from zarr.codecs import BloscCodec, BloscShuffle

from vidrain.export.space import Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, as_samples

_NAME = "data.zarr"


class ZarrWriter:
    """`data.zarr`; grows to its length at once, chunks that are missing read as zeros."""

    def __init__(self, due: ToWrite) -> None:
        self._due, self._root = due, due.folder / _NAME
        self._group = zarr.open_group(str(self._root), mode="a", zarr_format=3)
        for array in due.arrays:
            if array.name not in self._group:
                self._group.create_array(
                    array.name,
                    shape=(due.frames, *array.shape),
                    chunks=(1, *array.shape),
                    shards=(due.per_shard, *array.shape),
                    dtype=array.dtype,
                    compressors=BloscCodec(cname="zstd", clevel=1, shuffle=BloscShuffle.bitshuffle),
                    dimension_names=list(array.axes),
                )

    def write(self, shard: Shard) -> list[Path]:
        """A shard is one file of every array."""
        place = shard.first // self._due.per_shard
        for name, block in shard.blocks.items():
            _array(self._group, name)[shard.first : shard.first + len(block)] = block
        files = [self._root.joinpath(name, "c", str(place)) for name in shard.blocks]
        return [file for folder in files for file in folder.rglob("*") if file.is_file()]

    def finish(self, times: Times) -> None:
        """Cut off what was never filled, because its frames did not decode."""
        for array in self._due.arrays:
            _array(self._group, array.name).resize((len(times.pts), *array.shape))


class ZarrReader:
    """Reads it."""

    def __init__(self, held: ToRead) -> None:
        self._group = zarr.open_group(str(held.folder / _NAME), mode="r", zarr_format=3)

    def read(self, name: str, first: int, stop: int) -> Samples:
        """From its shard, frame by frame."""
        return as_samples(_array(self._group, name)[first:stop])


def _array(group: zarr.Group, name: str) -> zarr.Array:  # type: ignore[type-arg]
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array
