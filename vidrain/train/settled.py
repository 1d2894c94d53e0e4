"""What a frame of real rain holds without the rain, told by many of its neighbours where they agree.

A streak is at a place for one frame or two. Ten frames on each side, aligned, outvote it wherever they agree on what
stands behind: what exceeds their median there, and lies in a steep line, is rain, and the median is the truth. Where
they do not agree (something moves, water glitters, the flow went astray), and where something bright is no line,
nothing is known. A network that sees but the nearest of these frames learns from it what real streaks look like.

    truth = settled(aligned)    # of a window of reach_of(NEIGHBOURS) frames on each side
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from vidrain.fixed import floats
from vidrain.model.planes import error_at
from vidrain.model.streaks import along_lines
from vidrain.types import Aligned

NEIGHBOURS = 10  # wanted on each side
_FARTHEST = 2.0  # pixels of forward-backward error, beyond which a neighbour has no vote
_LEAST = 10  # votes
_UNREST = 4 / 255  # mean deviation of the votes of luma in [0, 1], up to which they agree
_NOISE = 2.0  # such deviations, and as many levels again, above which something is there
_LINE = 0.6  # of that, which the mean along a line has to reach,
_LONG = 0.35  # and of the place itself: a bright dot of two rows makes a mean of a quarter


class Truth(NamedTuple):
    """background: [1, H, W], the observation where nothing is known; known: [1, H, W], 1.0 where it is, else 0."""

    background: Tensor
    known: Tensor


def settled(aligned: Aligned) -> Truth:
    """The frame of a window without its rain, as filmed neighbours tell it; unlike a restorer it may look at many.

    The deviation is the median one, which a streak in one of the votes does not move.
    """
    observed, votes = floats(aligned.observed), error_at(aligned, aligned.observed.shape) < _FARTHEST
    if not len(votes):
        return Truth(observed, torch.zeros_like(observed))
    nothing = torch.full((), torch.nan)
    bright = torch.where(votes, floats(aligned.witnesses[:, 0]), nothing)
    middle = bright.nanmedian(0).values
    deviation = (bright - middle).abs().nanmedian(0).values
    excess = observed[0] - middle
    limit = _NOISE * deviation + _UNREST
    agreed = (votes.sum(0) >= _LEAST) & (deviation < _UNREST)
    there = (excess > limit) & agreed
    line = along_lines(excess.nan_to_num(0).clamp(min=0))
    rain = there & (line > _LINE * limit) & (line > _LONG * excess)
    known = agreed & ~_grown(there & ~rain)
    taken = _grown(rain & known) & known  # the soft edge of a streak is below the limit
    return Truth(torch.where(taken, torch.minimum(observed, middle), observed), known[None].to(observed))


def _grown(places: Tensor) -> Tensor:
    """The places [H, W] and all that touch them."""
    return functional.max_pool2d(places[None, None].float(), 3, 1, 1)[0, 0] > 0
