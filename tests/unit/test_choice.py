"""Which patches are compared: where they lie, that each rule keeps its word, and what the weights say."""

from dataclasses import replace

import pytest
import torch

from vidrain.train.choice import ContrastOptions, View, choose_layers, choose_locations

PLAIN = ContrastOptions(queries=8, other=6, unlike=5, edges=3)
SIDE, PATCH = 96, 16


def view(seed: int = 0) -> View:
    """Two windows of two frames each, aligned in the left half; rain in a few places."""
    generator = torch.Generator().manual_seed(seed)
    guide = torch.rand((2, 1, 1, SIDE, SIDE), generator=generator).expand(-1, 2, -1, -1, -1)
    background = guide.expand(-1, -1, 3, -1, -1)
    rain = torch.zeros(2, 2, 3, SIDE, SIDE)
    rain[0, 0, :, 20:60, 30:33] = 0.3
    rain[1, 1, :, 10:80, 70:73] = 0.3
    error = torch.zeros(2, SIDE, SIDE)
    error[:, :, SIDE // 2 :] = 3.0
    return View(guide, background, rain, error)


def layers(options: ContrastOptions, seen: View | None = None):  # type: ignore[no-untyped-def]
    return choose_layers(seen or view(), torch.Generator().manual_seed(1), options)


@pytest.mark.parametrize("positives", ["random", "published", "exclusion", "frames", "motion"])
def test_places_lie_in_the_pictures_and_the_query_comes_first(positives: str) -> None:
    found = layers(replace(PLAIN, positives=positives))  # type: ignore[arg-type]
    many = 1 + PLAIN.alike + (positives in ("frames", "motion"))
    assert found.background.shape == (2, 8, many, 3)
    assert found.background_weight.shape == (2, 8, many)
    assert (found.background_weight[..., 0] == 1).all()
    assert ((found.background_weight >= 0) & (found.background_weight <= 1)).all()
    assert found.rain.shape == (1, 16, 1 + PLAIN.other, 3)
    assert found.edges.shape == (1, 3, 3)
    for place, frames in ((found.background, 2), (found.rain, 4), (found.edges, 4)):
        assert (place >= 0).all()
        assert (place[..., 0] < frames).all()
        assert (place[..., 1:] <= SIDE - PATCH).all()
    own = found.rain[0, :, 0]  # the rain at the query's own place, frames counted over all windows
    query = found.background[:, :, 0].clone()
    query[1, :, 0] += 2
    assert torch.equal(own, query.flatten(0, 1))


def test_published_neighbours_are_the_query_again_and_excluded_ones_are_not() -> None:
    seen = view()
    across = torch.linspace(0, 1, SIDE).expand(SIDE, SIDE)
    smooth = torch.stack([across, across.T, across]).expand(2, 2, 3, SIDE, SIDE)  # every place has its own colour
    seen = seen._replace(guide=smooth[:, :, :1], background=smooth)
    for positives, overlaps in (("published", True), ("exclusion", False)):
        place = layers(replace(PLAIN, positives=positives), seen).background  # type: ignore[arg-type]
        weight = layers(replace(PLAIN, positives=positives), seen).background_weight  # type: ignore[arg-type]
        away = (place[:, :, 1:, 1:] - place[:, :, :1, 1:]).abs().amax(-1)
        assert ((away < PATCH) == overlaps)[weight[..., 1:] > 0].all()
        assert (place[..., 1:, 0] == place[..., :1, 0]).all()  # of the same frame


def test_motion_is_trusted_where_frames_are_aligned_and_nowhere_else() -> None:
    """The same picture again: the other frame's patch is the query's own, but not where the alignment is off."""
    found = layers(PLAIN)
    place, weight = found.background[:, :, -1], found.background_weight[..., -1]
    query = found.background[:, :, 0]
    aligned = query[..., 2] + PATCH // 2 < SIDE // 2
    assert aligned.any()
    assert not aligned.all()
    assert torch.equal(weight > 0, aligned)
    assert (place[aligned][:, 0] == 1 - query[aligned][:, 0]).all()
    assert torch.equal(place[aligned][:, 1:], query[aligned][:, 1:])
    assert (layers(replace(PLAIN, positives="frames")).background_weight[..., -1] > 0).all()  # on purpose


def test_half_of_the_queries_are_where_it_rains_and_rain_is_rain() -> None:
    found = layers(replace(PLAIN, queries=16, other=24))
    rain = view().rain.flatten(0, 1)
    for places, weight in (
        (found.rain[0, :, 0], found.rain_weight[0, :, 0]),
        (found.rain[0, 0], found.rain_weight[0, 0]),
    ):
        wet = [bool((rain[f, :, y : y + PATCH, x : x + PATCH] ** 2).mean() >= 1e-4) for f, y, x in places.tolist()]
        assert [flag and bool(here) for flag, here in zip(wet, weight > 0, strict=True)] == (weight > 0).tolist()
    assert (
        found.rain_weight[0, :, 0].view(2, 16)[:, 8:].sum(1) >= found.rain_weight[0, :, 0].view(2, 16)[:, :8].sum(1)
    ).all()


def test_dry_windows_have_no_rain_to_compare_with() -> None:
    found = layers(PLAIN, view()._replace(rain=torch.zeros(2, 2, 3, SIDE, SIDE)))
    assert not found.rain_weight.any()


def test_locations_are_the_same_in_both_frames_and_unlike_elsewhere() -> None:
    found = choose_locations(view(), torch.Generator().manual_seed(1), PLAIN)
    assert torch.equal(found.positive[:, :, 0], found.query)
    assert torch.equal(found.positive[..., 1, 0], 1 - found.query[..., 0])
    assert torch.equal(found.positive[..., 1, 1:], found.query[..., 1:])
    aligned = found.query[..., 2] + PATCH // 2 < SIDE // 2
    assert torch.equal(found.positive_weight[..., 1] > 0, aligned)
    assert found.negative.shape == (2, 8, 5, 3)
    random = choose_locations(view(), torch.Generator().manual_seed(1), replace(PLAIN, negatives="random"))
    guide = view().guide

    def unlike(place: torch.Tensor, n: int, q: int) -> float:
        cut = [guide[n, f, 0, y : y + PATCH, x : x + PATCH] for f, y, x in (place.tolist(), found.query[n, q].tolist())]
        return float((cut[0] - cut[1]).square().mean())

    means = [
        sum(unlike(one.negative[n, q, m], n, q) for n in range(2) for q in range(8) for m in range(5)) / 80
        for one in (found, random)
    ]
    assert means[0] > means[1]


def test_draws_follow_from_the_generator_alone() -> None:
    first, again = layers(PLAIN), layers(PLAIN)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    other = choose_layers(view(), torch.Generator().manual_seed(2), PLAIN)
    assert not torch.equal(first.background, other.background)
