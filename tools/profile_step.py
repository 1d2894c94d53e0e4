"""Measures where the time of a training step goes: with each term of NLCL, without any, and by operation.

    python -m tools.profile_step [-c configs/ablation.yaml] [--repeats 5] [--rows 12] [key=value ...]

Milliseconds of one step on one batch of a sample clip, the quickest of some repeats; what reads and aligns the batches
runs beside it in a thread and is not in it. The terms are those to which the configuration gives a weight.
"""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from tools.ends import with_exit_code
from vidrain.config import load_train
from vidrain.model.gate import CONFIGS, Gate
from vidrain.train.data import Batch, Windows
from vidrain.train.loop import Learner, TrainConfig, cut_of, learn, learner_for
from vidrain.train.terms import TERMS

ROOT = Path(__file__).resolve().parents[1]
CLIPS = {"data.rainy": "street.mp4", "data.clean": "street_clean.mp4"}


def with_terms(config: TrainConfig, kept: Sequence[str]) -> TrainConfig:
    """The same without the terms of NLCL that are not kept."""
    weights = {name: 0.0 for name in TERMS if name not in kept}
    return replace(config, weights=replace(config.weights, **weights))


def batch_of(config: TrainConfig) -> Batch:
    """The first batch."""
    cut = cut_of(config, CONFIGS[config.model])
    return Windows(config.data, cut, seed=config.seed, tell=lambda notice: None).batch(0)


def learner(config: TrainConfig) -> Learner:
    """One that has not learned anything."""
    torch.manual_seed(config.seed)
    return learner_for(Gate(CONFIGS[config.model]), config)


def milliseconds(config: TrainConfig, batch: Batch, repeats: int) -> float:
    """The quickest of some steps, after one that is not counted."""
    made, found = learner(config), []
    for step in range(repeats + 1):
        began = time.perf_counter()
        learn(made, batch, step, config, teacher=None, rate=config.rate)
        found.append((time.perf_counter() - began) * 1000)
    return min(found[1:])


def rows(config: TrainConfig, batch: Batch, repeats: int) -> Iterator[str]:
    """A table of Markdown: without any, with each term, with all."""
    yield "| terms | ms per step | times without |"
    yield "| --- | --- | --- |"
    terms = [name for name in TERMS if name in config.weights.counted]
    alone = None
    for kept in ([], *([name] for name in terms), terms):
        found = milliseconds(with_terms(config, kept), batch, repeats)
        alone = alone or found
        name = "without" if not kept else f"with {kept[0]}" if len(kept) == 1 else "with all"
        yield f"| {name} | {found:.0f} | {found / alone:.1f} |"


def by_operation(config: TrainConfig, batch: Batch, count: int) -> str:
    """What the profiler of torch says of one step with all terms."""
    made = learner(config)
    learn(made, batch, 0, config, teacher=None, rate=config.rate)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        learn(made, batch, 1, config, teacher=None, rate=config.rate)
    return str(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=count, max_name_column_width=40))


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m tools.profile_step", description=summary)
    parser.add_argument("-c", "--config", type=Path, default=ROOT / "configs" / "ablation.yaml")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, default=12, help="operations shown")
    parser.add_argument("settings", nargs="*", metavar="key=value")
    given = parser.parse_intermixed_args(argv)
    clips = [f"{key}={ROOT / 'samples' / name}" for key, name in CLIPS.items()]
    config = load_train(given.config, [*clips, *given.settings])
    batch = batch_of(config)
    sizes = f"batch {config.batch}, patch {config.patch}, {torch.get_num_threads()} threads"
    sys.stdout.write(f"{config.model}, {sizes}\n\n")
    for row in rows(config, batch, given.repeats):
        sys.stdout.write(f"{row}\n")
        sys.stdout.flush()
    sys.stdout.write(f"\n{by_operation(config, batch, given.rows)}\n")


if __name__ == "__main__":
    sys.exit(main())
