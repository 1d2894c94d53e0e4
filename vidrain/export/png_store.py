"""Arrays as PNG, a file per frame: 16 bits, but 8 for layers of 8 bits; rain is stored as R + 32768.

OpenCV writes them: it is here anyway.
"""

from pathlib import Path

import cv2
import numpy as np

from vidrain.errors import OutputError
from vidrain.export.space import Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, array_named, as_samples

_OFFSET = 1 << 15  # half of 16 bits: grey is no rain
_QUICK = (cv2.IMWRITE_PNG_COMPRESSION, 1)


class PngWriter:
    """`NAME/FRAME.png`."""

    def __init__(self, due: ToWrite) -> None:
        self._due = due

    def write(self, shard: Shard) -> list[Path]:
        """A file per frame and array."""
        written = []
        for name, block in shard.blocks.items():
            (self._due.folder / name).mkdir(exist_ok=True)
            for number, samples in zip(shard.numbers, block, strict=True):
                path = _path(self._due.folder, name, number)
                stored = (samples.astype(np.int32) + _OFFSET).astype(np.uint16) if block.dtype == np.int16 else samples
                done, data = cv2.imencode(
                    ".png", np.ascontiguousarray(stored[..., ::-1] if stored.ndim == 3 else stored), _QUICK
                )
                if not done:
                    raise OutputError(f"{path.name}: cannot be encoded as PNG")
                path.write_bytes(data.tobytes())
                written.append(path)
        return written

    def finish(self, times: Times) -> None:
        """Nothing is left to do."""


class PngReader:
    """Reads it."""

    def __init__(self, held: ToRead) -> None:
        self._held = held

    def read(self, name: str, first: int, stop: int) -> Samples:
        """File by file."""
        array = array_named(self._held.arrays, name)
        found = np.empty((stop - first, *array.shape), array.dtype)
        for place in range(first, stop):
            data = np.frombuffer(_path(self._held.folder, name, self._held.numbers[place]).read_bytes(), np.uint8)
            stored = as_samples(cv2.imdecode(data, cv2.IMREAD_UNCHANGED))
            stored = stored[..., ::-1] if stored.ndim == 3 else stored
            found[place - first] = stored.astype(np.int32) - _OFFSET if array.layer == "rain" else stored
        return found


def _path(folder: Path, name: str, number: int) -> Path:
    return folder / name / f"{number:08d}.png"
