"""Renders rain on a clean clip, to choose between models by: a rainy video and its truth, of the same frames.

    python -m tools.dev_rain CLIP -o DIR --seed 1 [--frames 60] [--density 1]
    vidrain eval -c configs/eval_dev.yaml --data DIR -o OUT

writes DIR/paired/NAME_rainy.mp4 and NAME_clean.mp4, and DIR/clean/train/NAME.mp4, the same truth for scoring harm.

It is simple, and a gain on it is no gain on real rain. Straight streaks of one direction; every drop falls at a
constant speed through the frames until it leaves the picture, leaves a streak as long as the shutter was open, and
covers what is behind it with an even grey, the more thinly the farther it is. No drop is lit, none is out of focus but
by distance; there is no mist, no splash, no drop on the lens. Rain is added to the stored samples through the video's
own colour matrix, so that a sample without rain is that of the source, and goes through the codec with the scene.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import ceil, radians, sqrt, tan
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from tools.ends import with_exit_code
from vidrain.layers import subtract
from vidrain.types import Frame
from vidrain.video.color import conversion_for, stored, to_codes, to_rgb, upright
from vidrain.video.decode import Video, open_video
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder

Floats = npt.NDArray[np.float32]

FALL = 8.0  # metres a second, of a drop of 3 mm
SHUTTER = 1 / 60  # seconds
NEAR, FAR = 2.0, 14.0  # metres
BREADTH = 0.004  # metres; a drop and its blur
VIEW = 1.2  # focal length over the longer side of the picture, about 45 degrees
DROPS = 6000  # at a density of 1
GREY = 0.8  # of a drop, which shows sky and ground; never darker than what is behind it
LAYERS = 4  # by distance; each is drawn at once
LARGEST_SLANT = 18.0  # degrees off the vertical
OPAQUE = 0.9  # how much the nearest drop covers
PARTS = 4  # bits of a pixel's fraction, for cv2
GOLDEN = 0.6180339887  # moves a drop to another column each time it begins again


@dataclass(frozen=True)
class Rain:
    """Drops in a picture of (height, width), all [D]: place at frame 0 in pixels, pixels fallen per second, metres."""

    size: tuple[int, int]
    column: Floats
    row: Floats
    speed: Floats
    distance: Floats
    slant: float  # columns per row

    def cover(self, seconds: float) -> Floats:
        """How much of each pixel is covered by rain, [H, W] in [0, 1], with the shutter opening at `seconds`."""
        height, width = self.size
        seen = np.ones((height, width), np.float32)
        length = self.speed * SHUTTER
        way = height + length  # from the top until the whole streak is gone
        fallen = self.row + self.speed * seconds
        turns = np.floor(fallen / way)
        bottom = fallen - turns * way
        left = (self.column + turns * GOLDEN * width) % (width * 1.4) - width * 0.2
        edges = np.quantile(self.distance, np.linspace(0, 1, LAYERS + 1))
        for layer in range(LAYERS):
            inside = (self.distance >= edges[layer]) & (self.distance <= edges[layer + 1])
            metres = float(self.distance[inside].mean())
            breadth = BREADTH * VIEW * max(height, width) / metres
            drawn = np.zeros((height, width), np.uint8)
            ends = np.stack([left + self.slant * bottom, bottom], 1)[inside]
            starts = ends - np.stack([self.slant * length, length], 1)[inside]
            for (x0, y0), (x1, y1) in zip(_fixed(starts), _fixed(ends), strict=True):
                cv2.line(drawn, (x0, y0), (x1, y1), 255, ceil(breadth), cv2.LINE_AA, PARTS)
            soft = cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), 0.4 + breadth / 3)
            seen *= 1 - soft * OPAQUE * min(1.0, breadth / ceil(breadth)) * sqrt(NEAR / metres)
        return 1 - seen


def make_rain(size: tuple[int, int], seed: int, density: float) -> Rain:
    """Drops spread evenly through the air before the camera."""
    random = np.random.default_rng(seed)
    height, width = size
    count = max(LAYERS, round(DROPS * density))
    # evenly in a pyramid: the number at a distance grows with its square
    distance = (random.uniform(NEAR**3, FAR**3, count) ** (1 / 3)).astype(np.float32)
    speed = (FALL * VIEW * max(size) / distance * random.uniform(0.8, 1.1, count)).astype(np.float32)
    return Rain(
        size,
        column=random.uniform(0, width * 1.4, count).astype(np.float32),
        row=random.uniform(0, height * 1.3, count).astype(np.float32),
        speed=speed,
        distance=distance,
        slant=tan(radians(random.uniform(-LARGEST_SLANT, LARGEST_SLANT))),
    )


def rained(video: Video, frames: int, seed: int, density: float) -> Iterator[tuple[Frame, Frame]]:
    """Pairs of the clean and the rainy frame."""
    info, rain = video.info, None
    conversion = conversion_for(info)
    for frame in islice(video.frames(), frames):
        rgb = upright(to_rgb(frame.planes, conversion), info.display_matrix)
        if rain is None:
            rain = make_rain((rgb.shape[1], rgb.shape[2]), seed, density)
        cover = torch.from_numpy(rain.cover(float((frame.pts - int(video.index.pts[0])) * info.time_base)))
        added = cover * (GREY - rgb).clamp(min=0)
        codes = to_codes(stored(-added, info.display_matrix), conversion)
        planes = subtract(frame.planes, codes, info.layout.depth)
        yield frame, Frame(planes, frame.pts, frame.duration, frame.index)


def render(source: Path, folder: Path, *, seed: int, frames: int, density: float) -> None:
    """Write the pair and the truth once more, as configs/eval_dev.yaml names them."""
    video = open_video(source)
    targets = [folder / "paired" / f"{source.stem}_{kind}.mp4" for kind in ("clean", "rainy")]
    again = folder / "clean" / "train" / f"{source.stem}.mp4"
    for target in (*targets, again):
        target.parent.mkdir(parents=True, exist_ok=True)
    plans = [plan_encoder(video.info, target, EncodeOptions(codec="h264", crf=12)) for target in targets]
    with (
        VideoWriter(targets[0], plans[0], video.info) as clean,
        VideoWriter(targets[1], plans[1], video.info) as rainy,
    ):
        for truth, frame in rained(video, frames, seed, density):
            clean.write(truth.planes, truth.pts, truth.duration)
            rainy.write(frame.planes, frame.pts, frame.duration)
    again.write_bytes(targets[0].read_bytes())


def _fixed(places: Floats) -> list[tuple[int, int]]:
    """Places (x, y) in parts of a pixel."""
    return [(int(x), int(y)) for x, y in np.rint(places * (1 << PARTS))]


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tools.dev_rain", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clip", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--density", type=float, default=1.0)
    given = parser.parse_args(argv)
    render(given.clip, given.output, seed=given.seed, frames=given.frames, density=given.density)


if __name__ == "__main__":
    sys.exit(main())
