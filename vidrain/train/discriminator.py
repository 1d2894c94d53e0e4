"""The discriminator of NLCL: looks at patches of backgrounds, and lends its features to the contrast of layers.

The anti-aliased PatchGAN of CUT, as published: strides are blurs, so a shift by a pixel changes little. 2,764,737
parameters at the published width, receptive field 84, one score per 8 pixels. Only B has one, R has none.

    score = discriminator(background)                 # [N, 1, h, w]
    taps = discriminator.features(background)         # input, then after convolutions 0, 3, 7, 11
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from vidrain.train.projection import start_small

WIDTH = 64  # channels of the first convolution, as published
_COLOURS = 3
_WIDER = (1, 2, 4, 8)  # times as many has each of them
TAP_STRIDES = (1, 1, 2, 4, 8)  # pixels per cell of each
SMALLEST = 24  # pixels a side: on less an instance norm would see a single value, or nothing


class Blur(nn.Module):
    """Half the size: a [1 2 1] blur both ways, the border mirrored, then every second sample. Nothing to learn."""

    def __init__(self) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])
        self.register_buffer("kernel", line[:, None] * line, persistent=False)
        self.kernel: Tensor

    def forward(self, features: Tensor) -> Tensor:
        channels = features.shape[1]
        padded = functional.pad(features, (1, 1, 1, 1), mode="reflect")
        kernel = self.kernel.to(features.dtype).expand(channels, 1, 3, 3)
        return functional.conv2d(padded, kernel, stride=2, groups=channels)


class Discriminator(nn.Module):
    """Pictures [N, 3, H, W] in [-1, 1], at least 24 pixels a side, to scores [N, 1, h, w], 1 for clean.

    width: channels of the first convolution; time and parameters go with its square.
    """

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.tap_channels = _tap_channels(width)
        self.layers = nn.Sequential(*_layers(self.tap_channels))
        start_small(self)
        for place in _CONVOLUTIONS[1:4]:
            self.layers[place].bias.requires_grad_(False)  # the norm behind it takes every constant away again

    def forward(self, picture: Tensor) -> Tensor:
        score: Tensor = self.layers(picture)
        return score

    def features(self, picture: Tensor) -> list[Tensor]:
        """The picture itself and what leaves convolutions 0, 3, 7 and 11, before norm and activation.

        [N, C, h, w] each, C of `tap_channels` and one cell per TAP_STRIDES pixels. The published code means these
        and, by a slip, drops the last.
        """
        found, features = [picture], picture
        for place, layer in enumerate(list(self.layers)[: _CONVOLUTIONS[3] + 1]):
            features = layer(features)
            if place in _CONVOLUTIONS:
                found.append(features)
        return found


_CONVOLUTIONS = (0, 3, 7, 11, 14)  # their places among the layers, the numbers by which the publication calls them


def in_colours(luma: Tensor) -> Tensor:
    """Luma [N, 1, H, W] as the grey picture [N, 3, H, W] that the discriminator reads, as published."""
    return luma.expand(-1, 3, -1, -1)


def _tap_channels(width: int) -> tuple[int, ...]:
    return (_COLOURS, *(width * times for times in _WIDER))


def _layers(channels_of: Sequence[int]) -> Iterator[nn.Module]:
    for number, (channels, made) in enumerate(pairwise(channels_of)):
        yield nn.Conv2d(channels, made, 4, padding=1)
        if number:
            yield nn.InstanceNorm2d(made)
        yield nn.LeakyReLU(0.2)
        if number < len(_WIDER) - 1:
            yield Blur()
    yield nn.Conv2d(channels_of[-1], 1, 4, padding=1)
