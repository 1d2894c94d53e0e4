"""Mining: exactly the places of a brute force in loops, at borders, in windows larger than the picture, of nothing."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests import reference
from tests.reference import Found, Place
from tools.bench_mining import milliseconds
from vidrain.train.mining import (
    Mined,
    Spatial,
    Temporal,
    gather_patches,
    mine_background,
    mine_edges,
    mine_rain,
    mine_spatial,
    mine_temporal,
    mine_unlike,
    sample_queries,
)


def clips(*shape: int, seed: int, levels: int = 6) -> Tensor:
    """Integers from 0 to levels - 1: few levels make many ties."""
    return torch.randint(0, levels, shape, generator=torch.Generator().manual_seed(seed)).float()


def flows(clip: Tensor, seed: int, largest: float = 3.0) -> Tensor:
    """Motion that leads to and fro, sometimes out of the picture, and often finds back only nearly."""
    clips_, frames, _, height, width = clip.shape
    generator = torch.Generator().manual_seed(seed)
    forth = (torch.rand((clips_, frames, frames, 1, 1, 2), generator=generator) * 2 - 1) * largest
    forth = (forth - forth.transpose(1, 2)).expand(-1, -1, -1, height, width, -1)
    wobble = torch.randn((clips_, frames, frames, height, width, 2), generator=generator) * 0.5
    return forth + wobble


def drawn(clip: Tensor, count: int, patch: int, seed: int = 9) -> Tensor:
    return sample_queries(clip.shape, count, torch.Generator().manual_seed(seed), patch=patch)


def places(tensor: Tensor) -> list[Place]:
    return [(int(frame), int(y), int(x)) for frame, y, x in tensor]


def assert_same(found: Mined, due: list[list[Found]], *, nothing: float) -> None:
    """`found` [N, Q, P] holds exactly the picks of the brute force, and nothing after them."""
    assert (found.place.dtype, found.valid.dtype) == (torch.int64, torch.bool)
    for place, value, valid, clip in zip(*found, due, strict=True):
        for one, number, flag, picks in zip(place, value, valid, clip, strict=True):
            assert places(one[flag]) == [pick for _, pick in picks]
            assert number[flag].tolist() == pytest.approx([float(measure) for measure, _ in picks], rel=1e-6)
            assert number[~flag].tolist() == [nothing] * int((~flag).sum())
            assert not one[~flag].any()


def brute(clip: Tensor, query: Tensor, look: Callable[[np.ndarray, Place, int], Found]) -> list[list[Found]]:
    """`look(clip, place, number of the clip)` for every query of every clip."""
    return [
        [look(one.numpy(), place, n) for place in places(own)]
        for n, (one, own) in enumerate(zip(clip, query, strict=True))
    ]


sizes = st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 3), st.integers(5, 13), st.integers(5, 13))


@settings(max_examples=40)
@given(
    size=sizes,
    search=st.builds(
        Spatial,
        count=st.integers(0, 6),
        radius=st.integers(0, 20),  # often beyond the picture on all sides
        exclusion=st.integers(0, 5),
        stride=st.integers(1, 4),
        apart=st.integers(0, 6),
    ),
    patch=st.integers(1, 5),
    seed=st.integers(0, 99),
)
def test_spatial_equals_brute_force(size: tuple[int, ...], search: Spatial, patch: int, seed: int) -> None:
    clip = clips(*size, seed=seed)
    query = drawn(clip, 3, patch, seed)
    due = brute(clip, query, lambda one, place, _: reference.spatial_matches(one, place, patch=patch, **asdict(search)))
    assert_same(mine_spatial(clip, query, search, patch=patch), due, nothing=math.inf)


@settings(max_examples=40)
@given(
    size=sizes,
    search=st.builds(
        Temporal,
        count=st.integers(0, 6),
        refine=st.integers(0, 15),
        apart=st.integers(0, 6),
        largest_error=st.sampled_from([0.0, 0.5, 1.0, math.inf]),
        cap=st.just(1.0),
    ),
    patch=st.integers(1, 5),
    cap=st.sampled_from([None, 1.5, 4.0]),
    seed=st.integers(0, 99),
)
def test_temporal_equals_brute_force(
    size: tuple[int, ...], search: Temporal, patch: int, cap: float | None, seed: int
) -> None:
    clip = clips(*size, seed=seed)
    query, flow = drawn(clip, 3, patch, seed), flows(clip, seed)
    found = mine_temporal(
        clip, query, flow, search, patch=patch, cap=None if cap is None else torch.full(query.shape[:2], cap)
    )
    assert found.place.shape == (size[0], 3, (size[1] - 1) * search.count, 3)
    settings_ = {
        "count": search.count,
        "patch": patch,
        "refine": search.refine,
        "apart": search.apart,
        "largest_error": search.largest_error,
    }
    limit = math.inf if cap is None else cap
    due = brute(
        clip, query, lambda one, place, n: reference.temporal_matches(one, place, flow[n].numpy(), limit, **settings_)
    )
    valid = [[int(flags.sum()) for flags in own] for own in found.valid]
    assert valid == [[len(picks) for picks in own] for own in due]
    for n, own in enumerate(due):
        for q, picks in enumerate(own):
            flags = found.valid[n, q]
            assert places(found.place[n, q][flags]) == [pick for _, pick in picks]
            assert found.value[n, q][flags].tolist() == pytest.approx([measure for measure, _ in picks])


@pytest.mark.parametrize("seed", range(20))
def test_temporal_equals_brute_force_where_motion_decides(seed: int) -> None:
    """Small windows, so that where the flow leads, and whether it finds back, changes what is found."""
    clip = clips(1, 3, 1, 15, 17, seed=seed, levels=50)
    query, flow = drawn(clip, 8, 4, seed), flows(clip, seed)
    search = Temporal(count=2, refine=seed % 3, apart=seed % 4, largest_error=0.7)
    found = mine_temporal(clip, query, flow, search, patch=4)
    how = {"count": 2, "patch": 4, "refine": seed % 3, "apart": seed % 4, "largest_error": 0.7}
    look = reference.temporal_matches
    for q, place in enumerate(places(query[0])):
        picks = look(clip[0].numpy(), place, flow[0].numpy(), math.inf, **how)
        assert places(found.place[0, q][found.valid[0, q]]) == [pick for _, pick in picks]


def test_a_match_as_good_as_the_cap_is_kept() -> None:
    clip = clips(1, 2, 1, 12, 12, seed=2)
    query, still = drawn(clip, 6, 3), torch.zeros(1, 2, 2, 12, 12, 2)
    search = Temporal(count=1, refine=2)
    best = mine_temporal(clip, query, still, search, patch=3).value[..., 0]
    assert mine_temporal(clip, query, still, search, patch=3, cap=best).valid.all()
    assert not mine_temporal(clip, query, still, search, patch=3, cap=best * 0.999).valid.any()


def test_copies_in_real_numbers_are_found_and_no_distance_is_below_zero() -> None:
    """Rounding may make a little more or less than nothing of the distance to a copy; less is nothing."""
    frame = torch.rand((1, 1, 3, 30, 30), generator=torch.Generator().manual_seed(4))
    clip = frame.expand(-1, 6, -1, -1, -1)
    query = drawn(clip, 40, 8)
    found = mine_temporal(clip, query, torch.zeros(1, 6, 6, 30, 30, 2), Temporal(count=1, refine=3), patch=8)
    assert (found.place[..., 1:] == query[:, :, None, 1:]).all()
    assert float(found.value.min()) >= 0
    assert float(found.value.max()) < 1e-6


def test_matches_beyond_the_best_spatial_one_are_dropped() -> None:
    """The first frame again, then noise far from all: time may not bring what space has better."""
    clip = clips(2, 1, 2, 14, 15, seed=3)
    clip = torch.cat([clip, clip + 1, clips(2, 1, 2, 14, 15, seed=4) + 40], dim=1)
    query = torch.zeros(2, 5, 3, dtype=torch.int64)
    query[..., 1:] = drawn(clip, 5, 3)[..., 1:]
    spatial = Spatial(count=3, radius=6, exclusion=3, stride=1, apart=1)
    temporal = Temporal(count=2, apart=1, cap=1.0)
    still = torch.zeros(2, 3, 3, 14, 15, 2)
    found = mine_background(clip, query, still, patch=3, spatial=spatial, temporal=temporal)
    assert found.place.shape == (2, 5, 3 + 2 * 2, 3)
    here = mine_spatial(clip, query, spatial, patch=3)
    there = mine_temporal(clip, query, still, temporal, patch=3, cap=here.value[..., 0])
    for joined, first, second in zip(found, here, there, strict=True):
        assert torch.equal(joined, torch.cat([first, second], dim=2))
    assert found.valid[..., 3].all()  # one grey level away, at the same place
    assert not found.valid[..., 5:].any()
    loose = mine_background(clip, query, still, patch=3, spatial=spatial, temporal=replace(temporal, cap=math.inf))
    assert loose.valid.all()
    alone = mine_background(
        clip, query, still, patch=3, spatial=Spatial(count=2, radius=2, exclusion=9), temporal=temporal
    )
    assert not alone.valid[..., :2].any()
    assert alone.valid[..., 2:].all()  # without any spatial match nothing caps


def test_motion_is_followed() -> None:
    """A picture that moves by (2, -3) a frame: the match lies there and not at the same place."""
    still = clips(1, 1, 1, 40, 40, seed=5, levels=200)[0, 0]
    clip = torch.stack([still.roll((-3 * t, 2 * t), (1, 2)) for t in range(3)])[None]
    flow = torch.zeros(1, 3, 3, 40, 40, 2)
    for a in range(3):
        for b in range(3):
            flow[0, a, b] = torch.tensor([2.0, -3.0]) * (b - a)
    query = torch.tensor([[[1, 17, 15]]])
    search = Temporal(count=1, refine=0)
    found = mine_temporal(clip, query, flow, search, patch=8)
    assert places(found.place[0, 0]) == [(0, 20, 13), (2, 14, 17)]
    assert found.value.tolist() == [[[0, 0]]]
    flow[0, 2, 1] += 1.2  # does not find back any more
    assert mine_temporal(clip, query, flow, search, patch=8).valid.tolist() == [[[True, False]]]
    assert mine_temporal(clip, query, torch.zeros_like(flow), search, patch=8).value.min() > 0


@settings(max_examples=25)
@given(
    size=sizes, patch=st.integers(1, 5), count=st.integers(0, 6), candidates=st.integers(0, 12), seed=st.integers(0, 99)
)
def test_the_others_equal_brute_force(
    size: tuple[int, ...], patch: int, count: int, candidates: int, seed: int
) -> None:
    clip = clips(*size, seed=seed)
    query, candidate = drawn(clip, 3, patch, seed), drawn(clip, candidates, patch, seed + 1)
    every = [places(own) for own in candidate]
    due = brute(
        clip, query, lambda one, place, n: reference.unlike_matches(one, place, every[n], patch=patch, count=count)
    )
    assert_same(mine_unlike(clip, query, candidate, patch=patch, count=count), due, nothing=0)
    due = brute(
        clip,
        query,
        lambda one, place, n: reference.rain_matches(one, place, every[n], patch=patch, count=count, least=7),
    )
    assert_same(mine_rain(clip, query, candidate, patch=patch, count=count, least_energy=7), due, nothing=0)
    due = (
        [
            [reference.upright_edges(one.numpy(), own, patch=patch, count=count)]
            for one, own in zip(clip, every, strict=True)
        ]
        if patch > 1
        else [[[]] for _ in clip]
    )
    assert_same(mine_edges(clip, candidate, patch=patch, count=count), due, nothing=0)


def test_rain_of_the_same_streak_is_no_positive() -> None:
    """The same place in the same and the adjacent frames, though all of it is rain."""
    rain = torch.ones(1, 4, 1, 12, 12)
    query = torch.tensor([[[1, 4, 4]]])
    candidate = torch.tensor([[[0, 4, 4], [1, 6, 2], [2, 7, 7], [3, 4, 4], [1, 8, 4], [2, 0, 4], [0, 5, 5]]])
    found = mine_rain(rain, query, candidate, patch=4, count=9, least_energy=0.5)
    assert places(found.place[0, 0][found.valid[0, 0]]) == [(3, 4, 4), (1, 8, 4), (2, 0, 4)]
    assert found.place.shape == (1, 1, 9, 3)


def test_poles_come_first() -> None:
    """An upright edge before a slanted one; lying ones and flat ground not at all."""
    picture = torch.zeros(1, 1, 1, 20, 40)
    picture[..., :20, 5:] = 9  # upright edge between columns 4 and 5
    picture[..., 10:, 20:] = 3  # lying one
    candidate = torch.tensor([[[0, 2, 30], [0, 6, 24], [0, 2, 1], [0, 6, 18], [0, 12, 1]]])
    found = mine_edges(picture, candidate, patch=8, count=5)
    assert places(found.place[0, 0][found.valid[0, 0]])[:2] == [(0, 2, 1), (0, 12, 1)]
    assert (0, 6, 24) not in places(found.place[0, 0][found.valid[0, 0]])
    assert (0, 2, 30) not in places(found.place[0, 0][found.valid[0, 0]])


def test_exclusion_keeps_the_query_itself_out() -> None:
    """On a flat picture all are equal, so the nearest ones in reading order come: none that overlaps the query."""
    flat = torch.full((1, 1, 1, 64, 64), 7.0)
    query = torch.tensor([[[0, 24, 24]]])
    search = Spatial(count=200, radius=24, exclusion=16, stride=4, apart=0)
    found = mine_spatial(flat, query, search, patch=16)
    picks = found.place[0, 0][found.valid[0, 0]]
    assert len(picks) == 13 * 13 - 7 * 7
    assert ((picks - query[0, 0]).abs().amax(1) >= 16).all()
    assert mine_spatial(flat, query, Spatial(count=1, radius=0, exclusion=0, stride=1), patch=16).place.tolist() == [
        [[[0, 24, 24]]]
    ]


def test_picks_are_different_places() -> None:
    """On a smooth picture the best ones lie side by side: only one of each such heap is taken; so with rain."""
    slope = torch.arange(96.0).expand(1, 3, 1, 96, 96)
    query = drawn(slope, 8, 16)
    still = torch.zeros(1, 3, 3, 96, 96, 2)
    alike = mine_background(
        slope, query, still, patch=16, spatial=Spatial(), temporal=Temporal(count=2, refine=20, cap=math.inf)
    )
    rain = mine_rain(slope + 1, query, drawn(slope, 60, 16, 3), patch=16, count=6, least_energy=0)
    assert alike.valid.sum() > 40
    assert rain.valid.sum() > 40
    for found in (alike, rain):
        for place, valid in zip(found.place[0], found.valid[0], strict=True):
            away = (place[valid][:, None] - place[valid]).abs()
            own = torch.eye(len(away), dtype=torch.bool)
            assert not ((away[..., 0] == 0) & (away[..., 1:] < 16).all(-1) & ~own).any()


def test_autocast_and_gradients_do_not_reach_inside() -> None:
    clip = torch.rand((1, 3, 3, 40, 40), generator=torch.Generator().manual_seed(1)).requires_grad_()
    query, candidate, flow = drawn(clip, 5, 8), drawn(clip, 9, 8, 2), torch.zeros(1, 3, 3, 40, 40, 2)
    spatial, temporal = Spatial(radius=16, exclusion=8, stride=1, apart=8), Temporal(cap=9)

    def mined() -> list[Mined]:
        return [
            mine_background(clip, query, flow, patch=8, spatial=spatial, temporal=temporal),
            mine_rain(clip, query, candidate, patch=8, count=3, least_energy=0.1),
            mine_unlike(clip, query, candidate, patch=8, count=3),
            mine_edges(clip, candidate, patch=8, count=3),
        ]

    plain = mined()
    with torch.autocast("cpu", torch.bfloat16):
        narrow = mined()
    for one, other in zip(plain, narrow, strict=True):
        assert not one.value.requires_grad
        assert all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("count", [0, 4])
def test_no_queries(count: int) -> None:
    clip = clips(2, 3, 1, 9, 9, seed=1)
    query, flow = torch.zeros(2, 0, 3, dtype=torch.int64), flows(clip, 1)
    found = mine_background(clip, query, flow, patch=3, spatial=Spatial(count=count), temporal=Temporal(count=count))
    assert found.place.shape == (2, 0, 3 * count, 3)
    candidate = drawn(clip, 5, 3)
    assert mine_unlike(clip, query, candidate, patch=3, count=count).place.shape == (2, 0, count, 3)
    assert mine_rain(clip, query, candidate, patch=3, count=count, least_energy=0).valid.shape == (2, 0, count)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.float16, torch.float64])
def test_any_real_type(dtype: torch.dtype) -> None:
    clip = clips(1, 2, 3, 20, 20, seed=6)
    query, search = drawn(clip, 6, 4), Spatial(count=5, radius=9, exclusion=4, stride=1)
    for one, other in zip(
        mine_spatial(clip.to(dtype), query, search, patch=4), mine_spatial(clip, query, search, patch=4), strict=True
    ):
        assert torch.equal(one, other)


def test_eight_bit_pictures_are_compared_exactly() -> None:
    """The largest sums that 8 bits and a 16x16 patch can give."""
    clip = torch.randint(0, 2, (1, 1, 1, 40, 40), generator=torch.Generator().manual_seed(7)).float() * 255
    query, search = drawn(clip, 4, 16), Spatial(count=9, radius=12, exclusion=2, stride=1)
    due = brute(clip, query, lambda one, place, _: reference.spatial_matches(one, place, patch=16, **asdict(search)))
    assert_same(mine_spatial(clip, query, search, patch=16), due, nothing=math.inf)


def test_clips_do_not_see_each_other() -> None:
    both = clips(2, 3, 1, 16, 16, seed=8)
    query, flow = drawn(both, 4, 4), flows(both, 8)
    spatial, temporal = Spatial(radius=8, exclusion=4, stride=1), Temporal(cap=9)
    together = mine_background(both, query, flow, patch=4, spatial=spatial, temporal=temporal)
    for n in range(2):
        own = slice(n, n + 1)
        alone = mine_background(both[own], query[own], flow[own], patch=4, spatial=spatial, temporal=temporal)
        assert all(torch.equal(one, part[own]) for one, part in zip(alone, together, strict=True))


def test_queries_lie_inside_and_are_drawn_by_the_generator_alone() -> None:
    shape, before = (2, 3, 1, 20, 33), torch.get_rng_state()
    first, again = (sample_queries(shape, 4000, torch.Generator().manual_seed(1), patch=16) for _ in range(2))
    assert torch.equal(first, again)
    assert torch.equal(before, torch.get_rng_state())
    assert first.shape == (2, 4000, 3)
    for axis, end in enumerate((3, 5, 18)):
        assert sorted(set(first[..., axis].flatten().tolist())) == list(range(end))
    with pytest.raises(ValueError, match="want at least one that holds 21x21"):
        sample_queries(shape, 1, torch.Generator(), patch=21)


def test_features_are_read_at_the_middle_of_the_patch() -> None:
    features = torch.arange(2 * 3 * 1 * 5 * 6).view(2, 3, 1, 5, 6).float()
    place = torch.tensor([[[[2, 0, 0]], [[1, 7, 15]]], [[[0, 8, 3]], [[2, 12, 16]]]])  # [2, 2, 1, 3]
    found = gather_patches(features, place, patch=8, stride=4)
    assert found.shape == (2, 2, 1, 1)
    cells = [(0, 2, 1, 1), (0, 1, 2, 4), (1, 0, 3, 1), (1, 2, 4, 5)]
    assert found.flatten().tolist() == [float(features[n, t, 0, y, x]) for n, t, y, x in cells]
    assert (
        gather_patches(features, torch.tensor([[[0, 99, 99]], [[0, 0, 0]]]), patch=8, stride=4)[0].item() == 29
    )  # the last cell
    assert gather_patches(features, place[:, :0], patch=8, stride=4).shape == (2, 0, 1, 1)


def test_gradients_reach_the_features() -> None:
    features = torch.randn(1, 2, 3, 4, 4, requires_grad=True)
    gather_patches(features, torch.tensor([[[1, 0, 0], [1, 0, 0]]]), patch=2, stride=1).sum().backward()
    assert features.grad is not None
    assert features.grad.sum().item() == 6
    assert (features.grad[0, 1, :, 1, 1] == 2).all()


def test_mining_is_quick_enough_for_a_training_step() -> None:
    """64 queries, 5 frames of 256x256, 8 pixels around: 12 ms on two free cores; the machine may be shared."""
    began = time.monotonic()
    while (quickest := milliseconds(repeats=5)) > 25 and time.monotonic() - began < 30:
        pass
    assert quickest <= 25 * (1 if torch.get_num_threads() > 1 else 2)
