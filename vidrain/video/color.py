"""Stored planes to luma or RGB and what was removed back to code values: one definition each way.

Models see float luma, `nlcl` float RGB. What is removed from RGB goes back through the linear part of the same matrix
(no offsets), chroma averaged over its own sample; what is removed from luma by the same scale, and colour as `chroma`
says. It is rounded once. Zero removal is zero in every code.
A door to cv2. Matrix coefficients: ITU-T H.273 table 4; ranges: ITU-R BT.601 / BT.709 section on quantisation.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidrain.fixed import BLACK, MOST, STEPS, fixed
from vidrain.types import ColorTags, PixelLayout, Plane, Planes, RainPlanes, VideoInfo

# H.273 matrix code -> (Kr, Kb)
_LUMA_WEIGHTS = {
    1: (0.2126, 0.0722),  # BT.709
    4: (0.30, 0.11),  # FCC
    5: (0.299, 0.114),  # BT.601, 625 lines
    6: (0.299, 0.114),  # BT.601, 525 lines
    7: (0.212, 0.087),  # SMPTE 240M
    9: (0.2627, 0.0593),  # BT.2020 non-constant luminance
}
# H.273 matrix code -> (primaries, transfer) that go with it, tables 2 and 3
_PARTNERS = {1: (1, 1), 4: (4, 4), 5: (5, 6), 6: (6, 6), 7: (7, 7), 9: (9, 14)}
_BT601, _BT709 = 6, 1
_UNSPECIFIED = 2
_FULL_RANGE = 2
_HD_LINES = 720  # untagged video of this many lines or more is BT.709, as players assume


@dataclass(frozen=True)
class Conversion:
    """The one matrix between stored codes and RGB of a video.

    kr, kb: luma weights; scale: codes per unit of (luma, chroma); offset: codes of (black, neutral chroma).
    """

    layout: PixelLayout
    kr: float
    kb: float
    scale: tuple[float, float]
    offset: tuple[float, float]
    assumption: str | None = None  # what had to be assumed for want of a tag, in a sentence


def conversion_for(info: VideoInfo) -> Conversion:
    """Choose matrix and range from the tags of `info`; what is not tagged is assumed and said."""
    matrix, assumption = info.color.matrix, None
    if matrix not in _LUMA_WEIGHTS:
        untagged = matrix == _UNSPECIFIED
        matrix = _assumed_matrix(info)
        name = "BT.709" if matrix == _BT709 else "BT.601"
        if info.layout.family not in ("gbrp", "gray") and (matrix == _BT709 or not untagged):
            found = "no colour matrix is tagged" if untagged else f"matrix code {info.color.matrix} is not linear"
            assumption = f"{found}: taken for {name}; the tag stays as it was"
    kr, kb = _LUMA_WEIGHTS[matrix]
    step = 1 << (info.layout.depth - 8)
    top = (1 << info.layout.depth) - 1
    if info.layout.family == "gbrp" or info.color.range == _FULL_RANGE:
        scale, offset = (float(top), float(top)), (0.0, 128.0 * step)
    else:
        scale, offset = (219.0 * step, 224.0 * step), (16.0 * step, 128.0 * step)
    return Conversion(info.layout, kr, kb, scale, offset, assumption)


def _assumed_matrix(info: VideoInfo) -> int:
    return _BT709 if min(info.width, info.height) >= _HD_LINES else _BT601


def completed(info: VideoInfo) -> ColorTags:
    """The tags of `info` with the gaps filled by what goes with its matrix, or with the one assumed for its size."""
    tags = info.color
    matrix = _assumed_matrix(info) if tags.matrix == _UNSPECIFIED else tags.matrix
    primaries, transfer = _PARTNERS.get(matrix, _PARTNERS[_BT709])
    return ColorTags(
        matrix,
        tags.range,
        primaries if tags.primaries == _UNSPECIFIED else tags.primaries,
        transfer if tags.transfer == _UNSPECIFIED else tags.transfer,
    )


def to_rgb(planes: Planes, conversion: Conversion) -> Tensor:
    """Stored planes as float32 RGB [3, H, W], nominally in [0, 1]; not clipped, so nothing is lost.

    Chroma is repeated over its sample, the inverse of the averaging in `to_codes`.
    """
    family = conversion.layout.family
    samples = [torch.from_numpy(np.ascontiguousarray(plane)).float() for plane in planes]
    black, neutral = conversion.offset
    luma_scale, chroma_scale = conversion.scale
    if family == "gbrp":
        green, blue, red = samples
        return torch.stack((red, green, blue)).div_(luma_scale)
    luma = samples[0].sub_(black).div_(luma_scale)
    if family == "gray":
        return luma.expand(3, -1, -1).contiguous()
    kr, kb = conversion.kr, conversion.kb
    kg = 1.0 - kr - kb
    size = (int(luma.shape[0]), int(luma.shape[1]))
    cb, cr = (
        _repeat(plane.sub_(neutral).div_(chroma_scale), size, conversion.layout.chroma_shift) for plane in samples[1:]
    )
    rgb = torch.empty((3, *size))
    torch.add(luma, cr, alpha=2 * (1 - kr), out=rgb[0])
    torch.add(luma, cb, alpha=2 * (1 - kb), out=rgb[2])
    torch.add(luma, cb, alpha=-2 * (1 - kb) * kb / kg, out=rgb[1]).add_(cr, alpha=-2 * (1 - kr) * kr / kg)
    return rgb


def to_luma(planes: Planes, conversion: Conversion) -> Tensor:
    """Luma of stored planes as float32 [1, H, W], nominally in [0, 1]; not clipped. That of the RGB of `to_rgb`."""
    if conversion.layout.family == "gbrp":
        red, green, blue = to_rgb(planes, conversion)
        kr, kb = conversion.kr, conversion.kb
        luma: Tensor = (red * kr).add_(green, alpha=1.0 - kr - kb).add_(blue, alpha=kb)
        return luma[None]
    samples = torch.from_numpy(np.ascontiguousarray(planes[0])).float()
    return samples.sub_(conversion.offset[0]).div_(conversion.scale[0])[None]


def to_fixed(planes: Planes, conversion: Conversion) -> Tensor:
    """The same luma in fixed point (`fixed`). int16 [1, H, W]"""
    if conversion.layout.family == "gbrp":
        return fixed(to_luma(planes, conversion))
    codes = np.ascontiguousarray(planes[0])
    if codes.dtype != np.uint8:
        return _fixed_of(codes, conversion)[None]
    table = _fixed_of(np.arange(256, dtype=np.uint8), conversion)  # each code once: a quarter of the time
    return torch.from_numpy(cv2.LUT(codes, table.numpy()))[None]


def _fixed_of(codes: Plane, conversion: Conversion) -> Tensor:
    """Codes of luma in fixed point. int16, as they lie"""
    steps = STEPS / conversion.scale[0]
    kept = torch.from_numpy(codes).float().mul_(steps).add_(BLACK - conversion.offset[0] * steps).round_()
    return kept.clamp_(0, MOST).to(torch.int16)  # codes beyond their bits are no luma, but may come


def to_codes(removal: Tensor, conversion: Conversion) -> RainPlanes:
    """What was removed from RGB, in code values per stored sample, rounded once.

    removal: [3, H, W] float32, in units of the RGB of `to_rgb`. Returns int16 planes.
    """
    luma_scale, chroma_scale = conversion.scale
    red, green, blue = removal
    if conversion.layout.family == "gbrp":
        return tuple(rounded(channel, luma_scale) for channel in (green, blue, red))
    kr, kb = conversion.kr, conversion.kb
    luma = (red * kr).add_(blue, alpha=kb).add_(green, alpha=1.0 - kr - kb)
    if conversion.layout.family == "gray":
        return (rounded(luma, luma_scale),)
    shift = conversion.layout.chroma_shift
    cb = _average((blue - luma).div_(2 * (1 - kb)), shift)
    cr = _average((red - luma).div_(2 * (1 - kr)), shift)
    return (rounded(luma, luma_scale), rounded(cb, chroma_scale), rounded(cr, chroma_scale))


def rounded(removal: Tensor, scale: float) -> np.ndarray[tuple[int, ...], np.dtype[np.int16]]:
    """`removal` [H, W] float32 times `scale`, which makes it code values, as int16."""
    plane = removal.cpu().numpy()
    codes = cv2.addWeighted(plane, scale, plane, 0, 0, dtype=cv2.CV_16S)  # in one go, in a third of the time
    return cast(np.ndarray[tuple[int, ...], np.dtype[np.int16]], codes)


def _repeat(plane: Tensor, size: tuple[int, int], shift: tuple[int, int]) -> Tensor:
    """[h, w] chroma to [H, W] by repetition; the last row and column of odd sizes are cut off."""
    height, width = size
    if shift[1]:
        plane = plane.repeat_interleave(2, dim=0)[:height]
    if shift[0]:
        plane = plane.repeat_interleave(2, dim=1)[:, :width]
    return plane


def _average(plane: Tensor, shift: tuple[int, int]) -> Tensor:
    """[H, W] to the chroma size: mean over each sample's own pixels, fewer at the edge of odd sizes."""
    block = (1 << shift[1], 1 << shift[0])
    if block == (1, 1):
        return plane
    pool = cast(Callable[..., Tensor], functional.avg_pool2d)
    return pool(plane[None, None], block, ceil_mode=True, count_include_pad=False)[0, 0]


