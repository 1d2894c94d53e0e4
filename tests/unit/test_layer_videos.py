"""What is made of layers: which samples an export stores, and what the file says of itself."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.round_trip import SAMPLES, opened
from vidrain.layer_videos import PREVIEW_GAIN, VideoExport, background, rain_archive, rain_preview
from vidrain.types import ColorTags, Frame, Layers, PixelLayout, Planes, VideoInfo
from vidrain.video.color import conversion_for
from vidrain.video.encoder import EncodeOptions, plan_encoder
from vidrain.video.verify import verify

INFO = opened(SAMPLES / "street.mp4").info
LAYOUTS = [
    PixelLayout("yuv420p", 8),
    PixelLayout("yuv422p", 10),
    PixelLayout("yuv444p", 12),
    PixelLayout("gray", 8),
    PixelLayout("gbrp", 8),
]


def facts(layout: PixelLayout, color: ColorTags = INFO.color) -> VideoInfo:
    return replace(INFO, width=4, height=2, layout=layout, pix_fmt=layout.name, color=color)


def flat(layout: PixelLayout, value: int) -> Planes:
    return tuple(np.full(shape, value, layout.dtype) for shape in layout.plane_shapes(4, 2))


def layers_of(layout: PixelLayout, observed: int, behind: int) -> Layers:
    return Layers(Frame(flat(layout, observed), 0, 1, 0), flat(layout, behind))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_background_is_stored_as_it_is(layout: PixelLayout) -> None:
    layers = layers_of(layout, 200, 100)
    picked = background(facts(layout), "0.1 baseline")
    assert picked.planes(layers) is layers.background
    assert picked.info.layout == layout
    assert picked.tags == {"vidrain": "0.1 baseline"}


@pytest.mark.parametrize(
    ("depth", "stored", "offset"), [(8, "yuv420p10le", 512), (10, "yuv420p12le", 2048), (12, "yuv420p14le", 8192)]
)
def test_archive_stores_signed_rain_above_its_offset(depth: int, stored: str, offset: int) -> None:
    layout, top = PixelLayout("yuv420p", depth), (1 << depth) - 1
    picked = rain_archive(facts(layout), "0.1 baseline")
    assert picked.info.layout.name == stored
    assert picked.info.width == 4
    for observed, behind in ((100, 90), (90, 100), (50, 50), (top, 0), (0, top)):
        for plane in picked.planes(layers_of(layout, observed, behind)):
            assert plane.dtype == np.uint16
            assert np.all(plane == offset + observed - behind)
    (tag,) = picked.tags.values()
    assert tag == f"0.1 baseline; rain layer R + {offset}, background B is the clean file, O = B + R"


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_preview_of_no_rain_is_black(layout: PixelLayout) -> None:
    info = facts(layout)
    picked = rain_preview(info, conversion_for(info), "0.1")
    luma, *chroma = picked.planes(layers_of(layout, 77, 77))
    assert picked.info.layout == PixelLayout("yuv420p", 8)
    assert picked.info.color.range == 1
    assert [plane.shape for plane in (luma, *chroma)] == [(2, 4), (1, 2), (1, 2)]
    assert np.all(luma == 16)
    assert all(np.all(plane == 128) for plane in chroma)
    assert picked.tags == {"vidrain": "0.1; rain 3 times as bright, to be looked at"}


@given(st.sampled_from([8, 10, 12]), st.booleans(), st.integers(0, 4095), st.integers(0, 4095))
def test_preview_is_luma_three_times_as_bright(depth: int, full: bool, observed: int, behind: int) -> None:
    """In units of the range of the source, clipped to what a player shows; darkening is black."""
    top = (1 << depth) - 1
    observed, behind = min(observed, top), min(behind, top)
    layout = PixelLayout("yuv420p", depth)
    info = facts(layout, ColorTags(1, 2 if full else 1, 1, 1))
    shown = rain_preview(info, conversion_for(info), "").planes(layers_of(layout, observed, behind))[0]
    codes = top if full else 219 << (depth - 8)
    due = 16 + 219 * PREVIEW_GAIN * (observed - behind) / codes
    assert np.all(shown == shown[0, 0])
    assert abs(float(shown[0, 0]) - min(max(due, 16), 235)) <= 0.5 + 1e-3
    assert shown.dtype == np.uint8


def test_preview_of_rgb_is_its_luma_and_not_its_green() -> None:
    layout = PixelLayout("gbrp", 8)
    layers = layers_of(layout, 70, 50)
    others = layers.frame.planes[1:]
    only_green = Layers(layers.frame, (layers.background[0], *others))
    info = facts(layout, ColorTags(1, 2, 1, 1))
    made = rain_preview(info, conversion_for(info), "")
    (whole, *_), (part, *_) = made.planes(layers), made.planes(only_green)
    assert np.all(whole == round(16 + 219 * PREVIEW_GAIN * 20 / 255))
    assert np.all(part == round(16 + 219 * PREVIEW_GAIN * 20 * 0.7152 / 255))


def test_rgb_preview_has_a_matrix_left_open() -> None:
    info = facts(PixelLayout("gbrp", 8), ColorTags(0, 2, 1, 13))
    assert rain_preview(info, conversion_for(info), "").info.color == ColorTags(2, 1)


@pytest.mark.parametrize("shift", [0, 39039])
def test_files_say_what_they_are(shift: int, tmp_path: Path) -> None:
    video = opened(SAMPLES / "vfr.mp4")
    conversion = conversion_for(video.info)
    made = {
        "clean": (background(video.info, "0.1 baseline"), "h264"),
        "rain": (rain_archive(video.info, "0.1 baseline"), "ffv1"),
        "preview": (rain_preview(video.info, conversion, "0.1 baseline"), "h264"),
    }
    for name, (picked, codec) in made.items():
        path = tmp_path / f"{name}.mp4"
        plan = plan_encoder(picked.info, path, EncodeOptions(codec=codec))  # type: ignore[arg-type]
        due = []
        with VideoExport(path, plan, picked, shift=shift) as export:
            for frame in video.frames():
                if frame.index == 4:
                    break
                export.write(Layers(frame, frame.planes))
                due.append(frame.pts - shift)
        assert list(export.expected.pts) == due
        assert verify(path, export.expected).pts_equal
        metadata = ffmpeg_says.metadata(path).replace("\\", "")  # it escapes = and ;
        assert f"vidrain={picked.tags['vidrain']}\n" in metadata
