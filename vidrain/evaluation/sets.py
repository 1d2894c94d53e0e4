"""Sets of clips, as a configuration names them, and the clips that they stand for. Opens nothing.

SetOptions(kind="pairs", rainy=["paired/*_rainy.mp4"], truth=["paired/*_clean.mp4"])
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

from vidrain.errors import InputError, UsageError

Kind = Literal["pairs", "clean", "real"]

_STAR = "*"


@dataclass(frozen=True, kw_only=True)
class SetOptions:
    """One set. `configs/eval.yaml` explains every key."""

    kind: Kind = "pairs"
    split: str = "test"
    rainy: list[str] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    clips: list[str] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    overlays: list[str] = field(default_factory=list)
    steps: bool = True
    every: int | None = None
    frames: int | None = None


class Box(NamedTuple):
    """A part of the picture as it is shown, in pixels."""

    left: int
    top: int
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Found:
    """One clip of a set. path: what is observed; truth: None where there is none; boxes: where nothing may change."""

    of_set: str
    name: str
    kind: Kind
    split: str
    path: Path
    truth: Path | None
    is_still: bool
    has_steps: bool  # whether what happens from frame to frame counts
    boxes: tuple[Box, ...]
    every: int
    frames: int | None

    @property
    def scored(self) -> range:
        """Indices of the frames that are scored, as if the clip had no end."""
        return range(0, self.frames or 1 << 40, self.every)


def found_in(name: str, chosen: SetOptions, data: Path, every: int) -> list[Found]:
    """The clips of a set, by name.

    every: where the set does not say. Raises UsageError for a set that contradicts itself, InputError where there is
    no clip or a truth is missing.
    """
    places = dict(_pairs(name, chosen, data) if chosen.kind == "pairs" else _alone(name, chosen, data))
    if not places:
        looked = ", ".join(chosen.rainy or chosen.clips)
        raise InputError(f"set {name}: no clip in {data} fits {looked}; name the folder of the data by --data")
    boxes = _boxes(name, chosen.overlays)
    for key, named in (("names", chosen.names), ("still", chosen.still), ("overlays", list(boxes))):
        if unknown := sorted(set(named) - set(places)):
            raise UsageError(f"set {name}: {key} names {unknown[0]}; there are: {', '.join(sorted(places))}")
    step = chosen.every or every
    if step < 1 or (chosen.frames is not None and chosen.frames < 1):
        raise UsageError(f"set {name}: every={step} frames={chosen.frames}: allowed: at least 1")
    return [
        Found(
            of_set=name,
            name=clip,
            kind=chosen.kind,
            split=chosen.split,
            path=path,
            truth=truth,
            is_still=clip in chosen.still,
            has_steps=chosen.steps and chosen.kind != "clean",
            boxes=boxes.get(clip, ()),
            every=step,
            frames=chosen.frames,
        )
        for clip, (path, truth) in sorted(places.items())
        if not chosen.names or clip in chosen.names
    ]


Places = Iterator[tuple[str, tuple[Path, Path | None]]]


def _pairs(name: str, chosen: SetOptions, data: Path) -> Places:
    if not chosen.rainy or len(chosen.rainy) != len(chosen.truth) or chosen.clips:
        raise UsageError(f"set {name}: pairs want as many truth as rainy, and no clips: a pattern of each")
    for rainy, truth in zip(chosen.rainy, chosen.truth, strict=True):
        if rainy.count(_STAR) != truth.count(_STAR):
            raise UsageError(f"set {name}: {rainy} and {truth}: want as many stars in each")
        for path, stars in _matches(name, rainy, data):
            words = iter(stars)
            other = data / re.sub(r"\*", lambda _, words=words: next(words), truth)  # type: ignore[misc]
            if not other.exists():
                raise InputError(f"set {name}: {path} has no truth at {other}")
            yield "-".join(stars) or path.stem, (path, other)


def _alone(name: str, chosen: SetOptions, data: Path) -> Places:
    if not chosen.clips or chosen.rainy or chosen.truth:
        raise UsageError(f"set {name}: kind {chosen.kind} wants clips, and neither rainy nor truth")
    for pattern in chosen.clips:
        for path, _ in _matches(name, pattern, data):
            yield path.stem, (path, None)


def _matches(name: str, pattern: str, data: Path) -> Iterator[tuple[Path, list[str]]]:
    """Files and folders that fit, and what each star stands for: all but a slash."""
    if Path(pattern).is_absolute() or "**" in pattern or not pattern:
        raise UsageError(f"set {name}: {pattern!r}: wants a pattern within the data, such as paired/*_rainy.mp4")
    form = re.compile("([^/]*)".join(re.escape(part) for part in pattern.split(_STAR)))
    for path in sorted(data.glob(pattern)):
        fits = form.fullmatch(path.relative_to(data).as_posix())
        if fits and not path.name.startswith("."):  # what others left lying there
            yield path, list(fits.groups())


def _boxes(name: str, texts: list[str]) -> dict[str, tuple[Box, ...]]:
    """Clip -> boxes, from texts such as `dashcam1 0 0 200 24`: clip, left, top, width, height."""
    found: dict[str, tuple[Box, ...]] = {}
    for text in texts:
        clip, *numbers = text.rsplit(maxsplit=4)
        if len(numbers) != 4 or not all(number.isdecimal() for number in numbers):
            raise UsageError(f"set {name}: overlays: {text!r}: wants CLIP LEFT TOP WIDTH HEIGHT in pixels")
        box = Box(*map(int, numbers))
        if not (box.width and box.height):
            raise UsageError(f"set {name}: overlays: {text!r}: wants a width and a height above 0")
        found[clip] = (*found.get(clip, ()), box)
    return found
