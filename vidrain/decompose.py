"""Frames in, layers out: the straight line from observed frames to B and R, for any decomposer.

picture -> judge the step from the frame before -> window -> witnesses -> align -> decompose -> quantise. A frame's
layers depend on its window alone, so a part of a video gives the same layers as the whole; a decomposer that keeps
something for the length of a shot (`nlcl` with frozen statistics) is the exception.

    for layers in decompose(video.frames(), video.info, Baseline(BaselineOptions())):
        layers.background, layers.rain
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from vidrain.align import Aligner, AlignOptions, Picture, guide_of
from vidrain.errors import ModelError
from vidrain.events import Notice
from vidrain.layers import subtract
from vidrain.shots import ShotOptions, Step, choose_witnesses, step_between
from vidrain.stream import Window, sliding_windows
from vidrain.types import Aligned, Frame, Layers, VideoInfo
from vidrain.video.color import Conversion, conversion_for, stored, to_codes, to_rgb, upright

_MOST_FAILED = Fraction(1, 100)  # of all frames
_MOST_SHOWN = 8


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
    shot: int  # cuts up to here


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
    A frame for which the decomposer gives NaN or infinity goes through as it is and is marked. Raises ModelError for
    rain of another shape.
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
            rain = _checked(decomposer(_on(device, aligned)).cpu(), aligned)
            if bool(torch.isfinite(rain.sum())):  # NaN and infinity survive every sum
                layers = quantised(window.center.frame, rain, info, conversion)
            else:
                layers = Layers(window.center.frame, window.center.frame.planes, is_untouched=True)
        yield layers


def tolerated(layers: Iterable[Layers], total: int, untouched: list[int]) -> Iterator[Layers]:
    """Pass `layers` on and note in `untouched` the frames that the model failed on.

    total: frames expected. Raises ModelError where more than 1 % of them failed: such a model cleans nothing.
    """
    for item in layers:
        if item.is_untouched:
            untouched.append(item.frame.index)
            if len(untouched) > _MOST_FAILED * total:
                raise ModelError(
                    f"the model gave NaN or infinity for {len(untouched)} of {total} frames, the first is "
                    f"{untouched[0]}; allowed: 1 %; take another --model or --weights"
                )
        yield item


def failed_frames(untouched: Sequence[int]) -> list[Notice]:
    """The notice about frames that the model failed on, if there are any."""
    if not untouched:
        return []
    shown = ", ".join(str(index) for index in untouched[:_MOST_SHOWN]) + (
        ", ..." if len(untouched) > _MOST_SHOWN else ""
    )
    message = f"the model gave NaN or infinity for {len(untouched)} frames ({shown}): they keep their rain"
    return [Notice(code="model", message=message)]


def quantised(frame: Frame, rain: Tensor, info: VideoInfo, conversion: Conversion) -> Layers:
    """Take upright float `rain` [3, H, W] to the stored planes, round it once, and subtract it from O."""
    removal = to_codes(stored(rain, info.display_matrix), conversion)
    return Layers(frame, subtract(frame.planes, removal, info.layout.depth))


def _checked(rain: Tensor, aligned: Aligned) -> Tensor:
    """`rain` as it came from a model; ModelError if that is no rain of this picture."""
    if rain.shape != aligned.observed.shape or not rain.is_floating_point():
        found, due = (f"{tuple(part.shape)} {part.dtype}" for part in (rain, aligned.observed))
        raise ModelError(f"the model gave {found} for a picture of {due}: it does not fit; take another --model")
    return rain


def _judged(
    frames: Iterable[Frame], info: VideoInfo, conversion: Conversion, options: DecomposeOptions
) -> Iterator[_Judged]:
    before: Picture | None = None
    shot = 0
    for frame in frames:
        rgb = upright(to_rgb(frame.planes, conversion), info.display_matrix)
        picture = Picture(frame.index, rgb, guide_of(rgb, options.align))
        step = Step.NEW if before is None else step_between(before.guide, picture.guide, options.shots)
        shot += step is Step.CUT
        yield _Judged(frame, picture, step, shot)
        before = picture


def _aligned(window: Window[_Judged], radius: int, aligner: Aligner) -> Aligned:
    steps = [item.step for item in window.items[1:]]
    witnesses = choose_witnesses(steps, window.position, radius)
    aligned = aligner.align(window.center.picture, [window.items[place].picture for place in witnesses])
    return replace(aligned, shot=window.center.shot)


def _on(device: torch.device, aligned: Aligned) -> Aligned:
    return replace(
        aligned,
        observed=aligned.observed.to(device),
        witnesses=aligned.witnesses.to(device),
        error=aligned.error.to(device),
    )
