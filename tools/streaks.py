"""Measures what becomes of rain that was filmed by a still camera, where no truth is known.

    python -m tools.streaks CLIP ... [--frames 60] [--model NAME] [key=value ...]

The scene stands still, so the median over the frames is the scene without rain. Luma in grey levels, as
`tools/score.py` defines it; B as it leaves the decomposer. Where O exceeds that median by more than 15 levels is a
streak (or something that moves, alike for every model):

- excess: mean of B - median over all such places, in levels, and in per cent of that of O. 0: every streak is gone.
- flicker: standard deviation over the frames of the mean of all other places, of B over that of O. Above 1: B flickers.
- correlation: of R with R of the next frame, mean over the frames. Rain is elsewhere then: what correlates is scene.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tools.score import Model, eight_bits
from vidrain.config import load_clean
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.device import device_of
from vidrain.errors import InputError, VidrainError
from vidrain.metrics import luma
from vidrain.video.color import conversion_for
from vidrain.video.decode import open_video
from vidrain.weights import load_decomposer

Levels = npt.NDArray[np.float32]

STREAK = 15.0  # grey levels


class Streaks(NamedTuple):
    """What is left of streaks: mean excess of O and of B in grey levels, flicker ratio, correlation of R in time."""

    before: float
    after: float
    flicker: float
    correlation: float

    @property
    def removed(self) -> float:
        """Per cent of the excess that is gone."""
        return 100 * (1 - self.after / self.before)


def measure(observed: Levels, background: Levels) -> Streaks:
    """Of luma [T, H, W] in grey levels; InputError without any streak."""
    scene = np.median(observed, axis=0)
    streaks = observed - scene > STREAK
    if not streaks.any():
        raise InputError(f"no place exceeds the median of {len(observed)} frames by {STREAK:g} levels")
    before, after = (float((layer - scene)[streaks].mean()) for layer in (observed, background))
    means = ([layer[~wet].mean() for layer, wet in zip(part, streaks, strict=True)] for part in (background, observed))
    wobble = [float(np.std(part)) for part in means]
    rain = (observed - background).reshape(len(observed), -1)
    steps = [_correlation(now, then) for now, then in pairwise(rain)]
    return Streaks(before, after, wobble[0] / max(wobble[1], 1e-6), float(np.mean(steps)))


def score_still(path: Path, model: Model, frames: int) -> Streaks:
    """Measure the first `frames` frames of a clip."""
    video = open_video(path)
    conversion = conversion_for(video.info)
    layers = decompose(video.frames(), video.info, model.decomposer, options=model.options, wanted=range(frames))
    pairs = [
        (_levels(eight_bits(layer.frame.planes, conversion)), _levels(eight_bits(layer.background, conversion)))
        for layer in layers
    ]
    observed, background = (np.stack(part) for part in zip(*pairs, strict=True))
    return measure(observed, background)


def _levels(picture: npt.NDArray[np.uint8]) -> Levels:
    return luma(picture / 255.0).astype(np.float32)


def _correlation(first: Levels, second: Levels) -> float:
    """Pearson's; 0 where either is even."""
    first, second = first - first.mean(), second - second.mean()
    size = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / size if size > 0 else 0.0


HEAD = "| clip | excess of O | excess of B | gone % | flicker | correlation |\n| --- | --- | --- | --- | --- | --- |"


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.streaks", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", nargs="+", help="clips, then key=value as `vidrain clean` takes them")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--model", default="baseline")
    given = parser.parse_intermixed_args(argv)
    clips = [Path(one) for one in given.clips if "=" not in one]
    try:
        options = load_clean(None, [one for one in given.clips if "=" in one], {"model": given.model})
        decomposer = load_decomposer(given.model, options.weights, baseline=options.baseline, nlcl=options.nlcl)
        model = Model(decomposer, DecomposeOptions(options.align, options.shots, device_of(options.device)))
        sys.stdout.write(HEAD + "\n")
        for clip in clips:
            found = score_still(clip, model, given.frames)
            numbers = f"{found.before:.1f} | {found.after:.1f} | {found.removed:.0f}"
            sys.stdout.write(f"| {clip.stem} | {numbers} | {found.flicker:.2f} | {found.correlation:+.3f} |\n")
            sys.stdout.flush()
    except VidrainError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
