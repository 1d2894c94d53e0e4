"""`clean --model nlcl`: the published network on a whole video, as a reference."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.checkpoints import weights_file
from tests.pipeline.conftest import Vidrain
from tests.round_trip import decoded, opened
from vidrain import load_model
from vidrain.layers import subtract
from vidrain.model.nlcl import Generator, as_picture, as_signal, pooled
from vidrain.types import Frame, Planes
from vidrain.video.color import conversion_for, to_codes, to_rgb
from vidrain.weights import PRESETS


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return weights_file(tmp_path_factory.mktemp("weights") / "nlcl.safetensors", rain=True)


def nets(weights: Path) -> tuple[Generator, Generator]:
    model = load_model("nlcl", weights)
    assert model.rain is not None
    return model.back, model.rain


def without(frame: Frame, removal: torch.Tensor, source: Path) -> Planes:
    """The stored planes of a frame less `removal`."""
    info = opened(source).info
    return subtract(frame.planes, to_codes(removal, conversion_for(info)), info.layout.depth)


@pytest.mark.proves("clean --model")
def test_output_is_the_background_with_statistics_of_the_first_frames(
    samples: Path, weights: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source, target = samples / "odd.mp4", tmp_path / "out.mp4"
    ran = vidrain("clean", source, "-o", target, "--archive", "--end", "3", "--model", "nlcl", "--weights", weights)
    assert (ran.code, ran.err) == (0, "")
    back, conversion, seen = nets(weights)[0], conversion_for(opened(source).info), []
    assert len(decoded(target)) == 3
    for frame, found in zip(decoded(source)[:3], decoded(target), strict=True):
        rgb = to_rgb(frame.planes, conversion)
        with torch.inference_mode():
            seen.append(back.measure(as_signal(rgb.clamp(0, 1)[None])))
            back.frozen = pooled(seen)
            due = without(frame, rgb - as_picture(back(as_signal(rgb.clamp(0, 1)[None])))[0], source)
        for one, other in zip(found.planes, due, strict=True):
            np.testing.assert_array_equal(one, other)
        assert any((one != other).any() for one, other in zip(found.planes, frame.planes, strict=True))


@pytest.mark.proves("clean KEY=VALUE")
def test_residual_of_single_frames(samples: Path, weights: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """With live statistics a frame's layers do not depend on where the run began."""
    source, target = samples / "odd.mp4", tmp_path / "out.mp4"
    chosen = ("--model", "nlcl", "--weights", weights, "model.output=residual", "model.statistics=live")
    ran = vidrain("clean", source, "-o", target, "--archive", "--start", "4", "--end", "6", *chosen)
    assert (ran.code, ran.err) == (0, "")
    rain, conversion = nets(weights)[1], conversion_for(opened(source).info)
    for frame, found in zip(decoded(source)[4:6], decoded(target), strict=True):
        with torch.inference_mode():
            out = rain(as_signal(to_rgb(frame.planes, conversion).clamp(0, 1)[None]))[0]
        removal = torch.stack([(channel - channel.median()) / 2 for channel in out])
        for one, other in zip(found.planes, without(frame, removal, source), strict=True):
            np.testing.assert_array_equal(one, other)


@pytest.mark.proves("exit 7")
@pytest.mark.fault(30)
def test_unusable_weights_stop_before_anything_is_written(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target, weights = tmp_path / "out.mp4", weights_file(tmp_path / "back.safetensors")
    start = ("clean", samples / "odd.mp4", "-o", target, "--model", "nlcl")
    for arguments, said in (
        ((), "needs its published weights"),
        (("--weights", tmp_path / "none"), "no such weights file"),
        (("--weights", weights, "model.output=residual"), "holds no rain network"),
    ):
        ran = vidrain(*start, *arguments)
        assert (ran.code, ran.out, ran.err.count("\n")) == (7, "", 1)
        assert said in ran.err
    assert list(tmp_path.iterdir()) == [weights]


def test_it_is_never_the_default() -> None:
    assert "nlcl" not in PRESETS.values()


def test_times_stay(samples: Path, weights: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = samples / "odd.mp4", tmp_path / "out.mp4"
    assert vidrain("clean", source, "-o", target, "--end", "2", "--model", "nlcl", "--weights", weights).code == 0
    base, mine = opened(source).info.time_base, opened(target).info.time_base
    due = [Fraction(frame.pts) * base for frame in decoded(source)[:2]]
    assert [Fraction(frame.pts) * mine for frame in decoded(target)] == due
