"""Whether a picture is its own: scenes are made, rain is drawn, and pictures are exchanged."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.likeness import Comparison, blocks, is_repeated, nearest_met, pairs, shift_between, tone_between
from vidrain.types import Frame, PixelLayout, Plane

GRAY = PixelLayout("gray", 8)
SIZE = (120, 160)


def scene(place: int, *, still: bool = False, depth: int = 8) -> Plane:
    """Smooth hills that move across the picture, or stand."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    at = 0 if still else place * 5
    hills = 120 + 50 * np.sin((columns + at) / 9) * np.cos(rows / 13) + 20 * np.sin((columns + at) / 31)
    picture: Plane = (hills * (1 << (depth - 8))).astype(np.uint8 if depth == 8 else np.uint16)
    return picture


def rained(picture: Plane, seed: int, streaks: int = 60) -> Plane:
    """Bright streaks, two samples wide and up to thirty long, darkening it by seven codes when they go."""
    draw = np.random.default_rng(seed)
    wet = picture.astype(np.int64)
    for _ in range(streaks):
        row, column = draw.integers(0, SIZE[0] - 8), draw.integers(0, SIZE[1] - 2)
        wet[row : row + draw.integers(8, 30), column : column + 2] += 60
    top = np.iinfo(picture.dtype).max
    return np.minimum(wet, top).astype(picture.dtype)


def video(planes: list[Plane]) -> list[Frame]:
    return [Frame((plane,), place, 1, place) for place, plane in enumerate(planes)]


def flaws(rainy: list[Plane], clean: list[Plane]) -> list[tuple[int, str]]:
    comparison = Comparison(GRAY, GRAY)
    for pair in pairs(video(rainy), video(clean), ((place, place) for place in range(len(rainy)))):
        comparison.look(pair)
    return [(frame.index, frame.flaw) for frame in comparison.flawed]


@pytest.mark.parametrize("still", [False, True])
def test_heavy_rain_taken_out_whole_is_no_flaw(still: bool) -> None:
    clean = [scene(place, still=still) for place in range(12)]
    rainy = [rained(picture, seed) for seed, picture in enumerate(clean)]
    assert flaws(rainy, clean) == []
    assert flaws(rainy, rainy) == []  # nor is rain that was left


def test_swapped_repeated_and_foreign_frames_are_found() -> None:
    clean = [scene(place) for place in range(12)]
    rainy = [rained(picture, seed) for seed, picture in enumerate(clean)]
    swapped = [*clean[:4], clean[5], clean[4], *clean[6:]]
    assert flaws(rainy, swapped) == [(4, "neighbour"), (5, "neighbour")]
    assert flaws(rainy, [*clean[:4], clean[3], *clean[5:]]) == [(4, "neighbour")]
    assert [index for index, _ in flaws(rainy, [*clean[:4], scene(90), *clean[5:]])] == [4]
    assert flaws(rainy, [*clean[:4], np.zeros_like(clean[4]), *clean[5:]]) == [(4, "foreign")]
    patched = clean[4].copy()
    patched[40:80, 40:80] = 250
    assert flaws(rainy, [*clean[:4], patched, *clean[5:]]) == [(4, "foreign")]


def test_what_belongs_to_a_whole_video_must_show_in_a_tenth_of_it() -> None:
    clean = [scene(place) for place in range(40)]
    pale = [(16 + picture * (219 / 255)).astype(np.uint8) for picture in clean]
    assert {flaw for _, flaw in flaws(clean, pale)} == {"tone"}
    faded = [(picture * 0.88).astype(np.uint8) for picture in clean]
    assert {flaw for _, flaw in flaws(clean, faded)} == {"tone"}
    assert flaws(clean, [*clean[:7], *faded[7:9], *clean[9:]]) == []
    aside = [np.roll(picture, 2, axis=0) for picture in clean]
    assert {flaw for _, flaw in flaws(clean, aside)} == {"shifted"}


def test_statistics_are_those_of_a_slow_twin() -> None:
    layout = PixelLayout("yuv420p", 10)
    draw = np.random.default_rng(3)
    shapes = layout.plane_shapes(*SIZE[::-1])
    before = [tuple(draw.integers(64, 900, shape, np.uint16) for shape in shapes) for _ in range(3)]
    after = [tuple(plane - draw.integers(0, 2, plane.shape, np.uint16) for plane in planes) for planes in before]
    after[1] = tuple(plane - np.uint16(9) for plane in after[1])
    comparison = Comparison(layout, layout)
    frames = [[Frame(planes, 7 * i, 7, i) for i, planes in enumerate(video)] for video in (before, after)]
    for pair in pairs(frames[0], frames[1], [(0, 0), (1, 1), (2, 2)]):
        comparison.look(pair)
    off = [
        np.concatenate([(a - b.astype(int)).ravel() for a, b in zip(x, y, strict=True)])
        for x, y in zip(before, after, strict=True)
    ]
    change = comparison.change
    assert change.mean == pytest.approx(np.mean(np.abs(off)))
    assert change.share == pytest.approx(np.mean(np.array(off) != 0))
    psnr = [10 * np.log10(1023**2 / np.mean(each.astype(float) ** 2)) for each in off]
    assert (change.worst_index, change.worst_pts, change.frames) == (1, 7, 3)
    assert change.worst_psnr == pytest.approx(psnr[1])


