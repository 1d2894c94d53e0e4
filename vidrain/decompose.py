"""Frames in, layers out: the straight line from observed frames to B and R, for any decomposer.

picture -> judge the step from the frame before -> window -> witnesses -> align -> decompose -> quantise. Most see the
luma alone: a streak is as bright in all colours, and what of the colour goes with it follows (`chroma`). A decomposer
of two passes has the pictures dried by its first one before they become witnesses. A frame's layers depend on what
lies within `context_of` it, and `memory_of` before that, so a part of a video gives the same layers as the whole; a
decomposer that keeps something for the length of a shot (`nlcl` with frozen statistics) is the exception. Frames of
dry stretches are left as they are, and what is burnt in where that is asked for (`sparing`); the first pass, which
sees the film as it was filmed, tells them for those behind it.

    for layers in decompose(video.frames(), video.info, Baseline(BaselineOptions())):
        layers.background, layers.rain
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Generic, NamedTuple, TypeVar

import torch
from torch import Tensor

from vidrain.align import Aligner, AlignOptions, Picture, Way, aligned_along, guide_of
from vidrain.chroma import Beside, Scale, chroma_removal, colours_of
from vidrain.device import short_of
from vidrain.errors import ModelError
from vidrain.fixed import fixed, floats
from vidrain.flow import FlowPreset, Guide
from vidrain.layers import subtract
from vidrain.marks import AHEAD, MarkOptions
from vidrain.meter import MeterOptions
from vidrain.shots import ShotOptions, Step, as_judged, choose_witnesses, step_between
from vidrain.sparing import RECENT, Told, memory_for, spared
from vidrain.stream import Apart, Window, in_turn, sliding_windows
from vidrain.types import Aligned, Decomposer, Frame, Layers, RainPlanes, Sight, VideoInfo
from vidrain.video.color import conversion_for, rounded, stored, to_codes, to_fixed, to_rgb, upright

_COLOURED = 2  # witnesses whose chroma counts: by four it comes 3 % nearer to the truth, in twice the time

Source = TypeVar("Source")


@dataclass(frozen=True)
class DecomposeOptions:
    """How windows are built. device: where the decomposer runs, such as `cpu` or `cuda`."""

    align: AlignOptions = field(default_factory=AlignOptions)
    shots: ShotOptions = field(default_factory=ShotOptions)
    device: str = "cpu"
    meter: MeterOptions = field(default_factory=MeterOptions)
    marks: MarkOptions = field(default_factory=MarkOptions)


class Judged(NamedTuple, Generic[Source]):
    """A picture among others: as it was observed and as it bears witness, and what lies before it.

    source: what it was made of. step: what lies between it and the picture before; shot: cuts up to here. is_dry:
    whether a pass before saw that it does not rain; marks: where it saw what was burnt in (as in `Followed`).
    """

    source: Source
    picture: Picture
    witness: Picture
    step: Step
    shot: int
    is_dry: bool = False
    marks: Guide | None = None


class Followed(NamedTuple, Generic[Source]):
    """A picture and its nearest different ones on each side, with the ways to them.

    is_dry: nothing is to be taken; marks: nothing where this [h, w] is not 0, of any size.
    """

    center: Judged[Source]
    witnesses: list[Judged[Source]]
    ways: list[Way]
    is_dry: bool = False
    marks: Guide | None = None


Moved = tuple[Followed[Source], Aligned | None]  # with its witnesses warped onto it, if it asks for them


class Taken(NamedTuple):
    """What a decomposer takes from a picture, as its pixels, on the CPU; and what it saw that."""

    rain: Tensor
    aligned: Aligned


def reach_of(radius: int) -> int:
    """Frames of context on each side: twice the radius, so that single repeats leave witnesses enough."""
    return 2 * radius


def aligner_for(decomposer: Decomposer, options: AlignOptions) -> Aligner:
    """What follows the motion of pictures for `decomposer`."""
    return aligner_after(decomposer.first, options, wants_error=decomposer.wants_error)


def aligner_after(first: Decomposer | None, options: AlignOptions, *, wants_error: bool = True) -> Aligner:
    """The same for a model behind `first`, if any, that asks or does not ask how far the flow can be trusted.

    Finely, where the rain is taken off: 0.6 dB more gain where the camera moves and 0.2 dB less where it is still, by
    two passes of the baseline (docs/quality.md). On rain as filmed that would be 0.4 dB more and 0.8 dB less.
    Quickly for the one who does not ask: of rendered rain the baseline takes as much on the mean.
    """
    usual: FlowPreset = "fine" if first is not None else "fast" if wants_error else "quick"
    return Aligner(replace(options, preset=options.preset or usual))


def context_of(decomposer: Decomposer) -> int:
    """Frames of context on each side for `decomposer` and the passes before it."""
    before = decomposer.first
    return reach_of(decomposer.radius) + (0 if before is None else context_of(before))


def memory_of(decomposer: Decomposer, options: DecomposeOptions) -> int:
    """Frames of context before those, by which it is told whether it rains, and what is burnt in."""
    return memory_for(options.marks) if decomposer.radius else 0


def decompose(
    frames: Iterable[Frame],
    info: VideoInfo,
    decomposer: Decomposer,
    *,
    options: DecomposeOptions = DecomposeOptions(),
    wanted: Container[int] | None = None,
    apart: Apart = in_turn,
) -> Iterator[Layers]:
    """Layers of every frame, or of those whose index is in `wanted`, in order; holds a window for each stage.

    frames: consecutive, as decoded from the video of `info`; `context_of` frames around `wanted` are context. apart:
    runs the stages side by side; else they take turns.
    A frame for which the decomposer gives NaN or infinity goes through as it is and is marked. Raises ModelError for
    rain of another shape.
    """
    seen = witnessed(frames, info, decomposer, options, apart)
    moved = apart(warped(followed(seen, decomposer, options, wanted)), "follow")
    return apart(parted(moved, info, decomposer, options), "part")


def witnessed(
    frames: Iterable[Frame],
    info: VideoInfo,
    decomposer: Decomposer,
    options: DecomposeOptions,
    apart: Apart = in_turn,
) -> Iterator[Judged[Frame]]:
    """Frames as the decomposer sees them, ready to bear witness."""
    seen = judged(pictures_of(frames, info, options, decomposer.sees), options.shots)
    return seen if decomposer.first is None else dried(seen, decomposer.first, options, apart)


def followed(
    seen: Iterable[Judged[Source]],
    decomposer: Decomposer,
    options: DecomposeOptions,
    wanted: Container[int] | None = None,
) -> Iterator[Followed[Source]]:
    """The wanted ones with their witnesses, how these have moved, and whether it rains; those known to be dry alone."""
    aligner, told = aligner_for(decomposer, options.align), Told(options.meter, options.marks)
    is_first = decomposer.first is None
    looks_back = is_first and (options.meter.dry is not None or options.marks.moved is not None)
    for window in sliding_windows(seen, reach_of(decomposer.radius)):
        center = window.center
        if is_first:
            for item in window.items[window.position : window.position + AHEAD + 1]:
                told.see(item.picture, item.shot)
        later = range(RECENT + 1 if looks_back else 1)
        if wanted is not None and not any(center.picture.index + step in wanted for step in later):
            continue
        found = Followed(center, [], [], is_dry=True)
        if not center.is_dry:
            with _enough_memory(center.picture.pixels.shape):
                found = follow(window, decomposer, aligner)._replace(marks=center.marks)
                if is_first:
                    pictures = [each.picture for each in found.witnesses]
                    found = found._replace(**told.of(center.picture, center.shot, pictures, found.ways)._asdict())
        if wanted is None or center.picture.index in wanted:
            yield found
        del found, center, window  # many planes, and nobody needs them while the next ones are waited for


def warped(seen: Iterable[Followed[Source]]) -> Iterator[Moved[Source]]:
    """Each with its witnesses warped onto it, but the dry ones, which ask for none."""
    for item in seen:
        yield item, None if item.is_dry else _warped(item)
        del item


def lightened(seen: Iterable[Moved[Source]]) -> Iterator[Moved[Source]]:
    """Each without what was warped onto it and along which ways: for a pass that asks for no colours."""
    for item, aligned in seen:
        light = item._replace(witnesses=[], ways=[]), aligned
        del item, aligned
        yield light
        del light


def _warped(seen: Followed[Source]) -> Aligned:
    with _enough_memory(seen.center.picture.pixels.shape):
        return aligned_of(seen)


def parted(
    seen: Iterable[Moved[Frame]], info: VideoInfo, decomposer: Decomposer, options: DecomposeOptions
) -> Iterator[Layers]:
    """Their layers."""
    for item, aligned in seen:
        if aligned is None:
            yield Layers(item.center.source, item.center.source.planes, is_dry=True)
            continue
        layers = _decided(item, aligned, info, decomposer, options)
        del item, aligned  # as in `followed`
        yield layers


def _decided(
    seen: Followed[Frame], aligned: Aligned, info: VideoInfo, decomposer: Decomposer, options: DecomposeOptions
) -> Layers:
    """The layers of a picture that is followed and has its witnesses warped onto it."""
    with torch.inference_mode(), _enough_memory(seen.center.picture.pixels.shape):
        taken = taken_from(aligned, decomposer, options.device, seen.marks)
        return layers_of(seen, taken, info, decomposer.sees)


def judged(pictures: Iterable[tuple[Source, Picture]], options: ShotOptions) -> Iterator[Judged[Source]]:
    """Pictures in order, each with the verdict on the step before it; they bear witness as they were observed."""
    before: Picture | None = None
    shot = 0
    for source, picture in pictures:
        with _enough_memory(picture.pixels.shape):
            step = Step.NEW if before is None else step_of(before, picture, options)
        shot += step is Step.CUT
        yield Judged(source, picture, picture, step, shot)
        before = picture


def step_of(before: Picture, after: Picture, options: ShotOptions) -> Step:
    """What lies between two adjacent pictures."""
    first, second = (as_judged(each.guide, (each.pixels.shape[1], each.pixels.shape[2])) for each in (before, after))
    return step_between(first, second, options)


def dried(
    seen: Iterator[Judged[Source]], first: Decomposer, options: DecomposeOptions, apart: Apart = in_turn
) -> Iterator[Judged[Source]]:
    """The same, but bearing witness, and followed in their motion, as `first` leaves them. Holds one window at a time.

    On two clips of known rain the baseline gains 1.2 and 3.7 dB by witnesses whose rain is gone (docs/quality.md).
    """
    if first.first is not None:
        seen = dried(seen, first.first, options, apart)
    return apart(_left(apart(lightened(warped(followed(seen, first, options))), "witness"), first, options), "dry")


def _left(seen: Iterable[Moved[Source]], first: Decomposer, options: DecomposeOptions) -> Iterator[Judged[Source]]:
    for item, aligned in seen:
        if aligned is None:
            yield item.center._replace(is_dry=True)
            continue
        with _enough_memory(item.center.picture.pixels.shape):
            left = left_by(item, aligned, first, options)
        del item, aligned
        yield left


def dry(
    window: Window[Judged[Source]], first: Decomposer, aligner: Aligner, options: DecomposeOptions
) -> Judged[Source]:
    """The centre of a window, to bear witness as `first` leaves it; as it was where that fails."""
    found = follow(window, first, aligner)
    return left_by(found, aligned_of(found), first, options)


def left_by(seen: Followed[Source], aligned: Aligned, first: Decomposer, options: DecomposeOptions) -> Judged[Source]:
    """The same, of a picture that is followed already and has its witnesses warped onto it."""
    picture = seen.center.picture
    with torch.inference_mode():
        taken = taken_from(aligned, first, options.device, seen.marks)
        pixels = _less(picture.pixels, taken.rain) if _is_finite(taken.rain) else picture.pixels
    guide = guide_of(pixels, options.align)
    witness = Picture(picture.index, pixels, guide)
    return seen.center._replace(picture=replace(picture, guide=guide), witness=witness, marks=seen.marks)


def _less(pixels: Tensor, rain: Tensor) -> Tensor:
    """Pixels without rain, as a `Picture` has them."""
    left = floats(pixels) - rain
    return left if pixels.is_floating_point() else fixed(left)


def pictures_of(
    frames: Iterable[Frame], info: VideoInfo, options: DecomposeOptions, sight: Sight
) -> Iterator[tuple[Frame, Picture]]:
    """Frames with what a decomposer of that sight sees of them."""
    for frame in frames:
        with _enough_memory(frame.planes[0].shape):
            picture = picture_of(frame, info, options, sight)
        yield frame, picture


def picture_of(frame: Frame, info: VideoInfo, options: DecomposeOptions, sight: Sight) -> Picture:
    """A frame ready for alignment, as a decomposer of that sight sees it."""
    seen = to_fixed if sight == "luma" else to_rgb
    pixels = upright(seen(frame.planes, conversion_for(info)), info.display_matrix)
    return Picture(frame.index, pixels, guide_of(pixels, options.align))


def follow(window: Window[Judged[Source]], decomposer: Decomposer, aligner: Aligner) -> Followed[Source]:
    """The centre of a window, and its nearest witnesses on each side, as many as `decomposer` wants."""
    steps = [item.step for item in window.items[1:]]
    chosen = choose_witnesses(steps, window.position, decomposer.radius)
    center, witnesses = window.center, [window.items[place] for place in chosen]
    ways = aligner.ways(center.picture, [each.witness for each in witnesses], wants_error=decomposer.wants_error)
    return Followed(center, witnesses, ways)


def aligned_of(seen: Followed[Source]) -> Aligned:
    """A picture with its witnesses warped onto it."""
    aligned = aligned_along(seen.ways, seen.center.picture, [each.witness for each in seen.witnesses])
    return replace(aligned, shot=seen.center.shot)


def taken_from(aligned: Aligned, decomposer: Decomposer, device: str, marks: Guide | None = None) -> Taken:
    """What `decomposer` takes from a picture, seen among its witnesses, but where `marks` are (`Followed`)."""
    with _enough_memory(aligned.observed.shape, device):
        rain = decomposer(aligned.to(torch.device(device))).cpu()
    return Taken(spared(_checked(rain, aligned), marks), aligned)


def layers_of(seen: Followed[Frame], taken: Taken, info: VideoInfo, sight: Sight) -> Layers:
    """Take what was taken from a picture to the stored planes, round it once, and subtract it from O."""
    frame = seen.center.source
    if not _is_finite(taken.rain):
        return Layers(frame, frame.planes, is_untouched=True)
    if not taken.rain.numpy().any():  # a tenth of the time that torch takes
        return Layers(frame, frame.planes)
    if sight == "luma" and seen.witnesses:
        removal = _with_colours(seen, taken, info)
    else:  # of all colours; or of luma, without anything that the colour could differ from
        removal = to_codes(stored(taken.rain.expand(3, -1, -1), info.display_matrix), conversion_for(info))
    return Layers(frame, subtract(frame.planes, removal, info.layout.depth))


def _is_finite(rain: Tensor) -> bool:
    return isfinite(float(rain.sum()))  # NaN and infinity survive every sum


def _with_colours(seen: Followed[Frame], taken: Taken, info: VideoInfo) -> RainPlanes:
    """Rain of the luma, and what of the colours goes with it, as stored planes."""
    frame, rain, matrix = seen.center.source, taken.rain[0], info.display_matrix
    conversion = conversion_for(info)
    first = 0 if info.layout.family == "gbrp" else 1  # of the planes that are not luma
    removal = [rounded(stored(rain, matrix), conversion.scale[0])][:first]
    if frame.planes[first:]:
        lumas = taken.aligned.witnesses[:, 0]
        beside = [
            Beside(colours_of(witness.source.planes[first:], matrix), way, luma)
            for witness, way, luma in _nearest(seen, lumas)[: _COLOURED if first else None]
        ]
        scale = Scale(codes=conversion.scale[first], grey=float(not first))
        observed = colours_of(frame.planes[first:], matrix)
        colours = chroma_removal(observed, taken.aligned.observed[0], beside, rain, scale)
        removal += [rounded(plane, 1) for plane in stored(colours, matrix)]
    return tuple(removal)


def _nearest(seen: Followed[Frame], lumas: Tensor) -> list[tuple[Judged[Frame], Way, Tensor]]:
    """Its witnesses, the ways to them and their luma, those closest in time first."""
    found = zip(seen.witnesses, seen.ways, lumas, strict=True)
    return sorted(found, key=lambda each: abs(each[0].picture.index - seen.center.picture.index))


def _checked(rain: Tensor, aligned: Aligned) -> Tensor:
    """`rain` as it came from a model; ModelError if that is no rain of this picture."""
    if rain.shape != aligned.observed.shape or not rain.is_floating_point():
        found, due = (f"{tuple(part.shape)} {part.dtype}" for part in (rain, aligned.observed))
        raise ModelError(f"the model gave {found} for a picture of {due}: it does not fit; take another --model")
    return rain


def _enough_memory(size: Sequence[int], device: str = "cpu") -> AbstractContextManager[None]:
    """Around work on a picture of (..., rows, columns): DeviceError of one line where it is short of memory."""
    height, width = size[-2:]
    return short_of(device, f"a picture of {width}x{height}")
