"""bench(): methods by sizes by lengths, in turns, to one folder of figures.

    found = bench(BenchOptions(methods=methods), Path("speed"))

Clips are rendered and weights drawn beforehand, from the seed; both are gone at the end. Nothing else should run.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from vidrain import __version__
from vidrain.bench.clip import write_clip
from vidrain.bench.jobs import JobFailed, command_for, run_job
from vidrain.bench.markdown import BUSY, page
from vidrain.bench.passthrough import ENCODE
from vidrain.bench.plan import (
    PASSTHROUGH,
    PUBLISHED,
    BenchOptions,
    Cell,
    Method,
    Turn,
    clip_name,
    refuse_unmeasurable,
    turns,
    weights_for,
)
from vidrain.bench.stages import codec_stages, model_stages, published_ms
from vidrain.bench.summary import summarised
from vidrain.device import device_of
from vidrain.errors import ModelError, VidrainError
from vidrain.evaluation.plan import libraries, machine
from vidrain.events import Notice, OnEvent, ignore
from vidrain.events_bench import BenchDone, BenchPlan, BenchRun
from vidrain.job import plan_job
from vidrain.model.gate import CONFIGS, Gate
from vidrain.model.nlcl import Generator, Nlcl
from vidrain.outputs import FolderClaim, fresh_folder, put, written
from vidrain.provenance import made_by, sha256_of
from vidrain.scratch import scratch_folder
from vidrain.video.decode import open_video
from vidrain.weights import load_decomposer, packed_gate, packed_nlcl

RESULTS, TABLES = "results.json", "results.md"
_WORK = "work"  # clips, weights and outputs, removed before anything gets its name


@dataclass(frozen=True)
class Bench:
    """What came out: all of results.json, and the tables as Markdown."""

    facts: dict[str, Any]
    page: str

    @property
    def is_whole(self) -> bool:
        """Whether everything that was asked for could be measured."""
        return not self.facts["failed"]


def bench(
    options: BenchOptions,
    output: Path | None = None,
    *,
    force: bool = False,
    command: str = "",
    on_event: OnEvent = ignore,
) -> Bench:
    """Measure, and write results.json and results.md into the folder `output`, if one is named.

    command: as it could be given again, to be written down. A method that fails is named and left out. Raises
    VidrainError.
    """
    began, load = monotonic(), os.getloadavg()[0]
    refuse_unmeasurable(options)
    with _folder(output, force) as (work, claim):
        hashes = _prepare(options, work, on_event)
        on_event(
            BenchPlan(
                output=str(output or ""),
                methods=[method.label for method in options.methods],
                sizes=list(options.sizes),
                frames=list(options.frames),
                runs=sum(1 for _ in turns(options)),
            )
        )
        if load > BUSY:
            said = f"the machine is busy (load average {load:.2f}, want at most {BUSY:g}): figures will mean nothing"
            on_event(Notice(code="busy", message=said))
        records, failed = _measured(options, work, on_event)
        found = _bench(options, records, failed, {"command": command, "load": load, "clips": hashes})
        shutil.rmtree(work)
        if claim is not None:
            with written(claim.target):
                put(claim.partial / RESULTS, (json.dumps(found.facts, indent=1) + "\n").encode())
                put(claim.partial / TABLES, found.page.encode())
            claim.publish()
    on_event(BenchDone(output=str(output or ""), seconds=round(monotonic() - began, 3), failed=len(failed)))
    return found


@contextmanager
def _folder(output: Path | None, force: bool) -> Iterator[tuple[Path, FolderClaim | None]]:
    """Where to work, removed at the end however it comes, and the claim on `output`."""
    if output is not None:
        with fresh_folder(output, force=force, mark=RESULTS) as claim:
            work = claim.partial / _WORK
            with written(work):
                work.mkdir()
            yield work, claim
        return
    with scratch_folder("bench") as work:
        yield work, None


def _prepare(options: BenchOptions, work: Path, on_event: OnEvent) -> dict[str, str]:
    """Render the clips and draw the weights, both from the seed; file name of each clip -> SHA-256."""
    hashes: dict[str, str] = {}
    for size, frames in dict.fromkeys((turn.cell.size, turn.cell.frames) for turn in turns(options)):
        path = work / clip_name(size, frames)
        with written(work):
            write_clip(path, size, frames, seed=options.seed)
            hashes[path.name] = sha256_of(path)
    for method in options.methods:
        if method.draws_weights:
            path = work / f"{method.model}.safetensors"
            put(path, drawn_weights(str(method.model), options.seed))
            said = f"{method.label}: no weights of {method.model} came with vidrain; they are drawn at random"
            on_event(Notice(code="weights", message=said))
    return hashes


def drawn_weights(model: str, seed: int) -> bytes:
    """A file of weights as a network begins with them."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        if model in CONFIGS:
            return packed_gate(model, Gate(CONFIGS[model]).state_dict())
        return packed_nlcl(Generator().state_dict())


