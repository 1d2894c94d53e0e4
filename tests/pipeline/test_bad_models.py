"""A model that misbehaves: files that are none, numbers that are none, pictures of another size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from tests.spoiled import Spoiled
from tests.unit.test_decompose import same_planes, small
from vidrain import pipeline
from vidrain.decompose import decompose
from vidrain.errors import ModelError
from vidrain.types import Frame, Layers
from vidrain.untouched import failed_frames, tolerated
from vidrain.video.decode import Video, open_video

pytestmark = pytest.mark.fault(30)


def one_nan(rain: Tensor) -> Tensor:
    rain = rain.clone()
    rain[0, -1, -1] = torch.nan
    return rain


SPOILS: dict[str, Callable[[Tensor], Tensor]] = {
    "one NaN": one_nan,
    "all NaN": lambda rain: torch.full_like(rain, torch.nan),
    "one infinity": lambda rain: one_nan(rain).nan_to_num(nan=torch.inf),
    "both infinities": lambda rain: torch.cat((rain[:, :1] + torch.inf, rain[:, 1:2] - torch.inf, rain[:, 2:]), 1),
}


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS)
def test_a_frame_without_numbers_goes_through_as_it_is(spoil: Callable[[Tensor], Tensor]) -> None:
    info, frames = small("vfr.mp4")
    good = list(decompose(frames[:6], info, Spoiled(frozenset(), spoil)))
    layers = list(decompose(frames[:6], info, Spoiled(frozenset({2, 4}), spoil)))
    assert [item.is_untouched for item in layers] == [False, False, True, False, True, False]
    for item, due in zip(layers, good, strict=True):
        assert same_planes(item.background, item.frame.planes if item.is_untouched else due.background)
        assert item.is_untouched <= (not any(plane.any() for plane in item.rain))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda rain: rain.expand(3, -1, -1),
        lambda rain: rain[:, ::2, ::2],
        lambda rain: rain.transpose(1, 2),
        lambda rain: rain[None],
        lambda rain: rain.to(torch.int32),
    ],
)
def test_rain_of_another_shape_is_refused(spoil: Callable[[Tensor], Tensor]) -> None:
    info, frames = small("vfr.mp4")
    with pytest.raises(ModelError, match=r"the model gave \(.*\) torch\.\w+ for a picture of \(1, 96, 128\)") as caught:
        list(decompose(frames[:3], info, Spoiled(frozenset({1}), spoil)))
    assert caught.value.exit_code == 7
    assert "\n" not in str(caught.value)


def layers_of(count: int, bad: set[int]) -> list[Layers]:
    planes = (np.zeros((2, 2), np.uint8),)
    return [Layers(Frame(planes, index, 1, index), planes, index in bad) for index in range(count)]


@pytest.mark.parametrize(
    ("total", "bad", "ends"), [(100, {7}, False), (100, {7, 9}, True), (99, {98}, True), (1, {0}, True)]
)
def test_one_in_a_hundred_is_tolerated(total: int, bad: set[int], ends: bool) -> None:
    untouched: list[int] = []
    if ends:
        with pytest.raises(ModelError, match=f"NaN or infinity for {len(bad)} of {total} frames.*allowed: 1 %"):
            list(tolerated(layers_of(total, bad), total, untouched))
    else:
        assert len(list(tolerated(layers_of(total, bad), total, untouched))) == total
    assert untouched == sorted(bad)


def test_the_notice_counts_and_does_not_run_on() -> None:
    assert failed_frames([]) == []
    (notice,) = failed_frames([3])
    assert notice.message == "the model gave NaN or infinity for 1 frames (3): they keep their rain"
    (notice,) = failed_frames(range(50))
    assert "50 frames (0, 1, 2, 3, 4, 5, 6, 7, ...)" in notice.message


def test_a_job_tells_of_the_frame_and_keeps_it(
    tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / "out.mp4"
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-frames:v", "120", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*lavfi, "-c:v", "libx264", source)
    monkeypatch.setattr(pipeline, "load_decomposer", lambda *_, **__: Spoiled(frozenset({40}), one_nan))
    ran = vidrain("clean", source, "-o", target, "--archive", "--json")
    assert ran.code == 0
    warnings = [event for event in ran.events if event["event"] == "warning"]
    assert [(event["code"], event["message"]) for event in warnings] == [
        ("model", "the model gave NaN or infinity for 1 frames (40): they keep their rain")
    ]
    due, got = ffmpeg_says.shown_frames(source), ffmpeg_says.shown_frames(target)
    assert got.contents[40] == due.contents[40]
    assert len(got.packets) == 120


@pytest.mark.parametrize("spoil", [one_nan, lambda rain: rain[:, 1:]], ids=["NaN", "shape"])
def test_a_job_with_a_useless_model_ends_and_leaves_nothing(
    spoil: Callable[[Tensor], Tensor], samples: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "load_decomposer", lambda *_, **__: Spoiled(frozenset({3}), spoil))
    ran = vidrain("clean", samples / "vfr.mp4", "-o", tmp_path / "out.mp4")
    assert (ran.code, ran.err.count("\n")) == (7, 1)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["truncated", "wrong header", "other model", "missing"])
def test_weights_are_refused_before_a_frame_is_decoded(
    kind: str, samples: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "weights.safetensors"
    if kind != "missing":
        save_file({"gate": np.zeros((64, 64), np.float32)}, weights, metadata={"model": "gate"})
    whole = weights.read_bytes() if weights.exists() else b""
    if kind == "truncated":
        weights.write_bytes(whole[: len(whole) // 2])
    if kind == "wrong header":
        weights.write_bytes(whole.replace(b'"dtype":"F32"', b'"dtype":"X99"'))
    decoded: list[int] = []
    frames = Video.frames

    def counted(video: Video, first: int = 0) -> object:
        decoded.append(first)
        return frames(video, first)

    monkeypatch.setattr(Video, "frames", counted)
    ran = vidrain("clean", samples / "vfr.mp4", "-o", tmp_path / "out.mp4", "--weights", weights)
    assert (ran.code, ran.err.count("\n")) == (7, 1)
    assert decoded == []
    assert not (tmp_path / "out.mp4").exists()
    next(iter(open_video(samples / "vfr.mp4").frames()))
    assert decoded == [0], "the counter itself does not work"
