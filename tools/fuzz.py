"""Cleans thousands of damaged videos and judges how each run ended: no bad file gets away with silence.

    python -m tools.fuzz --minutes 30 --seed 1 --keep failures/

Every case is the real command in a process of its own, forked from this one, which has loaded everything and started no
thread. Case N of a seed is always the same. Exit code 1 if any case failed.
"""

import os

# Before torch loads: a case has one core, and its process is forked.
os.environ.update(OMP_NUM_THREADS="1", OMP_WAIT_POLICY="PASSIVE")

import random
import re
import shutil
import signal
import subprocess
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep

import av
import click
import imageio_ffmpeg

from tools.mutations import PACKET, Anatomy, anatomy, mutated
from vidrain import cli
from vidrain.errors import PARTIAL

for needed in ("config", "pipeline", "progress"):  # what a command loads late
    import_module(f"vidrain.{needed}")

SAMPLES = Path(__file__).resolve().parents[1] / "samples"
CHEAP = ("--codec", "h264", "-e", "preset=ultrafast", "model=baseline", "baseline.radius=1", "--json")
ALLOWED = {0, 3, PARTIAL}  # what a damaged source may end with; nothing of it is the fault of the target
_LIMIT_S = 40.0  # for a case; a whole clip takes well under two on a quiet core
_NAMED = re.compile(r'"stream (\d+) \(')
_BACKWARDS = "times that ran backwards"
_FEWEST = "12"  # frames that are kept of a sample
_X264 = ("-c:v", "libx264", "-bf", "2", "-g", "6", "-pix_fmt", "yuv420p")
_X265 = ("-c:v", "libx265", "-x265-params", "log-level=none:bframes=2:keyint=6", "-tag:v", "hvc1")
_LIVE = ("-movflags", "frag_keyframe+empty_moov+default_base_moof")
# name of the original -> (sample, file name, arguments of ffmpeg)
ORIGINALS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "mp4": ("full_range.mp4", "a.mp4", _X264),
    "mp4-vfr": ("vfr.mp4", "a.mp4", _X264),
    "mp4-front": ("rotated.mp4", "a.mp4", (*_X264, "-movflags", "+faststart")),
    "mp4-fragments": ("full_range.mp4", "a.mp4", (*_X264, *_LIVE)),
    "mp4-hevc": ("tenbit.mp4", "a.mp4", _X265),
    "mov": ("vfr.mp4", "a.mov", _X264),
    "mkv": ("cut.mkv", "a.mkv", _X264),
    "mkv-vfr": ("vfr.mp4", "a.mkv", _X264),
    "mkv-ffv1": ("odd.mp4", "a.mkv", ("-c:v", "copy")),
    "webm-vp9": ("full_range.mp4", "a.webm", ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-c:a", "libopus")),
    "ts": ("full_range.mp4", "a.ts", _X264),
    "ts-hevc": ("tenbit.mp4", "a.ts", _X265),
    "avi": ("full_range.mp4", "a.avi", ("-c:v", "mpeg4", "-q:v", "3", "-c:a", "mp3")),
    "avi-mjpeg": ("full_range.mp4", "a.avi", ("-c:v", "mjpeg", "-an")),
}


@dataclass(frozen=True)
class Shown:
    """What a player gets of a video.

    frames: their number; seconds: from the first to the last; step: the longest of them, between two; packets: of each
    other stream, in order.
    """

    frames: int
    seconds: Fraction
    step: Fraction
    packets: tuple[int, ...]


@dataclass(frozen=True)
class Original:
    """A whole clip: its bytes, where they may be hurt, and what its cleaned version shows."""

    name: str
    suffix: str
    data: bytes
    found: Anatomy
    shown: Shown


@dataclass(frozen=True)
class Ended:
    """How one run ended; code is None for one that had to be killed, negative for a signal.

    left_out: numbers of the streams that it named as left out. moved: whether it said that times ran backwards.
    """

    code: int | None
    err: str
    left: tuple[str, ...]
    left_out: frozenset[int]
    shown: Shown | None
    seconds: float
    moved: bool = False


