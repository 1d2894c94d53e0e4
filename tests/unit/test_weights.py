"""Choosing a model: names, and files that are refused with exit code 7 before anything in them is believed."""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import save_file as save_tensors
from torch import Tensor

from tests.checkpoints import checkpoint, weights_file
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.errors import ModelError
from vidrain.model.nlcl import Generator, Nlcl, NlclDecomposer, NlclOptions
from vidrain.weights import MODELS, PRESETS, ModelOptions, load_decomposer, load_model, read_header


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
    assert isinstance(model, Baseline)
    assert model.options is options
    assert load_decomposer("baseline", None, ModelOptions(options)).radius == 3
    assert load_model("baseline").options == BaselineOptions()


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_stands_for_a_model(preset: str) -> None:
    assert PRESETS[preset] in MODELS


@pytest.mark.parametrize("name", ["nonesuch", "", "Baseline", "baseline "])
def test_unknown_model(name: str) -> None:
    assert refused(name, None) == f"model {name} is not known; allowed: baseline, nlcl, gate-s, gate-m, gate-l, gate-b"


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


def test_nlcl_is_what_its_file_holds(weights: Path) -> None:
    observed = torch.rand(1, 3, 9, 11)
    back = Generator()
    back.load_state_dict(checkpoint(1))
    model = load_model("nlcl", weights=weights_file(weights), statistics="live")
    assert isinstance(model, Nlcl)
    assert model.rain is None
    assert torch.equal(model(observed), Nlcl(back, None, statistics="live")(observed))
    assert not any(parameter.requires_grad for parameter in model.parameters())
    assert load_model("nlcl", str(weights), statistics="frozen").statistics == "frozen"


def test_nlcl_runs_behind_the_seam(weights: Path) -> None:
    options = ModelOptions(nlcl=NlclOptions(output="residual"))
    assert isinstance(load_decomposer("nlcl", weights_file(weights, rain=True), options), NlclDecomposer)
    with pytest.raises(ModelError, match=r"holds no rain network; import it with --rain, or use model\.output=back"):
        load_decomposer("nlcl", weights_file(weights), options)


def test_nlcl_without_its_weights() -> None:
    assert "needs its published weights; import them with tools/import_nlcl.py" in refused("nlcl", None)


@pytest.mark.parametrize("word", ["", "Live", "ema"])
def test_statistics_by_another_name(word: str, weights: Path) -> None:
    with pytest.raises(ModelError, match="allowed: live, frozen"):
        load_model("nlcl", weights_file(weights), statistics=word)


def broken(how: str, weights: Path) -> None:
    tensors: dict[str, Tensor] = {f"back.{name}": tensor for name, tensor in checkpoint(1).items()}
    header = {"model": "nlcl"}
    match how:
        case "missing":
            del tensors["back.gen.9.model.1.conv.bias"]
        case "renamed":
            tensors["back.gen.9.res.1.bias"] = tensors.pop("back.gen.9.model.1.conv.bias")
        case "additional":
            tensors["back.gen.19.bias"] = torch.zeros(3)
        case "odd shape":
            tensors["back.gen.18.weight"] = torch.zeros(32, 3, 3, 3)
        case "half":
            tensors["back.gen.18.bias"] = torch.zeros(3, dtype=torch.float16)
        case "not finite":
            tensors["back.gen.18.bias"] = torch.tensor([0.0, float("nan"), 0.0])
        case "rain in part":
            tensors["rain.gen.18.bias"] = torch.zeros(3)
        case "no back":
            tensors = {name.replace("back", "rain"): tensor for name, tensor in tensors.items()}
        case "third network":
            tensors["mist.gen.18.bias"] = torch.zeros(3)
        case "another model":
            header = {"model": "gate"}
        case "no header":
            header = {}
    save_tensors(tensors, weights, metadata=header)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("missing", "back: lacks gen.9.model.1.conv.bias (1 of 72 tensors missing)"),
        ("renamed", "back: lacks gen.9.model.1.conv.bias (1 of 72 tensors missing)"),
        ("additional", "back: holds gen.19.bias, which no NLCL generator has"),
        ("odd shape", "back: gen.18.weight is float32 [32, 3, 3, 3], not float32 [3, 32, 3, 3]"),
        ("half", "back: gen.18.bias is float16 [3], not float32 [3]"),
        ("not finite", "back: gen.18.bias holds values that are not finite"),
        ("rain in part", "rain: lacks gen.0.bias (71 of 72 tensors missing)"),
        ("no back", "back: lacks gen.0.bias (72 of 72 tensors missing)"),
        ("third network", "holds mist.gen.18.bias, which is of neither back nor rain"),
        ("another model", "holds weights of gate, not of nlcl"),
        ("no header", "holds weights of an unnamed model, not of nlcl"),
    ],
)
@pytest.mark.fault(30)
def test_nlcl_weights_that_do_not_fit(how: str, said: str, weights: Path) -> None:
    broken(how, weights)
    assert said in refused("nlcl", weights)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
@pytest.mark.fault(30)
def test_nlcl_weights_cut_short(share: float, weights: Path) -> None:
    content = weights_file(weights).read_bytes()
    weights.write_bytes(content[: int(len(content) * share)])
    assert "is no safetensors file (" in refused("nlcl", weights)


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
