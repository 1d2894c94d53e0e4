"""Tells how many frames of clips are left alone because it does not rain in them, and by what margin.

    python -m tools.dry_frames CLIP... [--frames 60]

prints a table in Markdown: frames of the middle of each clip, how many are left alone, and the lean of single frames
and of what counts (`vidrain.meter`): lowest, median and highest. CLIP may be a folder of pictures.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from statistics import fmean

import numpy as np

from tools.ends import with_exit_code
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions, followed, witnessed
from vidrain.evaluation.clips import clip_of
from vidrain.meter import MEMORY, SIDE, lean_of
from vidrain.sparing import guides_along

FULL = 2 * SIDE  # witnesses


def row_of(path: Path, most: int) -> str:
    """A line of the table: the middle `most` frames of a clip. Raises InputError."""
    clip, model, options = clip_of(path), Baseline(BaselineOptions()), DecomposeOptions()
    first = max(0, (clip.length - most) // 2)
    late = (frame for frame in clip.frames() if frame.index >= first)
    frames = takewhile(lambda frame: frame.index < first + most, late)
    dry, leans = 0, list[float]()
    for item in followed(witnessed(frames, clip.info, model, options), model, options):
        dry += item.is_dry
        if len(item.ways) == FULL:
            pictures = [each.picture for each in item.witnesses]
            leans.append(lean_of(guides_along(item.center.picture, pictures, item.ways)))
    counted = [fmean(leans[max(0, end - MEMORY - 1) : end]) for end in range(MEMORY + 1, len(leans) + 1)]
    spans = [
        ", ".join(f"{value:.3f}" for value in np.quantile(values or [np.nan], [0, 0.5, 1]))
        for values in (leans, counted)
    ]
    return f"| {path.stem} | {min(most, clip.length)} | {dry} | {spans[0]} | {spans[1]} |"


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tools.dry_frames", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", nargs="+", type=Path, metavar="CLIP")
    parser.add_argument("--frames", type=int, default=60)
    given = parser.parse_args(argv)
    print("| clip | frames | left alone | lean of single frames | lean that counts |")
    print("| --- | --- | --- | --- | --- |")
    for path in given.clips:
        print(row_of(path, given.frames), flush=True)


if __name__ == "__main__":
    sys.exit(main())
