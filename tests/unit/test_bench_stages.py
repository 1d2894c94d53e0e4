"""Stages by themselves: what sleeps shows up in its own stage, and what is measured is what `decompose` does."""

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from torch import Tensor

from vidrain.align import AlignOptions, guide_of
from vidrain.baseline import _MOST_PASSES, Baseline, BaselineOptions
from vidrain.bench import clip as clips
from vidrain.bench.clip import pictures, write_clip
from vidrain.bench.markdown import heading_of
from vidrain.bench.passthrough import passthrough
from vidrain.bench.stages import (
    BEFORE,
    CODEC,
    MODEL,
    Stopwatch,
    _levels,
    codec_stages,
    held_frames,
    layers_by_stages,
    model_stages,
    published_ms,
)
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.flow import flow_between, forward_backward_error
from vidrain.model.nlcl import Generator, Nlcl
from vidrain.types import Aligned
from vidrain.video.color import conversion_for, to_rgb
from vidrain.video.decode import open_video

FRAMES = 16


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, "192x128", FRAMES, seed=1)
    return path


class Sleeper(Baseline):
    """A baseline that takes its time; a pass before it, likewise, where asked for."""

    def __init__(self, seconds: float, before: "Sleeper | None" = None) -> None:
        super().__init__(BaselineOptions(radius=1))
        self.seconds, self.before = seconds, before

    @property
    def first(self) -> "Sleeper | None":
        return self.before

    def __call__(self, aligned: Aligned) -> Tensor:
        time.sleep(self.seconds)
        return super().__call__(aligned)


def test_there_is_a_name_for_every_pass() -> None:
    most = BaselineOptions(passes=_MOST_PASSES)
    levels = list(_levels(Baseline(most), DecomposeOptions()))
    assert [level.before for level in levels] == [*BEFORE, ""]
    named = [heading_of(stage) for stage in ("first flow", "second network", "flow", "decode")]
    assert named == ["first pass: flow", "second pass: network", "flow", "decode"]


def test_a_network_that_sleeps_shows_up_as_the_network(clip: Path) -> None:
    found = model_stages(clip, Sleeper(0.05, Sleeper(0.02, Sleeper(0.08))), DecomposeOptions())
    assert found["network"] >= 50
    assert 20 <= found["second network"] < 80 <= found["first network"], "each by itself"
    assert found["line"] >= 45
    assert max(found[stage] for stage in ("picture", "flow", "warp", "quantise")) < 50
    assert set(found) == set(MODEL)


class Heavy(Nlcl):
    """A network that takes its time to move to a device."""

    def to(self, *args: Any, **kwargs: Any) -> "Heavy":
        time.sleep(0.5)
        return super().to(*args, **kwargs)


