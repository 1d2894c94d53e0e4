"""psnr, ssim and luma are those of scikit-image and of the formulas, on random and on real pictures."""

import math
import warnings
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vidrain.metrics import luma, psnr, ssim
from vidrain.video.color import conversion_for, to_rgb
from vidrain.video.decode import open_video

Pictures = npt.NDArray[Any]


def their_psnr(truth: Pictures, picture: Pictures, data_range: float) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # it divides by zero for equal pictures
        return float(peak_signal_noise_ratio(truth, picture, data_range=data_range))


def their_ssim(truth: Pictures, picture: Pictures, data_range: float) -> float:
    return float(
        structural_similarity(
            truth,
            picture,
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1 if truth.ndim == 3 else None,
        )
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Pictures, Pictures]:
    """Two uint8 pictures of one size, grey or RGB, that may be close, far apart or flat."""
    height, width = draw(st.integers(11, 48)), draw(st.integers(11, 48))
    shape = (height, width, 3) if draw(st.booleans()) else (height, width)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    low, high = sorted((draw(st.integers(0, 255)), draw(st.integers(0, 255))))
    truth = rng.integers(low, high, shape, endpoint=True).astype(np.uint8)
    strength = draw(st.sampled_from([0, 1, 8, 90]))
    return truth, np.clip(truth + rng.normal(0, strength, shape), 0, 255).astype(np.uint8)


@given(pairs())
def test_equal_to_scikit_image_on_eight_bits(pair: tuple[Pictures, Pictures]) -> None:
    assert psnr(*pair, data_range=255) == pytest.approx(their_psnr(*pair, 255), rel=1e-12)
    assert ssim(*pair, data_range=255) == pytest.approx(their_ssim(*pair, 255), abs=1e-10)


@given(pairs())
def test_equal_to_scikit_image_on_floats(pair: tuple[Pictures, Pictures]) -> None:
    truth, picture = (np.asarray(one, np.float64) / 255 for one in pair)
    assert psnr(truth, picture, data_range=1) == pytest.approx(their_psnr(truth, picture, 1), rel=1e-12)
    assert ssim(truth, picture, data_range=1) == pytest.approx(their_ssim(truth, picture, 1), abs=1e-10)


def real_pairs(samples: Path) -> Iterator[tuple[Pictures, Pictures]]:
    """(clean, rainy) RGB pictures of the street, uint8 [320, 480, 3]."""
    videos = [open_video(samples / name) for name in ("street_clean.mp4", "street.mp4")]
    for frames in islice(zip(*(video.frames() for video in videos), strict=True), 0, None, 20):
        clean, rainy = (
            to_rgb(frame.planes, conversion_for(video.info))
            .clamp(0, 1)
            .mul(255)
            .round()
            .permute(1, 2, 0)
            .byte()
            .numpy()
            for video, frame in zip(videos, frames, strict=True)
        )
        yield clean, rainy


def test_equal_to_scikit_image_on_real_pictures(samples: Path) -> None:
    found = 0
    for clean, rainy in real_pairs(samples):
        for truth, picture in ((clean, rainy), (luma(clean / 255), luma(rainy / 255))):
            assert psnr(truth, picture, data_range=255) == pytest.approx(their_psnr(truth, picture, 255), rel=1e-12)
            assert ssim(truth, picture, data_range=255) == pytest.approx(their_ssim(truth, picture, 255), abs=1e-12)
            found += 1
    assert found == 6


@given(hnp.arrays(np.uint8, st.tuples(st.integers(11, 30), st.integers(11, 30))))
def test_equal_pictures(picture: Pictures) -> None:
    assert psnr(picture, picture, data_range=255) == math.inf
    assert ssim(picture, picture, data_range=255) == pytest.approx(1, abs=1e-9)


def test_values_by_hand() -> None:
    black, white = np.zeros((12, 12), np.uint8), np.full((12, 12), 255, np.uint8)
    assert psnr(black, white, data_range=255) == 0
    # No variance, so only the luminance term is left: c1 / (255^2 + c1).
    assert ssim(black, white, data_range=255) == pytest.approx(0.01**2 / (1 + 0.01**2))
    assert psnr(np.zeros(4), np.array([0, 0, 0, 0.2]), data_range=1) == pytest.approx(20)


def test_luma_of_the_corners_of_the_cube() -> None:
    corners = np.array([[[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]], np.float32)
    np.testing.assert_allclose(luma(corners), [[16, 81.481, 144.553, 40.966, 235]], rtol=0, atol=1e-9)


@pytest.mark.parametrize("metric", [psnr, ssim])
def test_refuses_what_cannot_be_compared(metric: Any) -> None:
    picture = np.zeros((12, 12))
    with pytest.raises(ValueError, match=r"found shapes \(12, 12\) and \(12, 11\)"):
        metric(picture, picture[:, 1:], data_range=1)
    with pytest.raises(ValueError, match="data_range 0"):
        metric(picture, picture, data_range=0)
    with pytest.raises(ValueError, match="with samples"):
        metric(picture[:0], picture[:0], data_range=1)


def test_ssim_refuses_pictures_smaller_than_its_window() -> None:
    with pytest.raises(ValueError, match=r"found shape \(10, 12\)"):
        ssim(np.zeros((10, 12)), np.zeros((10, 12)), data_range=1)


@pytest.mark.parametrize("wrong", [np.zeros((4, 4, 3), np.uint8), np.zeros((3, 4, 4))])
def test_luma_refuses_integers_and_other_shapes(wrong: Pictures) -> None:
    with pytest.raises(ValueError, match="want floating point"):
        luma(wrong)
