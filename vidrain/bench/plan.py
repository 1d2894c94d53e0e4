"""What a benchmark of speed measures, and in which order. Decides and refuses; measures nothing.

Methods take turns (A, B, C, A, B, C, ...), so that an hour in which the machine is slower is one for all of them.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vidrain.errors import ModelError, UsageError
from vidrain.job import CleanOptions
from vidrain.model.gate import CONFIGS
from vidrain.weights import PRESETS, weights_of

PASSTHROUGH = "passthrough"  # decode and encode, no pixel touched: what no job can undercut
PUBLISHED = "published"  # the network of NLCL alone: float32, live statistics, whole frames, no codec
METHODS = (PASSTHROUGH, *PRESETS)
SIZES = {
    "vga": (640, 480),
    "480p": (854, 480),
    "720p": (1280, 720),
    "1080p": (1920, 1080),
    "4k": (3840, 2160),
    "8k": (7680, 4320),
}
RATE = 25  # frames a second
WARM_FRAMES = 30  # of the run before the first that counts
_SMALLEST, _LARGEST = 32, 8192  # pixels a side
_MOST = 1_000_000  # frames, repeats
# Settings of `clean` that make it another job than the passthrough it is compared with.
_NO_PLACE = (
    *("encode", "archive", "rain", "rain_preview", "compare", "keep_adapted", "adapt", "pad"),
    *("start", "end", "keep_pts", "cfr", "video"),
)


@dataclass(frozen=True, eq=False)  # each its own: options of encoders have no hash
class Method:
    """What is measured: passthrough, published, or `clean` as a user would call it.

    name: one of the two, a preset or a model; options: of `clean`, None for the two; settings: KEY=VALUE as given.
    """

    label: str
    name: str
    options: CleanOptions | None = None
    settings: tuple[str, ...] = ()

    @property
    def model(self) -> str | None:
        """The model behind the name, None for passthrough and the published network."""
        return None if self.options is None else self.options.model or PRESETS[self.options.preset]

    @property
    def draws_weights(self) -> bool:
        """Whether weights have to be drawn at random, because none came with vidrain and none were given."""
        model = self.model
        if self.options is None or model not in (*CONFIGS, "nlcl"):
            return False
        return weights_of(model, self.options.weights) is None


@dataclass(frozen=True, kw_only=True)
class BenchOptions:
    """All that a user can choose. sizes: names of `SIZES` or such as 96x64; frames: lengths of the clips."""

    methods: tuple[Method, ...]
    sizes: tuple[str, ...] = ("720p",)
    frames: tuple[int, ...] = (900,)
    repeats: int = 5
    seed: int = 1


class Cell(NamedTuple):
    """One measurement: a method on a clip of some size and length."""

    size: str
    frames: int
    method: Method


@dataclass(frozen=True)
class Turn:
    """A cell when it is measured. repeat: 0 warms up and does not count."""

    repeat: int
    cell: Cell


def size_of(text: str) -> tuple[int, int]:
    """(width, height) of a size by name, or such as 96x64; UsageError for others."""
    if text in SIZES:
        return SIZES[text]
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError(f"--size {text}: allowed: {', '.join(SIZES)}, or such as 640x360")
    sides = (int(width), int(height))
    if any(side % 2 or not _SMALLEST <= side <= _LARGEST for side in sides):
        raise UsageError(f"--size {text}: allowed are even sides of {_SMALLEST} to {_LARGEST} pixels")
    return sides


def refuse_unmeasurable(options: BenchOptions) -> None:
    """UsageError for what cannot be measured, before anything is rendered."""
    if not options.methods or not options.sizes or not options.frames:
        raise UsageError("nothing to measure; name at least one --method, --size and --frames")
    labels = [method.label for method in options.methods]
    if twice := [label for label in labels if labels.count(label) > 1]:
        raise UsageError(f"--method {twice[0]}: stands there twice; put a LABEL: before one of them")
    sides = [size_of(size) for size in options.sizes]
    if len(set(sides)) < len(sides):
        raise UsageError(f"--size {','.join(options.sizes)}: one size stands there twice")
    if len(set(options.frames)) < len(options.frames):
        raise UsageError(f"--frames {','.join(map(str, options.frames))}: one length stands there twice")
    for frames in options.frames:
        if not 1 <= frames <= _MOST:
            raise UsageError(f"--frames {frames}: allowed: 1 to {_MOST}")
    if not 1 <= options.repeats <= _MOST:
        raise UsageError(f"--repeats {options.repeats}: allowed: 1 to {_MOST}")
    for method in options.methods:
        _refuse_method(method)


def _refuse_method(method: Method) -> None:
    """UsageError for settings that would make a job another one than the passthrough it is compared with."""
    found, usual = method.options, CleanOptions()
    if found is None:
        return
    if differing := [name for name in _NO_PLACE if getattr(found, name) != getattr(usual, name)]:
        raise UsageError(f"--method {method.label}: {differing[0]} is the same for all methods; leave it out")
    if found.weights is not None and not found.weights.is_file():
        raise ModelError(f"{found.weights}: no such weights file; check the path")


def cells(options: BenchOptions) -> list[Cell]:
    """All that is measured, in order. The published network knows no length: it is measured once for each size."""
    return [
        Cell(size, frames, method)
        for size in options.sizes
        for frames in options.frames
        for method in options.methods
        if method.name != PUBLISHED or frames == options.frames[0]
    ]


def turns(options: BenchOptions) -> Iterator[Turn]:
    """The order of the measurements: first all short and not counted, then all, as often as there are repeats."""
    every = cells(options)
    warming = dict.fromkeys(cell._replace(frames=min(cell.frames, WARM_FRAMES)) for cell in every)
    yield from (Turn(0, cell) for cell in warming)
    for repeat in range(1, options.repeats + 1):
        yield from (Turn(repeat, cell) for cell in every)


def clip_name(size: str, frames: int) -> str:
    """File name of the clip of a cell."""
    return f"{size}_{frames}.mp4"


def megapixels(size: str) -> float:
    """Millions of pixels in a frame."""
    return math.prod(size_of(size)) / 1e6


def weights_for(method: Method, folder: Path) -> Path | None:
    """The file of weights of a method, drawn ones being in `folder`; None where it has none or its own."""
    if method.draws_weights:
        return folder / f"{method.model}.safetensors"
    return None if method.options is None else method.options.weights
