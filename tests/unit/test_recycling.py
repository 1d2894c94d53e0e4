"""Recycled pairs: what holds whatever is drawn, and that the draws are the generator's alone."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from vidrain.errors import UsageError
from vidrain.train.recycling import Recycled, RecycleOptions, _joined, recycle, trust

OPTIONS = RecycleOptions()


def scene(seed: int, *, count: int = 3, witnesses: int = 4, size: tuple[int, int] = (20, 24)) -> tuple[Tensor, ...]:
    """Observed, witnesses, and a teacher's rain: some streaks, and specks of noise."""
    random = torch.Generator().manual_seed(seed)
    observed = torch.rand(count, 1, *size, generator=random)
    others = torch.rand(count, witnesses, 1, *size, generator=random)
    rain = torch.rand(count, 1, *size, generator=random) * OPTIONS.speckle * 0.9
    for n in range(count):
        column = int(torch.randint(size[1], (1,), generator=random))
        rain[n, :, : size[0] // 2, column] = 0.1 + 0.3 * torch.rand(1, generator=random)
    return observed, others, torch.minimum(rain, observed)


def recycled(
    seed: int, parts: tuple[Tensor, ...], options: RecycleOptions = OPTIONS, *, is_dried: bool = True
) -> Recycled:
    observed, others, rain = parts
    generator = torch.Generator().manual_seed(seed)
    return recycle(observed, others, rain, generator, options=options, is_dried=is_dried)


shapes = st.tuples(st.integers(1, 21), st.integers(1, 21))


@given(
    seed=st.integers(0, 99), count=st.integers(1, 4), witnesses=st.integers(0, 4), size=shapes, margin=st.integers(0, 4)
)
def test_what_always_holds(seed: int, count: int, witnesses: int, size: tuple[int, int], margin: int) -> None:
    parts = observed, others, rain = scene(seed, count=count, witnesses=witnesses, size=size)
    options = RecycleOptions(margin=margin)
    pair = recycled(seed, parts, options)
    pasted = pair.observed - pair.target
    assert pasted.min() >= 0
    assert (pair.target <= observed).all()
    assert (observed - pair.target <= rain + 1e-6).all()
    found = rain.amax(1) > OPTIONS.speckle
    for n, y, x in found.nonzero().tolist():
        around = pasted[n, :, max(y - margin, 0) : y + margin + 1, max(x - margin, 0) : x + margin + 1]
        assert not around.any(), "pasted where the source rain was"
        assert not pair.known[n, 0, y, x]
    assert bool(pair.known.all()) == (not found.any())
    assert (pair.witnesses >= others).all()
    assert pair.observed.max() <= 1
    assert pair.witnesses.numel() == 0 or pair.witnesses.max() <= 1


@given(seed=st.integers(0, 99))
def test_the_generator_decides_everything(seed: int) -> None:
    parts = scene(seed)
    torch.manual_seed(seed)
    first = recycled(seed, parts)
    torch.manual_seed(seed + 1)
    again = recycled(seed, parts)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(recycled(seed + 1, parts).observed, first.observed)


def test_inputs_stay_as_they_are() -> None:
    parts = scene(1)
    kept = [part.clone() for part in parts]
    recycled(1, parts)
    assert all(torch.equal(a, b) for a, b in zip(parts, kept, strict=True))


def test_rain_is_pasted_and_noise_is_not() -> None:
    observed, others, rain = scene(4, size=(40, 60))
    pair = recycled(4, (observed * 0.5, others, rain))
    pasted = pair.observed - pair.target
    assert pasted.amax() > 0.05
    specks = torch.full_like(rain, OPTIONS.speckle * 0.9)
    still = recycled(4, (observed, others, specks))
    assert torch.equal(still.observed, observed)
    assert torch.equal(still.target, observed)
    assert torch.equal(still.witnesses, others)


def test_rain_comes_from_other_windows_too() -> None:
    """A clean window among rainy ones gets theirs, and stays its own target."""
    observed, others, rain = scene(5, count=4)
    rain[0] = 0
    pairs = [recycled(seed, (observed * 0.5, others, rain)) for seed in range(4)]
    assert all(torch.equal(pair.target[0], observed[0] * 0.5) for pair in pairs)
    assert any((pair.observed[0] > pair.target[0]).any() for pair in pairs)


def test_neighbours_get_rain_of_their_own_or_none() -> None:
    parts = scene(6)
    none = recycled(6, parts, RecycleOptions(neighbours=0, persistence=0))
    assert torch.equal(none.witnesses, parts[1])
    dark = (parts[0] * 0.3, parts[1] * 0.3, parts[2] * 0.3)
    rained = recycled(6, dark, RecycleOptions(neighbours=1, persistence=0))
    changed = (rained.witnesses > dark[1]).flatten(2).any(2)
    assert changed.float().mean() > 0.8
    places = [tuple(window.nonzero().flatten().tolist()) for window in (rained.witnesses - dark[1])[0, :, 0].flatten(1)]
    assert len(set(places)) > 1, "every neighbour has the same rain"


def test_remains_lie_where_the_rain_was_pasted() -> None:
    observed, others, rain = scene(7, size=(40, 40))
    dark = (observed * 0.3, others * 0.3, rain)
    options = RecycleOptions(neighbours=0, persistence=1, remains_least=0.2, remains_most=0.2, strongest=1)
    pair = recycled(7, dark, options)
    pasted = pair.observed - pair.target
    for k in range(others.shape[1]):
        torch.testing.assert_close(pair.witnesses[:, k] - dark[1][:, k], pasted * 0.2)


PLAIN = RecycleOptions(
    layers=1, weakest=1, strongest=1, zoom=1, stretch=1, slant=0, neighbours=0, persistence=0, margin=0
)


def streak_pasted(seed: int, options: RecycleOptions) -> Tensor:
    """Where a straight streak of one column and 24 rows was pasted onto an empty window. [N, 2], (y, x)"""
    rain = torch.zeros(2, 1, 64, 64)
    rain[0, :, 10:34, 20] = 0.5
    pair = recycled(seed, (rain.clone(), torch.zeros(2, 0, 1, 64, 64), rain), options)
    return (pair.observed[1] - pair.target[1])[0].gt(0.2).nonzero()


def test_pieces_keep_their_shape_where_none_is_asked_for() -> None:
    found = [places for seed in range(12) if len(places := streak_pasted(seed, PLAIN))]
    assert len(found) == 12  # of two windows one holds the streak, and nothing is pasted of the other
    for places in found:
        assert len(set(places[:, 1].tolist())) == 1
        assert 24 <= len(places) <= 31  # the mean along eight rows reaches over both ends


def test_pieces_are_drawn_longer_and_no_wider() -> None:
    found = [places for seed in range(24) if len(places := streak_pasted(seed, replace(PLAIN, stretch=2.0)))]
    rows = {len(set(places[:, 0].tolist())) for places in found}
    assert max(rows) > 35
    assert all(len(set(places[:, 1].tolist())) == 1 for places in found)


def test_streaks_in_bits_are_joined_and_dots_are_dropped() -> None:
    rain = torch.zeros(1, 1, 40, 40)
    rain[:, :, 8:32, 20] = 0.3
    rain[:, :, 19:21, 20] = 0  # a teacher that doubts the middle
    rain[:, :, 5, 5] = 0.15
    pasted = _joined(rain, 0.02)[0, 0]
    assert pasted[8:32, 20].min() > 0.1
    assert not pasted[:, :10].any()


def test_neighbours_hold_what_a_first_pass_leaves() -> None:
    observed, others, rain = scene(9, size=(40, 40))
    dark = (observed * 0.3, others * 0.3, rain)
    options = RecycleOptions(neighbours=1, persistence=0, strongest=1)
    full, faint = (recycled(9, dark, replace(options, left=left)).witnesses - dark[1] for left in (1.0, 0.1))
    assert 0 < float(faint.max()) < 0.11 * float(rain.max())
    assert float(full.max()) > 2 * float(faint.max())


def test_neighbours_that_are_seen_as_filmed_hold_the_whole_rain() -> None:
    """A gate without a first pass will meet them so. What is pasted onto the window is the same either way."""
    observed, others, rain = scene(9, size=(40, 40))
    dark = (observed * 0.3, others * 0.3, rain)
    options = RecycleOptions(neighbours=1, persistence=0, layers=1)
    left, filmed = (recycled(9, dark, options, is_dried=is_dried) for is_dried in (True, False))
    assert torch.equal(left.observed, filmed.observed)
    part, whole = (pair.witnesses - dark[1] for pair in (left, filmed))
    there = (part > 0.01) & (filmed.witnesses < 1)
    assert there.any(dim=(0, 2, 3, 4)).all()
    assert float((part / whole)[there].max()) <= options.left + 1e-4
    assert float((part / whole)[there].min()) < options.left / 2
    for seed in range(3):  # however little a first pass would leave
        again = recycled(9, dark, replace(options, left=seed / 10), is_dried=False)
        assert torch.equal(again.witnesses, filmed.witnesses)


@pytest.mark.parametrize("is_dried", [True, False])
def test_it_rains_as_densely_on_neighbours_that_are_seen_as_filmed(is_dried: bool) -> None:
    """A first pass leaves one piece at most, however many there were."""
    rain = torch.zeros(2, 1, 64, 64)
    rain[0, :, 10:34, 20] = 0.05
    empty = (torch.zeros(2, 1, 64, 64), torch.zeros(2, 4, 1, 64, 64), rain)
    options = replace(PLAIN, neighbours=1, layers=9, left=1)
    taken = recycled(3, empty, options, is_dried=is_dried).witnesses.sum((2, 3, 4)) / rain.sum()
    assert (float(taken.max()) > 2.5) == (not is_dried)


def test_pieces_are_zoomed_and_lean_over() -> None:
    zoomed = [streak_pasted(seed, replace(PLAIN, zoom=2.0)) for seed in range(24)]
    rows = {len(set(places[:, 0].tolist())) for places in zoomed if len(places)}
    assert min(rows) < 20
    assert max(rows) > 30
    leaning = [streak_pasted(seed, replace(PLAIN, slant=0.5)) for seed in range(24)]
    assert max(len(set(places[:, 1].tolist())) for places in leaning) >= 5
    signs = {float((places[-1, 1] - places[0, 1]).sign()) for places in leaning if len(set(places[:, 1].tolist())) >= 4}
    assert {-1.0, 1.0} <= signs


def test_what_is_certain_counts_most() -> None:
    observed, others, rain = scene(11, size=(40, 40))
    rain[1] = 0
    pair = recycled(11, (observed * 0.3, others, rain))
    weight = trust(pair, torch.tensor([False, True, False]), 0.25)
    pasted = (pair.observed > pair.target).any(1, keepdim=True)
    assert pasted.any()
    assert (weight[1] == 1).all()
    assert (weight[pasted] == 1).all()
    assert not weight[~pair.known].any()
    assert (weight[[0, 2]][(pair.known & ~pasted)[[0, 2]]] == 0.25).all()
    assert weight.shape == (3, 1, 40, 40)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"layers": 0}, r"recycle.layers=0"),
        ({"margin": -1}, r"margin=-1"),
        ({"weakest": 0.0}, r"recycle.weakest=0.0: allowed: above 0"),
        ({"weakest": 5.0}, r"up to strongest=4.0"),
        ({"zoom": 0.5}, r"recycle.zoom=0.5 stretch=4.0 slant=0.2: allowed: from 1, from 1, from 0"),
        ({"slant": -1.0}, r"slant=-1.0"),
        ({"stretch": 0.9}, r"stretch=0.9"),
        ({"left": 1.5}, r"recycle.left=1.5: allowed: 0 to 1"),
        ({"neighbours": 1.5}, r"recycle.neighbours=1.5: allowed: 0 to 1"),
        ({"remains_most": float("nan")}, r"recycle.remains_most=nan"),
    ],
)
def test_options_out_of_bounds(wrong: dict[str, float], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        RecycleOptions(**wrong)  # type: ignore[arg-type]
