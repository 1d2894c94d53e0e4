"""Measures what a segment task reads of a long video, with the index that planning put down and without.

    python -m tools.bench_segments CLIP [--loops 124] [--suffix .mp4]

The clip is put behind itself LOOPS times by copying packets, its segments are planned, and two of them, in the middle,
are made. Bytes are those that the system counts for this process, of any file, whether they came from the disk or not.
"""

import re
import subprocess
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import click
import imageio_ffmpeg

from vidrain.config import plain
from vidrain.job import CleanOptions
from vidrain.segments.alone import make_segment, plan_segments
from vidrain.segments.folder import folder_of


class Read(NamedTuple):
    """Bytes: of the source, of its kept index; read by planning, by a task with the index, by a task without."""

    source: int
    kept: int
    planning: int
    task: int
    task_without: int
    segments: int


def bytes_read() -> int:
    """Of any file, by this process so far."""
    found = re.search(r"rchar: (\d+)", Path("/proc/self/io").read_text(encoding="ascii"))
    assert found is not None
    return int(found[1])


def measure(clip: Path, loops: int, suffix: str, folder: Path) -> Read:
    """What planning and two tasks read of `clip`, `loops` times behind itself in a file with that suffix."""
    source, out = folder / f"in{suffix}", folder / f"out{suffix}"
    again = ("-stream_loop", str(loops), "-i", str(clip), "-map", "0:v", "-c", "copy", str(source))
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", *again], check=True)
    options = CleanOptions()
    asked = {"source": str(source), "settings": plain(options)}
    marks = [bytes_read()]
    segments = plan_segments(source, out, options=options, asked=asked).segments
    marks.append(bytes_read())
    make_segment(source, out, segments // 2, options=options)
    marks.append(bytes_read())
    index = folder_of(out) / "index"
    size = index.stat().st_size
    index.unlink()
    make_segment(source, out, segments // 2 + 1, options=options)
    marks.append(bytes_read())
    planning, task, without = (after - before for before, after in pairwise(marks))
    return Read(source.stat().st_size, size, planning, task, without, segments)


@click.command()
@click.argument("clip", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--loops", default=124, help="How often the clip follows itself.")
@click.option("--suffix", default=".mp4", help="Container of the long video.")
def main(clip: Path, loops: int, suffix: str) -> None:
    """Print what was read, in megabytes."""
    with TemporaryDirectory() as folder:
        read = measure(clip, loops, suffix, Path(folder))
    for name, count in read._asdict().items():
        click.echo(f"{name:13} {count if name == 'segments' else f'{count / 1e6:.2f} MB'}")


if __name__ == "__main__":
    main()
