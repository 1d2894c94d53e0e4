"""What decomposers are shown: luma or colours, upright, with an error or without; and what becomes of their answer."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.unit.test_decompose import SAMPLES, Recorder, decoded, opened, run, same_planes, small
from vidrain.align import AlignOptions
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.layers import subtract
from vidrain.types import Aligned, Decomposer, Sight
from vidrain.video.color import conversion_for, to_codes, to_rgb
from vidrain.weights import load_model


@pytest.mark.parametrize("sees", ["luma", "rgb"])
def test_decomposer_of_single_frames_sees_no_others(sees: Sight) -> None:
    info, frames = small("vfr.mp4")
    recorder = Recorder(radius=0, amount=0.1, sees=sees)
    layers = run(frames, info, recorder)
    assert recorder.witnesses == [0] * 36
    for item, frame in zip(layers, frames, strict=True):
        due = np.clip(frame.planes[0].astype(int) - round(0.1 * 219), 0, 255)
        np.testing.assert_array_equal(item.background[0], due)
        assert same_planes(item.background[1:], frame.planes[1:])  # grey: no colour is taken


@pytest.mark.parametrize("sees", ["luma", "rgb"])
def test_portrait_is_seen_upright(sees: Sight) -> None:
    recorder = Recorder(radius=1, sees=sees)
    run(decoded(SAMPLES / "rotated.mp4")[:3], opened(SAMPLES / "rotated.mp4").info, recorder)
    channels = 1 if sees == "luma" else 3
    for aligned, witnesses in zip(recorder.shown, (1, 2, 1), strict=True):
        assert tuple(aligned.observed.shape) == (channels, 256, 192)
        assert tuple(aligned.witnesses.shape) == (witnesses, channels, 256, 192)
        assert tuple(aligned.error.shape) == (witnesses, 256, 192)


def test_the_error_is_measured_for_those_who_want_it() -> None:
    """And the witnesses are the same either way."""
    info, frames = small("vfr.mp4")
    asking, careless = Recorder(radius=2), Recorder(radius=2, wants_error=False)
    alike = DecomposeOptions(align=AlignOptions(preset="fast"))
    for recorder in (asking, careless):
        list(decompose(frames[:5], info, recorder, options=alike))
    for told, untold in zip(asking.shown, careless.shown, strict=True):
        assert torch.equal(told.witnesses, untold.witnesses)
        assert not untold.error.any()
    assert any(told.error[told.error.isfinite()].any() for told in asking.shown)


@pytest.mark.parametrize("passes", [1, 2])
def test_an_error_that_counts_reaches_every_pass(passes: int) -> None:
    info, frames = small("vfr.mp4")
    strict = BaselineOptions(largest_error=0.0, passes=passes)  # no witness comes back that exactly, but at rest
    layers = run(frames[:5], info, Baseline(strict))
    assert not any(plane.any() for item in layers for plane in item.rain)
    assert any(plane.any() for item in run(frames[:5], info) for plane in item.rain)


def test_who_wants_colours_is_shown_them() -> None:
    info, frames = small("vfr.mp4")
    recorder = Recorder(radius=1, sees="rgb")
    run(frames[:3], info, recorder)
    for aligned, frame in zip(recorder.shown, frames, strict=False):
        assert torch.equal(aligned.observed, to_rgb(frame.planes, conversion_for(info)))


@dataclass
class Tint(Recorder):
    """Takes another amount of each colour."""

    def __call__(self, aligned: Aligned) -> Tensor:
        return torch.tensor([0.1, -0.05, 0.0])[:, None, None].expand_as(aligned.observed).contiguous()


@pytest.mark.parametrize("radius", [0, 1])
def test_who_sees_colours_takes_colours(radius: int) -> None:
    info, frames = small("vfr.mp4")
    conversion = conversion_for(info)
    for item in run(frames[:3], info, Tint(radius=radius, sees="rgb")):
        due = to_codes(Tint(radius)(Aligned(to_rgb(item.frame.planes, conversion), *[torch.empty(0)] * 2)), conversion)
        assert same_planes(item.background, subtract(item.frame.planes, due, 8))
        assert all(plane.any() for plane in item.rain)


@dataclass
class Corner:
    """Grey rain falling through the upper left corner of the picture as it is shown."""

    sees: Sight
    radius: int = 0
    first: Decomposer | None = None
    remembers: bool = False
    wants_error: bool = False

    def __call__(self, aligned: Aligned) -> Tensor:
        rain = torch.zeros(aligned.observed.shape)
        rain[:, :20, :10] = 0.05
        return rain


@pytest.mark.parametrize("sees", ["luma", "rgb"])
@pytest.mark.parametrize("radius", [0, 1])
@pytest.mark.parametrize("name", ["full_range.mp4", "tenbit.mp4", "odd.mp4", "rotated.mp4"])
def test_rain_is_rounded_once_on_its_way_back(name: str, radius: int, sees: Sight) -> None:
    info, frames = opened(SAMPLES / name).info, decoded(SAMPLES / name)[2:5]
    frame, shown = frames[1], (info.width, info.height) if name == "rotated.mp4" else (info.height, info.width)
    layers = run(frames, info, Corner(sees, radius))[1]
    top = (1 << info.layout.depth) - 1
    scale = top if info.color.range == 2 else 219 << (info.layout.depth - 8)
    due = np.zeros(shown, np.int32)
    due[:20, :10] = round(0.05 * scale)
    if name == "rotated.mp4":
        due = np.rot90(due)  # shown turned by a quarter to the right
    np.testing.assert_array_equal(layers.rain[0], frame.planes[0] - np.clip(frame.planes[0] - due, 0, top))


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["baseline", "gate-s", "gate-l", "gate-b"])
def test_a_gpu_gives_the_layers_of_a_cpu(name: str) -> None:
    """But for what rounding moves; O = B + R exactly all the same."""
    info, frames = small("vfr.mp4")
    model = load_model(name, None, BaselineOptions(passes=2))
    due, found = (
        list(decompose(frames[:8], info, model, options=DecomposeOptions(device=device))) for device in ("cpu", "cuda")
    )
    assert any(plane.any() for item in due for plane in item.rain)
    for item, other in zip(found, due, strict=True):
        for o, b, r, near in zip(item.frame.planes, item.background, item.rain, other.background, strict=True):
            np.testing.assert_array_equal(b.astype(np.int32) + r, o)
            off = np.abs(b.astype(np.int32) - near)
            assert off.max() <= 2
            assert (off > 0).mean() < 0.02
