"""Medians, quartiles, ratios within the run, the order of turns, and the tables that are made of raw repeats."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.bench.figures import paired_ratios, spread
from vidrain.bench.jobs import steady_ms
from vidrain.bench.plan import (
    SIZES,
    WARM_FRAMES,
    BenchOptions,
    Method,
    refuse_unmeasurable,
    size_of,
    turns,
)
from vidrain.bench.summary import summarised
from vidrain.errors import UsageError
from vidrain.job import CleanOptions

PASS, FAST, NETWORK = (
    Method("passthrough", "passthrough"),
    Method("quick", "fast", CleanOptions()),
    Method("p", "published"),
)


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12))
def test_quartiles_are_those_of_numpy(values: list[float]) -> None:
    assert spread(values) == pytest.approx(tuple(np.percentile(values, [50, 25, 75])))


def test_one_repeat_is_its_own_spread_and_none_has_no_median() -> None:
    assert spread([2.0]) == (2.0, 2.0, 2.0)
    with pytest.raises(ValueError, match="no value"):
        spread([])


def test_ratios_are_taken_pair_by_pair() -> None:
    assert paired_ratios([2.0, 8.0], [1.0, 2.0]) == [2.0, 4.0]
    with pytest.raises(ValueError):
        paired_ratios([1.0], [1.0, 2.0])


def test_methods_take_turns() -> None:
    """Each repeat measures every cell once, in one order; what warms up is short and comes first."""
    options = BenchOptions(methods=(PASS, FAST, NETWORK), sizes=("96x64", "vga"), frames=(10, 90), repeats=3)
    order = [(turn.repeat, turn.cell.size, turn.cell.frames, turn.cell.method.label) for turn in turns(options)]
    repeats = [[row[1:] for row in order if row[0] == repeat] for repeat in range(4)]
    assert order == sorted(order, key=lambda row: row[0])
    assert repeats[1] == repeats[2] == repeats[3]
    assert repeats[1] == [
        *(("96x64", 10, "passthrough"), ("96x64", 10, "quick"), ("96x64", 10, "p")),
        *(("96x64", 90, "passthrough"), ("96x64", 90, "quick")),
        *(("vga", 10, "passthrough"), ("vga", 10, "quick"), ("vga", 10, "p")),
        *(("vga", 90, "passthrough"), ("vga", 90, "quick")),
    ]
    assert {row[1] for row in repeats[0]} == {10, WARM_FRAMES}


@pytest.mark.parametrize("size", ["95x64", "96x16", "16384x64", "96", "x", "axb", "-96x64", "480"])
def test_sizes_that_cannot_be_are_refused(size: str) -> None:
    with pytest.raises(UsageError, match="allowed"):
        size_of(size)


def test_sizes_have_names() -> None:
    assert [size_of(name) for name in ("720p", "1080p", "4k")] == [(1280, 720), (1920, 1080), (3840, 2160)]
    assert all(size_of(name) == sides for name, sides in SIZES.items())
    assert size_of("96x64") == (96, 64)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"frames": (0,)}, "--frames 0"),
        ({"frames": (20, 2, 20)}, "--frames 20,2,20: one length stands there twice"),
        ({"repeats": 0}, "--repeats 0"),
        ({"sizes": ("vga", "640x480")}, "twice"),
        ({"methods": (FAST, Method("quick", "fast", CleanOptions()))}, "twice"),
        ({"methods": (Method("x", "fast", CleanOptions(cfr="25")),)}, "cfr is the same"),
    ],
)
def test_what_cannot_be_measured_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        refuse_unmeasurable(BenchOptions(**{"methods": (PASS, FAST)} | given))


def job(seconds: float, frames: int, *, steady: float | None = None, peak: float = 100.0) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "cpu_s": seconds,
        "peak_mib": peak,
        "others": 0.0,
        "frames": frames,
        "steady_ms": steady,
        "first_s": None,
    }


def record(repeat: int, method: str, found: dict[str, Any] | None, **more: Any) -> dict[str, Any]:
    named = {"repeat": repeat, "size": "vga", "frames": 100, "method": method, "job": found, "stages": None}
    return named | more


def test_ratios_to_passthrough_are_within_the_run() -> None:
    """The machine was four times slower in the second repeat, for both: the ratio does not know. Warm-up is no part."""
    pace = {0: 50.0, 1: 1.0, 2: 4.0, 3: 1.1}
    records = [
        record(repeat, method, job(cost * slow, 100))
        for repeat, slow in pace.items()
        for method, cost in (("passthrough", 2.0), ("quick", 5.0 if repeat else 1.0))
    ]
    rows = {row["method"]: row for row in summarised(records)["jobs"]}
    assert rows["quick"]["to_passthrough"] == {"median": 2.5, "low": 2.5, "high": 2.5}
    assert rows["quick"]["seconds"] == pytest.approx({"median": 5.5, "low": 5.25, "high": 12.75})
    assert rows["quick"]["ms_per_frame"]["median"] == pytest.approx(55)
    assert rows["quick"]["repeats"] == 3


def test_a_method_without_passthrough_beside_it_has_no_ratio() -> None:
    records = [record(1, "quick", job(1, 100)), record(1, "passthrough", job(1, 100), size="720p")]
    (row,) = [row for row in summarised(records)["jobs"] if row["method"] == "quick"]
    assert row["to_passthrough"] is None


def test_the_published_network_is_compared_per_frame() -> None:
    records = [
        *(record(repeat, "p", None, published_ms=1000.0 * repeat) for repeat in (1, 2)),
        *(record(repeat, "quick", job(2.0 * repeat, 100)) for repeat in (1, 2)),
    ]
    network, quick = summarised(records)["published"]
    assert network["ms_per_frame"]["median"] == 1500
    assert quick["times_as_fast"] == {"median": 50.0, "low": 50.0, "high": 50.0}


def test_long_clips_are_compared_with_short_ones() -> None:
    records = [
        record(1, "quick", job(9, 3000, steady=22.0, peak=130), frames=3000),
        record(1, "quick", job(1, 300, steady=20.0, peak=120), frames=300),
    ]
    found = summarised(records)
    (row,) = found["lengths"]
    assert (row["frames"], row["peak_mib"]) == ([300, 3000], [120, 130])
    assert row["steady_ratio"]["median"] == pytest.approx(1.1)
    assert found["jobs"][1]["besides_s"]["median"] == pytest.approx(1 - 300 * 0.020)


def test_stages_that_are_not_linear_in_pixels_are_named() -> None:
    """Four times the pixels: flow takes eight times as long, decoding five, which still counts as linear."""
    small, large = {"decode": 1.0, "align": 2.0}, {"decode": 5.0, "align": 16.0}
    records = [
        record(1, "quick", job(1, 100), size="96x64", stages=small),
        record(1, "quick", job(6, 100), size="192x128", stages=large),
    ]
    first, second = summarised(records)["pixels"]
    assert (first["to_smallest"]["median"], first["not_linear"]) == (1.0, {})
    assert first["ns_per_pixel"]["median"] == pytest.approx(1e9 / 100 / (96 * 64))
    assert second["to_smallest"]["median"] == pytest.approx(1.5)
    assert second["not_linear"] == {"align": pytest.approx(2.0)}


def test_sizes_are_compared_repeat_by_repeat() -> None:
    """Linear all the time, on a machine that was slower in one repeat after the other: for both sizes."""
    records = [
        record(repeat, "quick", job(cost * slow, 100), size=size, stages={"decode": cost * slow})
        for repeat, slow in ((1, 1.0), (2, 9.0), (3, 2.0))
        for size, cost in (("96x64", 1.0), ("192x128", 4.0))
        if (repeat, size) != (3, "96x64")  # that one could not be measured
    ]
    _, second = summarised(records)["pixels"]
    assert second["to_smallest"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert second["not_linear"] == {}


def progress(frames: int, second: float, name: str = "progress") -> dict[str, Any]:
    return {"event": name, "frames": frames, "ts": f"2026-01-01T00:00:{second:06.3f}+00:00"}


def test_a_settled_frame_is_one_after_the_first_thirty() -> None:
    slow_start = [progress(0, 0), progress(10, 20), progress(40, 30), progress(90, 31), progress(140, 32)]
    assert steady_ms(slow_start) == pytest.approx(20)
    assert steady_ms([*slow_start[:3], progress(140, 59, "file_done")]) is None
