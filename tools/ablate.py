"""Trains variants of a recipe over seeds, scores them alike, and prints a table: which parts of NLCL earn their place.

    python -m tools.ablate --steps 600                             # every variant, seeds 0, 1 and 2, development clips
    python -m tools.ablate --steps 600 --variants "full; plain" --seeds 0 weights.layer=0.01
    python -m tools.ablate --steps 600 --on test                   # the same weights on the clips that are only scored

The recipe is `-c` (configs/ablation.yaml), and key=value changes it for all variants. Each run has a folder under `-o`,
named by variant, seed and a hash of its settings; a run that was cut off goes on there. After every run the figures
stand in dev.json or test.json: what is recorded with the same hash is not done again.

`--on dev`, for all choices: rain of `tools/dev_rain.py`, rendered once, on two clips of clean/train that are left out
of training. Gain in dB-Y, and harm: B against O of the same clips without rain, every frame cleaned. `--on test`, never
for a choice: the gain on paired/, and what becomes of streaks on yard and garden, filmed by a still camera
(docs/eval.md).
"""

import argparse
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from tools.dev_rain import render
from tools.ends import with_exit_code
from vidrain.config import load_train
from vidrain.errors import InputError, UsageError
from vidrain.evaluation.measure import Row
from vidrain.evaluation.methods import INPUT, Method
from vidrain.evaluation.run import measured
from vidrain.evaluation.sets import SetOptions, found_in
from vidrain.job import CleanOptions
from vidrain.meter import MeterOptions
from vidrain.model.gate import CONFIGS
from vidrain.outputs import claimed
from vidrain.train.data import Cut, DataOptions, Windows
from vidrain.train.loop import TrainConfig, cut_of, train, windows_of

RAINY = ("field", "trees", "people", "campus", "night_path")
LEFT_OUT = ("truck", "carpark")  # of clean/train: the development clips
STILL = ("yard", "garden")
FREE = ("device", "threads", "checkpoint_every", "preview_every")  # settings that change nothing that comes out

SCORED = "every frame cleaned"  # how; figures of before, when dry ones were not, are others

_NO_CONTRAST = ("weights.location=0", "weights.layer=0")
_NOTHING = (*_NO_CONTRAST, "weights.adversarial=0", "weights.decorrelation=0", "weights.consistency=0")
POSITIVES = ("random", "published", "exclusion", "frames", "motion")
VARIANTS: dict[str, tuple[str, ...]] = {
    "full": (),
    "plain": _NOTHING,
    "no contrast": _NO_CONTRAST,
    **{
        f"{positives}, {name}": (f"contrast.positives={positives}", f"contrast.asymmetry={asymmetry}")
        for positives in POSITIVES
        for name, asymmetry in (("symmetric", "none"), ("asymmetric", "temperature"))
        if (positives, name) != ("motion", "asymmetric")  # that is `full`
    },
    "radius": ("contrast.asymmetry=radius",),
    "no location": ("weights.location=0",),
    "no layer": ("weights.layer=0",),
    "no adversarial": ("weights.adversarial=0",),
    "no decorrelation": ("weights.decorrelation=0",),
    "no consistency": ("weights.consistency=0",),
    "no reverse negatives": ("contrast.negatives=random",),
    "no edges": ("contrast.edges=0",),
    "no pasted rain": ("data.clean_share=0",),  # rainy windows, of which no truth is known, take their place
    "no settled": ("data.settled_share=0",),
    "encoder discriminator": ("contrast.encoder=discriminator",),
    "cells": (*_NOTHING, "weights.cells=0.1"),  # the contrast of layers in the trunk alone
    "cells, symmetric": (*_NOTHING, "weights.cells=0.1", "contrast.asymmetry=none"),
    "cells, shuffled": (*_NOTHING, "weights.cells=0.1", "contrast.labels=shuffled"),  # a control: labels tell nothing
}

Scores = dict[str, float]


