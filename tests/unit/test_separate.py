"""A thread for each stage: what goes wrong in one of them reaches whoever asked, once, and no thread stays."""

from __future__ import annotations

from importlib import import_module

import pytest
import torch

from tests.round_trip import SAMPLES, opened
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions
from vidrain.errors import DeviceError
from vidrain.separate import separated
from vidrain.types import Decomposer, Layers
from vidrain.watchdog import Watchdog

CLIP = SAMPLES / "vfr.mp4"


def layers_of(decomposer: Decomposer, kept: range) -> list[Layers]:
    watchdog = Watchdog(CLIP, patience_s=20.0)
    with separated(opened(CLIP), kept, decomposer, options=DecomposeOptions(), watchdog=watchdog) as found:
        return list(found)


def asking_too_much(*_: object, **__: object) -> object:
    """More memory than there is."""
    return torch.empty(1 << 46, dtype=torch.uint8)


# In two passes the first one comes to a step before the second.
@pytest.mark.fault(29)
@pytest.mark.parametrize(
    ("step", "passes"),
    [
        ("picture_of", 1),
        ("step_between", 1),
        ("follow", 1),
        ("aligned_of", 1),
        ("layers_of", 1),
        ("follow", 2),
        ("aligned_of", 2),
    ],
)
def test_memory_that_runs_out_is_told_in_whatever_stage(
    step: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("vidrain.decompose"), step, asking_too_much)
    with pytest.raises(DeviceError, match=r"^a picture of 256x160 on cpu: no memory is left .*; close other programs"):
        layers_of(Baseline(BaselineOptions(passes=passes)), range(3))
