"""Fitting a gate to footage: it helps where it can, is judged on frames held out, and can be repeated."""

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
from vidrain.decompose import Taken, decompose, taken_from
from vidrain.errors import UsageError
from vidrain.events import AdaptationStep, Event
from vidrain.flow import Guide
from vidrain.model.gate import CONFIGS, Gate, GateDecomposer
from vidrain.train.adapt import FACTORS, TRIED, AdaptOptions, Outcome, Simulated, adapt, errors_by_factors, simulated
from vidrain.train.stretches import Clip, Stretch, parts_of, split
from vidrain.types import Aligned, Decomposer
from vidrain.video.color import conversion_for, to_luma
from vidrain.video.decode import open_video
from vidrain.watchdog import Watchdog

SOME = AdaptOptions(steps=4)


def untrained(name: str = "gate-s", strength: float = 1.0) -> GateDecomposer:
    """A gate that takes what looks like rain, or a share of it."""
    torch.manual_seed(0)
    net = Gate(CONFIGS[name])
    net.strength.fill_(strength)
    return GateDecomposer(net, first=untrained(first) if (first := CONFIGS[name].first) else None)


def biased(by: float) -> GateDecomposer:
    """One whose shares are all so much more."""
    gate = untrained()
    gate.net.tail.bias.data.fill_(by)
    return GateDecomposer(gate.net, first=None)


def clip(path: Path, kept: range | None = None) -> Clip:
    video = open_video(path)
    return Clip(video, kept or range(len(video.index.pts)), Watchdog(path, 60))


def fitted(path: Path, base: GateDecomposer, **changes: object) -> tuple[Gate, Outcome]:
    return adapt(base, [clip(path)], replace(SOME, **changes), device="cpu")  # type: ignore[arg-type]


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


def found(gain: float, of: int, rainy: float = 0.1) -> Simulated:
    """One frame, on which the factors of that number have so much less error than those of the base."""
    errors = torch.full((len(TRIED),), 2.0, dtype=torch.float64)
    errors[module._BASE] = 1.0
    errors[of] = 1 - gain
    return Simulated(errors, rainy, 1)


@pytest.fixture(scope="module")
def helped(samples: Path) -> tuple[Gate, Outcome]:
    """One that takes half of what looks like rain, on a rainy street."""
    return fitted(samples / "street.mp4", untrained(strength=0.5))


@pytest.mark.proves("adapt")
def test_what_takes_too_little_takes_more(helped: tuple[Gate, Outcome], samples: Path) -> None:
    net, outcome = helped
    assert outcome.reason is None
    assert outcome.steps == 2
    assert outcome.factors[0] > 1
    assert torch.allclose(net.strength, 0.5 * torch.tensor(outcome.factors))
    truth, rainy = samples / "street_clean.mp4", samples / "street.mp4"
    assert error_against(truth, rainy, net) < 0.95 * error_against(truth, rainy, untrained(strength=0.5).net)


@pytest.mark.proves("adapt")
def test_what_takes_too_much_takes_less(samples: Path) -> None:
    """Where hardly anything rains on a street, nearly all that exceeds the neighbours is texture."""
    base = biased(0.6)
    net, outcome = fitted(samples / "street.mp4", base)
    truth, rainy = samples / "street_clean.mp4", samples / "street.mp4"
    assert min(outcome.factors) < 1
    assert error_against(truth, rainy, net) < error_against(truth, rainy, base.net)


@given(st.integers(0, 2**32 - 1), st.integers(1, 7), st.integers(1, 7))
def test_errors_by_products_are_those_of_pictures(seed: int, height: int, width: int) -> None:
    random = torch.Generator().manual_seed(seed)
    shares, parts, rain = (torch.rand(*size, height, width, generator=random) for size in ((3,), (3,), ()))
    shares = 3 * shares - 1
    slow = []
    for factors in TRIED:
        left = rain.double().clone()
        for factor, share, part in zip(factors, shares, parts, strict=True):
            left -= ((share * factor).clamp(0, 1) * part).double()
        slow.append(left.square().mean())
    assert torch.allclose(errors_by_factors(shares, parts, rain), torch.stack(slow), rtol=1e-9, atol=1e-12)


