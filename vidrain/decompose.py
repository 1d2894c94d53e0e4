"""Frames in, layers out: the straight line from observed frames to B and R, for any decomposer.

picture -> judge the step from the frame before -> window -> witnesses -> align -> decompose -> quantise. A decomposer
of two passes has the pictures dried by its first one before they become witnesses. A frame's layers depend on what
lies within `context_of` it alone, so a part of a video gives the same layers as the whole; a decomposer that keeps
something for the length of a shot (`nlcl` with frozen statistics) is the exception.

    for layers in decompose(video.frames(), video.info, Baseline(BaselineOptions())):
        layers.background, layers.rain
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from vidrain.align import Aligner, AlignOptions, Picture, guide_of
from vidrain.device import short_of
from vidrain.errors import ModelError
from vidrain.events import Notice
from vidrain.layers import subtract
from vidrain.shots import ShotOptions, Step, choose_witnesses, step_between
from vidrain.stream import Window, sliding_windows
from vidrain.types import Aligned, Decomposer, Frame, Layers, VideoInfo
from vidrain.video.color import Conversion, conversion_for, stored, to_codes, to_rgb, upright

_MOST_FAILED = Fraction(1, 100)  # of all frames
_MOST_SHOWN = 8

Source = TypeVar("Source")


@dataclass(frozen=True)
class DecomposeOptions:
    """How windows are built. device: where the decomposer runs, such as `cpu` or `cuda`."""

    align: AlignOptions = field(default_factory=AlignOptions)
    shots: ShotOptions = field(default_factory=ShotOptions)
    device: str = "cpu"


class Judged(NamedTuple, Generic[Source]):
    """A picture among others: as it was observed and as it bears witness, and what lies before it.

    source: what it was made of. step: what lies between it and the picture before; shot: cuts up to here.
    """

    source: Source
    picture: Picture
    witness: Picture
    step: Step
    shot: int


def reach_of(radius: int) -> int:
    """Frames of context on each side: twice the radius, so that single repeats leave witnesses enough."""
    return 2 * radius


def context_of(decomposer: Decomposer) -> int:
    """Frames of context on each side for `decomposer` and the passes before it."""
    before = decomposer.first
    return reach_of(decomposer.radius) + (0 if before is None else context_of(before))


def decompose(
    frames: Iterable[Frame],
    info: VideoInfo,
    decomposer: Decomposer,
    *,
    options: DecomposeOptions = DecomposeOptions(),
    wanted: Container[int] | None = None,
) -> Iterator[Layers]:
    """Layers of every frame, or of those whose index is in `wanted`, in order; holds one window at a time.

    frames: consecutive, as decoded from the video of `info`; `context_of` frames around `wanted` are context.
    A frame for which the decomposer gives NaN or infinity goes through as it is and is marked. Raises ModelError for
    rain of another shape.
    """
    conversion = conversion_for(info)
    aligner = Aligner(options.align)
    pictures = ((frame, _picture(frame, info, conversion, options)) for frame in frames)
    seen = judged(pictures, options.shots)
    if decomposer.first is not None:
        seen = dried(seen, decomposer.first, options)
    for window in sliding_windows(seen, reach_of(decomposer.radius)):
        frame = window.center.source
        if wanted is not None and frame.index not in wanted:
            continue
        with torch.inference_mode():  # not around the yield: it would hold for the consumer's code too
            rain = _rain_of(window, decomposer, aligner, options.device)
            if bool(torch.isfinite(rain.sum())):  # NaN and infinity survive every sum
                layers = quantised(frame, rain, info, conversion)
            else:
                layers = Layers(frame, frame.planes, is_untouched=True)
        yield layers


def judged(pictures: Iterable[tuple[Source, Picture]], options: ShotOptions) -> Iterator[Judged[Source]]:
    """Pictures in order, each with the verdict on the step before it; they bear witness as they were observed."""
    before: Picture | None = None
    shot = 0
    for source, picture in pictures:
        step = Step.NEW if before is None else step_between(before.guide, picture.guide, options)
        shot += step is Step.CUT
        yield Judged(source, picture, picture, step, shot)
        before = picture


def dried(seen: Iterator[Judged[Source]], first: Decomposer, options: DecomposeOptions) -> Iterator[Judged[Source]]:
    """The same, but bearing witness, and followed in their motion, as `first` leaves them. Holds one window at a time.

    On two clips of known rain the baseline gains 0.7 and 4.2 dB by witnesses whose rain is gone (docs/quality.md).
    """
    if first.first is not None:
        seen = dried(seen, first.first, options)
    aligner = Aligner(options.align)
    for window in sliding_windows(seen, reach_of(first.radius)):
        yield dry(window, first, aligner, options)


def dry(
    window: Window[Judged[Source]], first: Decomposer, aligner: Aligner, options: DecomposeOptions
) -> Judged[Source]:
    """The centre of a window, to bear witness as `first` leaves it; as it was where that fails."""
    picture = window.center.picture
    with torch.inference_mode():
        rain = _rain_of(window, first, aligner, options.device)
        rgb = (picture.rgb - rain).contiguous() if bool(torch.isfinite(rain.sum())) else picture.rgb
    guide = guide_of(rgb, options.align)
    return window.center._replace(picture=replace(picture, guide=guide), witness=Picture(picture.index, rgb, guide))


def aligned_at(window: Window[Judged[Source]], radius: int, aligner: Aligner) -> Aligned:
    """The centre of a window, observed, and its nearest `radius` witnesses on each side warped onto it."""
    steps = [item.step for item in window.items[1:]]
    chosen = choose_witnesses(steps, window.position, radius)
    aligned = aligner.align(window.center.picture, [window.items[place].witness for place in chosen])
    return replace(aligned, shot=window.center.shot)


def tolerated(layers: Iterable[Layers], total: int, untouched: list[int]) -> Iterator[Layers]:
    """Pass `layers` on and note in `untouched` the frames that the model failed on.

    total: frames expected. Raises ModelError where more than 1 % of them failed: such a model cleans nothing.
    """
    for item in layers:
        if item.is_untouched:
            untouched.append(item.frame.index)
            refuse_failing(untouched, total)
        yield item


def refuse_failing(untouched: Sequence[int], total: int) -> None:
    """ModelError where a model failed on more than 1 % of `total` frames."""
    if len(untouched) > _MOST_FAILED * total:
        raise ModelError(
            f"the model gave NaN or infinity for {len(untouched)} of {total} frames, the first is "
            f"{untouched[0]}; allowed: 1 %; take another --model or --weights"
        )


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


def _picture(frame: Frame, info: VideoInfo, conversion: Conversion, options: DecomposeOptions) -> Picture:
    rgb = upright(to_rgb(frame.planes, conversion), info.display_matrix)
    return Picture(frame.index, rgb, guide_of(rgb, options.align))


def _rain_of(window: Window[Judged[Source]], decomposer: Decomposer, aligner: Aligner, device: str) -> Tensor:
    height, width = window.center.picture.rgb.shape[-2:]
    with short_of(device, f"a picture of {width}x{height}"):
        aligned = aligned_at(window, decomposer.radius, aligner)
        rain = decomposer(_on(torch.device(device), aligned)).cpu()
    return _checked(rain, aligned)


def _on(device: torch.device, aligned: Aligned) -> Aligned:
    return replace(
        aligned,
        observed=aligned.observed.to(device),
        witnesses=aligned.witnesses.to(device),
        error=aligned.error.to(device),
    )
