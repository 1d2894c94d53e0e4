"""The sample clips are what samples/README.md says they are."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import numpy.typing as npt
import pytest
from av.video.frame import PictureType

from tests.painted import read_index
from tools import make_samples

SAMPLES = Path(__file__).parents[2] / "samples"
FRAMES = {
    "street.mp4": 44,
    "street_clean.mp4": 44,
    "vfr.mp4": 36,
    "rotated.mp4": 28,
    "odd.mp4": 16,
    "tenbit.mp4": 28,
    "full_range.mp4": 28,
    "cut.mkv": 36,
}
PAINTED = [name for name in FRAMES if not name.startswith("street")]


@dataclass(frozen=True)
class Decoded:
    """What PyAV finds in a clip; `luma` holds one stored plane per frame."""

    luma: list[npt.NDArray[Any]]
    pts: list[int]
    rotations: set[int]
    matrix: list[int] | None
    pix_fmt: str
    color_range: int
    colorspace: int
    time_base: Fraction
    codec: str
    tag: str
    b_frames: bool
    languages: list[str]
    audio_seconds: list[float]


@cache
def decoded(name: str) -> Decoded:
    """Decode one clip completely."""
    with av.open(str(SAMPLES / name)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        first = frames[0]
        side = first.side_data.get("DISPLAYMATRIX")
        facts = Decoded(
            luma=[luma_of(frame) for frame in frames],
            pts=[frame.pts for frame in frames if frame.pts is not None],
            rotations={frame.rotation for frame in frames},
            matrix=None if side is None else np.frombuffer(memoryview(side), np.int32).tolist(),
            pix_fmt=first.format.name,
            color_range=int(first.color_range),
            colorspace=int(first.colorspace),
            time_base=Fraction(stream.time_base or 0),
            codec=stream.codec_context.name,
            tag=stream.codec_context.codec_tag,
            b_frames=any(frame.pict_type == PictureType.B for frame in frames),
            languages=[track.language or "" for track in container.streams.audio],
            audio_seconds=[],
        )
        for track in container.streams.audio:
            container.seek(0)
            samples = sum(frame.samples for frame in container.decode(track))
            facts.audio_seconds.append(samples / track.codec_context.sample_rate)
    return facts


def luma_of(frame: av.VideoFrame) -> npt.NDArray[Any]:
    plane = frame.planes[0]
    dtype = np.uint16 if "10le" in frame.format.name else np.uint8
    return np.frombuffer(memoryview(plane), dtype).reshape(plane.height, -1)[:, : plane.width].copy()


@pytest.mark.parametrize("name", FRAMES)
def test_clip_is_small_and_decodes_with_its_sound(name: str) -> None:
    assert (SAMPLES / name).stat().st_size < 300_000
    clip = decoded(name)
    assert len(clip.luma) == len(clip.pts) == FRAMES[name]
    assert all(after > before for before, after in itertools.pairwise(clip.pts))
    seconds = float((clip.pts[-1] - clip.pts[0]) * clip.time_base)
    assert clip.audio_seconds
    assert all(heard > seconds for heard in clip.audio_seconds)


def test_the_table_of_the_tool_and_the_folder_agree() -> None:
    assert sorted(clip.name for clip in make_samples.CLIPS) == sorted(FRAMES)
    assert sorted(path.name for path in SAMPLES.glob("*.m*") if path.suffix != ".md") == sorted(FRAMES)


@pytest.mark.parametrize("name", PAINTED)
def test_painted_indices_count_the_frames(name: str) -> None:
    assert [read_index(luma) for luma in decoded(name).luma] == list(range(FRAMES[name]))


def test_reader_knows_every_index_and_refuses_a_plain_picture() -> None:
    for index in range(256):
        painted = make_samples.paint_index(np.full((97, 131, 3), 0.4, np.float32), index)
        assert read_index(np.rint(painted[..., 1] * 219 + 16).astype(np.uint8)) == index
        assert read_index(np.rint(painted[..., 1] * 876 + 64).astype(np.uint16)) == index
    with pytest.raises(ValueError, match="no painted index"):
        read_index(np.full((97, 131), 128, np.uint8))


def test_street_is_tagged_bt709_limited() -> None:
    for name in ("street.mp4", "street_clean.mp4"):
        clip = decoded(name)
        assert (clip.codec, clip.pix_fmt, clip.color_range, clip.colorspace) == ("h264", "yuv420p", 1, 1)
        assert clip.luma[0].shape == (320, 480)


def test_vfr_has_uneven_steps_a_late_start_and_b_frames() -> None:
    clip = decoded("vfr.mp4")
    steps = {after - before for before, after in itertools.pairwise(clip.pts)}
    assert clip.time_base == Fraction(1, 90_000)
    assert clip.pts[0] == 39_039
    assert len(steps) == 7
    assert all(math.gcd(a, b) < min(a, b) for a, b in itertools.combinations(steps, 2))
    assert clip.b_frames


def test_rotated_is_stored_on_its_side() -> None:
    clip = decoded("rotated.mp4")
    assert clip.luma[0].shape == (192, 256)
    assert clip.rotations == {-90}
    assert clip.matrix == [0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30]
    # Turned as the matrix says, the picture is the one that was rendered with rain falling down.
    spec = next(spec for spec in make_samples.CLIPS if spec.name == "rotated.mp4")
    rendered = next(make_samples.upright_frames(spec)) @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    upright = (np.rot90(clip.luma[0], -1).astype(np.float32) - 16) / 219
    assert upright.shape == rendered.shape
    assert np.abs(upright - rendered)[64:].mean() < 0.02


def test_odd_is_odd_both_ways_at_420() -> None:
    clip = decoded("odd.mp4")
    assert (clip.luma[0].shape, clip.pix_fmt, clip.codec) == ((97, 131), "yuv420p", "ffv1")


def test_tenbit_uses_all_ten_bits() -> None:
    clip = decoded("tenbit.mp4")
    assert (clip.codec, clip.pix_fmt, clip.tag) == ("hevc", "yuv420p10le", "hvc1")
    low_bits = np.bincount(np.concatenate([luma.ravel() for luma in clip.luma]) & 3, minlength=4)
    assert low_bits.min() > 0.2 * low_bits.sum()


def test_full_range_is_tagged_and_used() -> None:
    clip = decoded("full_range.mp4")
    assert (clip.pix_fmt, clip.color_range, clip.colorspace) == ("yuvj420p", 2, 5)
    assert min(int(luma.min()) for luma in clip.luma) < 8
    assert max(int(luma.max()) for luma in clip.luma) > 247


def test_cut_changes_the_picture_once_and_has_two_languages() -> None:
    clip = decoded("cut.mkv")
    assert clip.languages == ["eng", "deu"]
    changes = [np.abs(b.astype(int) - a).mean() for a, b in itertools.pairwise(clip.luma)]
    assert int(np.argmax(changes)) == 17
    assert changes[17] > 4 * max(changes[:17] + changes[18:])


def test_rain_only_brightens_and_does_not_stay() -> None:
    pairs = zip(decoded("street.mp4").luma, decoded("street_clean.mp4").luma, strict=True)
    layers = [rainy.astype(np.float32) - clean for rainy, clean in pairs]
    assert min(float(layer.mean()) for layer in layers) > 1
    wet = float(np.mean([layer > 12 for layer in layers]))
    dark = float(np.mean([layer < -12 for layer in layers]))
    assert wet > 0.05
    assert dark < 0.15 * wet  # two encodings of moving detail differ both ways; rain only one
    same_place = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in itertools.pairwise(layers)]
    assert float(np.median(same_place)) < 0.2


def test_drops_live_on_and_fall() -> None:
    rain = make_samples.make_rain((480, 320), 11)
    (x, y), (later_x, later_y) = rain.heads(1.0), rain.heads(1.04)
    same_fall = later_y > y  # the others left at the bottom and came back at the top
    assert same_fall.mean() > 0.8
    np.testing.assert_allclose((later_y - y)[same_fall], 0.04 * rain.speed[same_fall])
    np.testing.assert_allclose((later_x - x)[same_fall], (rain.slant * 0.04 * rain.speed)[same_fall])
    assert np.ptp(rain.speed) > 3 * rain.speed.min()  # several depths


def test_two_runs_give_the_same_bytes(tmp_path: Path) -> None:
    smallest = min(make_samples.CLIPS, key=lambda clip: clip.frames)
    paths = [tmp_path / f"{run}.mp4" for run in ("first", "second")]
    for path in paths:
        make_samples.write_clip(smallest, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
