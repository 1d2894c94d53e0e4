"""Contrastive losses: equal to slow twins and to values by hand, right gradients, and what nothing costs."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from tests import reference
from vidrain.train.contrast import (
    Pull,
    Weighted,
    asymmetric_layer_contrast,
    layer_contrast,
    location_contrast,
    nearness,
    others,
    pulls_by_radius,
    pulls_by_temperature,
)

LOOSE, TIGHT = Pull(0.1, strength=0.75, radius=0.9), Pull(0.05, strength=1.25, radius=0.5)


def unit(*shape: int, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    features = torch.randn((*shape, 6), generator=generator, dtype=torch.float64)
    return torch.nn.functional.normalize(features + 0.5, dim=-1).to(dtype)


def weights(*shape: int, seed: int = 2) -> Tensor:
    """About a third are 0."""
    return (torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 1.5 - 0.5).clamp(0)


def asymmetric(background: Tensor, rain: Tensor, *both: Tensor) -> Tensor:
    background_weight, rain_weight = both or (None, None)
    return asymmetric_layer_contrast(
        background,
        rain,
        pulls=(LOOSE, TIGHT),
        background_weight=background_weight,
        rain_weight=rain_weight,
    )


def symmetric(background: Tensor, rain: Tensor, *both: Tensor) -> Tensor:
    background_weight, rain_weight = both or (None, None)
    return layer_contrast(background, rain, background_weight=background_weight, rain_weight=rain_weight)


def location(query: Tensor, positive: Tensor, negative: Tensor, *both: Tensor) -> Tensor:
    positive_weight, mask = both or (None, None)
    return location_contrast(query, positive, negative, positive_weight=positive_weight, negative_mask=mask)


EVERY: dict[str, Callable[..., Tensor]] = {"location": location, "symmetric": symmetric, "asymmetric": asymmetric}
names = pytest.mark.parametrize("name", EVERY)


def arguments(name: str, *, count: int = 4, dtype: torch.dtype = torch.float64) -> list[Tensor]:
    """Features of `count` queries or groups."""
    if name == "location":
        return [
            unit(count, seed=1, dtype=dtype),
            unit(count, 3, seed=2, dtype=dtype),
            unit(count, 5, seed=3, dtype=dtype),
        ]
    return [unit(count, 4, seed=1, dtype=dtype), unit(count, 7, seed=2, dtype=dtype)]


def weighting(name: str, *, count: int = 4) -> list[Tensor]:
    if name == "location":
        return [weights(count, 3), weights(count, 5, seed=3) > 0]
    return [weights(count, 4), weights(count, 7, seed=3)]


def twin(name: str, given: list[Tensor], both: list[Tensor]) -> float:
    features = [tensor.double().numpy() for tensor in given]
    if name == "location":
        query, positive, negative = features
        weight, present = (
            (tensor.numpy() for tensor in both) if both else (np.ones(positive.shape[:2]), np.ones(negative.shape[:2]))
        )
        return reference.info_nce(query, positive, negative, 0.07, weight, present)
    heavy = tuple(tensor.numpy() for tensor in both) if both else tuple(np.ones(layer.shape[:2]) for layer in features)
    if name == "symmetric":
        first, second = reference.supervised_contrast(tuple(features), heavy, (0.07, 0.07), (1.0, 1.0))
        return reference.mean_over(first + second)
    near = (1 - LOOSE.radius**2 / 2, 1 - TIGHT.radius**2 / 2)
    parts = reference.supervised_contrast(tuple(features), heavy, (LOOSE.temperature, TIGHT.temperature), near)
    means = [reference.mean_over(part) for part in parts]
    return LOOSE.strength * means[0] + TIGHT.strength * means[1]


@names
@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("weighted", [False, True])
def test_equals_the_slow_twin(name: str, count: int, weighted: bool) -> None:
    given, both = arguments(name, count=count), weighting(name, count=count) if weighted else []
    assert float(EVERY[name](*given, *both)) == pytest.approx(twin(name, given, both), rel=1e-9)


def test_location_by_hand() -> None:
    """One query, at 60 degrees to its positive, across from one negative, at right angles to the other."""
    query, positive = torch.tensor([[1.0, 0.0]]), torch.tensor([[[0.5, math.sqrt(0.75)]]])
    negative = torch.tensor([[[-1.0, 0.0], [0.0, 1.0]]])
    due = math.log((math.exp(0.5 / 0.5) + math.exp(-1 / 0.5) + 1) / math.exp(0.5 / 0.5))
    assert float(location_contrast(query, positive, negative, temperature=0.5)) == pytest.approx(due, rel=1e-6)


def test_layers_by_hand() -> None:
    """Two equal backgrounds at right angles to two rains that are opposite to each other."""
    background = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])
    rain = torch.tensor([[[0.0, 1.0], [0.0, -1.0]]])
    of_background = math.log((math.e + 2) / math.e)
    of_rain = math.log((math.exp(-1) + 2) / math.exp(-1))
    both = Pull(temperature=1.0)
    assert float(layer_contrast(background, rain, temperature=1.0)) == pytest.approx((of_background + of_rain) / 2)
    found = asymmetric_layer_contrast(background, rain, pulls=(both, Pull(1.0, strength=3.0)))
    assert float(found) == pytest.approx(of_background + 3 * of_rain)
    near = asymmetric_layer_contrast(background, rain, pulls=(Pull(1.0, radius=1.0), Pull(1.0, strength=0.0)))
    assert float(near) == pytest.approx(math.log((math.exp(0.5) + 2) / math.exp(0.5)))


def test_published_location_loss() -> None:
    """256 places: the diagonal of all similarities is the positive, the rest of each row the negatives."""
    query, keys = unit(256, seed=4), unit(256, seed=5)
    logits = query @ keys.T / 0.07
    due = torch.nn.functional.cross_entropy(logits, torch.arange(256))
    assert float(location_contrast(query, keys[:, None], others(keys))) == pytest.approx(float(due), rel=1e-9)


def test_published_layer_loss_is_mostly_about_rain() -> None:
    """8 and 128 patches: a layer of the published size holds 128 of 136 anchors; the balanced form half."""
    background, rain = unit(1, 8, seed=6), unit(1, 128, seed=7)
    parts = reference.supervised_contrast(
        (background.numpy(), rain.numpy()), (np.ones((1, 8)), np.ones((1, 128))), (0.07, 0.07), (1.0, 1.0)
    )
    means = [reference.mean_over(part) for part in parts]
    assert float(layer_contrast(background, rain)) == pytest.approx((8 * means[0] + 128 * means[1]) / 136, rel=1e-9)
    balanced = asymmetric_layer_contrast(background, rain, pulls=(Pull(), Pull()))
    assert float(balanced) == pytest.approx(means[0] + means[1], rel=1e-9)


@names
def test_gradients(name: str) -> None:
    given, both = [tensor.requires_grad_() for tensor in arguments(name, count=2)], weighting(name, count=2)
    assert torch.autograd.gradcheck(lambda *features: EVERY[name](*features, *both), given)


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
    found = EVERY[name](*given, *weighting(name))
    assert (found.dtype, found.device, found.shape) == (due, given[0].device, ())
    assert float(found) == pytest.approx(
        float(EVERY[name](*[tensor.double() for tensor in given], *weighting(name))), rel=1e-4
    )


@names
def test_autocast_does_not_reach_inside(name: str) -> None:
    given = arguments(name, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = EVERY[name](*given)
    assert torch.equal(found, EVERY[name](*given))


@names
def test_order_does_not_matter(name: str) -> None:
    """Neither of queries or groups, nor of the patches within them."""
    given, both = arguments(name), weighting(name)
    due = float(EVERY[name](*given, *both))
    around = torch.tensor([2, 0, 3, 1])
    assert float(EVERY[name](*[tensor[around] for tensor in (*given, *both)])) == pytest.approx(due, rel=1e-12)
    turned = [tensor.flip(1) for tensor in (given[-2:] if name == "location" else given)]
    kept = given[:1] if name == "location" else []
    assert float(EVERY[name](*kept, *turned, *[tensor.flip(1) for tensor in both])) == pytest.approx(due, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "shapes"),
    [
        ("location", [(0,), (0, 3), (0, 5)]),  # no query
        ("location", [(2,), (2, 0), (2, 5)]),  # no positive
        ("location", [(2,), (2, 3), (2, 0)]),  # no negative: nothing to tell apart
        ("symmetric", [(0, 4), (0, 7)]),
        ("symmetric", [(2, 0), (2, 0)]),
        ("symmetric", [(2, 1), (2, 1)]),  # a patch alone has no positive
        ("asymmetric", [(0, 4), (0, 7)]),
        ("asymmetric", [(2, 1), (2, 0)]),
    ],
)
def test_nothing_to_compare_costs_nothing(name: str, shapes: list[tuple[int, ...]]) -> None:
    given = [unit(*shape).requires_grad_() for shape in shapes]
    loss = EVERY[name](*given)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(0, abs=1e-12)
    assert not any(tensor.grad is not None and tensor.grad.isnan().any() for tensor in given)


@names
def test_weight_zero_means_not_there(name: str) -> None:
    """As if taken out of the tensors, in the value and in the gradient."""
    given = arguments(name, count=1)
    last = given[-1].shape[1]
    keep = torch.arange(last) != 2
    both = [torch.ones(given[-2].shape[:2]), keep[None].to(torch.bool if name == "location" else torch.float64)]
    if name == "location":
        both[0] = torch.ones(1, 3)
    spoilt = given[-1].clone()
    spoilt[:, 2] = 1.0
    spoilt.requires_grad_()
    loss = EVERY[name](*given[:-1], spoilt, *both)
    assert float(loss.detach()) == pytest.approx(float(EVERY[name](*given[:-1], given[-1][:, keep])), rel=1e-12)
    loss.backward()
    assert spoilt.grad is not None
    assert not spoilt.grad[:, 2].any()


@pytest.mark.parametrize("name", ["symmetric", "asymmetric"])
@pytest.mark.parametrize("layer", [0, 1])
def test_a_weight_near_zero_is_near_not_there(name: str, layer: int) -> None:
    """In the value and in the gradient: else a doubtful positive is pushed away with all the force of a stranger."""
    given = arguments(name, count=2)
    both = [torch.ones(features.shape[:2], dtype=torch.float64) for features in given]

    def found(weight: float) -> tuple[float, Tensor]:
        heavy = [one.clone() for one in both]
        heavy[layer][:, 1] = weight
        features = [one.clone().requires_grad_() for one in given]
        loss = EVERY[name](*features, *heavy)
        loss.backward()
        return float(loss.detach()), torch.cat([one.grad.flatten() for one in features if one.grad is not None])

    (none, none_slope), (little, little_slope) = found(0.0), found(1e-9)
    assert little == pytest.approx(none, abs=1e-6)
    assert torch.allclose(little_slope, none_slope, atol=1e-6)


@pytest.mark.parametrize("weight", [1e-3, 0.1, 0.5, 1.0])
def test_a_doubtful_positive_is_still_pulled(weight: float) -> None:
    """Never pushed away, however little its weight: the loss falls as it comes closer."""
    angle = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    doubtful = torch.stack([torch.cos(angle), torch.sin(angle), 0 * angle])
    sure = torch.tensor([[1.0, 0.0, 0.0], [1.0, 0.0, 0.0]], dtype=torch.float64)
    background = torch.cat([sure, doubtful[None]])[None]
    rain = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64)
    loss = layer_contrast(
        background, rain, temperature=1.0, background_weight=torch.tensor([[1.0, 1.0, weight]], dtype=torch.float64)
    )
    loss.backward()
    assert angle.grad is not None
    assert float(angle.grad) > 0


def test_no_pull_within_the_radius_but_push_all_the_same() -> None:
    """Two backgrounds 0.1 apart, rain at right angles to both: beyond the radius they attract, within it no more."""
    angle = torch.tensor(0.1, dtype=torch.float64, requires_grad=True)
    second = torch.stack([torch.cos(angle), torch.sin(angle), 0 * angle])
    background = torch.stack([torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), second])[None]
    rain = torch.tensor([[[0.0, 0.0, 1.0]]], dtype=torch.float64, requires_grad=True)
    for radius, attracts in ((0.05, True), (0.5, False)):
        loss = asymmetric_layer_contrast(background, rain, pulls=(Pull(1.0, radius=radius), Pull()))
        slope, push = torch.autograd.grad(loss, (angle, rain), retain_graph=True)
        assert (float(slope) > 1e-3) == attracts
        assert attracts or float(slope) == 0
        assert float(push[0, 0, 0]) > 0


def test_dimensions_decide_the_asymmetry() -> None:
    loose, tight = pulls_by_temperature(15.7, 9.4, temperature=0.07)
    assert loose.temperature > 0.07 > tight.temperature
    assert loose.temperature * tight.temperature == pytest.approx(0.07**2)
    assert tight.strength / loose.strength == pytest.approx(15.7 / 9.4)
    assert loose.strength + tight.strength == pytest.approx(2)
    wide, narrow = pulls_by_radius(15.7, 9.4)
    assert (wide.temperature, wide.strength) == (narrow.temperature, narrow.strength) == (0.07, 1.0)
    assert math.sqrt(2) > wide.radius > narrow.radius > 0
    assert (wide.radius / math.sqrt(2)) ** 15.7 == pytest.approx(
        (narrow.radius / math.sqrt(2)) ** 9.4
    )  # the same share
    assert loose.temperature / tight.temperature == pytest.approx((wide.radius / narrow.radius) ** 2)


def test_equal_dimensions_are_symmetric_and_noise_turns_it_around() -> None:
    for pulls in (pulls_by_temperature, pulls_by_radius):
        assert len(set(pulls(12.0, 12.0))) == 1
        assert pulls(12.8, 23.5) == pulls(23.5, 12.8)[::-1]
    assert pulls_by_temperature(12.8, 23.5)[0].temperature < 0.07


@pytest.mark.parametrize("dimensions", [(0, 9), (9, -1), (math.nan, 9)])
def test_dimensions_that_are_none(dimensions: tuple[float, float]) -> None:
    for pulls in (pulls_by_temperature, pulls_by_radius):
        with pytest.raises(ValueError, match="want dimensions above 0"):
            pulls(*dimensions)


def test_nearness() -> None:
    """Two clips, each by its own scale, however different they are."""
    distance = torch.tensor([1.0, 2.0, 4.0, math.inf])
    valid = torch.tensor([True, True, True, False])
    due = [math.exp(-0.5), math.exp(-1), math.exp(-2), 0]
    assert nearness(torch.stack([distance, distance * 1000]), torch.stack([valid, valid])).tolist() == [
        pytest.approx(due),
        pytest.approx(due),
    ]
    nested = nearness(distance.view(1, 2, 2), valid.view(1, 2, 2))
    assert nested.flatten().tolist() == pytest.approx(due)
    assert nearness(torch.tensor([[0.0, 0.0]]), torch.tensor([[True, True]])).tolist() == [[1, 1]]
    assert nearness(distance[None], valid[None] & False).tolist() == [[0, 0, 0, 0]]
    assert nearness(torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool)).shape == (0, 3)
    assert nearness(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool)).shape == (2, 0)


@pytest.mark.parametrize("name", ["symmetric", "asymmetric"])
def test_further_negatives_of_rain_equal_the_slow_twin(name: str) -> None:
    """Rain anchors see them beside the backgrounds, background anchors do not, and they are no anchors themselves."""
    (background, rain), (heavy, wet) = arguments(name), weighting(name)
    edges, there = unit(4, 3, seed=9), weights(4, 3, seed=4)
    given = {"background_weight": heavy, "rain_weight": wet, "rain_negative": Weighted(edges, there)}
    if name == "symmetric":
        found = layer_contrast(background, rain, **given)  # type: ignore[arg-type]
    else:
        found = asymmetric_layer_contrast(background, rain, pulls=(LOOSE, TIGHT), **given)  # type: ignore[arg-type]
    heat, near = (0.07, 0.07), (1.0, 1.0)
    if name == "asymmetric":
        heat = (LOOSE.temperature, TIGHT.temperature)
        near = (1 - LOOSE.radius**2 / 2, 1 - TIGHT.radius**2 / 2)
    layers = (background.numpy(), rain.numpy())
    more = (torch.cat([background, edges], 1).numpy(), rain.numpy())
    own = reference.supervised_contrast(layers, (heavy.numpy(), wet.numpy()), heat, near)[0]
    other = reference.supervised_contrast(more, (torch.cat([heavy, there], 1).numpy(), wet.numpy()), heat, near)[1]
    means = [reference.mean_over(part) for part in (own, other)]
    due = (
        reference.mean_over(own + other)
        if name == "symmetric"
        else LOOSE.strength * means[0] + TIGHT.strength * means[1]
    )
    assert float(found) == pytest.approx(due, rel=1e-9)
