"""What is burnt in: letters before a scene that moves on, and what looks like them and is none."""

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.unit.test_chroma import info_of
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import DecomposeOptions, context_of, decompose, memory_of
from vidrain.errors import UsageError
from vidrain.flow import Offsets
from vidrain.marks import AHEAD, MarkOptions, Marks, marks_in, speeds_of, steps_of
from vidrain.meter import MeterOptions
from vidrain.types import Frame, Layers

Grey = npt.NDArray[np.uint8]
WIDTH, HEIGHT, PAN = 320, 180, 4
BOX = (slice(150, 170), slice(40, 130))  # around the letters


@cache
def scene(seed: int = 0) -> Grey:
    """Leaves: fine, and of all directions."""
    noise = np.random.default_rng(seed).random((HEIGHT, WIDTH + 60 * PAN)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2) * 9 + cv2.GaussianBlur(noise, (0, 0), 9) * 20
    return np.asarray(40 + 160 * (soft - soft.min()) / (soft.max() - soft.min()), np.uint8)


@cache
def letters() -> Grey:
    """How much of each pixel they cover, of 255."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.putText(drawn, "12 Jun", (45, 166), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2, cv2.LINE_AA)
    return drawn


def view(number: int, *, pan: int = PAN, opacity: float = 0.0) -> Grey:
    """What a camera that pans sees, and letters put on it."""
    seen = scene()[:, pan * number : pan * number + WIDTH]
    cover = opacity * letters().astype(np.float32) / 255
    return np.asarray(np.rint(seen * (1 - cover) + 235 * cover), np.uint8)


def flow(speed: float) -> Offsets:
    """Of a pan: everything to the left, but for the letters, which rest."""
    across = np.full((HEIGHT, WIDTH), -speed, np.float32)
    across[BOX] = 0
    return Offsets(across, np.zeros_like(across))


def last_of(pictures: list[Grey], speed: float, shots: list[int] | None = None, moved: float | None = 10.0) -> Grey:
    """Where marks are in the last one."""
    marks, found = Marks(MarkOptions(moved=moved)), None
    for index, picture in enumerate(pictures):
        marks.see(index, shots[index] if shots else 0, picture)
        found = marks.around(index, flow(2 * speed), 2)
    return np.zeros((HEIGHT, WIDTH), np.uint8) if found is None else found


@pytest.mark.parametrize("opacity", [1.0, 0.5])
def test_letters_are_found_and_nothing_else(opacity: float) -> None:
    found = last_of([view(number, opacity=opacity) for number in range(20)], PAN)
    outside = found.copy()
    outside[BOX[0].start - 20 :, BOX[1].start - 30 : BOX[1].stop + 30] = 0
    assert found[letters() > 0].all()
    assert not outside.any()


def test_a_scene_alone_has_none() -> None:
    assert not last_of([view(number) for number in range(20)], PAN).any()


def test_where_nothing_moves_nothing_is_told() -> None:
    assert not last_of([view(0, opacity=1.0)] * 20, 0).any()


def test_a_few_frames_do_not_tell_of_a_slow_scene() -> None:
    pictures = [view(number, pan=1, opacity=1.0) for number in range(20)]
    assert not last_of(pictures[:8], 1).any()
    assert last_of(pictures, 1)[letters() > 0].all()


@pytest.mark.parametrize("slope", [0.0, 0.25, 1.0])
def test_a_line_along_the_motion_is_no_mark(slope: float) -> None:
    """A kerb, a rail: its edge stays, but it has one direction."""
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.line(drawn, (-20, 20), (WIDTH + 20, 20 + round(slope * (WIDTH + 40))), 255, 5, cv2.LINE_AA)
    cover = cv2.GaussianBlur(drawn.astype(np.float32) / 255, (0, 0), 1.5)  # as a lens shows it
    pictures = [np.asarray(view(number) * (1 - cover) + 235 * cover, np.uint8) for number in range(20)]
    assert not last_of(pictures, PAN).any()


def test_what_was_before_a_cut_does_not_count() -> None:
    pictures = [view(number, opacity=1.0) for number in range(20)]
    assert not last_of(pictures, PAN, [0] * 18 + [1] * 2).any()


def test_frames_after_it_tell_of_the_first() -> None:
    marks = Marks(MarkOptions(moved=10.0))
    for index in range(AHEAD + 1):
        marks.see(index, 0, view(index, opacity=1.0))
    found = marks.around(0, flow(2 * PAN), 2)
    assert found is not None
    assert found[letters() > 0].all()


def test_it_can_be_left() -> None:
    assert not last_of([view(number, opacity=1.0) for number in range(20)], PAN, moved=None).any()


@pytest.mark.parametrize("moved", [0.0, -1.0, float("nan")])
def test_nonsense_is_refused(moved: float) -> None:
    with pytest.raises(UsageError, match=r"marks\.moved"):
        MarkOptions(moved=moved)


@given(arrays.arrays(np.uint8, (5, 6)))
def test_steps_are_half_of_the_difference(picture: npt.NDArray[np.uint8]) -> None:
    wide = np.pad(picture.astype(int), 1, mode="edge")
    due = (wide[1:-1, 2:] - wide[1:-1, :-2]) / 2, (wide[2:, 1:-1] - wide[:-2, 1:-1]) / 2
    for found, half in zip(steps_of(picture), due, strict=True):
        assert np.abs(found - half).max() <= 0.5


@given(st.integers(1, 6), st.floats(0.5, 20))
def test_speed_is_that_of_what_moves_in_a_frame(frames: int, speed: float) -> None:
    still_half = flow(speed * frames)
    still_half.across[:, WIDTH // 2 :] = 0
    speeds = speeds_of(still_half, frames)
    assert speeds[:10, :16] == pytest.approx(speed, rel=1e-4)
    assert not speeds[:, -8:].any()


def test_more_frames_never_tell_of_more() -> None:
    steps = [steps_of(view(number, opacity=0.6)) for number in range(12)]
    everywhere = np.ones((HEIGHT // 8 + 1, WIDTH // 8), np.bool_)
    few, more = marks_in(steps[:6], everywhere), marks_in(steps, everywhere)
    assert few is not None
    assert more is not None
    assert more.sum() <= few.sum()


def cleaned(moved: float | None) -> list[Layers]:
    """By the baseline, as a video whose grey is that of the pictures."""
    info = info_of("gray", 8, matrix=6, size=(WIDTH, HEIGHT))
    frames = [Frame((view(number, opacity=0.7),), number, 1, number) for number in range(14)]
    options = DecomposeOptions(meter=MeterOptions(dry=None), marks=MarkOptions(moved=moved))
    return list(decompose(frames, info, Baseline(BaselineOptions()), options=options))


@pytest.mark.parametrize("part", [range(50, 53), range(57, 60)])
def test_a_part_is_spared_as_the_whole_is(part: range) -> None:
    """By frames long before it: with fewer the letters, which came and went, are told another way."""
    info = info_of("gray", 8, matrix=6, size=(WIDTH, HEIGHT))
    shown = [0.7 if number not in range(22, 24) else 0.0 for number in range(60)]
    frames = [Frame((view(number, opacity=shown[number]),), number, 1, number) for number in range(60)]
    options, model = (
        DecomposeOptions(meter=MeterOptions(dry=None), marks=MarkOptions(moved=10.0)),
        Baseline(BaselineOptions()),
    )
    reach, memory = context_of(model), memory_of(model, options)
    whole = list(decompose(frames, info, model, options=options, wanted=range(45, 60)))
    found = list(
        decompose(frames[part.start - reach - memory : part.stop + reach], info, model, options=options, wanted=part)
    )
    due = [item for item in whole if item.frame.index in part]
    assert all(np.array_equal(a.background[0], b.background[0]) for a, b in zip(found, due, strict=True))
    assert most_taken(found, letters() > 0) == 0
    near = frames[part.start - reach - 3 : part.stop + reach]
    few = list(decompose(near, info, model, options=options, wanted=part))
    assert any(not np.array_equal(a.background[0], b.background[0]) for a, b in zip(few, due, strict=True))


def most_taken(layers: list[Layers], where: Any) -> int:
    return max(int(np.abs(item.rain[0][where]).max()) for item in layers)


@pytest.mark.proves("clean KEY=VALUE")
def test_nothing_is_taken_from_letters() -> None:
    """By a model that would, and elsewhere it takes what it took, once more than a few frames tell."""
    plain, spared = cleaned(None), cleaned(10.0)
    assert most_taken(plain, letters() > 0) > 5
    assert most_taken(spared, letters() > 0) == 0
    far = (slice(0, 120), slice(None))
    assert all(np.array_equal(a.rain[0][far], b.rain[0][far]) for a, b in zip(plain[1:], spared[1:], strict=True))
