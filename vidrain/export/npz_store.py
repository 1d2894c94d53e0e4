"""Arrays as compressed npz: a file per shard that holds every array. Needs numpy alone."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from vidrain.export.space import Samples
from vidrain.export.stores import Shard, Times, ToRead, ToWrite, as_samples, shard_name

_SHARDS = "data"


class NpzWriter:
    """`data/FIRST.npz`."""

    def __init__(self, due: ToWrite) -> None:
        self._due = due

    def write(self, shard: Shard) -> list[Path]:
        """A shard is one file."""
        path = _path(self._due.folder, shard.first)
        path.parent.mkdir(exist_ok=True)
        with path.open("wb") as file:
            np.savez_compressed(file, **shard.blocks)  # type: ignore[arg-type]
        return [path]

    def finish(self, times: Times) -> None:
        """Nothing is left to do."""


class NpzReader:
    """Reads it."""

    def __init__(self, held: ToRead) -> None:
        self._held = held
        # npz takes a member whole, and frames are mostly read in a row: a shard of all arrays
        self._block = lru_cache(maxsize=len(held.arrays))(self._load)

    def read(self, name: str, first: int, stop: int) -> Samples:
        """From its shard."""
        begin = first - first % self._held.per_shard
        return self._block(name, begin)[first - begin : stop - begin].copy()

    def _load(self, name: str, begin: int) -> Samples:
        # Opened here: numpy leaves a file open that turns out to be no archive.
        with _path(self._held.folder, begin).open("rb") as file, np.load(file, allow_pickle=False) as held:
            return as_samples(held[name])


def _path(folder: Path, first: int) -> Path:
    return folder / _SHARDS / f"{shard_name(first)}.npz"
