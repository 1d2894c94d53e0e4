"""Many jobs in one process leave nothing behind: no thread, no open file, no memory."""

import statistics
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import sleep

import psutil
import pytest

import vidrain
from tests import ffmpeg_says
from vidrain.errors import InputError, OutputError
from vidrain.events import Event, Progress
from vidrain.video.encoder import EncodeOptions

pytestmark = pytest.mark.slow

WARM_UP, JOBS = 6, 36
OPTIONS = [
    vidrain.CleanOptions(force=True),
    vidrain.CleanOptions(force=True, archive=True, start="2"),
    vidrain.CleanOptions(force=True, encode=EncodeOptions(codec="hevc"), end="6"),
]


class OnPurpose(Exception):
    """Raised by a caller in the middle of a job."""


def fail(event: Event) -> None:
    if isinstance(event, Progress) and event.frames == 3:
        raise OnPurpose


def one_of_each(source: Path, out: Path, number: int) -> None:
    """A job that ends well, and three that do not."""
    options = OPTIONS[number % len(OPTIONS)]
    assert vidrain.clean(source, out, options=options).status == "ok"
    with pytest.raises(OnPurpose):
        vidrain.clean(source, out, options=options, on_event=fail)
    with pytest.raises(OutputError):
        vidrain.clean(source, out)
    with pytest.raises(InputError):
        vidrain.clean(out.with_name("none.mp4"), out, options=options)


def settled(me: psutil.Process, usual: int) -> int:
    """How many threads are left: those of a job that failed have up to a second to see it."""
    for _ in range(20):
        if me.num_threads() <= usual:
            break
        sleep(0.05)
    return me.num_threads()


def soaked(source: Path, out: Path) -> tuple[list[int], list[int], list[float]]:
    """Threads, open files and MiB of this process after every job."""
    me = psutil.Process()
    threads, files, memory = list[int](), list[int](), list[float]()
    for number in range(JOBS):
        one_of_each(source, out, number)
        threads.append(settled(me, max(threads[:WARM_UP], default=0)))
        files.append(me.num_fds())
        memory.append(me.memory_info().rss / (1 << 20))
    return threads, files, memory


@pytest.mark.timeout(1200)
def test_thirty_jobs_leave_nothing_behind(samples: Path, tmp_path: Path) -> None:
    """In a process of their own: the heap of one that has run other tests before moves by 60 MiB."""
    source, out = tmp_path / "in.mp4", tmp_path / "out.mp4"
    ffmpeg_says.remux(samples / "full_range.mp4", source, "-map", "0", "-t", "0.4")
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        threads, files, memory = other.submit(soaked, source, out).result()
    assert max(threads[WARM_UP:]) <= max(threads[:WARM_UP])
    assert max(files[WARM_UP:]) <= max(files[:WARM_UP])
    early, late = statistics.median(memory[WARM_UP : WARM_UP + 6]), statistics.median(memory[-6:])
    # a quarter of a megabyte of each of 120 runs
    assert late <= early + 30, f"{early:.0f} MiB after {WARM_UP} jobs, {late:.0f} MiB after {JOBS}"
    assert sorted(tmp_path.iterdir()) == [source, out]
