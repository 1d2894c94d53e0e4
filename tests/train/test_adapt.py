"""Fitting a network to footage: it helps where it can, is judged on frames held out, and can be repeated."""

from dataclasses import replace
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import vidrain.train.adapt as module
from tests import ffmpeg_says
from tests.broken import wiped
from tests.train.test_data import write_repeats
from tests.unit.test_clips import write_painted
from vidrain.decompose import decompose
from vidrain.errors import UsageError
from vidrain.events import AdaptationStep, Event
from vidrain.model.gate import CONFIGS, Gate, GateDecomposer
from vidrain.train.adapt import AdaptOptions, Outcome, adapt, judged
from vidrain.train.balance import LossWeights
from vidrain.train.stretches import Clip, Stretch, parts_of, split
from vidrain.video.color import conversion_for, to_luma
from vidrain.video.decode import open_video
from vidrain.watchdog import Watchdog

CPU = torch.device("cpu")
SMALL = AdaptOptions(steps=10, patch=48, batch=4, readings=3, refresh=100, rate=1e-3)


def untrained(name: str = "gate-s") -> Gate:
    torch.manual_seed(0)
    return Gate(CONFIGS[name]).eval().requires_grad_(False)


def clip(path: Path, kept: range | None = None) -> Clip:
    video = open_video(path)
    return Clip(video, kept or range(len(video.index.pts)), Watchdog(path, 60))


def fitted(path: Path, base: Gate | None = None, **changes: object) -> tuple[Gate, Outcome]:
    options = replace(SMALL, **changes)  # type: ignore[arg-type]
    return adapt(base or untrained(), [clip(path)], options, device=CPU)


def same(first: Gate, second: Gate) -> bool:
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def error_against(truth: Path, path: Path, net: Gate) -> float:
    """Mean squared error of the clean luma, in codes, on a few frames."""
    wanted, video = range(12, 22, 3), open_video(path)
    layers = decompose(video.frames(), video.info, GateDecomposer(net, first=None), wanted=wanted)
    due = (frame.planes[0] for frame in open_video(truth).frames() if frame.index in wanted)
    pairs = zip(layers, due, strict=True)
    return float(np.mean([np.square(found.background[0].astype(float) - plane).mean() for found, plane in pairs]))


@pytest.fixture(scope="module")
def helped(samples: Path) -> tuple[Gate, Outcome]:
    """Ten steps on a rainy street."""
    return fitted(samples / "street.mp4")


def test_the_error_on_held_out_frames_falls(helped: tuple[Gate, Outcome], samples: Path) -> None:
    """What is told is what the network does on windows of stretches that it never learned from, and so is the truth."""
    net, outcome = helped
    assert outcome.reason is None
    assert outcome.steps == 10
    assert outcome.kept_steps in (5, 10)
    assert outcome.before is not None
    assert outcome.after is not None
    assert outcome.gain == 1 - outcome.after.error / outcome.before.error > 0.1
    assert outcome.after.benefit > outcome.before.benefit
    _, held = split([clip(samples / "street.mp4")], 5)
    run = module._Run(untrained(), SMALL, module._training(SMALL, 48), CPU, lambda event: None, 0.0)
    pairs = list(module._held_out(run, held))
    assert judged(net, pairs, run.config) == outcome.after
    assert judged(untrained(), pairs, run.config) == outcome.before
    truth, rainy = samples / "street_clean.mp4", samples / "street.mp4"
    assert error_against(truth, rainy, net) < 0.98 * error_against(truth, rainy, untrained())


def test_the_same_steps_give_the_same_weights(helped: tuple[Gate, Outcome], samples: Path) -> None:
    torch.manual_seed(99)  # of no account
    again, outcome = fitted(samples / "street.mp4")
    assert same(again, helped[0])
    assert outcome == helped[1]
    assert not same(fitted(samples / "street.mp4", seed=1)[0], again)


def test_terms_of_nlcl_take_part(samples: Path) -> None:
    """They look at a neighbour, so the windows come with one; without them there would be nothing to learn from."""
    weights = LossWeights(recycling=0, correction=0, decorrelation=1.0, consistency=1.0)
    assert fitted(samples / "street.mp4", steps=5, weights=weights)[1].steps == 5


