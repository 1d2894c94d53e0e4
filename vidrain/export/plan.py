"""Everything about an export that is decided before its first frame: options in, a checked plan and its facts out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vidrain import __version__
from vidrain.errors import InputError, UsageError
from vidrain.export.formats import Format, format_named
from vidrain.export.names import FORMATS, LAYERS, SPACES, FormatName, Layer, SpaceName
from vidrain.export.space import Array, Space
from vidrain.export.stores import how_stored
from vidrain.job import CleanOptions
from vidrain.part import Part, plan_part
from vidrain.provenance import hash_of_file, sha256_of
from vidrain.tables import Columns, require_parquet
from vidrain.types import VideoInfo
from vidrain.video.encoder import ffmpeg_version
from vidrain.weights import weights_of

SCHEMA = 1
MANIFEST = "manifest.json"
TABLE = "frames"
COLUMNS: Columns = {
    "frame": "int",
    "pts": "int",
    "time_base": "text",
    "seconds": "float",
    "keyframe": "bool",
    "picture_type": "text",
    "duration": "int",
    "rain": "float",
    "untouched": "bool",
    **{f"sha256_{layer}": "text" for layer in LAYERS},
}

_SHARD_BYTES = 64 << 20  # held until a shard is full: with the window of the model this bounds the memory of an export
_LONGEST_SHARD = 64  # frames
_LIBRARIES: Mapping[FormatName, tuple[str, ...]] = {
    "zarr": ("zarr", "numcodecs"),
    "hdf5": ("h5py",),
    "tiff": ("tifffile",),
    "exr": ("OpenEXR",),
    "png16": ("opencv-python-headless",),
}


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What is exported, and how. clean: the part of the video, the model and its settings, as `clean` takes them."""

    layers: tuple[Layer, ...] = LAYERS
    format: FormatName = "zarr"
    space: SpaceName = "rgb"
    clean: CleanOptions = field(default_factory=CleanOptions)


@dataclass(frozen=True, kw_only=True)
class ExportPlan:
    """A checked plan. per_shard: frames; facts: the manifest as far as it is known beforehand, without any path."""

    part: Part
    options: ExportOptions
    format: Format
    space: Space
    arrays: tuple[Array, ...]
    per_shard: int
    facts: dict[str, Any]


def plan_export(source: Path, options: ExportOptions) -> ExportPlan:
    """Decide everything about exporting `source`. Raises UsageError, InputError, ModelError."""
    _refuse_unknown(options)
    require_parquet()
    form = format_named(options.format)
    part = plan_part(source, options.clean, what="an export")
    info = part.video.info
    space = Space(options.space, info)
    arrays = space.arrays(options.layers)
    per_frame = sum(array.bytes_per_frame for array in arrays)
    per_shard = max(1, min(_LONGEST_SHARD, _SHARD_BYTES // per_frame))
    weights = weights_of(part.model, options.clean.weights)
    facts = {
        "v": SCHEMA,
        "source": {"name": source.name, "size": part.before.size, "sha256": _hash(source)},
        "made_by": part.made_by,
        "model": {"name": part.model, "weights_sha256": hash_of_file(weights)},
        "config": part.config,
        "device": part.device,
        "versions": _versions(options.format),
        "format": options.format,
        "space": space.facts(),
        "planned": [part.kept.start, part.kept.stop],
        "frames_per_shard": per_shard,
        "video": _video_facts(info),
        "arrays": [_array_facts(array, options.format) for array in arrays],
        "rain_is": "observed - background, signed; observed = background + rain in every sample",
        "table": {"files": [f"{TABLE}.csv", f"{TABLE}.parquet"], "columns": dict(COLUMNS), "what": _COLUMNS_ARE},
    }
    return ExportPlan(
        part=part, options=options, format=form, space=space, arrays=arrays, per_shard=per_shard, facts=facts
    )


def _refuse_unknown(options: ExportOptions) -> None:
    """UsageError for what no type checker saw. Each layer counts once: arrays are told apart by its name."""
    for name, given, allowed in (("format", options.format, FORMATS), ("space", options.space, SPACES)):
        if given not in allowed:
            raise UsageError(f"{name}={given!r}: no such {name}; allowed: {', '.join(allowed)}")
    layers = options.layers
    known = isinstance(layers, tuple | list) and all(layer in LAYERS for layer in layers)
    if not (layers and known and len(set(layers)) == len(layers)):
        raise UsageError(f"layers={layers!r}: allowed is a tuple of one or more of {', '.join(LAYERS)}, each once")


_COLUMNS_ARE = {
    "frame": "index in the source among the frames that are shown, from 0",
    "pts": "presentation time in ticks of time_base, as the source states it",
    "seconds": "pts * time_base",
    "duration": "ticks",
    "rain": "mean of what rain added to luma, as a share of its range",
    "untouched": "the model gave no numbers for this frame: background is observed",
    "sha256": "over the little-endian samples of a layer in C order, array after array",
}


def _array_facts(array: Array, form: FormatName) -> dict[str, Any]:
    plain = {"name": array.name, "layer": array.layer, "axes": array.axes, "shape_of_frame": list(array.shape)}
    return plain | {"dtype": array.dtype, "depth": array.depth, "stored": how_stored(form, array)}


def _video_facts(info: VideoInfo) -> dict[str, Any]:
    color = info.color
    return {
        "codec": info.codec,
        "pixel_format": info.pix_fmt,
        "width": info.width,
        "height": info.height,
        "depth": info.layout.depth,
        "time_base": str(info.time_base),
        "display_matrix": None if info.display_matrix is None else list(info.display_matrix),
        "orientation": "as stored: not turned by the display matrix",
        "sample_aspect_ratio": str(info.sample_aspect_ratio or 1),
        "color": {
            "matrix": color.matrix,
            "range": color.range,
            "primaries": color.primaries,
            "transfer": color.transfer,
        },
    }


def _versions(form: FormatName) -> dict[str, str]:
    names = ("av", "numpy", "torch", "opencv-python-headless", "pyarrow", *_LIBRARIES.get(form, ()))
    found = {name: _version(name) for name in sorted(set(names))}
    return {"vidrain": __version__, "ffmpeg": ffmpeg_version()} | found


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _hash(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read to its end ({error.strerror}); check the disk it lies on") from error
