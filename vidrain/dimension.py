"""Intrinsic dimension: on how many numbers a cloud of points really depends, from distances to nearest neighbours.

Pure: points in, a number out. Two estimators, as either alone can be wrong; both are biased low where the dimension
is high and points are few (a Gaussian of dimension 20 in 1,500 points: about 15 and 17), so compare figures that were
taken on equally many points.

    levina_bickel(points), two_nearest(points)  # [n, D] -> dimension
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[Any]
Distances = npt.NDArray[np.float64]

_NEAREST = (10, 20)  # neighbours, from and to: Levina and Bickel, section 4
_KEPT = 0.9  # of the ratios; the largest lie where the cloud ends: Facco et al. drop a tenth
_BLOCK = 256  # points whose distances to all others are held at a time


def levina_bickel(points: Points, *, nearest: tuple[int, int] = _NEAREST) -> float:
    """Maximum likelihood from the growth of the number of neighbours with the distance.

    points: [n, D], any real type; equal points count once. nearest: the range (from, to) of neighbours, over which
    the estimates are averaged. ValueError for `to` neighbours or fewer; inf where all points are equally far apart.
    Source: Levina and Bickel, "Maximum likelihood estimation of intrinsic dimension", NIPS 2004, eq. 8, where not
    the estimates of points but their inverses are averaged (MacKay and Ghahramani 2005).
    """
    first, last = nearest
    if not 2 <= first <= last:
        raise ValueError(f"found nearest {nearest}; want 2 <= from <= to")
    logs = np.log(_distances(points, last))  # [n, last], rising
    sums = np.cumsum(logs, axis=1)
    estimates = []
    for k in range(first, last + 1):
        inverse = logs[:, k - 1] - sums[:, k - 2] / (k - 1)
        mean = float(inverse.mean())
        estimates.append(1 / mean if mean > 0 else math.inf)
    return math.fsum(estimates) / len(estimates)


def two_nearest(points: Points) -> float:
    """From the ratio of the distances to the second and the nearest neighbour alone.

    points as above. Source: Facco, d'Errico, Rodriguez and Laio, "Estimating the intrinsic dimension of datasets by
    a minimal neighborhood information", Scientific Reports 7, 2017: a line through the origin, the largest tenth of
    the ratios left out. inf where all are equally far apart; ValueError for two points or fewer.
    """
    nearest = _distances(points, 2)
    ratios = np.sort(np.log(nearest[:, 1] / nearest[:, 0]))
    count = len(ratios)
    kept = max(1, int(count * _KEPT))
    rarity = -np.log1p(-np.arange(1, kept + 1) / (count + 1))
    squares = float(ratios[:kept] @ ratios[:kept])
    return float(rarity @ ratios[:kept]) / squares if squares > 0 else math.inf


def _distances(points: Points, nearest: int) -> Distances:
    """Distances of each different point to its `nearest` neighbours, rising. [n, nearest]"""
    if points.ndim != 2:
        raise ValueError(f"found shape {points.shape}; want [n, D]")
    different = np.unique(points.astype(np.float64), axis=0)
    if len(different) <= nearest:
        raise ValueError(f"found {len(different)} different points; want more than {nearest}")
    different -= different.mean(axis=0)
    squares = (different * different).sum(axis=1)
    found = np.empty((len(different), nearest))
    for start in range(0, len(different), _BLOCK):
        block = slice(start, start + _BLOCK)
        rough = squares[block, None] - 2 * different[block] @ different.T + squares
        rough[np.arange(len(rough)), np.arange(start, start + len(rough))] = np.inf  # itself
        near = np.argpartition(rough, nearest - 1, axis=1)[:, :nearest]
        # once more by differences: those of close points are lost in the squares above
        exact = np.linalg.norm(different[block, None] - different[near], axis=2)
        found[block] = np.sort(exact, axis=1)
    return found
