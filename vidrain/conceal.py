"""Conceals frames that did not decode: the clean frame before stands in for them.

A generator between `decompose` and the exports: layers in, layers out. Only what lies between decoded frames is filled,
so a video that breaks off is never drawn out by a frozen picture. Knows nothing of files and of FFmpeg.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrain.errors import InputError
from vidrain.missing import Missing
from vidrain.types import FrameIndex, Layers, VideoInfo

_MOST_IN_A_ROW = 8  # frames: a third of a second; when more are lost, a viewer sees that the picture stands still
_INSTEAD = "--on-bad-frame repeat or drop cleans what is left"


@dataclass
class Concealed:
    """Counts the frames for which the one before stands in. frozen: (first time, time behind the last) of long runs."""

    frames_repeated: int = 0
    frozen: list[tuple[int, int]] = field(default_factory=list)


def repeated(
    layers: Iterable[Layers], index: FrameIndex, kept: range, decoded: npt.NDArray[np.bool_], counted: Concealed
) -> Iterator[Layers]:
    """`layers` of the frames `kept`, each gap in them filled with B of the frame before, at the times of `index`.

    decoded: which frames of the video have come out so far; frames lost at the end of `kept` are filled as well if a
    frame behind it has. What stands in is O and B alike, so that its rain is zero.
    """
    last: Layers | None = None
    for found in layers:
        if last is not None:
            yield from _between(last, found.frame.index, found.frame.pts, index, counted)
        yield found
        last = found
    if last is not None and decoded[kept.stop :].any():
        yield from _between(last, kept.stop, int(index.pts[kept.stop]), index, counted)


def _between(last: Layers, stop: int, until: int, index: FrameIndex, counted: Concealed) -> Iterator[Layers]:
    """Copies of `last` for the frames from the one behind it up to `stop`, which is shown at `until`."""
    first = last.frame.index + 1
    times = [*map(int, index.pts[first:stop]), until]
    if stop - first > _MOST_IN_A_ROW and times[0] < until:
        counted.frozen.append((times[0], until))
    for number, (pts, end) in enumerate(pairwise(times), start=first):
        if last.frame.pts < pts < until:  # else a time was moved, and there is no room
            frame = replace(last.frame, planes=last.background, pts=pts, duration=min(end, until) - pts, index=number)
            counted.frames_repeated += 1
            yield Layers(frame, last.background)


def unbroken(layers: Iterable[Layers], info: VideoInfo, index: FrameIndex, kept: range) -> Iterator[Layers]:
    """`layers`; InputError at the first of the frames `kept` that is not among them."""
    due = kept.start
    for found in layers:
        if found.frame.index > due:
            break
        yield found
        due = found.frame.index + 1
    if due < kept.stop:
        seconds = float((int(index.pts[due]) - int(index.pts[0])) * info.time_base)
        raise InputError(f"{info.path}: frame {due} (at {seconds:.3f} s) could not be decoded; {_INSTEAD}")


def refuse_missing(path: Path, missing: Missing) -> None:
    """InputError if anything is `missing` of the file at `path`."""
    for notice in missing.notices():
        raise InputError(f"{path}: {notice.message}; {_INSTEAD}")


def refuse_damaged(path: Path, packets: int) -> None:
    """InputError if any packets of the video at `path` were damaged, even if every frame came out of it."""
    if packets:
        raise InputError(f"{path}: {packets} packets of the video are damaged; {_INSTEAD}")


def in_words(lost: npt.NDArray[np.bool_], counted: Concealed, index: FrameIndex, base: Fraction) -> list[str]:
    """How many frames did not decode and what became of them.

    lost [F]: of the frames that were to go out; base: of the times of `index`, in seconds.
    """
    count, frames_repeated = int(lost.sum()), counted.frames_repeated
    if not count:
        return []
    found = [
        f"{count} of {len(lost)} frames could not be decoded: {frames_repeated} show the clean frame before them, "
        f"{count - frames_repeated} are left out"
    ]
    if lost[0] and count < len(lost):
        found.append(f"the picture begins with frame {int(lost.argmin())}, the first that decodes; sound stays in step")
    for stretch in counted.frozen:
        start, end = (float((pts - int(index.pts[0])) * base) for pts in stretch)
        found.append(f"the picture stands still from {start:.3f} to {end:.3f} s; --on-bad-frame drop leaves that out")
    return found
