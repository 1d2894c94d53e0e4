"""A source that was probed, as bytes, so that others need not read all of its file again to know when frames are shown.

data = as_bytes(open_video(path).source)  # what `probe` alone gives lacks what a file says beside its stream
source = from_bytes(data, path)
"""

import json
from dataclasses import fields, is_dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from vidrain.types import ColorTags, FrameIndex, Gps, PixelLayout, StaticHdr, Structure, VideoInfo
from vidrain.video.index import Source

_PLACE = "path"  # of the file: whoever reads this says where it is


def as_bytes(source: Source) -> bytes:
    """All of a probed source but its path, as JSON. ValueError for one that is damaged, which nobody takes up alone."""
    if source.structure.damages:
        raise ValueError(f"{source.info.path}: is damaged")
    return json.dumps(source, default=_plain).encode()


def from_bytes(data: bytes, path: Path) -> Source:
    """What `as_bytes` made, as the source at `path`. ValueError, LookupError or TypeError for other bytes."""
    said = json.loads(data)
    return Source(
        info=_info(said["info"], path),
        index=_index(said["index"]),
        structure=_structure(said["structure"]),
        end=Fraction(said["end"]),
        complete_to=Fraction(said["complete_to"]),
        stated_end=_fraction(said["stated_end"]),
    )


def _plain(value: object) -> object:
    """What JSON has no form of its own for."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Fraction):
        return str(value)
    if is_dataclass(value):
        return {each.name: getattr(value, each.name) for each in fields(value) if each.name != _PLACE}
    raise TypeError(f"{type(value).__name__} has no place here")


def _fraction(said: str | None) -> Fraction | None:
    return None if said is None else Fraction(said)


def _info(said: dict[str, Any], path: Path) -> VideoInfo:
    matrix, hdr = said["display_matrix"], said["hdr"]
    mastering = None if hdr["mastering"] is None else tuple(map(Fraction, hdr["mastering"]))
    own = {
        "layout": PixelLayout(**said["layout"]),
        "color": ColorTags(**said["color"]),
        "time_base": Fraction(said["time_base"]),
        "rate": _fraction(said["rate"]),
        "sample_aspect_ratio": _fraction(said["sample_aspect_ratio"]),
        "display_matrix": None if matrix is None else tuple(matrix),
        "side_data": tuple(said["side_data"]),
        "hdr": StaticHdr(mastering, None if hdr["light"] is None else tuple(hdr["light"])),
    }
    return VideoInfo(path=path, **{**said, **own})


def _index(said: dict[str, Any]) -> FrameIndex:
    times = {name: np.asarray(said[name], np.int64) for name in ("pts", "keys")}
    return FrameIndex(**{**said, **times})


def _structure(said: dict[str, Any]) -> Structure:
    own = {
        "damages": (),
        "gps": None if said["gps"] is None else Gps(**said["gps"]),
        "notes": tuple(said["notes"]),
        "units": tuple((stream, count) for stream, count in said["units"]),
    }
    return Structure(**{**said, **own})
