"""What of a source is not in the result: frames that did not decode, and what the file itself has lost.

A file that was cut short decodes without an error, so decoding alone never tells. Decides nothing; only names.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from vidrain.errors import InputError
from vidrain.events import Notice
from vidrain.types import Damage
from vidrain.video.boxes import stretches
from vidrain.video.decode import Video
from vidrain.video.index import Source
from vidrain.video.mux import Copied

Stretch = tuple[Fraction, Fraction]

_LOOKED_BACK = 32  # frames before a cut among which B-frames may be missing: more than any codec reorders


def none_decoded(frames: str) -> InputError:
    """The error where nothing came of the frames that were wanted. frames: file and frames, the begin of its line."""
    return InputError(f"{frames} could be decoded; vidrain inspect names the damage")


@dataclass(frozen=True)
class Missing:
    """What is missing in the frames that were asked for.

    picture: stretches in seconds from the first frame of the video. other: sentences for what has no time in the
    picture: sound, or a cut behind which nobody knows how much there was.
    """

    picture: tuple[tuple[float, float], ...]
    other: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.picture or self.other)

    def notices(self) -> list[Notice]:
        """The same in words."""
        found = list(self.other)
        if self.picture:
            where = ", ".join(f"{start:.3f}-{end:.3f} s" for start, end in self.picture)
            found.insert(0, f"could not be decoded and is missing: {where}")
        return [Notice(code="missing", message=message) for message in found]


def missing_in(video: Video, kept: range, copied: Collection[Copied] = ()) -> Missing:
    """What is missing of the frames `kept`, once they were decoded, and of the streams that were copied."""
    lost = np.zeros(len(video.index.pts), np.bool_)
    lost[kept.start : kept.stop] = ~video.decoded.frames[kept.start : kept.stop]
    missing = _missing(video.source, kept, lost)
    refused = [
        f"{stream.refused} packets of {stream.kind} are damaged and left out" for stream in copied if stream.refused
    ]
    mangled = [
        f"{stream.mangled} packets of {stream.kind} are not as long as they state; some may be missing"
        for stream in copied
        if stream.mangled
    ]
    return replace(missing, other=(*missing.other, *refused, *mangled))


def missing_in_file(source: Source, kept: range | None = None) -> Missing:
    """What the file has lost, as far as that shows without decoding; of the frames `kept`, or of all."""
    count = len(source.index.pts)
    return _missing(source, range(count) if kept is None else kept, np.zeros(count, np.bool_))


def _missing(source: Source, kept: range, lost: npt.NDArray[np.bool_]) -> Missing:
    pts, base = source.index.pts, source.info.time_base
    begin = int(pts[kept.start]) * base if kept.start else None
    end = int(pts[kept.stop]) * base if kept.stop < len(pts) else None
    behind = _behind(source)
    found = [*_undecoded(source, lost), *_within(damaged(source), begin, end), *_within(behind, begin, end)]
    is_timed = source.stated_end is not None and bool(behind)
    other = [_in_words(damage) for damage in source.structure.damages if _concerns(damage, begin, end, is_timed)]
    origin = min([int(pts[0]) * base, *(start for start, _ in damaged(source))])
    picture = tuple((float(start - origin), float(end - origin)) for start, end in _joined(found))
    return Missing(picture, tuple(other))


def damaged(source: Source) -> list[Stretch]:
    """When the file has lost its picture, as far as its structure tells; on the clock of the stream."""
    return [stretch for damage in source.structure.damages if damage.kind == "video" for stretch in damage.seconds]


def _undecoded(source: Source, lost: npt.NDArray[np.bool_]) -> list[Stretch]:
    pts, base = source.index.pts, source.info.time_base
    last = int(pts[-1]) + (int(pts[-1] - pts[-2]) if len(pts) > 1 else 0)
    return [(start * base, end * base) for start, end in stretches(lost, np.append(pts, last))]


def _behind(source: Source) -> list[Stretch]:
    """What the head of the file promises behind the last frame, and B-frames before it that fell to the cut."""
    pts, base = source.index.pts, source.info.time_base
    steps = np.diff(pts)
    step = int(steps.max()) * base if len(steps) else Fraction(0)
    found = []
    if source.stated_end is not None and source.stated_end - source.end > step / 2:
        found.append((source.end, source.stated_end))
    if any(not damage.seconds for damage in source.structure.damages):
        usual = Fraction(np.median(steps)) * base if len(steps) else step
        last = [int(time) * base for time in pts[-_LOOKED_BACK:]]
        gaps = ((before + usual, after) for before, after in pairwise(last) if after - before > usual * 3 / 2)
        found += [gap for gap in gaps if gap[1] > source.complete_to]
    return found


def _within(found: list[Stretch], begin: Fraction | None, end: Fraction | None) -> list[Stretch]:
    """Stretches cut to [begin, end); None is open."""
    clipped = [(a if begin is None else max(a, begin), b if end is None else min(b, end)) for a, b in found]
    return [(a, b) for a, b in clipped if a < b]


def _concerns(damage: Damage, begin: Fraction | None, end: Fraction | None, is_timed: bool) -> bool:
    """Whether a damage that no stretch of picture stands for concerns [begin, end): without a time it is at the end."""
    if damage.kind == "video" and damage.seconds:
        return False
    if damage.seconds:
        return bool(_within(list(damage.seconds), begin, end))
    return damage.is_anywhere or (end is None and not is_timed)


def _in_words(damage: Damage) -> str:
    if not damage.seconds:
        return f"{damage.what}; how much is missing is not known"
    where = ", ".join(f"{float(start):.3f}-{float(end):.3f} s" for start, end in damage.seconds)
    return f"{damage.kind} is missing: {where}"


def _joined(found: list[Stretch]) -> list[Stretch]:
    """Stretches in order, those that touch made one."""
    joined: list[Stretch] = []
    for start, end in sorted(found):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(joined[-1][1], end)
        else:
            joined.append((start, end))
    return joined
