"""Whether it rains: streaks against their negatives, and what the frames before a frame say of it."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from vidrain.errors import UsageError
from vidrain.meter import MEMORY, Meter, MeterOptions, _streaks_by_part, lean_of, outstanding

Grey = npt.NDArray[np.uint8]
RAIN, DRY = 0.9, 0.0


def scene(seed: int, noise: float = 4.0) -> Grey:
    """The same soft landscape under noise of its own. [180, 320]"""
    rough = np.random.default_rng(0).random((9, 16)).astype(np.float32)
    soft = 60 + 100 * cv2.resize(rough, (320, 180), interpolation=cv2.INTER_CUBIC)
    return np.clip(soft + noise * np.random.default_rng(seed).standard_normal((180, 320)), 0, 255).astype(np.uint8)


def rained_on(picture: Grey, seed: int, drops: int = 60, length: int = 18) -> Grey:
    rng, wet = np.random.default_rng(seed), picture.copy()
    for x, y in zip(rng.integers(0, 320, drops), rng.integers(0, 180 - length, drops), strict=True):
        cv2.line(wet, (int(x), int(y)), (int(x) + 2, int(y) + length), 240, 1)
    return wet


def rows_of(picture: Grey) -> Grey:
    """Its rows and columns exchanged."""
    return np.ascontiguousarray(picture.T)


def by_sorting(pictures: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """The slow twin of `outstanding`."""
    low, *_ = ranked = np.sort(pictures.astype(int), 0)
    bright = ranked[-1] - ranked[-2] > ranked[-2] - low + 2
    dark = ranked[1] - low > ranked[-1] - ranked[1] + 2
    return bright, dark


@given(st.integers(3, 8).flatmap(lambda count: arrays.arrays(np.uint8, (count, 4, 5))))
def test_what_stands_out_is_what_sorting_tells(pictures: npt.NDArray[np.uint8]) -> None:
    bright, dark = by_sorting(pictures)
    found = outstanding(list(pictures))
    np.testing.assert_array_equal(found.bright != 0, bright)
    np.testing.assert_array_equal(found.dark != 0, dark)


@pytest.mark.parametrize("count", [5, 7])
def test_rain_leans_to_bright_and_noise_to_neither(count: int) -> None:
    dry = [scene(seed) for seed in range(count)]
    wet = [rained_on(picture, seed) for seed, picture in enumerate(dry)]
    assert lean_of(wet) > 0.3
    assert abs(lean_of(dry)) < 0.03


@given(st.integers(0, 1 << 20), st.permutations(range(5)))
def test_the_negative_leans_the_other_way_and_order_says_nothing(seed: int, order: list[int]) -> None:
    pictures = [rained_on(scene(seed + k), seed + k, drops=8) for k in range(5)]
    lean = lean_of(pictures)
    assert lean_of([255 - picture for picture in pictures]) == -lean
    assert lean_of([pictures[k] for k in order]) == lean


def test_what_lies_flat_is_no_streak() -> None:
    flat = [rows_of(rained_on(rows_of(scene(seed))[:180, :180].copy(), seed)) for seed in range(5)]
    assert abs(lean_of(flat)) < 0.03


def test_what_is_wide_is_no_streak() -> None:
    pictures = [scene(seed) for seed in range(5)]
    for k, picture in enumerate(pictures):
        picture[20:60, 40 * k : 40 * k + 30] = 240
    assert abs(lean_of(pictures)) < 0.03


def test_one_place_says_little() -> None:
    """Glints on water, lamps: however many, they are in one part of 48."""
    pictures = [scene(seed) for seed in range(5)]
    for k, picture in enumerate(pictures):
        picture[30:60, 40:80] = rained_on(picture, k, drops=600)[30:60, 40:80]
    assert 0 < lean_of(pictures) < 0.1


def test_large_pictures_are_counted_alike() -> None:
    """Above a size labels take 32 bits."""
    pictures = [np.tile(rained_on(scene(seed), seed), (2, 3)) for seed in range(5)]
    assert pictures[0].size > 4 * (1 << 16) - 1
    assert lean_of(pictures) > 0.8


def told(leans: list[float | None], shots: list[int] | None = None, dry: float | None = 0.05) -> list[bool]:
    """What a meter says of frames of these leans; None: of a window of four pictures."""
    meter, found = Meter(MeterOptions(dry=dry)), []
    with pytest.MonkeyPatch.context() as patch:
        for index, lean in enumerate(leans):
            patch.setattr("vidrain.meter.lean_of", lambda pictures, lean=lean: lean)
            pictures = [scene(0)] * (4 if lean is None else 5)
            found.append(meter.is_dry(index, shots[index] if shots else 0, pictures))
    return found


def test_a_frame_alone_is_not_called_dry() -> None:
    assert told([DRY] * 7) == [False] * 4 + [True] * 3
    assert told([None, DRY, None, DRY, DRY, DRY, DRY]) == [False] * 6 + [True]
    assert told([None] * 12) == [False] * 12


def test_rain_counts_at_once_and_is_remembered() -> None:
    found = told([DRY] * 10 + [RAIN] + [DRY] * 12)
    assert found == [False] * 4 + [True] * 6 + [False] * (MEMORY + 1) + [True] * 4


def test_a_frame_in_which_rain_hardly_shows_does_not_flicker() -> None:
    assert not any(told([0.3, 0.2, -0.1, 0.3, 0.2, 0.3, -0.2, 0.1, 0.3, 0.2] * 3))


def test_what_is_before_a_cut_does_not_count() -> None:
    found = told([RAIN] * 9 + [DRY] * 9, [0] * 9 + [1] * 9)
    assert found == [False] * 13 + [True] * 5


def test_a_meter_that_is_off_calls_nothing_dry() -> None:
    assert not any(told([-1.0] * 12, dry=None))


@pytest.mark.parametrize("dry", [-0.1, 1.5, float("nan")])
def test_nonsense_is_refused(dry: float) -> None:
    with pytest.raises(UsageError, match=r"meter\.dry"):
        MeterOptions(dry=dry)


@pytest.mark.parametrize("dots", [0, 40_000, 65_534 - 32_000, 65_535 - 32_000, 65_534, 72_000])
def test_streaks_are_counted_whatever_else_is_marked(dots: int) -> None:
    """Below so many dots, each by itself: more than 16 bits count, and as many pixels, with those of the streaks."""
    mask = np.zeros((540, 960), np.uint8)
    rows, columns = np.divmod(np.arange(dots), 480)
    mask[2 * rows, 2 * columns] = 1
    for row in range(5):
        mask[300 + row :: 6, ::6] = 1
    assert np.count_nonzero(mask) == dots + 32_000
    assert _streaks_by_part(mask).sum() == 40 * 160


@pytest.mark.parametrize("dots", [65_534, 65_535, 65_536])
def test_as_many_dots_as_16_bits_count_are_no_streaks(dots: int) -> None:
    mask = np.zeros((540, 960), np.uint8)
    rows, columns = np.divmod(np.arange(dots), 480)
    mask[2 * rows, 2 * columns] = 1
    assert not _streaks_by_part(mask).any()
