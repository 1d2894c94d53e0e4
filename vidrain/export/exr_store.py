"""Arrays as OpenEXR, a file per frame: codes as floats with their sign, not scaled. The only door to OpenEXR."""

from pathlib import Path

import numpy as np
import OpenEXR

from vidrain.export.space import Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, array_named, as_samples, stored_type


class ExrWriter:
    """`NAME/FRAME.exr`: channels R, G, B, or Y for a plane; half floats up to 11 bits, which they hold exactly."""

    def __init__(self, due: ToWrite) -> None:
        self._due = due

    def write(self, shard: Shard) -> list[Path]:
        """A file per frame and array."""
        written = []
        head = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        for name, block in shard.blocks.items():
            (self._due.folder / name).mkdir(exist_ok=True)
            channel = _channel(block.ndim - 1)
            floats = block.astype(stored_type("exr", array_named(self._due.arrays, name)))
            for number, samples in zip(shard.numbers, floats, strict=True):
                path = _path(self._due.folder, name, number)
                with OpenEXR.File(dict(head), {channel: np.ascontiguousarray(samples)}) as file:
                    _write(file, path)
                written.append(path)
        return written

    def finish(self, times: Times) -> None:
        """Nothing is left to do."""


class ExrReader:
    """Reads it."""

    def __init__(self, held: ToRead) -> None:
        self._held = held

    def read(self, name: str, first: int, stop: int) -> Samples:
        """File by file."""
        array = array_named(self._held.arrays, name)
        found = np.empty((stop - first, *array.shape), array.dtype)
        for place in range(first, stop):
            path = _path(self._held.folder, name, self._held.numbers[place])
            with OpenEXR.File(str(path)) as file:
                found[place - first] = as_samples(file.channels()[_channel(len(array.shape))].pixels)
        return found


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / name / f"{number:08d}.exr"


def _write(file: OpenEXR.File, path: Path) -> None:
    try:
        file.write(str(path))
    except RuntimeError as error:  # what its C++ knows of a full disk
        raise OSError(str(error)) from error


def _channel(dimensions: int) -> str:
    return "RGB" if dimensions == 3 else "Y"
