"""What a clip is made of, in numbers: the intrinsic dimension of its background patches and of its rain patches.

NLCL rests on rain patches being the simpler ones. Whether they are, depends on the clip and on how clean the rain is:
noise of a few grey levels has more dimensions than any picture. So every layer is measured raw and denoised.

    print(*as_lines(dimensions("rainy.mp4")), sep="\\n")
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from vidrain.align import AlignOptions, guide_of
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.dimension import levina_bickel, two_nearest
from vidrain.errors import InputError
from vidrain.fixed import floats
from vidrain.flow import Guide
from vidrain.meter import MeterOptions
from vidrain.model.planes import ranked
from vidrain.shots import ShotOptions, as_judged, is_repeat
from vidrain.types import Aligned, Sight
from vidrain.video.decode import open_video
from vidrain.watchdog import STALL_S, Watchdog

SIDES = (8, 16)  # pixels
_PATCHES = 1500  # of each layer and side; estimates depend on how many there are
_FRAMES = 60  # at most, spread over the clip
_DECODED_AHEAD = 4  # frames
_LEAST = 100  # patches, below which a figure would say nothing
_LEVELS = 255.0
_TIMES = 3  # that a place may give a patch: what glares in every frame is a label, not rain, and always the same patch
_DEVIATIONS = 3.0  # of the noise, up to which an excess is noise
_FOLLOWED = DecomposeOptions(AlignOptions(preset="fast"), meter=MeterOptions(dry=None))  # dry frames count as well
_MAD = 1.4826  # median absolute deviation to standard deviation, of a Gaussian

Patches = npt.NDArray[np.float32]

# Layer -> how it is made. Rain patches are taken where most of the denoised excess is, backgrounds anywhere.
LAYERS = {
    "background (median)": "median of the aligned neighbours",
    "background (baseline)": "what the baseline leaves",
    "rain raw": "the frame less that median",
    "rain denoised": "what of it is brighter by more than three deviations of its noise",
    "rain (baseline)": "what the baseline removes",
}


@dataclass(frozen=True)
class Row:
    """One layer at one size of patch; both estimates are None where too few different patches were found."""

    layer: str
    side: int
    patches: int
    levina_bickel: float | None
    two_nearest: float | None


@dataclass(frozen=True)
class Dimensions:
    """The table of one clip.

    frames: how many different ones were looked at; noise: standard deviation of O less the median, in grey levels,
    robust against rain, mean over frames.
    """

    source: Path
    frames: int
    noise: float
    rows: tuple[Row, ...]


def dimensions(path: str | Path, *, stall_s: float = STALL_S) -> Dimensions:
    """Measure the clip at `path`: 1,500 patches of mean-removed luma per layer and size, from at most 60 frames.

    Memory is that of one window of frames and the patches. InputError for a file that cannot be read, that gives
    nothing for `stall_s` seconds, or that has no frame with neighbours or no room for enough patches.
    """
    watchdog = Watchdog(Path(path), stall_s)
    video = watchdog.opened(lambda pulse: open_video(path, beat=pulse.beat))
    count = len(video.index.pts)
    wanted = range(0, count, max(1, -(-count // _FRAMES)))
    sampler = _Sampler(-(-_PATCHES // len(wanted)))
    with closing(watchdog.ahead(video.frames(), _DECODED_AHEAD, "decode", video.decoded.place)) as frames:
        for _ in decompose(frames, video.info, sampler, options=_FOLLOWED, wanted=wanted):
            pass
    if not sampler.noises:
        raise InputError(f"{video.info.path}: no frame has a neighbour that differs; take a clip that moves on")
    rows = tuple(estimated(layer, side, sampler.kept[layer, side]) for layer in LAYERS for side in SIDES)
    if rows[0].levina_bickel is None:
        raise InputError(
            f"{video.info.path}: {rows[0].patches} different patches of background; "
            f"wanted are {_LEAST} or more; take a longer or larger clip"
        )
    return Dimensions(video.info.path, len(sampler.noises), float(np.mean(sampler.noises)), rows)


class _Sampler:
    """A decomposer that keeps patches of the layers of every frame it is shown, and removes what the baseline does."""

    sees: Sight = "luma"
    wants_error = False
    first = None  # patches are those of frames as observed
    remembers = False

    def __init__(self, per_frame: int) -> None:
        self._baseline = Baseline(BaselineOptions())
        self._per_frame = per_frame
        self._generator = torch.Generator().manual_seed(0)
        self.kept: dict[tuple[str, int], list[Patches]] = {(layer, side): [] for layer in LAYERS for side in SIDES}
        self.noises: list[float] = []
        self._strongest = Strongest(per_frame)
        self._before: Guide | None = None

    @property
    def radius(self) -> int:
        """Neighbours wanted on each side."""
        return self._baseline.radius

    def __call__(self, aligned: Aligned) -> Tensor:
        """The baseline's rain. [1, H, W]"""
        removed = self._baseline(aligned)
        if len(aligned.witnesses) and not self._is_repeat(aligned):
            self._keep(aligned, removed[0] * _LEVELS)
        return removed

    def _is_repeat(self, aligned: Aligned) -> bool:
        """Whether this is the last frame again: its patches would have neighbours at next to no distance."""
        _, height, width = aligned.observed.shape
        guide = as_judged(guide_of(aligned.observed, AlignOptions()), (height, width))
        before, self._before = self._before, guide
        return before is not None and is_repeat(before, self._before, ShotOptions())

    def _keep(self, aligned: Aligned, removed: Tensor) -> None:
        observed = floats(aligned.observed[0]) * _LEVELS
        middle = floats(ranked(list(aligned.witnesses[:, 0])).middle) * _LEVELS
        excess = observed - middle
        noise = float(excess.abs().median()) * _MAD
        denoised = (excess - _DEVIATIONS * noise).clamp(min=0)
        self.noises.append(noise)
        pictures = (middle, observed - removed, excess, denoised, removed)
        for side in SIDES:
            places = _anywhere(observed, side, self._per_frame, self._generator)
            streaks = self._strongest(denoised, side)
            for layer, picture in zip(LAYERS, pictures, strict=True):
                corners = streaks if layer.startswith("rain") else places
                self.kept[layer, side].append(patches_at(picture, corners, side))


