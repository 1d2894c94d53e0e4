"""Slow twins: the same formulas once more, in plain loops and numpy, for fast functions to be compared with.

Nothing here may import from vidrain, or the two could be wrong together.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def conv3x3(picture: Array, weight: Array, bias: Array) -> Array:
    """Cross-correlation with zeros around. picture [C, H, W], weight [D, C, 3, 3], bias [D]. [D, H, W]"""
    height, width = picture.shape[1:]
    padded = np.pad(picture, ((0, 0), (1, 1), (1, 1)))
    out = np.zeros((len(weight), height, width), picture.dtype)
    for made in range(len(weight)):
        for channel in range(len(picture)):
            for down in range(3):
                for right in range(3):
                    part = padded[channel, down : down + height, right : right + width]
                    out[made] += weight[made, channel, down, right] * part
        out[made] += bias[made]
    return out


def instance_norm(features: Array) -> Array:
    """Each channel of [C, H, W] less its mean, over its standard deviation (biased, epsilon 1e-5 in the root)."""
    out = np.empty_like(features)
    for channel, plane in enumerate(features):
        mean = plane.sum() / plane.size
        variance = ((plane - mean) ** 2).sum() / plane.size
        out[channel] = (plane - mean) / np.sqrt(variance + 1e-5)
    return out


def nlcl_generator(state: Mapping[str, Array], signal: Array) -> Array:
    """The published generator by the names of its checkpoint. [3, H, W] in [-1, 1] to [3, H, W]"""

    def conv(name: str, features: Array) -> Array:
        return conv3x3(features, state[f"gen.{name}.weight"], state[f"gen.{name}.bias"])

    features = conv("0", signal)
    for block in range(1, 17):
        inner = np.maximum(instance_norm(conv(f"{block}.model.0.conv", features)), 0)
        features = features + instance_norm(conv(f"{block}.model.1.conv", inner))
    inner = np.maximum(instance_norm(conv("17.conv.0", features)), 0)
    return conv("18", conv("17.conv.3", inner))


def correlated(picture: Array, weight: Array, bias: Array | None = None, padding: int = 0) -> Array:
    """Cross-correlation with zeros around. picture [C, H, W], weight [D, C, k, k], bias [D]."""
    padded = np.pad(picture, ((0, 0), (padding, padding), (padding, padding)))
    side = weight.shape[-1]
    rows, columns = (size - side + 1 for size in padded.shape[1:])
    out = np.zeros((len(weight), rows, columns))
    for y in range(rows):
        for x in range(columns):
            out[:, y, x] = (weight * padded[:, y : y + side, x : x + side]).sum((1, 2, 3))
    return out if bias is None else out + bias[:, None, None]


def blurred(features: Array) -> Array:
    """[1 2 1] / 4 down and across with a mirrored border, then every second sample."""
    padded = np.pad(features, ((0, 0), (1, 1), (1, 1)), mode="reflect")
    line = (1, 2, 1)
    height, width = features.shape[1:]
    whole = sum(
        line[down] * line[right] / 16 * padded[:, down : down + height, right : right + width]
        for down in range(3)
        for right in range(3)
    )
    return np.asarray(whole)[:, ::2, ::2]


def patch_discriminator(state: Mapping[str, Array], picture: Array) -> tuple[Array, list[Array]]:
    """The published discriminator on [3, H, W]: scores [1, h, w], and picture and convolutions 0, 3, 7, 11."""
    taps, features = [picture], picture
    for number, place in enumerate((0, 3, 7, 11)):
        features = correlated(features, state[f"layers.{place}.weight"], state[f"layers.{place}.bias"], padding=1)
        taps.append(features)
        if number:
            features = instance_norm(features)
        features = np.where(features > 0, features, 0.2 * features)
        if number < 3:
            features = blurred(features)
    return correlated(features, state["layers.14.weight"], state["layers.14.bias"], padding=1), taps


def squared_error(observed: Array, background: Array, rain: Array) -> float:
    every = zip(observed.flat, background.flat, rain.flat, strict=True)
    return sum((b + r - o) ** 2 for o, b, r in every) / observed.size


def least_squares(score: Array, target: float) -> float:
    return sum((value - target) ** 2 for value in score.flat) / score.size


def masked_difference(B: Array, neighbour: Array, mask: Array) -> float:
    """Mean absolute difference over channels and places, weighted by a mask of one channel."""
    total, weight = 0.0, 0.0
    for n, c, y, x in np.ndindex(B.shape):
        total += mask[n, 0, y, x] * abs(B[n, c, y, x] - neighbour[n, c, y, x])
        weight += mask[n, 0, y, x]
    return total / weight if weight else 0.0


def squared_correlation(R: Array, neighbour: Array, mask: Array) -> float:
    """Mean over pictures of the squared weighted correlation."""
    found = []
    for ours, theirs, weight in zip(R, neighbour, np.broadcast_to(mask, R.shape), strict=True):
        if weight.sum() == 0:
            continue
        a = ours - (ours * weight).sum() / weight.sum()
        b = theirs - (theirs * weight).sum() / weight.sum()
        spread = (weight * a * a).sum() * (weight * b * b).sum()
        found.append((weight * a * b).sum() ** 2 / spread if spread else 0.0)
    return float(np.mean(found)) if found else 0.0


Anchors = list[tuple[float, float]]  # loss of each, and how much it counts


def info_nce(
    query: Array, positive: Array, negative: Array, temperature: float, weight: Array, present: Array
) -> float:
    """InfoNCE of every positive of every query by its definition."""
    found = []
    for q, key in enumerate(query):
        pushes = sum(
            np.exp(key @ n / temperature) for n, is_there in zip(negative[q], present[q], strict=True) if is_there
        )
        losses = []
        for p in positive[q]:
            pull = np.exp(key @ p / temperature)
            losses.append(-np.log(pull / (pull + pushes)))
        if weight[q].sum() > 0:
            found.append((weight[q] * losses).sum() / weight[q].sum())
    return float(np.mean(found)) if found else 0.0


def supervised_contrast(
    layers: tuple[Array, Array],
    weights: tuple[Array, Array],
    temperatures: tuple[float, float],
    nearest: tuple[float, float],
) -> tuple[Anchors, Anchors]:
    """The loss of every anchor and how much it counts, of both layers [G, n, D] apart.

    nearest: the highest similarity that two patches of a layer can have (1: no radius).
    """
    found: tuple[Anchors, Anchors] = ([], [])
    for own, other in ((0, 1), (1, 0)):
        for group in range(len(layers[own])):
            patches, strangers = layers[own][group], layers[other][group]
            weight, presence = weights[own][group], weights[other][group]
            for i in range(len(patches)):
                total, pulls, rest = 0.0, [], 0.0
                for j in range(len(patches)):
                    if j != i and weight[j] > 0:
                        similar = min(patches[i] @ patches[j], nearest[own]) / temperatures[own]
                        total += weight[j] * np.exp(similar)
                        pulls.append((weight[j], similar))
                for j in range(len(strangers)):
                    total += presence[j] * np.exp(patches[i] @ strangers[j] / temperatures[own])
                for share, similar in pulls:
                    rest += share * (np.log(total) - similar)
                if weight[i] > 0 and pulls:
                    whole = sum(share for share, _ in pulls)
                    found[own].append((rest / whole, weight[i] * min(whole, 1)))
    return found


def mean_over(anchors: Anchors) -> float:
    """Of their losses, each as much as it counts."""
    counts = sum(count for _, count in anchors)
    return sum(loss * count for loss, count in anchors) / counts if counts else 0.0


Place = tuple[int, int, int]  # frame, y, x of the upper left corner of a patch
Found = list[tuple[float, Place]]  # value and place of each pick, best first


def patch_of(clip: Array, place: Place, patch: int) -> Array:
    frame, y, x = place
    return clip[frame, :, y : y + patch, x : x + patch]


def patch_distance(clip: Array, first: Place, second: Place, patch: int) -> float:
    """Mean squared difference of two patches of a clip [T, C, H, W]."""
    difference = patch_of(clip, first, patch) - patch_of(clip, second, patch)
    return float((difference**2).sum() / difference.size)


def best_apart(found: Found, count: int, apart: int) -> Found:
    """The best ones, none nearer to a better one than `apart`."""
    picks: Found = []
    for value, place in sorted(found):
        near = (max(abs(place[1] - other[1]), abs(place[2] - other[2])) < apart for _, other in picks)
        if len(picks) < count and not any(near):
            picks.append((value, place))
    return picks


def spatial_matches(
    clip: Array, query: Place, *, count: int, patch: int, radius: int, exclusion: int, stride: int, apart: int
) -> Found:
    """By going over every place of the query's frame."""
    frame, y, x = query
    found = []
    for row in range(clip.shape[2] - patch + 1):
        for column in range(clip.shape[3] - patch + 1):
            down, right = row - y, column - x
            if max(abs(down), abs(right)) > radius or down % stride or right % stride:
                continue
            if max(abs(down), abs(right)) < exclusion:
                continue
            found.append((patch_distance(clip, query, (frame, row, column), patch), (frame, row, column)))
    return best_apart(found, count, apart)


