"""Mining on pictures made by hand: what must be found there, and what must not."""

import math
from dataclasses import replace

import pytest
import torch

from tests.unit.test_mining import clips, drawn, places
from vidrain.train.mining import (
    Spatial,
    Temporal,
    gather_patches,
    mine_background,
    mine_edges,
    mine_rain,
    mine_spatial,
    mine_temporal,
    sample_queries,
)


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
