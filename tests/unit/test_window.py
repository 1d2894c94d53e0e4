"""Windows seen from a neighbour: nothing is lost, errors add up, and the layers of each view are its own."""

import math

import torch

from vidrain.model.gate import CONFIGS, Gate
from vidrain.train.window import Neighbour, Window, error_of, layers_of, seen_from, stacked


def window(count: int = 2, witnesses: int = 4, side: int = 12) -> Window:
    generator = torch.Generator().manual_seed(0)
    observed, others = (
        torch.rand(shape, generator=generator) for shape in ((count, 1, side, side), (count, witnesses, 1, side, side))
    )
    error = torch.rand((count, witnesses, side, side), generator=generator)
    error[0, 2, 3, 4] = math.inf
    return Window(observed, others, error)


def neighbour() -> Neighbour:
    filmed, dried = torch.rand((2, 2, 1, 12, 12), generator=torch.Generator().manual_seed(1))
    return Neighbour(torch.tensor([2, 0]), filmed, dried)


def test_the_neighbour_as_filmed_and_the_frame_dried_change_places() -> None:
    plain, beside = window(), neighbour()
    turned = seen_from(plain, beside)
    assert torch.equal(turned.observed, beside.filmed)
    for n, k in enumerate(beside.number.tolist()):
        assert torch.equal(turned.witnesses[n, k], beside.dried[n])
        rest = [j for j in range(4) if j != k]
        assert torch.equal(turned.witnesses[n, rest], plain.witnesses[n, rest])
        assert torch.equal(turned.error[n, k], plain.error[n, k])
        assert torch.equal(turned.error[n, rest], plain.error[n, rest] + plain.error[n, k])
    assert torch.isinf(turned.error[0, :, 3, 4]).all()  # where the neighbour is not in the picture nobody is
    assert torch.equal(error_of(plain, beside), torch.stack([plain.error[0, 2], plain.error[1, 0]]))
    own = Neighbour(beside.number, plain.observed, plain.witnesses[torch.arange(2), beside.number])
    back = seen_from(turned, own)
    assert torch.equal(back.observed, plain.observed)
    assert torch.equal(back.witnesses, plain.witnesses)
    assert all(torch.equal(part, whole[:1]) for part, whole in zip(beside.first(1), beside, strict=True))


def test_views_of_a_window_lie_next_to_each_other() -> None:
    plain = window()
    turned = seen_from(plain, neighbour())
    both = stacked([plain, turned])
    assert torch.equal(both.observed.view(2, 2, 1, 12, 12)[:, 0], plain.observed)
    assert torch.equal(both.observed.view(2, 2, 1, 12, 12)[:, 1], turned.observed)
    assert torch.equal(both.error[3], turned.error[1])
    assert torch.equal(both.first(2).witnesses, both.witnesses[:2])


def test_layers_add_up_and_each_view_has_its_own() -> None:
    net = Gate(CONFIGS["gate-s"])
    plain = window()
    turned = seen_from(plain, neighbour())
    both, alone = layers_of(net, stacked([plain, turned])), layers_of(net, turned)
    observed = stacked([plain, turned]).observed
    torch.testing.assert_close(both.background + both.rain, observed)
    torch.testing.assert_close(both.background.view(2, 2, 1, 12, 12)[:, 1], alone.background)
    assert (both.floor <= observed).all()
    assert ((observed == both.floor) <= (both.rain == 0)).all()  # rain only where something exceeds the witnesses