def originals(folder: Path) -> Iterator[Original]:
    """The clips that are damaged, with what cleaning them whole gives."""
    for name, (sample, file, arguments) in ORIGINALS.items():
        path = folder / name / file
        path.parent.mkdir()
        command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-i", str(SAMPLES / sample), "-map", "0"]
        kept = (
            "-c:a",
            "copy",
            "-frames:v",
            _FEWEST,
            "-t",
            "1",
            "-fps_mode",
            "passthrough",
            "-enc_time_base",
            "demux",
        )
        subprocess.run([*command, *kept, *arguments, "-fflags", "+bitexact", str(path)], check=True)
        ended = run(path, path.parent / "out")
        if ended.code != 0 or ended.shown is None:
            raise click.ClickException(f"{name}: the whole clip ends with {ended.code}: {ended.err}")
        data = path.read_bytes()
        yield Original(name, path.suffix, data, anatomy(data), ended.shown)


def run(source: Path, folder: Path) -> Ended:
    """`vidrain clean source` in a forked process; its files are removed afterwards."""
    folder.mkdir()
    err, told, out = folder.with_name("err.txt"), folder.with_name("told.txt"), folder / "out.mp4"
    began = monotonic()
    child = os.fork()
    if child == 0:
        _become_clean(["clean", str(source), "-o", str(out), *CHEAP], told, err)
    code = _waited(child, began + _LIMIT_S)
    left = tuple(sorted(path.name for path in folder.iterdir()))
    shown = show(out) if out.exists() else None
    shutil.rmtree(folder)
    lines = told.read_text(errors="replace").splitlines()
    named = (_NAMED.search(line) for line in lines if '"code": "left_out"' in line)
    left_out = frozenset(int(found[1]) for found in named if found)
    moved = any('"code": "times"' in line and _BACKWARDS in line for line in lines)
    return Ended(code, err.read_text(errors="replace"), left, left_out, shown, monotonic() - began, moved)


