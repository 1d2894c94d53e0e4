"""The contrast of cells: which of them are rain and which are not, and that it learns."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.train.test_loop import config
from vidrain.model.gate import CONFIGS, Gate
from vidrain.train.balance import LossWeights
from vidrain.train.cells import Compared, choose_cells, features_at, shuffled
from vidrain.train.choice import ContrastOptions
from vidrain.train.data import Cut, Windows
from vidrain.train.loop import TrainConfig, learn, learner_for, learner_of
from vidrain.train.recycling import Recycled
from vidrain.train.terms import cell_terms

EVERY_CELL = 10_000
CERTAIN = torch.ones(3, dtype=torch.bool)


def pair_of(seed: int, size: tuple[int, int] = (9, 12)) -> tuple[Tensor, Recycled]:
    """What exceeds, and a pair with rain here and there whose truth is known in most places."""
    generator = torch.Generator().manual_seed(seed)

    def drawn() -> Tensor:
        return torch.rand((3, 1, *size), generator=generator)

    target, rain = drawn() / 2, drawn() * 0.3 * (drawn() > 0.8)
    rain[drawn() > 0.9] = 0.01  # a trace, neither rain nor none
    pair = Recycled(target + rain, torch.zeros(3, 4, 1, *size), target, drawn() > 0.05)
    return drawn() * 0.06 * (drawn() > 0.6) + rain, pair


def slow(excess: Tensor, pair: Recycled) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]]]:
    """Cells without rain and with it, one after the other."""
    dry, rainy = set(), set()
    count, _, height, width = excess.shape
    for window in range(count):
        for top in range(0, height, 2):
            for left in range(0, width, 2):
                cell = (window, 0, slice(top, top + 2), slice(left, left + 2))
                if not pair.known[cell].all() or not (excess[cell] > 0.02).any():
                    continue
                most = float((pair.observed - pair.target)[cell].max())
                if most > 0.02:
                    rainy.add((window, top // 2, left // 2))
                elif most < 0.005:
                    dry.add((window, top // 2, left // 2))
    return dry, rainy


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [(9, 12), (8, 7)])
def test_cells_are_those_of_the_slow_twin(seed: int, size: tuple[int, int]) -> None:
    excess, pair = pair_of(seed, size)
    found = choose_cells(Compared(pair, excess, CERTAIN), torch.Generator().manual_seed(0), EVERY_CELL)
    for places, due in zip(found, slow(excess, pair), strict=True):
        assert due
        assert len(places) == len(due)
        assert set(map(tuple, places.tolist())) == due


def test_a_draw_is_of_so_many_and_of_the_seed() -> None:
    excess, pair = pair_of(1, (40, 40))
    first, again, other = (
        choose_cells(Compared(pair, excess, CERTAIN), torch.Generator().manual_seed(seed), 20).background
        for seed in (0, 0, 1)
    )
    assert len(first) == len({tuple(place) for place in first.tolist()}) == 20
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_what_a_teacher_may_have_missed_is_not_taken_for_dry() -> None:
    excess, pair = pair_of(1, (40, 40))
    certain = torch.tensor([True, False, True])
    every, found = (
        choose_cells(Compared(pair, excess, which), torch.Generator().manual_seed(0), EVERY_CELL)
        for which in (CERTAIN, certain)
    )
    assert set(found.background[:, 0].tolist()) == {0, 2} < set(every.background[:, 0].tolist())
    assert sorted(found.rain.tolist()) == sorted(every.rain.tolist())


@pytest.mark.parametrize("missing", ["rain", "texture"])
def test_one_layer_alone_teaches_nothing(missing: str) -> None:
    excess, pair = pair_of(3)
    if missing == "rain":
        pair = pair._replace(observed=pair.target)
    certain = CERTAIN if missing == "rain" else ~CERTAIN
    weights, features = LossWeights(cells=1.0), torch.rand(3, 16, 5, 6, requires_grad=True)
    nets = learner_of(Gate(CONFIGS["gate-s"]), 1e-3, weights=weights).nets
    term = cell_terms(nets, Compared(pair, excess, certain), features, torch.Generator(), ContrastOptions())["cells"]
    term.backward()
    assert term.item() == 0
    assert features.grad is not None
    assert not features.grad.any()


def test_shuffled_cells_are_the_same_ones() -> None:
    excess, pair = pair_of(2, (40, 40))
    cells = choose_cells(Compared(pair, excess, CERTAIN), torch.Generator().manual_seed(0), 50)
    mixed = shuffled(cells, torch.Generator().manual_seed(0))
    assert [len(layer) for layer in mixed] == [len(layer) for layer in cells]
    assert sorted(torch.cat(mixed).tolist()) == sorted(torch.cat(cells).tolist())
    rain = set(map(tuple, cells.rain.tolist()))
    assert 0 < len(rain & set(map(tuple, mixed.rain.tolist()))) < len(rain)


def test_features_are_those_of_the_places() -> None:
    features, places = torch.rand(2, 5, 3, 4), torch.tensor([[1, 2, 3], [0, 0, 1]])
    found = features_at(features, places)
    assert torch.equal(found, torch.stack([features[1, :, 2, 3], features[0, :, 0, 1]])[None])


def with_cells(samples: Path, **changes: object) -> TrainConfig:
    """Steps whose windows have rain pasted on them and texture of a moving scene."""
    clean = replace(config(samples).data, clean=(str(samples / "street_clean.mp4"),), crop=96)
    weights = LossWeights(cells=1.0, recycling=0.0, correction=0.0)
    return config(samples, **({"weights": weights, "data": clean, "patch": 96} | changes))


def test_layers_come_apart_in_the_trunk(samples: Path) -> None:
    settings = with_cells(samples)
    torch.manual_seed(0)
    learner = learner_for(Gate(CONFIGS["gate-s"]), settings)
    batch = Windows(settings.data, Cut(radius=2, patch=96, batch=4), seed=0, tell=lambda notice: None).batch(0)
    values = [learn(learner, batch, 0, settings, teacher=None, rate=2e-3).numbers["cells"] for _ in range(12)]
    assert values[-1] < values[0] - 0.5


def test_without_a_weight_nothing_is_compared(samples: Path) -> None:
    settings = with_cells(samples, weights=LossWeights())
    assert not learner_for(Gate(CONFIGS["gate-s"]), settings).nets.heads
