"""The baseline decomposer: what it takes for rain, and what each of its measures keeps it from taking."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import Tensor

from vidrain.baseline import Baseline, BaselineOptions
from vidrain.errors import UsageError
from vidrain.model.planes import ranked
from vidrain.model.streaks import Doubts
from vidrain.types import Aligned

HEIGHT, WIDTH = 48, 64
STREAK = (slice(10, 34), slice(30, 32))  # two pixels wide, straight down


def scene(witnesses: int = 4) -> Aligned:
    """A still, noisy grey picture [1, 48, 64] and its neighbours, all dry."""
    generator = torch.Generator().manual_seed(7)
    pictures = 0.3 + 0.002 * torch.randn((witnesses + 1, 1, HEIGHT, WIDTH), generator=generator)
    return Aligned(pictures[0], pictures[1:], torch.zeros((witnesses, HEIGHT, WIDTH)))


def brightened(aligned: Aligned, place: tuple[slice, slice] = STREAK, amount: float = 0.15) -> Aligned:
    observed = aligned.observed.clone()
    observed[:, *place] += amount
    return replace(aligned, observed=observed)


def removed(aligned: Aligned, options: BaselineOptions, place: tuple[slice, slice] = STREAK) -> float:
    """Mean of what is taken at a place."""
    return float(Baseline(options)(aligned)[:, *place].mean())


def test_a_streak_over_a_still_scene_goes_and_nothing_else() -> None:
    aligned = brightened(scene())
    rain = Baseline(BaselineOptions())(aligned)
    assert removed(aligned, BaselineOptions()) == pytest.approx(0.15, abs=0.01)
    rain[:, *STREAK] = 0
    assert float(rain.max()) < 0.01


@pytest.mark.parametrize("slope", [-0.75, -0.4, 0.25, 0.6, 1.0])
def test_a_slanted_streak_goes_too(slope: float) -> None:
    aligned = scene()
    observed = aligned.observed.clone()
    rows = torch.arange(10, 34)
    columns = 32 + torch.round(slope * (rows - 22)).long()
    for column in (columns, columns + 1):
        observed[:, rows, column] += 0.1
    rain = Baseline(BaselineOptions())(replace(aligned, observed=observed))
    assert float(rain[:, rows, columns].mean()) > 0.085


@pytest.mark.parametrize("witnesses", [1, 2, 3, 4, 5])
def test_any_number_of_witnesses_will_do(witnesses: int) -> None:
    assert removed(brightened(scene(witnesses)), BaselineOptions()) > 0.13


def test_without_witnesses_there_is_no_rain() -> None:
    rain = Baseline(BaselineOptions())(brightened(scene(0)))
    assert rain.shape == (1, HEIGHT, WIDTH)
    assert not rain.any()


def test_what_is_darker_than_its_neighbours_stays() -> None:
    aligned = brightened(scene(), amount=-0.2)
    assert removed(aligned, BaselineOptions()) == 0.0


def left_out(aligned: Aligned, places: Tensor) -> Aligned:
    """As `align.warp` leaves a window whose witnesses lie outside of the picture at `places` [K, H, W]."""
    witnesses = torch.where(places[:, None], aligned.observed, aligned.witnesses)
    return replace(aligned, witnesses=witnesses, error=aligned.error.masked_fill(places, torch.inf))


def test_a_witness_from_outside_the_picture_votes_for_the_observation() -> None:
    aligned = brightened(scene())
    outside = torch.zeros(4, HEIGHT, WIDTH, dtype=torch.bool)
    outside[3] = True
    assert removed(left_out(aligned, outside), BaselineOptions()) > 0.12
    outside[2] = True  # two against two
    assert 0.02 < removed(left_out(aligned, outside), BaselineOptions()) < 0.08
    outside[:] = True
    assert not Baseline(BaselineOptions())(left_out(aligned, outside)).any()


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 7), (2, 65), (721, 33), (545, 541)])
@pytest.mark.parametrize("witnesses", [0, 1, 4])
def test_any_size_will_do(size: tuple[int, int], witnesses: int) -> None:
    pictures = torch.rand((witnesses + 1, 1, *size), generator=torch.Generator().manual_seed(1))
    aligned = Aligned(pictures[0], pictures[1:], torch.zeros((witnesses, *size)))
    rain = Baseline(BaselineOptions())(aligned)
    assert rain.shape == (1, *size)
    assert rain.dtype == torch.float32
    assert bool(rain.isfinite().all())


@pytest.mark.parametrize("enlarged", [1, 2, 3])
def test_lengths_follow_the_size_of_the_picture(enlarged: int) -> None:
    """What counts as thin is a share of the picture's shorter side, not a number of pixels."""
    dry = torch.full((1, 360 * enlarged, 400 * enlarged), 0.3)
    aligned = Aligned(dry, dry.expand(4, -1, -1, -1), torch.zeros((4, *dry.shape[1:])))
    options, rows = BaselineOptions(doubts=Doubts(trust=0.0)), slice(100 * enlarged, 200 * enlarged)
    streak, stripe = (rows, slice(200, 200 + 5 * enlarged)), (rows, slice(200, 200 + 9 * enlarged))
    assert removed(brightened(aligned, streak), options, streak) > 0.1
    assert removed(brightened(aligned, stripe), options, stripe) < 0.05


def contradicting(aligned: Aligned) -> Aligned:
    witnesses = aligned.witnesses.clone()
    witnesses[0, :, *STREAK] += 0.6
    witnesses[1, :, *STREAK] -= 0.3
    return brightened(replace(aligned, witnesses=witnesses))


