"""Luma in fixed point: what pictures are aligned and ranked in, in half the memory and a third of the time of float32.

Never negative, so that what reads it as unsigned sees the same numbers: black has room below it for the codes there,
white above. A step is a 37th of a code of 8 bits. What is compared lies there; what is computed from it is float32.

    kept = fixed(luma)               # int16
    floats(kept)                     # luma again, nominally in [0, 1]
    lengths(kept[1] - kept[0])       # of what has no zero of its own

Floats go through unchanged, so that arithmetic on either is written once.
"""

from typing import NamedTuple

import torch
from torch import Tensor

STEPS = 8192  # from black to white
BLACK = 2048
MOST = (1 << 14) - 1  # far above white: sums of two fit


class Unit(NamedTuple):
    """What luma is counted in: white itself, and how far that is from black."""

    white: float
    range: float


def unit_of(luma: Tensor) -> Unit:
    """The unit of luma in fixed point, or of floats."""
    return Unit(1.0, 1.0) if luma.is_floating_point() else Unit(BLACK + STEPS, STEPS)


def fixed(luma: Tensor) -> Tensor:
    """Luma, nominally in [0, 1], float32, as int16; what lies far outside of that is cut off."""
    return (luma * STEPS).add_(BLACK).round_().clamp_(0, MOST).to(torch.int16)


def floats(luma: Tensor) -> Tensor:
    """Luma in fixed point as float32, nominally in [0, 1]."""
    return luma if luma.is_floating_point() else luma.float().sub_(BLACK).div_(STEPS)


def lengths(differences: Tensor) -> Tensor:
    """Differences of luma in fixed point as float32, 1 from black to white."""
    return differences if differences.is_floating_point() else differences.float().div_(STEPS)
