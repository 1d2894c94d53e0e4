"""What is measured: the input itself, a model with its settings, or a folder of results that others made.

for index, planes in backgrounds(method, decomposer, clip, wanted): ...
"""

import hashlib
import json
from collections.abc import Container, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, NamedTuple

from vidrain.decompose import DecomposeOptions, decompose
from vidrain.device import device_of
from vidrain.errors import InputError, UsageError
from vidrain.evaluation.clips import Clip, clip_of
from vidrain.evaluation.sets import Found
from vidrain.job import CleanOptions
from vidrain.provenance import hash_of_file, made_by
from vidrain.types import Decomposer, Planes, VideoInfo
from vidrain.weights import load_decomposer, weights_of

INPUT, RESULTS = "input", "results"
_MEANT = {
    "preset",
    "model",
    "weights",
    "device",
    "baseline",
    "gate",
    "nlcl",
    "align",
    "shots",
    "meter",
    "marks",
    "adapt",
    "stall_s",
}


@dataclass(frozen=True, kw_only=True)
class Method:
    """One column of the benchmark. label: how it is called; options: of a model; folder: of results."""

    label: str
    kind: Literal["input", "model", "results"]
    options: CleanOptions | None = None
    folder: Path | None = None

    @property
    def is_adapted(self) -> bool:
        """Whether it is fitted to each clip first."""
        return self.options is not None and self.options.adapt.is_wanted

    @property
    def model(self) -> str:
        """Name of its model; "" without one."""
        return (self.options.model or "") if self.options is not None else ""

    def decomposer(self, weights: Path | None = None) -> Decomposer | None:
        """Its model, with these weights in place of its own; None without a model. Raises ModelError."""
        if self.options is None:
            return None
        options = self.options
        return load_decomposer(self.model, weights or options.weights, options.of_models)

    @property
    def facts(self) -> dict[str, str | None]:
        """What its figures depend on, in texts: provenance, hash of the weights, how they are fitted. No paths."""
        if self.options is None:
            return {"kind": self.kind}
        options, weights = asdict(self.options), weights_of(self.model, self.options.weights)
        return {
            "kind": self.kind,
            "made_by": made_by(self.model, weights, options),
            "weights": hash_of_file(weights),
            "adapt": json.dumps(options["adapt"], sort_keys=True) if self.is_adapted else None,
            "device": device_of(self.options.device),
        }


class Backgrounds(NamedTuple):
    """B of the wanted frames of a clip, with their indices, in order; info: how its planes are to be read."""

    info: VideoInfo
    frames: Iterator[tuple[int, Planes]]


def backgrounds(method: Method, decomposer: Decomposer | None, found: Found, wanted: Container[int]) -> Backgrounds:
    """B as it leaves a method, before any encoder. Raises InputError, ModelError."""
    source = clip_of(found.path)
    if method.folder is not None:
        source = result_for(method.folder, found)
    if method.options is None or decomposer is None:
        return Backgrounds(source.info, ((frame.index, frame.planes) for frame in source.chosen(wanted)))
    options = method.options
    how = DecomposeOptions(options.align, options.shots, device_of(options.device), options.meter, options.marks)
    layers = decompose(source.frames(), source.info, decomposer, options=how, wanted=wanted)
    return Backgrounds(source.info, ((item.frame.index, item.background) for item in layers))


def result_for(folder: Path, found: Found) -> Clip:
    """What a folder of results holds for a clip: NAME, or the name of its source, with any ending, or `.clean` before
    it; or a folder of pictures. Raises InputError where there is nothing, several, or other frames."""
    names = (found.name, found.path.stem, f"{found.path.stem}.clean", f"{found.name}.clean")
    there = sorted(path for path in folder.iterdir() if (path.name if path.is_dir() else path.stem) in names)
    if len(there) != 1:
        what = "holds nothing called" if not there else f"holds {there[0].name} and {there[1].name}, both for"
        raise InputError(f"{folder}: {what} {found.name}; want one video or folder of pictures with that name")
    own, theirs = clip_of(found.path), clip_of(there[0])
    if own.length != theirs.length:
        raise InputError(f"{there[0]}: {theirs.length} frames, but {own.length} of {found.path}; they must pair up")
    return theirs


def refuse_methods(methods: list[Method]) -> None:
    """Refuse what cannot be measured: two methods of one label, settings that mean nothing, no folder of results.

    Raises UsageError, InputError.
    """
    plain = CleanOptions()
    seen: set[str] = set()
    for method in methods:
        if method.label in seen:
            raise UsageError(f"--method: two are called {method.label}; name one of them, such as new:{method.label}")
        seen.add(method.label)
        for option in fields(plain):
            if method.options is None or option.name in _MEANT:
                continue
            if getattr(method.options, option.name) != getattr(plain, option.name):
                raise UsageError(f"--method {method.label}: {option.name} means nothing for a benchmark; leave it out")
        if method.folder is not None and not method.folder.is_dir():
            raise InputError(f"{method.folder}: no such folder of results")


def short_hash(facts: object) -> str:
    """SHA-256 of facts that JSON can hold."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
