"""Aligned windows, the same windows seen from one of their neighbours, and the layers that a restorer makes of them.

A window of frame t holds its neighbours in the coordinates of t. Take one of them as the observation, put t among the
witnesses, and the restorer gives B and R of the neighbour where they lie in t: two rains and two backgrounds of one
scene, and no more data for it.

    window = Window(observed, witnesses, error)
    both = stacked([window, seen_from(window, torch.tensor([2, 0]))])
    layers = layers_of(net, both)
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.model.gate import Gate
from vidrain.model.planes import Seen, look


class Window(NamedTuple):
    """N windows of K witnesses. observed: [N, 3, H, W]; witnesses: [N, K, 3, H, W]; error: [N, K, H, W] in pixels."""

    observed: Tensor
    witnesses: Tensor
    error: Tensor

    def first(self, count: int) -> "Window":
        """The first windows."""
        return Window(self.observed[:count], self.witnesses[:count], self.error[:count])


class Layers(NamedTuple):
    """Background and rain, O = B + R, and the floor min(O, M), all [N, 3, H, W]; the floor needs no training."""

    background: Tensor
    rain: Tensor
    floor: Tensor


def seen_from(window: Window, chosen: Tensor) -> Window:
    """The windows with their witness number `chosen` [N] as the observation, and the observation in its place.

    A witness is as far off from another one as both are from the observation.
    """
    rows = torch.arange(len(chosen), device=window.observed.device)
    away = window.error[rows, chosen]
    witnesses, error = window.witnesses.clone(), window.error + away[:, None]
    witnesses[rows, chosen], error[rows, chosen] = window.observed, away
    return Window(window.witnesses[rows, chosen], witnesses, error)


def stacked(views: Sequence[Window]) -> Window:
    """T views of N windows as N * T windows, those of one window next to each other."""
    return Window(*(torch.stack(part, dim=1).flatten(0, 1) for part in zip(*views, strict=True)))


def look_at(picture: Tensor, window: Window, net: Gate) -> Seen:
    """What `net` sees of a picture [N, 3, H, W] among the witnesses of a window: its own observation, or a layer."""
    return look(picture, window.witnesses, window.error, per_channel=net.config.per_channel)


def layers_of(net: Gate, window: Window) -> Layers:
    """What the restorer makes of windows, its gate as it is: in training it may leave [0, 1]."""
    seen = look_at(window.observed, window, net)
    rain = net(seen.planes).float() * seen.excess
    return Layers(window.observed - rain, rain, window.observed - seen.excess)
