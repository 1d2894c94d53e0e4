"""How close one 8-bit picture is to another, as deraining papers report it, and the pictures it is taken on.

- RGB is `color.to_rgb` of the stored planes by the file's own tags, clipped to [0, 1], rounded to 8 bits, with chroma
  repeated over its sample. PSNR and SSIM of RGB: all three channels; SSIM is the mean of the channels.
- Y is `metrics.luma` of that RGB over 255: Y = 16 + 65.481 R + 128.553 G + 24.966 B, 16 to 235, not rounded, with a
  data range of 255; the luma of MATLAB's rgb2ycbcr. It is not the stored luma plane, whose matrix and range differ from
  file to file.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidrain.metrics import luma, psnr, ssim
from vidrain.types import Planes, VideoInfo
from vidrain.video.color import conversion_for, to_rgb, upright

Picture = npt.NDArray[np.uint8]  # [H, W, 3] RGB
Levels = npt.NDArray[np.float32]  # [H, W] luma, 16 to 235

HIGHEST_PSNR = 100.0  # dB: about what a single sample off by one gives at 640x360; equal pictures count as this


class Likeness(NamedTuple):
    """How close a picture is to another: decibels and structural similarity, on Y and on RGB."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


def likeness(truth: Picture, picture: Picture) -> Likeness:
    """Compare two pictures [H, W, 3]; ValueError where their shapes differ or a side is below 11."""
    y = luma(truth / 255.0), luma(picture / 255.0)
    return Likeness(
        min(psnr(*y, data_range=255), HIGHEST_PSNR),
        ssim(*y, data_range=255),
        min(psnr(truth, picture, data_range=255), HIGHEST_PSNR),
        ssim(truth, picture, data_range=255),
    )


def picture_of(planes: Planes, info: VideoInfo) -> Picture:
    """Stored planes as 8-bit RGB [H, W, 3], the way they are shown."""
    rgb = upright(to_rgb(planes, conversion_for(info)), info.display_matrix)
    picture: Picture = rgb.clamp_(0, 1).mul_(255).round_().byte().permute(1, 2, 0).contiguous().numpy()
    return picture


def levels_of(picture: Picture) -> Levels:
    """Luma of a picture in grey levels. [H, W] float32"""
    return luma(picture / 255.0).astype(np.float32)