def test_steps_repeat_a_run_by_the_clock(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step is begun in time; what is kept is what so many steps give. The clock goes by a tick a look."""
    heard: list[Event] = []
    monkeypatch.setattr(module, "monotonic", count().__next__)
    options = replace(SMALL, steps=None, seconds=30.0, patience=10_000)
    net, outcome = adapt(untrained(), [clip(samples / "street.mp4")], options, device=CPU, on_event=heard.append)
    told = [event for event in heard if isinstance(event, AdaptationStep)]
    assert [event.steps for event in told] == list(range(len(told)))
    assert told[-2].seconds < 30 <= told[-1].seconds + 2
    assert len(told) - 1 - SMALL.check_every < outcome.steps < len(told)
    assert outcome.steps > SMALL.check_every
    again, repeated = fitted(samples / "street.mp4", steps=outcome.steps, patience=10_000)
    assert repeated == outcome
    assert same(again, net)


def test_a_clock_that_is_too_short(samples: Path) -> None:
    base = untrained()
    net, outcome = fitted(samples / "street.mp4", base, steps=None, seconds=0.01)
    assert net is base
    assert outcome.reason == "the time was up before the first check, after 5 steps; give it more"


def test_an_absurd_rate_falls_back(samples: Path) -> None:
    base = untrained()
    net, outcome = fitted(samples / "street.mp4", base, rate=1e3, patience=1)
    assert net is base
    assert same(base, untrained())
    assert outcome.reason is not None
    assert outcome.reason.startswith("the error on held-out frames fell by 0.0% at most")
    assert (outcome.kept_steps, outcome.gain, outcome.after) == (0, 0.0, outcome.before)
    assert outcome.steps == 5  # patience


@pytest.mark.proves("adapt")
def test_a_lower_error_alone_is_not_enough(samples: Path, tmp_path: Path) -> None:
    """Noise is no rain, but the teacher takes it for some: to learn to take more of it is no gain, and is refused."""
    noisy, filters = tmp_path / "noisy.mp4", "scale=240:160,noise=alls=24:allf=t:all_seed=7"
    ffmpeg_says.quietly(
        "-i", samples / "street_clean.mp4", "-an", "-vf", filters, "-c:v", "libx264", "-crf", "12", noisy
    )
    base = untrained()
    net, outcome = fitted(noisy, base, steps=5)
    assert net is base
    assert outcome.reason == "what lowered the error on held-out frames took more of what is no rain"


def test_benefit_tells_rain_from_what_moves_both_ways(samples: Path) -> None:
    """A gate that takes all: of rain it has a benefit, of noise, which is as often dark as bright, none."""
    net = untrained()
    with torch.no_grad():
        net.tail.weight.zero_()
        net.tail.bias[: len(net.tail.bias) // 3] = 3.0  # of what exceeds the median
    _, held = split([clip(samples / "street.mp4")], 5)
    run = module._Run(net, replace(SMALL, held_out=1), module._training(SMALL, 48), CPU, lambda event: None, 0.0)
    (pair,) = module._held_out(run, held)
    rainy = judged(net, [pair], run.config)
    random = torch.Generator().manual_seed(1)
    scene = torch.full_like(pair.batch.observed, 0.5)
    noise = [torch.randn(part.shape, generator=random) * 0.05 for part in (scene, pair.batch.witnesses)]
    noisy, negative = (
        pair.batch._replace(observed=scene + sign * noise[0], witnesses=scene[:, None] + sign * noise[1])
        for sign in (1, -1)
    )
    still = judged(net, [pair._replace(batch=noisy, negative=negative)], run.config)
    assert rainy.benefit > 3e-4
    assert still.benefit == pytest.approx(-(0.05**2) * (1 + 1 / 3) / 2, rel=0.15)  # of M, of four, about a third


def test_dry_footage_falls_back(samples: Path) -> None:
    """A gate that takes nothing finds no rain anywhere."""
    base = untrained()
    with torch.no_grad():
        base.tail.weight.zero_()
        base.tail.bias.fill_(-3.0)
    net, outcome = fitted(samples / "street_clean.mp4", base)
    assert net is base
    assert outcome.reason == "hardly any rain was found in it"


@pytest.mark.parametrize(("frames", "is_enough"), [(1, False), (9, False), (10, True)])
def test_short_clips(frames: int, is_enough: bool, samples: Path) -> None:
    base = untrained()
    part = clip(samples / "street.mp4", range(20, 20 + frames))
    net, outcome = adapt(base, [part], replace(SMALL, steps=5), device=CPU)
    assert (outcome.steps > 0) == is_enough
    if not is_enough:
        assert net is base
        assert outcome.reason == f"it has {frames} frames, 10 are needed"


def test_footage_without_a_window(tmp_path: Path) -> None:
    """Every frame twice, so that stretches of five frames hold three different ones."""
    base = untrained()
    repeats = write_repeats(tmp_path / "repeats.mkv")
    net, outcome = adapt(base, [clip(repeats, range(4, 14))], SMALL, device=CPU)
    assert net is base
    assert outcome.reason == "no 5 different frames in a row were found in it"


def test_small_pictures_get_small_patches(samples: Path) -> None:
    assert fitted(samples / "vfr.mp4", patch=200, steps=5)[1].steps == 5  # 256x160


@pytest.mark.parametrize("name", ["gate-m", "gate-l"])
def test_larger_gates(name: str, samples: Path) -> None:
    _, outcome = fitted(samples / "street.mp4", untrained(name), steps=5, patch=32, batch=2)
    assert outcome.steps == 5
    assert outcome.before != outcome.after or outcome.reason is not None


@pytest.mark.gpu
def test_it_runs_on_a_gpu(samples: Path) -> None:
    net, outcome = adapt(untrained(), [clip(samples / "street.mp4")], SMALL, device=torch.device("cuda"))
    assert outcome.kept_steps
    assert next(net.parameters()).device.type == "cuda"


@given(st.integers(0, 500), st.integers(1, 2000), st.integers(1, 15), st.lists(st.integers(0, 2500), max_size=9))
def test_no_frame_is_in_two_parts(start: int, frames: int, shortest: int, keys: list[int]) -> None:
    kept = range(start, start + frames)
    parts = parts_of(kept, shortest, sorted(keys))
    assert all(a.stop <= b.start for a, b in pairwise(parts))
    assert all(kept.start <= part.start < part.stop <= kept.stop for part in parts)
    if frames >= 2 * shortest:
        assert 2 <= len(parts) <= 24
        assert all(shortest <= len(part) <= 48 or len(part) == shortest for part in parts)


def test_long_parts_begin_at_key_frames() -> None:
    parts = parts_of(range(24 * 1000), 5, range(0, 24_000, 250))
    assert [len(part) for part in parts] == [48] * 24
    assert [part.start % 250 for part in parts] == [0] * 24
    assert parts_of(range(24 * 1000), 5, [])[1] == range(1000, 1048)


def test_every_fourth_stretch_is_held_out(samples: Path) -> None:
    learned, held = split([clip(samples / "street.mp4"), clip(samples / "cut.mkv")], 5)
    assert [list(part._frames) for part in held] == [list(range(11, 22)), list(range(12, 24))]
    assert sum(map(len, learned)) + sum(map(len, held)) == 44 + 36


def test_a_stretch_reads_its_own_frames(tmp_path: Path) -> None:
    path = write_painted(tmp_path / "a.mp4", x264="keyint=12:scenecut=0:open-gop=0", frames=40)
    whole = clip(path)
    found = Stretch(whole, range(17, 30)).read([0, 3, 12])
    conversion = conversion_for(whole.video.info)
    due = {frame.index: to_luma(frame.planes, conversion) for frame in open_video(path).frames()}
    assert all(torch.equal(a, due[index]) for a, index in zip(found, (17, 20, 29), strict=True))
    assert not whole.video.decoded.frames.any()  # what the job decodes is its own affair


def test_frames_that_do_not_decode_are_stood_in_for(samples: Path, tmp_path: Path) -> None:
    path = tmp_path / "whole.mov"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-an", "-c:v", "mjpeg", "-q:v", "2", path)
    broken = Stretch(clip(wiped(path, tmp_path / "broken.mov", range(11, 14))), range(8, 20))
    pictures = broken.read([0, 2, 3, 5, 6])
    assert torch.equal(pictures[1], pictures[2])
    assert torch.equal(pictures[1], pictures[3])
    assert not torch.equal(pictures[3], pictures[4])
    assert [picture.shape for picture in broken.read([3, 4])] == [(1, 208, 208)] * 2  # none of them decodes


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"seconds": 3.0, "steps": 4}, "seconds=3 steps=4: allowed: one of them"),
        ({"seconds": 0.0}, "for 0 seconds: allowed: above 0"),
        ({"seconds": float("nan")}, "for nan seconds"),
        ({"steps": 0}, "steps=0: allowed: at least 1"),
        ({"least_gain": 1.0}, "least_gain=1.0: allowed: from 0, below 1"),
        ({"patch": 300}, "patch=300: allowed: up to data.crop=256"),
        ({"dry": 2.0}, "dry=2.0: allowed: 0 to 1"),
    ],
)
def test_settings_out_of_bounds(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        AdaptOptions(**wrong)  # type: ignore[arg-type]


def test_nothing_is_wanted_by_default() -> None:
    assert not AdaptOptions().is_wanted
    assert AdaptOptions(seconds=1).is_wanted
    assert AdaptOptions(steps=1).is_wanted
