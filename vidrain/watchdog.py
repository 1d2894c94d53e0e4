"""Ends what waits for a source that gives nothing any more: a pulled card, a network share that went away, a decoder
that turns in circles. Of outputs it looks only once, before anything is begun, whether their disk answers.

The clock runs only while we wait, so a slow model never trips it. What is stuck in foreign code cannot be ended from
here; its thread is left behind, as a daemon.

    watchdog = Watchdog(Path("in.mp4"), patience_s=120.0)
    video = watchdog.opened(lambda pulse: open_video("in.mp4", pulse.beat))
"""

import os
from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from vidrain.errors import OutputError, StallError, UsageError
from vidrain.stream import Pulse, patiently, prefetch

T = TypeVar("T")

STALL_S = 120.0  # a disk that spins up takes ten seconds, a share that comes back a minute
_LONGEST_S = 1e6


@dataclass(frozen=True)
class Watchdog:
    """Patience with one source: StallError of one line when it gives nothing for `patience_s`."""

    path: Path
    patience_s: float

    def __post_init__(self) -> None:
        _refuse_endless(self.patience_s)

    def opened(self, work: Callable[[Pulse], T], where: str = "while it was opened") -> T:
        """Result of `work`, which opens, lists or indexes the source and beats the pulse while it moves on."""
        try:
            return patiently(work, self.patience_s, "open")
        except TimeoutError as error:
            raise self._stalled(where) from error

    def ahead(
        self, items: Iterable[T], depth: int, name: str, where: Callable[[], str] = lambda: ""
    ) -> Generator[T, None, None]:
        """`prefetch` of what the source gives. where: the place, in words, once it stalls."""
        try:
            yield from prefetch(items, depth, name, patience_s=self.patience_s)
        except TimeoutError as error:
            raise self._stalled(where() or f"during {name}") from error

    def _stalled(self, where: str) -> StallError:
        return StallError(
            f"{self.path}: gave nothing for {self.patience_s:g} s {where}; copy it to a disk of this machine and try "
            "again, or raise --stall-s"
        )


def refuse_hung(targets: Iterable[Path | None], patience_s: float) -> None:
    """OutputError where the file system of something that is to be written gives no answer for `patience_s`.

    None is nothing. All else that may be wrong there says who writes.
    """
    _refuse_endless(patience_s)
    for target in filter(None, targets):
        try:
            patiently(partial(_ask, target), patience_s, "look")
        except TimeoutError as error:
            raise OutputError(
                f"{target}: the disk or share there gave no answer for {patience_s:g} s; mount it again, or choose "
                "another place"
            ) from error


def _refuse_endless(patience_s: float) -> None:
    if not 0 < patience_s <= _LONGEST_S:
        raise UsageError(f"stall_s={patience_s:g}: allowed are seconds above 0, up to {_LONGEST_S:g}")


def _ask(target: Path, _: Pulse) -> None:
    """Ask for free space, which no system answers from memory for a share, as it does names and sizes."""
    place = target.absolute()
    with suppress(OSError):
        while not place.exists():
            place = place.parent
        os.statvfs(place)
