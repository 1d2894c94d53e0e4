"""How steady a video is along its motion: warping error, and motion against that of another video. Pure, numpy in.

Source of the warping error and of what counts as seen: RDD-Net's evaluation script, after Lai et al., "Learning blind
video temporal consistency", ECCV 2018, section 4; of the occlusion test: Ruder, Dosovitskiy, Brox, "Artistic style
transfer for videos", 2016, eq. 5 and 6. Of tOF: Chu et al., "Learning temporal coherence via self-supervision for
GAN-based video generation", 2020.

    ways = ways_between(guide, later_guide)
    warp_error(picture, later_picture, ways)
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidrain.flow import Flow, fetched, flow_between

Seen = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]  # [H, W] or [H, W, C]


class Ways(NamedTuple):
    """Motion from a frame to the next, [H, W, 2] in pixels, and where it can be trusted, [H, W]."""

    forth: Flow
    seen: Seen


def ways_between(now: npt.NDArray[np.uint8], later: npt.NDArray[np.uint8]) -> Ways:
    """Motion between two luma pictures [H, W] of 8 bits."""
    forth, back = flow_between(now, later), flow_between(later, now)
    return Ways(forth, seen_along(forth, back))


def seen_along(forth: Flow, back: Flow) -> Seen:
    """Where a place is seen in both frames: it finds back, lies on no edge of the motion, and stays in the picture.

    |f + b(f)|^2 <= 0.01 (|f|^2 + |b(f)|^2) + 0.5 and |grad u|^2 + |grad v|^2 <= 0.01 |f|^2 + 0.002, with b(f) the
    motion back, read where f leads. [H, W]
    """
    returned = fetched(back, forth)
    length = (forth**2).sum(-1)
    finds_back = ((forth + returned) ** 2).sum(-1) <= 0.01 * (length + (returned**2).sum(-1)) + 0.5
    slopes = [np.gradient(forth[..., part], axis=axis) for part in (0, 1) for axis in (0, 1)]
    is_smooth = sum(slope**2 for slope in slopes) <= 0.01 * length + 0.002
    height, width = length.shape
    x, y = forth[..., 0] + np.arange(width), forth[..., 1] + np.arange(height)[:, None]
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return np.asarray(finds_back & is_smooth & inside)


def step_between(now: Values, later: Values, ways: Ways) -> Values:
    """`now` less `later` fetched along the motion, 0 where that cannot be trusted."""
    step = now - fetched(later, ways.forth)
    step[~ways.seen] = 0
    return step


def warp_error(now: Values, later: Values, ways: Ways) -> float:
    """Sum over seen places of |V_t - warp(V_t+1)|^2, over their number; channels are summed. NaN where none is seen."""
    count = int(ways.seen.sum())
    return float(np.square(step_between(now, later, ways), dtype=np.float64).sum()) / count if count else float("nan")


def motion_error(truth: Flow, flow: Flow) -> float:
    """tOF: mean over all places of |du| + |dv| between two motions [H, W, 2], in pixels."""
    return float(np.abs(truth.astype(np.float64) - flow).sum(-1).mean())
