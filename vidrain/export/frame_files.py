"""Arrays as a file per frame, NAME/FRAME, whatever the format of the files is: it brings two functions.

store = FrameFiles(shelf, ".png", write_png, read_png)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidrain.export.space import Array, Samples
from vidrain.export.stores import Shard, Shelf, Times, array_named


@dataclass(frozen=True)
class FrameFiles:
    """put, get: samples of one frame of an array into a file and out of it."""

    shelf: Shelf
    suffix: str
    put: Callable[[Path, Array, Samples], None]
    get: Callable[[Path, Array], Samples]

    def write(self, shard: Shard) -> list[Path]:
        """A file per frame and array."""
        written = []
        for name, block in shard.blocks.items():
            (self.shelf.folder / name).mkdir(exist_ok=True)
            array = array_named(self.shelf, name)
            for number, samples in zip(shard.numbers, block, strict=True):
                path = self._path(name, number)
                self.put(path, array, samples)
                written.append(path)
        return written

    def finish(self, times: Times) -> None:
        """Nothing is left to do."""

    def read(self, name: str, first: int, stop: int) -> Samples:
        """File by file."""
        array = array_named(self.shelf, name)
        found = np.empty((stop - first, *array.shape), array.dtype)
        for place in range(first, stop):
            found[place - first] = self.get(self._path(name, self.shelf.numbers[place]), array)
        return found

    def _path(self, name: str, number: int) -> Path:
        return self.shelf.folder / name / f"{number:08d}{self.suffix}"
