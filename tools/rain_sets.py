"""Renders the five named sets of rain on clean clips, each with its truth, to score models by.

    python -m tools.rain_sets CLIP... -o DIR [--sets light,heavy,gust,driving,night] [--half] [--frames 60] [--seed 1]
    vidrain eval -c configs/eval_rain.yaml --data DIR -o OUT --set heavy

writes DIR/SET/paired/NAME_rainy.mp4 and NAME_clean.mp4, encoded alike, and NAME.json, all that made the rain. A clip
has a seed of its own in each set, which follows from its name, the set and --seed. `night` means something on night
clips only, `driving` on those of a camera that drives ahead: name the clips of each in calls of their own.

With --half it rains in the second half of the frames alone: DIR/half-SET/paired, without loss, so that the dry frames
of both videos are equal bit for bit.
"""

import argparse
import sys
import zlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tools.ends import with_exit_code
from vidrain.errors import UsageError
from vidrain.rain.camera import CameraOptions
from vidrain.rain.mist import AirOptions
from vidrain.rain.plan import RainOptions
from vidrain.rain.render import render_rain
from vidrain.video.decode import open_video
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder

CRF = 12  # nearly all of what is left of faint streaks is lost to a coarser encoder
_NO_MIST = AirOptions(distance=0.0)  # which no model here takes away: it is the streaks that they are scored by

_LONG, _NORMAL = CameraOptions(view=40.0), CameraOptions(view=50.0)

SETS: dict[str, RainOptions] = {
    "light": RainOptions(rate=8.0, exposure="1/300", wind=0.5, gusts=0.3, camera=_NORMAL, air=_NO_MIST),
    "heavy": RainOptions(rate=80.0, exposure="1/500", wind=-0.5, gusts=0.5, camera=_LONG, air=_NO_MIST),
    "gust": RainOptions(rate=60.0, exposure="1/250", wind=4.0, gusts=2.5, camera=_NORMAL, air=_NO_MIST),
    "driving": RainOptions(rate=60.0, exposure="1/300", speed=60.0, wind=1.0, rolling_shutter="1/60", air=_NO_MIST),
    "night": RainOptions(
        rate=40.0, exposure="1/60", speed=50.0, light="night", camera=CameraOptions(headlamps=True), air=_NO_MIST
    ),
}


def seed_of(kind: str, clip: Path, seed: int) -> int:
    """The seed of a clip in a set."""
    return zlib.crc32(f"{kind}/{clip.stem}/{seed}".encode())


def render_set(kind: str, clip: Path, folder: Path, *, frames: int, seed: int) -> None:
    """One clip of one set: rainy, clean, parameters."""
    paired = folder / kind / "paired"
    paired.mkdir(parents=True, exist_ok=True)
    options = replace(
        SETS[kind],
        seed=seed_of(kind, clip, seed),
        clean=paired / f"{clip.stem}_clean.mp4",
        params=paired / f"{clip.stem}.json",
        end=str(frames),
        force=True,
        encode=EncodeOptions(codec="h264", crf=CRF),
    )
    render_rain(clip, paired / f"{clip.stem}_rainy.mp4", options=options)


def render_half(kind: str, clip: Path, folder: Path, *, frames: int, seed: int) -> None:
    """One clip of one set, dry in its first half: rainy, clean, parameters."""
    paired = folder / f"half-{kind}" / "paired"
    paired.mkdir(parents=True, exist_ok=True)
    lossless = EncodeOptions(codec="ffv1")
    clean, whole = paired / f"{clip.stem}_clean.mp4", paired / f".{clip.stem}_whole.mp4"
    options = replace(
        SETS[kind],
        seed=seed_of(kind, clip, seed),
        clean=clean,
        params=paired / f"{clip.stem}.json",
        end=str(frames),
        force=True,
        encode=lossless,
    )
    render_rain(clip, whole, options=options)
    dry, wet = open_video(clean), open_video(whole)
    target = paired / f"{clip.stem}_rainy.mp4"
    first = len(dry.index.pts) // 2
    with VideoWriter(target, plan_encoder(dry.info, target, lossless), dry.info) as writer:
        for pair in zip(dry.frames(), wet.frames(), strict=True):
            frame = pair[pair[0].index >= first]
            writer.write(frame.planes, frame.pts, frame.duration)
    whole.unlink()


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(prog="python -m tools.rain_sets", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("clips", type=Path, nargs="+", metavar="CLIP")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--half", action="store_true", help="rain in the second half of the frames alone")
    parser.add_argument("--frames", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args(argv)
    kinds = given.sets.split(",")
    if unknown := [kind for kind in kinds if kind not in SETS]:
        raise UsageError(f"--sets {unknown[0]}: no such set; allowed: {', '.join(SETS)}")
    for kind in kinds:
        for clip in given.clips:
            name, render = (f"half-{kind}", render_half) if given.half else (kind, render_set)
            render(kind, clip, given.output, frames=given.frames, seed=given.seed)
            sys.stdout.write(f"{given.output / name / 'paired' / clip.stem}_rainy.mp4\n")


if __name__ == "__main__":
    sys.exit(main())
