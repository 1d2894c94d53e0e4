"""`vidrain eval`: figures are scikit-image's on pictures made here; those of a model are those of its results."""

import csv
import json
import shutil
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tests.benchmarks import FAST, FRAMES, PAIRS, SIZE, results
from tests.benchmarks import clips as clips
from tests.benchmarks import data as data
from tests.pipeline.conftest import Vidrain
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import decompose
from vidrain.evaluation.clips import Clip
from vidrain.evaluation.methods import Method
from vidrain.evaluation.run import measured
from vidrain.evaluation.sets import SetOptions, found_in
from vidrain.job import CleanOptions
from vidrain.model.gate import CONFIGS, Gate
from vidrain.tables import read_parquet
from vidrain.types import Planes
from vidrain.video.decode import open_video
from vidrain.weights import packed_gate

EVERY = 6
Picture = npt.NDArray[np.uint8]


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
    layers = list(decompose(video.frames(), video.info, Baseline(BaselineOptions(radius=1))))
    truths = [frame.planes for frame in open_video(truth).frames()] if truth else []
    for index in range(0, len(layers), EVERY):
        observed, background = rgb_bt709(layers[index].frame.planes), rgb_bt709(layers[index].background)
        if truth is None:
            yield figures(observed, background), None
        else:
            target = rgb_bt709(truths[index])
            yield figures(target, background), figures(target, observed)


