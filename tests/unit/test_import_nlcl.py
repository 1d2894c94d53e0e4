"""Importing published checkpoints: what is believed, what is refused, and that nothing in them runs."""

import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.checkpoints import checkpoint
from tests.unit.test_weights import Trap
from tools.import_nlcl import main, read_checkpoint
from vidrain.errors import ModelError
from vidrain.weights import load_model, read_header

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def back(tmp_path: Path) -> Path:
    return saved(tmp_path / "back.pth", checkpoint(1))


def saved(path: Path, content: object, **how: bool) -> Path:
    torch.save(content, path, **how)
    return path


def fails(capsys: pytest.CaptureFixture[str], code: int, said: str, *arguments: Path | str) -> None:
    """Ends with this code and one line, and writes nothing."""
    folder = Path(arguments[0]).parent
    before = sorted(folder.iterdir())
    assert main([str(argument) for argument in arguments]) == code
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert sorted(folder.iterdir()) == before


def test_tensors_that_share_their_storage_come_out(tmp_path: Path) -> None:
    """Views of one long vector, and two names of one tensor: both are usual in checkpoints."""
    plain = checkpoint(1)
    vector = torch.cat([tensor.flatten() for tensor in plain.values()])
    parts = vector.split([tensor.numel() for tensor in plain.values()])
    shared = {name: part.view(tensor.shape) for (name, tensor), part in zip(plain.items(), parts, strict=True)}
    shared["gen.2.model.0.conv.bias"] = shared["gen.1.model.0.conv.bias"]
    back, target = saved(tmp_path / "back.pth", shared), tmp_path / "nlcl.safetensors"
    assert main([str(back), "-o", str(target)]) == 0
    state = load_model("nlcl", target).back.state_dict()
    assert all(torch.equal(state[name], tensor) for name, tensor in shared.items())


@pytest.mark.parametrize("legacy", [False, True])
def test_what_goes_in_comes_out(legacy: bool, tmp_path: Path) -> None:
    ordered = OrderedDict(checkpoint(1))
    back = saved(tmp_path / "back.pth", ordered, _use_new_zipfile_serialization=not legacy)
    rain, target = saved(tmp_path / "rain.pth", checkpoint(2)), tmp_path / "nlcl.safetensors"
    assert main([str(back), "--rain", str(rain), "-o", str(target)]) == 0
    model = load_model("nlcl", target)
    for net, seed in ((model.back, 1), (model.rain, 2)):
        assert net is not None
        state: dict[str, Tensor] = net.state_dict()
        assert state.keys() == checkpoint(seed).keys()
        assert all(torch.equal(state[name], tensor) for name, tensor in checkpoint(seed).items())
    header = read_header(target)
    assert (header["model"], header["networks"]) == ("nlcl", "back rain")
    assert len(header["back_sha256"]) == len(header["rain_sha256"]) == 64


def test_as_a_program_with_back_alone(back: Path, tmp_path: Path) -> None:
    target = tmp_path / "nlcl.safetensors"
    done = subprocess.run([sys.executable, "-m", "tools.import_nlcl", back, "-o", target], cwd=ROOT, check=False)
    assert done.returncode == 0
    assert load_model("nlcl", target).rain is None


def changed(**changes: object) -> dict[str, object]:
    """Checkpoint 1 with some tensors replaced, or taken out by None; `__` stands for a dot."""
    state: dict[str, object] = dict(checkpoint(1))
    for name, value in changes.items():
        state[name.replace("__", ".")] = value
    return {name: value for name, value in state.items() if value is not None}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (changed(gen__18__bias=None), "lacks gen.18.bias (1 of 72 tensors missing)"),
        ({f"module.{name}": tensor for name, tensor in checkpoint(1).items()}, "lacks gen.0.bias (72 of 72"),
        (changed(gen__19__bias=torch.zeros(3)), "holds gen.19.bias, which no NLCL generator has"),
        (changed(gen__0__weight=torch.zeros(32, 3, 5, 5)), "gen.0.weight is float32 [32, 3, 5, 5]"),
        (changed(gen__0__bias=torch.zeros(32, dtype=torch.int64)), "gen.0.bias is int64 [32]"),
        (changed(gen__0__bias=torch.full((32,), float("inf"))), "gen.0.bias holds values that are not finite"),
        (changed(gen__0__bias="a text"), "holds no plain dictionary of tensors"),
        ({"state_dict": checkpoint(1)}, "holds no plain dictionary of tensors"),
        ([1, 2], "holds no plain dictionary of tensors"),
        ({}, "lacks gen.0.bias (72 of 72 tensors missing)"),
    ],
)
@pytest.mark.fault(30)
def test_checkpoint_of_something_else(
    content: object, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path / "back.pth", content)
    fails(capsys, 7, said, path, "-o", tmp_path / "out.safetensors")


@pytest.mark.parametrize("kind", ["pickle", "archive", "inside"])
@pytest.mark.fault(30)
def test_a_checkpoint_that_would_run_code(kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, marker = tmp_path / "back.pth", tmp_path.parent / f"{tmp_path.name} ran"
    trap = {**checkpoint(1), "gen.0.bias": Trap(marker)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(trap))
    elif kind == "archive":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("archive/data.pkl", pickle.dumps(Trap(marker)))
            archive.writestr("archive/version", "3\n")
    else:
        saved(path, trap)
    fails(capsys, 7, "is no checkpoint of tensors alone (", path, "-o", tmp_path / "out.safetensors")
    assert not marker.exists()


@settings(max_examples=30)
@given(share=st.floats(0, 0.9999), legacy=st.booleans())
@pytest.mark.fault(30)
def test_a_checkpoint_cut_anywhere(share: float, legacy: bool, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = saved(tmp_path_factory.mktemp("cut") / "back.pth", checkpoint(1), _use_new_zipfile_serialization=not legacy)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(ModelError) as raised:
        read_checkpoint(path)
    assert str(raised.value).count("\n") == 0


@pytest.mark.fault(30)
def test_files_that_are_not_there_or_already_there(
    back: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "out.safetensors"
    fails(capsys, 7, "no such checkpoint", tmp_path / "none.pth", "-o", target)
    fails(capsys, 7, "no such checkpoint", back, "--rain", tmp_path, "-o", target)
    fails(capsys, 5, "is there already", back, "-o", back)
    fails(capsys, 5, "cannot be written", back, "-o", tmp_path / "no" / "such" / "folder.safetensors")
