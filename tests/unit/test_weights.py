"""Choosing a model: names, and files that are refused with exit code 7 before anything in them is believed."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from vidrain.baseline import BaselineOptions
from vidrain.errors import ModelError
from vidrain.weights import MODELS, PRESETS, load_model, read_header


class Trap:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.marker,)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tmp_path / "weights.safetensors"


def refused(name: str, weights: Path | None) -> str:
    with pytest.raises(ModelError) as raised:
        load_model(name, weights, BaselineOptions())
    assert raised.value.exit_code == 7
    message = str(raised.value)
    assert message.count("\n") == 0
    return message


def test_baseline_takes_its_options() -> None:
    options = BaselineOptions(radius=3)
    model = load_model("baseline", None, options)
    assert model.radius == 3
    assert model.options is options


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_stands_for_a_model(preset: str) -> None:
    assert PRESETS[preset] in MODELS


@pytest.mark.parametrize("name", ["nonesuch", "", "Baseline", "baseline "])
def test_unknown_model(name: str) -> None:
    assert refused(name, None) == f"model {name} is not known; allowed: baseline"


def test_header_is_read_without_the_weights(weights: Path) -> None:
    save_file({"gate": np.zeros((2, 3), np.float32)}, weights, metadata={"model": "gate", "version": "1"})
    assert read_header(weights) == {"model": "gate", "version": "1"}
    assert "holds weights of gate, but baseline takes none" in refused("baseline", weights)


def test_weights_of_a_model_that_does_not_say_which(weights: Path) -> None:
    save_file({"gate": np.zeros(3, np.float32)}, weights)
    assert read_header(weights) == {}
    assert "holds weights of an unnamed model" in refused("baseline", weights)


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_no_file(kind: str, weights: Path) -> None:
    if kind == "folder":
        weights.mkdir()
    assert "no such weights file; check the path" in refused("baseline", weights)


def header_of(fields: object) -> bytes:
    text = json.dumps(fields).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.fault(30)
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00" * 7,
        b"\xff" * 64,
        b"just words, no weights",
        (10**15).to_bytes(8, "little") + b"{}",
        header_of([1, 2]),
        header_of({"gate": {"dtype": "F32", "shape": [3], "data_offsets": [0, 12]}}),  # and then no data
        header_of({"gate": {"dtype": "F99", "shape": [0], "data_offsets": [0, 0]}}),
    ],
)
def test_file_that_is_no_safetensors(content: bytes, weights: Path) -> None:
    weights.write_bytes(content)
    assert "is no safetensors file (" in refused("baseline", weights)


@pytest.mark.parametrize("kind", ["pickle", "torch archive"])
def test_pickle_in_disguise_does_not_run(kind: str, weights: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it ran"
    trap = pickle.dumps(Trap(marker))
    if kind == "pickle":
        weights.write_bytes(trap)
    else:
        with zipfile.ZipFile(weights, "w") as archive:
            archive.writestr("archive/data.pkl", trap)
    assert "is no safetensors file (" in refused("baseline", weights)
    assert not marker.exists()
    pickle.loads(trap)
    assert marker.exists(), "the trap itself does not work"
