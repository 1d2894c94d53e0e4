"""The fixed integer conversion: against a slow twin in loops, and near the float conversion."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import reference
from vidrain.amount import rain_amount, rain_levels
from vidrain.export.space import Space, fixed_point, rain_of, to_rgb_codes
from vidrain.layers import recomposed
from vidrain.types import ColorTags, Frame, Layers, PixelLayout, VideoInfo
from vidrain.video.color import conversion_for, to_rgb

FAMILIES = ["yuv420p", "yuv422p", "yuv440p", "yuv444p", "gray", "gbrp"]


def info_of(
    family: str, depth: int, *, matrix: int = 1, full: bool = False, size: tuple[int, int] = (5, 3)
) -> VideoInfo:
    width, height = size
    layout = PixelLayout(family, depth)  # type: ignore[arg-type]
    return VideoInfo(
        path=Path("a.mp4"),
        stream_index=0,
        codec="ffv1",
        width=width,
        height=height,
        pix_fmt=layout.name,
        layout=layout,
        color=ColorTags(matrix, 2 if full else 1),
        time_base=1,
        rate=None,
        sample_aspect_ratio=None,
        display_matrix=None,  # type: ignore[arg-type]
        interlaced=False,
        side_data=(),
    )


def drawn(info: VideoInfo, seed: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(seed)
    top = 1 << info.layout.depth
    shapes = info.layout.plane_shapes(info.width, info.height)
    return tuple(rng.integers(0, top, shape).astype(info.layout.dtype) for shape in shapes)


@given(
    st.sampled_from(FAMILIES),
    st.sampled_from([8, 10, 12, 14]),
    st.sampled_from([1, 6, 9]),
    st.booleans(),
    st.integers(0, 9),
)
def test_rgb_codes_are_those_of_the_slow_twin(family: str, depth: int, matrix: int, full: bool, seed: int) -> None:
    info = info_of(family, depth, matrix=matrix, full=full)
    planes, conversion = drawn(info, seed), conversion_for(info)
    found = to_rgb_codes(planes, conversion, fixed_point(conversion))
    assert (found.shape, found.dtype) == ((3, 5, 3), info.layout.dtype)
    due = reference.rgb_codes(planes, family, fixed_point(conversion), info.layout.chroma_shift, depth)
    assert np.array_equal(found, due)
    floats = to_rgb(planes, conversion).permute(1, 2, 0).numpy().clip(0, 1) * ((1 << depth) - 1)
    assert np.abs(found - floats).max() <= 0.5 + 2 ** (depth - 14)  # rounding, and what the fixed point leaves out


@pytest.mark.parametrize("depth", [8, 10, 12, 14])
def test_sums_fit_into_32_bits(depth: int) -> None:
    """The largest that any matrix and any codes can give."""
    for matrix in (1, 4, 5, 6, 7, 9):
        for full in (False, True):
            fixed = fixed_point(conversion_for(info_of("yuv444p", depth, matrix=matrix, full=full)))
            code = 1 << depth
            chroma = code // 2
            worst = fixed["luma"] * code + chroma * max(fixed["r_v"], fixed["b_u"], -fixed["g_u"] - fixed["g_v"])
            assert worst + fixed["half"] < 1 << 31


def test_black_white_and_grey_stay_so() -> None:
    info = info_of("yuv420p", 8, size=(2, 2))
    conversion = conversion_for(info)
    for luma, due in ((16, 0), (235, 255), (126, 128)):
        planes = tuple(np.full(shape, code, np.uint8) for shape, code in (((2, 2), luma), ((1, 1), 128), ((1, 1), 128)))
        assert np.all(to_rgb_codes(planes, conversion, fixed_point(conversion)) == due)


@given(st.sampled_from(FAMILIES), st.sampled_from([8, 14]), st.sampled_from(["rgb", "yuv"]), st.integers(0, 9))
def test_background_and_rain_give_the_observation(family: str, depth: int, name: str, seed: int) -> None:
    info = info_of(family, depth)
    space = Space(name, info)  # type: ignore[arg-type]
    observed, background = (space.samples(drawn(info, each)) for each in (seed, seed + 100))
    arrays = space.arrays(("observed", "rain"))
    assert [array.shape for array in arrays] == [part.shape for part in observed] * 2
    for o, b, r in zip(observed, background, rain_of(observed, background), strict=True):
        assert np.array_equal(o, b.astype(np.int32) + r)
        assert r.dtype == np.int16


def raining(*rain: npt.NDArray[np.int16]) -> Layers:
    """Layers of 8 bits with that rain."""
    background = tuple(np.maximum(-plane, 0).astype(np.uint8) for plane in rain)
    observed = recomposed(background, rain)
    return Layers(Frame(observed, pts=0, duration=1, index=0), background)


def test_amount_is_the_mean_of_what_is_brighter() -> None:
    conversion = conversion_for(info_of("gray", 8, size=(2, 2)))
    rain = np.array([[219, -50], [0, 0]], np.int16)
    assert rain_amount(raining(rain), conversion) == 0.25
    assert rain_levels((rain,), conversion).numpy() == pytest.approx(np.array([[255, -58.22], [0, 0]]), abs=0.01)


def test_amount_of_rgb_is_that_of_luma() -> None:
    """Planes are green, blue, red; what is green alone is most of luma, what is blue alone next to nothing."""
    conversion = conversion_for(info_of("gbrp", 8, size=(2, 2)))
    kr, kb = conversion.kr, conversion.kb
    for share, place in ((1 - kr - kb, 0), (kb, 1), (kr, 2)):
        rain = np.zeros((3, 2, 2), np.int16)
        rain[place] = [[255, 0], [0, 0]]
        assert rain_amount(raining(*rain), conversion) == pytest.approx(share / 4, rel=1e-5)
        assert rain_levels(tuple(rain), conversion).numpy() == pytest.approx(rain[place] * share, rel=1e-5)
    rain[:] = np.array([[-255, 0], [0, 51]])
    assert rain_amount(raining(*rain), conversion) == pytest.approx(0.2 / 4, rel=1e-5), "darker by luma counts as none"
