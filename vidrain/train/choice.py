"""Which patches of a step are compared: places alone, from what can be seen and a generator, in the two or more views.

places = choose_layers(view, generator, options)     # backgrounds that are alike, rain, edges that leak
places = choose_locations(view, generator, options)  # the same place in two frames, and places unlike it
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vidrain.errors import UsageError
from vidrain.train.contrast import nearness
from vidrain.train.mining import (
    Mined,
    Spatial,
    Temporal,
    mine_background,
    mine_edges,
    mine_rain,
    mine_spatial,
    mine_unlike,
    sample_queries,
)

Positives = Literal["random", "published", "exclusion", "frames", "motion"]


@dataclass(frozen=True, kw_only=True)
class ContrastOptions:
    """How patches are contrasted.

    encoder: whose features; the restorer's are those of its moving average.
    positives: alike backgrounds, from the same frame: `random` places; the nearest as `published`, most of them the
    query itself moved by a pixel; those outside an `exclusion` zone; and from another frame as well: `frames` at the
    same place of the picture, `motion` along the motion.
    negatives: of a location, the least alike (`reverse`) or `random` ones.
    asymmetry: of the layers' pulls, by their dimensions; `none` is the published loss.
    windows: of a batch that are looked at; queries: for each. patch: side, in pixels. temperature: of all softmaxes.
    alike, other, unlike, edges: patches for each query: of background in its frame, of rain, least alike, and with
    upright edges, which is what leaks into rain. cells: of each known layer, from all windows.
    labels: of those cells; `shuffled` is a control: as many of each, and nothing to tell them apart by.
    least_rain: root mean square of a patch with rain, of luma in [0, 1].
    largest_error: pixels; a frame whose alignment is worse says nothing about a place.
    """

    encoder: Literal["restorer", "discriminator"] = "restorer"
    positives: Positives = "motion"
    negatives: Literal["reverse", "random"] = "reverse"
    asymmetry: Literal["none", "temperature", "radius"] = "temperature"
    background_dimension: float = 9.4
    rain_dimension: float = 8.4
    windows: int = 4
    queries: int = 16
    patch: int = 16
    temperature: float = 0.07
    alike: int = 4
    other: int = 32
    unlike: int = 32
    edges: int = 8
    cells: int = 64
    labels: Literal["known", "shuffled"] = "known"
    least_rain: float = 0.01
    largest_error: float = 1.0

    def __post_init__(self) -> None:
        for key in ("windows", "queries", "patch", "alike", "other", "unlike", "cells"):
            if (value := getattr(self, key)) < 1:
                raise UsageError(f"contrast.{key}={value}: allowed: at least 1")
        for key in ("background_dimension", "rain_dimension", "temperature", "largest_error"):
            if not (value := getattr(self, key)) > 0:
                raise UsageError(f"contrast.{key}={value}: allowed: above 0")
        for key in ("edges", "least_rain"):
            if (value := getattr(self, key)) < 0:
                raise UsageError(f"contrast.{key}={value}: allowed: from 0")


class View(NamedTuple):
    """N windows, each of T frames, without a gradient: what choices are made on.

    guide: [N, T, 1, H, W] luma that rain does not steer. background, rain: [N, T, 1, H, W]. error: [N, H, W] pixels by
    which the last frame may be off from the first.
    """

    guide: Tensor
    background: Tensor
    rain: Tensor
    error: Tensor


class Places(NamedTuple):
    """Groups of backgrounds that are alike and of rain, places with weights.

    background: [N, Q, P, 3], the query first. rain: [1, N * Q, M, 3], that at the query's own place first; frames are
    counted over all windows. edges: [1, E, 3] likewise, for all groups.
    """

    background: Tensor
    background_weight: Tensor
    rain: Tensor
    rain_weight: Tensor
    edges: Tensor
    edges_weight: Tensor


class Locations(NamedTuple):
    """Places of queries [N, Q, 3], the same in both frames [N, Q, 2, 3] and elsewhere [N, Q, M, 3], with weights."""

    query: Tensor
    positive: Tensor
    positive_weight: Tensor
    negative: Tensor
    is_negative: Tensor


_CANDIDATES = 4  # places drawn for every one that is wanted
_RADIUS, _NEAREST_RADIUS = 40, 20  # pixels; the published search goes 20 around, pixel by pixel
_REFINE, _STILL_REFINE = 2, 4  # pixels around where the motion leads; around the same place, for slow scenes


@torch.no_grad()
def choose_layers(view: View, generator: torch.Generator, options: ContrastOptions) -> Places:
    """Groups for the contrast of layers: half of the queries where there is most rain."""
    patch, least = options.patch, options.least_rain**2
    energy = _energy(view.rain, patch)
    query = _queries(view, energy, generator, options)
    alike = _alike(view, query, generator, options)
    weight = alike.valid.float() if options.positives in ("random", "published") else nearness(alike.value, alike.valid)
    # Rain and edges may be of any window: all of them as one clip.
    rain, background = (layer.flatten(0, 1)[None] for layer in (view.rain, view.background))
    own = _overall(query, view)
    drawn = sample_queries(rain.shape, _CANDIDATES * options.other, generator, patch=patch).to(rain.device)
    others = mine_rain(rain, own, drawn, patch=patch, count=options.other, least_energy=least)
    edges = mine_edges(background, drawn, patch=patch, count=options.edges)
    is_wet = _read(energy.flatten(0, 1)[None], own) >= least
    return Places(
        torch.cat([query[:, :, None], alike.place], 2),
        torch.cat([torch.ones_like(weight[..., :1]), weight], 2),
        torch.cat([own[:, :, None], others.place], 2),
        torch.cat([is_wet[..., None], others.valid], 2).float(),
        edges.place[:, 0],
        edges.valid[:, 0].float(),
    )


@torch.no_grad()
def choose_locations(view: View, generator: torch.Generator, options: ContrastOptions) -> Locations:
    """Queries anywhere in two frames; the same place in both is alike where they are aligned."""
    patch, shape = options.patch, view.guide.shape
    query = sample_queries(shape, options.queries, generator, patch=patch).to(view.guide.device)
    drawn = sample_queries(shape, _CANDIDATES * options.unlike, generator, patch=patch).to(view.guide.device)
    twin = torch.cat([1 - query[..., :1], query[..., 1:]], -1)
    is_led = _is_led(view, query, options)
    if options.negatives == "reverse":
        unlike = mine_unlike(view.guide, query, drawn, patch=patch, count=options.unlike)
        negative, is_negative = unlike.place, unlike.valid
    else:
        negative = drawn[:, None, : options.unlike].expand(-1, query.shape[1], -1, -1)
        is_negative = (negative[..., 1:] - query[:, :, None, 1:]).abs().amax(-1) >= patch
    weight = torch.stack([torch.ones_like(is_led), is_led], -1).float()
    return Locations(query, torch.stack([query, twin], 2), weight, negative, is_negative)


def _queries(view: View, energy: Tensor, generator: torch.Generator, options: ContrastOptions) -> Tensor:
    """Half of the queries anywhere, half where there is most rain of some places drawn. [N, Q, 3]"""
    wet = options.queries // 2
    count = options.queries - wet + _CANDIDATES * wet
    drawn = sample_queries(view.guide.shape, count, generator, patch=options.patch).to(view.guide.device)
    anywhere, candidate = drawn[:, : options.queries - wet], drawn[:, options.queries - wet :]
    best = _read(energy, candidate).topk(wet, dim=1).indices
    return torch.cat([anywhere, candidate.gather(1, best[..., None].expand(-1, -1, 3))], 1)


def _alike(view: View, query: Tensor, generator: torch.Generator, options: ContrastOptions) -> Mined:
    """Backgrounds that are alike, by the rule of the options."""
    patch, count = options.patch, options.alike
    if options.positives == "random":
        drawn = sample_queries(view.guide.shape, count * query.shape[1], generator, patch=patch).to(query.device)
        place = drawn.view(len(drawn), query.shape[1], count, 3)
        place = torch.cat([query[:, :, None, :1].expand_as(place[..., :1]), place[..., 1:]], -1)  # of the same frame
        return Mined(place, torch.zeros_like(place[..., 0], dtype=torch.float32), torch.ones_like(place[..., 0]) > 0)
    if options.positives == "published":
        nearest = Spatial(count=count, radius=_NEAREST_RADIUS, exclusion=1, stride=1, apart=1)
        return mine_spatial(view.background, query, nearest, patch=patch)
    spatial = Spatial(count=count, radius=_RADIUS, exclusion=patch, apart=patch)
    if options.positives == "exclusion":
        return mine_spatial(view.guide, query, spatial, patch=patch)
    is_still = options.positives == "frames"
    temporal = Temporal(refine=_STILL_REFINE if is_still else _REFINE, apart=patch)
    windows, frames, _, *size = view.guide.shape
    flow = view.guide.new_zeros(()).expand(windows, frames, frames, *size, 2)  # aligned already, or meant not to be
    found = mine_background(view.guide, query, flow, patch=patch, spatial=spatial, temporal=temporal)
    if is_still:
        return found
    is_trusted = torch.ones_like(found.valid)
    is_trusted[..., spatial.count :] = _is_led(view, query, options)[..., None]
    return found._replace(valid=found.valid & is_trusted)


def _is_led(view: View, query: Tensor, options: ContrastOptions) -> Tensor:
    """Whether the two frames are aligned at the middle of each patch. [N, Q] bool"""
    middle = query[..., 1:] + options.patch // 2
    return _read(view.error[:, None], torch.cat([0 * query[..., :1], middle], -1)) <= options.largest_error


def _energy(rain: Tensor, patch: int) -> Tensor:
    """Mean square of every patch, by its upper left corner. [N, T, 1, H, W] to [N, T, h, w]"""
    squares = rain.square().mean(2)
    return functional.avg_pool2d(squares, patch, stride=1)


def _read(values: Tensor, place: Tensor) -> Tensor:
    """Values [N, T, h, w] at places [N, Q, 3]. [N, Q]"""
    clip = torch.arange(len(values), device=values.device)[:, None]
    return values[clip, place[..., 0], place[..., 1], place[..., 2]]


def _overall(place: Tensor, view: View) -> Tensor:
    """Places [N, Q, 3] with frames counted over all windows. [1, N * Q, 3]"""
    first = torch.arange(len(place), device=place.device)[:, None] * view.guide.shape[1]
    return torch.cat([place[..., :1] + first[..., None], place[..., 1:]], -1).flatten(0, 1)[None]
