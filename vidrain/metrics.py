"""How close a picture is to the truth: PSNR, SSIM and the luma on which deraining papers take them.

Pure: numpy in, float out. Knows nothing of video, colour tags or models.

    psnr(luma(truth), luma(picture), data_range=255)
    ssim(truth, picture, data_range=1)   # [H, W, 3]: the mean of the three channels
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[Any]

# Wang et al. 2004, section III-B: an 11x11 circular-symmetric Gaussian window of standard deviation 1.5.
_WINDOW = 11
_SIGMA = 1.5
_K1, _K2 = 0.01, 0.03
# Bands of rows stay in the cache of the processor: 20 ms instead of 53 for a 640x360 picture.
_BAND = 32

# ITU-R BT.601 luma of R'G'B' in [0, 1] as 8-bit studio codes, as MATLAB's rgb2ycbcr has it.
_STUDIO = (65.481, 128.553, 24.966)
_BLACK = 16.0


def psnr(truth: Picture, picture: Picture, *, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(data_range^2 / mean squared error); inf for equal pictures.

    truth, picture: arrays of one shape, any real type; all samples count alike, channels included.
    data_range: distance from the lowest to the highest possible sample, 255 for 8-bit codes.
    Raises ValueError on different shapes, an empty picture or a range that is not positive.
    """
    _check(truth, picture, data_range)
    difference = truth.astype(np.float64) - picture
    error = float(np.vdot(difference, difference)) / difference.size
    return 10 * math.log10(data_range**2 / error) if error > 0 else math.inf


def ssim(truth: Picture, picture: Picture, *, data_range: float) -> float:
    """Mean structural similarity, -1 to 1, over every place where the whole 11x11 window lies inside.

    truth, picture: [H, W], or [H, W, C] for the mean over channels; H and W at least 11.
    data_range: as for `psnr`. Raises ValueError as `psnr`, and on smaller pictures.
    Source: Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural
    similarity", IEEE TIP 13(4), 2004, eq. 13; Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, variances
    over N (not N - 1).
    """
    _check(truth, picture, data_range)
    if truth.ndim not in (2, 3) or min(truth.shape[:2]) < _WINDOW:
        raise ValueError(f"found shape {truth.shape}; want [H, W] or [H, W, C], H and W at least {_WINDOW}")
    if truth.ndim == 2:
        return _ssim(truth, picture, data_range)
    channels = range(truth.shape[2])
    return math.fsum(_ssim(truth[..., c], picture[..., c], data_range) for c in channels) / len(channels)


def luma(rgb: Picture) -> npt.NDArray[np.float64]:
    """BT.601 luma in 8-bit studio codes, 16 (black) to 235 (white), not rounded. [H, W] float64

    rgb: [..., 3] floating point in [0, 1]. Y = 16 + 65.481 R + 128.553 G + 24.966 B, the Y of rgb2ycbcr on
    which deraining papers report (its coefficients: ITU-R BT.601). Use it with data_range=255, as they do.
    Raises ValueError for integers, whose range would have to be guessed.
    """
    if rgb.shape[-1:] != (3,) or not np.issubdtype(rgb.dtype, np.floating):
        raise ValueError(f"found {rgb.dtype} {rgb.shape}; want floating point [..., 3] in [0, 1]")
    red, green, blue = (rgb[..., channel].astype(np.float64) for channel in range(3))
    return _BLACK + _STUDIO[0] * red + _STUDIO[1] * green + _STUDIO[2] * blue


def _check(truth: Picture, picture: Picture, data_range: float) -> None:
    if truth.shape != picture.shape or not truth.size:
        raise ValueError(f"found shapes {truth.shape} and {picture.shape}; want two equal ones with samples")
    if not data_range > 0:
        raise ValueError(f"found data_range {data_range}; want more than 0")


def _ssim(truth: Picture, picture: Picture, data_range: float) -> float:
    """SSIM of one channel [H, W]."""
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    total = 0.0
    rows, columns = truth.shape[0] - _WINDOW + 1, truth.shape[1] - _WINDOW + 1
    for top in range(0, rows, _BAND):
        band = slice(top, min(top + _BAND, rows) + _WINDOW - 1)
        x, y = truth[band].astype(np.float64), picture[band].astype(np.float64)
        mean_x, mean_y = _window_mean(x), _window_mean(y)
        variances = _window_mean(x * x + y * y)  # the formula needs only their sum
        covariance = _window_mean(x * y)
        squares, product = mean_x * mean_x + mean_y * mean_y, mean_x * mean_y
        variances -= squares
        covariance -= product
        likeness = (2 * product + c1) * (2 * covariance + c2) / ((squares + c1) * (variances + c2))
        total += float(likeness.sum())
    return float(total / (rows * columns))


def _gaussian() -> list[float]:
    """The window along one axis; it sums to 1."""
    weights = [math.exp(-0.5 * (place / _SIGMA) ** 2) for place in range(-(_WINDOW // 2), _WINDOW // 2 + 1)]
    return [weight / math.fsum(weights) for weight in weights]


_WEIGHTS = _gaussian()


def _window_mean(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian mean of every whole window. [H, W] to [H - 10, W - 10]"""
    return _along_columns(_along_columns(picture.T).T)


def _along_columns(picture: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Gaussian mean along the first axis; the window is symmetric, so pairs are added before they are weighed."""
    count, half = len(picture) - _WINDOW + 1, _WINDOW // 2
    mean = picture[half : half + count] * _WEIGHTS[half]
    for place in range(half):
        mirrored = _WINDOW - 1 - place
        mean += (picture[place : place + count] + picture[mirrored : mirrored + count]) * _WEIGHTS[place]
    return mean
