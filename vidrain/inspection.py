"""What is known of a file before anything is done to it: facts, streams, damage, and what `clean` would do.

Nothing is written and, unless more is looked into, one frame decoded. Says nothing in words: `listing.py` does.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidrain.amount import rain_amount
from vidrain.errors import InputError, ModelError, SourceLost, VidrainError
from vidrain.job import CleanOptions, Job, plan_job
from vidrain.meter import MEMORY
from vidrain.missing import Missing, missing_in_file
from vidrain.separate import separated
from vidrain.video.access import Access, compare_access
from vidrain.video.color import conversion_for
from vidrain.video.decode import open_video
from vidrain.video.index import Source
from vidrain.video.streams import Contents, contents
from vidrain.watchdog import STALL_S, Watchdog
from vidrain.weights import load_decomposer

_FURTHER = {"access", "rain"}
_PLACES = 12  # where it is looked for rain: each costs decoding from the key frame before, and cleaning a frame


@dataclass(frozen=True)
class Place:
    """What `clean` would do to one frame. seconds: from the first frame; is_dry: whether it would be left as it is.

    amount: what would be taken from it, as `rain_amount` has it.
    """

    frame: int
    seconds: Fraction
    is_dry: bool
    amount: float


@dataclass(frozen=True)
class Rain:
    """What `clean` would do to frames spread over the video; broken_off: why not to all that were to be looked at."""

    places: tuple[Place, ...]
    broken_off: str | None


@dataclass(frozen=True)
class Inspection:
    """What is known of one file. job: what `clean` would do by default; where it would refuse, refusal says why.

    access: of its frames by their numbers; rain: at places spread over it; None where that was not looked into, or is
    refused.
    """

    size: int  # bytes
    source: Source
    contents: Contents
    missing: Missing
    job: Job | None
    refusal: str | None
    access: Access | None = None
    rain: Rain | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the file is known to be missing."""
        return not (self.missing or self.source.structure.damages)


def inspect(path: str | Path, *, stall_s: float = STALL_S, further: Collection[str] = ()) -> Inspection:
    """Look at the file at `path`; InputError if no video in it can be read or nothing comes for `stall_s` seconds.

    further: what takes time to find out. `access`: 200 random frames are fetched by their numbers, which decodes the
    first video whole. `rain`: a frame at each of twelve places is cleaned, to tell whether it rains there. A
    ValueError for anything else.
    """
    if unknown := set(further) - _FURTHER:
        raise ValueError(f"further={sorted(unknown)}: allowed: {', '.join(sorted(_FURTHER))}")
    watchdog = Watchdog(Path(path), stall_s)
    video = watchdog.opened(lambda pulse: open_video(path, beat=pulse.beat))
    source, path = video.source, video.info.path
    job, refusal = None, None
    try:
        job = watchdog.opened(lambda _: plan_job(video, None, CleanOptions()))
    except VidrainError as error:
        refusal = str(error)
    copy = None if job is None else job.copy
    listed = watchdog.opened(lambda _: contents(path, source.info.stream_index, copy))
    tried = watchdog.opened(lambda pulse: compare_access(path, beat=pulse.beat)) if "access" in further else None
    rain = _rain(job, watchdog) if "rain" in further and job is not None else None
    return Inspection(path.stat().st_size, source, listed, missing_in_file(source), job, refusal, tried, rain)


def _rain(job: Job, watchdog: Watchdog) -> Rain:
    """What becomes of frames spread over the video, as far as that can be found out."""
    places: list[Place] = []
    try:
        for place in _places(job, watchdog):
            places.append(place)
    except SourceLost:
        raise
    except (InputError, ModelError) as error:  # what else is known of the file is not lost for that
        return Rain(tuple(places), str(error))
    return Rain(tuple(places), None)


def _places(job: Job, watchdog: Watchdog) -> Iterator[Place]:
    """Frames spread over the video that decode, behind the first few, which are always cleaned."""
    info, conversion, first = job.video.info, conversion_for(job.video.info), int(job.video.index.pts[0])
    decomposer = load_decomposer(job.model, None, CleanOptions().of_models)
    seen = job.kept[MEMORY:] or job.kept
    for index in dict.fromkeys(seen[(2 * at + 1) * len(seen) // (2 * _PLACES)] for at in range(_PLACES)):
        kept = range(index, index + 1)
        with separated(job.video, kept, decomposer, options=job.decompose, watchdog=watchdog) as found:
            for item in found:
                seconds = (item.frame.pts - first) * info.time_base
                yield Place(index, seconds, item.is_dry, rain_amount(item, conversion))
