"""What of the colour goes with the rain: as much as a grey streak hid, in every pixel format, however it is turned."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests import reference_windows
from tests.unit.test_space import info_of
from vidrain.align import AlignOptions, Way
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.chroma import Beside, Scale, chroma_removal, colours_of
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.fixed import floats
from vidrain.flow import Offsets
from vidrain.meter import MeterOptions
from vidrain.types import Aligned, Decomposer, Family, Frame, Layers, PixelLayout, Planes, Sight, VideoInfo
from vidrain.video.color import conversion_for, stored, to_luma, upright

Array = npt.NDArray[Any]

FAMILIES: tuple[Family, ...] = ("yuv420p", "yuv422p", "yuv440p", "yuv444p", "gbrp", "gray")
FRAMES = 6
EVERYWHERE = (slice(None), slice(None))
ALWAYS = MeterOptions(dry=None)  # its streaks are too few to be told from chance
PLAIN = DecomposeOptions(meter=ALWAYS)
STILL = DecomposeOptions(align=AlignOptions(still_tolerance=255), meter=ALWAYS)  # nothing is taken to move
KR, KB = 0.299, 0.114
# How a stored picture is shown, as nine numbers of a display matrix: turned to the right, upside down, to the left.
TURNS = {
    0: None,
    90: (0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30),
    180: (-(1 << 16), 0, 0, 0, -(1 << 16), 0, 0, 0, 1 << 30),
    270: (0, -(1 << 16), 0, 1 << 16, 0, 0, 0, 0, 1 << 30),
}


@dataclass(frozen=True)
class Clip:
    """Facts of a clip, its rainy frames, and what they were without rain."""

    info: VideoInfo
    frames: tuple[Frame, ...]
    dry: tuple[Planes, ...]


@cache
def scenes(width: int, height: int, step: int) -> tuple[tuple[Array, Array], ...]:
    """A coloured scene that a camera pans over, `step` pixels a frame, dry and behind grey streaks. [H, W, 3] each"""
    rng = np.random.default_rng(4)
    noise = rng.random((128, 160 + 3 * FRAMES, 3))
    soft = cv2.GaussianBlur(noise, (0, 0), 9) * 9 + cv2.GaussianBlur(noise, (0, 0), 3)
    scene = (0.05 + 0.7 * (soft - soft.min()) / (soft.max() - soft.min()))[:height]
    found = []
    for number in range(FRAMES):
        dry = scene[:, step * number : step * number + width]
        opacity = np.zeros((height, width, 1))
        for _ in range(12):
            left, top = rng.integers(2, 136), rng.integers(0, 72)
            opacity[top : top + 36, left : left + 2] = 0.35  # wider ones would lead the flow astray
        found.append((dry, dry * (1 - opacity) + 0.9 * opacity))
    return tuple(found)


def coded(picture: Array, layout: PixelLayout) -> Planes:
    """[H, W, 3] RGB to stored planes, BT.601: limited, or all of the range for gbrp."""
    top, step = (1 << layout.depth) - 1, 1 << (layout.depth - 8)
    red, green, blue = np.moveaxis(picture, -1, 0)
    if layout.family == "gbrp":
        return tuple(np.rint(channel * top).astype(layout.dtype) for channel in (green, blue, red))
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    planes = [luma * 219 * step + 16 * step]
    if layout.family != "gray":
        shift = layout.chroma_shift
        colours = ((blue - luma) / (2 - 2 * KB), (red - luma) / (2 - 2 * KR))
        planes += [averaged(colour, shift) * 224 * step + 128 * step for colour in colours]
    return tuple(np.rint(plane).astype(layout.dtype) for plane in planes)


def averaged(plane: Array, shift: tuple[int, int]) -> Array:
    """Means of the pixels of every chroma sample, fewer at the end of odd sizes."""
    for axis, times in enumerate(1 << by for by in reversed(shift)):
        starts = np.arange(0, plane.shape[axis], times)
        counts = np.diff([*starts, plane.shape[axis]])
        plane = np.add.reduceat(plane, starts, axis) / np.expand_dims(counts, 1 - axis)
    return plane


@cache
def clip(family: Family, *, depth: int = 8, size: tuple[int, int] = (144, 112), turn: int = 0, step: int = 3) -> Clip:
    """The scenes, shown `size` (width, height) and stored so that they have to be turned by `turn` to the right."""
    layout, shown = PixelLayout(family, depth), scenes(*size, step)
    lying = [tuple(np.rot90(picture, turn // 90).copy() for picture in pair) for pair in shown]
    height, width = lying[0][0].shape[:2]
    info = replace(info_of(family, depth, matrix=6, size=(width, height)), display_matrix=TURNS[turn])
    frames = tuple(Frame(coded(rainy, layout), number, 1, number) for number, (_, rainy) in enumerate(lying))
    return Clip(info, frames, tuple(coded(dry, layout) for dry, _ in lying))


def layers_of(clip: Clip, decomposer: Decomposer | None = None, options: DecomposeOptions = PLAIN) -> list[Layers]:
    return list(decompose(clip.frames, clip.info, decomposer or Baseline(BaselineOptions()), options=options))


def errors(found: Clip, layers: list[Layers]) -> Iterator[tuple[float, float]]:
    """Mean squared error of O and of B, of each plane in turn, where the rain changed it."""
    for plane in range(len(found.dry[0])):
        before, after = [], []
        for item, dry in zip(layers, found.dry, strict=True):
            truth, observed = dry[plane].astype(float), item.frame.planes[plane].astype(float)
            rainy = np.abs(observed - truth) > 2 * (1 << (found.info.layout.depth - 8))
            before.append(np.square(observed - truth)[rainy])
            after.append(np.square(item.background[plane] - truth)[rainy])
        yield float(np.concatenate(before).mean()), float(np.concatenate(after).mean())


def exact(layers: list[Layers]) -> bool:
    """O = B + R in integers, in the types of O."""
    return all(
        np.array_equal(b.astype(np.int32) + r, o) and b.dtype == o.dtype and r.dtype == np.int16
        for item in layers
        for o, b, r in zip(item.frame.planes, item.background, item.rain, strict=True)
    )


def check_gains(found: Clip, layers: list[Layers]) -> None:
    """Rain is small in the codes of Cb and Cr, and rounding large."""
    is_colour = [found.info.layout.family.startswith("yuv") and plane > 0 for plane in range(len(found.dry[0]))]
    for (before, after), leaves_more in zip(errors(found, layers), is_colour, strict=True):
        assert after < (0.6 if leaves_more else 0.1) * before


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("depth", [8, 10])
def test_every_plane_comes_nearer_to_the_truth(family: Family, depth: int) -> None:
    found = clip(family, depth=depth)
    layers = layers_of(found)
    assert exact(layers)
    check_gains(found, layers)


@pytest.mark.parametrize("family", ["yuv420p", "yuv422p", "yuv440p", "gbrp"])
@pytest.mark.parametrize("turn", TURNS)
def test_so_they_do_at_odd_sizes_however_they_are_turned(family: Family, turn: int) -> None:
    found = clip(family, size=(145, 113), turn=turn)
    layers = layers_of(found)
    assert exact(layers)
    check_gains(found, layers)


def test_chroma_follows_the_two_nearest_frames() -> None:
    """What stands behind is most like it is there now: frames farther away may look as they like."""
    found = clip("yuv420p", step=0)
    center, far = 2, (0, 4)

    def painted(frame: Frame) -> Frame:
        return replace(frame, planes=tuple(plane // 2 for plane in frame.planes)) if frame.index in far else frame

    other = replace(found, frames=tuple(map(painted, found.frames)))
    due, got = (told(each, 1.0, options=STILL)[center] for each in (found, other))
    assert any(layer.any() for layer in due.rain[1:])
    for layer, same in zip(got.background, due.background, strict=True):
        np.testing.assert_array_equal(layer, same)


@pytest.mark.parametrize("family", FAMILIES)
def test_where_nothing_moves_all_colour_comes_back(family: Family) -> None:
    """However far a colour is from grey; but where streaks hide most of the neighbours as well."""
    found = clip(family, step=0)
    layers = told(found, 1.0, options=STILL)
    for plane in range(len(found.dry[0])):
        truth, background, observed = (
            np.stack(planes).astype(int)
            for planes in (
                [dry[plane] for dry in found.dry],
                [item.background[plane] for item in layers],
                [item.frame.planes[plane] for item in layers],
            )
        )
        rainy = np.abs(observed - truth) > 2
        assert rainy.mean() > 0.02
        assert (np.abs(background - truth)[rainy] <= 2).mean() > 0.9


LYING: dict[Family, Family] = {"yuv422p": "yuv440p", "yuv440p": "yuv422p"}


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("turn", [90, 180, 270])
def test_a_turned_video_is_cleaned_as_it_is_shown(family: Family, turn: int) -> None:
    """Stored lying down, the same pictures lose the same rain: columns that share their colour are rows there."""
    shown = layers_of(clip(family))
    lying = layers_of(clip(LYING.get(family, family) if turn != 180 else family, turn=turn))
    for item, due in zip(lying, shown, strict=True):
        assert all(
            np.array_equal(found, np.rot90(plane, turn // 90))
            for found, plane in zip(item.background, due.background, strict=True)
        )


@dataclass
class Told:
    """Takes what it was told of the excess over the dry luma, inside of a rectangle."""

    dry: list[Tensor]
    share: float
    place: tuple[slice, slice] = EVERYWHERE
    sees: Sight = "luma"
    first: Decomposer | None = None
    radius: int = 2
    remembers: bool = False
    wants_error: bool = False

    def __call__(self, aligned: Aligned) -> Tensor:
        rain = torch.zeros(aligned.observed.shape)
        excess = (floats(aligned.observed) - self.dry.pop(0)).clamp(min=0) * self.share
        rain[:, *self.place] = excess[:, *self.place]
        return rain


def told(
    found: Clip,
    share: float,
    place: tuple[slice, slice] = EVERYWHERE,
    options: DecomposeOptions = PLAIN,
) -> list[Layers]:
    matrix = found.info.display_matrix
    dry = [upright(to_luma(planes, conversion_for(found.info)), matrix) for planes in found.dry]
    return layers_of(found, Told(dry, share, place), options)


@pytest.mark.parametrize("family", ["yuv420p", "yuv422p", "yuv440p", "yuv444p", "gbrp"])
def test_colour_stays_where_no_rain_was_taken(family: Family) -> None:
    found = clip(family)
    layers = told(found, 1.0, (slice(31, 61), slice(41, 91)))
    assert exact(layers)
    for plane in range(3):
        shape = found.frames[0].planes[plane].shape
        down, across = 112 // shape[0], 144 // shape[1]
        inside = np.zeros(shape, bool)
        inside[31 // down : -(-61 // down), 41 // across : -(-91 // across)] = True
        changed = np.stack([item.rain[plane] != 0 for item in layers]).any(0)
        assert changed[inside].any()
        assert not changed[~inside].any()


@pytest.mark.parametrize("family", ["yuv420p", "gbrp"])
def test_of_half_the_rain_goes_half_of_what_it_did_to_the_colour(family: Family) -> None:
    found = clip(family, depth=10)
    whole, half = (told(found, share) for share in (1.0, 0.5))
    for plane in range(3):
        taken, part = (np.stack([item.rain[plane] for item in layers]).astype(float) for layers in (whole, half))
        clear = np.abs(taken) > 8
        assert clear.mean() > 0.01
        assert 0.4 < np.median(part[clear] / taken[clear]) < 0.6


def test_without_rain_nothing_is_touched() -> None:
    found = clip("yuv420p")
    for item in told(found, 0.0):
        assert all(b is o for b, o in zip(item.background, item.frame.planes, strict=True))


@pytest.mark.parametrize("family", FAMILIES)
def test_without_witnesses_rain_is_grey(family: Family) -> None:
    found = clip(family)
    alone = replace(found, frames=found.frames[:1], dry=found.dry[:1])
    (item,) = told(alone, 1.0)
    assert exact([item])
    amount = item.rain[0]
    assert amount.max() > 20
    due = [amount] * 3 if family == "gbrp" else [amount] + [0 * plane for plane in item.rain[1:]]
    assert all(np.array_equal(plane, other) for plane, other in zip(item.rain, due, strict=True))


cells = st.sampled_from([(1, 1), (1, 2), (2, 1), (2, 2)])
seeds = st.integers(0, 2**32 - 1)


sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))
scales = st.sampled_from([Scale(224.0, 0.0), Scale(1023.0, 1.0)])


@given(seeds, sizes, cells, st.integers(1, 5), st.integers(1, 3), scales)
def test_removal_is_that_of_a_loop(
    seed: int, size_of_luma: tuple[int, int], cell: tuple[int, int], witnesses: int, planes: int, scale: Scale
) -> None:
    """Witnesses that have not moved: sample by sample, the share of the luma times the excess of the colour.

    But no more than the rain could change: three fifths of what it changes in the luma, more or less than grey.
    """
    height, width = size_of_luma
    rng = np.random.default_rng(seed)
    observed, rain = rng.random((1, height, width), np.float32), rng.random((height, width), np.float32) * 0.5
    others = rng.random((witnesses, 1, height, width), np.float32)
    size = tuple(-(-side // times) for side, times in zip((height, width), cell, strict=True))
    most_code, dtype = [(255, np.uint8), (16383, np.int16)][seed % 2]  # as colours_of keeps them
    colours = rng.integers(0, most_code + 1, (witnesses + 1, planes, *size)).astype(dtype)
    still = Way(Offsets(*np.zeros((2, height, width), np.float32)), None, None, np.zeros((height, width), np.uint8))
    own, *theirs = map(torch.from_numpy, colours)
    beside = [Beside(each, still, torch.from_numpy(luma[0])) for each, luma in zip(theirs, others, strict=True)]
    found = chroma_removal(own, torch.from_numpy(observed[0]), beside, torch.from_numpy(rain), scale).numpy()
    luma, amount, *there = (reference_windows.shrunk(part, cell) for part in (observed[0], rain, *others[:, 0]))
    for place in np.ndindex(*size):
        excess = luma[place] - np.median([picture[place] for picture in there])
        share = min(max(amount[place] / max(excess, 4 / 255), 0), 1)
        for plane in range(planes):
            due = (float(colours[0, plane][place]) - np.median(colours[1:, plane][(slice(None), *place)])) * share
            most = amount[place] * scale.codes
            due = min(max(due, (scale.grey - 0.6) * most), (scale.grey + 0.6) * most)
            assert found[plane][place] == pytest.approx(due, abs=0.02)


@given(
    st.sampled_from([*TURNS.values()]),
    st.integers(1, 7),
    st.integers(1, 7),
    st.integers(1, 3),
    st.sampled_from([(8, torch.uint8), (10, torch.int16), (14, torch.int16)]),
)
def test_colours_are_turned_as_they_are_shown(
    matrix: tuple[int, ...] | None, height: int, width: int, count: int, kept: tuple[int, torch.dtype]
) -> None:
    depth, dtype = kept
    codes = np.random.default_rng(height).integers(0, 1 << depth, (count, height, width))
    planes = tuple(codes.astype(np.uint8 if depth == 8 else np.uint16))
    found = colours_of(planes, matrix)
    assert found.dtype == dtype
    back = stored(found, matrix).numpy()
    assert all(np.array_equal(plane, due) for plane, due in zip(back, planes, strict=True))
    assert found.shape[1:] == ((width, height) if matrix and not matrix[0] else (height, width))


def test_a_neighbour_of_another_colour_does_not_give_it_away() -> None:
    """A red sign where neighbours, led astray, show the grass: little rain is taken, and little of the red."""
    observed, behind = torch.full((8, 8), 0.4), torch.full((8, 8), 0.38)
    still = Way(Offsets(*np.zeros((2, 8, 8), np.float32)), None, None, np.zeros((8, 8), np.uint8))
    own, theirs = torch.tensor([90.0, 200.0])[:, None, None].expand(2, 4, 4), torch.full((2, 4, 4), 100.0)
    rain = torch.full((8, 8), 0.02)
    free, bound = (
        chroma_removal(own, observed, [Beside(theirs.contiguous(), still, behind)] * 4, rain, Scale(codes, grey=0.0))
        for codes in (1e6, 224.0)
    )
    assert float(free[1].min()) > 50
    assert float(bound.abs().max()) <= 0.02 * 224
