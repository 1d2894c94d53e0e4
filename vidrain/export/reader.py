"""open_export(): a finished export as arrays that are read when they are indexed, with the frame table beside them.

export = vidrain.open_export("clip.export")
o, b, r = (export[layer][0] for layer in ("observed", "background", "rain"))
assert (o == b + r).all()
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrain.errors import InputError, UsageError
from vidrain.export.formats import format_named
from vidrain.export.plan import COLUMNS, MANIFEST, SCHEMA, TABLE
from vidrain.export.space import Array, Samples
from vidrain.export.stores import Reader, ToRead
from vidrain.tables import read_csv

_NEEDED = ("arrays", "frames", "frames_per_shard", "format")  # of the manifest


class FrameArray(Sequence[Samples]):
    """One array of an export, [T, ...]; indexed along time as numpy would, read from the disk then and there.

    InputError where a file of it is damaged or gone.
    """

    def __init__(self, reader: Reader, array: Array, frames: int, per_shard: int, folder: Path) -> None:
        self._reader, self._array, self._frames, self._per_shard = reader, array, frames, per_shard
        self._folder = folder

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
        """`array[7]`, `array[3:9]`, `array[[0, 5]]`, `array[3:9, :100, :100, 0]`, `array[..., 0]`: as numpy would.

        IndexError outside, and for what would add an axis or choose among all frames' samples at once.
        """
        first, rest = _along_time(key, len(self.shape))
        places = np.arange(self._frames)[first]
        read, among = np.unique(places, return_inverse=True)
        blocks = [self._run(start, stop) for start, stop in _runs(read, self._per_shard)]
        found = np.concatenate(blocks) if blocks else np.empty((0, *self._array.shape), self.dtype)
        if isinstance(first, slice):  # which numpy, beside other kinds of index, does not treat as a list of places
            there: Any = slice(None, None, -1 if (first.step or 1) < 0 else 1)
        else:
            there = among.reshape(places.shape) if places.ndim else 0
        return found[(there, *rest)]

    def __iter__(self) -> Iterator[Samples]:
        """Frame by frame, read a shard at a time: those of all arrays together are as large as one may be."""
        for start in range(0, self._frames, self._per_shard):
            for frame in self._run(start, min(start + self._per_shard, self._frames)):
                yield frame.copy()  # whoever keeps one does not keep its shard

    def __array__(self, dtype: npt.DTypeLike | None = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All of it, in memory."""
        whole: npt.NDArray[Any] = self[:]
        return whole if dtype is None else whole.astype(dtype)

    def _run(self, start: int, stop: int) -> Samples:
        with _readable(self._folder, f"{self._array.name}, frames {start} to {stop - 1}"):
            return self._reader.read(self._array.name, start, stop)


@contextmanager
def _readable(folder: Path, what: str) -> Iterator[None]:
    """InputError in place of whatever the library of a format says of a file that is no longer what was written."""
    try:
        yield
    except (MemoryError, UsageError):  # the latter: a library that is not installed
        raise
    except Exception as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"{folder}: {what} cannot be read ({why}); export the clip again, to another folder"
        ) from error


def _along_time(key: Any, axes: int) -> tuple[Any, tuple[Any, ...]]:
    """The index along time, and those of the other axes, of which an ellipsis may stand for several or none."""
    parts = key if isinstance(key, tuple) else (key,)
    if any(part is None or isinstance(part, bool | np.bool_) for part in parts):
        raise IndexError("an array of an export takes no new axes; index the result instead")
    if not parts or parts[0] is not Ellipsis:
        return (parts[0], parts[1:]) if parts else (slice(None), ())
    if sum(map(_axes_of, parts[1:])) < axes:
        return slice(None), parts
    return _along_time(parts[1:], axes)


def _axes_of(index: Any) -> int:
    """How many axes an index uses up: a mask may take several."""
    found = np.asarray(index) if isinstance(index, list | np.ndarray) else None
    return found.ndim if found is not None and found.dtype == np.bool_ else 1


def _runs(places: npt.NDArray[np.integer[Any]], per_shard: int) -> Iterator[tuple[int, int]]:
    """Places, which rise, as ranges that lie in one shard each."""
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
        with _readable(self.folder, f"{TABLE}.csv"):
            found = read_csv(self.folder / f"{TABLE}.csv", COLUMNS)
        return {name: np.asarray(values) for name, values in found.items()}

    def position(self, frame: int) -> int:
        """Where the source's frame number `frame` lies in the arrays; KeyError where it does not."""
        numbers = self.table["frame"]
        place = int(np.searchsorted(numbers, frame))
        if place == len(numbers) or numbers[place] != frame:
            raise KeyError(f"{self.folder}: does not hold frame {frame}")
        return place

    @cached_property
    def _arrays(self) -> dict[str, FrameArray]:
        facts, numbers = self.manifest, self.table["frame"].tolist()
        with _readable(self.folder, MANIFEST):
            arrays = tuple(
                Array(each["name"], each["layer"], tuple(each["shape_of_frame"]), each["dtype"], each["depth"])
                for each in facts["arrays"]
            )
            per_shard, frames = int(facts["frames_per_shard"]), int(facts["frames"])
            if per_shard < 1 or frames != len(numbers):
                raise ValueError(f"{frames} frames in shards of {per_shard}, {len(numbers)} in {TABLE}.csv")
        held = ToRead(folder=self.folder, arrays=arrays, per_shard=per_shard, numbers=numbers)
        with _readable(self.folder, "its arrays"):
            reader = format_named(facts["format"]).reader(held)
        return {array.name: FrameArray(reader, array, frames, per_shard, self.folder) for array in arrays}

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
        if not isinstance(manifest, dict):
            raise ValueError("is no object")
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"{folder}: is no finished export ({MANIFEST} cannot be read); make one with vidrain export, or give the "
            "same command again to finish one"
        ) from error
    if manifest.get("v") != SCHEMA:
        raise InputError(f"{folder}: has schema {manifest.get('v')}, this vidrain reads {SCHEMA}; export it again")
    if lacking := [name for name in _NEEDED if name not in manifest]:
        raise InputError(f"{folder}: {MANIFEST} lacks {', '.join(lacking)}; export the clip again, to another folder")
    return Export(folder, manifest)
