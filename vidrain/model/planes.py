"""What an aligned window says about every pixel, as a fixed set of planes however many witnesses there are.

seen = look(observed, witnesses, error, per_channel=False)
seen.planes, seen.excess, seen.below
found = judge(observed, witnesses, error, shrink=3)   # of a large picture, what is judged at its own size
found.excess, found.below, found.share
"""

from collections.abc import Sequence
from functools import reduce
from typing import NamedTuple

import torch
from torch import Tensor

from vidrain.model.streaks import Doubts, share_of_rain

_LUMA = (0.299, 0.587, 0.114)  # BT.601; brightness is only compared with brightness, so any matrix will do
# Dried witnesses leave less to be taken on trust: 2.5 dB less harm for 0.2 dB of gain (docs/quality.md).
_DOUBTS = Doubts(trust=0.5)
_DIFFERENCE = 8.0  # rain brightens by about a tenth of the range: differences enter a network at its own scale

LUMA_PLANES = 7
CHANNEL_PLANES = 11


class Seen(NamedTuple):
    """A batch of windows as a network sees it.

    excess: [N, 3, H, W], max(O - M, 0), what the observation has over the median M of the witnesses.
    below: [N, 3, H, W], what min(O, M) has over the darkest witness: rain that stayed in the median, or misalignment.
    planes: [N, P, H, W]; O - M, M (of the luma, or of each channel), then of the luma the range of the witnesses,
    O less the darkest of them and less the brightest, how far their warps can be trusted, 0 to 1, and last the share
    of the excess that looks like rain (`streaks`), 0 to 1: about what the baseline would remove.
    """

    excess: Tensor
    below: Tensor
    planes: Tensor


class Removable(NamedTuple):
    """What may be removed, `excess` and `below` as in `Seen`, and the share of the former that looks like rain."""

    excess: Tensor
    below: Tensor
    share: Tensor


def look(observed: Tensor, witnesses: Tensor, error: Tensor, *, per_channel: bool) -> Seen:
    """Reduce windows to planes: LUMA_PLANES of them, or CHANNEL_PLANES where each channel counts for itself.

    observed: [N, 3, H, W]; witnesses: [N, K, 3, H, W], K at least 1; error: [N, K, H, W], as `types.Aligned` has them;
    all of the size that gates are trained on. A witness whose warp left the picture votes for the observation.
    """
    found = _compared(observed, witnesses, error)
    own, grey = luma(observed), luma(found.middle)
    trust = torch.where(torch.isfinite(error), 1 / (1 + error), 0).mean(1)
    difference = observed - found.middle
    main = (difference, found.middle) if per_channel else (luma(difference)[:, None], grey[:, None])
    ranges = [found.brightest - found.darkest, own - found.darkest, own - found.brightest]
    planes = (
        main[0] * _DIFFERENCE,
        main[1] - 0.5,
        torch.stack(ranges, 1) * _DIFFERENCE,
        trust[:, None],
        _share(own, grey, ranges[0], 1),
    )
    return Seen(difference.clamp(min=0), _below(observed, found), torch.cat(planes, 1))


def judge(observed: Tensor, witnesses: Tensor, error: Tensor, *, shrink: int) -> Removable:
    """The same windows at any size, without the planes. shrink: `streaks.shrink_of` the whole pictures."""
    found = _compared(observed, witnesses, error)
    share = _share(luma(observed), luma(found.middle), found.brightest - found.darkest, shrink)
    return Removable((observed - found.middle).clamp_(min=0), _below(observed, found), share)


class _Compared(NamedTuple):
    """Median and least of the witnesses [N, 3, H, W], the least and the most of their luma [N, H, W]."""

    middle: Tensor
    least: Tensor
    darkest: Tensor
    brightest: Tensor


def _compared(observed: Tensor, witnesses: Tensor, error: Tensor) -> _Compared:
    inside = torch.isfinite(error)
    votes = [
        torch.where(inside[:, k, None], witnesses[:, k], observed) for k in range(witnesses.shape[1])
    ]  # K of [N, 3, H, W]
    brightness = [luma(vote) for vote in votes]
    least, darkest = reduce(torch.minimum, votes), reduce(torch.minimum, brightness)
    return _Compared(median(votes), least, darkest, reduce(torch.maximum, brightness))


def _below(observed: Tensor, found: _Compared) -> Tensor:
    """`Seen.below`. [N, 3, H, W]"""
    return torch.minimum(observed, found.middle).sub_(found.least).clamp_(min=0)


@torch.no_grad()  # a measure of the picture, nothing to learn through
def _share(own: Tensor, grey: Tensor, spread: Tensor, shrink: int) -> Tensor:
    """`share_of_rain` of N windows. [N, 1, H, W]"""
    windows = zip(own, grey, spread, strict=True)
    return torch.stack([share_of_rain(*seen, doubts=_DOUBTS, shrink=shrink) for seen in windows])[:, None]


def luma(rgb: Tensor) -> Tensor:
    """BT.601 luma of [..., 3, H, W]. [..., H, W]"""
    red, green, blue = rgb.unbind(-3)
    return (red * _LUMA[0]).add_(green, alpha=_LUMA[1]).add_(blue, alpha=_LUMA[2])


def median(values: Sequence[Tensor]) -> Tensor:
    """Element-wise median (mean of the middle two for an even count) by exchanges of minimum and maximum.

    torch.median and torch.sort over a stack of four 720p pictures are an order of magnitude slower on a CPU.
    """
    if len(values) == 4:  # the common case in half the steps: drop the smaller low and the larger high of two pairs
        a, b, c, d = values
        low = torch.maximum(torch.minimum(a, b), torch.minimum(c, d))
        high = torch.minimum(torch.maximum(a, b), torch.maximum(c, d))
        return low.add_(high).div_(2)
    ordered = list(values)
    count = len(ordered)
    for done in range(count - 1):
        for i in range(count - 1 - done):
            low = torch.minimum(ordered[i], ordered[i + 1])
            ordered[i + 1] = torch.maximum(ordered[i], ordered[i + 1])
            ordered[i] = low
    middle = count // 2
    return ordered[middle] if count % 2 else (ordered[middle - 1] + ordered[middle]) / 2
