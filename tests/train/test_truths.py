"""Pairs with rendered rain: found beside each other, read with their truth, and learned from as they are."""

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vidrain.errors import InputError, UsageError
from vidrain.model.gate import CONFIGS, Gate
from vidrain.train.balance import LossWeights
from vidrain.train.data import Batch, Cut, DataOptions, Windows
from vidrain.train.footage import pairs_at
from vidrain.train.loop import TrainConfig, forward, learn, learner_of, teacher_rain
from vidrain.train.recycling import RecycleOptions, recycle
from vidrain.train.truths import relative_error, with_truths

CUT = Cut(radius=2, patch=48, batch=6, first="baseline")
SMALL = {"crop": 80, "readings": 4, "crops_per_reading": 2, "refresh": 2}


@pytest.fixture(scope="module")
def pairs(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rendered")
    (folder / "heavy").mkdir()
    shutil.copy(samples / "street.mp4", folder / "heavy" / "street_rainy.mp4")
    shutil.copy(samples / "street_clean.mp4", folder / "heavy" / "street_clean.mp4")
    return folder


def read(pairs: Path | None, *, rainy: tuple[str, ...] = (), **options: object) -> Batch:
    rendered = () if pairs is None else (str(pairs),)
    data = DataOptions(rainy=rainy, rendered=rendered, **(SMALL | options))  # type: ignore[arg-type]
    return Windows(data, CUT, seed=0, tell=lambda notice: None).batch(3)


def test_rainy_videos_are_found_with_their_truth(pairs: Path) -> None:
    (found,) = pairs_at([str(pairs)])
    assert found == (pairs / "heavy" / "street_rainy.mp4", pairs / "heavy" / "street_clean.mp4")
    with pytest.raises(InputError, match=r"holds no videos called NAME_rainy.mp4; tools/rain_sets.py makes some"):
        pairs_at([str(pairs / "nowhere")])


def test_windows_of_them_come_with_the_truth_of_the_same_place(pairs: Path) -> None:
    batch = read(pairs, rendered_share=1.0)
    assert batch.is_told.all()
    assert not batch.is_clean.any()
    rain = batch.observed - batch.truth
    off = rain.abs().mean((1, 2, 3))
    moved = (batch.observed - batch.truth.roll(3, -1)).abs().mean((1, 2, 3))
    assert (off < moved).all()
    assert rain.amax() > 0.1  # there is rain, and it brightens
    assert rain.clamp(min=0).mean() > 2 * rain.clamp(max=0).abs().mean()


def test_kinds_of_clips_have_their_shares(pairs: Path, samples: Path) -> None:
    batch = read(pairs, rainy=(str(samples / "street.mp4"),), rendered_share=0.5)
    assert 0 < int(batch.is_told.sum()) < len(batch.is_told)
    others = ~batch.is_told
    assert torch.equal(batch.truth[others], batch.observed[others])
    with pytest.raises(UsageError, match=r"data.rainy: names no videos"):
        read(pairs, rendered_share=0.5)


def test_dry_windows_are_their_own_truth(samples: Path) -> None:
    clean = (str(samples / "street_clean.mp4"),)
    batch = read(None, rainy=clean, clean=clean, clean_share=0.25, dry_share=0.5)
    assert 0 < int(batch.is_told.sum()) < len(batch.is_told)
    assert batch.is_clean[batch.is_told].all()
    assert torch.equal(batch.truth, batch.observed)
    assert torch.equal(batch.known.amax((1, 2, 3)) > 0, batch.is_told)


def test_rendered_windows_are_kept_as_they_are(pairs: Path, samples: Path) -> None:
    batch = read(pairs, rainy=(str(samples / "street.mp4"),), rendered_share=0.5)
    generator = torch.Generator().manual_seed(1)
    made = recycle(batch.observed, batch.witnesses, batch.rain, generator, options=RecycleOptions(), is_dried=True)
    pair, chosen = with_truths(made, batch), batch.is_told
    for part, own in ((pair.observed, batch.observed), (pair.witnesses, batch.witnesses), (pair.target, batch.truth)):
        assert torch.equal(part[chosen], own[chosen])
    assert pair.known[chosen].all()
    for part, recycled in zip(pair, made, strict=True):
        assert torch.equal(part[~chosen], recycled[~chosen])
    assert not torch.equal(pair.observed[~chosen], batch.observed[~chosen])


def test_rain_whose_truth_is_told_is_pasted_as_it_is(pairs: Path) -> None:
    batch = read(pairs, rendered_share=1.0)
    net = Gate(CONFIGS["gate-s"])
    due = (batch.observed - batch.truth).clamp(min=0)
    assert torch.equal(teacher_rain(batch, None), due)
    assert torch.equal(teacher_rain(batch, net), due)
    assert not torch.equal(batch.rain, due)


@pytest.mark.parametrize("weight", [1.0, 0.0])
def test_rain_pasted_on_clean_pictures_has_a_truth(weight: float, samples: Path) -> None:
    """Its error counts relative to that before training, or, without that term, among what is recycled; never twice."""
    clips = {"rainy": (str(samples / "street.mp4"),), "clean": (str(samples / "street_clean.mp4"),)}
    batch = read(None, **clips, clean_share=0.5)
    assert 0 < int(batch.is_clean.sum()) < len(batch.is_clean)
    assert not batch.is_told.any()
    weights = LossWeights(recycling=1, truth=weight, correction=0)
    config = TrainConfig(weights=weights, data=DataOptions(**clips, clean_share=0.5))
    generator = torch.Generator().manual_seed(1)
    pair = recycle(batch.observed, batch.witnesses, batch.rain, generator, options=RecycleOptions(), is_dried=False)
    net, far = Gate(CONFIGS["gate-s"]), pair.target.clone()
    far[batch.is_clean] += 0.5
    terms, other = (forward(net, made, batch, config)[1] for made in (pair, pair._replace(target=far)))
    assert (terms["recycling"] != other["recycling"]) == (weight == 0)
    if weight:
        assert terms["truth"] != other["truth"]


@given(seed=st.integers(0, 99), counted=st.lists(st.booleans(), min_size=1, max_size=4))
def test_relative_error_is_that_of_a_loop(seed: int, counted: list[bool]) -> None:
    random = torch.Generator().manual_seed(seed)
    background, truth, before = torch.rand(3, len(counted), 1, 5, 4, generator=random, dtype=torch.float64)
    known = torch.rand(len(counted), 1, 5, 4, generator=random) > 0.3
    due = []
    for number, counts in enumerate(counted):
        if counts:
            where = known[number]
            error = float((background[number] - truth[number])[where].square().sum()) / 20
            error += 0.2 * float((before[number] - background[number]).clamp(min=0)[~where].square().sum()) / 20
            first = float((before[number] - truth[number])[where].square().sum()) / 20
            due.append((error / (first + 2e-5) + 1e-3) ** 0.5)
    found = float(relative_error(background, truth, before, known, torch.tensor(counted)))
    assert found == pytest.approx(sum(due) / len(due) if due else 0.0, rel=1e-9)


def test_what_is_right_already_has_a_slope_of_none() -> None:
    """A dry picture that is left alone: the root of 0 would give no number."""
    truth = torch.rand(1, 1, 4, 4)
    background = truth.clone().requires_grad_(True)
    relative_error(background, truth, truth, torch.ones(1, 1, 4, 4) > 0, torch.tensor([True])).backward()  # type: ignore[no-untyped-call]
    assert background.grad is not None
    assert not background.grad.any()


def test_a_gate_learns_from_them(pairs: Path) -> None:
    """A few steps on one batch: nearer to the truth than before, on that batch, by the rendered term alone."""
    weights = LossWeights(recycling=0, correction=0, truth=1)
    data = DataOptions(rendered=(str(pairs),), rendered_share=1.0)
    config = TrainConfig(steps=25, patch=48, rate=5e-3, warm_up=1, weights=weights, data=data)
    torch.manual_seed(0)
    learner, batch = learner_of(Gate(CONFIGS["gate-s"]), 5e-3, weights=weights), read(pairs, rendered_share=1.0)
    losses = [
        learn(learner, batch, step, config, teacher=None, rate=5e-3).numbers["truth"] for step in range(config.steps)
    ]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize(("rendered", "weight"), [((), 1.0), (("rain/",), 0.0)])
def test_clips_and_weight_go_together(rendered: tuple[str, ...], weight: float) -> None:
    with pytest.raises(
        UsageError, match=r"weights.truth=.* data.rendered=.*: allowed: a weight and one of them, or none"
    ):
        TrainConfig(weights=LossWeights(truth=weight), data=DataOptions(rendered=rendered))
