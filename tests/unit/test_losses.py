"""Losses of pictures: equal to slow twins and to values by hand, right gradients, and what nothing costs."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import reference
from vidrain.train import losses

Loss = Callable[..., Tensor]

# Every loss with the number of pictures it takes and whether a mask comes last.
EVERY: dict[str, tuple[Loss, int, bool]] = {
    "reconstruction": (losses.reconstruction, 3, False),
    "adversarial_generator": (losses.adversarial_generator, 1, False),
    "adversarial_discriminator": (losses.adversarial_discriminator, 2, False),
    "rain_sparsity": (losses.rain_sparsity, 1, False),
    "rain_non_negativity": (losses.rain_non_negativity, 1, False),
    "temporal_consistency": (losses.temporal_consistency, 2, True),
    "rain_decorrelation": (losses.rain_decorrelation, 2, True),
}
TWINS: dict[str, Callable[..., float]] = {
    "reconstruction": reference.squared_error,
    "adversarial_generator": lambda score: reference.least_squares(score, 1),
    "adversarial_discriminator": lambda score, clean: (
        (reference.least_squares(score, 0) + reference.least_squares(clean, 1)) / 2
    ),
    "rain_sparsity": lambda R: sum(abs(value) for value in R.flat) / R.size,
    "rain_non_negativity": lambda R: sum(max(-value, 0) for value in R.flat) / R.size,
    "temporal_consistency": reference.masked_difference,
    "rain_decorrelation": reference.squared_correlation,
}
names = pytest.mark.parametrize("name", EVERY)


def arguments(name: str, *, dtype: torch.dtype = torch.float64, count: int = 3, seed: int = 1) -> list[Tensor]:
    """Random pictures [count, 2, 4, 5], mask [count, 1, 4, 5] of 0, 1 and what lies between."""
    generator = torch.Generator().manual_seed(seed)
    _, pictures, has_mask = EVERY[name]
    found = [torch.randn((count, 2, 4, 5), generator=generator, dtype=torch.float64) for _ in range(pictures)]
    if has_mask:
        found.append((torch.rand((count, 1, 4, 5), generator=generator, dtype=torch.float64) * 2 - 0.5).clamp(0, 1))
    return [tensor.to(dtype) for tensor in found]


def call(name: str, given: list[Tensor]) -> Tensor:
    return EVERY[name][0](*given)


def test_no_loss_is_left_out() -> None:
    public = {name for name, value in vars(losses).items() if hasattr(value, "__wrapped__")}
    assert public == set(EVERY)


@names
def test_equals_the_slow_twin(name: str) -> None:
    given = arguments(name)
    assert float(call(name, given)) == pytest.approx(TWINS[name](*[tensor.numpy() for tensor in given]), rel=1e-9)


@pytest.mark.parametrize(
    ("name", "given", "due"),
    [
        ("reconstruction", ([[3.0, 1.0]], [[1.0, 1.0]], [[1.0, 2.0]]), (1 + 4) / 2),
        ("adversarial_generator", ([1.0, 0.0, 3.0],), (0 + 1 + 4) / 3),
        ("adversarial_discriminator", ([2.0, 0.0], [1.0, 3.0, 1.0]), (4 / 2 + 4 / 3) / 2),
        ("rain_sparsity", ([[-0.5, 0.25, 0.0]],), 0.25),
        ("rain_non_negativity", ([[-0.5, 0.25, 0.0, -0.1]],), 0.15),
        ("temporal_consistency", ([[[[1.0, 2.0, 3.0]]]], [[[[1.5, 2.0, 9.0]]]], [[[[1.0, 1.0, 0.0]]]]), 0.25),
        ("rain_decorrelation", ([[[[0.0, 1.0, 0.0, 1.0]]]], [[[[0.0, 2.0, 0.0, 2.0]]]], [[[[1.0] * 4]]]), 1.0),
        ("rain_decorrelation", ([[[[0.0, 1.0, 0.0, 1.0]]]], [[[[0.0, 0.0, 2.0, 2.0]]]], [[[[1.0] * 4]]]), 0.0),
    ],
)
def test_value_by_hand(name: str, given: tuple[object, ...], due: float) -> None:
    assert float(call(name, [torch.tensor(value, dtype=torch.float64) for value in given])) == pytest.approx(due)


@names
def test_gradients(name: str) -> None:
    given = arguments(name)
    pictures = EVERY[name][1]
    free = [tensor.requires_grad_(place < pictures) for place, tensor in enumerate(given)]
    assert torch.autograd.gradcheck(EVERY[name][0], free)


@names
@pytest.mark.parametrize(
    ("dtype", "due"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
    ],
)
def test_type_and_device_stay(name: str, dtype: torch.dtype, due: torch.dtype) -> None:
    given = arguments(name, dtype=dtype)
    found = call(name, given)
    assert (found.dtype, found.device, found.shape) == (due, given[0].device, ())
    assert float(found) == pytest.approx(float(call(name, [tensor.double() for tensor in given])), rel=1e-4)


@names
def test_autocast_does_not_reach_inside(name: str) -> None:
    given = arguments(name, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = call(name, given)
    assert torch.equal(found, call(name, given))


@names
def test_order_of_pictures_does_not_matter(name: str) -> None:
    given = arguments(name)
    order = torch.tensor([2, 0, 1])
    assert float(call(name, [tensor[order] for tensor in given])) == pytest.approx(float(call(name, given)), rel=1e-12)


@names
def test_one_picture_and_none(name: str) -> None:
    one = arguments(name, count=1)
    assert float(call(name, one)) == pytest.approx(TWINS[name](*[tensor.numpy() for tensor in one]), rel=1e-9)
    none = [tensor.requires_grad_() for tensor in arguments(name, count=0)]
    loss = call(name, none)
    loss.backward()
    assert float(loss.detach()) == 0


@pytest.mark.parametrize("name", ["temporal_consistency", "rain_decorrelation"])
def test_where_nothing_can_be_trusted(name: str) -> None:
    """All of it masked: 0, and no gradient that is no number. A masked value may be anything."""
    ours, theirs, mask = arguments(name)
    ours.requires_grad_()
    loss = call(name, [ours, theirs, torch.zeros_like(mask)])
    loss.backward()
    assert float(loss.detach()) == 0
    assert ours.grad is not None
    assert not ours.grad.any()
    ours.requires_grad_(False)
    half = (mask > 0.5).double()
    spoilt = torch.where(half.bool().expand_as(theirs), theirs, 1e6)
    found, due = call(name, [ours, spoilt, half.bool()]), call(name, [ours, theirs, half])
    assert float(found) == pytest.approx(float(due), rel=1e-9)


@pytest.mark.parametrize("name", ["temporal_consistency", "rain_decorrelation"])
def test_a_picture_that_is_masked_does_not_count(name: str) -> None:
    ours, theirs, mask = arguments(name)
    mask[1] = 0
    rest = [tensor[[0, 2]] for tensor in (ours, theirs, mask)]
    found = float(call(name, [ours, theirs, mask]))
    assert found == pytest.approx(float(call(name, rest)), rel=1e-9)
    assert found == pytest.approx(TWINS[name](ours.numpy(), theirs.numpy(), mask.numpy()), rel=1e-9)


def test_a_dry_picture_is_not_correlated() -> None:
    R = torch.zeros((1, 1, 3, 3), requires_grad=True)
    loss = losses.rain_decorrelation(R, torch.rand(1, 1, 3, 3), torch.ones(1, 1, 3, 3))
    loss.backward()
    assert float(loss.detach()) == 0
    assert R.grad is not None
    assert bool(torch.isfinite(R.grad).all())


def test_rains_with_nothing_in_common_cost_nothing() -> None:
    """Both are positive, so their cosine is not 0; their correlation is."""
    rng = np.random.default_rng(1)
    first, second = (torch.from_numpy(rng.random((1, 1, 200, 200))) for _ in range(2))
    everywhere = torch.ones(1, 1, 200, 200)
    assert float(losses.rain_decorrelation(first, second, everywhere)) < 1e-3
    assert float(torch.cosine_similarity(first.flatten(), second.flatten(), dim=0)) > 0.7
    assert math.isclose(float(losses.rain_decorrelation(first, 3 * first + 2, everywhere)), 1, rel_tol=1e-6)


def test_what_is_masked_may_be_anything() -> None:
    """A quotient that is infinite where nothing can be trusted does not spoil the rest, nor its gradient."""
    values = torch.tensor([1.0, math.inf, 3.0], requires_grad=True)
    mean = losses.mean_of(values, torch.tensor([True, False, True]))
    mean.backward()
    assert float(mean.detach()) == 2
    assert values.grad is not None
    assert values.grad.tolist() == [0.5, 0, 0.5]


def test_faint_rain_is_correlated_as_strong_rain_is() -> None:
    """A fortieth of a grey level: what both frames hold alike counts in full."""
    rain = torch.rand((1, 1, 16, 16), generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1e-4
    mask = torch.ones(1, 1, 16, 16, dtype=torch.float64)
    assert float(losses.rain_decorrelation(rain, rain, mask)) == pytest.approx(1, abs=0.01)
