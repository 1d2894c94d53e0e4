"""What many neighbours agree on: the truth behind a streak, nothing where they differ or where no line stands."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidrain.train.data import Cut, DataOptions, Windows
from vidrain.train.settled import settled
from vidrain.types import Aligned

SIDE = 24


def seen(observed: Tensor, witnesses: Tensor, error: float | Tensor = 0.1) -> Aligned:
    where = torch.full((len(witnesses), *observed.shape[1:]), 1.0) * error
    return Aligned(observed, witnesses, where)


@pytest.fixture
def scene() -> Tensor:
    return torch.linspace(0.2, 0.5, SIDE).expand(1, SIDE, SIDE).clone()


@pytest.fixture
def votes(scene: Tensor) -> Tensor:
    """Twenty frames with noise of one level, and a streak of its own in each fifth."""
    noise = torch.randn(20, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)) / 255
    votes = scene + noise
    votes[::5, :, :, 6] += 0.3
    return votes


def test_a_streak_gives_way_to_what_stands_behind(scene: Tensor, votes: Tensor) -> None:
    observed = scene.clone()
    observed[:, 2:20, 12] += 0.2
    truth = settled(seen(observed, votes))
    assert truth.known[0, 2:20, 12].all()
    assert (truth.background - scene).abs()[:, 4:18, 12].max() < 3 / 255
    assert torch.equal(truth.background[..., 15:], observed[..., 15:])
    assert truth.known.mean() > 0.95


def test_a_dot_may_be_anything(scene: Tensor, votes: Tensor) -> None:
    observed = scene.clone()
    observed[:, 10:12, 12:14] += 0.1
    truth = settled(seen(observed, votes))
    assert not truth.known[0, 9:13, 11:15].any()
    assert torch.equal(truth.background, observed)


def test_what_moves_and_what_few_have_seen_is_not_known(scene: Tensor, votes: Tensor) -> None:
    restless = scene + torch.rand(20, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    far = torch.full((20, SIDE, SIDE), 0.1)
    far[9:] = math.inf  # nine votes are left
    for aligned in (seen(scene, restless), seen(scene, votes, far), seen(scene, votes, 3.0), seen(scene, votes[:0])):
        truth = settled(aligned)
        assert not truth.known.any()
        assert torch.equal(truth.background, scene)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), count=st.integers(8, 21))
def test_votes_are_counted_as_by_hand(seed: int, count: int) -> None:
    """Median, deviation and who agrees, pixel by pixel; where something is known it is O, or darker than that."""
    random = torch.Generator().manual_seed(seed)
    side = 10
    observed = torch.rand(1, side, side, generator=random)
    witnesses = observed + torch.randn(count, 1, side, side, generator=random) * 0.01
    observed = observed + 0.1 * (torch.rand(1, 1, side, generator=random) > 0.7)
    error = torch.rand(count, side, side, generator=random) * 4
    error[torch.rand(count, side, side, generator=random) > 0.6] = 0.5
    truth = settled(Aligned(observed, witnesses, error))
    bright, own = witnesses[:, 0], observed[0]
    for y in range(side):
        for x in range(side):
            kept = [k for k in range(count) if error[k, y, x] < 2]
            middle = lower_median([float(bright[k, y, x]) for k in kept])
            unrest = lower_median([abs(float(bright[k, y, x]) - middle) for k in kept])
            limit = 2 * unrest + 4 / 255
            if len(kept) < 10 or unrest >= 4 / 255:
                assert truth.known[0, y, x] == 0
            elif truth.known[0, y, x] and float(own[y, x]) - middle > limit + 1e-6:
                due = min(middle, float(own[y, x]))
                assert float(truth.background[0, y, x]) == pytest.approx(due, abs=1e-6)
    assert (truth.background <= observed).all()
    assert torch.equal(*(picture * (1 - truth.known) for picture in (truth.background, observed)))


def lower_median(values: list[float]) -> float:
    return float(np.sort(values)[(len(values) - 1) // 2]) if values else math.nan


def test_windows_of_real_rain_come_with_it(samples: Path) -> None:
    """On rain that was rendered, so that the truth can be checked."""
    options = DataOptions(
        rainy=(str(samples / "rotated.mp4"),), settled_share=0.5, crop=80, readings=4, crops_per_reading=3, refresh=9
    )
    batch = Windows(
        options, Cut(radius=2, patch=64, batch=12, first="baseline"), seed=0, tell=lambda notice: None
    ).batch(0)
    told = batch.is_told
    assert 0 < int(told.sum()) < len(told)
    assert not batch.known[~told].any()
    assert torch.equal(batch.truth[~told], batch.observed[~told])
    assert batch.known[told].mean() > 0.3
    taken = (batch.observed - batch.truth)[told]
    assert (taken >= 0).all()
    assert taken.amax() > 0.1
    assert taken.mean() > 0.3 * batch.rain[told].mean()
