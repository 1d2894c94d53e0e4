"""What training and adapting tell, as people and programs get to see it."""

import io
import re
import time

from tests.told import PLAN, lines_of, progress, shown_by_bar, until
from vidrain.events import AdaptationDone, AdaptationStep, TrainingDone, TrainingPlan, TrainingStep
from vidrain.progress import Lines

TRAINING = TrainingPlan(
    run_dir="runs/[1]", model="gate-s", parameters=37000, device="cpu", clips=["a.mp4"], first=0, steps=20
)
TRAINED = TrainingDone(run_dir="runs/[1]", weights="runs/[1]/w.safetensors", steps=20, loss=0.0025, seconds=4.0)
ADAPTED = AdaptationDone(
    steps=60,
    factors=(1.25, 1.0, 0.3),
    gain=0.125,
    fell_back=False,
    reason=None,
    is_reused=False,
    weights="0123456789ab",
    seconds=31.0,
)


def adapting(steps: int, *, total: int | None = None, limit_s: float | None = None) -> AdaptationStep:
    return AdaptationStep(steps=steps, total=total, seconds=steps / 2, limit_s=limit_s, gain=0.034)


def trained(steps: int, total: int = 20) -> TrainingStep:
    return TrainingStep(steps=steps, total=total, loss=0.0125, steps_per_s=5.0, eta_s=(total - steps) / 5.0)


def test_training_is_told_likewise() -> None:
    stream = io.StringIO()
    with Lines(stream, at_most_every_s=60) as sink:
        for event in (TRAINING, trained(7), trained(20), TRAINED):
            sink(event)
    lines = lines_of(stream)
    assert [line["event"] for line in lines] == ["training_plan", "training_step", "training_done"]
    assert (lines[0]["clips"], lines[1]["steps"], lines[1]["loss"]) == (["a.mp4"], 20, 0.0125)


def test_adapting_is_told_likewise() -> None:
    stream = io.StringIO()
    with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.05) as sink:
        sink(adapting(7, limit_s=30))
        until(lambda: stream.getvalue().count("adaptation_step") >= 2)
        sink(ADAPTED)
        written = stream.getvalue().count("\n")
        time.sleep(0.1)
        assert stream.getvalue().count("\n") == written  # it is over
    lines = lines_of(stream)
    assert [line["event"] for line in lines[-2:]] == ["adaptation_step", "adaptation_done"]
    assert (lines[0]["steps"], lines[0]["total"], lines[0]["limit_s"], lines[0]["gain"]) == (7, None, 30, 0.034)
    assert (lines[-1]["factors"], lines[-1]["weights"]) == ([1.25, 1.0, 0.3], "0123456789ab")


def test_a_step_that_takes_long_is_not_silence() -> None:
    stream = io.StringIO()
    with Lines(stream, at_most_every_s=0.01, at_least_every_s=0.05) as sink:
        sink(TRAINING)
        until(lambda: stream.getvalue().count("training_step") >= 2)
    assert {line["loss"] for line in lines_of(stream)[1:]} == {None}


def test_shows_steps_and_loss() -> None:
    _, text = shown_by_bar(TRAINING, trained(7), TRAINED)
    assert "runs/[1]: gate-s, 1 clips, 20 steps" in text
    assert "5.0 steps/s, loss 0.01250" in text
    assert "7/20" in text
    assert "OK runs/[1]/w.safetensors  20 steps, loss 0.00250" in text


def test_shows_how_far_adapting_is_and_then_the_frames() -> None:
    _, text = shown_by_bar(adapting(7, total=20), ADAPTED, PLAN, progress(3))
    assert "7/20" in text
    assert "7 steps, 3.4% less error" in text
    assert (
        "adapted: 60 steps, shares times 1.25 1 0.3, 12.5% less error on held-out frames, weights 0123456789ab" in text
    )
    last = [line for line in re.split(r"[\r\n]", text) if "3/20" in line][-1]
    assert "cleaning" in last
    _, text = shown_by_bar(adapting(14, limit_s=30.0), AdaptationDone(**{**vars(ADAPTED), "fell_back": True}))
    assert "7/30" in text
    assert "base weights kept" in text
