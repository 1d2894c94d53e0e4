"""Encoders: what their taps are, that gradients pass through them to the picture and stop at their own parameters."""

import pytest
import torch
from torch import Tensor, nn

from tests.unit.test_window import window
from vidrain.model.gate import CONFIGS, Gate
from vidrain.train.discriminator import Discriminator
from vidrain.train.encoder import DiscriminatorEncoder, Encoder, RestorerEncoder, held, of_fixed
from vidrain.train.window import look_at


def encoders() -> dict[str, tuple[Encoder, nn.Module]]:
    net, discriminator = Gate(CONFIGS["gate-s"]).requires_grad_(False), Discriminator()
    return {
        "restorer": (RestorerEncoder(net), net),
        "discriminator": (DiscriminatorEncoder(discriminator), discriminator),
    }


@pytest.mark.parametrize("name", ["restorer", "discriminator"])
def test_taps_are_as_stated_and_only_the_picture_gets_a_gradient(name: str) -> None:
    encoder, net = encoders()[name]
    seen = window(side=32)
    picture = seen.observed.clone().requires_grad_()
    moving = [parameter.requires_grad for parameter in net.parameters()]
    taps = encoder(picture, seen)
    assert tuple(tap.shape[1] for tap in taps) == encoder.channels
    for tap, stride in zip(taps, encoder.strides, strict=True):
        assert abs(tap.shape[2] - 32 // stride) <= 1
    torch.stack([tap.square().mean() for tap in taps]).sum().backward()  # type: ignore[no-untyped-call]
    assert picture.grad is not None
    assert picture.grad.any()
    assert all(parameter.grad is None for parameter in net.parameters())
    assert [parameter.requires_grad for parameter in net.parameters()] == moving
    assert not any(tap.requires_grad for tap in of_fixed(encoder, picture, seen))


def test_the_restorer_s_taps_are_its_head_and_blocks() -> None:
    """Its own forward pass gives the same, and no hook stays behind."""
    net, seen = Gate(CONFIGS["gate-s"]), window()
    kept: list[Tensor] = []
    hooks = [part.register_forward_hook(lambda *call: kept.append(call[2])) for part in (net.head, *net.blocks)]
    net(look_at(seen.observed, seen).planes)
    for hook in hooks:
        hook.remove()
    taps = RestorerEncoder(net)(seen.observed, seen)
    assert all(torch.equal(tap, due) for tap, due in zip(taps, kept, strict=True))
    assert not any(part._forward_hooks for part in net.modules())


def test_what_is_held_moves_again_afterwards_even_after_an_error() -> None:
    net = nn.Linear(2, 2)
    net.bias.requires_grad_(False)
    with pytest.raises(RuntimeError), held(net):
        assert not net.weight.requires_grad
        raise RuntimeError
    assert (net.weight.requires_grad, net.bias.requires_grad) == (True, False)
