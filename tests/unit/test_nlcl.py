"""The published network against a slow twin in numpy, and what frozen statistics are for."""

from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.checkpoints import SHAPES, checkpoint
from tests.reference import nlcl_generator
from vidrain.model.nlcl import (
    RECEPTIVE_RADIUS,
    Generator,
    Nlcl,
    NlclDecomposer,
    NlclOptions,
    Statistics,
    as_picture,
    as_signal,
    pooled,
)
from vidrain.types import Aligned


def picture(seed: int, *, height: int = 24, width: int = 31, count: int = 1) -> Tensor:
    """Smooth blobs and noise, [N, 3, H, W] in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((count, 3, 4, 5), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return (smooth + 0.1 * torch.rand((count, 3, height, width), generator=generator)).clamp(0, 1)


@cache
def generator(seed: int, dtype: torch.dtype = torch.float32) -> Generator:
    net = Generator()
    net.load_state_dict(checkpoint(seed))
    return net.to(dtype).requires_grad_(False)


def fresh(seed: int, dtype: torch.dtype = torch.float32) -> Generator:
    """One of its own, whose statistics no other test freezes."""
    net = Generator()
    net.load_state_dict(checkpoint(seed))
    return net.to(dtype).requires_grad_(False)


def model(statistics: Statistics, dtype: torch.dtype = torch.float32) -> Nlcl:
    return Nlcl(fresh(1, dtype), fresh(2, dtype), statistics=statistics)


def alone(observed: Tensor, shot: int = 0) -> Aligned:
    """A window without witnesses, as the decomposer gets it."""
    return Aligned(
        observed, observed.new_empty((0, *observed.shape)), observed.new_empty((0, *observed.shape[1:])), shot
    )


def test_names_shapes_and_size_are_those_published() -> None:
    state = Generator().state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == SHAPES
    assert len(state) == 72
    assert sum(tensor.numel() for tensor in state.values()) == 316_195


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("size", [(24, 31), (5, 3), (1, 9)])
def test_equals_the_slow_twin(dtype: torch.dtype, close: float, size: tuple[int, int]) -> None:
    signal = as_signal(picture(3, height=size[0], width=size[1]).to(dtype))
    state = {name: tensor.double().numpy() for name, tensor in checkpoint(1).items()}
    due = nlcl_generator(state, signal[0].double().numpy())
    found = generator(1, dtype)(signal)[0].double().numpy()
    assert np.abs(due).max() > 0.05, "a dead network would prove nothing"
    assert np.abs(found - due).max() < close


def test_background_is_clamped_and_not_rounded() -> None:
    observed = picture(4)
    state = {name: tensor.double().numpy() for name, tensor in checkpoint(1).items()}
    state["gen.18.bias"] = state["gen.18.bias"] + [1.0, -1.0, 0.0]  # drives two channels out of range
    due = (nlcl_generator(state, as_signal(observed)[0].double().numpy()).clip(-1, 1) + 1) / 2
    back = fresh(1)
    back.gen[18].bias += torch.tensor([1.0, -1.0, 0.0])
    found = Nlcl(back, None, statistics="live")(observed)[0].numpy()
    assert found.min() == 0
    assert found.max() == 1
    assert np.abs(found - due).max() < 1e-4
    assert np.abs(found[2] * 255 - np.rint(found[2] * 255)).max() > 0.3


def test_live_statistics_are_of_each_picture() -> None:
    both = picture(5, count=2)
    together = model("live")(both)
    for one, out in zip(both, together, strict=True):
        torch.testing.assert_close(model("live")(one[None])[0], out, rtol=0, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_frozen_equals_live_on_the_frame_it_was_measured_on(dtype: torch.dtype) -> None:
    first, second = picture(6).to(dtype), picture(7).to(dtype)
    frozen, live = model("frozen", dtype), model("live", dtype)
    assert torch.equal(frozen(first), live(first))
    assert not torch.allclose(frozen(second), live(second), atol=1e-3)
    frozen.forget()
    assert torch.equal(frozen(second), live(second))


def test_pooled_moments_are_those_of_all_pixels_together() -> None:
    """Side by side the pictures are one: the first norm, which has no norm before it, must say the same of both."""
    pictures = picture(8, count=3).double()
    net = generator(1, torch.float64)
    mean, variance = pooled([net.measure(pictures[:1]), net.measure(pictures[1:])])[0]
    convolved = torch.cat([net.gen[1].model[0](net.gen[0](one[None])) for one in pictures], dim=-1)
    torch.testing.assert_close(mean, convolved.mean((2, 3), keepdim=True))
    torch.testing.assert_close(variance, convolved.var((2, 3), correction=0, keepdim=True))


def test_tiles_equal_the_whole_frame_with_frozen_statistics_only() -> None:
    whole = picture(9, height=96, width=120)
    tile = (slice(None), slice(None), slice(0, 90), slice(10, 110))
    inner = (slice(None), slice(None), slice(0, 90 - RECEPTIVE_RADIUS), slice(RECEPTIVE_RADIUS, 100 - RECEPTIVE_RADIUS))
    for statistics, close in (("frozen", True), ("live", False)):
        net = model(statistics)  # type: ignore[arg-type]
        due = net(whole)[tile][inner]
        worst = float((net(whole[tile])[inner] - due).abs().max())
        assert (worst < 1e-5) == close, (statistics, worst)


def test_a_pixel_beyond_the_receptive_field_does_not_count() -> None:
    """And the one at its rim does: the margin is not wider than it has to be."""
    observed = picture(10, height=5, width=100)
    net = model("frozen", torch.float64)
    due = net(observed.double())
    for distance, counts in ((RECEPTIVE_RADIUS, True), (RECEPTIVE_RADIUS + 1, False)):
        changed = observed.double().clone()
        changed[..., 20 + distance] = 1 - changed[..., 20 + distance]
        assert (not torch.equal(net(changed)[..., 20], due[..., 20])) == counts


def test_biases_that_a_norm_takes_away_do_not_train() -> None:
    """33 of them; moving them changes nothing, and no optimizer shall carry them."""
    net, observed = fresh(1, torch.float64), picture(11).double()
    dead = [parameter for parameter in Generator().parameters() if not parameter.requires_grad]
    assert [tuple(bias.shape) for bias in dead] == [(32,)] * 33
    before = net(observed)
    for name, parameter in net.named_parameters():
        if not dict(Generator().named_parameters())[name].requires_grad:
            parameter += 0.5
    torch.testing.assert_close(net(observed), before, rtol=0, atol=1e-9)


def test_taps_are_what_leaves_the_modules() -> None:
    signal, net = as_signal(picture(16)), generator(1)
    kept: dict[int, Tensor] = {}
    hooks = [
        net.gen[number].register_forward_hook(lambda _, __, out, number=number: kept.update({number: out}))
        for number in (0, 2, 12, 18)
    ]
    out = net(signal)
    for hook in hooks:
        hook.remove()
    found = net.features(signal, [0, 2, 12])
    assert all(torch.equal(one, kept[number]) for one, number in zip(found, (0, 2, 12), strict=True))
    assert torch.equal(net.features(signal, [18])[0], out)
    assert net.features(signal, []) == []


def test_back_as_published() -> None:
    observed = picture(12)[0]
    decomposer = NlclDecomposer(model("live"), NlclOptions(output="back", statistics="live"))
    assert decomposer.radius == 0
    torch.testing.assert_close(observed - decomposer(alone(observed)), model("live")(observed[None])[0])


def test_residual_takes_what_rain_adds_to_its_own_median() -> None:
    observed = picture(13)[0]
    decomposer = NlclDecomposer(model("live"), NlclOptions(output="residual", statistics="live"))
    removal = decomposer(alone(observed)).numpy()
    state = {name: tensor.double().numpy() for name, tensor in checkpoint(2).items()}
    rain = nlcl_generator(state, as_signal(observed).double().numpy())
    for channel in range(3):
        middle = np.sort(rain[channel].ravel())[(rain[channel].size - 1) // 2]
        assert np.abs(removal[channel] - (rain[channel] - middle) / 2).max() < 1e-4


def test_residual_needs_a_rain_network() -> None:
    with pytest.raises(ValueError, match="rain network"):
        NlclDecomposer(Nlcl(fresh(1), None, statistics="live"), NlclOptions(output="residual"))


def test_decomposer_measures_the_first_frames_of_each_shot() -> None:
    """Eight frames, then no more; a cut starts anew; the first frame of a shot is as with live statistics."""
    frames = picture(14, count=12)
    decomposer = NlclDecomposer(model("frozen"), NlclOptions())
    found = [frame - decomposer(alone(frame, shot)) for frame, shot in zip(frames, [0] * 10 + [1] * 2, strict=True)]
    net = fresh(1)
    for index, seen in (
        (0, [0]),
        (3, [0, 1, 2, 3]),
        (7, list(range(8))),
        (9, list(range(8))),
        (10, [10]),
        (11, [10, 11]),
    ):
        net.frozen = pooled([net.measure(as_signal(frames[seen]))])
        torch.testing.assert_close(found[index], as_picture(net(as_signal(frames[index][None])))[0], rtol=0, atol=1e-5)


def test_two_decomposers_of_one_network_do_not_meet() -> None:
    """Nor does the network remember: what is measured for one video is nobody else's."""
    frames, shared = picture(17, count=2), model("frozen")
    alone_first, alone_second = (NlclDecomposer(model("frozen"), NlclOptions())(alone(frame)) for frame in frames)
    first, second = NlclDecomposer(shared, NlclOptions()), NlclDecomposer(shared, NlclOptions())
    assert torch.equal(first(alone(frames[0])), alone_first)
    assert torch.equal(second(alone(frames[1])), alone_second)
    assert shared.back.frozen == ()
    assert torch.equal(shared(frames), model("frozen")(frames))


