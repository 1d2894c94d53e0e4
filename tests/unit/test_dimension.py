"""Intrinsic dimension: manifolds whose dimension is known, slow twins, and what must not matter."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import reference
from vidrain.dimension import levina_bickel, two_nearest

Points = npt.NDArray[np.float64]
both = pytest.mark.parametrize("estimate", [levina_bickel, two_nearest])


def turned(points: Points, rng: np.random.Generator, *, into: int = 40) -> Points:
    """The points somewhere in `into` dimensions, at a random angle."""
    axes = np.linalg.qr(rng.normal(size=(into, into)))[0][: points.shape[1]]
    return points @ axes + rng.normal(size=into)


def sphere(count: int, dimension: int, rng: np.random.Generator) -> Points:
    points = rng.normal(size=(count, dimension + 1))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


@settings(max_examples=12)
@given(dimension=st.integers(1, 6), seed=st.integers(0, 99), estimate=st.sampled_from([levina_bickel, two_nearest]))
def test_spheres_and_clouds(dimension: int, seed: int, estimate: Callable[[Points], float]) -> None:
    rng = np.random.default_rng(seed)
    for points in (sphere(1500, dimension, rng), rng.normal(size=(1500, dimension))):
        assert estimate(turned(points, rng)) == pytest.approx(dimension, rel=0.15)


@both
def test_curved_sheet(estimate: Callable[[Points], float]) -> None:
    """A rolled-up sheet has two dimensions, though it fills three."""
    rng = np.random.default_rng(1)
    along, across = 3 + 9 * rng.random(1500), 20 * rng.random(1500)
    roll = np.stack([along * np.cos(along), along * np.sin(along), across], axis=1)
    assert estimate(roll) == pytest.approx(2, rel=0.1)


@both
def test_high_dimensions_come_out_low_but_in_order(estimate: Callable[[Points], float]) -> None:
    found = [estimate(np.random.default_rng(2).normal(size=(1500, dimension))) for dimension in (5, 10, 20, 40)]
    assert found == sorted(found)
    assert 14 < found[2] < 18
    assert found[3] < 32


@both
def test_noise_has_more_dimensions_than_what_it_lies_on(estimate: Callable[[Points], float]) -> None:
    rng = np.random.default_rng(3)
    clean = turned(sphere(1500, 3, rng), rng)
    assert estimate(clean + rng.normal(size=clean.shape) * 0.1) > 2 * estimate(clean)


def test_equal_slow_twins() -> None:
    points = np.random.default_rng(4).normal(size=(70, 5))
    assert levina_bickel(points, nearest=(5, 8)) == pytest.approx(
        reference.maximum_likelihood_dimension(points, 5, 8), rel=1e-9
    )
    assert levina_bickel(points) == pytest.approx(reference.maximum_likelihood_dimension(points, 10, 20), rel=1e-9)
    assert two_nearest(points) == pytest.approx(reference.two_neighbour_dimension(points), rel=1e-9)


@both
def test_more_points_than_a_block(estimate: Callable[[Points], float]) -> None:
    """Blocks must not show: 600 points in an order and in another."""
    rng = np.random.default_rng(5)
    points = rng.normal(size=(600, 4))
    assert estimate(points[rng.permutation(600)]) == pytest.approx(estimate(points), rel=1e-9)
    assert two_nearest(points) == pytest.approx(reference.two_neighbour_dimension(points), rel=1e-9)


@both
def test_place_size_and_copies_do_not_matter(estimate: Callable[[Points], float]) -> None:
    rng = np.random.default_rng(6)
    points = rng.normal(size=(300, 4))
    due = estimate(points)
    assert estimate(points * 1000 + 1e6) == pytest.approx(due, rel=1e-6)
    assert estimate(turned(points, rng)) == pytest.approx(due, rel=1e-9)
    assert estimate(np.concatenate([points, points[:200]])) == due


@both
def test_close_pairs_far_from_the_middle_keep_their_distances(estimate: Callable[[Points], float]) -> None:
    """Squares of a thousand would swallow differences of a hundred-millionth."""
    rng = np.random.default_rng(7)
    middles = rng.normal(size=(5, 3)) * 1000
    points = np.concatenate([middle + rng.normal(size=(60, 3)) * 1e-3 for middle in middles])
    assert estimate(points) == pytest.approx(3, rel=0.25)


def test_whole_numbers_are_points_too() -> None:
    points = np.random.default_rng(8).integers(0, 255, (100, 6)).astype(np.uint8)
    assert levina_bickel(points) == levina_bickel(points.astype(np.float64))


def test_too_few() -> None:
    points = np.arange(60.0).reshape(20, 3)
    with pytest.raises(ValueError, match="found 20 different points; want more than 20"):
        levina_bickel(points)
    with pytest.raises(ValueError, match="found 1 different points; want more than 2"):
        two_nearest(np.ones((50, 3)))
    with pytest.raises(ValueError, match="want 2 <= from <= to"):
        levina_bickel(points, nearest=(5, 4))
    with pytest.raises(ValueError, match=r"want \[n, D\]"):
        two_nearest(np.zeros(5))


def test_points_that_are_all_equally_far_apart() -> None:
    """The corners of a simplex: distances grow with no neighbour, so no dimension is high enough."""
    corners = np.eye(40)
    assert two_nearest(corners) == np.inf
    assert levina_bickel(corners, nearest=(3, 5)) == np.inf
