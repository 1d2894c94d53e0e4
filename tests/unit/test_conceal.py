"""What stands in for lost frames, with frames made of numbers and a slow twin that thinks frame by frame."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.round_trip import made_info
from vidrain.conceal import Concealed, in_words, refuse_missing, repeated, unbroken
from vidrain.errors import InputError
from vidrain.missing import Missing
from vidrain.types import Frame, FrameIndex, Layers, PixelLayout


def index_of(count: int) -> FrameIndex:
    pts = np.cumsum(np.arange(count) % 7 + 1)  # uneven
    return FrameIndex(pts=pts, keys=pts[:1], count=count, hidden=0, timed=True, orderly=True)


def layers_of(numbers: list[int], index: FrameIndex) -> list[Layers]:
    """Frame n is 100 + n, its background n."""
    return [
        Layers(
            Frame((np.full((1, 1), 100 + number, np.uint8),), int(index.pts[number]), 1, number),
            (np.full((1, 1), number, np.uint8),),
        )
        for number in numbers
    ]


@given(st.integers(1, 40), st.data())
def test_gaps_are_filled_and_nothing_else(count: int, data: st.DataObject) -> None:
    decoded = np.asarray(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    start = data.draw(st.integers(0, count - 1))
    kept = range(start, data.draw(st.integers(start + 1, count)))
    index, counted = index_of(count), Concealed()
    here = [number for number in kept if decoded[number]]
    found = list(repeated(layers_of(here, index), index, kept, decoded, counted))
    due: list[tuple[int, int]] = []
    for number in kept:  # the slow twin: shown if something clean stands before it and the video goes on behind it
        before = [other for other in here if other <= number]
        if before and decoded[number:].any():
            due.append((number, before[-1]))
    assert [(item.frame.index, int(item.background[0][0, 0])) for item in found] == due
    assert [item.frame.pts for item in found] == [int(index.pts[number]) for number, _ in due]
    assert counted.frames_repeated == sum(number != before for number, before in due)
    for item, (number, before) in zip(found, due, strict=True):
        if number != before:
            assert all((plane == 0).all() for plane in item.rain)
            following = int(index.pts[number + 1])
            assert item.frame.duration == following - item.frame.pts


@pytest.mark.parametrize(("lost", "frozen"), [(8, []), (9, [(3, 12)])])
def test_a_long_run_stands_still(lost: int, frozen: list[tuple[int, int]]) -> None:
    index, counted = index_of(20), Concealed()
    here = [number for number in range(20) if not 3 <= number < 3 + lost]
    assert len(list(repeated(layers_of(here, index), index, range(20), np.ones(20, np.bool_), counted))) == 20
    assert counted.frozen == [(int(index.pts[start]), int(index.pts[stop])) for start, stop in frozen]


def test_no_room_for_a_time_that_was_moved() -> None:
    index, counted = index_of(6), Concealed()
    late = layers_of([0, 4], index)
    moved = [late[0], Layers(Frame(late[1].frame.planes, int(index.pts[2]), 1, 4), late[1].background)]
    found = list(repeated(moved, index, range(6), np.ones(6, np.bool_), counted))
    assert [item.frame.index for item in found] == [0, 1, 4]
    times = [item.frame.pts for item in found]
    assert times == sorted(set(times))


@pytest.mark.parametrize(("numbers", "first"), [([1, 2, 3, 4], 0), ([0, 1, 3, 4], 2), ([0, 1, 2, 3], 4), ([], 0)])
def test_the_first_frame_that_is_not_there(numbers: list[int], first: int) -> None:
    index, info = index_of(5), made_info(PixelLayout("yuv420p", 8))
    passed: list[int] = []
    with pytest.raises(InputError, match=rf"frame {first} \(at .* could not be decoded") as raised:
        for item in unbroken(layers_of(numbers, index), info, index, range(5)):
            passed.append(item.frame.index)
    assert "\n" not in str(raised.value)
    assert passed == list(range(first))
    whole = layers_of(list(range(5)), index)
    assert list(unbroken(whole, info, index, range(5))) == whole


def test_words() -> None:
    index, base = index_of(20), Fraction(1, 10)
    assert in_words(np.zeros(5, np.bool_), Concealed(), index, base) == []
    (line,) = in_words(np.asarray([False, True, True, False]), Concealed(2), index, base)
    assert line.startswith("2 of 4 frames could not be decoded: 2 show the clean frame before them, 0 are left out")
    counted, begins = in_words(np.asarray([True, True, False]), Concealed(), index, base)
    assert "0 show" in counted
    assert begins.startswith("the picture begins with frame 2")
    refuse_missing(Path("in.mp4"), Missing((), ()))
    with pytest.raises(InputError, match=r"in.mp4: could not be decoded and is missing: 0.400-0.520 s"):
        refuse_missing(Path("in.mp4"), Missing(((0.4, 0.52),), ()))
