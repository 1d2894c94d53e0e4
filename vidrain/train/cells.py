"""The contrast of layers where the restorer decides: in the features of its trunk, between cells of known layers.

Of rain that was pasted, or is told, every cell of 2 x 2 pixels is known for what it is: one that exceeds its neighbours
because there is rain, or one that does although there is none, as texture does that was misaligned. The contrast
of layers (`contrast.py`) draws the cells of a layer together and the layers apart, each by its own pull. Unlike the
published one, which looks at patches of pictures, it acts on what the decision is made of. Ours, not the authors'. The
pulls go by dimensions that were measured on patches, not on these features, and hardly differ.

    cells = choose_cells(Compared(pair, excess, certain), generator, 64)  # or shuffled(cells, generator), as a control
    background, rain = (head(features_at(features, places)) for places in cells)
    loss = asymmetric_layer_contrast(background, rain, pulls=pulls)
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vidrain.model.gate import FOLD
from vidrain.train.recycling import Recycled

_LEAST = (
    0.02  # of luma in [0, 1], as `RecycleOptions.speckle`: what exceeds the neighbours by more than noise, and is rain
)
_TRACE = 0.005  # a grey level or so: less of it, as a codec leaves it, is no rain


class Compared(NamedTuple):
    """A pair of N windows, and what is known of it.

    excess: [N, 1, H, W], what the observation has more than the median of its neighbours. certain: [N] bool, windows
    whose target is a truth: in the others a teacher may have missed rain.
    """

    pair: Recycled
    excess: Tensor
    certain: Tensor


class Cells(NamedTuple):
    """Places (window, row, column) of cells, [K, 3] each, without rain and with it."""

    background: Tensor
    rain: Tensor


@torch.no_grad()
def choose_cells(seen: Compared, generator: torch.Generator, most: int) -> Cells:
    """At most so many cells of each layer, drawn evenly from all windows of a pair.

    No cell of a window whose truth is not certain passes for dry. Cells of which the truth is not known everywhere, and
    those with a trace of rain, are neither.
    """
    pair, excess, certain = seen
    rain = _largest((pair.observed - pair.target) * pair.known)
    known = -_largest(-pair.known.to(excess.dtype)) > 0
    exceeds = _largest(excess) > _LEAST
    is_rain, is_dry = rain > _LEAST, (rain < _TRACE) & certain[:, None, None, None]
    return Cells(*(_drawn(kind & known & exceeds, generator, most) for kind in (is_dry, is_rain)))


def shuffled(cells: Cells, generator: torch.Generator) -> Cells:
    """The same cells, as many of them in each layer, whatever layer they are of."""
    every = torch.cat(cells)
    order = torch.randperm(len(every), generator=generator).to(every.device)
    count = len(cells.background)
    return Cells(every[order[:count]], every[order[count:]])


def features_at(features: Tensor, places: Tensor) -> Tensor:
    """Features [N, C, h, w] at K places. [1, K, C]"""
    window, row, column = places.unbind(1)
    return features[window, :, row, column][None]


def _largest(picture: Tensor) -> Tensor:
    return functional.max_pool2d(picture, FOLD, ceil_mode=True)


def _drawn(wanted: Tensor, generator: torch.Generator, most: int) -> Tensor:
    """Places of at most so many of the wanted cells [N, 1, h, w] bool. generator: on the CPU"""
    places = wanted[:, 0].nonzero()
    order = torch.randperm(len(places), generator=generator)[:most]
    return places[order.to(places.device)]