def temporal_matches(
    clip: Array,
    query: Place,
    flow: Array,
    cap: float,
    *,
    count: int,
    patch: int,
    refine: int,
    apart: int,
    largest_error: float,
) -> Found:
    """By following the flow [T, T, H, W, 2] of the patch's middle into every other frame and going over every place."""
    own, y, x = query
    frames, _, height, width = clip.shape
    picks: Found = []
    for frame in range(frames):
        right, down = flow[own, frame, y + patch // 2, x + patch // 2]
        row, column = y + patch // 2 + int(np.rint(down)), x + patch // 2 + int(np.rint(right))
        if frame == own or not (0 <= row < height and 0 <= column < width):
            continue
        back_right, back_down = flow[frame, own, row, column]
        if np.hypot(right + back_right, down + back_down) > largest_error:
            continue
        found = []
        for top in range(height - patch + 1):
            for left in range(width - patch + 1):
                if max(abs(top + patch // 2 - row), abs(left + patch // 2 - column)) <= refine:
                    distance = patch_distance(clip, query, (frame, top, left), patch)
                    if distance <= cap:
                        found.append((distance, (frame, top, left)))
        picks += best_apart(found, count, apart)
    return picks


def rain_matches(rain: Array, query: Place, candidates: list[Place], *, patch: int, count: int, least: float) -> Found:
    found: Found = []
    for place in candidates:
        energy = float((patch_of(rain, place, patch) ** 2).mean())
        same = (
            abs(place[0] - other[0]) <= 1 and abs(place[1] - other[1]) < patch and abs(place[2] - other[2]) < patch
            for other in (query, *(taken for _, taken in found))
        )
        if energy >= least and not any(same):
            found.append((energy, place))
    return found[:count]


def unlike_matches(clip: Array, query: Place, candidates: list[Place], *, patch: int, count: int) -> Found:
    found = sorted((-patch_distance(clip, query, place, patch), place) for place in candidates)
    return [(-distance, place) for distance, place in found[:count]]


def upright_edges(clip: Array, candidates: list[Place], *, patch: int, count: int) -> Found:
    found = []
    for place in candidates:
        picture, strength = patch_of(clip, place, patch), 0.0
        for channel in picture:
            for y in range(patch):
                for x in range(patch):
                    strength += abs(channel[y, x] - channel[y, x - 1]) if x else 0
                    strength -= abs(channel[y, x] - channel[y - 1, x]) if y else 0
        if strength > 0:
            found.append((-strength / (len(picture) * patch * (patch - 1)), place))
    return [(-strength, place) for strength, place in sorted(found)[:count]]


def neighbour_distances(points: Array) -> list[list[float]]:
    """For every point the distances to all others, rising."""
    return [
        sorted(float(np.linalg.norm(one - other)) for j, other in enumerate(points) if j != i)
        for i, one in enumerate(points)
    ]


def maximum_likelihood_dimension(points: Array, first: int, last: int) -> float:
    """Levina and Bickel's estimate for every number of neighbours, inverses averaged over points."""
    estimates = []
    for k in range(first, last + 1):
        inverses = [
            sum(np.log(nearest[k - 1] / nearest[j]) for j in range(k - 1)) / (k - 1)
            for nearest in neighbour_distances(points)
        ]
        estimates.append(len(inverses) / sum(inverses))
    return float(np.mean(estimates))


def two_neighbour_dimension(points: Array) -> float:
    """The slope through the origin of -log(1 - F) over log(ratio), by least squares, without the last tenth."""
    ratios = sorted(np.log(nearest[1] / nearest[0]) for nearest in neighbour_distances(points))
    count = len(ratios)
    over, under = 0.0, 0.0
    for rank, ratio in enumerate(ratios[: int(count * 0.9)], start=1):
        over += ratio * -np.log(1 - rank / (count + 1))
        under += ratio * ratio
    return over / under


def rgb_codes(
    planes: tuple[Array, ...], family: str, fixed: Mapping[str, int], shift: tuple[int, int], depth: int
) -> Array:
    """Stored planes to RGB codes by integers, pixel by pixel. fixed: coefficients, offsets, shift."""
    height, width = planes[0].shape
    found = np.zeros((height, width, 3), planes[0].dtype)
    for y in range(height):
        for x in range(width):
            if family == "gbrp":
                found[y, x] = planes[2][y, x], planes[0][y, x], planes[1][y, x]
                continue
            luma = fixed["luma"] * (int(planes[0][y, x]) - fixed["black"])
            u = v = 0
            if family != "gray":
                u, v = (int(plane[y >> shift[1], x >> shift[0]]) - fixed["neutral"] for plane in planes[1:])
            added = (fixed["r_v"] * v, fixed["g_u"] * u + fixed["g_v"] * v, fixed["b_u"] * u)
            for channel in range(3):
                code = (luma + added[channel] + fixed["half"]) // (1 << fixed["shift"])
                found[y, x, channel] = min(max(code, 0), (1 << depth) - 1)
    return found


def linear(code: float) -> float:
    """A stored value as linear light: IEC 61966-2-1, mirrored below 0."""
    size = abs(code)
    found = size / 12.92 if size <= 0.04045 else ((size + 0.055) / 1.055) ** 2.4
    return found if code >= 0 else -found


def rained(code: float, depth: float, bright: float, shown: float) -> float:
    """A stored value behind streaks that let through e^-depth and are `bright` times what drops show."""
    left = math.exp(-depth)
    light = linear(code) * left + shown * (1 - left) * (bright if depth > 1e-12 else 0.0)
    size = abs(light)
    found = size * 12.92 if size <= 0.0031308 else 1.055 * size ** (1 / 2.4) - 0.055
    return found if light >= 0 else -found
