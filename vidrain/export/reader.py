"""open_export(): a finished export as arrays that are read when they are indexed, with the frame table beside them.

export = vidrain.open_export("clip.export")
o, b, r = (export[layer][0] for layer in ("observed", "background", "rain"))
assert (o == b + r).all()
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrain.errors import InputError
from vidrain.export.formats import open_store
from vidrain.export.plan import COLUMNS, MANIFEST, SCHEMA, TABLE
from vidrain.export.space import Array, Samples
from vidrain.export.stores import Shelf, Store
from vidrain.tables import read_csv


class FrameArray(Sequence[Samples]):
    """One array of an export, [T, ...]; indexed along time as numpy would, read from the disk then and there."""

    def __init__(self, store: Store, array: Array, frames: int, per_shard: int) -> None:
        self._store, self._array, self._frames, self._per_shard = store, array, frames, per_shard

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, then the shape of one."""
        return (self._frames, *self._array.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8 or uint16; int16 for rain."""
        return np.dtype(self._array.dtype)

    @property
    def axes(self) -> str:
        """Names of the axes: `tyxc`, or `tyx` for a plane."""
        return self._array.axes

    def __len__(self) -> int:
        return self._frames

    def __repr__(self) -> str:
        return f"<{self._array.name} {self.shape} {self.dtype} {self.axes}>"

    def __getitem__(self, key: Any) -> Any:
        """`array[7]`, `array[3:9]`, `array[[0, 5]]`, `array[3:9, :100, :100, 0]`; IndexError outside."""
        first, rest = (key[0], key[1:]) if isinstance(key, tuple) else (key, ())
        places = np.arange(self._frames)[first]
        if places.ndim == 0:
            return self._run(int(places), int(places) + 1)[0][rest]
        blocks = [self._run(start, stop) for start, stop in _runs(places, self._per_shard)]
        found = np.concatenate(blocks) if blocks else np.empty((0, *self._array.shape), self.dtype)
        return found[(slice(None), *rest)]

    def __iter__(self) -> Iterator[Samples]:
        return (self._run(place, place + 1)[0] for place in range(self._frames))

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All of it, in memory."""
        whole: npt.NDArray[Any] = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def _run(self, start: int, stop: int) -> Samples:
        return self._store.read(self._array.name, start, stop)


def _runs(places: npt.NDArray[np.integer[Any]], per_shard: int) -> Iterator[tuple[int, int]]:
    """Places as ranges that lie in one shard each, in their order."""
    start = stop = -1
    for place in places.tolist():
        if place == stop and place % per_shard:
            stop += 1
            continue
        if stop > start:
            yield start, stop
        start, stop = place, place + 1
    if stop > start:
        yield start, stop


class Export(Mapping[str, FrameArray]):
    """A finished export: name of an array (`rain`, or `rain.y` in stored planes) -> array.

    manifest: how it was made; table: column -> [T] array, of the frames in order.
    """

    def __init__(self, folder: Path, manifest: dict[str, Any]) -> None:
        self.folder, self.manifest = folder, manifest

    @cached_property
    def table(self) -> dict[str, npt.NDArray[Any]]:
        """The frame table, column by column; read when first asked for."""
        return {name: np.asarray(values) for name, values in read_csv(self.folder / f"{TABLE}.csv", COLUMNS).items()}

    def position(self, frame: int) -> int:
        """Where the source's frame number `frame` lies in the arrays; KeyError where it does not."""
        numbers = self.table["frame"]
        place = int(np.searchsorted(numbers, frame))
        if place == len(numbers) or numbers[place] != frame:
            raise KeyError(f"{self.folder}: does not hold frame {frame}")
        return place

    @cached_property
    def _arrays(self) -> dict[str, FrameArray]:
        facts = self.manifest
        arrays = tuple(
            Array(each["name"], each["layer"], tuple(each["shape_of_frame"]), each["dtype"], each["depth"])
            for each in facts["arrays"]
        )
        per_shard, frames = facts["frames_per_shard"], facts["frames"]
        shelf = Shelf(self.folder, arrays, per_shard, frames, numbers=self.table["frame"].tolist())
        store = open_store(facts["format"], shelf, "r")
        return {array.name: FrameArray(store, array, frames, per_shard) for array in arrays}

    def __getitem__(self, name: str) -> FrameArray:
        return self._arrays[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


def open_export(path: str | Path) -> Export:
    """Open the folder that `vidrain export` or `vidrain.export_clip` made.

    Raises InputError for a folder that is no finished export, UsageError where the library of its format is missing.
    """
    folder = Path(path)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder}: is no finished export ({MANIFEST} cannot be read); make one with vidrain export, or give the "
            "same command again to finish one"
        ) from error
    if manifest.get("v") != SCHEMA:
        raise InputError(f"{folder}: has schema {manifest.get('v')}, this vidrain reads {SCHEMA}; export it again")
    return Export(folder, manifest)
