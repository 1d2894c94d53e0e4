"""`vidrain analyze id`: clips made of what is known, as real files."""

import json
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.ndimage import gaussian_filter

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from vidrain import analysis
from vidrain.types import Frame
from vidrain.video.decode import Video

WIDTH, HEIGHT, FRAMES = 224, 192, 12


def filmed(target: Path, *, noise: float, frames: int = FRAMES, repeat: int = 1) -> Path:
    """A still camera: rough ground, and in every frame other streaks of one slant, each with one brightness; FFV1."""
    rng = np.random.default_rng(1)
    ground = sum(gaussian_filter(rng.normal(size=(HEIGHT, WIDTH)), size) * size for size in (0.8, 1.6, 3.2))
    pictures = []
    for _ in range(frames):
        picture = 100 + 25 * ground
        for _ in range(60):
            y, x, bright = rng.integers(HEIGHT - 40), rng.integers(WIDTH - 4), rng.integers(25, 60)
            for step in range(40):
                picture[y + step, x + step // 20] += bright
        pictures.append(picture + rng.normal(size=picture.shape) * noise)
    return stored(np.repeat(np.clip(np.rint(pictures), 0, 255).astype(np.uint8), repeat, axis=0), target)


def stored(pictures: npt.NDArray[np.uint8], target: Path) -> Path:
    """Grey pictures [F, H, W] as a lossless video."""
    (source := target.with_suffix(".raw")).write_bytes(pictures.tobytes())
    size = f"{pictures.shape[2]}x{pictures.shape[1]}"
    how = ("-f", "rawvideo", "-pix_fmt", "gray", "-s", size, "-r", "25", "-i", source, "-c:v", "ffv1")
    ffmpeg_says.quietly(*how, target)
    return target


def figures(found: dict[str, Any], side: int) -> dict[str, float]:
    return {row["layer"]: row["levina_bickel"] for row in found["rows"] if row["side"] == side}


@pytest.mark.proves("analyze id", "analyze id CLIP", "analyze id --json")
def test_clean_streaks_are_simpler_than_the_ground_and_noise_is_not(tmp_path: Path, vidrain: Vidrain) -> None:
    found = {}
    for noise in (0.0, 4.0):
        clip = filmed(tmp_path / f"{noise}.mp4", noise=noise)
        ran = vidrain("analyze", "id", clip, "--json")
        assert (ran.code, ran.err) == (0, "")
        found[noise] = json.loads(ran.out)
        assert (found[noise]["v"], found[noise]["source"], found[noise]["frames"]) == (1, str(clip), FRAMES)
        assert [(row["layer"], row["side"]) for row in found[noise]["rows"]] == [
            (layer, side) for layer in analysis.LAYERS for side in (8, 16)
        ]
    assert found[0.0]["noise"] < 0.5
    assert 4.5 < found[4.0]["noise"] < 7  # 4 of 219 levels are 4.7 of 255; the median of four adds its own
    for side in (8, 16):
        clean, noisy = figures(found[0.0], side), figures(found[4.0], side)
        assert clean["rain raw"] < 0.5 * clean["background (median)"]
        assert noisy["rain raw"] > 1.4 * clean["rain raw"]
        assert noisy["rain denoised"] < 0.7 * noisy["rain raw"]
        assert noisy["rain denoised"] < 0.5 * noisy["background (median)"]


@pytest.mark.proves("analyze id")
def test_table_for_people_holds_the_same_figures(tmp_path: Path, vidrain: Vidrain) -> None:
    clip = filmed(tmp_path / "clip.mp4", noise=1.0)
    facts = json.loads(vidrain("analyze", "id", clip, "--json").out)
    lines = vidrain("analyze", "id", clip).out.splitlines()
    assert lines[0] == f"{clip}: {FRAMES} frames, noise {facts['noise']:.1f} grey levels"
    assert lines[1].split() == ["patches", "8x8", "16x16"]
    for line, layer in zip(lines[2:], analysis.LAYERS, strict=True):
        rows = [row for row in facts["rows"] if row["layer"] == layer]
        cells = [f"{row['levina_bickel']:.1f} ({row['two_nearest']:.1f})" for row in rows]
        assert line.split("  ")[0] == layer
        assert line.removeprefix(layer).split() == " ".join(cells).split()


def test_repeated_frames_count_once(tmp_path: Path, vidrain: Vidrain) -> None:
    """Their patches would have neighbours at no distance, and the estimates fall to nearly nothing."""
    once = json.loads(vidrain("analyze", "id", filmed(tmp_path / "a.mp4", noise=1.0), "--json").out)
    twice = json.loads(vidrain("analyze", "id", filmed(tmp_path / "b.mp4", noise=1.0, repeat=2), "--json").out)
    assert once["frames"] == twice["frames"] == FRAMES
    for side in (8, 16):
        for layer, figure in figures(once, side).items():
            assert figures(twice, side)[layer] == pytest.approx(figure, rel=0.4)  # half as many patches


def test_dry_video_has_no_rain_to_measure(tmp_path: Path, vidrain: Vidrain) -> None:
    """A still picture: only the background has figures, where there are frames that differ at all."""
    rng = np.random.default_rng(2)
    pictures = np.repeat(rng.integers(0, 255, (1, 96, 96), np.uint8), 6, axis=0)
    pictures[:, 40:48, 40:48] = np.arange(0, 240, 40)[:, None, None]
    clip = stored(pictures, tmp_path / "still.mp4")
    ran = vidrain("analyze", "id", clip)
    assert ran.code == 0
    assert "patches)" in ran.out.splitlines()[4]


def test_what_cannot_be_measured_is_one_line(tmp_path: Path, vidrain: Vidrain, samples: Path) -> None:
    (tmp_path / "words.mp4").write_text("no video")
    one = ffmpeg_says.remux(samples / "odd.mp4", tmp_path / "one.mp4", "-map", "0:v", "-frames:v", "1")
    ramp = np.tile(np.arange(0, 240, 40, dtype=np.uint8), (9, 6, 1))
    ramp[np.arange(9), np.arange(9) % 6, 3] += 60
    tiny = stored(ramp, tmp_path / "tiny.mp4")
    for path, said in (
        (tmp_path / "none.mp4", "none.mp4"),
        (tmp_path / "words.mp4", "words.mp4"),
        (one, "no frame has a neighbour that differs"),
        (tiny, "0 different patches of background; wanted are 100 or more"),
    ):
        ran = vidrain("analyze", "id", path)
        assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
        assert said in ran.err


def test_frames_are_not_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planes: list[weakref.ref[Any]] = []
    most = 0
    original = Video.frames

    def counted(self: Video, start: int = 0) -> Iterator[Frame]:
        nonlocal most
        for frame in original(self, start):
            planes.append(weakref.ref(frame.planes[0]))
            most = max(most, sum(plane() is not None for plane in planes))
            yield frame

    monkeypatch.setattr(Video, "frames", counted)
    analysis.dimensions(filmed(tmp_path / "long.mp4", noise=1.0, frames=32))
    assert len(planes) == 32
    assert most < 16


def test_same_clip_same_figures(tmp_path: Path) -> None:
    clip = filmed(tmp_path / "clip.mp4", noise=1.0, frames=6)
    assert analysis.dimensions(clip) == analysis.dimensions(clip)


def test_what_glares_in_every_frame_is_counted_three_times() -> None:
    """Two corners are always brightest: a label. From the fourth frame on the next brightest are taken."""
    sampler = analysis._Sampler(per_frame=2)
    rain = torch.zeros(32, 48)
    for place, bright in enumerate((9.0, 8.0, 3.0, 2.0, 1.0)):
        rain[16 * (place // 3), 16 * (place % 3)] = bright
    found = [sampler._strongest(rain, 16).tolist() for _ in range(7)]
    assert found == [[[0, 0], [0, 16]]] * 3 + [[[0, 32], [16, 0]]] * 3 + [[[16, 16]]]
    assert sampler._strongest(rain, 64).tolist() == []
