"""Scores a model: against the truth on rendered pairs, and against its own input on videos without rain.

    python -m tools.score [--data DIR] [--every N] [--json OUT] [--model NAME] [--seed N] [key=value ...]

`<data>/paired/NAME_rainy.mp4` is compared with `NAME_clean.mp4`, and so are the folders of pictures
`paired/NAME/rain` and `gt`. Videos under `<data>/clean/SPLIT/` hold no rain: there B is compared with O, and
what is lost is harm done. B is taken as it leaves the decomposer, before any encoder. Keys are those of
`vidrain clean`, such as `baseline.radius=3`.

How the figures are taken:
- RGB is `color.to_rgb` of the stored planes by the file's own tags, clipped to [0, 1], rounded to 8 bits, with
  chroma repeated over its sample. PSNR and SSIM of RGB: all three channels; SSIM is the mean of the channels.
- Y is `metrics.luma` of that 8-bit RGB over 255: Y = 16 + 65.481 R + 128.553 G + 24.966 B, 16 to 235, not
  rounded, with a data range of 255; the luma of MATLAB's rgb2ycbcr on which deraining papers report. It is
  not the stored luma plane, whose matrix and range differ from file to file.
- Each figure of a video is the mean over its frames, each mean over videos counts every video alike. A PSNR
  above 100 dB (equal pictures: infinite) counts as 100.
- With `--every N` frames 0, N, 2N ... are scored, with all frames around them decoded as context.
"""

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from vidrain.config import load_clean
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.device import device_of
from vidrain.errors import InputError, UsageError, VidrainError
from vidrain.job import CleanOptions
from vidrain.metrics import luma, psnr, ssim
from vidrain.types import Decomposer, Frame, Planes, VideoInfo
from vidrain.video.color import Conversion, conversion_for, to_rgb
from vidrain.video.decode import open_video
from vidrain.weights import load_decomposer

Picture = npt.NDArray[np.uint8]

HIGHEST_PSNR = 100.0  # dB: about what a single sample off by one gives at 640x360
LIBRARIES = ("torch", "numpy", "av", "opencv-python-headless", "opencv-python")
SPLITS = ("train", "eval")


class Likeness(NamedTuple):
    """How close a picture or a video is to another."""

    psnr_y: float
    ssim_y: float
    psnr_rgb: float
    ssim_rgb: float


@dataclass
class Mean:
    """Running mean of likenesses: what a video is, without any of its frames being kept."""

    count: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * len(Likeness._fields))

    def add(self, likeness: Likeness) -> None:
        self.count += 1
        self.sums = [total + value for total, value in zip(self.sums, likeness, strict=True)]

    @property
    def value(self) -> Likeness:
        return Likeness(*(total / self.count for total in self.sums))


class Clip(NamedTuple):
    """A source of frames that can be read from the beginning any number of times."""

    info: VideoInfo
    length: int
    paths: tuple[Path, ...]

    def frames(self) -> Iterator[Frame]:
        """Frames in order; a folder of pictures counts them."""
        if len(self.paths) == 1:
            return open_video(self.paths[0]).frames()
        return (
            replace(next(open_video(path).frames()), pts=index, duration=1, index=index)
            for index, path in enumerate(self.paths)
        )


class Scored(NamedTuple):
    """One row: a clip, how many frames were scored, and what came out."""

    name: str
    frames: int
    before: Likeness | None  # rainy against truth; None where there is no truth
    after: Likeness  # B against truth, or against O


class Model(NamedTuple):
    """A decomposer and how its windows are built."""

    decomposer: Decomposer
    options: DecomposeOptions


def likeness(truth: Picture, picture: Picture) -> Likeness:
    """Compare two pictures [H, W, 3]."""
    y = luma(truth / 255.0), luma(picture / 255.0)
    return Likeness(
        min(psnr(*y, data_range=255), HIGHEST_PSNR),
        ssim(*y, data_range=255),
        min(psnr(truth, picture, data_range=255), HIGHEST_PSNR),
        ssim(truth, picture, data_range=255),
    )


