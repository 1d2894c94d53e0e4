"""Everything about an export that is decided before its first frame: options in, a checked plan and its facts out."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from vidrain import __version__
from vidrain.errors import UsageError
from vidrain.export.space import LAYERS, Array, Layer, Space, SpaceName
from vidrain.export.stores import FormatName, how_stored
from vidrain.job import CleanOptions
from vidrain.provenance import hash_of_file, made_by
from vidrain.span import kept_frames
from vidrain.tables import Columns
from vidrain.types import VideoInfo
from vidrain.video.decode import Video, open_video
from vidrain.video.encoder import ffmpeg_version
from vidrain.watchdog import Watchdog
from vidrain.weights import PRESETS

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
_MEANINGLESS = ("rain", "rain_preview", "compare", "archive", "pad", "keep_pts", "cfr", "encode")
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

    video: Video
    kept: range
    options: ExportOptions
    space: Space
    arrays: tuple[Array, ...]
    per_shard: int
    model: str
    made_by: str
    facts: dict[str, Any]


def plan_export(source: Path, options: ExportOptions, watchdog: Watchdog) -> ExportPlan:
    """Decide everything about exporting `source`. Raises UsageError, InputError, ModelError."""
    clean = options.clean
    refuse_meaningless(clean, "an export")
    video = watchdog.opened(lambda pulse: open_video(source, track=track_of(clean), beat=pulse.beat))
    info = video.info
    kept = kept_frames(clean.start, clean.end, video.index, info.time_base)
    space = Space(options.space, info)
    arrays = space.arrays(options.layers)
    per_frame = sum(array.bytes_per_frame for array in arrays)
    per_shard = max(1, min(_LONGEST_SHARD, _SHARD_BYTES // per_frame))
    model, config = clean.model or PRESETS[clean.preset], settings_of(clean)
    line = made_by(model, clean.weights, config | {"kept": [kept.start, kept.stop]})
    facts = {
        "v": SCHEMA,
        "source": {"name": source.name, "size": source.stat().st_size, "sha256": _hash(source)},
        "made_by": line,
        "model": {"name": model, "weights_sha256": hash_of_file(clean.weights)},
        "config": config,
        "versions": _versions(options.format),
        "format": options.format,
        "space": space.facts(),
        "planned": [kept.start, kept.stop],
        "frames_per_shard": per_shard,
        "video": _video_facts(info),
        "arrays": [_array_facts(array, options.format) for array in arrays],
        "rain_is": "observed - background, signed; observed = background + rain in every sample",
        "table": {"files": [f"{TABLE}.csv", f"{TABLE}.parquet"], "columns": dict(COLUMNS), "what": _COLUMNS_ARE},
    }
    return ExportPlan(
        video=video,
        kept=kept,
        options=options,
        space=space,
        arrays=arrays,
        per_shard=per_shard,
        model=model,
        made_by=line,
        facts=facts,
    )


_COLUMNS_ARE = {
    "frame": "index in the source among the frames that are shown, from 0",
    "pts": "presentation time in ticks of time_base, as the source states it",
    "seconds": "pts * time_base",
    "duration": "ticks",
    "rain": "mean of what rain added to luma, as a share of its range",
    "untouched": "the model gave no numbers for this frame: background is observed",
    "sha256": "over the little-endian samples of a layer in C order, array after array",
}


def refuse_meaningless(clean: CleanOptions, what: str) -> None:
    """UsageError for options of `clean` that mean nothing for `what`."""
    plain = CleanOptions()
    for option in fields(clean):
        if option.name in _MEANINGLESS and getattr(clean, option.name) != getattr(plain, option.name):
            raise UsageError(f"{option.name} means nothing for {what}; leave it out")


def track_of(clean: CleanOptions) -> int:
    """Which video of the file; UsageError for all of them at once."""
    if not clean.video.isdecimal():
        raise UsageError(f"video={clean.video}: one at a time here; allowed: 0, 1, ...")
    return int(clean.video)


def settings_of(clean: CleanOptions) -> dict[str, Any]:
    """What of the options can change a layer, ready for JSON."""
    model = clean.model or PRESETS[clean.preset]
    kept = ("align", "shots", "video", *([model] if model in ("baseline", "nlcl") else []))
    return {name: value for name, value in asdict(clean).items() if name in kept} | {"model": model}


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
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
