"""Everything about a benchmark that is decided before its first frame: which clips, which methods, what is new.

What can be refused is refused here. Knows nothing of the command line or of configuration files.
"""

import os
import platform
import sys
from dataclasses import asdict, dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch

from vidrain import __version__
from vidrain.errors import InputError, UsageError
from vidrain.evaluation.clips import Clip, clip_of
from vidrain.evaluation.measure import FRAME, wanted_of
from vidrain.evaluation.methods import INPUT, Method, refuse_methods, result_for, short_hash
from vidrain.evaluation.sets import Found, SetOptions, found_in
from vidrain.job import refuse_to_adapt

MEASURES = 1  # to be raised when a figure means something else than before
LIBRARIES = ("torch", "numpy", "av", "opencv-python-headless", "opencv-python")


@dataclass(frozen=True, kw_only=True)
class EvalOptions:
    """All that a user can choose about a benchmark. `configs/eval.yaml` explains every key."""

    data: Path = Path()
    every: int = 1
    seed: int = 0
    worst: int = 3
    use: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=lambda: ["baseline"])
    sets: dict[str, SetOptions] = field(default_factory=dict)


class Task(NamedTuple):
    """One clip by one method. key: hash of all that its figures depend on; frames: how many are computed."""

    found: Found
    method: Method
    key: str
    frames: int

    @property
    def name(self) -> tuple[str, str, str]:
        """Set, clip, method."""
        return self.found.of_set, self.found.name, self.method.label


@dataclass(frozen=True)
class EvalPlan:
    """tasks: in order; hashes: of every file or folder that is read, by set and clip; skipped: sentences."""

    tasks: tuple[Task, ...]
    hashes: dict[str, dict[str, str]]
    skipped: tuple[str, ...]


def plan_eval(options: EvalOptions, methods: list[Method]) -> EvalPlan:
    """Find the clips, look into them, and lay out what is to be measured.

    Every method is measured on every set; the input itself is, where there is rain. Raises UsageError, InputError,
    ModelError.
    """
    if options.every < 1 or options.worst < 0:
        raise UsageError(f"every={options.every} worst={options.worst}: allowed: at least 1, at least 0")
    methods = [Method(label=INPUT, kind="input"), *(method for method in methods if method.kind != "input")]
    refuse_methods(methods)
    for method in methods:
        method.decomposer()  # says what is wrong with its weights
        if method.is_adapted and method.options is not None:
            refuse_to_adapt(method.model, method.options)
    facts = {method.label: method.facts for method in methods}
    used = {"vidrain": __version__, "measures": [MEASURES, *FRAME], "seed": options.seed} | libraries()
    tasks: list[Task] = []
    hashes: dict[str, dict[str, str]] = {}
    skipped: list[str] = []
    for found in _chosen(options):
        source, truth = _opened(found)
        own = {"observed": source.hash} | ({"truth": truth.hash} if truth is not None else {})
        hashes[f"{found.of_set}/{found.name}"] = own
        count = wanted_of(found).count(min(source.length, (found.frames or source.length) + 1))
        for method in methods:
            if method.kind == "input" and found.kind == "clean":
                continue  # nothing is changed, and there is nothing to gain
            if method.is_adapted and source.is_folder:
                skipped.append(f"{method.label} is not fitted to {found.name}: it is a folder of pictures, no video")
                continue
            result = {"result": result_for(method.folder, found).hash} if method.folder is not None else {}
            what = {key: value for key, value in asdict(found).items() if key not in ("path", "truth", "split")}
            key = short_hash([used, what, own, facts[method.label], result])
            tasks.append(Task(found, method, key, count))
    return EvalPlan(tuple(tasks), hashes, tuple(skipped))


def _chosen(options: EvalOptions) -> list[Found]:
    """The clips of the sets that are asked for."""
    if not options.sets:
        raise UsageError("no sets of clips are named; take -c configs/eval.yaml, or write such a file")
    if unknown := [name for name in options.use if name not in options.sets]:
        raise UsageError(f"--set {unknown[0]}: no such set; there are: {', '.join(options.sets)}")
    if not options.data.is_dir():
        raise InputError(f"{options.data}: no such folder; name the folder of the data by --data")
    names = [name for name in options.sets if not options.use or name in options.use]
    return [found for name in names for found in found_in(name, options.sets[name], options.data, options.every)]


def _opened(found: Found) -> tuple[Clip, Clip | None]:
    """A clip and its truth. Raises InputError where they do not pair up."""
    source = clip_of(found.path)
    if found.truth is None:
        return source, None
    truth = clip_of(found.truth)
    if source.length != truth.length:
        raise InputError(
            f"{found.path}: {source.length} rainy frames, but {truth.length} clean ones in {found.truth}; "
            "they must pair up"
        )
    return source, truth


def libraries() -> dict[str, Any]:
    """Versions of the libraries that figures can depend on."""
    return {name: found for name in LIBRARIES if (found := _version(name)) is not None}


def machine() -> dict[str, Any]:
    """What the figures were computed on, though none of them should depend on it."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return {
        "processor": _processor(),
        "cores": cores,
        "torch_threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    """Name of the CPU, as the system calls it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown"


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
