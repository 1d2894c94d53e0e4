"""What a page says of every frame and of all together: how much rain, and a histogram of what changed.

figures = Figures(info.time_base, is_noisy=False)
figures.look(frame, luma_levels(before, conversion), luma_levels(after, conversion))
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from vidrain.types import Frame, Planes
from vidrain.video.color import Conversion, to_luma

EDGES = tuple(range(-128, 129, 8))  # grey levels: of the histogram; what lies outside counts to the last bins
WORST = 8  # frames that are listed

_LEVELS = 255.0
_DEVIATIONS = 3.0  # of the coding noise, up to which a change is taken for noise
_MAD = 1.4826  # median absolute deviation to standard deviation, of a Gaussian
_MOST_POINTS = 2000  # of the chart; of more the highest of each group is kept

Levels = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Shown:
    """One frame as the page names it. amount: mean of what rain added, as a share of the range of luma."""

    index: int
    pts: int
    seconds: float
    amount: float


class Figures:
    """Counted frame by frame. is_noisy: the clean frames come from a lossy encoder, so small changes are left out."""

    def __init__(self, time_base: Fraction, *, is_noisy: bool) -> None:
        self._time_base, self._is_noisy = time_base, is_noisy
        self.frames: list[Shown] = []
        self.histogram = np.zeros(len(EDGES) - 1, np.int64)
        self.pixels = self.changed = 0

    def look(self, frame: Frame, before: Levels, after: Levels) -> None:
        """Count one frame. before, after: luma in grey levels of 255, [H, W] each."""
        change = before - after
        if self._is_noisy:
            change[np.abs(change) <= _noise(change)] = 0
        amount = float(np.maximum(change, 0).mean(dtype=np.float64)) / _LEVELS
        self.frames.append(Shown(frame.index, frame.pts, float(frame.pts * self._time_base), amount))
        differs = change[change != 0]
        self.histogram += np.histogram(np.clip(differs, EDGES[0], EDGES[-1] - 1), EDGES)[0]
        self.pixels += change.size
        self.changed += len(differs)

    @property
    def worst(self) -> list[Shown]:
        """The frames with most rain, the worst first; none without any."""
        found = sorted(self.frames, key=lambda frame: -frame.amount)[:WORST]
        return [frame for frame in found if frame.amount > 0]

    @property
    def chart(self) -> list[Shown]:
        """As many frames as can be told apart in a chart, in order, no peak left out."""
        group = -(-len(self.frames) // _MOST_POINTS) or 1
        groups = (self.frames[start : start + group] for start in range(0, len(self.frames), group))
        return [max(each, key=lambda frame: frame.amount) for each in groups]


def luma_levels(planes: Planes, conversion: Conversion) -> Levels:
    """Luma of stored planes in grey levels of 255; not clipped. [H, W] float32"""
    if conversion.layout.family == "gbrp":
        levels: Levels = to_luma(planes, conversion)[0].mul_(_LEVELS).numpy()
        return levels
    # scaled at once, so that differences of full-range codes stay whole numbers and fall into their bars
    return (planes[0].astype(np.float32) - np.float32(conversion.offset[0])) * np.float32(_LEVELS / conversion.scale[0])


def _noise(change: Levels) -> float:
    """Up to how many levels a change is the encoder's: three deviations, robust against rain; two levels at least."""
    return max(2.0, _DEVIATIONS * _MAD * float(np.median(np.abs(change))))


def excerpts(amounts: Sequence[float], *, most: int, length: int) -> list[range]:
    """Which frames are shown: all of at most `most`; else stretches of `length` around the worst and evenly spaced.

    Stretches are in order and do not overlap; together they are no more than `most`.
    """
    count = len(amounts)
    if count <= most:
        return [range(count)] if count else []
    wanted = max(most // length, 1)
    taken = np.zeros(count, np.bool_)
    left = np.asarray(amounts, np.float64).copy()
    for _ in range(-(-wanted // 2)):
        middle = int(left.argmax())
        start = min(max(middle - length // 2, 0), count - length)
        taken[start : start + length] = True
        left[max(start - length, 0) : start + 2 * length] = -1
    spaced = wanted // 2
    for number in range(spaced):
        start = (count - length) * (2 * number + 1) // (2 * spaced)
        taken[start : start + length] = True
    edges = np.flatnonzero(np.diff(np.concatenate(([False], taken, [False])).astype(np.int8)))
    return [range(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]
