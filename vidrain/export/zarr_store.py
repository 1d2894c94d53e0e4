"""Arrays as Zarr version 3: a chunk per frame, shards of several, Blosc. The only door to zarr."""

from pathlib import Path

import zarr
from zarr.codecs import BloscCodec, BloscShuffle

from vidrain.export.space import Samples
from vidrain.export.stores import Mode, Shard, Shelf, Times, as_samples

_NAME = "data.zarr"


class ZarrStore:
    """`data.zarr`; grows to its length at once, chunks that are missing read as zeros."""

    def __init__(self, shelf: Shelf, mode: Mode) -> None:
        self._root = shelf.folder / _NAME
        self._group = zarr.open_group(str(self._root), mode="a" if mode == "w" else "r", zarr_format=3)
        for array in shelf.arrays if mode == "w" else ():
            if array.name not in self._group:
                self._group.create_array(
                    array.name,
                    shape=(shelf.frames, *array.shape),
                    chunks=(1, *array.shape),
                    shards=(shelf.per_shard, *array.shape),
                    dtype=array.dtype,
                    compressors=BloscCodec(cname="zstd", clevel=1, shuffle=BloscShuffle.bitshuffle),
                    dimension_names=list(array.axes),
                )
        self._shelf = shelf

    def write(self, shard: Shard) -> list[Path]:
        """A shard is one file of every array."""
        place = shard.first // self._shelf.per_shard
        for name, block in shard.blocks.items():
            self._array(name)[shard.first : shard.first + len(block)] = block
        files = [self._root.joinpath(name, "c", str(place)) for name in shard.blocks]
        return [file for folder in files for file in folder.rglob("*") if file.is_file()]

    def finish(self, times: Times) -> None:
        """Cut off what was never filled, because its frames did not decode."""
        for array in self._shelf.arrays:
            self._array(array.name).resize((len(times.pts), *array.shape))

    def read(self, name: str, first: int, stop: int) -> Samples:
        """From its shard, frame by frame."""
        return as_samples(self._array(name)[first:stop])

    def _array(self, name: str) -> zarr.Array:  # type: ignore[type-arg]
        array = self._group[name]
        assert isinstance(array, zarr.Array)
        return array
