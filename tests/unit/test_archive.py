"""Putting B and R together again: exact for the two files of one run, refused for files that do not belong."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests import ffmpeg_says
from tests.round_trip import SAMPLES, opened
from vidrain.archive import recompose
from vidrain.errors import InputError
from vidrain.layer_videos import VideoExport, background, rain_archive
from vidrain.layers import subtract
from vidrain.types import Frame, Layers
from vidrain.video.encoder import EncodeOptions, plan_encoder

FRAMES = 5


def taken_apart(name: str) -> Iterator[Layers]:
    """Layers with rain of every size, from -max to +max."""
    video = opened(SAMPLES / name)
    depth = video.info.layout.depth
    dice = np.random.default_rng(7)
    for frame in video.frames():
        if frame.index == FRAMES:
            return
        top = 1 << depth
        removal = tuple(dice.integers(-top, top, plane.shape).astype(np.int16) for plane in frame.planes)
        yield Layers(frame, subtract(frame.planes, removal, depth))


def written(name: str, folder: Path, *, codec: str = "ffv1", frames: int = FRAMES) -> tuple[Path, Path]:
    """Clean file and rain archive of the first frames of a sample."""
    info = opened(SAMPLES / name).info
    clean, rain = folder / f"{name}.{codec}.{frames}.clean.mp4", folder / f"{name}.{codec}.{frames}.rain.mp4"
    for path, picked, coded in (
        (clean, background(info, "test"), codec),
        (rain, rain_archive(info, "test"), "ffv1"),
    ):
        plan = plan_encoder(picked.info, path, EncodeOptions(codec=coded))
        with VideoExport(path, plan, picked) as export:
            for layers in taken_apart(name):
                if layers.frame.index < frames:
                    export.write(layers)
    return clean, rain


@pytest.mark.parametrize("name", ["odd.mp4", "tenbit.mp4", "full_range.mp4", "vfr.mp4"])
def test_every_sample_comes_back(name: str, tmp_path: Path) -> None:
    again = list(recompose(*written(name, tmp_path)))
    sources: list[Frame] = [frame for frame in opened(SAMPLES / name).frames() if frame.index < FRAMES]
    assert [frame.pts for frame in again] == [frame.pts for frame in sources]
    for a, b in zip(again, sources, strict=True):
        for got, due in zip(a.planes, b.planes, strict=True):
            assert got.dtype == due.dtype
            np.testing.assert_array_equal(got, due)


def test_files_that_do_not_belong_together_are_refused(tmp_path: Path) -> None:
    clean, rain = written("full_range.mp4", tmp_path)
    other_clean, other_rain = written("vfr.mp4", tmp_path)
    deep_clean, deep_rain = written("tenbit.mp4", tmp_path)  # of the size of vfr.mp4
    _, short = written("full_range.mp4", tmp_path, frames=FRAMES - 2)
    lossy, _ = written("full_range.mp4", tmp_path, codec="h264")
    for wrong, said in (
        ((clean, other_rain), "goes with yuv420p10le of its own size"),
        ((other_clean, deep_rain), "is 256x160 yuv420p12le, but"),
        ((deep_clean, other_rain), "goes with yuv420p12le"),
        ((rain, clean), "goes with yuv420p12le"),
        ((clean, clean), "goes with yuv420p10le"),
        ((clean, short), "has 2 frames fewer than"),
        ((lossy, rain), "clean again with --archive"),
        ((clean, lossy), "only FFV1 is exact"),
        ((clean, tmp_path / "none.mp4"), "no such file"),
        ((tmp_path, rain), "is a folder"),
    ):
        with pytest.raises(InputError, match=said) as raised:
            recompose(*wrong)
        assert str(raised.value).count("\n") == 0


def test_archive_with_more_frames_is_refused(tmp_path: Path) -> None:
    _, rain = written("odd.mp4", tmp_path)
    clean, _ = written("odd.mp4", tmp_path, frames=3)
    with pytest.raises(InputError, match="has 2 frames more than"):
        recompose(clean, rain)


def test_files_may_have_been_remuxed(tmp_path: Path) -> None:
    clean, rain = written("full_range.mp4", tmp_path)
    moved = ffmpeg_says.remux(rain, tmp_path / "rain.mkv")
    due = [frame.planes for frame in recompose(clean, rain)]
    for got, planes in zip(recompose(clean, moved), due, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(got.planes, planes, strict=True))
