"""The contrastive losses of NLCL on feature vectors: where a patch lies, and which layer it belongs to.

Features are of unit length (`projection.py` makes them so); similarity is their dot product. Tensors in, a scalar out,
float32 in autocast. Which patches are compared is `mining.py`'s business. A weight of 0 means: is not there.

    loss = location_contrast(query, positive, negative)              # B with O at the same place
    loss = layer_contrast(background_features, rain_features)        # B patches attract each other, R repels them

The first two are the published ones (Ye et al., CVPR 2022; the official code), with more positives allowed. The
ASYMMETRIC form is ours: the authors state the idea, that background patches have a higher intrinsic dimension than
rain patches and should be pulled together less tightly (Chang et al., TPAMI 46(5), 2024); their equation was not
available here and nothing below is it.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.train.losses import mean_of
from vidrain.train.precision import in_full_precision

TEMPERATURE = 0.07  # of both published losses
_SHARE = 1e-3  # of a layer's patches that its radius holds; with dimensions 15.7 and 9.4 temperatures are as 1.8 to 1
_UNRELATED = math.sqrt(2)  # distance of two unit vectors that have nothing in common
_ABSENT = -1e9  # a similarity that no softmax sees, yet finite: gradients of -inf are not numbers


@dataclass(frozen=True)
class Pull:
    """How a layer's patches are drawn together.

    temperature: of its softmax, higher is looser. strength: weight of its mean. radius: distance of unit features
    below which a pair is near enough and no longer pulled; 0 pulls to the end.
    """

    temperature: float = TEMPERATURE
    strength: float = 1.0
    radius: float = 0.0


class Weighted(NamedTuple):
    """Features [G, n, D] of patches and how much each is there, [G, n] >= 0."""

    features: Tensor
    weight: Tensor


@in_full_precision
def location_contrast(
    query: Tensor,
    positive: Tensor,
    negative: Tensor,
    *,
    temperature: float = TEMPERATURE,
    positive_weight: Tensor | None = None,
    negative_mask: Tensor | None = None,
) -> Tensor:
    """InfoNCE: each positive of a query against all its negatives; mean over positives, then over queries.

    query: [Q, D]; positive: [Q, P, D] at the same place in O, and along the motion in neighbouring frames; negative:
    [Q, M, D], `others(keys)` as published or mined. positive_weight: [Q, P] >= 0; negative_mask: [Q, M] bool.
    Queries without any positive do not count; without negatives the loss of a query is 0.
    The published loss is P = 1 and `others` of the keys; the identity term is the same with clean pictures.
    """
    weight = query.new_ones(positive.shape[:2]) if positive_weight is None else positive_weight.to(query.dtype)
    pulled = torch.einsum("qd,qpd->qp", query, positive) / temperature
    pushed = torch.einsum("qd,qmd->qm", query, negative) / temperature
    if negative_mask is not None:
        pushed = pushed.masked_fill(~negative_mask, _ABSENT)
    rows = torch.cat([pulled[..., None], pushed[:, None].expand(-1, pulled.shape[1], -1)], dim=-1)  # [Q, P, 1 + M]
    loss = torch.logsumexp(rows, dim=-1) - pulled
    total = weight.sum(1)
    return mean_of((loss * weight).sum(1) / total.clamp(min=_tiny(total)), total > 0)


def others(keys: Tensor) -> Tensor:
    """For each of Q keys [Q, D] all the other ones, in order. [Q, Q - 1, D]"""
    count = len(keys)
    elsewhere = ~torch.eye(count, dtype=torch.bool, device=keys.device)
    return keys.expand(count, -1, -1)[elsewhere].view(count, max(count - 1, 0), keys.shape[1])


@in_full_precision
def layer_contrast(
    background: Tensor,
    rain: Tensor,
    *,
    temperature: float = TEMPERATURE,
    background_weight: Tensor | None = None,
    rain_weight: Tensor | None = None,
    rain_negative: Weighted | None = None,
) -> Tensor:
    """Supervised contrast (Khosla et al. 2020) of two layers in both directions, mean over all anchors of all groups.

    background: [G, P, D], rain: [G, M, D]; a group is one place in a picture (B patches alike, R patches from
    anywhere), and groups do not see each other. Weights [G, P] and [G, M] >= 0: as if so much of a patch was there,
    as an anchor, as a positive and among those it is told from; 0 takes it out, and near 0 it is near that.
    rain_negative: [G, E, D], backgrounds that rain is told from as well, such as edges that leak into it; no anchors.
    A patch that is alone in its layer has no positive and does not count as an anchor. The value depends on the scale
    of the weights, so that only losses of one weighting compare; weights get no gradient.
    With 8 and 128 patches as published 94 % of the anchors are rain; `asymmetric_layer_contrast` balances that.
    """
    layers = _weighed(background, rain, background_weight, rain_weight)
    pull = Pull(temperature=temperature)
    strangers = _strangers(layers, rain_negative)
    found = [_anchors(layers[own], strangers[own], pull) for own in (0, 1)]
    losses, counted = (torch.cat([layer[part] for layer in found], dim=1) for part in (0, 1))
    return mean_of(losses, counted)


@in_full_precision
def asymmetric_layer_contrast(
    background: Tensor,
    rain: Tensor,
    *,
    pulls: tuple[Pull, Pull],
    background_weight: Tensor | None = None,
    rain_weight: Tensor | None = None,
    rain_negative: Weighted | None = None,
) -> Tensor:
    """The contrast of layers with a pull of its own for each: sum over layers of strength times its mean over anchors.

    Derived from the stated idea, not the authors' equation (see the head of this file). pulls: of background and rain.
    Shapes, weights and further negatives as `layer_contrast`. In a layer with a radius a pair within it counts as
    being at that distance, so nothing pulls it closer; the other layer is pushed away all the same.
    `pulls_by_temperature` and `pulls_by_radius` take the pulls from measured dimensions; two equal pulls give the
    class-balanced symmetric loss.
    """
    layers = _weighed(background, rain, background_weight, rain_weight)
    total = background.new_zeros(())
    for own, other, pull in zip(layers, _strangers(layers, rain_negative), pulls, strict=True):
        total = total + pull.strength * mean_of(*_anchors(own, other, pull))
    return total


def pulls_by_temperature(
    background_dimension: float, rain_dimension: float, *, temperature: float = TEMPERATURE, share: float = _SHARE
) -> tuple[Pull, Pull]:
    """Pulls (background, rain) with temperatures and strengths from measured intrinsic dimensions.

    exp(similarity / t) of unit vectors is a Gaussian of their distance with variance t, so temperatures go as the
    squares of the layers' radii (`pulls_by_radius`), with `temperature` their geometric mean. Strengths go as the
    other layer's dimension, with mean 1: the more compact layer is pulled harder. Equal dimensions: no asymmetry;
    a rain of the higher dimension, as noise makes it, turns the asymmetry around. ValueError below dimension 0.
    """
    background, rain = _radii(background_dimension, rain_dimension, share)
    whole = background_dimension + rain_dimension
    return (
        Pull(temperature * background / rain, strength=2 * rain_dimension / whole),
        Pull(temperature * rain / background, strength=2 * background_dimension / whole),
    )


def pulls_by_radius(
    background_dimension: float, rain_dimension: float, *, temperature: float = TEMPERATURE, share: float = _SHARE
) -> tuple[Pull, Pull]:
    """Pulls (background, rain) of one temperature down to radii from measured intrinsic dimensions.

    In d dimensions a ball of radius r holds a share (r / whole)^d of what lies in the whole; so the same share of
    two layers lies within share^(1 / d) of the distance of unrelated features: farther out where d is higher.
    """
    background, rain = _radii(background_dimension, rain_dimension, share)
    return Pull(temperature, radius=background), Pull(temperature, radius=rain)


@torch.no_grad()
def nearness(distance: Tensor, valid: Tensor) -> Tensor:
    """Weights of mined positives: exp(-d^2 / h^2), h^2 the median d^2 of the valid ones of a clip; 0 for the others.

    distance: mean squared differences d^2, [N, ...] of N clips, as `mining.py` gives them; valid: bool of that shape.
    """
    if not distance.numel():
        return torch.zeros_like(distance)
    known = distance.where(valid, math.nan).flatten(1)
    scale = known.nanmedian(dim=1).values.nan_to_num(0).clamp(min=_tiny(distance))
    return torch.where(valid, torch.exp(-distance / scale.view(-1, *[1] * (distance.ndim - 1))), 0)


def _radii(background_dimension: float, rain_dimension: float, share: float) -> tuple[float, float]:
    if not (background_dimension > 0 and rain_dimension > 0 and 0 < share < 1):
        found = f"dimensions {background_dimension} and {rain_dimension}, share {share}"
        raise ValueError(f"found {found}; want dimensions above 0 and a share between 0 and 1")
    return _UNRELATED * share ** (1 / background_dimension), _UNRELATED * share ** (1 / rain_dimension)


def _weighed(background: Tensor, rain: Tensor, *weights: Tensor | None) -> tuple[Weighted, Weighted]:
    first, second = (
        Weighted(layer, layer.new_ones(layer.shape[:2]) if weight is None else weight.detach().to(layer.dtype))
        for layer, weight in zip((background, rain), weights, strict=True)
    )
    return first, second


def _strangers(layers: tuple[Weighted, Weighted], rain_negative: Weighted | None) -> tuple[Weighted, Weighted]:
    """What each layer is told from: the other one, rain from further backgrounds as well."""
    background, rain = layers
    if rain_negative is None:
        return rain, background
    further = (part.to(own.dtype) for part, own in zip(rain_negative, background, strict=True))
    return rain, Weighted(*(torch.cat(parts, 1) for parts in zip(background, further, strict=True)))


def _anchors(own: Weighted, other: Weighted, pull: Pull) -> tuple[Tensor, Tensor]:
    """The loss of every patch of `own` as an anchor [G, n], and how much it counts [G, n]."""
    (features, weight), (strangers, presence) = own, other
    similar = features @ features.mT
    if pull.radius:
        similar = similar.clamp(max=1 - pull.radius**2 / 2)
    pulled = similar / pull.temperature  # [G, n, n]
    pushed = features @ strangers.mT / pull.temperature + _log(presence)[:, None]  # [G, n, m]
    itself = torch.eye(features.shape[1], dtype=torch.bool, device=features.device)
    # weighed here as well: a positive of little weight in a full denominator would be pushed away
    seen = (pulled + _log(weight)[:, None]).masked_fill(itself, _ABSENT)
    surprise = torch.logsumexp(torch.cat([seen, pushed], dim=2), dim=2, keepdim=True) - pulled
    positive = weight[:, None].masked_fill(itself, 0)  # [G, n, n]
    total = positive.sum(2)
    losses = (surprise * positive).sum(2) / total.clamp(min=_tiny(total))
    return losses, weight * total.clamp(max=1)


def _log(weight: Tensor) -> Tensor:
    return torch.where(weight > 0, weight.clamp(min=_tiny(weight)).log(), _ABSENT)


def _tiny(like: Tensor) -> float:
    return torch.finfo(like.dtype).tiny
