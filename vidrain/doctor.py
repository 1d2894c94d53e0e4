"""Whether vidrain can work here: what is installed, what really opens, and what is missing. No network.

Imports nothing at the top that could be broken: finding that out is its work.
"""

import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from vidrain import __version__
from vidrain.errors import OK, ModelError, OutputError
from vidrain.tables import EXTRA

# What is installed -> what it is imported by, and the exit code of a job that needs it.
_LIBRARIES: dict[str, tuple[str, int]] = {
    "torch": ("torch", ModelError.exit_code),
    "av": ("av", OutputError.exit_code),
    "numpy": ("numpy", ModelError.exit_code),
    "opencv-python-headless": ("cv2", ModelError.exit_code),
    "ffmpeg-python": ("ffmpeg", OutputError.exit_code),
    "imageio-ffmpeg": ("imageio_ffmpeg", OutputError.exit_code),
    "click": ("click", OutputError.exit_code),
    "omegaconf": ("omegaconf", OutputError.exit_code),
    "safetensors": ("safetensors", ModelError.exit_code),
    "rich": ("rich", OutputError.exit_code),
}
# What a job does without -> what it is imported by, and what needs it.
_OPTIONAL = {
    "decord": ("decord", "vidrain train, adapt and inspect --access"),
    "pyarrow": ("pyarrow", f"vidrain export and analyze rain; {EXTRA}"),
    "zarr": ("zarr", f"vidrain export --format zarr; {EXTRA}"),
    "h5py": ("h5py", f"vidrain export --format hdf5; {EXTRA}"),
    "tifffile": ("tifffile", f"vidrain export --format tiff; {EXTRA}"),
    "OpenEXR": ("OpenEXR", f"vidrain export --format exr; {EXTRA}"),
}
_NEEDED_ENCODERS = ("libx264", "ffv1")  # the others are only chosen where they are there
_LEAST_SPACE = 1 << 28  # bytes; a minute of 1080p is about half of it


@dataclass(frozen=True)
class Check:
    """One finding. exit_code: 0 where all is well or it can be done without, else what a job would end with."""

    subject: str
    name: str
    found: str
    is_good: bool
    exit_code: int = OK


@dataclass(frozen=True)
class Diagnosis:
    """All findings; exit_code is that of the first that stands in the way."""

    vidrain: str
    python: str
    system: str
    threads: int
    checks: tuple[Check, ...]

    @property
    def exit_code(self) -> int:
        """0, or what a job would end with here: 5 if nothing can be written, 7 if no model runs."""
        return next((check.exit_code for check in self.checks if check.exit_code), OK)


def diagnose() -> Diagnosis:
    """Look at everything a job needs; never raises."""
    checks = [_library(name, module, "does not load", code) for name, (module, code) in _LIBRARIES.items()]
    checks += [_library(name, module, f"needed for {use}", OK) for name, (module, use) in _OPTIONAL.items()]
    checks += _tried("encoder", "FFmpeg in PyAV", OutputError.exit_code, _encoders)
    checks += _tried("program", "ffmpeg", OutputError.exit_code, _program)
    checks += _tried("device", "cpu", ModelError.exit_code, _devices)
    checks += _tried("model", "all", ModelError.exit_code, _models)
    checks += _tried("disk", str(Path.cwd()), OutputError.exit_code, _disk)
    return Diagnosis(
        vidrain=__version__,
        python=platform.python_version(),
        system=f"{platform.system()} {platform.machine()}",
        threads=len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1,
        checks=tuple(checks),
    )


def as_facts(found: Diagnosis) -> dict[str, Any]:
    """A diagnosis ready for JSON."""
    return {"v": 1, **asdict(found), "exit_code": found.exit_code}


def as_lines(found: Diagnosis) -> Iterator[str]:
    """A diagnosis for people, a finding a line."""
    yield f"vidrain {found.vidrain}, Python {found.python}, {found.system}, {found.threads} threads"
    for check in found.checks:
        mark = "ok" if check.is_good else "FAIL" if check.exit_code else "--"
        yield f"  {mark:<4} {check.subject:<8} {check.name}: {check.found}"
    yield (
        "all is well"
        if found.exit_code == OK
        else f"something needed is missing; a job would end with {found.exit_code}"
    )


def _tried(subject: str, name: str, exit_code: int, look: Callable[[], list[Check]]) -> list[Check]:
    """What `look` finds; that it fails is a finding as well, whatever the reason: this is what a doctor is for."""
    try:
        return look()
    except Exception as error:
        return [Check(subject, name, f"fails: {' '.join(str(error).split())}", False, exit_code)]


def _library(name: str, module: str, fate: str, exit_code: int) -> Check:
    try:
        import_module(module)
        return Check("library", name, metadata.version(name), True)
    except (ImportError, OSError) as error:
        return Check("library", name, f"{fate} ({' '.join(str(error).split())})", False, exit_code)


def _encoders() -> list[Check]:
    from vidrain.video.encoder import ffmpeg_version, try_encoders

    checks = [Check("encoder", "FFmpeg in PyAV", ffmpeg_version(), True)]
    for name, reason in try_encoders().items():
        needed = OutputError.exit_code if name in _NEEDED_ENCODERS else OK
        checks.append(Check("encoder", name, reason or "works", reason is None, needed if reason else OK))
    return checks


def _program() -> list[Check]:
    from vidrain.video.ffmpeg import program

    return [Check("program", "ffmpeg", program(), True)]


def _devices() -> list[Check]:
    import torch

    found = [Check("device", "cpu", f"{torch.get_num_threads()} threads", True)]
    for number in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
        found.append(Check("device", f"cuda:{number}", torch.cuda.get_device_name(number), True))
    return found


def _models() -> list[Check]:
    from vidrain.provenance import hash_of_file
    from vidrain.weights import MODELS, PRESETS, load_model, weights_of

    found = []
    for name in MODELS:
        own = weights_of(name, None)
        if own is None and name not in PRESETS.values():
            found.append(Check("model", name, "needs --weights", True))
            continue
        load_model(name)
        digits = (hash_of_file(own) or "")[:12]
        found.append(Check("model", name, f"comes with weights {digits}" if own else "needs no weights", True))
    return found


def _disk() -> list[Check]:
    here = Path.cwd()
    free = shutil.disk_usage(here).free
    writable = os.access(here, os.W_OK)
    is_good = writable and free >= _LEAST_SPACE
    found = f"{free / 1e9:.1f} GB free" + ("" if writable else ", not writable")
    return [Check("disk", str(here), found, is_good, OK if is_good else OutputError.exit_code)]
