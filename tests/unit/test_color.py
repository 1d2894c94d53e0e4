"""Colour conversion against ITU-T H.273 written out slowly, and the ways a picture can be turned."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests import ffmpeg_says
from vidrain.types import ColorTags, Family, PixelLayout, VideoInfo
from vidrain.video.color import conversion_for, rounded, stored, to_codes, to_luma, to_rgb, upright
from vidrain.video.decode import open_video

# H.273 table 4, written down a second time.
WEIGHTS = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
WEIGHTS |= {9: (0.2627, 0.0593)}
# Rows and columns of pixels to one chroma sample.
BLOCKS: dict[Family, tuple[int, int]] = {
    "yuv420p": (2, 2),
    "yuv422p": (1, 2),
    "yuv440p": (2, 1),
    "yuv444p": (1, 1),
    "gray": (1, 1),
    "gbrp": (1, 1),
}
LIMITED, FULL, UNTAGGED = 1, 2, 2
SAMPLES = Path(__file__).parents[2] / "samples"
BARS = np.array(list(itertools.product((0.0, 0.75, 1.0), repeat=3)))  # [27, 3] RGB
ALL_MATRICES = pytest.mark.parametrize("matrix", WEIGHTS)
ALL_RANGES = pytest.mark.parametrize("color_range", [LIMITED, FULL])
ALL_DEPTHS = pytest.mark.parametrize("depth", [8, 10, 12])

layouts = st.builds(PixelLayout, st.sampled_from(sorted(BLOCKS)), st.sampled_from([8, 10, 12]))
sizes = st.tuples(st.integers(1, 9), st.integers(1, 9))


def info_of(layout: PixelLayout, *, size: tuple[int, int] = (64, 36), color: ColorTags | None = None) -> VideoInfo:
    """Facts of a video; size: (width, height)."""
    return VideoInfo(
        path=Path("made.mp4"),
        stream_index=0,
        codec="ffv1",
        width=size[0],
        height=size[1],
        pix_fmt=layout.name,
        layout=layout,
        color=color or ColorTags(matrix=6, range=LIMITED),
        time_base=Fraction(1, 25),
        rate=Fraction(25),
        sample_aspect_ratio=None,
        display_matrix=None,
        interlaced=False,
        side_data=(),
    )


def matrix_of(code: int) -> npt.NDArray[np.float64]:
    """RGB to (luma, Cb, Cr), H.273 equations 38 to 40."""
    kr, kb = WEIGHTS[code]
    luma = np.array([kr, 1 - kr - kb, kb])
    return np.stack([luma, (np.array([0, 0, 1]) - luma) / (2 - 2 * kb), (np.array([1, 0, 0]) - luma) / (2 - 2 * kr)])


def scale_and_offset(depth: int, color_range: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Codes per unit and codes of zero for (luma, Cb, Cr), H.273 equations 29 to 34 and BT.601."""
    if color_range == FULL:
        return np.full(3, 2.0**depth - 1), np.array([0, 2.0 ** (depth - 1), 2.0 ** (depth - 1)])
    return np.array([219, 224, 224]) * 2.0 ** (depth - 8), np.array([16, 128, 128]) * 2.0 ** (depth - 8)


def random_planes(layout: PixelLayout, size: tuple[int, int], seed: int = 0) -> tuple[npt.NDArray[Any], ...]:
    """Any code may occur; size: (width, height)."""
    draw = np.random.default_rng(seed)
    return tuple(
        draw.integers(0, 1 << layout.depth, shape).astype(layout.dtype) for shape in layout.plane_shapes(*size)
    )


@pytest.mark.fault(20)
@ALL_MATRICES
@ALL_RANGES
@ALL_DEPTHS
def test_colour_bars_are_read_as_the_standard_writes_them(matrix: int, color_range: int, depth: int) -> None:
    layout = PixelLayout("yuv444p", depth)
    scale, offset = scale_and_offset(depth, color_range)
    codes = np.rint(BARS @ matrix_of(matrix).T * scale + offset).clip(0, 2**depth - 1)
    planes = tuple(codes[:, channel].reshape(3, 9).astype(layout.dtype) for channel in range(3))
    conversion = conversion_for(info_of(layout, size=(9, 3), color=ColorTags(matrix, color_range)))
    bars = to_rgb(planes, conversion).numpy().reshape(3, -1).T
    # Half a code of each of three samples, through the largest coefficients of the inverse matrix.
    assert np.abs(bars - BARS).max() <= 2.5 / 2 ** (depth - 8) / 219


