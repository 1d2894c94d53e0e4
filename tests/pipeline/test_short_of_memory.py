"""Memory that runs out in the middle of a video: one line, and the same command goes on from the finished segments."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from torch import Tensor

import vidrain as package
from tests.pipeline.conftest import LENGTH, Vidrain
from tests.stopped import outputs, resumed
from vidrain import pipeline
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.segments.folder import folder_of
from vidrain.types import Aligned, Sight

pytestmark = [pytest.mark.fault(29), pytest.mark.usefixtures("short_segments")]


@dataclass
class Hungry:
    """The baseline, but one call asks torch for more memory than there is."""

    fails_at: int
    radius: int = 1
    first: None = None
    remembers: bool = False
    sees: Sight = "luma"
    wants_error: bool = False
    calls: int = 0
    model: Baseline = field(default_factory=lambda: Baseline(BaselineOptions(radius=1)))

    def __call__(self, aligned: Aligned) -> Tensor:
        self.calls += 1
        if self.calls == self.fails_at:
            return torch.empty(1 << 46, dtype=torch.uint8)
        return self.model(aligned)


@pytest.mark.proves("exit 7")
def test_finished_segments_stay_and_the_same_command_goes_on(
    clip: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--model", "baseline", "baseline.radius=1", "--json")
    assert vidrain("clean", clip, "-o", out, *options).code == 0
    due = out.read_bytes()
    out.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "load_decomposer", lambda *_, **__: Hungry(2 * LENGTH + 3))
        ran = vidrain("clean", clip, "-o", out, *options)
    assert (ran.code, ran.err.count("\n")) == (7, 1)
    assert "a picture of 208x208 on cpu: no memory is left (" in ran.err
    assert f"{2 * LENGTH} of 28 frames are kept in {folder_of(out)}, the same command goes on" in ran.err
    again = vidrain("clean", clip, "-o", out, *options)
    assert (again.code, resumed(again)) == (0, [2 * LENGTH])
    assert outputs(out.parent) == {out.name: due}
    assert package.verify_against(out, clip).exit_code == 0
