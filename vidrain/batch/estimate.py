"""How long a batch will take and how much room it will need, and where these figures come from."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import monotonic

from vidrain.batch.journal import Journal
from vidrain.batch.plan import File, Look, Settings, mark_of
from vidrain.config import clean_from
from vidrain.job import CleanOptions
from vidrain.outputs import written
from vidrain.part import plan_part

_MEASURED = 8  # frames, on the first file that can be opened
_WARMING = 2  # frames that are not counted
_LOSSY = 1.5  # bytes out for a byte in, assumed until a file is done: rain costs bits, crf 18 costs more
_LOSSLESS = 0.7  # bytes of FFV1 for a byte of planes, assumed likewise
_TRIED = 5  # files, for one that opens


@dataclass(frozen=True)
class Estimate:
    """What lies ahead. growth: bytes out for a byte in; seconds: None where no figure is to be had; basis: in words."""

    growth: float
    seconds: float | None
    basis: str


def estimate(looks: Sequence[Look], journal: Journal, *, workers: int, measure: bool) -> Estimate:
    """Of files that are to be done: from files of the same settings done here, else from a few frames of one of them.

    measure: whether such frames may be computed; else the time is not known, and room for lossy files assumed.
    """
    todo = [look for look in looks if look.state == "to do" and look.size]
    size = sum(look.size for look in todo)
    if not todo:
        return Estimate(1.0, 0.0, "nothing is left to do")
    mark = mark_of(todo[0].file)
    done = [each for each in journal.made.values() if each["mark"] == mark]
    if read := sum(record["source_bytes"] for record in done):
        growth = sum(sum(record["files"].values()) for record in done) / read
        seconds = sum(record["seconds"] for record in done) * size / read / workers
        return Estimate(growth, seconds, f"{len(done)} files done here with these settings, by their bytes")
    if not measure and not _keeps_all(todo[0].file):
        return Estimate(_LOSSY, None, f"no file is done yet; {_LOSSY} bytes assumed for a byte")
    return _measured(todo, size)


def _measured(todo: Sequence[Look], size: int) -> Estimate:
    """From the middle of the sizes on, until one opens."""
    by_size = sorted(todo, key=lambda look: look.size)
    middle, why = len(by_size) // 2, ""
    for look in (by_size[middle:] + by_size[:middle])[:_TRIED]:
        try:
            per_frame, frames, raw = _of_frames(look)
        except Exception as error:  # whatever it is, no figure is worth the batch: its task meets it as well
            why = " ".join(f"{type(error).__name__}: {error}".split())
            continue
        growth = _growth(look, raw * frames)
        name = look.file.source.name
        basis = (
            f"{_MEASURED} frames of {name} computed now, its {frames} frames taken for the bytes of all; space assumed"
        )
        return Estimate(growth, per_frame * frames * size / look.size, basis)
    tried = f"none of {min(len(todo), _TRIED)} files could be tried ({why})"
    return Estimate(_LOSSY, None, f"{tried}; {_LOSSY} bytes assumed for a byte")


def _of_frames(look: Look) -> tuple[float, int, int]:
    """Seconds a frame takes, how many there are, bytes of the planes of one."""
    settings = clean_from(look.file.settings)
    part = plan_part(look.file.source, _of_the_model(settings), what="an estimate")
    kept = range(part.kept.start, min(part.kept.start + _MEASURED, part.kept.stop))
    times: list[float] = []
    raw = 0
    with part.separated(kept) as found:
        for layers in found:
            times.append(monotonic())
            raw = sum(plane.nbytes for plane in layers.background)
    first = min(_WARMING, len(times) - 2)
    if first < 0:
        return 0.0, len(part.kept), raw
    return (times[-1] - times[first]) / (len(times) - 1 - first), len(part.kept), raw


def _of_the_model(settings: CleanOptions) -> CleanOptions:
    """The part of the settings that takes time, of one video."""
    plain = CleanOptions()
    names = ("rain", "rain_preview", "compare", "keep_adapted", "archive", "pad", "keep_pts", "cfr", "encode", "adapt")
    one = "0" if settings.video == "all" else settings.video
    return replace(settings, video=one, **{name: getattr(plain, name) for name in names})


def _growth(look: Look, raw: int) -> float:
    exact = raw * _LOSSLESS / look.size
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
