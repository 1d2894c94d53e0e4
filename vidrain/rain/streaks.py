"""What moving drops leave on a picture while the shutter is open: where, for how long, how wide, how opaque.

A drop of width d that moves L pixels covers each pixel of its way for a share d / (L + d) of the exposure: opacity
falls as the shutter stays open longer, while the streak grows. So what it takes of the light adds up to its disc,
pi/4 d^2, however fast it moves and however far out of focus it is, and that is what is laid out along its way.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vidrain.rain.camera import Camera, along
from vidrain.rain.canvas import Canvas
from vidrain.rain.drops import swing_hz
from vidrain.rain.scene import Drops

Floats = npt.NDArray[np.float64]

_LENS = 0.35  # pixels: standard deviation of what a good lens and a sensor's pixel add
_SWING = 0.2  # of its brightness that a swinging drop gains and loses
_SPACING = 0.7  # pixels from one point of a streak to the next, of its own softness
_MOST_POINTS = 4000  # of one streak
_AT_ONCE = 1_000_000  # points that are held, about 200 MB: heavy rain in a large picture has a hundred times as many
_ROUNDS = 8  # of approximation: when the shutter opens over the row where a drop then is


@dataclass(frozen=True)
class Streaks:
    """Drops and when they are seen. begin, end: [S] seconds from the opening of the first row's shutter."""

    drops: Drops
    begin: Floats
    end: Floats

    def __len__(self) -> int:
        return len(self.begin)

    def only(self, chosen: slice) -> "Streaks":
        """Those that are chosen."""
        return Streaks(self.drops.only(chosen), self.begin[chosen], self.end[chosen])

    def place(self, seconds: Floats) -> Floats:
        """Where the drops are so long after the opening, [S, 3]."""
        return self.drops.place + self.drops.velocity * seconds[:, None]


def seen(drops: Drops, camera: Camera) -> Streaks:
    """The streaks of those drops that cross the picture, above the ground, while their rows are exposed."""
    drops = drops.only(drops.place[:, 2] < camera.farthest(drops.diameter))  # the rest is mist
    margin = 2.0  # pixels around the picture
    below, above = _exposed(drops, camera)
    half = np.array([camera.size[1], camera.size[0]]) / 2 + margin
    focal = camera.focal_px
    # Each side of the view, the nearest plane and the ground are planes: what is beyond is negative. [D, 6] at second 0
    # and what it gains per second.
    planes = [(focal, 0, half[0]), (-focal, 0, half[0]), (0, focal, half[1]), (0, -focal, half[1]), (0, 0, 1)]
    normals = np.array([*planes, -camera.down])
    offsets = [0, 0, 0, 0, -camera.nearest, camera.options.height]
    inside = np.stack(
        [along(drops.place, each) + offset for each, offset in zip(normals, offsets, strict=True)], axis=1
    )
    gain = np.stack([along(drops.velocity, each) for each in normals], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        crossing = -inside / gain
    enters = np.where(gain > 0, crossing, -np.inf).max(axis=1, initial=-np.inf)
    leaves = np.where(gain < 0, crossing, np.inf).min(axis=1, initial=np.inf)
    never = ((gain == 0) & (inside < 0)).any(axis=1)
    begin, end = np.maximum(below, enters), np.minimum(above, leaves)
    chosen = (end > begin) & ~never
    return Streaks(drops.only(chosen), begin[chosen], end[chosen])


def _exposed(drops: Drops, camera: Camera) -> tuple[Floats, Floats]:
    """From when to when the row is exposed where each drop is, [D]: later further down, where rows are read in turn."""
    begin, end = np.zeros(len(drops)), np.full(len(drops), camera.exposure)
    if not camera.readout:
        return begin, end
    height = camera.size[0]
    for _ in range(_ROUNDS):
        for moment, opened in ((begin, 0.0), (end, camera.exposure)):
            place = drops.place + drops.velocity * moment[:, None]
            place[:, 2] = np.maximum(place[:, 2], camera.nearest)
            row = np.clip(camera.project(place)[:, 1] / height, -0.5, 1.5)
            moment[:] = opened + camera.readout * row
    return begin, end


def draw(streaks: Streaks, camera: Camera, light: Floats, canvas: Canvas) -> None:
    """Lay the streaks on the canvas. light: [S], how bright each drop is beside others at its place."""
    if not len(streaks):
        return
    at_middle = streaks.place((streaks.begin + streaks.end) / 2)[:, 2]
    width = camera.focal_px * streaks.drops.diameter / 1000 / at_middle
    variance = _LENS**2 + (width**2 + camera.blur_px(at_middle) ** 2) / 16
    points = _points(streaks, camera, variance)
    level = canvas.levels(variance)
    for some in _portions(points):
        _lay(streaks.only(some), points[some], camera, (light[some], level[some]), canvas)


def _portions(points: npt.NDArray[np.int64]) -> Iterator[slice]:
    """Streaks of so many points each, as runs that together have few enough to be held; one streak at least."""
    upto, begin = np.cumsum(points), 0
    while begin < len(points):
        before = upto[begin] - points[begin]
        end = max(begin + 1, int(np.searchsorted(upto, before + _AT_ONCE, "right")))
        yield slice(begin, end)
        begin = end


def _lay(
    streaks: Streaks, points: npt.NDArray[np.int64], camera: Camera, look: tuple[Floats, Floats], canvas: Canvas
) -> None:
    """Some streaks, point by point. points, look (light and level of softness): [S]."""
    light, level = look
    diameter_m = streaks.drops.diameter / 1000
    owner = np.repeat(np.arange(len(streaks)), points)
    number = np.arange(len(owner)) - np.repeat(np.cumsum(points) - points, points)
    share = (number + 0.5) / points[owner]
    seconds = streaks.begin[owner] + share * (streaks.end - streaks.begin)[owner]
    place = streaks.drops.place[owner] + streaks.drops.velocity[owner] * seconds[:, None]
    # the disc of the drop, for this point's share of the exposure
    disc = np.pi / 4 * (camera.focal_px * diameter_m[owner] / place[:, 2]) ** 2
    covered = disc * ((streaks.end - streaks.begin) / points / camera.exposure)[owner]
    turns = swing_hz(streaks.drops.diameter)[owner] * seconds + streaks.drops.phase[owner]
    bright = light[owner] * (1 + _SWING * np.cos(2 * np.pi * turns))
    canvas.add(camera.project(place), covered, bright, level[owner])


def _points(streaks: Streaks, camera: Camera, variance: Floats) -> npt.NDArray[np.int64]:
    """Of how many points each streak is made, [S]."""
    ends = [camera.project(streaks.place(moment)) for moment in (streaks.begin, streaks.end)]
    length = np.linalg.norm(ends[1] - ends[0], axis=1)
    depths = [streaks.place(moment)[:, 2] for moment in (streaks.begin, streaks.end)]
    stretch = np.maximum(*depths) / np.minimum(*depths)  # a drop that comes nearer is faster at its end
    found = np.ceil(length * stretch / (_SPACING * np.sqrt(variance + 0.5)))
    return np.asarray(np.clip(found, 1, _MOST_POINTS), np.int64)
