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
    return {
        "jobs": list(_jobs(counted)),
        "stages": list(_stages(counted)),
        "published": list(_published(counted)),
        "lengths": list(_lengths(counted)),
        "pixels": list(_pixels(counted)),
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


def _pixels(records: Sequence[Record]) -> Iterator[Figures]:
    """Cost of a pixel at each size, and over that at the smallest, where there are several; the stages that differ."""
    runs, stages = _grouped(records, "job"), _grouped(records, "stages")
    for method, frames in dict.fromkeys((method, frames) for _, frames, method in runs):
        sizes = sorted((size for size, *of in runs if of == [frames, method]), key=megapixels)
        if len(sizes) < 2:
            continue
        costs = {
            size: {
                repeat: 1000 * job["seconds"] / job["frames"] / megapixels(size)
                for repeat, job in runs[size, frames, method].items()
            }
            for size in sizes
        }
        timed = {size: of for (size, _, by), of in stages.items() if by == method}  # for the first length alone
        for size in sizes:
            yield {
                "method": method,
                "frames": frames,
                "size": size,
                "ns_per_pixel": _spread(costs[size].values()),
                "to_smallest": _spread(_ratios(costs[size], costs[sizes[0]])),
                "not_linear": _not_linear(timed.get(size, {}), timed.get(sizes[0], {}), size, sizes[0]),
            }


def _not_linear(
    found: Mapping[int, Any], smallest: Mapping[int, Any], size: str, smallest_size: str
) -> dict[str, float]:
    """Stages whose cost of a pixel at one size over that at another is out of bounds, and that ratio."""
    share = megapixels(size) / megapixels(smallest_size)
    differing = {}
    for name in dict.fromkeys(name for stages in found.values() for name in stages):
        here, there = ({repeat: of[name] for repeat, of in each.items() if of.get(name)} for each in (found, smallest))
        ratio = _spread(_ratios(here, there))
        if ratio is not None and abs(ratio["median"] / share - 1) > LINEAR:
            differing[name] = ratio["median"] / share
    return differing


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
