"""Frames in, layers out: the straight line from observed frames to B and R, for any decomposer.

picture -> judge the step from the frame before -> window -> witnesses -> align -> decompose -> quantise. A frame's
layers depend on its window alone, so a part of a video gives the same layers as the whole.

    for layers in decompose(video.frames(), video.info, Baseline(BaselineOptions())):
        layers.background, layers.rain
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vidrain.align import Aligner, AlignOptions, Picture, guide_of
from vidrain.layers import subtract
from vidrain.shots import ShotOptions, Step, choose_witnesses, step_between
from vidrain.stream import Window, sliding_windows
from vidrain.types import Aligned, Frame, Layers, VideoInfo
from vidrain.video.color import Conversion, conversion_for, stored, to_codes, to_rgb, upright


class Decomposer(Protocol):
    """Takes an aligned window apart: all that a model has to be."""

    @property
    def radius(self) -> int:
        """Different frames wanted on each side of the observed one; 0 works on single frames."""

    def __call__(self, aligned: Aligned) -> Tensor:
        """What to subtract from the observation. [3, H, W] float32, in units of RGB in [0, 1]"""


@dataclass(frozen=True)
class DecomposeOptions:
    """How windows are built. device: where the decomposer runs, such as `cpu` or `cuda`."""

    align: AlignOptions = field(default_factory=AlignOptions)
    shots: ShotOptions = field(default_factory=ShotOptions)
    device: str = "cpu"


class _Judged(NamedTuple):
    """A frame, its upright picture, and what lies between it and the frame before."""

    frame: Frame
    picture: Picture
    step: Step


def reach_of(radius: int) -> int:
    """Frames of context on each side: twice the radius, so that single repeats leave witnesses enough."""
    return 2 * radius


def decompose(
    frames: Iterable[Frame],
    info: VideoInfo,
    decomposer: Decomposer,
    *,
    options: DecomposeOptions = DecomposeOptions(),
    wanted: range | None = None,
) -> Iterator[Layers]:
    """Layers of every frame, or of those whose index is in `wanted`, in order; holds one window at a time.

    frames: consecutive, as decoded from the video of `info`; `reach_of(radius)` frames around `wanted` are context.
    """
    conversion = conversion_for(info)
    aligner = Aligner(options.align)
    device = torch.device(options.device)
    judged = _judged(frames, info, conversion, options)
    for window in sliding_windows(judged, reach_of(decomposer.radius)):
        if wanted is not None and window.center.frame.index not in wanted:
            continue
        with torch.inference_mode():  # not around the yield: it would hold for the consumer's code too
            aligned = _aligned(window, decomposer.radius, aligner)
            rain = decomposer(_on(device, aligned)).cpu()
            layers = quantised(window.center.frame, rain, info, conversion)
        yield layers


def quantised(frame: Frame, rain: Tensor, info: VideoInfo, conversion: Conversion) -> Layers:
    """Take upright float `rain` [3, H, W] to the stored planes, round it once, and subtract it from O."""
    removal = to_codes(stored(rain, info.display_matrix), conversion)
    return Layers(frame, subtract(frame.planes, removal, info.layout.depth))


def _judged(
    frames: Iterable[Frame], info: VideoInfo, conversion: Conversion, options: DecomposeOptions
) -> Iterator[_Judged]:
    before: Picture | None = None
    for frame in frames:
        rgb = upright(to_rgb(frame.planes, conversion), info.display_matrix)
        picture = Picture(frame.index, rgb, guide_of(rgb, options.align))
        step = Step.NEW if before is None else step_between(before.guide, picture.guide, options.shots)
        yield _Judged(frame, picture, step)
        before = picture


def _aligned(window: Window[_Judged], radius: int, aligner: Aligner) -> Aligned:
    steps = [item.step for item in window.items[1:]]
    witnesses = choose_witnesses(steps, window.position, radius)
    return aligner.align(window.center.picture, [window.items[place].picture for place in witnesses])


def _on(device: torch.device, aligned: Aligned) -> Aligned:
    return Aligned(aligned.observed.to(device), aligned.witnesses.to(device), aligned.error.to(device))