def test_moving_the_published_network_to_its_device_is_no_frame(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", "32x32", 1, seed=1)
    net = Heavy(Generator(), None, statistics="live").eval().requires_grad_(False)
    assert 0 < published_ms(tmp_path / "clip.mp4", net, "cpu") < 500


def test_a_decoder_that_sleeps_shows_up_as_decoding(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = codec_stages(clip, tmp_path / "a.mp4")
    monkeypatch.setattr("vidrain.bench.stages.held_frames", lambda video: (time.sleep(1.6), held_frames(video))[1])
    after = codec_stages(clip, tmp_path / "b.mp4")
    assert set(before) == set(CODEC)
    assert after["decode"] >= 1600 / FRAMES > before["decode"]
    assert after["encode"] < 1600 / FRAMES


def test_the_line_overlaps_its_stages_as_a_job_does(clip: Path) -> None:
    found = model_stages(clip, Sleeper(0.06, Sleeper(0.06)), DecomposeOptions())
    assert 55 <= found["line"] < 0.8 * (found["network"] + found["first network"])


@pytest.mark.parametrize("radius", [0, 2])
def test_stages_together_are_what_decompose_does(clip: Path, radius: int) -> None:
    """Otherwise something else would be measured than a job computes."""
    video, options = open_video(clip), DecomposeOptions()
    frames, baseline = held_frames(video), Baseline(BaselineOptions(radius=radius))
    assert len(frames) == FRAMES
    made = list(layers_by_stages(frames, video, baseline, options, Stopwatch()))
    whole = list(decompose(iter(frames), video.info, baseline, options=options))
    inner = whole[radius : FRAMES - radius]
    assert [layers.frame.index for layers in made] == [layers.frame.index for layers in inner]
    assert all(
        np.array_equal(*planes)
        for mine, theirs in zip(made, inner, strict=True)
        for planes in zip(mine.background, theirs.background, strict=True)
    )
    assert radius == 0 or any(layers.rain[0].any() for layers in made)


def test_a_clip_shorter_than_the_window_is_measured_as_a_line_alone(clip: Path, tmp_path: Path) -> None:
    write_clip(tmp_path / "short.mp4", "96x64", 3, seed=1)
    assert set(model_stages(tmp_path / "short.mp4", Baseline(BaselineOptions()), DecomposeOptions())) == {"line"}


def test_a_stopwatch_tells_the_mean_of_its_calls() -> None:
    watch = Stopwatch()
    assert [watch.run("nap", lambda ms: time.sleep(ms / 1000) or ms, ms) for ms in (20, 40)] == [20, 40]
    assert 30 <= watch.means_ms()["nap"] < 60


def test_passthrough_gives_every_frame_at_its_time(clip: Path, tmp_path: Path) -> None:
    """Nothing is left out, and no pixel is changed but by the encoder."""
    seen: list[int] = []
    assert passthrough(clip, tmp_path / "out.mp4", seen.append) == FRAMES
    assert seen == list(range(1, FRAMES + 1))
    source, made = (list(open_video(path).frames()) for path in (clip, tmp_path / "out.mp4"))
    assert [(frame.pts, frame.duration) for frame in source] == [(frame.pts, frame.duration) for frame in made]
    errors = [
        np.square(a.planes[0].astype(float) - b.planes[0].astype(float)).mean()
        for a, b in zip(source, made, strict=True)
    ]
    assert 0 < max(errors) < 255**2 / 10**3.5  # 35 dB


def test_a_clip_is_made_by_its_seed(tmp_path: Path) -> None:
    for name, seed, frames in (("a", 1, 4), ("b", 1, 4), ("c", 2, 4), ("long", 1, 8)):
        write_clip(tmp_path / f"{name}.mp4", "96x64", frames, seed=seed)
    content = {path.stem: path.read_bytes() for path in tmp_path.iterdir()}
    assert content["a"] == content["b"] != content["c"]
    planes = {seed: next(pictures(96, 64, seed)) for seed in (1, 2)}
    assert not np.array_equal(planes[1][0], planes[2][0])
    assert len(list(open_video(tmp_path / "long.mp4").frames())) == 8


def test_a_clip_moves_as_footage_does(tmp_path: Path) -> None:
    """A flow follows it and leads back, it moves, and an encoder has work to do."""
    path, frames = tmp_path / "clip.mp4", 12
    write_clip(path, "320x192", frames, seed=1)
    video = open_video(path)
    rgb = [to_rgb(frame.planes, conversion_for(video.info)) for frame in video.frames()]
    guides = [guide_of(picture, AlignOptions(scale=1.0)) for picture in rgb]
    forth, back = flow_between(guides[3], guides[4]), flow_between(guides[4], guides[3])
    assert np.hypot(forth[..., 0], forth[..., 1]).mean() > 0.5
    assert (forward_backward_error(forth, back) < 1).mean() > 0.8
    bits = 8 * path.stat().st_size / frames / (320 * 192)
    assert 0.05 < bits < 0.8


def test_rain_in_a_clip_brightens_and_is_elsewhere_in_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    def lumas() -> list[npt.NDArray[np.int16]]:
        return [planes[0].astype(np.int16) for planes, _ in zip(pictures(320, 192, 1), range(4), strict=False)]

    rainy = lumas()
    monkeypatch.setattr(clips, "_RAIN", tuple((*depth[:3], 0.0) for depth in clips._RAIN))
    added = [wet - dry for wet, dry in zip(rainy, lumas(), strict=True)]
    assert all(found.min() >= 0 for found in added)
    falls = [found > 10 for found in added]
    assert all(0.005 < here.mean() < 0.2 for here in falls)
    for earlier, later in pairwise(falls):
        assert (earlier & later).sum() < 0.5 * later.sum()
