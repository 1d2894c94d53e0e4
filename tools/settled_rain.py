"""How much of real rain goes, and what else does, on real clips: frames around tell the truth where they agree.

    python -m tools.settled_rain --data ../shared/data baseline gate-s 'wide: baseline baseline.radius=4'

Rendered rain lies in one frame. Of real rain a codec leaves a part in the next ones, which so bear false witness. The
clips are those that are trained on, so a choice may be made by them; but what learned from them knows them. A few
frames of each are looked at, luma alone, as small as gates see it. `vidrain.train.settled` tells the rain there:

gone: share of the rain that is taken. over: taken from these places beyond it. false: taken where it is known that
nothing rains. Both as shares of the rain. error: mean square of what differs from the truth where that is known, over
that of the input.
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import torch
from torch import Tensor

from tools.ends import with_exit_code
from tools.make_weights import RAINY
from vidrain.config import load_methods
from vidrain.decompose import (
    DecomposeOptions,
    aligned_of,
    aligner_for,
    context_of,
    dried,
    follow,
    judged,
    reach_of,
    taken_from,
)
from vidrain.errors import InputError, UsageError
from vidrain.evaluation.methods import Method
from vidrain.fixed import fixed, floats
from vidrain.stream import sliding_windows
from vidrain.train.data import at_size, picture_of_luma, settled_at
from vidrain.train.footage import Footage, open_footage
from vidrain.train.settled import Truth
from vidrain.types import Decomposer

_MARGIN = 14  # frames at either end of a clip that are left out: `settled` wants 10 on each side, some are repeats


class Shares(NamedTuple):
    """What became of the rain of one frame; see above."""

    gone: float
    over: float
    false: float
    error: float


def shares_of(observed: Tensor, rain: Tensor, truth: Truth) -> Shares:
    """Compare what was taken with what is known. observed, rain: [1, H, W]; the truth has to know of some rain."""
    known = truth.known > 0
    there = (observed - truth.background) * known
    left = (observed - rain - truth.background) * known
    is_rain = there > 0
    fallen = there[is_rain].sum()
    parts = (
        1 - left[is_rain].clamp(min=0).sum() / fallen,
        -left[is_rain].clamp(max=0).sum() / fallen,
        rain[known & ~is_rain].sum() / fallen,
        left.square().sum() / there.square().sum(),
    )
    return Shares(*(float(part) for part in parts))


def taken_at(clip: Footage, place: int, decomposer: Decomposer, options: DecomposeOptions) -> Tensor:
    """The rain that a model takes from the frame at `place`, at the size that gates look at. [1, H, W]"""
    context = context_of(decomposer)
    indices = range(max(place - context, 0), min(place + context + 1, len(clip)))
    read = zip(indices, map(at_size, clip.read(list(indices))), strict=True)
    pictures = [(index, picture_of_luma(index, luma, options.align)) for index, luma in read]
    seen = judged(pictures, options.shots)
    if decomposer.first is not None:
        seen = dried(seen, decomposer.first, options)
    aligner = aligner_for(decomposer, options.align)
    windows = sliding_windows(seen, reach_of(decomposer.radius))
    window = next(window for window in windows if window.center.source == place)
    with torch.inference_mode():
        return taken_from(aligned_of(follow(window, decomposer, aligner)), decomposer, options.device).rain


def known_at(clip: Footage, place: int) -> tuple[Tensor, Truth]:
    """A frame and what is known of it, rounded alike: what rounding adds is no rain. [1, H, W]"""
    return floats(fixed(at_size(clip.read([place])[0]))), settled_at(clip, place)


def measured(path: Path, methods: Sequence[Method], frames: int) -> list[Shares]:
    """Means over some frames of a clip, evenly spread, for every method. Raises InputError for a clip too short."""
    clip = open_footage(path, lambda event: None)
    last = len(clip) - 1 - _MARGIN
    if last < _MARGIN:
        raise InputError(f"{path}: {len(clip)} frames; want {2 * _MARGIN + 1} or more")
    places = sorted({round(_MARGIN + (last - _MARGIN) * i / max(frames - 1, 1)) for i in range(frames)})
    decomposers = [_decomposer(method) for method in methods]
    found: list[list[Shares]] = [[] for _ in methods]
    for place in places:
        observed, truth = known_at(clip, place)
        if not bool((observed - truth.background > 0).any()):
            continue  # no rain that is known
        for shares, (decomposer, options) in zip(found, decomposers, strict=True):
            shares.append(shares_of(observed, taken_at(clip, place, decomposer, options), truth))
    if not found[0]:
        raise InputError(f"{path}: nobody can tell of any rain there; take another clip")
    return [_mean(shares) for shares in found]


def _decomposer(method: Method) -> tuple[Decomposer, DecomposeOptions]:
    decomposer = method.decomposer()
    if method.options is None or decomposer is None or decomposer.sees != "luma":
        raise UsageError(
            f"{method.label}: is no model of luma; allowed: baseline and gates, as `vidrain eval` names them"
        )
    return decomposer, DecomposeOptions(method.options.align, method.options.shots)


def _mean(shares: Sequence[Shares]) -> Shares:
    return Shares(*(fmean(values) for values in zip(*shares, strict=True)))


def table(methods: Sequence[str], clips: Sequence[str], found: Sequence[Sequence[Shares]]) -> Iterator[str]:
    """Lines of Markdown: the means over clips, and what is gone of each. found: by clip, then by method"""
    yield "| " + " | ".join(["method", *Shares._fields, *(f"gone, {clip}" for clip in clips)]) + " |"
    yield "|" + " --- |" * (1 + len(Shares._fields) + len(clips))
    for number, method in enumerate(methods):
        rows = [shares[number] for shares in found]
        figures = [f"{100 * value:.1f} %" for value in (*_mean(rows), *(row.gone for row in rows))]
        yield "| " + " | ".join([method, *figures]) + " |"


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.settled_rain", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("methods", nargs="+", metavar="METHOD", help="as `vidrain eval --method` takes it")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VIDRAIN_DATA") or "../shared/data"))
    parser.add_argument(
        "--clips", default=",".join(RAINY), help="names of DATA/real/NAME.mp4, with commas between them"
    )
    parser.add_argument("--frames", type=int, default=6, help="of each clip")
    given = parser.parse_args(argv)
    methods, names = load_methods(given.methods), given.clips.split(",")
    if given.frames < 1:
        raise UsageError(f"--frames {given.frames}: allowed: 1 or more")
    found = [measured(given.data / "real" / f"{name}.mp4", methods, given.frames) for name in names]
    sys.stdout.writelines(f"{line}\n" for line in table([method.label for method in methods], names, found))


if __name__ == "__main__":
    sys.exit(main())
