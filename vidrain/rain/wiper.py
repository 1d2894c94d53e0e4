"""A wiper that goes there and back over the glass: which places it has just passed, where it is, and its wet film."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]

_STROKE_S = 0.6  # there, and as long back
_FROM, _TO = np.radians(8.0), np.radians(172.0)  # angles of the blade, from the right, against the clock
_FILM_S = 0.3  # time after which 1/e of the film is left
_OPAQUE = 0.85  # of the blade, out of focus as it is
_BLADE = 0.008  # half its breadth, over the width of the picture


@dataclass(frozen=True)
class Wiper:
    """A wiper in front of pictures of (height, width), that begins to move every so many seconds; 0: never."""

    size: tuple[int, int]
    every_s: float

    def polar(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Angle and distance of pixels from the pivot, which lies below the middle of the picture; distance over the
        length of the blade."""
        height, width = self.size
        right, up = x - width / 2, 1.1 * height - y
        return np.arctan2(up, right), np.hypot(right, up) / (1.05 * np.hypot(width / 2, height))

    def angle(self, seconds: float) -> float | None:
        """Where the blade is; None while it rests."""
        into = seconds % self.every_s if self.every_s else np.inf
        if into >= 2 * _STROKE_S:
            return None
        share = into / _STROKE_S if into < _STROKE_S else 2 - into / _STROKE_S
        return float(_FROM + (_TO - _FROM) * share)

    def since(self, angle: Floats, seconds: float) -> Floats:
        """How many seconds ago the blade passed this angle; infinite where it never did."""
        if not self.every_s:
            return np.full(np.shape(angle), np.inf)
        share = (angle - _FROM) / (_TO - _FROM)
        strokes = seconds // self.every_s * self.every_s
        ago = np.full(np.shape(angle), np.inf)
        for begun in (strokes, strokes - self.every_s):
            for passed in (begun + share * _STROKE_S, begun + (2 - share) * _STROKE_S):
                back = seconds - passed
                ago = np.minimum(ago, np.where((back >= 0) & (begun >= 0), back, np.inf))
        return np.where((share >= 0) & (share <= 1), ago, np.inf)

    def film(self, seconds: float) -> Picture:
        """How much of the picture is smeared by what the blade leaves, [H, W] in [0, 1]."""
        angle, reach = self._grid()
        return np.asarray(np.where(reach < 1, np.exp(-self.since(angle, seconds) / _FILM_S), 0), np.float32)

    def shade(self, seconds: float) -> Picture:
        """How much of each pixel the blade hides, [H, W] in [0, 1]."""
        at = self.angle(seconds)
        angle, reach = self._grid()
        if at is None:
            return np.zeros(self.size, np.float32)
        length = 1.05 * np.hypot(self.size[1] / 2, self.size[0])
        beside = np.abs(np.sin(angle - at)) * reach * length / (_BLADE * self.size[1])
        soft = _OPAQUE * np.clip(1.5 - beside, 0, 1) * (np.cos(angle - at) > 0) * (reach < 1)
        return np.asarray(soft, np.float32)

    def _grid(self) -> tuple[Floats, Floats]:
        y, x = np.mgrid[0 : self.size[0], 0 : self.size[1]] + 0.5
        return self.polar(x, y)
