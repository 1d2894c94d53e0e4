"""Heads and discriminator: sizes as published, and what they do to features."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.reference import patch_discriminator
from vidrain.train.discriminator import SMALLEST, TAP_STRIDES, Blur, Discriminator
from vidrain.train.projection import Projection, Projections


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_heads_are_of_the_published_size_and_exist_at_once() -> None:
    assert parameters(Projections([32] * 5)) == 371_200
    assert parameters(Projections(Discriminator().tap_channels)) == 576_768


def test_head_is_a_perceptron_with_output_of_length_one() -> None:
    head, features = Projection(7, width=9).double(), torch.randn(3, 4, 7, dtype=torch.float64)
    first, _, second = head.layers
    inner = (features @ first.weight.T + first.bias).clamp(min=0) @ second.weight.T + second.bias
    found = head(features)
    torch.testing.assert_close(found, inner / inner.norm(dim=-1, keepdim=True))
    torch.testing.assert_close(found.norm(dim=-1), torch.ones(3, 4, dtype=torch.float64))
    assert not head(torch.zeros(2, 7, dtype=torch.float64)).isnan().any()
    assert head(features[:0]).shape == (0, 4, 9)


def test_every_tap_has_its_head() -> None:
    heads, taps = Projections([3, 5], width=4), [torch.randn(2, 3), torch.randn(6, 5)]
    for out, head, tap in zip(heads(taps), heads.heads, taps, strict=True):
        assert torch.equal(out, head(tap))
    with pytest.raises(ValueError, match="found 1 taps; want 2"):
        heads(taps[:1])


def test_published_start() -> None:
    torch.manual_seed(1)
    head, discriminator = Projection(256), Discriminator()
    for weight, fan in ((head.layers[0].weight, 512), (discriminator.layers[7].weight, (128 + 256) * 16)):
        assert float(weight.detach().std()) == pytest.approx(0.02 * (2 / fan) ** 0.5, rel=0.02)
    biases = [parameter for name, parameter in discriminator.named_parameters() if name.endswith("bias")]
    assert len(biases) == 5
    assert not any(bias.any() for bias in biases)


def test_discriminator_is_of_the_published_size() -> None:
    discriminator = Discriminator()
    assert parameters(discriminator) == 2_764_737
    assert discriminator(torch.zeros(1, 3, 256, 256)).shape == (1, 1, 30, 30)
    assert discriminator(torch.rand(2, 3, SMALLEST, SMALLEST)).shape == (2, 1, 1, 1)


def test_a_narrower_discriminator_has_the_same_layers_and_fewer_parameters() -> None:
    narrow, published = Discriminator(width=16), Discriminator()
    assert parameters(narrow) < parameters(published) / 15
    assert [type(layer) for layer in narrow.layers] == [type(layer) for layer in published.layers]
    assert tuple(tap.shape[1] for tap in narrow.features(torch.rand(1, 3, 64, 64))) == (3, 16, 32, 64, 128)
    assert narrow.tap_channels == (3, 16, 32, 64, 128)


def test_taps_are_the_convolutions_in_turn() -> None:
    discriminator, picture = Discriminator(), torch.rand(2, 3, 64, 72)
    kept = []
    for place in (0, 3, 7, 11):
        discriminator.layers[place].register_forward_hook(lambda _, __, out: kept.append(out))
    taps = discriminator.features(picture)
    assert torch.equal(taps[0], picture)
    assert all(torch.equal(tap, due) for tap, due in zip(taps[1:], kept, strict=True))
    assert tuple(tap.shape[1] for tap in taps) == discriminator.tap_channels == (3, 64, 128, 256, 512)
    for tap, stride in zip(taps, TAP_STRIDES, strict=True):
        assert abs(tap.shape[2] - 64 // stride) <= 1
        assert abs(tap.shape[3] - 72 // stride) <= 1


def test_discriminator_equals_the_slow_twin() -> None:
    """With biases and weights of a size that makes every layer count."""
    torch.manual_seed(3)
    discriminator = Discriminator().double()
    with torch.no_grad():
        for parameter in discriminator.parameters():
            parameter.copy_(torch.randn_like(parameter) * (0.1 if parameter.ndim > 1 else 0.5))
    picture = torch.rand(1, 3, 26, 29, dtype=torch.float64) * 2 - 1
    state = {name: tensor.numpy() for name, tensor in discriminator.state_dict().items()}
    score, taps = patch_discriminator(state, picture[0].numpy())
    with torch.no_grad():
        found, features = discriminator(picture), discriminator.features(picture)
    np.testing.assert_allclose(found[0].numpy(), score, rtol=1e-9, atol=1e-9)
    for tap, due in zip(features, taps, strict=True):
        np.testing.assert_allclose(tap[0].numpy(), due, rtol=1e-9, atol=1e-9)


def test_a_score_sees_84_pixels() -> None:
    """Through the convolutions alone: norms look at everything."""
    layers = [layer for layer in Discriminator().layers if not isinstance(layer, nn.InstanceNorm2d)]
    picture = torch.rand(1, 3, 256, 256, requires_grad=True)
    nn.Sequential(*layers)(picture)[0, 0, 15, 15].backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 84


def test_blur_halves_and_keeps_what_is_flat() -> None:
    blur = Blur()
    assert not list(blur.parameters())
    torch.testing.assert_close(blur(torch.full((1, 2, 9, 12), 3.0)), torch.full((1, 2, 5, 6), 3.0))
    dot = torch.zeros(1, 1, 5, 5)
    dot[0, 0, 2, 2] = 16
    assert blur(dot)[0, 0].tolist() == [[0, 0, 0], [0, 4, 0], [0, 0, 0]]
    dot = torch.zeros(1, 1, 5, 5)
    dot[0, 0, 1, 1] = 16
    assert blur(dot)[0, 0].tolist() == [[4, 2, 0], [2, 1, 0], [0, 0, 0]]  # mirrored at the border


def test_biases_before_norms_do_not_train() -> None:
    fixed = [name for name, parameter in Discriminator().named_parameters() if not parameter.requires_grad]
    assert fixed == ["layers.3.bias", "layers.7.bias", "layers.11.bias"]
