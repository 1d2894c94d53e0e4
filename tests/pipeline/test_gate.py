"""Videos cleaned by a gate whose weights were set by hand, so that what must come out is known."""

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.pipeline.conftest import Vidrain
from vidrain.model.gate import CONFIGS, Gate
from vidrain.video.decode import open_video
from vidrain.weights import packed_gate

# One-sided median: all that exceeds M, nothing doubted.
PLAIN = (
    "baseline.trust=1",
    *(f"baseline.{w}=0" for w in ("spread", "edge", "darkening", "thickness", "opacity", "line")),
)


def constant_gate(path: Path, name: str, bias: float) -> Path:
    """Weights of a gate that says 0.5 + bias everywhere."""
    net = Gate(CONFIGS[name])
    with torch.no_grad():
        net.tail.weight.zero_()
        net.tail.bias.fill_(bias)
    path.write_bytes(packed_gate(name, net.state_dict()))
    return path


def same_pictures(first: Path, second: Path) -> bool:
    pairs = zip(open_video(first).frames(), open_video(second).frames(), strict=True)
    return all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one.planes, other.planes, strict=True))


@pytest.mark.parametrize("source", ["odd.mp4", "rotated.mp4", "tenbit.mp4"])
@pytest.mark.parametrize("name", ["gate-s", "gate-m"])
def test_an_open_gate_is_the_one_sided_median(
    name: str, source: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    weights = constant_gate(tmp_path / "open.safetensors", name, 3.0)
    ours, plain = tmp_path / "ours.mp4", tmp_path / "plain.mp4"
    ran = vidrain("clean", samples / source, "--archive", "-o", ours, "--model", name, "--weights", weights, "--json")
    assert (ran.code, ran.events[0]["model"]) == (0, name)
    assert vidrain("clean", samples / source, "--archive", "-o", plain, *PLAIN).code == 0
    assert same_pictures(ours, plain)
    assert not same_pictures(ours, samples / source)


def test_a_shut_gate_changes_nothing(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    weights = constant_gate(tmp_path / "shut.safetensors", "gate-s", -3.0)
    out = tmp_path / "out.mp4"
    source = samples / "odd.mp4"
    assert vidrain("clean", source, "--archive", "-o", out, "--model", "gate-s", "--weights", weights).code == 0
    assert same_pictures(out, source)


def test_without_weights_it_says_how_to_get_some(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", samples / "odd.mp4", "-o", tmp_path / "out.mp4", "--model", "gate-s")
    assert ran.code == 7
    assert ran.err == (
        "vidrain: model gate-s needs weights; train some with vidrain train, then name them by --weights\n"
    )
