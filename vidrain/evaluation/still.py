"""What becomes of rain that was filmed by a still camera, where no truth is known. Pure, numpy in.

The scene stands still, so the median over sixty frames is the scene without rain. Where O exceeds it by more than 15
levels is a streak (or something that moves, alike for every method):

- excess: mean of V - median over all such places, in levels of luma. 0: every streak is gone.
- flicker: standard deviation over the frames of the mean of all other places, of B over that of O. Above 1: B flickers.

Frames are taken sixty at a time, a rest with those before it: at most sixty of O and sixty of B are held, whatever the
length of the clip.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from vidrain.evaluation.scores import Levels

STREAK = 15.0  # levels
WINDOW = 60  # frames
_ROWS = 32  # of which the median is taken at a time: it copies what it is given


class Streaks(NamedTuple):
    """Mean excess of O and of B in levels, flicker of B over that of O; NaN where there is no streak or no frame."""

    before: float
    after: float
    flicker: float

    @property
    def gone(self) -> float:
        """Share of the excess that is gone."""
        return 1 - self.after / self.before


class StillCamera:
    """Looks at frames in order; `streaks` tells what was seen, once `finish` was called."""

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._recent: deque[Levels] = deque(maxlen=window)
        self._waiting: list[tuple[Levels, Levels]] = []
        self._new = 0
        self._streak_places = 0
        self._sums = [0.0, 0.0]
        self._means: tuple[list[float], list[float]] = ([], [])

    def look(self, observed: Levels, background: Levels | None) -> None:
        """Take one frame into account; background: None for one that only says what the scene is."""
        self._recent.append(observed)
        if background is not None:
            self._waiting.append((observed, background))
        self._new += 1
        if self._new == self._window:
            self._measure()

    def finish(self) -> Streaks:
        """What was seen in all frames."""
        if self._waiting:
            self._measure()
        count = self._streak_places
        before, after = (total / count if count else float("nan") for total in self._sums)
        wobble = [float(np.std(means)) if means else float("nan") for means in self._means]
        return Streaks(before, after, wobble[1] / wobble[0] if wobble[0] > 0 else float("nan"))

    def _measure(self) -> None:
        """Measure the frames that wait against the median of the latest ones."""
        scene = median_of(list(self._recent))
        for layers in self._waiting:
            wet = layers[0] - scene > STREAK
            self._streak_places += int(wet.sum())
            for place, layer in enumerate(layers):
                self._sums[place] += float((layer - scene)[wet].sum(dtype=np.float64))
                if not wet.all():
                    self._means[place].append(float(layer[~wet].mean(dtype=np.float64)))
        self._waiting, self._new = [], 0


def median_of(frames: list[Levels]) -> Levels:
    """Median of every pixel over frames of one shape [H, W]."""
    scene = np.empty_like(frames[0])
    for top in range(0, len(scene), _ROWS):
        band = slice(top, top + _ROWS)
        scene[band] = np.median([frame[band] for frame in frames], axis=0)
    return scene


def correlation(first: npt.NDArray[np.float32], second: npt.NDArray[np.float32]) -> float:
    """Pearson's, of two pictures of one shape; 0 where either is even."""
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt(np.square(first, dtype=np.float64).sum() * np.square(second, dtype=np.float64).sum()))
    return float((first.astype(np.float64) * second).sum()) / size if size > 0 else 0.0
