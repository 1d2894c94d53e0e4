"""Arrays as Zarr version 3: a chunk per frame, shards of several, Blosc. The only door to zarr."""

from pathlib import Path

import zarr
from zarr.codecs import BloscCodec, BloscShuffle

from vidrain.export.space import Array, Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, array_named, as_samples
from vidrain.outputs import sync

_NAME = "data.zarr"
_FACTS = "zarr.json"  # of every array


class ZarrWriter:
    """`data.zarr`; has its length at once, and a file for every shard that is written, one of zeros too."""

    def __init__(self, due: ToWrite) -> None:
        self._due, self._root = due, due.folder / _NAME
        for left in self._root.rglob("*.partial"):  # by a kill: Zarr writes under such names first
            left.unlink()
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
        """A shard is one file of every array; what a kill left of it goes first: Zarr would read that."""
        files = []
        for name, block in shard.blocks.items():
            file = _path(self._root, array_named(self._due.arrays, name), shard.first // self._due.per_shard)
            file.unlink(missing_ok=True)
            # zeros too: a shard that is no file is one that is gone
            with zarr.config.set({"array.write_empty_chunks": True}):
                _array(self._group, name)[shard.first : shard.first + len(block)] = block
            files.append(file)
        return files

    def finish(self, times: Times) -> None:
        """Cut off what was never filled, because its frames did not decode."""
        for array in self._due.arrays:
            _array(self._group, array.name).resize((len(times.pts), *array.shape))
            sync(self._root / array.name / _FACTS)


class ZarrReader:
    """Reads it."""

    def __init__(self, held: ToRead) -> None:
        self._held, self._root = held, held.folder / _NAME
        self._group = zarr.open_group(str(self._root), mode="r", zarr_format=3)

    def read(self, name: str, first: int, stop: int) -> Samples:
        """From its shard, frame by frame; FileNotFoundError where that is gone, which Zarr would read as zeros."""
        file = _path(self._root, array_named(self._held.arrays, name), first // self._held.per_shard)
        if not file.exists():
            raise FileNotFoundError(f"{file.relative_to(self._root)} is gone")
        return as_samples(_array(self._group, name)[first:stop])


def _path(root: Path, array: Array, place: int) -> Path:
    """The file of a shard, whose number stands along time alone."""
    return root.joinpath(array.name, "c", str(place), *("0" for _ in array.shape))


def _array(group: zarr.Group, name: str) -> zarr.Array:  # type: ignore[type-arg]
    array = group[name]
    assert isinstance(array, zarr.Array)
    return array