@pytest.mark.parametrize(
    ("matrix", "pixel", "codes"),
    [
        (6, (1, 0, 0), (81, 90, 240)),
        (5, (0, 1, 0), (145, 54, 34)),
        (6, (0, 0, 1), (41, 240, 110)),
        (1, (1, 0, 0), (63, 102, 240)),
        (1, (0, 1, 0), (173, 42, 26)),
        (1, (0, 0, 1), (32, 240, 118)),
        (9, (1, 0, 0), (74, 97, 240)),
    ],
)
def test_codes_of_pure_colours_are_those_in_every_textbook(
    matrix: int, pixel: tuple[int, int, int], codes: tuple[int, int, int]
) -> None:
    conversion = conversion_for(info_of(PixelLayout("yuv444p", 8), color=ColorTags(matrix, LIMITED)))
    removal = torch.tensor(pixel, dtype=torch.float32)[:, None, None]
    got = [int(plane[0, 0]) for plane in to_codes(removal, conversion)]
    assert got == [code - zero for code, zero in zip(codes, (16, 128, 128), strict=True)]


@ALL_MATRICES
@ALL_RANGES
@pytest.mark.parametrize("family", ["yuv420p", "yuv422p", "yuv440p", "yuv444p"])
@pytest.mark.parametrize("depth", [8, 10])
def test_both_ways_agree_with_a_slow_twin(matrix: int, color_range: int, family: Family, depth: int) -> None:
    layout, (width, height) = PixelLayout(family, depth), (7, 5)
    conversion = conversion_for(info_of(layout, size=(width, height), color=ColorTags(matrix, color_range)))
    scale, offset = scale_and_offset(depth, color_range)
    rows, columns = BLOCKS[family]

    planes = random_planes(layout, (width, height))
    back = np.linalg.inv(matrix_of(matrix))
    rgb = to_rgb(planes, conversion).numpy()
    for y, x in np.ndindex(height, width):
        codes = np.array([planes[0][y, x], *(plane[y // rows, x // columns] for plane in planes[1:])])
        np.testing.assert_allclose(rgb[:, y, x], back @ ((codes - offset) / scale), atol=2e-6)

    removal = np.random.default_rng(1).normal(0, 0.2, (3, height, width)).astype(np.float32)
    own: list[dict[tuple[int, int], list[float]]] = [{}, {}, {}]
    for y, x in np.ndindex(height, width):
        codes = matrix_of(matrix) @ removal[:, y, x] * scale
        own[0][y, x] = [codes[0]]
        for channel in (1, 2):
            own[channel].setdefault((y // rows, x // columns), []).append(codes[channel])
    for plane, samples in zip(to_codes(torch.from_numpy(removal), conversion), own, strict=True):
        assert plane.dtype == np.int16
        assert plane.shape == tuple(np.max(list(samples), axis=0) + 1)
        for place, values in samples.items():
            # Nearest to the exact mean: rounding before the mean, or twice, would be further off.
            assert abs(int(plane[place]) - math.fsum(values) / len(values)) <= 0.5 + 1e-3


def test_chroma_is_rounded_after_its_mean() -> None:
    """Three pixels of 0.6 codes and one of none make 0.45, which is 0; rounded first they would make 1."""
    conversion = conversion_for(info_of(PixelLayout("yuv420p", 8)))
    blue = 0.6 / 224 / matrix_of(6)[1, 2]
    removal = torch.zeros(3, 2, 2)
    removal[2] = torch.tensor([[blue, blue], [blue, 0]])
    assert to_codes(removal, conversion)[1].tolist() == [[0]]
    removal[2, 1, 1] = blue
    assert to_codes(removal, conversion)[1].tolist() == [[1]]


@given(layouts, sizes, st.sampled_from([*WEIGHTS, 0, UNTAGGED]), st.sampled_from([0, LIMITED, FULL]))
def test_nothing_removed_is_zero_in_every_code(
    layout: PixelLayout, size: tuple[int, int], matrix: int, color_range: int
) -> None:
    conversion = conversion_for(info_of(layout, size=size, color=ColorTags(matrix, color_range)))
    codes = to_codes(torch.zeros(3, size[1], size[0]), conversion)
    assert [plane.shape for plane in codes] == list(layout.plane_shapes(*size))
    assert not any(plane.any() for plane in codes)


@given(layouts, sizes, st.sampled_from([*WEIGHTS, UNTAGGED]), st.sampled_from([LIMITED, FULL]), st.integers(0, 99))
def test_rgb_is_not_clipped_so_every_code_comes_back(
    layout: PixelLayout, size: tuple[int, int], matrix: int, color_range: int, seed: int
) -> None:
    conversion = conversion_for(info_of(layout, size=size, color=ColorTags(matrix, color_range)))
    planes = random_planes(layout, size, seed)
    rgb = to_rgb(planes, conversion)
    assert rgb.shape == (3, size[1], size[0])
    assert rgb.dtype == torch.float32
    zeros = [0, 0, 0]
    if layout.family != "gbrp":
        zeros = [int(zero) for zero in scale_and_offset(layout.depth, color_range)[1]]
    for plane, codes, zero in zip(planes, to_codes(rgb, conversion), zeros, strict=False):
        np.testing.assert_array_equal(codes.astype(int) + zero, plane)


@given(layouts, sizes, st.sampled_from([*WEIGHTS, 0, UNTAGGED]), st.sampled_from([LIMITED, FULL]), st.integers(0, 99))
def test_luma_is_that_of_the_rgb(
    layout: PixelLayout, size: tuple[int, int], matrix: int, color_range: int, seed: int
) -> None:
    """By the same matrix, not clipped either."""
    info = info_of(layout, size=size, color=ColorTags(matrix, color_range))
    planes = random_planes(layout, size, seed)
    luma, rgb = (convert(planes, conversion_for(info)) for convert in (to_luma, to_rgb))
    kr, kb = WEIGHTS.get(matrix, WEIGHTS[6])
    assert luma.shape == (1, size[1], size[0])
    assert luma.dtype == torch.float32
    np.testing.assert_allclose(luma[0], np.tensordot([kr, 1 - kr - kb, kb], rgb.numpy(), 1), atol=1e-5)


def test_luma_codes_are_those_of_the_plane() -> None:
    """There and back through `rounded` there is no other code."""
    layout = PixelLayout("yuv420p", 10)
    conversion = conversion_for(info_of(layout))
    planes = random_planes(layout, (9, 7))
    codes = rounded(to_luma(planes, conversion)[0], conversion.scale[0])
    assert codes.dtype == np.int16
    np.testing.assert_array_equal(codes.astype(int) + 64, planes[0])
    exact = torch.tensor([[-1.6, -0.5, -0.4, 0.4, 0.5, 1.5, 2.6]])  # half a code to the even one
    assert rounded(exact, 1).tolist() == [[-2, 0, 0, 0, 0, 2, 3]]
    assert rounded(exact, -10).tolist() == [[16, 5, 4, -4, -5, -15, -26]]


@pytest.mark.parametrize("convert", [to_luma, to_rgb])
@pytest.mark.parametrize("family", BLOCKS)
def test_the_planes_are_left_alone(convert: Callable[..., torch.Tensor], family: Family) -> None:
    layout = PixelLayout(family, 8)
    planes = random_planes(layout, (4, 4))
    copies = [plane.copy() for plane in planes]
    convert(planes, conversion_for(info_of(layout)))
    for plane, copy in zip(planes, copies, strict=True):
        np.testing.assert_array_equal(plane, copy)


def test_gray_is_luma_thrice_and_loses_luma() -> None:
    conversion = conversion_for(info_of(PixelLayout("gray", 8)))
    rgb = to_rgb((np.array([[16, 235, 0]], np.uint8),), conversion).numpy()
    np.testing.assert_allclose(rgb, np.tile([0, 1, -16 / 219], (3, 1))[:, None], atol=1e-6)
    removal = torch.tensor([0.5, 0.25, 1.0])[:, None, None]
    (luma,) = to_codes(removal, conversion)
    assert luma.tolist() == [[round(219 * (0.299 * 0.5 + 0.587 * 0.25 + 0.114))]]


@pytest.mark.parametrize("depth", [8, 10])
def test_gbrp_is_full_range_and_ordered_green_blue_red(depth: int) -> None:
    layout, top = PixelLayout("gbrp", depth), 2**depth - 1
    conversion = conversion_for(info_of(layout, color=ColorTags(matrix=0, range=LIMITED)))
    planes = tuple(np.array([[code]], layout.dtype) for code in (top, 0, 51))
    np.testing.assert_allclose(to_rgb(planes, conversion).numpy().ravel(), [51 / top, 1, 0], atol=1e-6)
    removal = torch.tensor([0.2, 0.4, 0.6])[:, None, None]
    assert [int(plane[0, 0]) for plane in to_codes(removal, conversion)] == [
        round(0.4 * top),
        round(0.6 * top),
        round(0.2 * top),
    ]
    assert conversion.assumption is None


@pytest.mark.fault(20)
@pytest.mark.parametrize(
    ("size", "weights", "assumed"),
    [
        ((1280, 720), WEIGHTS[1], "BT.709"),
        ((1080, 1920), WEIGHTS[1], "BT.709"),  # a phone held upright
        ((1280, 718), WEIGHTS[6], None),
        ((720, 576), WEIGHTS[6], None),
        ((576, 1024), WEIGHTS[6], None),
    ],
)
def test_untagged_high_definition_is_bt709_and_said(
    size: tuple[int, int], weights: tuple[float, float], assumed: str | None
) -> None:
    untagged = conversion_for(info_of(PixelLayout("yuv420p", 8), size=size, color=ColorTags()))
    assert (untagged.kr, untagged.kb) == weights
    assert (untagged.scale, untagged.offset) == ((219, 224), (16, 128))  # no range tag: limited
    if assumed is None:
        assert untagged.assumption is None
    else:
        assert untagged.assumption is not None
        assert "no colour matrix is tagged" in untagged.assumption
        assert assumed in untagged.assumption
    tagged = conversion_for(info_of(PixelLayout("yuv420p", 8), size=size, color=ColorTags(matrix=9)))
    assert (tagged.kr, tagged.kb, tagged.assumption) == (*WEIGHTS[9], None)


@pytest.mark.fault(20)
@pytest.mark.parametrize("matrix", [0, 8, 10, 14])
def test_a_matrix_that_is_none_of_ours_is_said(matrix: int) -> None:
    """Identity on YUV, YCgCo, BT.2020 constant luminance, ICtCp."""
    conversion = conversion_for(info_of(PixelLayout("yuv420p", 8), color=ColorTags(matrix=matrix)))
    assert conversion.assumption is not None
    assert f"matrix code {matrix} " in conversion.assumption
    assert "BT.601" in conversion.assumption


def test_untagged_gray_and_rgb_need_no_assumption() -> None:
    for family in ("gray", "gbrp"):
        info = info_of(PixelLayout(family, 8), size=(1920, 1080), color=ColorTags())  # type: ignore[arg-type]
        assert conversion_for(info).assumption is None


ONE = 1 << 16
# (a, b, c, d) of the display matrix: (x, y) is shown at (a x + c y, b x + d y).
ORIENTATIONS = {
    "as stored": (1, 0, 0, 1),
    "mirrored": (-1, 0, 0, 1),
    "upside down": (1, 0, 0, -1),
    "half turn": (-1, 0, 0, -1),
    "quarter turn right": (0, 1, -1, 0),
    "quarter turn left": (0, -1, 1, 0),
    "transposed": (0, 1, 1, 0),
    "anti-transposed": (0, -1, -1, 0),
}


def matrix_from(a: int, b: int, c: int, d: int) -> tuple[int, ...]:
    return (a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30)


@pytest.mark.parametrize("terms", ORIENTATIONS.values(), ids=ORIENTATIONS)
def test_upright_puts_each_pixel_where_the_matrix_says(terms: tuple[int, int, int, int]) -> None:
    a, b, c, d = terms
    picture = torch.arange(24).reshape(2, 3, 4)
    places = {(x, y): (a * x + c * y, b * x + d * y) for y in range(3) for x in range(4)}
    left, top = (min(place[axis] for place in places.values()) for axis in (0, 1))
    shown = upright(picture, matrix_from(*terms))
    assert shown.shape == ((2, 4, 3) if b else (2, 3, 4))
    for (x, y), (to_x, to_y) in places.items():
        assert shown[:, to_y - top, to_x - left].tolist() == picture[:, y, x].tolist()
    assert shown.is_contiguous()
    back = stored(shown, matrix_from(*terms))
    assert torch.equal(back, picture)
    assert back.is_contiguous()


def test_no_matrix_and_slanted_ones_leave_the_picture_as_it_is() -> None:
    picture = torch.arange(12).reshape(3, 4)
    slanted = (46341, 46341, 0, -46341, 46341, 0, 0, 0, 1 << 30)  # 45 degrees
    for matrix in (None, slanted, (0,) * 9):
        assert torch.equal(upright(picture, matrix), picture)
        assert torch.equal(stored(picture, matrix), picture)


@pytest.mark.fault(21)
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_upright_is_what_ffmpeg_shows(angle: int, mirrored: bool, tmp_path: Path) -> None:
    plain, turned = tmp_path / "plain.mp4", tmp_path / "turned.mp4"
    noise = "nullsrc=s=22x14:r=25,geq=lum='random(1)*255':cb=128:cr=128,format=gray"
    ffmpeg_says.quietly("-f", "lavfi", "-i", noise, "-frames:v", "1", "-c:v", "ffv1", plain)
    flags = ["-display_rotation", str(angle), *(["-display_hflip"] if mirrored else [])]
    ffmpeg_says.remux(plain, turned, first=flags)
    video = open_video(turned)
    assert (video.info.display_matrix is None) == (angle == 0 and not mirrored)
    frame = next(iter(video.frames()))
    shown = upright(torch.from_numpy(frame.planes[0].copy()), video.info.display_matrix).numpy()
    # With neither -noautorotate nor a filter the program shows the picture as players do.
    raw = ffmpeg_says.quietly("-i", turned, "-pix_fmt", "gray", "-f", "rawvideo", "-")
    assert shown.shape == ((22, 14) if angle % 180 else (14, 22))
    np.testing.assert_array_equal(shown.ravel(), np.frombuffer(raw, np.uint8))


def test_rain_of_the_rotated_sample_falls_down() -> None:
    video = open_video(SAMPLES / "rotated.mp4")
    conversion = conversion_for(video.info)
    pictures = torch.stack(
        [upright(to_rgb(frame.planes, conversion)[1], video.info.display_matrix) for frame in video.frames()]
    )
    assert pictures.shape[1:] == (256, 192)
    # A drop is brighter than what was and will be at its place, and a frame later it is further down.
    middle = pictures[1:-1]
    rain = (middle - torch.maximum(pictures[:-2], pictures[2:])).clamp(min=0)[:, 72:]  # below the painted index
    rain -= rain.mean((1, 2), keepdim=True)

    def likeness(steps: range) -> float:
        """How much of the rain is found in the next frame, moved by one of `steps` rows and a little sideways."""
        moves = itertools.product(steps, range(-20, 21, 4))
        return max(float((rain[:-1] * rain[1:].roll((-down, -right), (1, 2))).mean()) for down, right in moves)

    assert likeness(range(20, 60, 10)) > 4 * likeness(range(-50, 0, 10))


@pytest.mark.fault(20)
def test_conversion_follows_the_first_frame_of_a_full_range_file() -> None:
    video = open_video(SAMPLES / "full_range.mp4")
    conversion = conversion_for(video.info)
    assert conversion.scale == (255, 255)
    assert conversion_for(replace(video.info, color=ColorTags(5, LIMITED))).scale == (219, 224)