def eight_bits(planes: Planes, conversion: Conversion) -> Picture:
    """Stored planes as 8-bit RGB [H, W, 3], as stored (not turned upright)."""
    picture: Picture = to_rgb(planes, conversion).clamp_(0, 1).mul_(255).round_().byte().permute(1, 2, 0).numpy()
    return picture


def clip_of(path: Path) -> Clip:
    """A video file, or a folder of pictures in the order of their names."""
    paths = tuple(sorted(path.glob("*.png"))) if path.is_dir() else (path,)
    if not paths:
        raise InputError(f"{path}: holds no .png pictures")
    video = open_video(paths[0])
    return Clip(video.info, len(video.index.pts) if len(paths) == 1 else len(paths), paths)


def score_pair(name: str, rainy: Clip, clean: Clip, model: Model, every: int) -> Scored:
    """The input and B of `rainy`, both against `clean`."""
    if rainy.length != clean.length:
        raise InputError(f"{name}: {rainy.length} rainy frames, but {clean.length} clean ones; they must pair up")
    observed, truth_of = conversion_for(rainy.info), conversion_for(clean.info)
    wanted = range(0, rainy.length, every)
    layers = decompose(rainy.frames(), rainy.info, model.decomposer, options=model.options, wanted=wanted)
    truths = (frame for frame in clean.frames() if frame.index in wanted)
    before, after = Mean(), Mean()
    for layer, truth_frame in zip(layers, truths, strict=True):
        truth = eight_bits(truth_frame.planes, truth_of)
        before.add(likeness(truth, eight_bits(layer.frame.planes, observed)))
        after.add(likeness(truth, eight_bits(layer.background, observed)))
    return Scored(name, after.count, before.value, after.value)


def score_clean(name: str, clip: Clip, model: Model, every: int) -> Scored:
    """B against O of a video without rain."""
    conversion = conversion_for(clip.info)
    wanted = range(0, clip.length, every)
    same = Mean()
    for layer in decompose(clip.frames(), clip.info, model.decomposer, options=model.options, wanted=wanted):
        same.add(likeness(eight_bits(layer.frame.planes, conversion), eight_bits(layer.background, conversion)))
    return Scored(name, same.count, None, same.value)


def mean_of(name: str, rows: Sequence[Scored]) -> Scored:
    """The mean row of videos; every video counts alike."""
    before, after = Mean(), Mean()
    for row in rows:
        after.add(row.after)
        if row.before is not None:
            before.add(row.before)
    return Scored(name, sum(row.frames for row in rows), before.value if before.count else None, after.value)


HEAD = f"{'':24}{'frames':>7}  {'Y: PSNR':>8}{'SSIM':>8}  {'RGB: PSNR':>9}{'SSIM':>8}"


def lines_of(row: Scored) -> Iterator[str]:
    """A row as text; two lines and the gain where there is a truth."""
    if row.before is None:
        yield _line(row.name, row.frames, row.after)
        return
    gain = row.after.psnr_y - row.before.psnr_y
    yield _line(f"{row.name} input", row.frames, row.before)
    yield f"{_line(f'{row.name} model', row.frames, row.after)}  gain {gain:+.3f} dB-Y"


def _line(name: str, frames: int, found: Likeness) -> str:
    return (
        f"{name:<24}{frames:>7}  {found.psnr_y:>8.3f}{found.ssim_y:>8.4f}  {found.psnr_rgb:>9.3f}{found.ssim_rgb:>8.4f}"
    )


