"""The terms of NLCL on windows as they are, rain and all: nothing is known of them but how rain and scenes behave.

And one on pairs, of which the layers are known: the contrast of their cells (`cell_terms`).

Every window is seen from its own frame and from one of its neighbours, in the same coordinates (`window.py`).
The value of the layer term at chance grows with the number of patches in which the restorer finds rain: it may rise
while the layers come apart.

    terms = nlcl_terms(nets, Scene(window, is_clean, neighbour), generator, weights, options)   # name -> scalar
    loss = discriminator_loss(nets, Scene(window, is_clean), 4)
"""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.model.nlcl import as_signal
from vidrain.train.balance import LossWeights
from vidrain.train.cells import Compared, choose_cells, features_at, shuffled
from vidrain.train.choice import ContrastOptions, View, choose_layers, choose_locations
from vidrain.train.contrast import (
    Pull,
    Weighted,
    asymmetric_layer_contrast,
    layer_contrast,
    location_contrast,
    pulls_by_radius,
    pulls_by_temperature,
)
from vidrain.train.discriminator import Discriminator, in_colours
from vidrain.train.encoder import held, of_fixed
from vidrain.train.losses import (
    adversarial_discriminator,
    adversarial_generator,
    rain_decorrelation,
    temporal_consistency,
)
from vidrain.train.mining import gather_patches
from vidrain.train.nets import Nets
from vidrain.train.window import Layers, Neighbour, Window, error_of, layers_of, seen_from, stacked

TERMS = ("location", "layer", "adversarial", "decorrelation", "consistency")


class Scene(NamedTuple):
    """N windows; is_clean: [N] bool; neighbour: of each, from which it is seen as well, for any of the terms.

    beside: the windows of neighbouring frames at the same place of the picture.
    """

    window: Window
    is_clean: Tensor
    neighbour: Neighbour | None = None
    beside: Window | None = None


class _Seen(NamedTuple):
    """N windows in T views: the frame, a neighbour in its coordinates, and perhaps one that is not aligned.

    window and layers: of N * T. error: [N, H, W], of the neighbour.
    """

    window: Window
    layers: Layers
    error: Tensor

    def frames(self, part: Tensor) -> Tensor:
        """[N * T, ...] to [N, T, ...]"""
        return part.view(len(self.error), -1, *part.shape[1:])


def views_of(weights: LossWeights, options: ContrastOptions) -> int:
    """How many views of a window the terms that count look at: `data.Cut` explains them."""
    if not weights.counted.keys() & set(TERMS):
        return 1
    return 3 if weights.layer and options.positives == "frames" else 2


def nlcl_terms(
    nets: Nets, scene: Scene, generator: torch.Generator, weights: LossWeights, options: ContrastOptions
) -> dict[str, Tensor]:
    """Those of `TERMS` that count, as scalars. generator: on the CPU, so that every device draws alike."""
    counted = weights.counted.keys() & set(TERMS)
    if not counted:
        return {}
    seen = _look_twice(nets, scene)
    background, rain = (seen.frames(part) for part in (seen.layers.background, seen.layers.rain))
    aligned = (seen.error <= options.largest_error)[:, None]
    made = nets.encoder(seen.layers.background, seen.window) if nets.heads.keys() & counted else []
    terms: dict[str, Tensor] = {}
    if "location" in counted:
        terms["location"] = _location(nets, seen, made, generator, options)
    if "layer" in counted:
        terms["layer"] = _layer(nets, seen, made, generator, options)
    if "adversarial" in counted:
        terms["adversarial"] = _adversarial(_required(nets), background[:, 0][~scene.is_clean])
    if "decorrelation" in counted:
        terms["decorrelation"] = rain_decorrelation(rain[:, 0], rain[:, 1], aligned)
    if "consistency" in counted:
        terms["consistency"] = temporal_consistency(background[:, 0], background[:, 1], aligned)
    return terms


def cell_terms(
    nets: Nets, seen: Compared, features: Tensor, generator: torch.Generator, options: ContrastOptions
) -> dict[str, Tensor]:
    """The contrast of cells of known layers, where it counts; 0 where one of the layers has none.

    features: of the restorer's trunk (`cells.py`)
    """
    if "cells" not in nets.heads:
        return {}
    cells = choose_cells(seen, generator, options.cells)
    if not all(map(len, cells)):
        return {"cells": features.sum() * 0}
    if options.labels == "shuffled":
        cells = shuffled(cells, generator)
    background, rain = (nets.heads["cells"]([features_at(features, places)])[0] for places in cells)
    return {"cells": asymmetric_layer_contrast(background, rain, pulls=pulls_of(options))}


def discriminator_loss(nets: Nets, scene: Scene, most: int) -> Tensor:
    """What the discriminator has to learn: backgrounds of `most` rainy windows from as many clean ones."""
    discriminator = _required(nets)
    rainy, clean = (which.nonzero().flatten()[:most] for which in (~scene.is_clean, scene.is_clean))
    with torch.no_grad():
        made = layers_of(nets.restorer, scene.window).background[rainy]
    return adversarial_discriminator(*(_scores(discriminator, part) for part in (made, scene.window.observed[clean])))


