"""`vidrain eval`: its figures are scikit-image's on pictures made here, finished rows are kept."""

import csv
import fcntl
import json
import re
import shutil
import sys
import weakref
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
import yaml
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from tests.broken import wiped
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

FRAMES, EVERY = 14, 6
SIZE = (160, 112)
Picture = npt.NDArray[np.uint8]
PAIRS = {"kind": "pairs", "rainy": ["paired/*_rainy.mp4"], "truth": ["paired/*_clean.mp4"], "steps": "false"}
SETS: dict[str, Any] = {
    "pairs": PAIRS,
    "walkers": {"kind": "pairs", "rainy": ["paired/*/rain"], "truth": ["paired/*/gt"]},
    "harm": {"kind": "clean", "clips": ["clean/*"], "overlays": ["cat 8 8 30 20"]},
    "real": {"kind": "real", "clips": ["real/*"], "still": ["yard"], "every": "1", "frames": "4"},
}
FAST = "baseline baseline.radius=1 align.preset=ultrafast"


@pytest.fixture(scope="module")
def clips(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A rendered pair, a folder of two gray pictures, a video without rain, one with."""
    folder = tmp_path_factory.mktemp("clips")
    for name in ("paired", "clean", "real"):
        (folder / name).mkdir()
    cut_out(samples / "street.mp4", folder / "paired" / "road_rainy.mp4")
    cut_out(samples / "street_clean.mp4", folder / "paired" / "road_clean.mp4")
    for kind, source in (("rain", "street"), ("gt", "street_clean")):
        (folder / "paired" / "walker" / kind).mkdir(parents=True)
        with av.open(str(samples / f"{source}.mp4")) as container:
            for index, frame in zip(range(2), container.decode(video=0), strict=False):
                path = folder / "paired" / "walker" / kind / f"{index:03d}.png"
                cv2.imwrite(str(path), frame.to_ndarray()[:100, :120])
    shutil.copy(folder / "paired" / "road_clean.mp4", folder / "clean" / "cat.mp4")
    shutil.copy(folder / "paired" / "road_rainy.mp4", folder / "real" / "yard.mp4")
    return folder


@pytest.fixture
def data(clips: Path, tmp_path: Path) -> Path:
    """The same, to be changed by a test, and the configuration that names it."""
    shutil.copytree(clips, tmp_path / "data")
    (tmp_path / "eval.yaml").write_text(yaml.safe_dump({"sets": SETS, "data": str(tmp_path / "data")}))
    return tmp_path / "data"


def cut_out(source: Path, target: Path) -> None:
    """The middle of the first frames, without loss, so that measuring takes seconds."""
    with av.open(str(source)) as container, av.open(str(target), "w") as out:
        stream = out.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        (stream.width, stream.height), stream.pix_fmt = SIZE, "yuv420p"
        context = stream.codec_context
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 1, 1, 1
        for index, frame in zip(range(FRAMES), container.decode(video=0), strict=False):
            whole = frame.to_ndarray()  # [480, 480]: luma over both chroma planes, each as rows of two lines
            chroma = whole[320:].reshape(2, 160, 240)
            planes = (whole[104:216, 160:320], *chroma[:, 52:108, 80:160])
            small = av.VideoFrame(*SIZE, "yuv420p")
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
    layers = list(decompose(video.frames(), video.info, Baseline(BaselineOptions(radius=1))))
    truths = [frame.planes for frame in open_video(truth).frames()] if truth else []
    for index in range(0, len(layers), EVERY):
        observed, background = rgb_bt709(layers[index].frame.planes), rgb_bt709(layers[index].background)
        if truth is None:
            yield figures(observed, background), None
        else:
            target = rgb_bt709(truths[index])
            yield figures(target, background), figures(target, observed)


def results(folder: Path) -> dict[tuple[str, str, str], dict[str, Any]]:
    """(set, clip, method) -> figures."""
    found = json.loads((folder / "results.json").read_text())
    return {(row["set"], row["clip"], row["method"]): row["figures"] for row in found["rows"]}


def likeness_of(row: dict[str, Any]) -> list[float]:
    return [row[name] for name in ("psnr_y", "ssim_y", "psnr_rgb", "ssim_rgb")]


def kept(folder: Path) -> dict[str, int]:
    """Rows and when they were written."""
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in (folder / "rows").rglob("*.json")}


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


def test_the_page_holds_all_figures_and_asks_for_nothing(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    label = "<b>&'\"@@MADE@@"
    ran = vidrain(
        *("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--set", "pairs", "--every", "13"),
        *("--method", f"{label}:{FAST}"),
    )
    assert (ran.code, ran.err) == (0, "")
    page = (tmp_path / "out" / "results.html").read_text()
    text = escape(label, quote=True)
    row = results(tmp_path / "out")["pairs", "road", label]
    (cells,) = re.findall(rf'<tr data-method="{re.escape(text)}"><th scope="row">road</th>(.*?)</tr>', page)
    assert f'<td data-value="{row["psnr_y"]}" class="best">{row["psnr_y"]:.2f}</td>' in cells
    assert label not in page
    assert page.count("<dt>command</dt>") == 1
    assert "default-src &#x27;none&#x27;" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert len(re.findall(r'<figure data-method="[^"]*"><img src="data:image/png;base64,', page)) == 1


@pytest.mark.proves("eval --method", "eval KEY=VALUE")
def test_results_of_others_are_measured_as_the_model_itself(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    """What `clean --archive` writes is B, so a folder of it has the figures of the model, in every set."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    settings = FAST.split()[1:]
    for source in (*(data / "paired").glob("*_rainy.mp4"), *data.glob("clean/*"), *data.glob("real/*")):
        target = theirs / f"{source.stem}.clean.mp4"
        assert vidrain("clean", source, "-o", target, "--archive", *settings).code == 0
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


def test_finished_rows_are_kept_while_nothing_changes(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def ran(*more: str) -> tuple[dict[str, int], dict[str, Any]]:
        """Rows after a run, and its last event."""
        method = ("--method", f"it: {FAST}")
        sets = ("--set", "pairs", "--set", "harm", "--every", "13")
        done = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", out, "--json", *method, *sets, *more)
        assert done.code == 0, done.err
        return kept(out), done.events[-1]

    first, done = ran()
    assert (done["event"], done["rows"], done["computed"]) == ("eval_done", 3, 3)
    report = (out / "results.md").read_text()
    again, done = ran()
    assert (again, done["computed"]) == (first, 0)
    assert (out / "results.md").read_text() == report
    changed, done = ran("sets.harm.every=5")
    assert {name for name in first if first[name] != changed[name]} == {"rows/harm/cat/it.json"}
    row = out / "rows/pairs/road/it.json"
    row.write_text(row.read_text()[:40])  # as a full disk may leave one
    assert ran("sets.harm.every=5")[1]["computed"] == 1
    shutil.copy(data / "paired/road_clean.mp4", data / "paired/road_rainy.mp4")
    other, _ = ran("sets.harm.every=5")
    assert other["rows/harm/cat/it.json"] == changed["rows/harm/cat/it.json"]
    given, it = (results(out)["pairs", "road", method] for method in ("input", "it"))
    assert (given["psnr_y"], given["dry_psnr_y"], given["dry_changed"]) == (100, 100, 0)  # equal pictures count as that
    assert (it["dry_psnr_y"], it["dry_changed"]) == (it["psnr_y"], 1)
    (tmp_path / "eval.yaml").write_text((tmp_path / "eval.yaml").read_text() + "seed: 3\n")
    assert ran()[1]["computed"] == 3


@pytest.mark.proves("eval --json")
def test_what_it_tells(vidrain: Vidrain, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/bin/vidrain", "eval", "-c", "my sets.yaml"])
    ran = vidrain(
        *("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--json", "--set", "pairs", "--every", "5"),
        *("--method", FAST),
    )
    assert (ran.code, ran.err) == (0, "")
    names = [event["event"] for event in ran.events]
    assert names[0] == "eval_plan"
    assert names[-1] == "eval_done"
    plan = ran.events[0]
    assert (plan["sets"], plan["methods"], plan["rows"], plan["frames"]) == (["pairs"], ["input", FAST], 2, 6)
    rows = [event for event in ran.events if event["event"] == "eval_row"]
    assert [row["method"] for row in rows] == ["input", FAST]
    whole = results(tmp_path / "out")["pairs", "road", FAST]
    assert rows[1]["figures"] == {name: value for name, value in whole.items() if "gain" not in name}
    last = [event for event in ran.events if event["event"] == "progress"][-1]
    assert (last["frames"], last["total"]) == (6, 6)
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    assert facts["command"] == "vidrain eval -c 'my sets.yaml'"
    assert set(facts["libraries"]) >= {"torch", "numpy", "av"}
    assert facts["machine"]["cores"] > 0
    assert len(facts["data"]["pairs/road"]["observed"]) == len(facts["data"]["pairs/road"]["truth"]) == 64
    assert facts["methods"][FAST]["made_by"].startswith("0.1.0 baseline weights=none config=")


def test_a_gate_fitted_to_each_clip(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    weights = tmp_path / "gate.safetensors"
    weights.write_bytes(packed_gate("gate-s", Gate(CONFIGS["gate-s"]).state_dict()))
    small = ("steps=5", "rate=0.001", "patch=48", "batch=4", "readings=3")
    fitted = f"fitted: gate-s={weights} {' '.join(f'adapt.{setting}' for setting in small)}"
    ran = vidrain(
        *("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--set", "pairs", "--set", "walkers"),
        *("--every", "13", "--method", fitted, "--method", f"gate-s={weights}"),
    )
    assert ran.code == 0, ran.err
    assert "fitted is not fitted to walker: it is a folder of pictures, no video" in ran.err
    made = tmp_path / "out/adapted/pairs/road/fitted.safetensors"
    facts = json.loads((tmp_path / "out" / "results.json").read_text())
    rows = {(row["clip"], row["method"]): row for row in facts["rows"]}
    assert rows["road", "fitted"]["adapted"]["kept_steps"] == 5
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


def refusals(tmp_path: Path) -> dict[str, tuple[tuple[str, ...], int, str]]:
    """What is refused: arguments, exit code, what is said."""
    return {
        "set": (("--set", "pear"), 2, "--set pear: no such set; there are: harm, pairs, real, walkers"),
        "key": (("sets.pairs.evry=2",), 2, "Did you mean"),
        "every": (("--every", "0"), 2, "allowed: at least 1"),
        "model": (("--method", "bseline"), 7, "model bseline is not known"),
        "weights": (("--method", "gate-s=none.safetensors"), 7, "none.safetensors: no such weights file"),
        "label": (("--method", "baseline", "--method", "baseline"), 2, "two are called baseline"),
        "meaningless": (("--method", "baseline encode.crf=3"), 2, "encode means nothing for a benchmark; leave it out"),
        "empty": (("--method", "it:  "), 2, "wants MODEL[=WEIGHTS], input or results=FOLDER"),
        "results": (("--method", f"results={tmp_path}/none"), 3, "no such folder of results"),
        "no result": (("--method", f"results={tmp_path}"), 3, "holds nothing called"),
        "adapt": (("--method", "baseline adapt.steps=2"), 2, "baseline"),
        "data": (("--data", f"{tmp_path}/none"), 3, "no such folder; name the folder of the data by --data"),
        "input": (("--method", "input baseline.radius=1"), 2, "wants input alone"),
    }


@pytest.mark.parametrize("name", refusals(Path()))
def test_what_is_refused(name: str, vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    arguments, code, said = refusals(tmp_path)[name]
    ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_clips_that_do_not_pair_up_and_folders_of_others(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    common = ("eval", "-c", tmp_path / "eval.yaml", "-o")
    assert "name" in vidrain("eval", "-o", tmp_path / "out").err
    ran = vidrain(*common, data)
    assert (ran.code, ran.err.count("\n")) == (5, 1)
    assert "holds something else than a benchmark" in ran.err
    assert vidrain(*common, tmp_path / "none" / "out").code == 5
    assert vidrain(*common, tmp_path / "eval.yaml").code == 5
    (data / "paired/walker/gt/001.png").unlink()
    ran = vidrain(*common, tmp_path / "out")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "2 rainy frames, but 1 clean ones" in ran.err


def test_a_clip_with_a_frame_that_does_not_decode(samples: Path, vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    wiped(samples / "street.mp4", data / "clean/dog.mp4", range(9, 10))
    ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--set", "harm", "--every", "13")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "does not decode; measure on clips that are whole" in ran.err
    assert list(kept(tmp_path / "out")) == ["rows/harm/cat/baseline.json"]


def test_a_folder_that_another_run_fills(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".vidrain-eval").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", out, "--set", "pairs")
    assert (ran.code, ran.err.count("\n")) == (6, 1)
