"""`vidrain train` as a command: the smoke run, what overrides what, and what stands in its folder."""

import json
from pathlib import Path

import pytest

from tests.pipeline.conftest import Vidrain
from vidrain.weights import load_model

ROOT = Path(__file__).resolve().parents[2]
SMOKE = ROOT / "configs" / "train_smoke.yaml"
TINY = ("steps=2", "batch=1", "patch=32", "data.crop=32", "data.readings=2", "data.crops_per_reading=1")


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    """configs/train_smoke.yaml names the samples from there."""
    monkeypatch.chdir(ROOT)


@pytest.mark.proves("train", "train --config", "train --output")
def test_the_smoke_run_learns_and_its_weights_clean(tmp_path: Path, samples: Path, vidrain: Vidrain) -> None:
    ran = vidrain("train", "-c", SMOKE, "-o", tmp_path / "run")
    assert ran.code == 0, ran.err
    rows = [json.loads(line) for line in (tmp_path / "run" / "curve.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 61))
    first, last = (sum(row["truth"] for row in part) for part in (rows[:15], rows[-15:]))
    assert last < 0.8 * first  # errors as shares of those before training
    assert len(list((tmp_path / "run" / "previews").iterdir())) == 2
    weights = tmp_path / "run" / "gate-s.safetensors"
    assert load_model("gate-s", weights).radius == 2
    out = tmp_path / "out.mp4"
    assert vidrain("clean", samples / "odd.mp4", "-o", out, "--model", "gate-s", "--weights", weights).code == 0


@pytest.mark.proves("train KEY=VALUE")
def test_pairs_win_over_the_file_and_the_folder_keeps_both(tmp_path: Path, vidrain: Vidrain) -> None:
    run = tmp_path / "run"
    assert vidrain("train", "-c", SMOKE, "-o", run, *TINY, "weights.sparsity=0.5").code == 0
    kept = json.loads((run / "config.yaml").read_text())
    assert (kept["steps"], kept["weights"]["sparsity"], kept["rate"]) == (2, 0.5, 0.003)
    # the folder's own file is a configuration that gives the same run
    again = tmp_path / "again"
    assert vidrain("train", "-c", run / "config.yaml", "-o", again).code == 0
    assert (again / "gate-s.safetensors").read_bytes() == (run / "gate-s.safetensors").read_bytes()


@pytest.mark.proves("train --json")
def test_json(tmp_path: Path, vidrain: Vidrain) -> None:
    events = vidrain("train", "-c", SMOKE, "-o", tmp_path / "run", *TINY, "--json").events
    assert [event["event"] for event in events][:1] == ["training_plan"]
    assert {event["event"] for event in events[1:-1]} == {"training_step"}
    plan, step, done = events[0], events[-2], events[-1]
    assert plan["clips"] == ["samples/street.mp4", "samples/street_clean.mp4"]
    assert (plan["model"], plan["first"], plan["steps"]) == ("gate-s", 0, 2)
    assert (step["steps"], step["total"], step["eta_s"]) == (2, 2, 0)
    assert done["event"] == "training_done"
    assert done["weights"] == str(tmp_path / "run" / "gate-s.safetensors")
    assert done["loss"] > 0


@pytest.mark.parametrize(
    ("pairs", "code", "said"),
    [
        (("data.rainy=none/",), 3, "none: no such file or folder"),
        (("data.rainy=",), 2, "data.rainy: names no videos"),
        (("patch=129",), 2, "patch=129: allowed: up to data.crop=128"),
        (("model=gate-x",), 2, "model=gate-x"),
        (("step=1",), 2, "step"),
        (("recycle.layers=0",), 2, "recycle.layers=0"),
    ],
)
def test_what_is_refused(pairs: tuple[str, ...], code: int, said: str, tmp_path: Path, vidrain: Vidrain) -> None:
    ran = vidrain("train", "-c", SMOKE, "-o", tmp_path / "run", *pairs)
    assert ran.code == code
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_a_folder_has_to_be_named(vidrain: Vidrain) -> None:
    ran = vidrain("train", "-c", SMOKE)
    assert ran.code == 2
    assert "--output" in ran.err


def test_a_run_folder_that_is_a_file(tmp_path: Path, vidrain: Vidrain) -> None:
    (tmp_path / "run").write_text("in the way")
    ran = vidrain("train", "-c", SMOKE, "-o", tmp_path / "run")
    assert ran.code == 5
    assert "run: cannot be written" in ran.err
    assert (tmp_path / "run").read_text() == "in the way"
