"""Measures what mining costs in a training step: 64 queries in a clip of five frames, 8 pixels around.

    python -m tools.bench_mining [--size 256] [--frames 5] [--queries 64] [--radius 8] [--json]

Milliseconds, the quickest and the median of the repeats, on torch's threads. Pictures and motion are random numbers:
the time does not depend on what they show.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence

import torch

from vidrain.train.mining import Mined, Spatial, Temporal, mine_background, sample_queries


def step(*, size: int, frames: int, queries: int, radius: int) -> Callable[[], Mined]:
    """One call of the miner: `radius` pixels around each query in every frame, in the others along the motion."""
    generator = torch.Generator().manual_seed(0)
    guide = torch.rand((1, frames, 1, size, size), generator=generator)
    flow = torch.zeros((1, frames, frames, size, size, 2))
    query = sample_queries(guide.shape, queries, generator, patch=16)
    spatial = Spatial(radius=radius, exclusion=min(4, radius), stride=1)
    temporal = Temporal(refine=radius)
    return lambda: mine_background(guide, query, flow, patch=16, spatial=spatial, temporal=temporal)


def timings(work: Callable[[], object], repeats: int) -> list[float]:
    """Milliseconds of each of `repeats` calls, after two that are not counted."""
    found = []
    for number in range(repeats + 2):
        began = time.perf_counter()
        work()
        if number >= 2:
            found.append((time.perf_counter() - began) * 1000)
    return found


def milliseconds(*, repeats: int) -> float:
    """The quickest of some calls of the standard size."""
    return min(timings(step(size=256, frames=5, queries=64, radius=8), repeats))


def main(argv: Sequence[str] | None = None) -> int:
    """Run; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.bench_mining", description=(__doc__ or "").partition("\n")[0]
    )
    for name, value in (("size", 256), ("frames", 5), ("queries", 64), ("radius", 8), ("repeats", 50)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(argv)
    work = step(size=given.size, frames=given.frames, queries=given.queries, radius=given.radius)
    found = timings(work, given.repeats)
    report = {"quickest_ms": min(found), "median_ms": statistics.median(found), "threads": torch.get_num_threads()}
    line = f"{report['quickest_ms']:.1f} ms, median {report['median_ms']:.1f} ms on {report['threads']} threads"
    sys.stdout.write((json.dumps(report) if given.json else line) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
