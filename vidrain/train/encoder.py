"""Encoders: the feature spaces in which patches of layers are compared. None of them learns from being compared.

Both layers are shown over the same ground, min(O, M): B as it is, R laid onto it. So brightness and scene do not tell
them apart, and what does is what each has of its own.

    encoder = RestorerEncoder(average)
    taps = encoder(background, window)       # [N, C, h, w] each, `channels` and `strides` say which
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import torch
from torch import Tensor, nn

from vidrain.model.gate import Gate
from vidrain.model.nlcl import as_signal
from vidrain.train.discriminator import TAP_STRIDES, Discriminator, in_colours
from vidrain.train.window import Window, look_at


class Encoder(Protocol):
    """Pictures to features. channels: of every tap; strides: pixels per cell of every tap."""

    channels: tuple[int, ...]
    strides: tuple[int, ...]

    def __call__(self, picture: Tensor, window: Window) -> list[Tensor]:
        """Features of a layer of each window. [N, 1, H, W] to taps [N, C, h, w]"""


class RestorerEncoder:
    """What a restorer's trunk says of a picture among the witnesses of its window: its head and every block.

    net: the moving average, which no optimizer moves.
    """

    def __init__(self, net: Gate) -> None:
        self._net = net
        self.channels: tuple[int, ...] = (net.config.width,) * (1 + net.config.blocks)
        self.strides: tuple[int, ...] = (2,) * len(self.channels)

    def __call__(self, picture: Tensor, window: Window) -> list[Tensor]:
        seen = look_at(picture, window)
        found: list[Tensor] = []
        tapped = (self._net.head, *self._net.blocks)
        handles = [module.register_forward_hook(lambda *call: found.append(call[2])) for module in tapped]
        try:
            self._net(seen.planes)
        finally:
            for handle in handles:
                handle.remove()
        return found


class DiscriminatorEncoder:
    """What the discriminator says of a picture, as published; the witnesses do not count."""

    def __init__(self, discriminator: Discriminator) -> None:
        self._discriminator = discriminator
        self.channels: tuple[int, ...] = discriminator.tap_channels
        self.strides: tuple[int, ...] = TAP_STRIDES

    def __call__(self, picture: Tensor, window: Window) -> list[Tensor]:
        with held(self._discriminator):
            return self._discriminator.features(as_signal(in_colours(picture)))


@contextmanager
def held(module: nn.Module) -> Iterator[None]:
    """Gradients of what is computed here pass through the module, and none is computed for its parameters."""
    moving = [parameter for parameter in module.parameters() if parameter.requires_grad]
    for parameter in moving:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in moving:
            parameter.requires_grad_(True)


@torch.no_grad()
def of_fixed(encoder: Encoder, picture: Tensor, window: Window) -> list[Tensor]:
    """Features of a picture that nothing is to be changed about, such as O."""
    return encoder(picture, window)