class Record:
    """The figures of all runs so far in one JSON file, replaced as a whole after each."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.runs: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    def has(self, name: str, digest: str) -> bool:
        """Whether this run is recorded with these settings."""
        return self.runs.get(name, {}).get("hash") == digest

    def add(self, name: str, run: dict[str, Any]) -> None:
        """Add a run, or take the place of one of other settings."""
        self.runs[name] = run
        with claimed(self._path, force=True) as claim:
            claim.partial.write_text(json.dumps(dict(sorted(self.runs.items())), indent=1) + "\n", encoding="utf-8")
            claim.publish()


def recipe(given: argparse.Namespace, variant: str, seed: int) -> TrainConfig:
    """The settings of one run."""
    clean = sorted(path for path in (given.data / "clean" / "train").glob("*.mp4") if path.stem not in LEFT_OUT)
    rainy = [given.data / "real" / f"{name}.mp4" for name in RAINY]
    named = [f"data.{kind}={','.join(map(str, clips))}" for kind, clips in (("rainy", rainy), ("clean", clean))]
    pairs = (*named, f"steps={given.steps}", f"seed={seed}", *given.settings, *VARIANTS[variant])
    return load_train(given.config, pairs)


def digest_of(config: TrainConfig, **further: object) -> str:
    """A hash of everything that a figure depends on, but the code; clips by name and size, wherever they lie."""
    settings = {key: value for key, value in asdict(config).items() if key not in FREE}
    clips = {kind: [_known_as(Path(clip)) for clip in getattr(config.data, kind)] for kind in ("rainy", "clean")}
    settings["data"] = settings["data"] | clips
    return hashlib.sha256(json.dumps(settings | further, sort_keys=True).encode()).hexdigest()[:12]


def _known_as(clip: Path) -> tuple[str, int]:
    return clip.name, clip.stat().st_size if clip.is_file() else 0


class Readings:
    """Windows of one seed, each kind of them read once for all variants that learn from it, and held until the next."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._held: dict[tuple[DataOptions, Cut], Windows] = {}

    def of(self, config: TrainConfig) -> Windows:
        """Those that a run of these settings learns from."""
        key = (config.data, cut_of(config, CONFIGS[config.model]))
        if key not in self._held:
            self._held[key] = windows_of(config)
        return self._held[key]