@pytest.mark.parametrize(("dtype", "kept"), [(torch.float64, torch.float64), (torch.bfloat16, torch.float32)])
def test_frozen_moments_follow_the_network(dtype: torch.dtype, kept: torch.dtype) -> None:
    net, observed = model("frozen"), picture(18)
    due = net(observed)
    moved = net.to(dtype)
    assert {part.dtype for norm in moved.back.frozen for part in norm} == {kept}
    assert moved(observed.to(dtype)).dtype == dtype
    close = {"rtol": 0, "atol": 1e-5 if dtype == torch.float64 else 0.1}
    torch.testing.assert_close(moved(observed.to(dtype)).float(), due, **close)
    there = net.to("meta")
    assert {part.device.type for norm in there.back.frozen for part in norm} == {"meta"}


def test_in_autocast_moments_are_measured_in_full() -> None:
    net, signal = generator(1), as_signal(picture(19, height=64, width=64))
    with torch.autocast("cpu", torch.bfloat16):
        found = net.measure(signal)
        frozen = net(signal, found)
    assert {part.dtype for norm in found for part in norm} == {torch.float32}
    assert not torch.equal(found[0].mean, found[0].mean.bfloat16())  # not merely widened afterwards
    torch.testing.assert_close(frozen.float(), net(signal), rtol=0, atol=0.2)


def test_live_decomposer_ignores_what_came_before() -> None:
    frames = picture(15, count=2)
    decomposer = NlclDecomposer(model("live"), NlclOptions(statistics="live"))
    decomposer(alone(frames[0]))
    torch.testing.assert_close(frames[1] - decomposer(alone(frames[1])), model("live")(frames[1:])[0])
