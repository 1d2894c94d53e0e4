"""Which patches are compared with which: non-local mining in space and along the motion in time.

Index in, index out, without a gradient and in full precision wherever it is called: no features, no network, no random
numbers but those of the generator that is handed in. A place is (frame, y, x) of a patch's upper left corner in a clip.
Pictures of any size and number of channels, T from 1.

Backgrounds are matched on a guide that rain does not steer (the median of the aligned frames, or a teacher's B), never
on the observation: there the nearest patches are those with the same streaks. Around the query nothing is taken, or
the nearest patches would be the query again, moved by a pixel (in the published code 86 % of them).

    query = sample_queries(guide.shape, 64, generator, patch=16)
    alike = mine_background(guide, query, flow, patch=16, spatial=Spatial(), temporal=Temporal())
    features = gather_patches(maps, alike.place, patch=16, stride=4)  # [N, Q, P, D]

The hardest negative of a background query needs no search: it is the rain at the same place.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vidrain.train.precision import in_full_precision

_ADJACENT = 1  # frames; codecs carry a quarter of a streak's brightness over to the next one
_LOW = 32  # bits of a sorting key that hold the place


class Mined(NamedTuple):
    """What was found for every query, best first.

    place: [N, Q, P, 3] int64; value: [N, Q, P] float32, what it was chosen by; valid: [N, Q, P] bool. Where fewer than
    P were found the rest is not valid and its place is 0.
    """

    place: Tensor
    value: Tensor
    valid: Tensor


@dataclass(frozen=True)
class Spatial:
    """Search in the query's own frame: `count` patches at most `radius` pixels away, on a lattice of `stride` around
    the query, none nearer than `exclusion` both ways. None is nearer than `apart` to a better one: with a stride below
    the patch all would be the same place, moved by a pixel."""

    count: int = 4
    radius: int = 40
    exclusion: int = 16
    stride: int = 4
    apart: int = 16


@dataclass(frozen=True)
class Temporal:
    """Search in every other frame: `count` patches each, at most `refine` pixels from where the motion leads.

    apart: as in `Spatial`; with a small `refine` a second patch has no room. largest_error: pixels by which the flow
    may miss the query on its way back. cap: no match may be farther than this many times the best spatial one.
    """

    count: int = 1
    refine: int = 2
    apart: int = 16
    largest_error: float = 1.0
    cap: float = 1.0


def sample_queries(shape: Sequence[int], count: int, generator: torch.Generator, *, patch: int) -> Tensor:
    """`count` places per clip, every place where a patch lies inside being equally likely. [N, count, 3] int64

    shape: of the clips, [N, T, ..., H, W]. ValueError if no patch fits in.
    """
    clips, frames, height, width = shape[0], shape[1], shape[-2], shape[-1]
    if patch > min(height, width) or frames < 1:
        raise ValueError(f"found {frames} frames of {width}x{height}; want at least one that holds {patch}x{patch}")
    ends = (frames, height - patch + 1, width - patch + 1)
    drawn = [torch.randint(end, (clips, count), generator=generator, device=generator.device) for end in ends]
    return torch.stack(drawn, dim=-1)


@torch.no_grad()
@in_full_precision
def mine_background(
    guide: Tensor, query: Tensor, flow: Tensor, *, patch: int, spatial: Spatial, temporal: Temporal
) -> Mined:
    """Positives of background queries: those of `mine_spatial`, then those of `mine_temporal`, capped by the former.

    Where no spatial match exists nothing caps. Shapes as there; P = spatial.count + (T - 1) * temporal.count.
    """
    here = mine_spatial(guide, query, spatial, patch=patch)
    best = here.value[..., 0] if spatial.count else here.value.new_full(query.shape[:2], math.inf)
    there = mine_temporal(guide, query, flow, temporal, patch=patch, cap=best * temporal.cap)
    return Mined(*(torch.cat(parts, dim=2) for parts in zip(here, there, strict=True)))


@torch.no_grad()
@in_full_precision
def mine_spatial(guide: Tensor, query: Tensor, search: Spatial, *, patch: int) -> Mined:
    """The patches of the same frame that are most alike, by (distance, y, x); value is the mean squared difference.

    guide: [N, T, C, H, W], any real type, compared in float32: exact for integers whose sum of squares over a patch
    stays below 2^24, else to about 1e-6 of the patch's own. query: [N, Q, 3], patches inside. Invalid: inf.
    """
    anchors = _flat(guide, query)
    steps = search.radius // search.stride
    away = torch.arange(-steps, steps + 1, device=guide.device) * search.stride
    corner = (anchors - torch.tensor([0, steps, steps], device=guide.device) * search.stride)[:, None]
    sums = _differences(guide, anchors, corner, patch=patch, span=len(away), stride=search.stride)
    near = away.abs() < search.exclusion
    sums.masked_fill_(near[:, None] & near, math.inf)
    sums = sums.view(*query.shape[:2], len(away), len(away))
    picks, found = _smallest_apart(sums, search.count, math.ceil(search.apart / search.stride))
    offset = torch.stack([torch.zeros_like(picks), away[picks // len(away)], away[picks % len(away)]], dim=-1)
    return _mined(query[:, :, None] + offset, found / _size(guide, patch))


@torch.no_grad()
@in_full_precision
def mine_temporal(
    guide: Tensor, query: Tensor, flow: Tensor, search: Temporal, *, patch: int, cap: Tensor | None = None
) -> Mined:
    """The most alike patches along the motion, `search.count` from every other frame in the order of frames.

    Within a frame by (distance, y, x). flow: [N, T, T, H, W, 2]; `flow[n, a, b]` leads every pixel of frame a to frame
    b, (x, y) in pixels; it is read at the centre of the patch and rounded. A frame has no match where the flow leaves
    the picture or does not find back, nor one farther than cap, [N, Q], if given. guide, query, value as above.
    P = (T - 1) * search.count, 0 for a single frame.
    """
    clips, frames = guide.shape[:2]
    anchors, other, corner, is_led = _led(guide, query, flow, search, patch=patch)
    sums = _differences(guide, anchors, corner, patch=patch, span=2 * search.refine + 1, stride=1)
    size = _size(guide, patch)
    sums.masked_fill_(~is_led[..., None, None], math.inf)
    if cap is not None:
        sums.masked_fill_(sums / size > cap.reshape(-1, 1, 1, 1), math.inf)
    picks, found = _smallest_apart(sums, search.count, search.apart)
    span = 2 * search.refine + 1
    place = torch.stack(
        [other[..., None].expand_as(picks), corner[..., 1:2] + picks // span, corner[..., 2:] + picks % span], dim=-1
    )
    shape = (clips, query.shape[1], (frames - 1) * search.count)
    return _mined(place.reshape(*shape, 3), found.reshape(shape) / size)


@torch.no_grad()
@in_full_precision
def mine_rain(rain: Tensor, query: Tensor, candidate: Tensor, *, patch: int, count: int, least_energy: float) -> Mined:
    """Positives of rain queries: the first `count` candidates with rain in them, from any frame and place.

    Streaks are alike wherever they are; but those at the same place in the same or an adjacent frame may be the same
    one, or background that leaked, so nothing that overlaps the query or an earlier pick there is taken.
    rain: [N, T, C, H, W]; query: [N, Q, 3]; candidate: [N, M, 3], drawn by `sample_queries`; least_energy: of the mean
    square over the patch, which is the value. Invalid: 0.
    """
    energy = _patches(rain, candidate, patch).square().mean((2, 3, 4))  # [N, M]
    total = candidate.shape[1]
    usable = (energy >= least_energy)[:, None] & ~_is_same(query[:, :, None], candidate[:, None], patch)
    order = torch.where(usable, torch.arange(total, device=rain.device), total)
    clip = torch.arange(len(candidate), device=rain.device)[:, None]
    firsts = [order.new_zeros((*query.shape[:2], 0))]
    for _ in range(min(count, total)):
        first = order.amin(-1, keepdim=True)
        firsts.append(first)
        taken = candidate[clip, first[..., 0].clamp(max=total - 1)]
        order = order.masked_fill(_is_same(taken[:, :, None], candidate[:, None], patch), total)
    found, _ = _padded_sort(torch.cat(firsts, dim=-1), count, total)
    picks = found.clamp(max=max(total - 1, 0))
    return _picked(candidate, energy, picks, found < total)


@torch.no_grad()
@in_full_precision
def mine_unlike(guide: Tensor, query: Tensor, candidate: Tensor, *, patch: int, count: int) -> Mined:
    """Reverse non-local negatives: the candidates of the clip least alike, by (-distance, frame, y, x).

    guide, query as `mine_spatial`; candidate: [N, M, 3]; value is the mean squared difference. Invalid: 0.
    """
    ours, theirs = (_patches(guide, place, patch).flatten(2) for place in (query, candidate))
    size = ours.shape[2]
    level = theirs.mean((1, 2), keepdim=True).round()  # smaller numbers, and integers stay what they are
    ours, theirs = ours - level, theirs - level
    squares = ours.square().sum(2)[..., None] + theirs.square().sum(2)[:, None]
    distance = torch.baddbmm(squares, ours, theirs.mT, alpha=-2).clamp_(min=0)  # [N, Q, M]
    picks = _largest(distance, _ranks(candidate, guide)[:, None], count)
    return _picked(candidate, distance / size, picks, picks >= 0)


@torch.no_grad()
@in_full_precision
def mine_edges(background: Tensor, candidate: Tensor, *, patch: int, count: int) -> Mined:
    """Hard negatives of rain: candidates that hold the strongest upright edges, by (-strength, frame, y, x).

    Poles and railings are what leaks into rain. Strength, the value, is the mean absolute difference from pixel to
    pixel sideways less that downwards; only what is above 0 counts. background: [N, T, C, H, W]; candidate: [N, M, 3].
    The queries of the result are one per clip: [N, 1, count].
    """
    patches = _patches(background, candidate, patch)
    across, down = (patches.diff(dim=axis).abs().sum((2, 3, 4)) for axis in (4, 3))
    strength = (across - down)[:, None]
    picks = _largest(strength.clamp(min=0), _ranks(candidate, background)[:, None], count)
    values = strength / (background.shape[2] * patch * max(patch - 1, 1))
    found = _picked(candidate, values, picks, picks >= 0)
    return _mined_where(found, found.value > 0)


def gather_patches(features: Tensor, place: Tensor, *, patch: int, stride: int) -> Tensor:
    """The feature vector at the middle of each patch. [N, ..., D]

    features: [N, T, D, h, w], one cell per `stride` pixels; place: [N, ..., 3]. Cells are (pixel // stride), at most
    the last one.
    """
    clips, frames, _, height, width = features.shape
    frame, y, x = place.flatten(1, -2).unbind(-1)
    rows, columns = (((axis + patch // 2) // stride) for axis in (y, x))
    clip = torch.arange(clips, device=features.device)[:, None]
    cell = ((clip * frames + frame) * height + rows.clamp(max=height - 1)) * width + columns.clamp(max=width - 1)
    vectors = features.permute(0, 1, 3, 4, 2).flatten(0, 3)  # rows of a matrix: their gradients are summed much faster
    return vectors.index_select(0, cell.flatten()).view(*place.shape[:-1], features.shape[2])


def _led(
    guide: Tensor, query: Tensor, flow: Tensor, search: Temporal, *, patch: int
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Where the motion leads: anchors [A, 3], the other frames [A, T - 1] (in the clip), the corners to search from
    [A, T - 1, 3] (over all clips), and whether it can be trusted [A, T - 1]."""
    frames, height, width = guide.shape[1], guide.shape[3], guide.shape[4]
    anchors = _flat(guide, query)
    clip = (anchors[:, 0] // frames)[:, None]
    own = (anchors[:, 0] % frames)[:, None]
    other = torch.arange(frames - 1, device=guide.device).expand(len(anchors), -1)
    other = other + (other >= own)
    middle = (anchors[:, 1:] + patch // 2)[:, None]
    forth = flow[clip, own, other, middle[..., 0], middle[..., 1]]  # [A, T - 1, 2], (x, y)
    target = middle + forth.flip(-1).round().long()
    limits = torch.tensor([height - 1, width - 1], device=guide.device)
    inside = ((target >= 0) & (target <= limits)).all(-1)
    reached = target.clamp(min=0).minimum(limits)
    back = flow[clip, other, own, reached[..., 0], reached[..., 1]]
    is_led = inside & (torch.linalg.vector_norm(forth + back, dim=-1) <= search.largest_error)
    corner = reached - patch // 2 - search.refine
    return anchors, other, torch.cat([(clip * frames + other)[..., None], corner], dim=-1), is_led


def _differences(guide: Tensor, anchor: Tensor, corner: Tensor, *, patch: int, span: int, stride: int) -> Tensor:
    """Sums of squared differences of each anchor's patch with a lattice of others. [A, K, span, span]; inf outside

    anchor: [A, 3] and corner: [A, K, 3] with frames counted over all clips; corner is the lattice's upper left place.
    |a - b|^2 = |a|^2 - 2ab + |b|^2: one grouped correlation instead of A * K * span^2 patches in memory.
    """
    height, width = guide.shape[-2:]
    pictures = guide.flatten(0, 1).float()
    level = pictures[anchor[:, 0], :, anchor[:, 1], anchor[:, 2]]  # [A, C]; smaller numbers, integers stay integers
    own = _cut(pictures, anchor, patch) - level[..., None, None]
    crops = _cut(pictures, corner, patch + (span - 1) * stride) - level[:, None, :, None, None]  # [A, K, C, h, w]
    anchors, windows, channels = crops.shape[:3]
    if not (anchors and windows):
        return crops.new_empty((anchors, windows, span, span))
    signal = crops.transpose(0, 1).reshape(windows, anchors * channels, *crops.shape[3:])
    cudnn = torch.backends.cudnn
    kept = {"enabled": True, "benchmark": cudnn.benchmark, "deterministic": cudnn.deterministic}
    with cudnn.flags(**kept, allow_tf32=False):  # ten bits of a difference are not enough
        product = functional.conv2d(signal, own, stride=stride, groups=anchors)  # [K, A, span, span]
    squares = _boxed(crops.square().sum(2), patch, stride)
    sums = squares.add_(product.transpose(0, 1), alpha=-2).add_(own.square().sum((1, 2, 3))[:, None, None, None])
    sums.clamp_(min=0)
    steps = torch.arange(span, device=guide.device) * stride
    rows, columns = (corner[..., axis, None] + steps for axis in (1, 2))
    outside = [(line < 0) | (line > size - patch) for line, size in ((rows, height), (columns, width))]
    return sums.masked_fill_(outside[0][..., :, None] | outside[1][..., None, :], math.inf)


def _cut(pictures: Tensor, place: Tensor, side: int) -> Tensor:
    """Squares of pictures [F, C, H, W] at places [..., 3]; beyond the border the border again. [..., C, side, side]"""
    steps = torch.arange(side, device=pictures.device)
    rows, columns = ((place[..., axis, None] + steps).clamp(0, pictures.shape[axis + 1] - 1) for axis in (1, 2))
    cut = pictures.permute(0, 2, 3, 1)[place[..., 0, None, None], rows[..., :, None], columns[..., None, :]]
    return cut.movedim(-1, -3)


def _boxed(pictures: Tensor, patch: int, stride: int) -> Tensor:
    """Sums over every patch of a lattice, first down, then across. [A, K, h, w] to [A, K, span, span]"""
    for kernel, step in (((patch, 1), (stride, 1)), ((1, patch), (1, stride))):
        pictures = functional.avg_pool2d(pictures, kernel, step, divisor_override=1)
    return pictures


def _patches(clips: Tensor, place: Tensor, patch: int) -> Tensor:
    """Patches of clips [N, T, C, H, W] at [N, M, 3], in float32. [N, M, C, patch, patch]"""
    flat = _cut(clips.flatten(0, 1).float(), _flat(clips, place), patch)
    return flat.view(*place.shape[:2], *flat.shape[1:])


def _flat(clips: Tensor, place: Tensor) -> Tensor:
    """[N, Q, 3] to [N * Q, 3], with frames counted over all clips."""
    first = torch.arange(len(clips), device=clips.device)[:, None] * clips.shape[1]
    return torch.stack([place[..., 0] + first, place[..., 1], place[..., 2]], dim=-1).flatten(0, 1)


def _size(clips: Tensor, patch: int) -> int:
    """Samples in a patch."""
    return clips.shape[2] * patch * patch


def _is_same(place: Tensor, other: Tensor, patch: int) -> Tensor:
    """Whether two patches overlap in the same or adjacent frames. Places of any shape that broadcasts, [..., 3]"""
    away = (place - other).abs()
    return (away[..., 0] <= _ADJACENT) & (away[..., 1:] < patch).all(-1)


def _ranks(place: Tensor, clips: Tensor) -> Tensor:
    """A number that orders places by (frame, y, x). [N, M]"""
    height, width = clips.shape[-2:]
    return (place[..., 0] * height + place[..., 1]) * width + place[..., 2]


def _smallest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Positions of the `count` smallest of [..., n], equal ones in order, and the values; inf where there are fewer.

    Bits of floats from 0 to inf rise with their values: value and position make one integer, all of them different,
    and picking the smallest is forty times faster than a stable sort.
    """
    keys = ((values + 0.0).view(torch.int32).long() << _LOW) + torch.arange(values.shape[-1], device=values.device)
    found, picks = _padded_sort(keys, count, torch.iinfo(torch.int64).max)
    is_there = found < torch.iinfo(torch.int64).max
    chosen = values.gather(-1, picks) if values.shape[-1] else values.new_empty(picks.shape)
    return picks, torch.where(is_there, chosen, math.inf)


def _smallest_apart(values: Tensor, count: int, steps: int) -> tuple[Tensor, Tensor]:
    """As `_smallest` over lattices [..., span, span]; none fewer than `steps` both ways from one that is smaller."""
    if steps <= 1 or not count:
        return _smallest(values.flatten(-2), count)
    span, left = values.shape[-1], values
    line = torch.arange(span, device=values.device)
    chosen = []
    for _ in range(count):
        pick, value = _smallest(left.flatten(-2), 1)
        chosen.append((pick, value))
        rows, columns = ((line - at).abs() < steps for at in (pick // span, pick % span))  # [..., span]
        left = left.masked_fill(rows[..., :, None] & columns[..., None, :], math.inf)
    return torch.cat([pick for pick, _ in chosen], -1), torch.cat([value for _, value in chosen], -1)


def _largest(values: Tensor, ranks: Tensor, count: int) -> Tensor:
    """Positions of the `count` largest of [..., n] >= 0, equal ones by rising rank; -1 where there are fewer."""
    lowest = torch.iinfo(torch.int32).max - (values + 0.0).view(torch.int32).long()
    found, picks = _padded_sort((lowest << _LOW) + ranks, count, torch.iinfo(torch.int64).max)
    return torch.where(found < torch.iinfo(torch.int64).max, picks, -1)


def _padded_sort(keys: Tensor, count: int, nothing: int) -> tuple[Tensor, Tensor]:
    """The `count` smallest keys of [..., n] and their positions, filled up with (nothing, 0)."""
    found, picks = keys.topk(min(count, keys.shape[-1]), dim=-1, largest=False)
    lacking = (*found.shape[:-1], count - found.shape[-1])
    return torch.cat([found, found.new_full(lacking, nothing)], -1), torch.cat([picks, picks.new_zeros(lacking)], -1)


def _mined(place: Tensor, value: Tensor) -> Mined:
    valid = torch.isfinite(value)
    return Mined(torch.where(valid[..., None], place, 0), value, valid)


def _picked(candidate: Tensor, values: Tensor, picks: Tensor, valid: Tensor) -> Mined:
    """Candidates [N, M, 3] and their values [N, (Q,) M] at picks [N, Q, P]."""
    clip = torch.arange(len(candidate), device=candidate.device)[:, None, None]
    picks = picks.clamp(min=0)
    if not candidate.shape[1]:
        return Mined(candidate.new_zeros((*picks.shape, 3)), values.new_zeros(picks.shape), valid)
    values = values[:, None].expand(-1, picks.shape[1], -1) if values.ndim == 2 else values
    return _mined_where(Mined(candidate[clip, picks], values.gather(2, picks), valid), valid)


def _mined_where(found: Mined, is_kept: Tensor) -> Mined:
    valid = found.valid & is_kept
    return Mined(torch.where(valid[..., None], found.place, 0), torch.where(valid, found.value, 0), valid)