def beside_an_edge(aligned: Aligned) -> Aligned:
    step = torch.where(torch.arange(WIDTH) < 31, 0.0, 0.4)
    return brightened(Aligned(aligned.observed + step, aligned.witnesses + step, aligned.error))


def among_darkening(aligned: Aligned) -> Aligned:
    observed = aligned.observed.clone()
    observed[:, :, 33:40] -= 0.15
    return brightened(replace(aligned, observed=observed))


def wide(aligned: Aligned) -> Aligned:
    return brightened(aligned, (slice(10, 34), slice(22, 40)))


def opaque(aligned: Aligned) -> Aligned:
    return brightened(aligned, amount=0.65)


@pytest.mark.parametrize(
    ("term", "doubtful"),
    [
        ("spread", contradicting),
        ("edge", beside_an_edge),
        ("darkening", among_darkening),
        ("thickness", wide),
        ("opacity", opaque),
    ],
)
def test_every_doubt_keeps_something(term: str, doubtful: Callable[[Aligned], Aligned]) -> None:
    """Off, the doubt lets more go (with so little trust that one measure decides); a clear streak goes either way."""
    options, off = BaselineOptions(doubts=Doubts(trust=0.0)), BaselineOptions(doubts=Doubts(trust=0.0, **{term: 0.0}))
    assert removed(doubtful(scene()), options) < 0.9 * removed(doubtful(scene()), off)
    assert removed(brightened(scene()), BaselineOptions()) > 0.95 * removed(brightened(scene()), off)


def test_a_line_is_more_likely_rain_than_a_dot() -> None:
    dot = (slice(22, 23), slice(30, 31))
    options = BaselineOptions()
    share = removed(brightened(scene(), dot), options, dot) / removed(brightened(scene()), options)
    assert share < 0.85
    assert removed(brightened(scene()), BaselineOptions(doubts=Doubts(line=0.0))) < 0.8 * removed(
        brightened(scene()), options
    )


def test_more_trust_removes_more() -> None:
    aligned = contradicting(scene())
    amounts = [removed(aligned, BaselineOptions(doubts=Doubts(trust=trust))) for trust in (0.2, 0.4, 0.6)]
    assert amounts == sorted(set(amounts))


def test_passes_are_the_options_own() -> None:
    twice = Baseline(BaselineOptions(passes=2, doubts=Doubts(trust=0.5)))
    assert Baseline(BaselineOptions()).first is None
    assert twice.first is not None
    assert twice.first.options == BaselineOptions(doubts=Doubts(trust=0.5))
    for passes in (0, 4):
        with pytest.raises(UsageError, match=rf"baseline.passes={passes}: allowed: 1 to 3"):
            BaselineOptions(passes=passes)


def test_radius_is_the_options_own() -> None:
    assert Baseline(BaselineOptions(radius=3)).radius == 3


@given(st.integers(0, 2**32 - 1), st.integers(0, 5), st.integers(2, 24), st.integers(2, 24))
def test_rain_is_between_zero_and_the_excess(seed: int, witnesses: int, height: int, width: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = torch.from_numpy(rng.normal(0.5, 0.4, (witnesses + 1, 1, height, width)).astype(np.float32))
    outside = torch.from_numpy(rng.random((witnesses, height, width)) < 0.1)
    aligned = left_out(Aligned(pictures[0].clone(), pictures[1:].clone(), torch.full(outside.shape, 0.5)), outside)
    shown = aligned.witnesses.clone()
    rain = Baseline(BaselineOptions())(aligned)
    assert torch.equal(aligned.observed, pictures[0]), "the input was written to"
    assert torch.equal(aligned.witnesses, shown), "the input was written to"
    if not witnesses:
        assert not rain.any()
        return
    excess = np.clip(pictures[0].numpy() - np.median(shown.numpy(), axis=0), 0, None)
    assert float(rain.min()) >= 0
    assert bool((rain.numpy() <= excess + 1e-5).all())


@given(st.integers(1, 7).flatmap(lambda n: arrays(np.float32, (n, 5), elements=st.floats(-1, 2, width=32))))
def test_ranked_is_least_median_and_most(values: np.ndarray) -> None:  # type: ignore[type-arg]
    inputs: list[Tensor] = [torch.from_numpy(row.copy()) for row in values]
    found = ranked(inputs)
    np.testing.assert_array_equal(found.least.numpy(), values.min(0))
    np.testing.assert_allclose(found.middle.numpy(), np.median(values, axis=0), atol=1e-6)
    np.testing.assert_array_equal(found.most.numpy(), values.max(0))
    assert all(np.array_equal(tensor.numpy(), row) for tensor, row in zip(inputs, values, strict=True))


def test_the_error_of_the_flow_is_asked_for_only_where_it_counts() -> None:
    assert not Baseline(BaselineOptions()).wants_error
    twice = Baseline(BaselineOptions(largest_error=4.0, passes=2))
    assert twice.wants_error
    assert twice.first is not None
    assert twice.first.wants_error


def test_a_witness_whose_flow_does_not_lead_back_has_no_say_if_asked() -> None:
    aligned = brightened(scene())
    astray = replace(aligned, error=torch.full_like(aligned.error, 9.0))
    assert removed(astray, BaselineOptions()) == removed(aligned, BaselineOptions())
    assert removed(astray, BaselineOptions(largest_error=10.0)) == removed(aligned, BaselineOptions())
    assert removed(astray, BaselineOptions(largest_error=8.0)) == 0.0
