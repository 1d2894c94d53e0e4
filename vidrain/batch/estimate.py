"""How long a batch will take and how much room it will need, and where these figures come from."""

import shutil
from collections import defaultdict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from vidrain.batch.journal import Journal, Record
from vidrain.batch.plan import File, Look, Settings, mark_of
from vidrain.batch_lines import many
from vidrain.config import clean_from
from vidrain.errors import InputError
from vidrain.job import CleanOptions
from vidrain.outputs import written
from vidrain.part import plan_part
from vidrain.span import kept_frames
from vidrain.types import VideoInfo
from vidrain.video.decode import open_video
from vidrain.watchdog import Watchdog

_MEASURED = 8  # frames, on the first file that can be opened
_WARMING = 2  # frames that are not counted
_LOSSY = 1.5  # bytes out for a byte in, assumed until a file is done: rain costs bits, crf 18 costs more
_LOSSLESS = 0.7  # bytes of FFV1 for a byte of planes, assumed likewise
_UNPACKED = 50.0  # the same for a byte in, where no file tells its size: of 1080p, 30 frames a second, 10 Mbit/s
_UNKNOWN = "how many files a cluster does at a time is not known without --workers"
_TRIED = 5  # files, for one that opens
_PEAK = 2  # times the size of an output: its segments, and what they are joined into


class _Rate(NamedTuple):
    """Of files that are alike. growth: bytes out for a byte in; seconds: for a byte in, None where it is not known."""

    growth: float
    seconds: float | None
    basis: str
    unread: Mapping[str, str] = {}  # output -> why, of sources that did not open


@dataclass(frozen=True)
class Estimate:
    """What lies ahead. space: output -> bytes of all that is written for it; basis: where figures come from, in words.

    seconds: None where no figure is to be had; unread: output -> why, of sources that were tried and did not open.
    """

    space: Mapping[str, float]
    seconds: float | None
    basis: str
    unread: Mapping[str, str] = field(default_factory=dict)


def estimate(looks: Sequence[Look], journal: Journal, *, workers: int | None, machines: int | None) -> Estimate:
    """Of files that are to be done: from files of the same settings done here, else from a few frames of one of them.

    workers: files at a time, None where that is not known; machines: how many there are for them, each taken to be as
    fast as this one, on which such frames are computed; None: they are not, so the time is not known, and room assumed.
    Settings under which nothing was done yet are told apart by what room depends on: whether files are
    lossless, and layers.
    """
    todo = [look for look in looks if look.state == "to do" and look.size]
    if not todo:
        return Estimate({}, 0.0, "nothing is left to do")
    made: defaultdict[str, list[Record]] = defaultdict(list)
    for record in journal.made.values():
        made[record["mark"]].append(record)
    alike: defaultdict[Hashable, list[Look]] = defaultdict(list)
    for look in todo:
        mark = mark_of(look.file)
        alike[mark if _bytes_read(made[mark]) else (_is_lossless(look.file.settings), look.file.also)].append(look)
    rates = {kind: _rate(group, made[mark_of(group[0].file)], workers or 1, machines) for kind, group in alike.items()}
    unread = {output: why for rate in rates.values() for output, why in rate.unread.items()}
    opened = {kind: [look for look in group if look.file.output not in unread] for kind, group in alike.items()}
    space = {look.file.output: look.size * rates[kind].growth for kind, group in opened.items() for look in group}
    size = {kind: sum(look.size for look in group) for kind, group in opened.items()}
    timed = {kind: rate.seconds for kind, rate in rates.items() if rate.seconds is not None}
    spent = sum(seconds * size[kind] for kind, seconds in timed.items())
    known = sum(size[kind] for kind in timed)  # the others are taken to be as quick
    bases = "; ".join(dict.fromkeys(rate.basis for rate in rates.values()))
    seconds = spent * sum(size.values()) / known if known else None
    if workers is None and seconds is not None:
        bases, seconds = f"{bases}; {seconds / 3600:.3g} h if one at a time: {_UNKNOWN}", None
    return Estimate(space, seconds, bases, unread)


def _rate(todo: Sequence[Look], done: Sequence[Record], workers: int, machines: int | None) -> _Rate:
    """Of files to do that are alike. done: records of such files."""
    if read := _bytes_read(done):
        growth = sum(sum(record["files"].values()) for record in done) / read
        seconds = sum(record["seconds"] for record in done) / read / workers
        whose = "their" if len(done) > 1 else "its"
        return _Rate(growth, seconds, f"{many(len(done), 'file')} done here with these settings, by {whose} bytes")
    if machines is not None:
        rate = _tried(todo, _of_frames)
        if machines == 1 or rate.seconds is None:
            return rate
        basis = f"{rate.basis}, by {machines} machines that are taken to be as fast as this one"
        return rate._replace(seconds=rate.seconds / machines, basis=basis)
    if _keeps_all(todo[0].file):
        return _tried(todo, _of_header)
    return _Rate(_LOSSY, None, f"no file is done yet; {_LOSSY} bytes assumed for a byte")