def run(given: argparse.Namespace, name: str, config: TrainConfig, record: Record, readings: Readings) -> None:
    """Train and score one run, unless it is recorded."""
    digest = digest_of(config, on=given.on, every=given.every, frames=given.frames, scored=SCORED)
    if record.has(name, digest):
        _say(f"{name}: recorded")
        return
    where = (*config.data.rainy, *config.data.clean)  # a run goes on only with the very clips that it began with
    folder = given.output / "runs" / f"{re.sub('[^a-z0-9]+', '-', name)}-{digest_of(config, where=where)}"
    report = train(config, folder, windows=readings.of(config))
    scores = scores_of(given, _method(name, CleanOptions(model=config.model, weights=report.weights)))
    facts = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    curve = [json.loads(line) for line in (folder / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    settings = {
        "steps": config.steps,
        "seconds": round(curve[-1]["time"] - curve[0]["time"]),
        "commit": facts["commit"],
    }
    record.add(name, {"hash": digest, **settings, "scores": scores})
    _say(f"{name}: {scores}")


def reference(given: argparse.Namespace, record: Record) -> None:
    """The baseline, which has no seeds, scored alike."""
    name, digest = "baseline / 0", f"every {given.every} of {given.frames} on {given.on}, {SCORED}"
    if not record.has(name, digest):
        method = _method(name, CleanOptions(model="baseline"))
        record.add(name, {"hash": digest, "scores": scores_of(given, method)})


def _method(name: str, options: CleanOptions) -> Method:
    """A model at work in every frame: what dry frames are left alone is the meter's merit, not that of a variant."""
    return Method(label=name, kind="model", options=replace(options, meter=MeterOptions(dry=None)))


def scores_of(given: argparse.Namespace, method: Method) -> Scores:
    """The columns of the table."""
    return dict(_on_dev(given, method) if given.on == "dev" else _on_test(given, method))


def _on_dev(given: argparse.Namespace, method: Method) -> Iterator[tuple[str, float]]:
    folder = given.output / f"dev-{given.frames}"
    for name in LEFT_OUT:
        if not (folder / "clean" / "train" / f"{name}.mp4").exists():  # written last
            render(given.data / "clean" / "train" / f"{name}.mp4", folder, seed=1, frames=given.frames, density=1.0)
    yield from _gains(folder, method, given.every)
    harm = _figures(SetOptions(kind="clean", clips=["clean/train/*"]), folder, method, given.every)
    yield from ((f"harm {name}", figures["psnr_y"]) for name, figures in harm.items())
    yield "harm", fmean(figures["psnr_y"] for figures in harm.values())


def _on_test(given: argparse.Namespace, method: Method) -> Iterator[tuple[str, float]]:
    yield from _gains(given.data, method, given.every)
    clips = [f"real/{name}.mp4" for name in STILL]
    chosen = SetOptions(kind="real", clips=clips, still=list(STILL), frames=given.frames)
    for name, figures in _figures(chosen, given.data, method, 1).items():
        yield f"{name}: streaks gone %", 100 * figures["excess_gone"]
        yield f"{name}: flicker", figures["flicker"]
        yield f"{name}: correlation", figures["correlation"]


def _gains(folder: Path, method: Method, every: int) -> Iterator[tuple[str, float]]:
    pairs = SetOptions(rainy=["paired/*_rainy.mp4"], truth=["paired/*_clean.mp4"], steps=False)
    after = _figures(pairs, folder, method, every)
    before = _figures(pairs, folder, Method(label=INPUT, kind="input"), every)
    gains = {name: figures["psnr_y"] - before[name]["psnr_y"] for name, figures in after.items()}
    yield from ((f"gain {name}", gain) for name, gain in gains.items())
    yield "gain", fmean(gains.values())


def _figures(chosen: SetOptions, data: Path, method: Method, every: int) -> dict[str, Row]:
    """Clip -> its figures."""
    return {found.name: measured(found, method).clip for found in found_in("clips", chosen, data, every)}


def table(runs: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Lines of Markdown: a row per variant, mean and standard deviation over its seeds."""
    columns = list(dict.fromkeys(column for run_ in runs.values() for column in run_["scores"]))
    yield "| ".join(["", "variant ", "seeds ", *(f"{column} " for column in columns), ""]).strip()
    yield "|" + " --- |" * (2 + len(columns))
    for variant in ("baseline", *VARIANTS):
        found = [run_["scores"] for name, run_ in sorted(runs.items()) if name.rpartition(" / ")[0] == variant]
        if found:
            cells = [_mean_and_spread([scores[column] for scores in found]) for column in columns]
            yield f"| {variant} | {len(found)} | " + " | ".join(cells) + " |"


def _mean_and_spread(values: Sequence[float]) -> str:
    spread = f" ± {stdev(values):.2f}" if len(values) > 1 else ""
    return f"{fmean(values):.2f}{spread}"


def parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.ablate",
        description=__doc__,
        epilog="variants: " + "; ".join(VARIANTS),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("runs/ablation"), metavar="DIR")
    parser.add_argument("-c", "--config", type=Path, default=Path("configs/ablation.yaml"))
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VIDRAIN_DATA") or "../shared/data"))
    parser.add_argument("--on", choices=("dev", "test"), default="dev")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", default="0,1,2", help="separated by commas")
    parser.add_argument("--variants", default=";".join(VARIANTS), help="separated by semicolons")
    parser.add_argument("--every", type=int, default=6, metavar="N", help="score every Nth frame of pairs")
    parser.add_argument("--frames", type=int, default=60, help="of the rendered clips, and of those of a still camera")
    parser.add_argument("settings", nargs="*", metavar="key=value", help="such as weights.layer=0.01")
    return parser.parse_intermixed_args(argv)


def ablate(given: argparse.Namespace) -> Record:
    """All runs that are asked for, seed by seed, so that every variant has figures early."""
    variants = [name.strip() for name in given.variants.split(";")]
    if unknown := [name for name in variants if name not in VARIANTS]:
        raise UsageError(f"--variants {unknown[0]}: allowed: {'; '.join(VARIANTS)}")
    if not all(seed.strip().isdigit() for seed in given.seeds.split(",")):
        raise UsageError(f"--seeds {given.seeds}: allowed: whole numbers from 0, separated by commas")
    if not (given.data / "real").is_dir():
        raise InputError(f"{given.data}/real: no such folder; give --data")
    runs = [(variant, seed) for seed in map(int, given.seeds.split(",")) for variant in variants]
    recipes = [recipe(given, *run_) for run_ in runs]  # a mistake is told before the first one begins
    given.output.mkdir(parents=True, exist_ok=True)
    record = Record(given.output / f"{given.on}.json")
    reference(given, record)
    readings = Readings(0)
    for (variant, seed), config in zip(runs, recipes, strict=True):
        readings = readings if readings.seed == seed else Readings(seed)
        run(given, f"{variant} / {seed}", config, record, readings)
    return record


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    record = ablate(parsed(argv))
    sys.stdout.writelines(f"{line}\n" for line in table(record.runs))


if __name__ == "__main__":
    sys.exit(main())
