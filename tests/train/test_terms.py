"""The terms of NLCL in training: they are computed where they count, everything learns, and a run resumes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.train.test_loop import Stopped, config, curve_of, stopping_after
from vidrain.errors import UsageError
from vidrain.model.gate import CONFIGS, Gate
from vidrain.train.balance import LossWeights
from vidrain.train.choice import ContrastOptions
from vidrain.train.data import Batch, Cut, DataOptions, Windows
from vidrain.train.loop import Learner, TrainConfig, learn, learner_for, learner_of, scene_of, train
from vidrain.train.terms import TERMS, nlcl_terms

EVERY = LossWeights(cells=0.01, location=0.01, layer=0.01, adversarial=0.01, decorrelation=0.01, consistency=0.1)
FEW = ContrastOptions(windows=2, queries=4, other=6, unlike=6, edges=3)


def with_all(samples: Path, **changes: object) -> TrainConfig:
    """Small steps with every term."""
    clean = replace(config(samples).data, clean=(str(samples / "street_clean.mp4"),), crop=80)
    return config(samples, **({"weights": EVERY, "contrast": FEW, "data": clean, "patch": 64} | changes))


@pytest.fixture(scope="module")
def batch(samples: Path) -> Batch:
    data = DataOptions(rainy=(str(samples / "rotated.mp4"),), crop=96, readings=2, crops_per_reading=2)
    return Windows(
        data, Cut(radius=2, patch=96, batch=3, first="baseline", views=2), seed=0, tell=lambda notice: None
    ).batch(0)


def learner(weights: LossWeights, contrast: ContrastOptions = FEW) -> Learner:
    torch.manual_seed(0)
    return learner_of(Gate(CONFIGS["gate-s"]), 1e-3, weights=weights, contrast=contrast)


def terms_of(batch: Batch, weights: LossWeights, contrast: ContrastOptions = FEW, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return nlcl_terms(learner(weights, contrast).nets, scene_of(batch, 3), generator, weights, contrast)


def test_a_run_with_all_terms_that_was_stopped_ends_as_one_that_was_not(samples: Path, tmp_path: Path) -> None:
    """Heads, discriminator and their optimizers go on bit for bit; the curve tells of each."""
    settings = with_all(samples, steps=5, checkpoint_every=2)
    straight = train(settings, tmp_path / "straight")
    with pytest.raises(Stopped):
        train(settings, tmp_path / "stopped", on_event=stopping_after(3))
    torch.manual_seed(99)  # of no account
    resumed = train(settings, tmp_path / "stopped")
    assert resumed.weights.read_bytes() == straight.weights.read_bytes()
    assert curve_of(tmp_path / "stopped") == curve_of(tmp_path / "straight")
    saved, other = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("straight", "stopped")
    )
    for name, net in saved["nets"].items():
        assert all(torch.equal(value, other["nets"][name][key]) for key, value in net.items()), name
    assert {*TERMS, "cells", "discriminator", "recycling", "correction"} < curve_of(tmp_path / "straight")[0].keys()


@pytest.mark.parametrize("encoder", ["restorer", "discriminator"])
def test_every_parameter_is_in_one_optimizer_and_learns_within_two_steps(encoder: str, samples: Path) -> None:
    settings = with_all(samples, contrast=replace(FEW, encoder=encoder))
    made = learner(EVERY, settings.contrast)
    named = {
        f"{name}.{key}": parameter
        for name, net in made.nets.named.items()
        for key, parameter in net.named_parameters()
        if parameter.requires_grad
    }
    held = [id(p) for player in made.optimizers.values() for group in player.param_groups for p in group["params"]]
    assert sorted(held) == sorted(map(id, named.values()))
    before = {name: parameter.detach().clone() for name, parameter in named.items()}
    windows = Windows(
        settings.data, Cut(radius=2, patch=64, batch=4, first="baseline", views=2), seed=0, tell=lambda notice: None
    )
    for step in range(2):
        learn(made, windows.batch(step), step, settings, teacher=None, rate=1e-3)
    assert [name for name, parameter in named.items() if torch.equal(parameter, before[name])] == []


@pytest.mark.parametrize("name", TERMS)
def test_a_term_of_weight_0_is_not_computed(name: str, batch: Batch) -> None:
    """Alone it is all there is; without it the others are as they were, and nothing is made for it."""
    alone = LossWeights(**{name: 1.0})  # type: ignore[arg-type]
    assert terms_of(batch, alone).keys() == {name}
    without = replace(EVERY, **{name: 0.0})
    assert terms_of(batch, without).keys() == set(TERMS) - {name}
    nets = learner(without).nets
    assert name not in nets.heads
    assert (nets.discriminator is None) == (name == "adversarial")


def test_without_terms_nothing_is_looked_at(batch: Batch, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = learner(LossWeights())
    assert plain.nets.named.keys() == {"net", "average"}
    monkeypatch.setattr("vidrain.train.terms.layers_of", lambda *parts: pytest.fail("computed all the same"))
    assert nlcl_terms(plain.nets, scene_of(batch, 3), torch.Generator(), LossWeights(), FEW) == {}


@pytest.mark.parametrize("name", TERMS)
def test_a_term_goes_down_where_it_alone_counts(name: str, batch: Batch) -> None:
    """The same windows and draws again and again; the discriminator is held where it is."""
    weights = LossWeights(**{"recycling": 0.0, "sparsity": 0.0, name: 1.0})  # type: ignore[arg-type]
    made = learner(weights)
    values = []
    for _ in range(12):
        generator = torch.Generator().manual_seed(3)
        term = nlcl_terms(made.nets, scene_of(batch, 3), generator, weights, FEW)[name]
        values.append(term.item())
        for player in made.optimizers.values():
            player.zero_grad()
        term.backward()  # type: ignore[no-untyped-call]
        for player in made.optimizers.values():
            player.step()
    assert values[-1] < values[0]


CHOICES: list[dict[str, object]] = [
    {"positives": "random"},
    {"positives": "published"},
    {"positives": "exclusion"},
    {"negatives": "random"},
    {"asymmetry": "none"},
    {"asymmetry": "radius"},
    {"background_dimension": 20.0},
    {"edges": 0},
    {"temperature": 0.1},
]


@pytest.mark.parametrize("change", CHOICES, ids=str)
def test_every_choice_counts(change: dict[str, object], batch: Batch) -> None:
    weights = LossWeights(location=1, layer=1)
    plain, other = terms_of(batch, weights), terms_of(batch, weights, replace(FEW, **change))  # type: ignore[arg-type]
    assert any(not torch.equal(plain[name], other[name]) for name in plain)


def test_draws_follow_from_the_generator(batch: Batch) -> None:
    weights = LossWeights(location=1, layer=1)  # the others draw nothing
    first, again, other = (terms_of(batch, weights, seed=seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert all(not torch.equal(first[name], other[name]) for name in first)


def test_16_bits_change_little(samples: Path, tmp_path: Path) -> None:
    plain = train(with_all(samples, steps=2), tmp_path / "plain")
    short = train(with_all(samples, steps=2, bf16=True), tmp_path / "short")
    rows = [curve_of(report.run_dir)[0] for report in (plain, short)]
    assert rows[0]["layer"] == pytest.approx(rows[1]["layer"], rel=0.1)
    assert short.weights.read_bytes() != plain.weights.read_bytes()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: LossWeights(layer=-1), "weights.layer=-1: allowed: from 0"),
        (lambda: LossWeights(recycling=0, correction=0), "weights: all are 0"),
        (lambda: ContrastOptions(queries=0), "contrast.queries=0: allowed: at least 1"),
        (lambda: ContrastOptions(temperature=0), "contrast.temperature=0: allowed: above 0"),
        (lambda: ContrastOptions(edges=-1), "contrast.edges=-1: allowed: from 0"),
        (lambda: TrainConfig(weights=LossWeights(adversarial=1)), "data.clean: names no videos"),
    ],
)
def test_settings_out_of_bounds(wrong: Callable[[], object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        wrong()


def test_a_frame_that_is_not_aligned_takes_part_where_it_is_asked_for(samples: Path, tmp_path: Path) -> None:
    """`frames` needs the window beside, `motion` takes the neighbour out of the window that is there already."""
    rows = {}
    for positives in ("frames", "motion"):
        settings = with_all(samples, steps=2, contrast=replace(FEW, positives=positives))
        rows[positives] = curve_of(train(settings, tmp_path / positives).run_dir)[0]
    assert rows["frames"]["layer"] != rows["motion"]["layer"]
    assert rows["frames"]["location"] == rows["motion"]["location"]  # two frames that are aligned, for either


def test_the_discriminator_is_as_wide_as_asked() -> None:
    settings = TrainConfig(
        data=DataOptions(rainy=("rain.mp4",), clean=("clean.mp4",)),
        weights=LossWeights(adversarial=1.0),
        discriminator_width=8,
    )
    judge = learner_for(Gate(CONFIGS["gate-s"]), settings).nets.discriminator
    assert judge is not None
    assert judge.tap_channels == (3, 8, 16, 32, 64)
