"""Arrays as BigTIFF: a page per frame, a file per shard, zlib; rain as signed 16-bit. The only door to tifffile."""

from pathlib import Path

import tifffile

from vidrain.export.space import Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, array_named, as_samples, shard_name


class TiffWriter:
    """`NAME/FIRST.tif`."""

    def __init__(self, due: ToWrite) -> None:
        self._due = due

    def write(self, shard: Shard) -> list[Path]:
        """A shard is one file of every array."""
        written = []
        for name, block in shard.blocks.items():
            path = _path(self._due.folder, name, shard.first)
            path.parent.mkdir(exist_ok=True)
            array = array_named(self._due.arrays, name)
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


class TiffReader:
    """Reads it."""

    def __init__(self, held: ToRead) -> None:
        self._held = held

    def read(self, name: str, first: int, stop: int) -> Samples:
        """Pages of its shard."""
        begin = first - first % self._held.per_shard
        shape = array_named(self._held.arrays, name).shape
        pages = tifffile.imread(_path(self._held.folder, name, begin), key=range(first - begin, stop - begin))
        return as_samples(pages.reshape(stop - first, *shape))


def _path(folder: Path, name: str, first: int) -> Path:
    return folder / name / f"{shard_name(first)}.tif"
