"""Memory that runs out in the middle of a video: one line, and the same command goes on from the finished segments."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

import vidrain as package
from tests.pipeline.conftest import LENGTH, Vidrain
from tests.spoiled import Spoiled
from tests.stopped import outputs, resumed
from vidrain import pipeline
from vidrain.device import short_of
from vidrain.segments.folder import folder_of

pytestmark = [pytest.mark.fault(29), pytest.mark.usefixtures("short_segments")]


def asking_too_much(rain: Tensor) -> Tensor:
    """More memory than there is."""
    return torch.empty(1 << 46, dtype=torch.uint8)


def on_a_gpu_that_is_full(rain: Tensor) -> Tensor:
    """As it is where there is one."""
    with short_of("cuda", "a picture"):
        raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.proves("exit 7")
def test_clean_says_how_to_go_on_without_the_gpu(
    clip: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By options that it has: those do what is said."""
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "load_decomposer", lambda *_, **__: Spoiled(frozenset({2}), on_a_gpu_that_is_full))
        ran = vidrain("clean", clip, "-o", out, "--model", "baseline")
    assert (ran.code, ran.err.count("\n")) == (7, 1)
    assert "or compute on the CPU (--device cpu --fresh)" in ran.err
    assert vidrain("clean", clip, "-o", out, "--model", "baseline", "--device", "cpu", "--fresh").code == 0


@pytest.mark.proves("exit 7")
def test_finished_segments_stay_and_the_same_command_goes_on(
    clip: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--model", "baseline", "baseline.radius=1", "--json")
    assert vidrain("clean", clip, "-o", out, *options).code == 0
    due = out.read_bytes()
    out.unlink()
    with monkeypatch.context() as patch:
        patch.setattr(
            pipeline, "load_decomposer", lambda *_, **__: Spoiled(frozenset({2 * LENGTH + 2}), asking_too_much)
        )
        ran = vidrain("clean", clip, "-o", out, *options)
    assert (ran.code, ran.err.count("\n")) == (7, 1)
    assert "a picture of 208x208 on cpu: no memory is left (" in ran.err
    assert f"{2 * LENGTH} of 28 frames are kept in {folder_of(out)}, the same command goes on" in ran.err
    again = vidrain("clean", clip, "-o", out, *options)
    assert (again.code, resumed(again)) == (0, [2 * LENGTH])
    assert outputs(out.parent) == {out.name: due}
    assert package.verify_against(out, clip).exit_code == 0
