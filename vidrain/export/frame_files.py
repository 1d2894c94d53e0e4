"""Arrays as a file per frame, NAME/FRAME, whatever the format of the files is: it brings a function each way.

writer = FrameWriter(due, ".png", write_png)
reader = FrameReader(held, ".png", read_png)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidrain.export.space import Array, Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, array_named


@dataclass(frozen=True)
class FrameWriter:
    """put: samples of one frame of an array into a file."""

    due: ToWrite
    suffix: str
    put: Callable[[Path, Array, Samples], None]

    def write(self, shard: Shard) -> list[Path]:
        """A file per frame and array."""
        written = []
        for name, block in shard.blocks.items():
            (self.due.folder / name).mkdir(exist_ok=True)
            array = array_named(self.due.arrays, name)
            for number, samples in zip(shard.numbers, block, strict=True):
                path = _path(self.due.folder, name, number, self.suffix)
                self.put(path, array, samples)
                written.append(path)
        return written

    def finish(self, times: Times) -> None:
        """Nothing is left to do."""


@dataclass(frozen=True)
class FrameReader:
    """get: samples of one frame of an array out of a file."""

    held: ToRead
    suffix: str
    get: Callable[[Path, Array], Samples]

    def read(self, name: str, first: int, stop: int) -> Samples:
        """File by file."""
        array = array_named(self.held.arrays, name)
        found = np.empty((stop - first, *array.shape), array.dtype)
        for place in range(first, stop):
            number = self.held.numbers[place]
            found[place - first] = self.get(_path(self.held.folder, name, number, self.suffix), array)
        return found


def _path(folder: Path, name: str, number: int, suffix: str) -> Path:
    return folder / name / f"{number:08d}{suffix}"
