"""Aligned windows, the same windows seen from one of their neighbours, and the layers that a restorer makes of them.

A window of frame t holds its neighbours in the coordinates of t as witnesses, as the gate sees them: dried, with hardly
any rain of their own, or as filmed, where it has no pass before (gate-s, gate-m). Take one of them as it was filmed as
the observation, put t among the witnesses, as those are, and the restorer gives B and R of the neighbour where they lie
in t: two rains and two backgrounds of one scene.

    window = Window(observed, witnesses, error)
    both = stacked([window, seen_from(window, Neighbour(torch.tensor([2, 0]), filmed, dried))])
    layers = layers_of(net, both)
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.model.gate import Gate, taken
from vidrain.model.planes import Seen, look


class Window(NamedTuple):
    """N windows of K witnesses. observed: [N, 1, H, W]; witnesses: [N, K, 1, H, W]; error: [N, K, H, W] in pixels."""

    observed: Tensor
    witnesses: Tensor
    error: Tensor

    def first(self, count: int) -> "Window":
        """The first windows."""
        return Window(self.observed[:count], self.witnesses[:count], self.error[:count])


class Neighbour(NamedTuple):
    """A witness of each of N windows as it was filmed, and the frame of the window as it bears witness itself.

    number: [N], which witness it is. filmed: [N, 1, H, W], warped as that witness is. dried: [N, 1, H, W], of the
    observation of the window what the pass before has left; all of it, where there is none.
    """

    number: Tensor
    filmed: Tensor
    dried: Tensor

    def first(self, count: int) -> "Neighbour":
        """Those of the first windows."""
        return Neighbour(self.number[:count], self.filmed[:count], self.dried[:count])


class Layers(NamedTuple):
    """Background and rain, O = B + R, and the floor min(O, M), all [N, 1, H, W]; the floor needs no training."""

    background: Tensor
    rain: Tensor
    floor: Tensor


def seen_from(window: Window, neighbour: Neighbour) -> Window:
    """The windows with the neighbour, as filmed, as the observation, and their own frame in its place.

    That is dried where witnesses are. A witness is as far off from another one as both are from the observation.
    """
    away = error_of(window, neighbour)
    rows = torch.arange(len(away), device=away.device)
    witnesses, error = window.witnesses.clone(), window.error + away[:, None]
    witnesses[rows, neighbour.number], error[rows, neighbour.number] = neighbour.dried, away
    return Window(neighbour.filmed, witnesses, error)


def error_of(window: Window, neighbour: Neighbour) -> Tensor:
    """How far the warp of the neighbour may be off. [N, H, W] in pixels"""
    return window.error[torch.arange(len(neighbour.number), device=neighbour.number.device), neighbour.number]


def stacked(views: Sequence[Window]) -> Window:
    """T views of N windows as N * T windows, those of one window next to each other."""
    return Window(*(torch.stack(part, dim=1).flatten(0, 1) for part in zip(*views, strict=True)))


def look_at(picture: Tensor, window: Window) -> Seen:
    """What a gate sees of a picture [N, 1, H, W] among the witnesses of a window: its own observation, or a layer.

    Windows to train on are of the size that a gate looks at (`data`): nothing is left to be reduced.
    """
    return look(picture, window.witnesses, window.error)


def layers_of(net: Gate, window: Window) -> Layers:
    """What the restorer makes of windows, its gate as it is: in training it may leave [0, 1]."""
    seen = look_at(window.observed, window)
    rain = taken(net(seen.planes).float(), seen)
    return Layers(window.observed - rain, rain, window.observed - seen.excess)
