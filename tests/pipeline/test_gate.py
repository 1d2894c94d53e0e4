"""Videos cleaned by a gate whose weights were set by hand, so that what must come out is known."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.pipeline.conftest import Vidrain
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import decompose
from vidrain.model.gate import CONFIGS, Gate
from vidrain.model.streaks import Doubts
from vidrain.video.decode import open_video
from vidrain.weights import load_model, packed_gate

# One-sided median: all that exceeds M, nothing doubted.
PLAIN = BaselineOptions(doubts=Doubts(trust=1, spread=0, edge=0, darkening=0, thickness=0, opacity=0, line=0))


class AfterAnother(Baseline):
    """Compares with the neighbours as the model called `name` leaves them."""

    first: Any = None
    wants_error: Any = True  # so its motion is followed as that of gates is

    def __init__(self, name: str | None, radius: int) -> None:
        super().__init__(replace(PLAIN, radius=radius))
        if name is not None:
            self.first = load_model(name)
            if name in CONFIGS:
                self.first.net.strength.fill_(1)


def constant_gate(path: Path, name: str, bias: float) -> Path:
    """Weights of a gate that says what the baseline does + bias everywhere."""
    net = Gate(CONFIGS[name])
    with torch.no_grad():
        net.tail.weight.zero_()
        net.tail.bias[: len(net.tail.bias) // 3] = bias  # of what exceeds the median; the others go beyond it
    path.write_bytes(packed_gate(name, net.state_dict()))
    return path


def same_pictures(first: Path, second: Path) -> bool:
    pairs = zip(open_video(first).frames(), open_video(second).frames(), strict=True)
    return all(np.array_equal(a, b) for one, other in pairs for a, b in zip(one.planes, other.planes, strict=True))


@pytest.mark.parametrize("source", ["odd.mp4", "rotated.mp4", "tenbit.mp4"])
@pytest.mark.parametrize("name", CONFIGS)
def test_an_open_gate_is_the_one_sided_median(
    name: str, source: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    weights = constant_gate(tmp_path / "open.safetensors", name, 3.0)
    ours = tmp_path / "ours.mp4"
    ran = vidrain("clean", samples / source, "--archive", "-o", ours, "--model", name, "--weights", weights, "--json")
    assert (ran.code, ran.events[0]["model"]) == (0, name)
    video = open_video(samples / source)
    plain = decompose(video.frames(), video.info, AfterAnother(CONFIGS[name].first, CONFIGS[name].radius))
    for frame, layers in zip(open_video(ours).frames(), plain, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(frame.planes, layers.background, strict=True))
    assert not same_pictures(ours, samples / source)


def test_a_shut_gate_changes_nothing(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    weights = constant_gate(tmp_path / "shut.safetensors", "gate-s", -3.0)
    out = tmp_path / "out.mp4"
    source = samples / "odd.mp4"
    assert vidrain("clean", source, "--archive", "-o", out, "--model", "gate-s", "--weights", weights).code == 0
    assert same_pictures(out, source)
