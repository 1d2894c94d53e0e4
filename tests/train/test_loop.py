"""Training on clips that ship with vidrain: it learns, goes on as if it had not stopped, and refuses what it must."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from vidrain.errors import BusyError, InputError, OutputError, UsageError
from vidrain.events import Event, TrainingDone, TrainingPlan, TrainingStep, ignore
from vidrain.model.gate import CONFIGS, Gate, GateDecomposer
from vidrain.model.planes import look
from vidrain.outputs import claimed
from vidrain.train.data import Cut, DataOptions, Windows
from vidrain.train.loop import (
    _PASTE_SEED,
    LossWeights,
    TrainConfig,
    TrainReport,
    cut_of,
    forward,
    learn,
    learner_of,
    rate_at,
    teacher_rain,
    train,
    weighted_sum,
)
from vidrain.train.preview import png
from vidrain.train.recycling import charbonnier, recycle, trust
from vidrain.weights import load_model, read_header


def config(samples: Path, **changes: object) -> TrainConfig:
    data = DataOptions(rainy=(str(samples / "street.mp4"),), crop=64, readings=2, crops_per_reading=2, refresh=3)
    plain = TrainConfig(steps=10, batch=2, patch=32, warm_up=3, baseline_steps=4, checkpoint_every=5, data=data)
    return replace(plain, **changes)  # type: ignore[arg-type]


class Stopped(Exception):
    """Stands for Ctrl-C, at a step of the test's choice."""


def stopping_after(step: int) -> Callable[[Event], None]:
    def on_event(event: Event) -> None:
        if isinstance(event, TrainingStep) and event.steps == step:
            raise Stopped

    return on_event