def paired(data: Path, model: Model, every: int) -> Iterator[Scored]:
    """Rows of the rendered pairs, their mean, then rows of the folders of pictures, which are not in the mean."""
    rows = []
    for rainy in sorted((data / "paired").glob("*_rainy.mp4")):
        name = rainy.name.removesuffix("_rainy.mp4")
        clean = rainy.with_name(f"{name}_clean.mp4")
        rows.append(score_pair(name, clip_of(rainy), clip_of(clean), model, every))
        yield rows[-1]
    if rows:
        yield mean_of(f"mean of {len(rows)}", rows)
    for folder in sorted((data / "paired").glob("*/rain")):
        truth = folder.with_name("gt")
        yield score_pair(folder.parent.name, clip_of(folder), clip_of(truth), model, every)


def without_rain(data: Path, model: Model, every: int) -> Iterator[Scored]:
    """Rows of the clean videos, with the mean of each split and of all."""
    everything = []
    for split in SPLITS:
        rows = []
        for path in sorted(path for path in (data / "clean" / split).glob("*") if path.is_file()):
            rows.append(score_clean(f"{split}/{path.stem}", clip_of(path), model, every))
            yield rows[-1]
        if rows:
            yield mean_of(f"mean of {len(rows)} {split}", rows)
        everything += rows
    if everything:
        yield mean_of(f"mean of all {len(everything)}", everything)


def settings(options: CleanOptions, arguments: argparse.Namespace) -> dict[str, Any]:
    """All that the figures depend on."""
    found: dict[str, Any] = {"model": options.model, "weights": options.weights and str(options.weights)}
    found |= {part: asdict(getattr(options, part)) for part in ("baseline", "nlcl", "align", "shots")}
    found |= {"device": device_of(options.device), "every": arguments.every, "seed": arguments.seed}
    found |= {"torch threads": torch.get_num_threads(), "python": sys.version.split()[0]}
    return found | {library: found_version for library in LIBRARIES if (found_version := _version(library))}


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line; the first paragraph of the module says what it does."""
    parser = argparse.ArgumentParser(prog="python -m tools.score", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VIDRAIN_DATA") or "../shared/data"))
    parser.add_argument("--every", type=int, default=1, metavar="N", help="score every Nth frame")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write the figures here as well")
    parser.add_argument("--model", default="baseline")
    parser.add_argument("--seed", type=int, default=0, help="of torch's generator, for models that draw")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="such as baseline.radius=3")
    arguments = parser.parse_args(argv)
    if arguments.every < 1:
        parser.error(f"--every {arguments.every}: found less than 1")
    return arguments


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Score everything, a line at a time; returns what `--json` writes."""
    options = load_clean(None, arguments.settings, {"model": arguments.model})
    torch.manual_seed(arguments.seed)
    model = Model(
        load_decomposer(
            options.model or arguments.model, options.weights, baseline=options.baseline, nlcl=options.nlcl
        ),
        DecomposeOptions(options.align, options.shots, device_of(options.device)),
    )
    report: dict[str, Any] = {"settings": settings(options, arguments)}
    _show(f"{key}: {value}" for key, value in report["settings"].items())
    sections = {
        "against the truth": paired(arguments.data, model, arguments.every),
        "without rain: B against O": without_rain(arguments.data, model, arguments.every),
    }
    for title, rows in sections.items():
        report[title] = _shown(title, rows)
    if not any(report[title] for title in sections):
        raise UsageError(f"{arguments.data}: holds no paired/*_rainy.mp4 and no clean/{{{','.join(SPLITS)}}}/")
    return report


def _shown(title: str, rows: Iterable[Scored]) -> list[dict[str, Any]]:
    """Print a section as it comes, and keep its figures."""
    kept: list[dict[str, Any]] = []
    for row in rows:
        if not kept:
            _show(["", title, HEAD])
        _show(lines_of(row))
        before = row.before._asdict() if row.before is not None else None
        kept.append({"name": row.name, "frames": row.frames, "before": before, "after": row.after._asdict()})
    return kept


def _show(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    arguments = parsed(argv)
    try:
        report = run(arguments)
    except VidrainError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