def _required(nets: Nets) -> Discriminator:
    if nets.discriminator is None:
        raise ValueError("found no discriminator; want one where the adversarial term counts")
    return nets.discriminator


def _look_twice(nets: Nets, scene: Scene) -> _Seen:
    window, neighbour = scene.window, scene.neighbour
    if neighbour is None:
        raise ValueError("found windows without a neighbour; want one where a term of NLCL counts")
    every = stacked([window, seen_from(window, neighbour)] + ([] if scene.beside is None else [scene.beside]))
    return _Seen(every, layers_of(nets.restorer, every), error_of(window, neighbour))


def _adversarial(discriminator: Discriminator, background: Tensor) -> Tensor:
    with held(discriminator):
        return adversarial_generator(_scores(discriminator, background))


def _scores(discriminator: Discriminator, picture: Tensor) -> Tensor:
    """Of pictures in [0, 1]; none of none, as a batch may be all clean or all rainy."""
    return discriminator(as_signal(in_colours(picture))) if len(picture) else picture.sum((1, 2, 3))


def _view(seen: _Seen, frames: tuple[int, int]) -> View:
    """Two of the frames without a gradient."""
    background, rain, floor = (seen.frames(part.detach())[:, frames] for part in seen.layers)
    return View(floor, background, rain, seen.error)


def _location(
    nets: Nets, seen: _Seen, made: Sequence[Tensor], generator: torch.Generator, options: ContrastOptions
) -> Tensor:
    """B, features `made`, with O at the same place in both frames, against places unlike it; mean over taps."""
    places = choose_locations(_view(seen, (0, 1)), generator, options)
    ours = [seen.frames(tap) for tap in made]
    theirs = [seen.frames(tap) for tap in of_fixed(nets.encoder, seen.window.observed, seen.window)]
    read = partial(_read, nets, "location", options.patch)
    compared = zip(read(ours, places.query), read(theirs, places.positive), read(theirs, places.negative), strict=True)
    losses = [
        location_contrast(
            *(features.flatten(0, 1) for features in tap),
            temperature=options.temperature,
            positive_weight=places.positive_weight.flatten(0, 1),
            negative_mask=places.is_negative.flatten(0, 1),
        )
        for tap in compared
    ]
    return torch.stack(losses).mean()


def _layer(
    nets: Nets, seen: _Seen, made: Sequence[Tensor], generator: torch.Generator, options: ContrastOptions
) -> Tensor:
    """Backgrounds that are alike, features `made`, against rain, both over the same ground; mean over taps."""
    frames = (0, -1)  # the last is the one beside, where there is one
    places = choose_layers(_view(seen, frames), generator, options)
    fallen = nets.encoder(seen.layers.floor + seen.layers.rain, seen.window)
    ours, theirs = ([seen.frames(tap)[:, frames] for tap in taps] for taps in (made, fallen))
    every = [[tap.flatten(0, 1)[None] for tap in taps] for taps in (ours, theirs)]  # all windows as one clip
    read = partial(_read, nets, "layer", options.patch)
    groups, showers = read(ours, places.background), read(every[1], places.rain)
    edges = read(every[0], places.edges)
    weights = (places.background_weight.flatten(0, 1), places.rain_weight[0])
    count = len(weights[0])
    losses = []
    for background, rain, edge in zip(groups, showers, edges, strict=True):
        negative = Weighted(edge.expand(count, -1, -1), places.edges_weight.expand(count, -1))
        losses.append(_compared(background.flatten(0, 1), rain[0], weights, negative, options))
    return torch.stack(losses).mean()


def _read(nets: Nets, compared: str, patch: int, taps: Sequence[Tensor], place: Tensor) -> list[Tensor]:
    """Features of every tap [N, T, C, h, w] at places [N, ..., 3], projected. [N, ..., D]"""
    gathered = zip(taps, nets.encoder.strides, strict=True)
    projected: list[Tensor] = nets.heads[compared](
        [gather_patches(tap, place, patch=patch, stride=stride) for tap, stride in gathered]
    )
    return projected


def _compared(
    background: Tensor,
    rain: Tensor,
    weights: tuple[Tensor, Tensor],
    rain_negative: Weighted,
    options: ContrastOptions,
) -> Tensor:
    """The contrast of layers by the rule of the options."""
    background_weight, rain_weight = weights
    if options.asymmetry == "none":
        return layer_contrast(
            background,
            rain,
            temperature=options.temperature,
            background_weight=background_weight,
            rain_weight=rain_weight,
            rain_negative=rain_negative,
        )
    return asymmetric_layer_contrast(
        background,
        rain,
        pulls=pulls_of(options),
        background_weight=background_weight,
        rain_weight=rain_weight,
        rain_negative=rain_negative,
    )


def pulls_of(options: ContrastOptions) -> tuple[Pull, Pull]:
    """The pulls of background and rain that the options ask for; equal ones where there is to be no asymmetry."""
    if options.asymmetry == "none":
        return Pull(options.temperature), Pull(options.temperature)
    rule = pulls_by_radius if options.asymmetry == "radius" else pulls_by_temperature
    return rule(options.background_dimension, options.rain_dimension, temperature=options.temperature)