def test_all_factors_are_tried() -> None:
    assert len(TRIED) == 100 == len(set(TRIED))
    assert all(factor in FACTORS[place] for factors in TRIED for place, factor in enumerate(factors))
    assert TRIED[module._BASE] == (1.0, 1.0, 1.0)


def test_the_simulation_knows_its_truth(samples: Path) -> None:
    """Who takes nothing leaves nothing wrong: it finds no rain, so none is laid on the frames."""
    _, (held,) = split([clip(samples / "street.mp4")], 10)
    seen = held.read(range(len(held)))
    nothing = simulated(seen, biased(-9.0), "cpu")
    assert nothing.rainy == 0
    assert nothing.errors.max() == 0
    some = simulated(seen, untrained(), "cpu")
    assert some.frames == len(range(2, len(seen) - 2, 2))
    assert 0.005 < some.rainy / some.frames < 0.2
    assert (some.errors > 0).all()


def test_the_errors_are_those_of_gates_whose_shares_are_multiplied(
    samples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what a bold gate leaves, with what it takes five frames later on it."""
    _, (held,) = split([clip(samples / "street.mp4")], 10)
    seen, base = held.read(range(len(held)))[:10], untrained(strength=0.8)
    bold = module.multiplied(base, module.BOLD)
    rains = [bold(window) for _, window in module._windows(seen, bold, device="cpu")]
    truths = [luma - rain for luma, rain in zip(seen, rains, strict=True)]
    rainy = [(truth + rains[(place + 5) % 10]).clamp(max=1) for place, truth in enumerate(truths)]
    number = TRIED.index((1.25, 0.65, 1.6))
    gate = module.multiplied(base, TRIED[number])
    windows = {item.center.source: window for item, window in module._windows(rainy, base, device="cpu")}
    due = sum(float((rainy[at] - gate(windows[at]) - truths[at]).double().square().mean()) for at in (2, 4, 6))
    assert float(simulated(seen, base, "cpu").errors[number]) == pytest.approx(due, rel=1e-4)
    monkeypatch.setattr(module, "BOLD", (1.0, 1.0, 1.0))
    assert float(simulated(seen, base, "cpu").errors[number]) != pytest.approx(due, rel=1e-2)


def test_gates_behind_a_pass_are_less_bold(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, (held,) = split([clip(samples / "street.mp4")], 10)
    seen, base = held.read(range(len(held)))[:10], untrained("gate-l")
    errors = simulated(seen, base, "cpu").errors
    monkeypatch.setattr(module, "BOLD", (9.0, 9.0, 9.0))
    assert torch.equal(simulated(seen, base, "cpu").errors, errors)
    monkeypatch.setattr(module, "BOLD_BEHIND", (9.0, 9.0, 9.0))
    assert not torch.equal(simulated(seen, base, "cpu").errors, errors)


def test_passes_before_run_where_the_gate_does(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, (held,) = split([clip(samples / "street.mp4")], 10)
    devices: list[str] = []

    def taken(aligned: Aligned, decomposer: Decomposer, device: str, marks: Guide | None = None) -> Taken:
        devices.append(device)
        return taken_from(aligned, decomposer, "cpu", marks)

    monkeypatch.setattr("vidrain.decompose.taken_from", taken)
    list(module._windows(held.read(range(10)), untrained("gate-l"), device="cuda"))
    assert devices == ["cuda"] * 10


def test_repeats_are_left_out(samples: Path) -> None:
    """With other rain on each they would be different frames of the very same scene."""
    _, (held,) = split([clip(samples / "street.mp4")], 10)
    once = held.read(range(len(held)))[:12]
    twice = [frame for frame in once for _ in range(2)]
    assert simulated(twice, untrained(), "cpu").frames == simulated(once, untrained(), "cpu").frames == 4
    assert simulated(once[:9], untrained(), "cpu").frames == 0


def test_footage_that_stands_still(tmp_path: Path) -> None:
    """Every frame twice, so that ten frames hold five different ones."""
    base = untrained()
    repeats = write_repeats(tmp_path / "repeats.mkv")
    net, outcome = adapt(base, [clip(repeats, range(4, 24))], SOME, device="cpu")
    assert net is base.net
    assert outcome.reason == "no stretch, or only one, has 10 frames that differ"


@pytest.mark.proves("adapt")
@pytest.mark.parametrize(
    ("learned", "held", "said"),
    [
        (found(0.2, 7), found(0.1, 7), None),
        (found(0.2, 7), found(0.1, 8), "the error fell by 20.0%, and on what was held out by -100.0%; wanted are 0.5%"),
        (found(0.2, 7), found(0.004, 7), "on what was held out by 0.4%"),
        (found(0.004, 7), found(0.2, 7), "the error fell by 0.4%"),
        (found(-0.1, 7), found(0.2, 7), "the error fell by 0.0%"),
        (found(0.2, 7, rainy=0.0009), found(0.2, 7), "hardly any rain was found in it"),
        (module._NOTHING, found(0.2, 7), "no stretch, or only one, has 10 frames that differ"),
        (found(0.2, 7), module._NOTHING, "no stretch, or only one, has 10 frames that differ"),
    ],
)
def test_the_base_weights_are_kept_unless_both_gain(learned: Simulated, held: Simulated, said: str | None) -> None:
    base = untrained()
    net, outcome = module._fitted(base, learned, held, 9, 0.005)
    assert (outcome.reason is None) == (said is None)
    assert said is None or (net is base.net and said in str(outcome.reason))
    assert said is not None or (outcome.factors == TRIED[7] and outcome.gain == pytest.approx(0.1))
    assert outcome.steps == 9
    assert torch.equal(base.net.strength, torch.ones(3))


def test_the_same_steps_give_the_same_weights(helped: tuple[Gate, Outcome], samples: Path) -> None:
    torch.manual_seed(99)  # of no account
    again, outcome = fitted(samples / "street.mp4", untrained(strength=0.5))
    assert same(again, helped[0])
    assert outcome == helped[1]


def test_steps_repeat_a_run_by_the_clock(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step is begun in time. The clock goes by a tick a look."""
    heard: list[Event] = []
    monkeypatch.setattr(module, "monotonic", count().__next__)
    base = untrained(strength=0.5)
    options, both = AdaptOptions(seconds=5.5), [clip(samples / "street.mp4", range(20)), clip(samples / "vfr.mp4")]
    net, outcome = adapt(base, both, options, device="cpu", on_event=heard.append)
    told = [event for event in heard if isinstance(event, AdaptationStep)]
    assert [event.steps for event in told] == list(range(len(told)))
    assert told[-2].seconds < 5.5 <= told[-1].seconds + 1
    assert outcome.steps == 2
    again, repeated = adapt(base, both, AdaptOptions(steps=2), device="cpu")
    assert repeated == outcome
    assert same(again, net)


def test_a_clock_that_is_too_short(samples: Path) -> None:
    base = untrained()
    net, outcome = fitted(samples / "street.mp4", base, steps=None, seconds=1e-9)
    assert net is base.net
    assert outcome.reason == "only 0 of 2 stretches that are needed were looked at; give it more time or steps"


def test_where_no_rain_is_found_there_is_nothing_to_fit_to(samples: Path) -> None:
    """By a gate that takes nothing."""
    base = biased(-9.0)
    net, outcome = fitted(samples / "street.mp4", base)
    assert net is base.net
    assert outcome.reason == "hardly any rain was found in it"


@pytest.mark.parametrize(("frames", "is_enough"), [(1, False), (19, False), (20, True)])
def test_short_clips(frames: int, is_enough: bool, samples: Path) -> None:
    base = untrained()
    net, outcome = adapt(base, [clip(samples / "street.mp4", range(10, 10 + frames))], SOME, device="cpu")
    assert outcome.steps == (2 if is_enough else 0)
    if not is_enough:
        assert net is base.net
        assert outcome.reason == f"it has {frames} frames, 20 are needed"


@pytest.mark.parametrize("name", ["gate-m", "gate-l"])
def test_larger_gates(name: str, samples: Path) -> None:
    part = clip(samples / "street.mp4", range(10, 30))
    _, outcome = adapt(untrained(name, strength=0.5), [part], SOME, device="cpu")
    assert outcome.steps == 2
    assert outcome.reason is None or outcome.reason.startswith("the error fell by ")  # all of it was measured


@pytest.mark.gpu
@pytest.mark.parametrize("name", ["gate-s", "gate-l"])
def test_it_runs_on_a_gpu(name: str, samples: Path) -> None:
    _, outcome = adapt(untrained(name, strength=0.5), [clip(samples / "street.mp4")], SOME, device="cuda")
    assert outcome.steps == 2
    assert outcome.reason is None or outcome.reason.startswith("the error fell by ")


@given(st.integers(1, 18), st.integers(1, 6))
def test_both_kinds_come_in_turn(learned: int, held: int) -> None:
    parts = [[f"{kind}{place}" for place in range(count)] for kind, count in (("a", learned), ("b", held))]
    found = list(module._in_turn(*parts, 3))  # type: ignore[arg-type]
    assert sorted(found) == [(False, part) for part in sorted(parts[0])] + [(True, part) for part in sorted(parts[1])]
    assert found == list(module._in_turn(*parts, 3))  # type: ignore[arg-type]
    both = min(learned, held)
    assert [is_held for is_held, _ in found][: 2 * both] == [False, True] * both


def test_the_seed_draws_the_order(samples: Path) -> None:
    learned, held = split([clip(samples / "street.mp4"), clip(samples / "vfr.mp4")], 5)
    orders = [list(module._in_turn(learned, held, seed)) for seed in range(4)]
    assert any(order != orders[0] for order in orders)


@given(st.integers(0, 500), st.integers(1, 2000), st.integers(1, 15), st.lists(st.integers(0, 2500), max_size=9))
def test_no_frame_is_in_two_parts(start: int, frames: int, shortest: int, keys: list[int]) -> None:
    kept = range(start, start + frames)
    parts = parts_of(kept, shortest, sorted(keys))
    assert all(a.stop <= b.start for a, b in pairwise(parts))
    assert all(kept.start <= part.start < part.stop <= kept.stop for part in parts)
    if frames >= 2 * shortest:
        assert 2 <= len(parts) <= 24
        assert all(shortest <= len(part) <= 36 or len(part) == shortest for part in parts)


def test_long_parts_begin_at_key_frames() -> None:
    parts = parts_of(range(24 * 1000), 5, range(0, 24_000, 250))
    assert [len(part) for part in parts] == [36] * 24
    assert [part.start % 250 for part in parts] == [0] * 24
    assert parts_of(range(24 * 1000), 5, [])[1] == range(1000, 1036)


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


def test_a_stretch_is_as_small_as_a_gate_looks_at_it(tmp_path: Path) -> None:
    large = tmp_path / "large.mkv"
    ffmpeg_says.quietly("-f", "lavfi", "-i", "testsrc2=s=1280x720:d=0.1", "-c:v", "ffv1", large)
    assert Stretch(clip(large), range(2)).read([1])[0].shape == (1, 360, 640)


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
        ({"threads": 0}, "threads=0: allowed: at least 1"),
        ({"seed": -1}, "seed=-1: allowed: from 0, below 2147483648"),
        ({"seed": 10**30}, "allowed: from 0, below 2147483648"),
        ({"least_gain": 0.0}, "least_gain=0.0: allowed: above 0, below 1"),
        ({"least_gain": 1.0}, "least_gain=1.0: allowed: above 0, below 1"),
    ],
)
def test_settings_out_of_bounds(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        AdaptOptions(**wrong)  # type: ignore[arg-type]


def test_nothing_is_wanted_by_default() -> None:
    assert not AdaptOptions().is_wanted
    assert AdaptOptions(seconds=1).is_wanted
    assert AdaptOptions(steps=1).is_wanted
