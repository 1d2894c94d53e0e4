"""A thread for each stage: what goes wrong in one of them reaches whoever asked, once, and no thread stays."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from itertools import islice

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.round_trip import SAMPLES, decoded, opened
from tests.spoiled import Spoiled
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions, decompose
from vidrain.errors import DeviceError
from vidrain.separate import separated
from vidrain.types import Decomposer, Frame, Layers
from vidrain.video.decode import Video
from vidrain.watchdog import Watchdog

CLIP, FRAMES = SAMPLES / "vfr.mp4", 36
FAR = 5  # a call of the decomposer, when all threads are at work


@contextmanager
def work(decomposer: Decomposer, kept: range) -> Iterator[Iterator[Layers]]:
    """`separated`, and no thread of it is there any more when it is left."""
    before = set(threading.enumerate())
    watchdog = Watchdog(CLIP, patience_s=20.0)
    try:
        with separated(opened(CLIP), kept, decomposer, options=DecomposeOptions(), watchdog=watchdog) as found:
            yield found
    finally:
        assert not [thread.name for thread in set(threading.enumerate()) - before]


def layers_of(decomposer: Decomposer, kept: range) -> list[Layers]:
    with work(decomposer, kept) as found:
        return list(found)


@dataclass
class After(Spoiled):
    """The same with a pass before."""

    first: Decomposer | None = None  # type: ignore[assignment]


@cache
def whole(passes: int) -> tuple[Layers, ...]:
    return tuple(decompose(decoded(CLIP), opened(CLIP).info, Baseline(BaselineOptions(passes=passes))))


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("kept", [range(4), range(17, 20), range(FRAMES - 1, FRAMES), range(0), range(FRAMES, FRAMES)])
def test_threads_give_what_one_gives(kept: range, passes: int) -> None:
    """Of the first frames, some in between, the last one alone, and none."""
    found = layers_of(Baseline(BaselineOptions(passes=passes)), kept)
    assert [item.frame.index for item in found] == list(kept)
    for item in found:
        due = whole(passes)[item.frame.index]
        assert all(np.array_equal(a, b) for a, b in zip(item.background, due.background, strict=True))


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("taken", [0, 1, 3])
def test_who_has_enough_leaves_no_thread(taken: int, passes: int) -> None:
    with work(Baseline(BaselineOptions(passes=passes)), range(FRAMES)) as found:
        assert len(list(islice(found, taken))) == taken
        at_work = {thread.name.removeprefix("vidrain-") for thread in threading.enumerate()}
        assert not taken or at_work >= (
            {"decode", "follow", "part"} if passes == 1 else {"decode", "witness", "dry", "follow", "part"}
        )


@pytest.mark.parametrize("error", [KeyboardInterrupt("user"), ValueError("consumer"), GeneratorExit()], ids=repr)
def test_neither_does_who_fails_with_what_comes_out(error: BaseException) -> None:
    with pytest.raises(type(error)) as raised, work(Baseline(BaselineOptions(passes=2)), range(FRAMES)) as found:
        next(found)
        raise error
    assert raised.value is error


ERRORS = [ValueError("boom"), KeyboardInterrupt("user"), GeneratorExit(), SystemExit(3)]


def raising(error: BaseException, call: int = FAR) -> Spoiled:
    def spoil(rain: Tensor) -> Tensor:
        raise error

    return Spoiled(frozenset({call}), spoil)


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("is_first", [False, True])
def test_an_error_comes_out_as_it_is_behind_the_frames_before_it(error: BaseException, is_first: bool) -> None:
    """Of the decomposer, and of the pass before it: there the frames that need that witness are missing, too."""
    model = After(frozenset(), lambda rain: rain, first=raising(error)) if is_first else raising(error)
    found: list[int] = []
    with pytest.raises(type(error)) as raised, work(model, range(FRAMES)) as layers:
        for item in layers:
            found.append(item.frame.index)
    assert raised.value is error
    assert found == list(range(FAR - 2 if is_first else FAR))


def test_a_decomposer_that_stops_iterating_is_an_error_and_no_end() -> None:
    """Half of a video would pass for the whole."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        layers_of(raising(StopIteration("end")), range(FRAMES))


# In each of the threads; with two passes the first one comes to a step before the second.
STEPS = [
    ("picture_of", 1),
    ("step_between", 1),
    ("follow", 1),
    ("aligned_of", 1),
    ("layers_of", 1),
    ("follow", 2),
    ("aligned_of", 2),
]


@pytest.mark.parametrize(("step", "passes"), STEPS)
@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_an_error_of_any_stage_comes_out(
    step: str, passes: int, error: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, calls = import_module("vidrain.decompose"), iter(range(FRAMES * 9))
    real = getattr(module, step)

    def failing(*args: object, **kwargs: object) -> object:
        if next(calls) == FAR:
            raise error
        return real(*args, **kwargs)

    monkeypatch.setattr(module, step, failing)
    with pytest.raises(type(error)) as raised:
        layers_of(Baseline(BaselineOptions(passes=passes)), range(FRAMES))
    assert raised.value is error


@pytest.mark.parametrize("error", ERRORS, ids=repr)
def test_so_does_one_of_the_decoder(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    known = decoded(CLIP)[:FAR]

    def frames(video: Video, first: int) -> Iterator[Frame]:
        yield from known
        raise error

    monkeypatch.setattr(Video, "frames", frames)
    with pytest.raises(type(error)) as raised:
        layers_of(Baseline(BaselineOptions()), range(FRAMES))
    assert raised.value is error


def asking_too_much(*_: object, **__: object) -> object:
    """More memory than there is."""
    return torch.empty(1 << 46, dtype=torch.uint8)


@pytest.mark.fault(29)
@pytest.mark.parametrize(("step", "passes"), STEPS)
def test_memory_that_runs_out_is_told_in_whatever_stage(
    step: str, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("vidrain.decompose"), step, asking_too_much)
    with pytest.raises(DeviceError, match=r"^a picture of 256x160 on cpu: no memory is left .*; close other programs"):
        layers_of(Baseline(BaselineOptions(passes=passes)), range(3))
