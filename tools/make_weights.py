"""Trains a gate on real rain, on rain that is rendered, and on clips without any.

    python -m tools.make_weights gate-s --data ../shared/data -o work/      # leaves work/gate-s/gate-s.safetensors

Real rain is that of five clips of DATA/real. Clips without rain are those of DATA/clean/train but the two of
development, reduced to 640 pixels first, as gates look at pictures of that size. `vidrain rain` renders the sets of
tools/rain_sets.py on them, tools/dev_rain.py rain of another make. The settings of training are those of
configs/weights.yaml. What has been rendered is taken as it is, and training goes on where it stopped, if the same
command is given again.
"""

import argparse
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import imageio_ffmpeg

from tools.dev_rain import render
from tools.ends import with_exit_code
from tools.rain_sets import render_set
from vidrain.config import load_train
from vidrain.errors import InputError
from vidrain.progress import sink_for
from vidrain.train.loop import train

RECIPE = Path(__file__).resolve().parents[1] / "configs" / "weights.yaml"
RAINY = ("field", "trees", "people", "campus", "night_path")  # of real/; the others are only scored
LEFT_OUT = ("truck", "carpark")  # choices are made on these
NIGHT = ("night_road",)
DRIVING = ("car", "dashcam0", "street2")  # their camera drives ahead
STILL_FRAMES = ("kitti_gray",)  # ten frames a second: gusts would be too fast for it
SIDE = 640  # of the longer side, in pixels
FRAMES = 80  # of each clip
SEED = 1
SIMPLE = {"simple-dense": (3, 1.0), "simple-thin": (5, 0.3)}  # name -> seed, density


def reduced(clips: Sequence[Path], folder: Path) -> Iterator[Path]:
    """Copies with a longer side of `SIDE` at most, without sound."""
    folder.mkdir(parents=True, exist_ok=True)
    scale = f"scale='if(gt(iw,ih),min(iw,{SIDE}),-2)':'if(gt(iw,ih),-2,min(ih,{SIDE}))'"
    for clip in clips:
        small = folder / f"{clip.stem}.mp4"
        if not small.exists():
            command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-y", "-i", str(clip), "-an"]
            part = small.with_suffix(".part.mp4")
            subprocess.run([*command, "-vf", scale, "-c:v", "libx264", "-crf", "8", str(part)], check=True)
            part.rename(small)
        yield small


def sets_of(clip: Path) -> tuple[str, ...]:
    """The sets of tools/rain_sets.py that mean something on a clip."""
    if clip.stem in NIGHT:
        return "heavy", "light", "night"
    fast = ("driving",) * (clip.stem in DRIVING)
    return "heavy", "light", *fast, *(("gust",) * (clip.stem not in STILL_FRAMES))


def render_all(clips: Sequence[Path], folder: Path) -> None:
    """Pairs of all clips, in rain of every kind."""
    for clip in clips:
        for kind in sets_of(clip):
            if not (folder / kind / "paired" / f"{clip.stem}.json").exists():  # written last
                render_set(kind, clip, folder, frames=FRAMES, seed=SEED)
        for name, (seed, density) in SIMPLE.items() if clip.stem not in NIGHT else ():
            if not (folder / name / "clean" / "train" / f"{clip.stem}.mp4").exists():  # likewise
                render(clip, folder / name, seed=seed, frames=FRAMES, density=density)


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.make_weights", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("model", choices=("gate-s", "gate-m", "gate-l"))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="of training, stronger than the recipe")
    given = parser.parse_intermixed_args(argv)
    found = sorted(given.data.glob("clean/train/*.mp4"))
    clips = [clip for clip in found if clip.stem not in LEFT_OUT]
    if not clips:
        raise InputError(f"{given.data}: holds no clean/train/*.mp4; --data says where the clips without rain lie")
    pairs, small = given.output / "pairs", given.output / "clips"
    render_all(list(reduced(clips, small)), pairs)
    rainy = ",".join(str(given.data / "real" / f"{name}.mp4") for name in RAINY)
    named = [f"data.rainy={rainy}", f"data.clean={small}", f"data.rendered={pairs}"]
    settings = [f"model={given.model}", *named, *given.settings]
    with sink_for(as_json=False) as tell:
        train(load_train(RECIPE, settings), given.output / given.model, on_event=tell)


if __name__ == "__main__":
    sys.exit(main())