def _bytes_read(done: Sequence[Record]) -> int:
    return sum(record["source_bytes"] for record in done)


def _tried(todo: Sequence[Look], rate_of: Callable[[Look], _Rate]) -> _Rate:
    """That of one file, from the middle of the sizes on, until one opens."""
    by_size = sorted(todo, key=lambda look: look.size)
    middle, why, unread = len(by_size) // 2, "", dict[str, str]()
    for look in (by_size[middle:] + by_size[:middle])[:_TRIED]:
        try:
            return rate_of(look)._replace(unread=unread)
        except Exception as error:  # whatever it is, no figure is worth the batch: its task meets it as well
            why = " ".join(f"{type(error).__name__}: {error}".split())
            if isinstance(error, InputError):
                unread[look.file.output] = str(error)
    number = min(len(todo), _TRIED)
    tried = f"{f'none of {number} files' if number > 1 else 'not one file'} could be tried ({why})"
    growth = _growth(todo[0], _UNPACKED)
    return _Rate(growth, None, f"{tried}; {growth:g} bytes assumed for a byte", unread)


def _of_header(look: Look) -> _Rate:
    """By the size and the number of its frames; the model computes none: what crashes it would end the batch."""
    source, settings = look.file.source, _of_the_model(clean_from(look.file.settings))
    opened = Watchdog(source, settings.stall_s).opened
    video = opened(lambda pulse: open_video(source, track=int(settings.video), beat=pulse.beat))
    kept = kept_frames(settings.start, settings.end, video.index, video.info.time_base)
    growth = _growth(look, _unpacked(video.info, len(kept), look.size))
    return _Rate(growth, None, "no file is done yet; space assumed by frames")


def _of_frames(look: Look) -> _Rate:
    """By a few frames, computed now."""
    part = plan_part(look.file.source, _of_the_model(clean_from(look.file.settings)), what="an estimate")
    frames = len(part.kept)
    kept = range(part.kept.start, min(part.kept.start + _MEASURED, part.kept.stop))
    with part.separated(kept) as found:
        times = [monotonic() for _ in found]
    first = min(_WARMING, len(times) - 2)
    per_frame = 0.0 if first < 0 else (times[-1] - times[first]) / (len(times) - 1 - first)
    basis = (
        f"{_MEASURED} frames of {look.file.source.name} computed now, its {frames} frames taken for the bytes of all; "
        "space assumed"
    )
    growth = _growth(look, _unpacked(part.video.info, frames, look.size))
    return _Rate(growth, per_frame * frames / look.size, basis)


def _unpacked(info: VideoInfo, frames: int, size: int) -> float:
    """Bytes of FFV1 for each of the `size` bytes of a file."""
    samples = sum(height * width for height, width in info.layout.plane_shapes(info.width, info.height))
    return _LOSSLESS * samples * info.layout.dtype.itemsize * frames / size


def _of_the_model(settings: CleanOptions) -> CleanOptions:
    """The part of the settings that takes time, of one video."""
    plain = CleanOptions()
    names = ("rain", "rain_preview", "compare", "keep_adapted", "archive", "pad", "keep_pts", "cfr", "encode", "adapt")
    one = "0" if settings.video == "all" else settings.video
    return replace(settings, video=one, **{name: getattr(plain, name) for name in names})


def _growth(look: Look, exact: float) -> float:
    """Bytes out for a byte in. exact: of a lossless layer."""
    return (exact if _is_lossless(look.file.settings) else _LOSSY) + (exact if "rain" in look.file.also else 0)


def _keeps_all(file: File) -> bool:
    return _is_lossless(file.settings) or "rain" in file.also


def _is_lossless(settings: Settings) -> bool:
    return bool(settings["archive"]) or settings["encode"]["codec"] == "ffv1"


def free_bytes(out: Path) -> int:
    """Room on the disk of OUT, which need not exist yet. OutputError where it cannot be asked."""
    with written(out):
        place = out.absolute()
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free


def leaves_room(free: float, due: float, min_free: float) -> bool:
    """Whether outputs of `due` bytes, with their segments beside them, leave `min_free` of the `free` ones."""
    return free - due * _PEAK >= min_free
