"""The printed figures are scikit-image's, taken on pictures made here without vidrain's own conversion."""

import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tools import score
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.types import Planes
from vidrain.video.decode import open_video

FRAMES, EVERY = 14, 6
Picture = npt.NDArray[np.uint8]


@pytest.fixture
def data(tmp_path: Path, samples: Path) -> Path:
    """One rendered pair, one folder of two gray pictures, one video without rain."""
    (tmp_path / "paired").mkdir()
    cut_out(samples / "street.mp4", tmp_path / "paired" / "road_rainy.mp4")
    cut_out(samples / "street_clean.mp4", tmp_path / "paired" / "road_clean.mp4")
    for kind, source in (("rain", "street"), ("gt", "street_clean")):
        folder = tmp_path / "paired" / "walker" / kind
        folder.mkdir(parents=True)
        with av.open(str(samples / f"{source}.mp4")) as container:
            for index, frame in zip(range(2), container.decode(video=0), strict=False):
                cv2.imwrite(str(folder / f"{index:03d}.png"), frame.to_ndarray()[:100, :120])
    (tmp_path / "clean" / "eval").mkdir(parents=True)
    shutil.copy(samples / "odd.mp4", tmp_path / "clean" / "eval" / "cat.mp4")
    return tmp_path


def cut_out(source: Path, target: Path) -> None:
    """The middle of the first frames, without loss, so that scoring takes seconds."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 112, "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        for index, frame in zip(range(FRAMES), container.decode(video=0), strict=False):
            whole = frame.to_ndarray()  # [480, 480]: luma over both chroma planes, each as rows of two lines
            chroma = whole[320:].reshape(2, 160, 240)
            planes = (whole[104:216, 160:320], *chroma[:, 52:108, 80:160])
            small = av.VideoFrame(160, 112, "yuv420p")
            for samples, plane in zip(planes, small.planes, strict=True):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
                rows[:, : plane.width] = samples
            small.pts = index
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))


def rgb_bt709(planes: Planes) -> Picture:
    """8-bit RGB of limited-range BT.709 4:2:0 planes, written out from the standard."""
    y = (np.asarray(planes[0], np.float64) - 16) / 219
    height, width = y.shape
    cb, cr = (
        ((np.asarray(plane, np.float64) - 128) / 224).repeat(2, 0).repeat(2, 1)[:height, :width] for plane in planes[1:]
    )
    red, blue = y + 1.5748 * cr, y + 1.8556 * cb
    green = (y - 0.2126 * red - 0.0722 * blue) / 0.7152
    return np.rint(np.clip(np.stack((red, green, blue), -1), 0, 1) * 255).astype(np.uint8)


def figures(truth: Picture, picture: Picture) -> tuple[float, ...]:
    """PSNR and SSIM of Y, then of RGB, by scikit-image alone."""
    weights = np.array([65.481, 128.553, 24.966]) / 255
    y = truth @ weights + 16, picture @ weights + 16
    how: dict[str, Any] = dict(data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    return (
        peak_signal_noise_ratio(*y, data_range=255),
        structural_similarity(*y, **how),
        peak_signal_noise_ratio(truth, picture, data_range=255),
        structural_similarity(truth, picture, channel_axis=-1, **how),
    )


def expected(rainy: Path, truth: Path | None) -> Iterator[tuple[tuple[float, ...], tuple[float, ...] | None]]:
    """(model, input) figures of each scored frame; all layers computed, then every Nth taken."""
    video = open_video(rainy)
    assert (video.info.color.matrix, video.info.color.range) == (1, 1)
    layers = list(decompose(video.frames(), video.info, Baseline(BaselineOptions(radius=1))))
    truths = [frame.planes for frame in open_video(truth).frames()] if truth else []
    for index in range(0, len(layers), EVERY):
        observed, background = rgb_bt709(layers[index].frame.planes), rgb_bt709(layers[index].background)
        if truth is None:
            yield figures(observed, background), None
        else:
            target = rgb_bt709(truths[index])
            yield figures(target, background), figures(target, observed)


def printed(text: str, row: str) -> list[float]:
    """Frames and the four figures of the line that begins with `row`."""
    (line,) = [line for line in text.splitlines() if line.startswith(row)]
    return [float(word) for word in line.removeprefix(row).split()[:5]]


def test_printed_figures_are_those_of_scikit_image(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "figures.json"
    arguments = ["--data", str(data), "--every", str(EVERY), "--json", str(out), "baseline.radius=1"]
    assert score.main(arguments) == 0
    text = capsys.readouterr().out

    pair = list(expected(data / "paired/road_rainy.mp4", data / "paired/road_clean.mp4"))
    model, rainy = (np.mean([found[place] for found in pair], axis=0) for place in (0, 1))
    for name in ("road", "mean of 1"):
        assert printed(text, f"{name} model") == pytest.approx([3, *model], abs=6e-4)
        assert printed(text, f"{name} input") == pytest.approx([3, *rainy], abs=6e-4)
    assert model[0] > rainy[0] + 0.5
    assert f"gain {model[0] - rainy[0]:+.3f} dB-Y" in text

    harm = np.mean([found for found, _ in expected(data / "clean/eval/cat.mp4", None)], axis=0)
    for name in ("eval/cat", "mean of 1 eval", "mean of all 1"):
        assert printed(text, name) == pytest.approx([3, *harm], abs=6e-4)

    report = json.loads(out.read_text())
    rows = {row["name"]: row for row in report["against the truth"]}
    assert list(rows["road"]["after"].values()) == pytest.approx(model, rel=1e-5)
    assert list(rows) == ["road", "mean of 1", "walker"]
    assert rows["walker"]["frames"] == 1


def test_settings_are_printed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert score.main(["--data", str(data), "--every", "40", "--seed", "5", "baseline.radius=1"]) == 0
    text = capsys.readouterr().out
    assert "model: baseline" in text
    assert "every: 40" in text
    assert "seed: 5" in text
    assert "'radius': 1" in text
    for library in ("torch", "numpy", "av"):
        assert f"\n{library}: " in text


def test_folder_of_gray_pictures(data: Path) -> None:
    """Input against truth is known without the model; the pictures are full range and gray."""
    rainy, clean = (score.clip_of(data / "paired/walker" / kind) for kind in ("rain", "gt"))
    model = score.Model(Baseline(BaselineOptions()), DecomposeOptions())
    row = score.score_pair("walker", rainy, clean, model, 1)
    found = []
    for name in ("000.png", "001.png"):
        rain, truth = (cv2.imread(str(data / "paired/walker" / kind / name)) for kind in ("rain", "gt"))
        assert rain is not None and truth is not None
        found.append(figures(np.asarray(truth, np.uint8), np.asarray(rain, np.uint8)))
    assert row.frames == 2
    assert row.before == pytest.approx(np.mean(found, axis=0), rel=1e-5)


def test_equal_pictures_count_as_a_hundred_decibels() -> None:
    picture = np.random.default_rng(1).integers(0, 256, (16, 16, 3)).astype(np.uint8)
    assert score.likeness(picture, picture) == pytest.approx((100, 1, 100, 1))


def test_frames_are_not_gathered(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a window and what is in hand is alive at any time, whatever the length."""
    planes: list[weakref.ref[Any]] = []
    most = 0

    def counted(self: score.Clip) -> Iterator[Any]:
        nonlocal most
        for frame in original(self):
            planes.append(weakref.ref(frame.planes[0]))
            most = max(most, sum(plane() is not None for plane in planes))
            yield frame

    original = score.Clip.frames
    monkeypatch.setattr(score.Clip, "frames", counted)
    model = score.Model(Baseline(BaselineOptions(radius=1)), DecomposeOptions())
    rainy, clean = (score.clip_of(data / f"paired/road_{kind}.mp4") for kind in ("rainy", "clean"))
    row = score.score_pair("road", rainy, clean, model, 4)
    assert row.frames == 4
    assert most < 12


def test_unequal_pair_and_empty_folder_are_refused(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert score.main(["--data", str(tmp_path / "nothing")]) == 2
    assert "holds no paired" in capsys.readouterr().err
    (data / "paired/walker/gt/001.png").unlink()
    assert score.main(["--data", str(data), "--every", "40"]) == 3
    assert "walker: 2 rainy frames, but 1 clean ones" in capsys.readouterr().err
