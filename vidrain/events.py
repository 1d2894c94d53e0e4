"""What a running job tells: plain data, the same for the bar, the NDJSON stream and a caller's own code.

clean("in.mp4", on_event=lambda event: ...)
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Said once, before the first frame: what will be done, everything checked that can be."""

    source: str
    outputs: dict[str, str]  # role (clean, rain, rain_preview, compare) -> path
    model: str
    made_by: str  # version, model, hashes of weights and options, as the outputs state them
    encoder: str
    pix_fmt: str
    width: int
    height: int
    frames: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Said after every frame. fps: frames per second so far; eta_s: seconds left at that rate, None without one."""

    frames: int
    total: int
    fps: float
    eta_s: float | None


@dataclass(frozen=True, kw_only=True)
class Notice:
    """Something a user should know, in one sentence. code: stable word for programs."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class FileDone:
    """Said once, after the outputs have their names."""

    status: str  # ok or partial
    outputs: dict[str, str]
    frames_in: int
    frames_out: int
    frames_repeated: int
    pts_equal: bool
    streams: list[str]
    seconds: float


Event = Plan | Progress | Notice | FileDone
OnEvent = Callable[[Event], None]


def ignore(event: Event) -> None:
    """An `OnEvent` for callers who want to hear nothing."""


class Meter:
    """Counts frames and knows the rate."""

    def __init__(self, total: int) -> None:
        self._total, self._frames, self._began = total, 0, monotonic()

    def tick(self) -> Progress:
        """Count one frame and say how far the job is."""
        self._frames += 1
        fps = self._frames / max(monotonic() - self._began, 1e-9)
        left = max(self._total - self._frames, 0)
        return Progress(frames=self._frames, total=self._total, fps=fps, eta_s=left / fps)