def _published(seed: int) -> Nlcl:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Nlcl(Generator(), None, statistics="live").eval().requires_grad_(False)


def _measured(
    options: BenchOptions, work: Path, on_event: OnEvent
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """All turns: what was measured, and what could not be, which is not tried again; ModelError where all failed."""
    records: list[dict[str, Any]] = []
    failed: dict[Cell, dict[str, Any]] = {}
    first = options.frames[0]
    for turn in turns(options):
        cell = turn.cell
        named: dict[str, Any] = {
            "repeat": turn.repeat,
            "size": cell.size,
            "frames": cell.frames,
            "method": cell.method.label,
        }
        if any(cell.size == other.size and cell.method == other.method for other in failed):
            continue
        try:
            found = _turn(turn, work, options, has_stages=cell.frames == first or not turn.repeat)
        except (VidrainError, RuntimeError, MemoryError) as error:  # torch raises RuntimeError where memory ends
            failed[cell] = named | {"error": " ".join(str(error).split()) or type(error).__name__}
            on_event(Notice(code="failed", message=f"{cell.method.label}, {cell.size}: {failed[cell]['error']}"))
            continue
        records.append(named | found)
        seconds = found["job"]["seconds"] if "job" in found else found["published_ms"] / 1000
        on_event(BenchRun(**named, seconds=seconds))
    if not records:
        why = "; ".join(f"{each['method']}, {each['size']}: {each['error']}" for each in failed.values())
        raise ModelError(f"nothing could be measured ({why}); name other methods, or a smaller --size")
    return records, list(failed.values())


def _turn(turn: Turn, work: Path, options: BenchOptions, *, has_stages: bool) -> dict[str, Any]:
    """One method once: its stages in this process, then the whole job in one of its own."""
    cell, method = turn.cell, turn.cell.method
    source, scratch = work / clip_name(cell.size, cell.frames), work / "job"
    if method.name == PUBLISHED:
        return {"published_ms": published_ms(source, _published(options.seed), device_of("auto"))}
    shutil.rmtree(scratch, ignore_errors=True)
    with written(scratch):
        scratch.mkdir()
    target, weights = scratch / "out.mp4", weights_for(method, work)
    stages = _stages(method, source, target, weights) if has_stages else None
    target.unlink(missing_ok=True)
    job = run_job(command_for(method, source, target, weights), scratch)
    if job.frames != cell.frames:
        raise JobFailed(f"{job.frames} frames came out of {cell.frames}")
    return {"job": asdict(job), "stages": stages}


def _stages(method: Method, source: Path, target: Path, weights: Path | None) -> dict[str, float]:
    if method.name == PASSTHROUGH or method.options is None:
        return codec_stages(source, target)
    options = replace(method.options, weights=weights)
    job = plan_job(open_video(source), target, replace(options, encode=ENCODE))
    decomposer = load_decomposer(job.model, weights, options.of_models)
    return model_stages(source, decomposer, job.decompose)


def _bench(
    options: BenchOptions, records: list[dict[str, Any]], failed: list[dict[str, Any]], said: dict[str, Any]
) -> Bench:
    """All of results.json. said: the command, the load average at the start, hashes of the clips."""
    settings = {
        "sizes": list(options.sizes),
        "frames": list(options.frames),
        "repeats": options.repeats,
        "seed": options.seed,
    }
    methods = {
        method.label: {
            "name": method.name,
            "model": method.model,
            "settings": list(method.settings),
            "draws_weights": method.draws_weights,
        }
        for method in options.methods
    }
    facts: dict[str, Any] = {
        "v": 1,
        "made_by": made_by("bench", None, settings | {"methods": methods}),
        "vidrain": __version__,
        "command": said["command"],
        "libraries": libraries(),
        "machine": machine() | {"load": said["load"]},
        "is_busy": said["load"] > BUSY,
        "encoder": f"{ENCODE.codec} veryfast, crf {ENCODE.crf}, {ENCODE.threads} threads",
        "clips": said["clips"],
        "settings": settings,
        "methods": methods,
        "failed": failed,
        "summary": summarised(records),
        "records": records,
    }
    return Bench(facts, page(facts) + "\n")
