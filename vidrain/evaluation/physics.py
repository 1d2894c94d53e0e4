"""F_phys: whether what was removed behaves like rain, and how much of what does is removed. Pure, numpy in.

After the score of the FluidRain preprint: the precision of the removed layer R is (T C P)^(1/3), the recall
1 - E_rain(B) / E_rain(O), the score their harmonic mean. The preprint's own code is not published; here

- T, transience: 1 - correlation of R with R of the next frame, within [0, 1]. Rain is elsewhere then, scene is not.
- C, coherence: of the structure tensor of R in blocks of 16 pixels, (l1 - l2) / (l1 + l2), blocks counting by l1 + l2.
- P, fit: how well the directions of streaks fit a flow without sources: the stream function, a polynomial of degree
  three, whose flow crosses streaks least. 1 - 2 e, where e is the share of the gradient along that flow: 0.5 without
  any direction, 0 where all streaks lie along it.
- E_rain: pixels of long thin parts (`vidrain.streak_shapes`) of V_t - warp(V_t+1) and of its negative.

So figures compare methods here; they are not those that the preprint prints.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidrain.evaluation.scores import Levels
from vidrain.evaluation.still import correlation
from vidrain.streak_shapes import streaks_in

_SIDE = 16  # of a block
_DEGREE = 3
_POWERS = [(i, j) for i in range(_DEGREE + 1) for j in range(_DEGREE + 1 - i) if i + j]
_TINY = 1e-9

Tensors = npt.NDArray[np.float64]  # [h, w, 3]: sums of gx gx, gx gy, gy gy over a block


class Physics(NamedTuple):
    """F_phys and what it is made of; all in [0, 1]. recall and score are NaN where O shows no streak."""

    transience: float
    coherence: float
    fit: float
    recall: float

    @property
    def precision(self) -> float:
        """Geometric mean of the first three."""
        return float((self.transience * self.coherence * self.fit) ** (1 / 3))

    @property
    def score(self) -> float:
        """Harmonic mean of precision and recall."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both > 0 else math.nan if math.isnan(both) else 0.0


def physics_of(rain: Levels, later_rain: Levels, observed_step: Levels, background_step: Levels) -> Physics:
    """Judge what was removed from one frame.

    rain, later_rain: luma of O - B of it and of the next frame; the steps: `motion.step_between` of O and of B between
    the two; all [H, W] in levels.
    """
    tensors = block_tensors(rain)
    before, after = streak_pixels(observed_step), streak_pixels(background_step)
    return Physics(
        transience=1 - max(0.0, correlation(rain, later_rain)) if np.any(rain) else 0.0,
        coherence=coherence_of(tensors),
        fit=flow_fit(tensors),
        recall=min(1.0, max(0.0, 1 - after / before)) if before else math.nan,
    )


def block_tensors(rain: Levels) -> Tensors:
    """Structure tensors of `rain` [H, W], summed over whole blocks of 16 pixels (one block in smaller pictures)."""
    down, across = np.gradient(rain.astype(np.float64))
    height, width = rain.shape
    rows, columns = max(1, height // _SIDE), max(1, width // _SIDE)
    sides = min(height, _SIDE), min(width, _SIDE)
    products = np.stack((across * across, across * down, down * down), -1)
    whole = products[: rows * sides[0], : columns * sides[1]]
    return np.asarray(whole.reshape(rows, sides[0], columns, sides[1], 3).sum((1, 3)))


def coherence_of(tensors: Tensors) -> float:
    """(l1 - l2) / (l1 + l2), blocks counting by l1 + l2; 0 for an even picture."""
    xx, xy, yy = np.moveaxis(tensors, -1, 0)
    total = float((xx + yy).sum())
    return float(np.hypot(xx - yy, 2 * xy).sum()) / total if total > _TINY else 0.0


def flow_fit(tensors: Tensors) -> float:
    """1 - 2 e for the flow without sources that crosses the gradients' streaks least; 0 for an even picture.

    e: smallest generalized eigenvalue of (sum F'JF, sum tr(J) F'F), where F maps the coefficients of a stream function
    to the flow in a block, and J is its tensor.
    """
    rows, columns = tensors.shape[:2]
    energy = tensors[..., 0] + tensors[..., 2]
    if float(energy.sum()) <= _TINY:
        return 0.0
    reach = max(rows, columns) / 2
    y, x = ((np.arange(count) + 0.5 - count / 2) / reach for count in (rows, columns))
    flow = _flows(np.broadcast_to(x, energy.shape), np.broadcast_to(y[:, None], energy.shape))
    matrix = np.stack((tensors[..., [0, 1]], tensors[..., [1, 2]]), -2)
    crossed = np.einsum("hwik,hwij,hwjl->kl", flow, matrix, flow, optimize=True)
    whole = np.einsum("hwik,hw,hwil->kl", flow, energy, flow, optimize=True)
    whole += np.eye(len(whole)) * (_TINY * np.trace(whole))
    root = np.linalg.inv(np.linalg.cholesky(whole))
    least = float(np.linalg.eigvalsh(root @ crossed @ root.T)[0])
    return min(1.0, max(0.0, 1 - 2 * least))


def _flows(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The flow (d/dy, -d/dx) of every monomial x^i y^j of degree 1 to 3. [h, w, 2, 9]"""
    found = []
    for i, j in _POWERS:
        along_y = j * x**i * y ** max(j - 1, 0)
        along_x = i * x ** max(i - 1, 0) * y**j
        found.append(np.stack((along_y, -along_x), -1))
    return np.stack(found, -1)


def streak_pixels(step: Levels) -> float:
    """Pixels of long thin parts of `step` [H, W] above eight levels, and of those below minus eight."""
    found = (streaks_in(part) for part in (step, -step))
    return float(sum((streaks.lengths * streaks.widths).sum() for streaks in found))
