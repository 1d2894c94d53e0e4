"""Raw repeats become figures: medians, quartiles, ratios within the run, cost by length and by pixel. Pure.

A record is what one turn measured, as it stands in results.json: `repeat`, `size`, `frames`, `method`, and where they
were measured `job` (`JobRun`), `stages` (milliseconds a frame by stage), `published_ms`. Repeat 0 does not count.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from vidrain.bench.figures import paired_ratios, spread
from vidrain.bench.plan import PASSTHROUGH, PUBLISHED, megapixels

Record = Mapping[str, Any]
Key = tuple[str, int, str]  # size, frames, method
Figures = dict[str, Any]

LINEAR = 0.3  # a cost by pixel that differs by no more counts as linear


def summarised(records: Sequence[Record]) -> dict[str, list[Figures]]:
    """Rows for each table: jobs, stages, published, lengths, pixels."""
    counted = [record for record in records if record["repeat"] > 0]
    jobs = list(_jobs(counted))
    stages = list(_stages(counted))
    return {
        "jobs": jobs,
        "stages": stages,
        "published": list(_published(counted)),
        "lengths": list(_lengths(counted)),
        "pixels": list(_pixels(jobs, stages)),
    }


def _jobs(records: Sequence[Record]) -> Iterator[Figures]:
    """A row for each method on each clip; ratios are taken repeat by repeat."""
    runs = _grouped(records, "job")
    for (size, frames, method), found in runs.items():
        seconds = {repeat: job["seconds"] for repeat, job in found.items()}
        limit = {repeat: job["seconds"] for repeat, job in runs.get((size, frames, PASSTHROUGH), {}).items()}
        per_frame = [1000 * job["seconds"] / job["frames"] for job in found.values()]
        yield {
            "size": size,
            "frames": frames,
            "method": method,
            "repeats": len(found),
            "seconds": _spread(seconds.values()),
            "ms_per_frame": _spread(per_frame),
            "cpu_ms_per_frame": _spread(1000 * job["cpu_s"] / job["frames"] for job in found.values()),
            "steady_ms": _spread(job["steady_ms"] for job in found.values()),
            "first_s": _spread(job["first_s"] for job in found.values()),
            "besides_s": _spread(_besides(job) for job in found.values()),
            "to_passthrough": _spread(_ratios(seconds, limit)),
            "peak_mib": max(job["peak_mib"] for job in found.values()),
            "others": _most(job["others"] for job in found.values()),
        }


def _besides(job: Record) -> float | None:
    """Seconds of a job that are no frame's: starting up, joining segments, reading back."""
    return None if job["steady_ms"] is None else job["seconds"] - job["frames"] * job["steady_ms"] / 1000


def _stages(records: Sequence[Record]) -> Iterator[Figures]:
    """A row for each method at each size: milliseconds a frame by stage."""
    for (size, _, method), found in _grouped(records, "stages").items():
        names = dict.fromkeys(stage for stages in found.values() for stage in stages)
        spreads = {name: _spread(stages[name] for stages in found.values() if name in stages) for name in names}
        yield {"size": size, "method": method, "stages": spreads}


def _published(records: Sequence[Record]) -> Iterator[Figures]:
    """How many times as fast as the published network each job is, per frame, at the sizes where both ran."""
    networks: dict[str, dict[int, float]] = {}
    for record in records:
        if record.get("published_ms") is not None:
            networks.setdefault(record["size"], {})[record["repeat"]] = record["published_ms"]
    jobs = _grouped(records, "job")
    for size, network in networks.items():
        yield {"size": size, "frames": None, "method": PUBLISHED, "ms_per_frame": _spread(network.values())}
        for (at, frames, method), found in jobs.items():
            if at == size and method != PASSTHROUGH:
                per_frame = {repeat: 1000 * job["seconds"] / job["frames"] for repeat, job in found.items()}
                yield {
                    "size": size,
                    "frames": frames,
                    "method": method,
                    "ms_per_frame": _spread(per_frame.values()),
                    "times_as_fast": _spread(_ratios(network, per_frame)),
                }


def _lengths(records: Sequence[Record]) -> Iterator[Figures]:
    """The longest clip over the shortest, where there are several: time of a settled frame, memory."""
    runs = _grouped(records, "job")
    for size, method in dict.fromkeys((size, method) for size, _, method in runs):
        lengths = sorted(frames for at, frames, of in runs if (at, of) == (size, method))
        if len(lengths) < 2:
            continue
        short, long = runs[size, lengths[0], method], runs[size, lengths[-1], method]
        steady = [
            {repeat: job["steady_ms"] for repeat, job in found.items() if job["steady_ms"]} for found in (long, short)
        ]
        yield {
            "size": size,
            "method": method,
            "frames": [lengths[0], lengths[-1]],
            "steady_ratio": _spread(_ratios(*steady)),
            "peak_mib": [max(job["peak_mib"] for job in found.values()) for found in (short, long)],
        }


def _pixels(jobs: Sequence[Figures], stages: Sequence[Figures]) -> Iterator[Figures]:
    """Cost of a pixel at each size over that at the smallest, where there are several, and the stages that differ."""
    for method, frames in dict.fromkeys((row["method"], row["frames"]) for row in jobs):
        rows = sorted(
            (row for row in jobs if (row["method"], row["frames"]) == (method, frames)),
            key=lambda row: megapixels(row["size"]),
        )
        if len(rows) < 2:
            continue
        smallest = rows[0]
        for row in rows:
            cost = {each["size"]: each["ms_per_frame"]["median"] / megapixels(each["size"]) for each in (smallest, row)}
            yield {
                "method": method,
                "frames": frames,
                "size": row["size"],
                "ns_per_pixel": cost[row["size"]],
                "to_smallest": cost[row["size"]] / cost[smallest["size"]],
                "not_linear": _not_linear(stages, method, smallest["size"], row["size"]),
            }


def _not_linear(stages: Sequence[Figures], method: str, smallest: str, size: str) -> dict[str, float]:
    """Stages whose cost of a pixel at one size over that at another is out of bounds, and that ratio."""
    found = {row["size"]: row["stages"] for row in stages if row["method"] == method}
    if not {smallest, size} <= found.keys():
        return {}
    share = megapixels(size) / megapixels(smallest)
    ratios = {
        name: found[size][name]["median"] / found[smallest][name]["median"] / share
        for name in found[size]
        if name in found[smallest] and found[smallest][name]["median"]
    }
    return {name: ratio for name, ratio in ratios.items() if abs(ratio - 1) > LINEAR}


def _grouped(records: Iterable[Record], part: str) -> dict[Key, dict[int, Any]]:
    """What was measured of `part`, by key and repeat."""
    found: dict[Key, dict[int, Any]] = {}
    for record in records:
        if record.get(part) is not None:
            key = (record["size"], record["frames"], record["method"])
            found.setdefault(key, {})[record["repeat"]] = record[part]
    return found


def _ratios(values: Mapping[int, float], others: Mapping[int, float]) -> list[float]:
    """value / other of the repeats in which both were measured."""
    both = sorted(values.keys() & others.keys())
    return paired_ratios([values[repeat] for repeat in both], [others[repeat] for repeat in both])


def _spread(values: Iterable[float | None]) -> dict[str, float] | None:
    known = [value for value in values if value is not None]
    return spread(known)._asdict() if known else None


def _most(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)
