"""The worst place of a frame is found, and the PNG holds what it was given."""

from io import BytesIO

import numpy as np
import pytest
from skimage.io import imread

from vidrain.evaluation.crops import SIDE, crops_of, png_of, side_by_side


@pytest.mark.parametrize("shape", [(400, 500), (100, 700), (40, 50)])
def test_the_crop_holds_the_largest_error(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 200, (*shape, 3)).astype(np.uint8)
    background = truth.copy()
    place = (shape[0] - 12, shape[1] - 9)
    background[place] += 50
    background[3, 4] += 20
    crops = crops_of(truth, background, truth)
    assert crops.background.shape == (min(SIDE, shape[0]), min(SIDE, shape[1]), 3)
    assert crops.background[place[0] - crops.top, place[1] - crops.left].tolist() == background[place].tolist()


def test_the_pictures_stand_side_by_side_with_rain_around_grey() -> None:
    observed = np.full((20, 30, 3), 100, np.uint8)
    background = observed - np.uint8(10)
    three = side_by_side(crops_of(observed, background, None))
    four = side_by_side(crops_of(observed, background, background))
    assert three.shape == (20, 3 * 30 + 2 * 4, 3)
    assert four.shape == (20, 4 * 30 + 3 * 4, 3)
    assert (three[:, -30:] == 158).all()
    assert (three[:, :30] == 100).all()
    assert (four[:, 68:98] == 90).all()


def test_the_png_is_read_by_others() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (17, 23, 3)).astype(np.uint8)
    content = png_of(picture)
    assert content == png_of(picture.copy())
    np.testing.assert_array_equal(imread(BytesIO(content)), picture)