class Strongest:
    """Corners of the patches, side by side, that hold most rain; dry ones never, and one place at most three times.

    per_frame: how many at most.
    """

    def __init__(self, per_frame: int) -> None:
        self._per_frame = per_frame
        self._taken: dict[int, Tensor] = {}  # side -> how often each cell gave a patch

    def __call__(self, rain: Tensor, side: int) -> Tensor:
        """Corners (y, x) of patches of `side` pixels in `rain` [H, W]. [at most per frame, 2]"""
        if min(rain.shape) < side:
            return torch.zeros((0, 2), dtype=torch.int64)
        energy = torch.nn.functional.avg_pool2d(rain.square()[None], side)[0].cpu()
        taken = self._taken.setdefault(side, torch.zeros_like(energy))
        energy[taken >= _TIMES] = 0
        best, order = energy.flatten().sort(descending=True, stable=True)
        order = order[: min(self._per_frame, int((best > 0).sum()))]
        taken.view(-1)[order] += 1
        return torch.stack([order // energy.shape[1], order % energy.shape[1]], dim=1) * side


def estimated(layer: str, side: int, kept: Sequence[Patches]) -> Row:
    """Estimates of one layer from its different patches [n, side * side] that vary at all."""
    every = np.concatenate(kept) if kept else np.empty((0, side * side), np.float32)
    different = np.unique(every[np.ptp(every, axis=1) > 0], axis=0)
    if len(different) < _LEAST:
        return Row(layer, side, len(different), None, None)
    return Row(layer, side, len(different), levina_bickel(different), two_nearest(different))


def _anywhere(picture: Tensor, side: int, count: int, generator: torch.Generator) -> Tensor:
    """Corners (y, x) drawn evenly. [count, 2]; none where the picture is smaller than a patch"""
    ends = [picture.shape[axis] - side + 1 for axis in (0, 1)]
    if min(ends) < 1:
        return torch.zeros((0, 2), dtype=torch.int64)
    return torch.stack([torch.randint(end, (count,), generator=generator) for end in ends], dim=1)


def patches_at(picture: Tensor, corners: Tensor, side: int) -> Patches:
    """Patches less their own mean. [n, side * side] float32"""
    steps = torch.arange(side)
    rows, columns = corners[:, 0, None, None] + steps[:, None], corners[:, 1, None, None] + steps
    patches = picture.cpu()[rows, columns].flatten(1)
    found: Patches = (patches - patches.mean(dim=1, keepdim=True)).numpy()
    return found


def as_facts(found: Dimensions) -> dict[str, Any]:
    """A table ready for JSON."""
    return {"v": 1, **asdict(found), "source": str(found.source)}


def as_lines(found: Dimensions) -> Iterator[str]:
    """A table for people: Levina-Bickel, and two nearest neighbours in brackets."""
    yield f"{found.source}: {found.frames} frames, noise {found.noise:.1f} grey levels"
    yield f"{'patches':<24}" + "".join(f"{f'{side}x{side}':>16}" for side in SIDES)
    for layer in LAYERS:
        rows = [row for row in found.rows if row.layer == layer]
        yield f"{layer:<24}" + "".join(f"{_figure(row):>16}" for row in rows)


def _figure(row: Row) -> str:
    if row.levina_bickel is None or row.two_nearest is None:
        return f"({row.patches} patches)"
    return f"{row.levina_bickel:.1f} ({row.two_nearest:.1f})"
