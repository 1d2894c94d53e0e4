"""`clean --model nlcl`: the published network on a whole video, as a reference."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import ffmpeg_says
from tests.checkpoints import weights_file
from tests.pipeline.conftest import Vidrain
from tests.round_trip import decoded, opened
from vidrain import load_model
from vidrain.layers import subtract
from vidrain.model.nlcl import Generator, as_picture, as_signal, pooled
from vidrain.types import Frame, Planes
from vidrain.video.color import conversion_for, to_codes, to_rgb
from vidrain.video.decode import open_video
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


def test_statistics_of_one_video_are_nothing_to_the_next(
    samples: Path, weights: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """Two cameras in one file, each without a cut: the second is cleaned as it would be alone."""
    both, alone = tmp_path / "both.mkv", tmp_path / "alone.mkv"
    first, last = ("-i", samples / "odd.mp4"), ("-f", "lavfi", "-i", "testsrc2=s=132x98:r=25")
    lossless = ("-frames:v", "3", "-c:v", "ffv1", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*first, *last, "-map", "0:v", "-map", "1:v", *lossless, both)
    ffmpeg_says.quietly(*last, *lossless, alone)
    chosen = ("--archive", "--model", "nlcl", "--weights", weights)
    assert vidrain("clean", both, "-o", tmp_path / "a.mkv", "--video", "all", *chosen).code == 0
    assert vidrain("clean", alone, "-o", tmp_path / "b.mkv", *chosen).code == 0
    found, due = open_video(tmp_path / "a.mkv", track=1).frames(), open_video(tmp_path / "b.mkv").frames()
    for one, other in zip(found, due, strict=True):
        for plane, same in zip(one.planes, other.planes, strict=True):
            np.testing.assert_array_equal(plane, same)


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
