"""What the luma of an aligned window says about every pixel, as a fixed set of planes however many witnesses there are.

seen = look(observed, witnesses, error)
seen.planes, seen.excess, seen.below, seen.deeper
found = judge(observed[0, 0], witnesses[0, :, 0], shrink=3)   # of a large picture, what is judged at its own size
found.excess, found.below, found.deeper, found.share
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.fixed import floats, lengths
from vidrain.model.filters import resized
from vidrain.model.streaks import Doubts, in_bands, share_of_rain
from vidrain.types import Aligned

# Less is taken on trust than by the baseline: which of the rest is rain, a gate learns.
_DOUBTS = Doubts(trust=0.5)
_DIFFERENCE = 8.0  # rain brightens by about a tenth of the range: differences enter a network at its own scale

PLANES = 8


class Seen(NamedTuple):
    """A batch of windows as a network sees it.

    excess: [N, 1, H, W], max(O - M, 0), what the observation has over the median M of the witnesses.
    below: [N, 1, H, W], what min(O, M) has over the second darkest witness; deeper: what that or O has over the
    darkest. Both are rain that stayed in the median, or misalignment.
    planes: [N, P, H, W]; O - M, M, the range of the witnesses, O less the darkest of them, less the second darkest and
    less the brightest, how far their warps can be trusted, 0 to 1, and last the share of the excess that looks like
    rain (`streaks`), 0 to 1: about what the baseline would remove.
    """

    excess: Tensor
    below: Tensor
    deeper: Tensor
    planes: Tensor


class Removable(NamedTuple):
    """What may be removed, in three parts as in `Seen`, and the share of the first that looks like rain. [H, W] each

    The parts are in fixed point if that is what they are of.
    """

    excess: Tensor
    below: Tensor
    deeper: Tensor
    share: Tensor


class Ranked(NamedTuple):
    """The darkest of some pictures at every pixel, their median (the mean of the middle two), and the brightest.

    second: the second darkest, or the median where that is darker: of one or two pictures.
    """

    least: Tensor
    second: Tensor
    middle: Tensor
    most: Tensor


def look(observed: Tensor, witnesses: Tensor, error: Tensor, share: Tensor | None = None) -> Seen:
    """Reduce windows to `PLANES` planes.

    observed: [N, 1, H, W]; witnesses: [N, K, 1, H, W], K at least 1; error: [N, K, H, W], as `types.Aligned` has them,
    luma in fixed point or as float32, all of the size that gates are trained on. share: [N, 1, H, W], the last plane,
    where it is known from a larger picture. A witness whose warp left the picture votes for the observation, on which
    rain may have been pasted since.
    """
    found = _compared(observed, witnesses, error)
    trust = (1 + error).reciprocal_().mean(1, keepdim=True)  # 0 where the error is infinite
    difference, spread = lengths(observed - found.middle), found.most - found.least
    planes = (
        difference * _DIFFERENCE,
        floats(found.middle) - 0.5,
        lengths(spread) * _DIFFERENCE,
        *(lengths(observed - each) * _DIFFERENCE for each in (found.least, found.second, found.most)),
        trust,
        _share(observed, found.middle, spread) if share is None else share,
    )
    below, deeper = (lengths(part) for part in _below(observed, found))
    return Seen(difference.clamp(min=0), below, deeper, torch.cat(planes, 1))


def error_at(aligned: Aligned, size: Sequence[int]) -> Tensor:
    """The error of a window for pictures of (..., rows, columns), in pixels of the observed one. [K, rows, columns]"""
    rows, columns = size[-2:]
    errors = [resized(error, (rows, columns)) for error in aligned.error]
    return torch.stack(errors) if errors else aligned.error.new_zeros((0, rows, columns))


def judge(observed: Tensor, witnesses: Tensor, *, shrink: int) -> Removable:
    """A window at any size, without the planes. shrink: `streaks.shrink_of` the whole picture.

    observed: [H, W]; witnesses: [K, H, W], as in `look`.
    """
    middle, spread, excess, below, deeper = (torch.empty_like(observed) for _ in range(5))
    for rows in in_bands(observed):
        here, found = observed[rows], ranked([witness[rows] for witness in witnesses])
        middle[rows], spread[rows], excess[rows] = found.middle, found.most - found.least, here - found.middle
        below[rows], deeper[rows] = _below(here, found)
    share = share_of_rain(observed, middle, spread, doubts=_DOUBTS, shrink=shrink)
    return Removable(excess.clamp_(min=0), below, deeper, share)


def _compared(observed: Tensor, witnesses: Tensor, error: Tensor) -> Ranked:
    """The votes of every witness, [N, 1, H, W] each."""
    inside = error < torch.inf  # in a fifth of the time of isfinite
    return ranked([torch.where(inside[:, k, None], witnesses[:, k], observed) for k in range(witnesses.shape[1])])


def _below(observed: Tensor, found: Ranked) -> tuple[Tensor, Tensor]:
    """`Seen.below` and `Seen.deeper`, in fixed point if that is what they are of."""
    below = torch.minimum(observed, found.middle).sub_(found.second).clamp_(min=0)
    return below, torch.minimum(observed, found.second).sub_(found.least).clamp_(min=0)


@torch.no_grad()  # a measure of the picture, nothing to learn through
def _share(observed: Tensor, middle: Tensor, spread: Tensor) -> Tensor:
    """`share_of_rain` of N windows. [N, 1, H, W]"""
    windows = zip(observed[:, 0], middle[:, 0], spread[:, 0], strict=True)
    return torch.stack([share_of_rain(*seen, doubts=_DOUBTS, shrink=1) for seen in windows])[:, None]


def ranked(values: Sequence[Tensor]) -> Ranked:
    """Rank pictures pixel by pixel, by exchanges of minimum and maximum. values: one or more of one shape and dtype

    torch.median and torch.sort over a stack of four 720p pictures are an order of magnitude slower on a CPU.
    """
    if len(values) in (4, 6):  # the common cases in half and two thirds of the steps
        pairs = [_exchanged(*pair) for pair in zip(values[::2], values[1::2], strict=True)]
        low, high = (_ordered(side) for side in zip(*pairs, strict=True))
        second, inner = torch.minimum(low[1], high[0]), (low[1], high[0])  # the two rows are merged, but for their ends
        if len(values) == 6:
            inner = torch.maximum(*inner), torch.minimum(low[2], high[1])
        return Ranked(low[0], second, _mean(*inner), high[-1])
    ordered, count = _ordered(values), len(values)
    half = count // 2
    middle = ordered[half] if count % 2 else _mean(ordered[half - 1], ordered[half])
    return Ranked(ordered[0], ordered[1] if count > 2 else middle, middle, ordered[-1])


def _mean(first: Tensor, second: Tensor) -> Tensor:
    """Of floats, or of luma in fixed point, rounded down."""
    total = first + second
    return total.div_(2) if total.is_floating_point() else total.bitwise_right_shift_(1)


def _ordered(values: Sequence[Tensor]) -> list[Tensor]:
    """The darkest first, pixel by pixel."""
    ordered = list(values)
    for done in range(len(ordered) - 1):
        for i in range(len(ordered) - 1 - done):
            ordered[i], ordered[i + 1] = _exchanged(ordered[i], ordered[i + 1])
    return ordered


def _exchanged(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(first, second), torch.maximum(first, second)
