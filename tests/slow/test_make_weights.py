"""Training on real and rendered rain, from clips to a file that can be used, on two samples and for three steps."""

import shutil
from pathlib import Path

import pytest

from tools import make_weights
from vidrain.train.footage import pairs_at
from vidrain.weights import load_model, read_header

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_weights_are_made_from_clips(samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make_weights, "SIDE", 240)
    monkeypatch.setattr(make_weights, "FRAMES", 14)
    data, out = tmp_path / "data", tmp_path / "out"
    for folder in (data / "real", data / "clean" / "train"):
        folder.mkdir(parents=True)
    for name in make_weights.RAINY:
        shutil.copy(samples / "street.mp4", data / "real" / f"{name}.mp4")
    for name in ("walk", "truck"):
        shutil.copy(samples / "street_clean.mp4", data / "clean" / "train" / f"{name}.mp4")
    command = ["gate-s", "--data", str(data), "-o", str(out)]
    small = ["steps=3", "patch=64", "batch=2", "data.readings=5", "data.crop=96", "data.strides=1"]
    assert make_weights.main([*command, *small]) == 0
    rendered = {
        (rainy.parent.relative_to(out / "pairs").parts[0], rainy.name) for rainy, _ in pairs_at([str(out / "pairs")])
    }
    sets = {"heavy", "light", "gust", "simple-dense", "simple-thin"}
    assert rendered == {(name, "walk_rainy.mp4") for name in sets}, "truck is left out"
    weights = out / "gate-s" / "gate-s.safetensors"
    assert read_header(weights)["model"] == "gate-s"
    load_model("gate-s", weights)
    before = {path: path.stat().st_mtime_ns for path in (out / "pairs").rglob("*_rainy.mp4")}
    assert make_weights.main([*command, *small]) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before, "what is rendered is taken as it is"