def test_blocks_are_means_in_8_bit_codes() -> None:
    eight, ten = scene(3), scene(3, depth=10)
    side = SIZE[0] // 24
    slow = [[eight[r : r + side, c : c + side].mean() for c in range(0, 160, side)] for r in range(0, 120, side)]
    np.testing.assert_allclose(blocks(eight, 8), slow, rtol=1e-6)
    np.testing.assert_allclose(blocks(ten, 10), blocks(eight, 8), atol=1)
    assert blocks(eight[:3, :5], 8).shape == (3, 5)


@given(st.integers(-1, 1), st.integers(-1, 1))
def test_a_shift_is_measured(down: int, across: int) -> None:
    picture = np.random.default_rng(1).integers(0, 255, SIZE, np.uint8)
    moved = np.roll(picture, (down, across), axis=(0, 1))
    assert shift_between(picture, moved) == ((down, across) if down or across else None)
    assert shift_between(picture, moved, [moved]) is None  # it is rather another picture


def test_neighbours_that_are_alike_tell_nothing() -> None:
    own = blocks(scene(0), 8)
    assert nearest_met(own, own + 5, [(1, own + 5)]) is None
    met = nearest_met(own, own + 7, [(1, own - 7), (2, own + 7)])
    assert met is not None
    assert met[0] == 2
    assert nearest_met(own, own - 30, [(1, own + 7)]) is None  # darker than ever: rain that went
    assert tone_between(own, own + 3) is None
    assert tone_between(own, own + 9) == "brightness +9.0 codes"
    assert tone_between(own, own * 1.2) == "contrast x 1.20"
    assert tone_between(own, own * 1.1) == "contrast x 1.10"
    assert tone_between(own, own * 0.88) == "contrast x 0.88"
    assert tone_between(own, own * 0.9) is None, "as much as rain that is taken out"
    assert tone_between(own, own[::-1, ::-1] * 1.2) is None  # another scene


@pytest.mark.parametrize("lost", [{4}, {0, 1}, {11}])
def test_frames_missing_on_either_side(lost: set[int]) -> None:
    planes = [scene(place) for place in range(12)]
    kept = [place for place in range(12) if place not in lost]
    places = {place: at for at, place in enumerate(kept)}
    found = list(pairs(video(planes), video([planes[place] for place in kept]), places.items()))
    assert [(pair.own.index, pair.output.index) for pair in found] == list(places.items())
    found = list(
        pairs((f for f in video(planes) if f.index in places), video(planes), [(place, place) for place in range(12)])
    )
    assert [pair.own.index for pair in found] == kept
    assert all(pair.own.index == pair.output.index for pair in found)


def test_pairs_hold_few_frames() -> None:
    alive: list[int] = []

    def counted() -> Iterator[Frame]:
        for frame in video([scene(0)] * 30):
            alive.append(frame.index)
            yield frame

    both = pairs(counted(), video([scene(0)] * 30), [(place, place) for place in range(30)])
    for pair in both:
        assert len(alive) <= pair.own.index + 2


@pytest.mark.parametrize("depth", [8, 10])
@pytest.mark.parametrize("axis", [0, 1])
def test_an_added_edge_that_is_not_the_last_one_again(axis: int, depth: int) -> None:
    """The noise of an encoder is allowed, a stripe is not; where nothing was added there is nothing to say."""
    dice = np.random.default_rng(1)
    plane = (dice.integers(0, 200, (97, 131)) << (depth - 8)).astype(np.uint8 if depth == 8 else np.uint16)
    more = [(0, 0), (0, 0)]
    more[axis] = (0, 1)
    edged = np.pad(plane, more, "edge")
    assert is_repeated(plane, (97, 131), depth)
    assert is_repeated(edged, (97, 131), depth)
    noisy = edged + (dice.integers(0, 5, edged.shape) << (depth - 8)).astype(edged.dtype)
    assert is_repeated(noisy, (97, 131), depth)
    striped = np.pad(plane, more, constant_values=255 << (depth - 8))
    assert not is_repeated(striped, (97, 131), depth)
    small = striped[-50:, -50:]  # six runs are too few to tell
    assert is_repeated(small, (49, 50) if axis == 0 else (50, 49), depth)