def upright(picture: Tensor, matrix: tuple[int, ...] | None) -> Tensor:
    """Turn a stored picture [..., H, W] the way it is shown, so that rain falls down; any multiple of 90 degrees
    and mirror image. `matrix` is the container's display matrix; other angles leave the picture as it is."""
    turned, flips = _orientation(matrix)
    picture = picture.transpose(-2, -1) if turned else picture
    return picture.flip(flips).contiguous() if flips else picture.contiguous()


def stored(picture: Tensor, matrix: tuple[int, ...] | None) -> Tensor:
    """Inverse of `upright`."""
    turned, flips = _orientation(matrix)
    picture = picture.flip(flips) if flips else picture
    return (picture.transpose(-2, -1) if turned else picture).contiguous()


def _orientation(matrix: tuple[int, ...] | None) -> tuple[bool, list[int]]:
    """(transpose?, dimensions to flip after it) of a display matrix.

    A stored pixel (x, y) is shown at (a x + c y, b x + d y), ISO/IEC 14496-12 section 6.2.2.
    """
    if matrix is None:
        return False, []
    a, b, c, d = matrix[0], matrix[1], matrix[3], matrix[4]
    if b == c == 0 and a and d:
        turned, right, down = False, a, d
    elif a == d == 0 and b and c:
        turned, right, down = True, c, b
    else:
        return False, []
    return turned, [dim for dim, way in ((-1, right), (-2, down)) if way < 0]