def curve_of(run_dir: Path) -> list[dict[str, float]]:
    rows = [json.loads(line) for line in (run_dir / "curve.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key != "time"} for row in rows]


@pytest.fixture(scope="module")
def straight(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> TrainReport:
    """Ten steps without a stop."""
    return train(config(samples), tmp_path_factory.mktemp("runs") / "straight")


@pytest.mark.parametrize("stop", [5, 7])
def test_a_run_that_was_stopped_ends_as_one_that_was_not(
    stop: int, straight: TrainReport, samples: Path, tmp_path: Path
) -> None:
    """Stopped at step 5 or 7, with a checkpoint at 5: the weights are those of ten straight steps, bit for bit."""
    settings = config(samples)
    with pytest.raises(Stopped):
        train(settings, tmp_path / "stopped", on_event=stopping_after(stop))
    assert not (tmp_path / "stopped" / "gate-s.safetensors").exists()
    torch.manual_seed(99)  # of no account
    heard: list[Event] = []
    resumed = train(settings, tmp_path / "stopped", on_event=heard.append)
    assert isinstance(heard[0], TrainingPlan)
    assert heard[0].first == 5
    assert resumed.weights.read_bytes() == straight.weights.read_bytes()
    assert curve_of(tmp_path / "stopped") == curve_of(straight.weights.parent)
    assert [row["step"] for row in curve_of(tmp_path / "stopped")] == list(range(1, 11))
    assert resumed.loss == straight.loss


def test_another_seed_gives_other_weights(samples: Path, tmp_path: Path) -> None:
    first = train(config(samples, steps=2), tmp_path / "a")
    second = train(config(samples, steps=2, seed=1), tmp_path / "b")
    assert first.weights.read_bytes() != second.weights.read_bytes()


def test_strength_goes_with_the_weights_and_into_nothing_else(samples: Path, tmp_path: Path) -> None:
    plain, strong = (train(config(samples, steps=2, strength=k), tmp_path / str(k)) for k in (1.0, 1.5))
    one, other = (load_model("gate-s", report.weights) for report in (plain, strong))
    assert isinstance(one, GateDecomposer)
    assert isinstance(other, GateDecomposer)
    assert (one.net.strength.tolist(), other.net.strength.tolist()) == ([1.0] * 3, [1.5] * 3)
    assert all(torch.equal(*pair) for pair in zip(one.net.parameters(), other.net.parameters(), strict=True))
    with pytest.raises(UsageError, match="strength=0: allowed: above 0, up to 4"):
        config(samples, strength=0.0)


@pytest.mark.parametrize("name", CONFIGS)
def test_every_parameter_learns_within_two_steps(name: str, samples: Path, tmp_path: Path) -> None:
    settings = config(samples, model=name, steps=2)
    torch.manual_seed(settings.seed)
    net = Gate(CONFIGS[name])
    before = {key: parameter.detach() for key, parameter in net.named_parameters()}
    train(settings, tmp_path / "run")
    saved = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert saved["nets"]["net"].keys() == before.keys() | {"strength"} == net.state_dict().keys()
    for key, value in before.items():
        assert not torch.equal(saved["nets"]["net"][key], value), f"{key} did not move"
        assert not torch.equal(saved["nets"]["average"][key], value), f"the average of {key} did not move"
    groups = saved["optimizers"]["gate"]["param_groups"]
    assert [name for group in groups for name in group["param_names"]] == [f"0.{key}" for key in before]


def test_it_learns_one_window_by_heart(samples: Path) -> None:
    """The same pair again and again: of the error that a gate can avoid, most goes."""
    settings = config(samples)
    options = replace(settings.data, crop=64, readings=1, crops_per_reading=1)
    batch = Windows(options, Cut(radius=2, patch=64, batch=2, first="baseline"), seed=3, tell=ignore).batch(0)
    rain = teacher_rain(batch, None)
    generator = torch.Generator().manual_seed(0)
    pair = recycle(batch.observed, batch.witnesses, rain, generator, options=settings.recycle, is_dried=True)
    excess = look(pair.observed, pair.witnesses, batch.error).excess
    best = pair.observed - (pair.observed - pair.target).clamp(min=0).minimum(excess)
    least = charbonnier(best, pair.target, trust(pair, batch.is_clean, settings.dry), settings.softness).item()
    torch.manual_seed(0)
    net = Gate(CONFIGS["gate-s"])
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    losses = []
    for _ in range(150):
        total = forward(net, pair, batch, settings)[1]["recycling"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(total.item())
    assert losses[-1] - least < 0.3 * (losses[0] - least)


def test_the_run_folder_explains_itself(samples: Path, tmp_path: Path) -> None:
    settings = config(samples, steps=4, preview_every=2)
    heard: list[Event] = []
    report = train(settings, tmp_path / "run", on_event=heard.append)
    folder = report.run_dir
    assert sorted(path.name for path in folder.iterdir()) == [
        "checkpoint.pt", "config.yaml", "curve.jsonl", "gate-s.safetensors", "previews", "run.json",
    ]  # fmt: skip
    facts = json.loads((folder / "run.json").read_text())
    assert facts.keys() == {"vidrain", "commit", "torch", "python", "device", "threads"}
    rows = curve_of(folder)
    assert rows[0].keys() == {"step", "recycling", "correction", "total", "gradient", "rate"}
    weights = settings.weights
    for row in rows:
        parts = [row[term] * weight for term, weight in weights.counted.items()]
        assert row["total"] == pytest.approx(sum(parts))
    assert [path.name for path in sorted((folder / "previews").iterdir())] == ["step_000002.png", "step_000004.png"]
    assert read_header(report.weights)["model"] == "gate-s"
    assert load_model("gate-s", report.weights).radius == 2
    assert isinstance(heard[-1], TrainingDone)
    assert [event.steps for event in heard if isinstance(event, TrainingStep)] == [1, 2, 3, 4]


def test_a_finished_run_is_not_done_again(samples: Path, tmp_path: Path) -> None:
    settings = config(samples, steps=3)
    first = train(settings, tmp_path / "run")
    kept = first.weights.read_bytes()
    again = train(settings, tmp_path / "run")
    assert again.weights.read_bytes() == kept
    assert again.loss == first.loss
    assert len(curve_of(tmp_path / "run")) == 3


def test_other_settings_need_another_folder(samples: Path, tmp_path: Path) -> None:
    train(config(samples, steps=1), tmp_path / "run")
    with pytest.raises(UsageError, match=r"rate=0.01, but the run there has rate=0.001; go on with its config.yaml"):
        train(config(samples, steps=1, rate=0.01), tmp_path / "run")
    train(config(samples, steps=1, threads=torch.get_num_threads()), tmp_path / "run")  # changes nothing that comes out


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut off"])
def test_a_checkpoint_that_is_none(content: bytes, samples: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(InputError, match="is no checkpoint of this version") as raised:
        train(config(samples), tmp_path)
    assert "\n" not in str(raised.value)


def test_two_runs_cannot_share_a_folder(samples: Path, tmp_path: Path) -> None:
    with claimed(tmp_path / "gate-s.safetensors", force=True), pytest.raises(BusyError):
        train(config(samples), tmp_path)


@pytest.mark.parametrize("name", ["curve.jsonl", "run.json", "previews"])
def test_a_folder_that_cannot_be_written(name: str, samples: Path, tmp_path: Path) -> None:
    if name == "previews":
        (tmp_path / name).write_text("in the way")
    else:
        (tmp_path / name).mkdir()
    with pytest.raises(OutputError, match=rf"{name}.*: cannot be written") as raised:
        train(config(samples, steps=1), tmp_path)
    assert "\n" not in str(raised.value)


def test_16_bits_learn_as_well(samples: Path, tmp_path: Path) -> None:
    plain = train(config(samples, steps=3), tmp_path / "plain")
    short = train(config(samples, steps=3, bf16=True), tmp_path / "short")
    assert short.weights.read_bytes() != plain.weights.read_bytes()
    assert short.loss == pytest.approx(plain.loss, rel=0.1)


@pytest.mark.gpu
def test_it_runs_on_a_gpu(samples: Path, tmp_path: Path) -> None:
    report = train(config(samples, device="cuda"), tmp_path / "run")
    assert json.loads((tmp_path / "run" / "run.json").read_text())["device"] != "cpu"
    assert load_model("gate-s", report.weights).radius == 2


def test_a_run_does_not_go_on_behind_another_first_pass(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = config(samples, model="gate-l", steps=1)
    train(settings, tmp_path / "run")
    monkeypatch.setattr("vidrain.train.run.first_hash", lambda name: "another")
    with pytest.raises(UsageError, match=r"first=another, but the run there has first=[0-9a-f]{64}"):
        train(settings, tmp_path / "run")


@pytest.mark.parametrize("name", ["gate-s", "gate-l"])
def test_neighbours_get_the_rain_that_the_gate_will_see_on_them(name: str, samples: Path) -> None:
    """What a first pass leaves of it, where there is one; else the whole."""
    settings, net = config(samples, model=name), Gate(CONFIGS[name])
    batch = Windows(settings.data, cut_of(settings, net.config), seed=0, tell=ignore).batch(0)
    pair = learn(learner_of(net, settings.rate), batch, 3, settings, teacher=None, rate=settings.rate).pair
    due, other = (
        recycle(
            batch.observed,
            batch.witnesses,
            batch.rain,
            torch.Generator().manual_seed(_PASTE_SEED + 3),
            options=settings.recycle,
            is_dried=is_dried,
        )
        for is_dried in (net.config.first is not None, net.config.first is None)
    )
    assert torch.equal(pair.witnesses, due.witnesses)
    assert not torch.equal(pair.witnesses, other.witnesses)


def test_the_teacher_is_the_baseline_then_the_average(samples: Path) -> None:
    settings = config(samples)
    batch = Windows(settings.data, Cut(radius=2, patch=32, batch=4, first="baseline"), seed=0, tell=ignore).batch(0)
    assert torch.equal(teacher_rain(batch, None), batch.rain)
    net = Gate(CONFIGS["gate-s"])
    own = teacher_rain(batch, net)
    assert not torch.equal(own, batch.rain)
    assert own.min() >= 0
    assert not own.requires_grad
    clean = batch._replace(is_clean=torch.tensor([True, False, True, False]))
    assert [bool(rain.any()) for rain in teacher_rain(clean, net)] == [
        False,
        bool(own[1].any()),
        False,
        bool(own[3].any()),
    ]


def test_terms_and_weights_have_the_same_names() -> None:
    terms = {"a": torch.tensor(2.0), "b": torch.tensor(3.0)}
    assert weighted_sum(terms, {"a": 0.5, "b": 2.0}) == 7
    with pytest.raises(ValueError, match="want the same names"):
        weighted_sum(terms, {"a": 1.0})


def test_a_weight_of_a_term_counts(samples: Path, tmp_path: Path) -> None:
    plain = train(config(samples, steps=3), tmp_path / "plain")
    sparse = train(config(samples, steps=3, weights=LossWeights(sparsity=1.0)), tmp_path / "sparse")
    assert plain.weights.read_bytes() != sparse.weights.read_bytes()


def test_the_rate_rises_then_falls() -> None:
    settings = TrainConfig(steps=100, warm_up=10, rate=1.0)
    rates = [rate_at(step, settings) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[10] == max(rates) == 1.0
    assert all(a > b for a, b in pairwise(rates[10:]))
    assert 0.01 <= rates[-1] < 0.02


def test_charbonnier_by_hand() -> None:
    one = torch.ones(1)
    found = charbonnier(torch.tensor([0.3, 0.0]), torch.tensor([0.0, 0.0]), one, 0.4)
    assert found.item() == pytest.approx((0.5 - 0.4) / 2)
    half = charbonnier(torch.tensor([0.3, 9.0]), torch.tensor([0.0, 0.0]), torch.tensor([0.5, 0.0]), 0.4)
    assert half.item() == pytest.approx(0.1 / 4)
    far = charbonnier(torch.tensor([5.0]), torch.tensor([1.0]), one, 1e-4)
    assert far.item() == pytest.approx(4.0, rel=1e-3)


def test_png_is_read_back(tmp_path: Path) -> None:
    import cv2

    picture = torch.rand(3, 7, 5, generator=torch.Generator().manual_seed(0)) * 1.2 - 0.1
    (tmp_path / "a.png").write_bytes(png(picture))
    found = cv2.imread(str(tmp_path / "a.png"))[..., ::-1]
    assert np.array_equal(found, (picture.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"steps": 0}, "steps=0: allowed: at least 1"),
        ({"patch": 300}, "patch=300: allowed: up to data.crop=256"),
        ({"rate": 0.0}, "rate=0.0"),
        ({"average": 1.0}, "average=1.0"),
        ({"seed": -1}, "seed=-1: allowed: 0 to 2147483647"),
        ({"dry": 1.5}, "dry=1.5: allowed: 0 to 1"),
    ],
)
def test_settings_out_of_bounds(wrong: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TrainConfig(**wrong)  # type: ignore[arg-type]
