"""Where the arrays of an export lie: what a format has to write, shard by shard, and to read, frame by frame.

A shard is so many consecutive frames of every array; what was not noted in the journal is written again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, cast

from vidrain.export.names import FormatName
from vidrain.export.space import Array, Samples
from vidrain.types import VideoInfo


@dataclass(frozen=True, kw_only=True)
class ToWrite:
    """What is to lie in a folder. per_shard: frames; frames: how many there will be at most; info: of the source;
    tags: what files say of themselves."""

    folder: Path
    arrays: tuple[Array, ...]
    per_shard: int
    frames: int
    info: VideoInfo
    tags: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ToRead:
    """What lies in a folder. per_shard: frames; numbers: index in the source of every frame, in order."""

    folder: Path
    arrays: tuple[Array, ...]
    per_shard: int
    numbers: Sequence[int]


@dataclass(frozen=True)
class Shard:
    """Consecutive frames. first: place of the first in the export; numbers: their indices in the source.

    blocks: name of an array -> [n, ...] samples.
    """

    first: int
    numbers: tuple[int, ...]
    blocks: Mapping[str, Samples]


@dataclass(frozen=True)
class Times:
    """When all frames of an export are shown. pts, durations: ticks of time_base."""

    pts: Sequence[int]
    durations: Sequence[int]
    time_base: Fraction


class Writer(Protocol):
    """Writes one format."""

    def write(self, shard: Shard) -> list[Path]:
        """Store a shard, again if it was there; the files it lies in."""

    def finish(self, times: Times) -> None:
        """Once all shards are there; may be called again after an interrupt."""


class Reader(Protocol):
    """Reads one format."""

    def read(self, name: str, first: int, stop: int) -> Samples:
        """Frames [first, stop) of one shard of an array, in order. [stop - first, ...]"""


def how_stored(name: FormatName, array: Array) -> dict[str, object]:
    """Where samples of an array lie and how the numbers in the files become its values, ready for JSON."""
    offset = 0
    if array.layer == "rain" and name in ("png16", "ffv1"):
        offset = 1 << (15 if name == "png16" else array.depth + 1)
    sign = "as it is" if array.layer == "rain" else "none"
    if offset:
        sign = f"stored + {-offset}: no rain is {offset}"
    places = {
        "zarr": f"data.zarr, array {array.name}",
        "hdf5": f"data.h5, data set {array.name} (virtual: its shards lie in data/)",
        "tiff": f"{array.name}/FIRST.tif, a page per frame; FIRST counts from 0",
        "npz": f"data/FIRST.npz, array {array.name}; FIRST counts from 0",
        "png16": f"{array.name}/FRAME.png; FRAME is the index in the source",
        "exr": f"{array.name}/FRAME.exr; FRAME is the index in the source",
        "ffv1": f"{array.layer}.mp4",
    }
    return {"where": places[name], "offset": offset, "sign": sign, "type": stored_type(name, array)}


def stored_type(name: FormatName, array: Array) -> str:
    """Type of the numbers in the files."""
    if name == "exr":  # half holds integers up to 2048 exactly (IEEE 754 binary16)
        return "float16" if array.depth < 12 else "float32"
    if array.layer == "rain" and name in ("png16", "ffv1"):
        return "uint16"
    return array.dtype


def shard_name(first: int) -> str:
    """Name of the file of the shard that begins at place `first`."""
    return f"{first:08d}"


def array_named(arrays: Sequence[Array], name: str) -> Array:
    """The array of that name."""
    return next(array for array in arrays if array.name == name)


def as_samples(values: object) -> Samples:
    """What a foreign library returned, whose types say less."""
    return cast(Samples, values)
