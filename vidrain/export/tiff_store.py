"""Arrays as BigTIFF: a page per frame, a file per shard, zlib; rain as signed 16-bit. The only door to tifffile."""

from pathlib import Path

import tifffile

from vidrain.export.space import Samples
from vidrain.export.stores import Shard, Shelf, Times, array_named, as_samples, shard_name


class TiffStore:
    """`NAME/FIRST.tif`."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def write(self, shard: Shard) -> list[Path]:
        """A shard is one file of every array."""
        written = []
        for name, block in shard.blocks.items():
            path = self._path(name, shard.first)
            path.parent.mkdir(exist_ok=True)
            array = array_named(self._shelf, name)
            tifffile.imwrite(
                path,
                block,
                bigtiff=True,
                photometric="rgb" if len(array.shape) == 3 else "minisblack",
                compression="zlib",
                metadata={"axes": array.axes.upper().replace("C", "S")},
            )
            written.append(path)
        return written

    def finish(self, times: Times) -> None:
        """Nothing is left to do."""

    def read(self, name: str, first: int, stop: int) -> Samples:
        """Pages of its shard."""
        begin = first - first % self._shelf.per_shard
        shape = array_named(self._shelf, name).shape
        pages = tifffile.imread(self._path(name, begin), key=range(first - begin, stop - begin))
        return as_samples(pages.reshape(stop - first, *shape))

    def _path(self, name: str, first: int) -> Path:
        return self._shelf.folder / name / f"{shard_name(first)}.tif"