def likeness_of(row: dict[str, Any]) -> list[float]:
    return [row[name] for name in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")]


@pytest.mark.proves("eval", "eval --config", "eval --data", "eval --every", "eval --set", "eval --output")
def test_figures_are_those_of_scikit_image(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    out, moved = tmp_path / "out", data.rename(tmp_path / "moved")
    sets = ("--set", "pairs", "--set", "harm", "--every", str(EVERY))
    method = "small: baseline baseline.radius=1"
    ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "--data", moved, "-o", out, "--method", method, *sets)
    assert (ran.code, ran.err) == (0, "")
    found = results(out)
    assert {key[0] for key in found} == {"pairs", "harm"}
    pair = list(expected(moved / "paired/road_rainy.mp4", moved / "paired/road_clean.mp4"))
    model, rainy = (np.mean([one[place] for one in pair], axis=0) for place in (0, 1))
    for clip in ("road", "mean over clips (1)", "mean over frames (3)"):
        assert likeness_of(found["pairs", clip, "small"]) == pytest.approx(model, rel=1e-5)
        assert likeness_of(found["pairs", clip, "input"]) == pytest.approx(rainy, rel=1e-5)
        assert found["pairs", clip, "small"]["gain"] == pytest.approx(model[0] - rainy[0])
    assert model[0] > rainy[0] + 0.5
    assert found["pairs", "road", "small"]["lowest_psnr_y"] == pytest.approx(min(one[0][0] for one in pair))
    harm = [one for one, _ in expected(moved / "clean/cat.mp4", None)]
    assert likeness_of(found["harm", "cat", "small"]) == pytest.approx(np.mean(harm, axis=0), rel=1e-5)
    assert ("harm", "cat", "input") not in found
    assert found["harm", "cat", "small"]["tof"] is None  # no rain, no steps
    assert found["harm", "cat", "small"]["changed_frames"] == 1
    assert found["pairs", "road", "small"]["dry_psnr_y"] is None
    assert f"| road | small | {model[0]:.2f} | {model[0] - rainy[0]:+.2f} |" in ran.out
    assert ran.out == (out / "results.md").read_text()
    with (out / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows if (row["set"], row["method"]) == ("pairs", "small")] == ["0", "6", "12"]
    assert [float(row["psnr_y"]) for row in rows if row["method"] == "small"] == pytest.approx(
        [one[0] for one in harm] + [one[0][0] for one in pair]
    )
    assert [row["ssim_y"] for row in read_parquet(out / "frames.parquet")] == [float(row["ssim_y"]) for row in rows]
    assert {path.name for path in (out / "charts").iterdir()} == {"pairs-psnr_y.svg", "harm-psnr_y.svg"}
    picture = cv2.imread(str(out / "worst/pairs/road/small.png"))
    assert picture is not None
    assert picture.shape == (SIZE[1], 4 * SIZE[0] + 3 * 4, 3)


@pytest.mark.proves("eval --method", "eval KEY=VALUE")
def test_results_of_others_are_measured_as_the_model_itself(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    """What `clean --archive` writes is B, so a folder of it has the figures of the model, in every set."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    settings = FAST.split()[1:]
    for source in (*(data / "paired").glob("*_rainy.mp4"), *data.glob("clean/*"), *data.glob("real/*")):
        target = theirs / f"{source.stem}.clean.mp4"
        assert vidrain("clean", source, "-o", target, "--archive", "--model", "baseline", *settings).code == 0
    common = ("-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "every=4", "sets.pairs.steps=true")
    sets = [word for name in ("pairs", "harm", "real") for word in ("--set", name)]
    ran = vidrain("eval", *common, *sets, "--method", FAST, "--method", f"results={theirs}")
    assert (ran.code, ran.err) == (0, "")
    found = results(tmp_path / "out")
    for key in [key for key in found if key[2] == FAST]:
        assert found[key[0], key[1], "theirs"] == found[key], key
    real = found["real", "yard", FAST]
    assert 0 < real["excess"] < real["excess_before"]
    assert real["excess_gone"] == pytest.approx(1 - real["excess"] / real["excess_before"])
    assert found["real", "yard", "input"]["excess_gone"] == 0
    assert found["real", "yard", "input"]["flicker"] == found["real", "yard", "input"]["warp_ratio"] == 1
    assert real["frames"] == 4
    assert 0 < real["f_phys"] <= 1
    assert real["psnr_y"] is None
    pair = found["pairs", "road", FAST]
    assert pair["warp_ratio"] < found["pairs", "road", "input"]["warp_ratio"]
    assert pair["tof"] < found["pairs", "road", "input"]["tof"]
    assert pair["frames"] == 4
    harm = found["harm", "cat", FAST]
    video = open_video(data / "clean/cat.mp4")
    others = open_video(theirs / "cat.clean.mp4")
    most = 0
    for frame, other in zip(video.frames(), others.frames(), strict=True):
        if frame.index % 4 == 0:
            boxes = (slice(8, 28), slice(8, 38)), (slice(4, 14), slice(4, 19)), (slice(4, 14), slice(4, 19))
            for plane, mine, box in zip(frame.planes, other.planes, boxes, strict=True):
                most = max(most, int(np.abs(plane[box].astype(int) - mine[box].astype(int)).max()))
    assert harm["overlay"] == most > 0


def test_folder_of_gray_pictures(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    """Input against truth is known without a model; the pictures are full range and gray."""
    ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--set", "walkers", "--method", FAST)
    assert (ran.code, ran.err) == (0, "")
    pictures = []
    for name in ("000.png", "001.png"):
        rain, truth = (cv2.imread(str(data / "paired/walker" / kind / name)) for kind in ("rain", "gt"))
        assert rain is not None and truth is not None
        pictures.append(figures(np.asarray(truth, np.uint8), np.asarray(rain, np.uint8)))
    row = results(tmp_path / "out")["walkers", "walker", "input"]
    assert likeness_of(row) == pytest.approx(np.mean(pictures, axis=0), rel=1e-5)
    assert row["frames"] == 2


def test_a_gate_fitted_to_each_clip(vidrain: Vidrain, data: Path, samples: Path, tmp_path: Path) -> None:
    for kind, name in (("rainy", "street"), ("clean", "street_clean")):  # long enough to be fitted to
        shutil.copy(samples / f"{name}.mp4", data / "paired" / f"road_{kind}.mp4")
    torch.manual_seed(0)
    weights = tmp_path / "gate.safetensors"
    net = Gate(CONFIGS["gate-s"])
    net.strength.fill_(0.5)
    weights.write_bytes(packed_gate("gate-s", net.state_dict()))
    fitted = f"fitted: gate-s={weights} adapt.steps=3"
    ran = vidrain(
        *("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--set", "pairs", "--set", "walkers"),
        *("--every", "13", "--method", fitted, "--method", f"gate-s={weights}"),
    )
    assert ran.code == 0, ran.err
    assert "fitted is not fitted to walker: it is a folder of pictures, no video" in ran.err
    made = tmp_path / "out/adapted/pairs/road/fitted.safetensors"
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    rows = {(row["clip"], row["method"]): row for row in facts["rows"]}
    assert rows["road", "fitted"]["adapted"]["steps"] == 2
    assert rows["road", "fitted"]["figures"]["psnr_y"] != rows["road", "gate-s"]["figures"]["psnr_y"]
    again = vidrain(
        *("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "again", "--set", "pairs", "--every", "13"),
        *("--method", f"gate-s={made}"),
    )
    assert again.code == 0
    assert results(tmp_path / "again")["pairs", "road", "gate-s"] == rows["road", "fitted"]["figures"]
    assert rows["road", "gate-s"]["adapted"] is None
    assert ("walker", "gate-s") in rows
    assert ("walker", "fitted") not in rows
    assert len(facts["methods"]["fitted"]["weights"]) == 64
    assert "Not measured: fitted is not fitted to walker" in ran.out


def test_frames_are_not_gathered(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more than a window and what is in hand is alive at any time, whatever the length."""
    planes: list[weakref.ref[Any]] = []
    most = 0

    def counted(self: Clip) -> Iterator[Any]:
        nonlocal most
        for frame in original(self):
            planes.append(weakref.ref(frame.planes[0]))
            most = max(most, sum(plane() is not None for plane in planes))
            yield frame

    original = Clip.frames
    monkeypatch.setattr(Clip, "frames", counted)
    (found,) = found_in("pairs", SetOptions(rainy=PAIRS["rainy"], truth=PAIRS["truth"]), clips, 4)  # type: ignore[arg-type]
    options = CleanOptions(model="baseline", baseline=BaselineOptions(radius=1))
    assert measured(found, Method(label="it", kind="model", options=options)).clip["frames"] == 4
    assert len(planes) > 3 * FRAMES - 6
    assert most < 14
