"""What rains in a clip, in numbers: how much in each frame, which way and how long its streaks are, how simple R is.

found = rain_in("rainy.mp4")
found.frames[0].amount, found.directions, found.lengths
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidrain.amount import rain_amount, rain_levels
from vidrain.analysis import SIDES, Patches, Row, Strongest, estimated, patches_at
from vidrain.events import Meter, OnEvent, PagePlan, ignore
from vidrain.job import CleanOptions
from vidrain.missing import Missing, none_decoded
from vidrain.part import plan_part
from vidrain.streak_shapes import LEAST_LEVELS, Streaks, mean_direction, streaks_in
from vidrain.types import Layers, VideoInfo
from vidrain.video.color import conversion_for, upright

DIRECTIONS: tuple[int, ...] = tuple(range(-90, 91, 5))  # degrees: edges of the bins
LENGTHS: tuple[int, ...] = (*range(2, 60, 2), 60, 80, 100, 140, 200, 10_000)  # pixels, likewise

_PATCHES = 1500  # of each side; estimates depend on how many there are
_FRAMES = 60  # that give patches, spread over the clip


@dataclass(frozen=True)
class RainFrame:
    """One frame. amount: mean of what rain added to luma; area: pixels with more than eight levels of rain; both as
    shares. direction: mean of its streaks in degrees from straight down, None without any; length: their median."""

    index: int
    pts: int
    seconds: float
    amount: float
    area: float
    streaks: int
    direction: float | None
    length: float | None


@dataclass(frozen=True)
class RainAnalysis:
    """The rain of one clip.

    directions, lengths: streaks in each bin of DIRECTIONS and LENGTHS; mean_direction: (degrees, concentration in
    [0, 1]), None without streaks; dimensions: of R, at two sizes of patch; missing: what did not decode.
    """

    source: Path
    made_by: str
    frames: tuple[RainFrame, ...]
    directions: tuple[int, ...]
    lengths: tuple[int, ...]
    mean_direction: tuple[float, float] | None
    dimensions: tuple[Row, ...]
    missing: Missing

    @property
    def amount(self) -> float:
        """Mean over all frames, as a share."""
        return sum(frame.amount for frame in self.frames) / len(self.frames)

    @property
    def streaks(self) -> int:
        """In all frames together; one that is seen in two frames counts twice."""
        return sum(frame.streaks for frame in self.frames)


class _Gathered:
    """Streaks and patches of R over a clip; of the pictures nothing is kept."""

    def __init__(self, info: VideoInfo, count: int) -> None:
        self._info, self._conversion = info, conversion_for(info)
        self._every = max(1, -(-count // _FRAMES))
        self._strongest = Strongest(-(-_PATCHES // -(-count // self._every)))
        self._patches: dict[int, list[Patches]] = {side: [] for side in SIDES}
        self.directions = np.zeros(len(DIRECTIONS) - 1, np.int64)
        self.lengths = np.zeros(len(LENGTHS) - 1, np.int64)
        self._turns = 0j
        self._seen = 0

    def look(self, layers: Layers) -> RainFrame:
        """Measure one frame."""
        base = self._info.time_base
        picture = upright(rain_levels(layers.rain, self._conversion), self._info.display_matrix)
        streaks = streaks_in(picture.numpy())
        self._count(streaks)
        if self._seen % self._every == 0:
            rain = picture.clamp(min=0)
            for side in SIDES:
                self._patches[side].append(patches_at(picture, self._strongest(rain, side), side))
        self._seen += 1
        direction = mean_direction(streaks.angles)
        return RainFrame(
            index=layers.frame.index,
            pts=layers.frame.pts,
            seconds=float(layers.frame.pts * base),
            amount=rain_amount(layers, self._conversion),
            area=float((picture > LEAST_LEVELS).float().mean()),
            streaks=len(streaks),
            direction=None if direction is None else direction[0],
            length=float(np.median(streaks.lengths)) if len(streaks) else None,
        )

    def _count(self, streaks: Streaks) -> None:
        self.directions += np.histogram(streaks.angles, DIRECTIONS)[0]
        self.lengths += np.histogram(streaks.lengths, LENGTHS)[0]
        self._turns += complex(np.exp(2j * np.radians(streaks.angles)).sum())

    def mean_direction(self) -> tuple[float, float] | None:
        """Of all streaks."""
        count = int(self.directions.sum())
        if not count:
            return None
        return float(np.degrees(np.angle(self._turns)) / 2), abs(self._turns) / count

    def dimensions(self) -> tuple[Row, ...]:
        """Of R, at both sizes of patch."""
        return tuple(estimated("rain", side, self._patches[side]) for side in SIDES)


def rain_in(path: str | Path, options: CleanOptions | None = None, *, on_event: OnEvent = ignore) -> RainAnalysis:
    """Measure the rain of the clip at `path`, as the model of `options` finds it.

    options: as `clean` takes them; the range, the model and its settings count. Holds a window of frames and
    some figures of each. Raises VidrainError.
    """
    options, path = options or CleanOptions(), Path(path)
    part = plan_part(path, options, what="an analysis")
    gathered, meter, frames = _Gathered(part.video.info, len(part.kept)), Meter(len(part.kept)), list[RainFrame]()
    on_event(PagePlan(source=str(path), output="", frames=len(part.kept)))
    with part.separated() as layers:
        for item in layers:
            frames.append(gathered.look(item))
            on_event(meter.tick())
    if not frames:
        raise none_decoded(f"{path}: none of its {len(part.kept)} frames")
    missing = part.missing()
    return RainAnalysis(
        source=path,
        made_by=part.made_by,
        frames=tuple(frames),
        directions=tuple(gathered.directions.tolist()),
        lengths=tuple(gathered.lengths.tolist()),
        mean_direction=gathered.mean_direction(),
        dimensions=gathered.dimensions(),
        missing=missing,
    )