def _become_clean(arguments: list[str], told: Path, err: Path) -> None:
    """Run the command line in this (forked) process and end it."""
    code = 1
    try:
        for path, number in ((told, 1), (err, 2)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w") for number in (1, 2))  # whoever caught them before
        sys.argv = ["vidrain", *arguments]
        cli.command()
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _waited(child: int, until: float) -> int | None:
    while monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def show(path: Path) -> Shown:
    """Decode `path` in this thread alone: no thread may run when the next case is forked."""
    with av.open(str(path), metadata_errors="surrogateescape") as container:
        stream = container.streams.video[0]
        stream.thread_type, stream.codec_context.thread_count = "NONE", 1
        number, base = stream.index, Fraction(stream.time_base or 1)
        times = [frame.pts for frame in container.decode(stream) if frame.pts is not None]
    with av.open(str(path), metadata_errors="surrogateescape") as container:
        counts = Counter(packet.stream_index for packet in container.demux() if packet.size)
        others = tuple(counts[stream.index] for stream in container.streams if stream.index != number)
    step = max((after - before for before, after in pairwise(times)), default=0)
    return Shown(len(times), (times[-1] - times[0]) * base, step * base, others)


def judged(ended: Ended, whole: Shown) -> str:
    """What is wrong with how a run ended; empty where nothing is."""
    lines = ended.err.splitlines()
    errors = [line for line in lines if not line.startswith("vidrain: note: ")]
    if ended.code is None:
        return f"hangs: still running after {_LIMIT_S:g} s"
    if ended.code < 0:
        return f"killed by signal {-ended.code}"
    if "Traceback" in ended.err:
        return f"traceback: {lines[-1]}"
    if ended.code not in ALLOWED:
        return f"exit code {ended.code}: {ended.err.strip()}"
    if len(errors) != (ended.code == 3) or any(not line.startswith("vidrain: ") for line in lines):
        return f"exit code {ended.code} with {len(errors)} lines of error: {errors[:3]}"
    if ended.left != (() if ended.code == 3 else ("out.mp4",)):
        return f"exit code {ended.code} leaves {ended.left}"
    if ended.code == 0 and not _alike(ended, whole):
        return f"silent: exit code 0, but {ended.shown} instead of {whole}"
    return ""


def _alike(ended: Ended, whole: Shown) -> bool:
    """Whether all is there, but for the very streams that were named as left out: video is stream 0 of every original.

    The first or the last time may be off by less than a step of this very clip. Nothing is lost then, and where a time
    stands but once, as in transport streams and Matroska without checksums, another one is as good (docs/contract.md).
    """
    shown = ended.shown
    return shown is not None and _is_complete(ended, whole) and abs(shown.seconds - whole.seconds) < whole.step


def _is_complete(ended: Ended, whole: Shown) -> bool:
    """Whether every frame and every packet is there, whatever their times."""
    due = tuple(count for number, count in enumerate(whole.packets, start=1) if number not in ended.left_out)
    return ended.shown is not None and (ended.shown.frames, ended.shown.packets) == (whole.frames, due)


def _excuse(clip: Original, data: bytes, source: Path, ended: Ended) -> str:
    """Why an output may be another one: so was the whole file, or it was said; empty where that is not so."""
    if _is_shorter_stream(clip, data):
        return "cut between packets or fragments"
    if ended.moved and _is_complete(ended, clip.shown):
        return "times ran backwards, which was said"
    return "states other times" if _restates(clip, data, source, ended) else ""


def _is_shorter_stream(clip: Original, data: bytes) -> bool:
    """Whether a stream was cut between two packets or fragments: then it is whole, and shorter (docs/contract.md)."""
    if not clip.data.startswith(data):
        return False
    is_packets = clip.suffix == ".ts" and len(data) % PACKET == 0
    return is_packets or (clip.name == "mp4-fragments" and clip.data[len(data) + 4 : len(data) + 8] == b"moof")


def _restates(clip: Original, data: bytes, source: Path, ended: Ended) -> bool:
    """Whether other times are stated, consistently, and the output shows just what FFmpeg reads: docs/contract.md.

    What else was changed must be harmless by itself, such as a letter of a title.
    """
    reads_alike = len(data) == len(clip.data) and _alike(ended, show(source))
    return reads_alike and _is_harmless(clip, _timed(clip, data), source)


def _timed(clip: Original, data: bytes) -> bytes:
    """The damaged file with the times of the original."""
    restored = bytearray(data)
    for start, end in clip.found.times:
        restored[start:end] = clip.data[start:end]
    return bytes(restored)


def _is_harmless(clip: Original, data: bytes, source: Path) -> bool:
    """Whether a file shows what the original shows, and was cleaned without a complaint."""
    if data == clip.data:
        return True
    other = source.with_name(f"other{clip.suffix}")
    other.write_bytes(data)
    ended = run(other, source.with_name("out"))
    return ended.code == 0 and not judged(ended, clip.shown)


def cases(
    clips: list[Original], seed: int, goes_on: Callable[[int], bool], start: int = 0
) -> Iterator[tuple[int, Original, bytes, str]]:
    """Damaged files without end: (number, original, bytes, what was done)."""
    number = start
    while goes_on(number - start):
        dice = random.Random(f"{seed}/{number}")
        clip = dice.choice(clips)
        yield number, clip, *mutated(clip.data, clip.found, dice)
        number += 1


@click.command()
@click.option("--minutes", type=float, default=1.0, show_default=True)
@click.option("--cases", "most", type=int, help="Stop after so many, whatever the time.")
@click.option("--start", type=int, default=0, show_default=True, help="Number of the first case.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the inputs that failed.")
@click.option("--only", multiple=True, type=click.Choice(list(ORIGINALS)), help="These originals alone.")
def main(minutes: float, most: int | None, start: int, seed: int, keep: Path | None, only: tuple[str, ...]) -> None:
    """Damage the samples in seeded ways, clean each, and tell which runs did not end as they should."""
    codes: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    excused: Counter[str] = Counter()
    slowest = 0.0
    with TemporaryDirectory(prefix="vidrain-fuzz-") as name:
        folder = Path(name)
        clips = [clip for clip in originals(folder) if not only or clip.name in only]
        began = monotonic()
        due = cases(clips, seed, lambda done: monotonic() - began < minutes * 60 and done != most, start)
        for number, clip, data, said in due:
            source = folder / f"case{clip.suffix}"
            source.write_bytes(data)
            ended = run(source, folder / "out")
            slowest = max(slowest, ended.seconds)
            codes[str(ended.code)] += 1
            wrong = judged(ended, clip.shown)
            excuse = _excuse(clip, data, source, ended) if wrong.startswith("silent") else ""
            if excuse:
                excused[excuse] += 1
                click.echo(f"seed {seed} case {number} ({clip.name}, {said}): {excuse}: {ended.shown}")
            elif wrong:
                failures[wrong.partition(":")[0]] += 1
                click.echo(f"seed {seed} case {number} ({clip.name}, {said}): {wrong}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    shutil.copy(source, keep / f"{seed}-{number}-{clip.name}{clip.suffix}")
        took = monotonic() - began
    total = sum(codes.values())
    ends = ", ".join(f"exit {code}: {count}" for code, count in sorted(codes.items()))
    others = f"slowest {slowest:.1f} s; whole but other: {dict(excused) or 'none'}"
    click.echo(f"{total} cases in {took:.0f} s; {ends}; {others}; failed: {dict(failures) or 'none'}")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
