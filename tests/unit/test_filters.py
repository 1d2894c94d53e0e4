"""Means, extremes and sizes of pictures against loops, by OpenCV and as other devices compute them."""

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests import reference_windows
from vidrain.model import filters
from vidrain.model.filters import averaged, bordered, contrast, dilated, enlarged, eroded, resized, shifted, shrunk

Picture = npt.NDArray[np.float32]

sides = st.integers(1, 19)
odd = st.sampled_from([1, 3, 7, 11])
seeds = st.integers(0, 2**32 - 1)
per_path = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(params=["memory", "elsewhere"])
def path(request: pytest.FixtureRequest) -> Iterator[None]:
    """By OpenCV, and by PyTorch as if the pictures lay on another device."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "elsewhere":
            patch.setattr(filters, "_lies_in_memory", lambda picture: False)
            patch.setattr(filters, "cv2", None)
        yield


def pictures(seed: int, height: int, width: int) -> tuple[Tensor, Picture]:
    """Some of another stride than their width, as views are; values of both signs."""
    rng = np.random.default_rng(seed)
    wider = rng.normal(0, 1, (height, width + seed % 3)).astype(np.float32)
    picture = torch.from_numpy(wider)[:, :width]
    picture = picture.T.contiguous().T if seed % 2 else picture
    return picture, picture.numpy().copy()


@pytest.mark.usefixtures("path")
@per_path
@given(seeds, sides, sides, odd, odd)
def test_windows_are_those_of_a_loop(seed: int, height: int, width: int, rows: int, columns: int) -> None:
    picture, values = pictures(seed, height, width)
    window = (rows, columns)
    for fast, slow in ((eroded, np.min), (dilated, np.max)):
        np.testing.assert_array_equal(
            fast(picture, window).numpy(), reference_windows.over_window(values, window, slow)
        )
    mean = reference_windows.over_window(values, window, np.mean)
    np.testing.assert_allclose(averaged(picture, window).numpy(), mean, atol=2e-6)
    assert np.array_equal(picture.numpy(), values), "the input was written to"


@pytest.mark.usefixtures("path")
@per_path
@given(seeds, sides, sides, st.integers(1, 4), st.integers(1, 4))
def test_shrunk_is_the_mean_of_cells(seed: int, height: int, width: int, rows: int, columns: int) -> None:
    picture, values = pictures(seed, height, width)
    found = shrunk(picture, (rows, columns)).numpy()
    np.testing.assert_allclose(found, reference_windows.shrunk(values, (rows, columns)), atol=1e-6)
    assert np.array_equal(picture.numpy(), values), "the input was written to"


@pytest.mark.usefixtures("path")
@per_path
@given(seeds, sides, sides, st.integers(1, 4), st.integers(0, 3), st.integers(0, 3))
def test_enlarged_is_linear_between_cells(
    seed: int, height: int, width: int, times: int, less: int, narrower: int
) -> None:
    """Cut where the last cells reach beyond the picture that they stand for."""
    picture, values = pictures(seed, height, width)
    size = (height * times - min(less, times - 1), width * times - min(narrower, times - 1))
    found = enlarged(picture, times, size).numpy()
    assert found.shape == size
    np.testing.assert_allclose(found, reference_windows.enlarged(values, times, size), atol=2e-5)


@pytest.mark.usefixtures("path")
@per_path
@given(seeds, sides, sides)
def test_contrast_is_that_of_a_loop(seed: int, height: int, width: int) -> None:
    picture, values = pictures(seed, height, width)
    np.testing.assert_array_equal(contrast(picture).numpy(), reference_windows.contrast(values))


@given(seeds, sides, sides, odd, odd)
def test_shifted_and_bordered_repeat_the_border(seed: int, height: int, width: int, rows: int, columns: int) -> None:
    picture, values = pictures(seed, height, width)
    padded = np.pad(values, ((rows // 2,) * 2, (columns // 2,) * 2), mode="edge")
    np.testing.assert_array_equal(bordered(picture, rows // 2, columns // 2).numpy(), padded)
    window = (rows, columns)
    np.testing.assert_array_equal(
        shifted(picture, window, torch.maximum).numpy(), reference_windows.over_window(values, window, np.max)
    )


def test_what_comes_back_is_never_the_picture_itself() -> None:
    """Callers write to it; of `shrunk` by 1 they know that it is."""
    picture = torch.rand(4, 5)
    for make in (averaged, eroded, dilated):
        assert make(picture, (1, 1)).data_ptr() != picture.data_ptr()
    assert shifted(picture, (1, 1), torch.minimum).data_ptr() != picture.data_ptr()
    assert shrunk(picture, (1, 1)) is picture


FILTERS: dict[str, Callable[[Tensor], Tensor]] = {
    "averaged": lambda picture: averaged(picture, (11, 11)),
    "eroded": lambda picture: eroded(picture, (1, 7)),
    "dilated": lambda picture: dilated(picture, (3, 3)),
    "shrunk": lambda picture: shrunk(picture, (2, 2)),
    "shrunk by three": lambda picture: shrunk(picture, (3, 3)),
    "enlarged": lambda picture: enlarged(picture, 2, (300, 402)),
    "contrast": contrast,
}


@pytest.mark.parametrize("make", FILTERS.values(), ids=FILTERS)
def test_values_do_not_depend_on_where_pictures_lie(make: Callable[[Tensor], Tensor]) -> None:
    """Vector code may round otherwise at an odd address: the same video would give other layers on the next run."""
    values = np.random.default_rng(5).normal(0.5, 0.3, (151, 201)).astype(np.float32)
    due = make(torch.from_numpy(values.copy()))
    kept = []  # else every result would get the memory of the one before
    for offset in range(0, 64, 4):
        memory = np.empty(values.nbytes + 128, np.uint8)
        start = -memory.ctypes.data % 64 + offset
        moved = memory[start : start + values.nbytes].view(np.float32).reshape(values.shape)
        moved[...] = values
        kept.append(make(torch.from_numpy(moved)))
        assert torch.equal(kept[-1], due)


@pytest.mark.gpu
@pytest.mark.parametrize("make", FILTERS.values(), ids=FILTERS)
def test_a_gpu_gives_the_same(make: Callable[[Tensor], Tensor]) -> None:
    picture = torch.randn(151, 201, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(make(picture.cuda()).cpu(), make(picture), atol=2e-6, rtol=1e-5)


@pytest.mark.usefixtures("path")
@per_path
@given(seeds, sides, sides, sides, sides)
def test_resized_lies_between_what_is_around(seed: int, height: int, width: int, rows: int, columns: int) -> None:
    picture, values = pictures(seed, height, width)
    found = resized(picture, (rows, columns)).numpy()
    assert found.shape == (rows, columns)
    assert values.min() - 1e-5 <= found.min() <= found.max() <= values.max() + 1e-5
    if (rows, columns) == (height, width):
        np.testing.assert_array_equal(found, values)
    elif (rows, columns) == (2 * height, 2 * width):
        np.testing.assert_allclose(found, reference_windows.enlarged(values, 2, (rows, columns)), atol=2e-5)


@pytest.mark.usefixtures("path")
def test_what_is_infinite_stays_so_where_it_is_resized() -> None:
    picture = torch.ones(12, 12)
    picture[3:6, 3:6] = torch.inf
    for size in ((9, 10), (24, 24)):
        found = resized(picture, size)
        assert not found.isnan().any()
        assert 0.03 < float(found.isinf().float().mean()) < 0.1, "a sixteenth"
        assert found[4 * size[0] // 12, 4 * size[1] // 12].isinf()
        assert float(found[found.isfinite()].max()) <= 1
