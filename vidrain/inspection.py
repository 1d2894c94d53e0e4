"""What is known of a file before anything is done to it: facts, streams, damage, and what `clean` would do.

Nothing is written and, unless random access is tried, one frame decoded. Says nothing in words: `listing.py` does.
"""

from dataclasses import dataclass
from pathlib import Path

from vidrain.errors import VidrainError
from vidrain.job import CleanOptions, Job, plan_job
from vidrain.missing import Missing, missing_in_file
from vidrain.video.access import Access, compare_access
from vidrain.video.decode import open_video
from vidrain.video.index import Source
from vidrain.video.streams import Contents, contents
from vidrain.watchdog import STALL_S, Watchdog


@dataclass(frozen=True)
class Inspection:
    """What is known of one file. job: what `clean` would do by default; where it would refuse, refusal says why.

    access: of its frames by their numbers, if that was looked into.
    """

    size: int  # bytes
    source: Source
    contents: Contents
    missing: Missing
    job: Job | None
    refusal: str | None
    access: Access | None = None

    @property
    def is_whole(self) -> bool:
        """Whether nothing of the file is known to be missing."""
        return not (self.missing or self.source.structure.damages)


def inspect(path: str | Path, *, stall_s: float = STALL_S, access: bool = False) -> Inspection:
    """Look at the file at `path`; InputError if no video in it can be read or nothing comes for `stall_s` seconds.

    access: also fetch 200 random frames by their numbers, which decodes the first video whole.
    """
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
    tried = watchdog.opened(lambda pulse: compare_access(path, beat=pulse.beat)) if access else None
    return Inspection(path.stat().st_size, source, listed, missing_in_file(source), job, refusal, tried)
