"""Reads the arrays of an export by the library of its format alone, as its manifest describes them.

Knows nothing of vidrain: what a researcher without it would write.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np
import numpy.typing as npt
import OpenEXR
import pyarrow.parquet
import tifffile
import zarr

from tests import ffmpeg_says

Arrays = dict[str, npt.NDArray[Any]]


def manifest_of(folder: Path) -> dict[str, Any]:
    """The manifest of an export."""
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def table_of(folder: Path) -> dict[str, list[Any]]:
    """The frame table, from Parquet."""
    found: dict[str, list[Any]] = pyarrow.parquet.read_table(folder / "frames.parquet").to_pydict()
    return found


def arrays_of(folder: Path) -> Arrays:
    """Name -> the whole array, its values as the manifest says they follow from what is stored."""
    manifest = manifest_of(folder)
    found = {}
    for array in manifest["arrays"]:
        values = _stored(folder, manifest, array)
        offset = array["stored"]["offset"]
        assert array["stored"]["type"] == values.dtype.name
        found[array["name"]] = (values.astype(np.int32) - offset).astype(array["dtype"])
        assert found[array["name"]].shape == (manifest["frames"], *array["shape_of_frame"])
    return found


def layers_of(folder: Path) -> dict[str, list[npt.NDArray[Any]]]:
    """Layer -> its arrays: one in RGB, one for each stored plane."""
    arrays = arrays_of(folder)
    layers = {array["layer"]: [] for array in manifest_of(folder)["arrays"]}
    for array in manifest_of(folder)["arrays"]:
        layers[array["layer"]].append(arrays[array["name"]])
    return layers


def _stored(folder: Path, manifest: dict[str, Any], array: dict[str, Any]) -> npt.NDArray[Any]:
    name = array["name"]
    match manifest["format"]:
        case "zarr":
            return np.asarray(zarr.open_group(folder / "data.zarr", mode="r")[name][:])
        case "hdf5":
            with h5py.File(folder / "data.h5", "r") as file:
                return np.asarray(file[name][:])
        case "tiff":
            pages = [tifffile.imread(path) for path in sorted((folder / name).glob("*.tif"))]
            return np.concatenate([page.reshape(-1, *array["shape_of_frame"]) for page in pages])
        case "npz":
            return np.concatenate([np.load(path)[name] for path in sorted((folder / "data").glob("*.npz"))])
        case "png16":
            files = [folder / name / f"{frame:08d}.png" for frame in table_of(folder)["frame"]]
            pictures = [cv2.imread(str(file), cv2.IMREAD_UNCHANGED) for file in files]
            return np.stack([picture[..., ::-1] if picture.ndim == 3 else picture for picture in pictures])
        case "exr":
            files = [folder / name / f"{frame:08d}.exr" for frame in table_of(folder)["frame"]]
            return np.stack([_exr(file) for file in files])
        case "ffv1":
            return _of_video(folder, manifest, array)
    raise AssertionError(manifest["format"])


def _exr(path: Path) -> npt.NDArray[Any]:
    with OpenEXR.File(str(path)) as file:
        (channel,) = file.channels().values()
        return np.array(channel.pixels)


def _of_video(folder: Path, manifest: dict[str, Any], array: dict[str, Any]) -> npt.NDArray[Any]:
    """By the ffmpeg program: planes of the pixel format that the layer has, with two bits more for rain."""
    path, depth = folder / f"{array['layer']}.mp4", array["depth"] + (2 if array["layer"] == "rain" else 0)
    if manifest["space"]["name"] == "rgb" and depth == 8:  # FFV1 knows 8-bit RGB in this order alone
        raw = ffmpeg_says.quietly("-i", path, "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
        return np.frombuffer(raw, np.uint8).reshape(-1, *array["shape_of_frame"])
    family = "gbrp" if manifest["space"]["name"] == "rgb" else manifest["space"]["pixel_format"].partition("1")[0]
    pix_fmt = family if depth == 8 else f"{family}{depth}le"
    size = (manifest["video"]["width"], manifest["video"]["height"])
    frames = ffmpeg_says.planes(path, pix_fmt, size)
    if family == "gbrp" and manifest["space"]["name"] == "rgb":
        return np.stack([np.stack((red, green, blue), axis=-1) for green, blue, red in frames])
    names = [other["name"] for other in manifest["arrays"] if other["layer"] == array["layer"]]
    return np.stack([frame[names.index(array["name"])] for frame in frames])


def checksums_at(layers: dict[str, list[npt.NDArray[Any]]], place: int) -> list[str]:
    """SHA-256 of every layer of one frame: over its arrays, one after the other."""
    return [
        hashlib.sha256(b"".join(array[place].tobytes() for array in parts)).hexdigest() for parts in layers.values()
    ]
