"""Which integers an export holds: the stored planes as they are, or RGB by one fixed integer conversion.

Knows numpy only, so that anyone can get the same numbers again on any machine. R is always O - B in these integers.

    space = Space("rgb", info)
    observed, = space.samples(frame.planes)  # [H, W, 3]
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrain.export.names import Layer, SpaceName
from vidrain.types import PixelLayout, Planes, VideoInfo
from vidrain.video.color import Conversion, conversion_for

Samples = npt.NDArray[np.integer[Any]]

_BITS = 28  # of the fixed point, together with those of a sample: sums stay within 32 bits
_NAMES = {"gray": ("y",), "gbrp": ("g", "b", "r")}
_YUV = ("y", "u", "v")


@dataclass(frozen=True)
class Array:
    """One array of an export: all frames of a layer, or of one plane of it.

    shape: of one frame, (H, W, 3) or (rows, columns); dtype: of the samples, int16 for rain; depth: bits of O.
    """

    name: str  # such as rain or rain.y
    layer: Layer
    shape: tuple[int, ...]
    dtype: str
    depth: int

    @property
    def axes(self) -> str:
        """Names of the axes, time first."""
        return "tyxc" if len(self.shape) == 3 else "tyx"

    @property
    def bytes_per_frame(self) -> int:
        """Size of one frame, not compressed."""
        return int(np.prod(self.shape)) * np.dtype(self.dtype).itemsize


class Space:
    """RGB or stored planes of the video of `info`."""

    def __init__(self, name: SpaceName, info: VideoInfo) -> None:
        self.name, self._info, self._conversion = name, info, conversion_for(info)
        self._fixed = fixed_point(self._conversion)

    def samples(self, planes: Planes) -> tuple[Samples, ...]:
        """One frame in this space: (RGB [H, W, 3],) or its planes; uint8, or uint16 above 8 bits."""
        return (to_rgb_codes(planes, self._conversion, self._fixed),) if self.name == "rgb" else planes

    def arrays(self, layers: Sequence[Layer]) -> tuple[Array, ...]:
        """What an export of `layers` holds, plane by plane, in the order of `samples`."""
        layout, size = self._info.layout, (self._info.height, self._info.width)
        if self.name == "rgb":
            parts: list[tuple[str, tuple[int, ...]]] = [("", (*size, 3))]
        else:
            shapes = layout.plane_shapes(self._info.width, self._info.height)
            parts = [(f".{name}", shape) for name, shape in zip(plane_names(layout), shapes, strict=True)]
        return tuple(
            Array(f"{layer}{suffix}", layer, shape, "int16" if layer == "rain" else layout.dtype.name, layout.depth)
            for layer in layers
            for suffix, shape in parts
        )

    def facts(self) -> dict[str, Any]:
        """How the integers come about, ready for JSON."""
        if self.name == "yuv":
            return {"name": "yuv", "pixel_format": self._info.layout.name, "planes": plane_names(self._info.layout)}
        conversion = self._conversion
        return {
            "name": "rgb",
            "channels": ["r", "g", "b"],
            "range": [0, (1 << self._info.layout.depth) - 1],
            "formula": "code = clip((luma * (Y - black) + u * (U - neutral) + v * (V - neutral) + half) >> shift)",
            "chroma": "repeated over its sample",
            "kr": conversion.kr,
            "kb": conversion.kb,
            "assumed": conversion.assumption,
            **self._fixed,
        }


def plane_names(layout: PixelLayout) -> tuple[str, ...]:
    """y, u, v; y alone for grey; g, b, r for stored RGB."""
    return _NAMES.get(layout.family, _YUV)


def fixed_point(conversion: Conversion) -> dict[str, int]:
    """The matrix from stored codes to RGB codes of the same depth, full range, as integers over 2^shift.

    Source: Rec. ITU-R BT.709-6 and BT.601-7, items 3 and 4, with the weights of `video.color`; coefficients rounded.
    """
    depth, kr, kb = conversion.layout.depth, conversion.kr, conversion.kb
    top, kg, shift = (1 << depth) - 1, 1.0 - kr - kb, _BITS - depth
    luma, chroma = (top / scale * (1 << shift) for scale in conversion.scale)
    black, neutral = (int(offset) for offset in conversion.offset)
    return {
        "shift": shift,
        "half": 1 << (shift - 1),
        "black": black,
        "neutral": neutral,
        "luma": round(luma),
        "r_v": round(2 * (1 - kr) * chroma),
        "g_u": round(-2 * (1 - kb) * kb / kg * chroma),
        "g_v": round(-2 * (1 - kr) * kr / kg * chroma),
        "b_u": round(2 * (1 - kb) * chroma),
    }


def to_rgb_codes(planes: Planes, conversion: Conversion, fixed: Mapping[str, int]) -> Samples:
    """Stored planes as RGB codes [H, W, 3] of the same depth and sample type, full range; integers only."""
    layout = conversion.layout
    if layout.family == "gbrp":
        green, blue, red = planes
        return np.stack((red, green, blue), axis=-1)
    luma = (planes[0].astype(np.int32) - fixed["black"]) * fixed["luma"] + fixed["half"]
    added: tuple[npt.NDArray[np.int32] | int, ...] = (0, 0, 0)
    if layout.family != "gray":
        u, v = (plane.astype(np.int32) - fixed["neutral"] for plane in planes[1:])
        parts = (v * fixed["r_v"], u * fixed["g_u"] + v * fixed["g_v"], u * fixed["b_u"])
        added = tuple(_repeated(part, luma.shape, layout.chroma_shift) for part in parts)
    rgb = np.empty((*luma.shape, 3), layout.dtype)
    top = (1 << layout.depth) - 1
    for channel, part in enumerate(added):
        rgb[..., channel] = np.clip((luma + part) >> fixed["shift"], 0, top)
    return rgb


def _repeated(plane: npt.NDArray[np.int32], size: tuple[int, ...], shift: tuple[int, int]) -> npt.NDArray[np.int32]:
    """Chroma at the size of luma; the last row and column of odd sizes are cut off."""
    for axis, bits in ((0, shift[1]), (1, shift[0])):
        if bits:
            plane = plane.repeat(2, axis=axis)
    return plane[: size[0], : size[1]]


def rain_of(observed: Sequence[Samples], background: Sequence[Samples]) -> tuple[npt.NDArray[np.int16], ...]:
    """R = O - B, signed, array by array."""
    return tuple(np.subtract(o, b, dtype=np.int16, casting="unsafe") for o, b in zip(observed, background, strict=True))
