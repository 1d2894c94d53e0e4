"""Windows whose truth is told, because their rain was rendered or is settled: learned from as they are, nothing pasted.

Rain pasted on a clean picture has a truth as well, and the same error counts for it.

pair = with_truths(recycle(...), batch)
loss = relative_error(background, pair.target, before, pair.known, is_certain)
"""

import torch
from torch import Tensor

from vidrain.train.data import Batch
from vidrain.train.recycling import Recycled

_FLOOR = 2e-5  # mean square of luma in [0, 1], 47 dB: what is better than that before training need not get better
_STRAY = 0.2  # what an error counts where nothing is known
_SMOOTH = 1e-3  # of a squared ratio: the root has no slope without end


def with_truths(pair: Recycled, batch: Batch) -> Recycled:
    """The pairs with the windows of the batch whose truth is told as they are, and that truth as the target."""
    chosen = batch.is_told[:, None, None, None]
    return Recycled(
        torch.where(chosen, batch.observed, pair.observed),
        torch.where(chosen[:, None], batch.witnesses, pair.witnesses),
        torch.where(chosen, batch.truth, pair.target),
        torch.where(chosen, batch.known > 0, pair.known),
    )


def relative_error(background: Tensor, truth: Tensor, before: Tensor, known: Tensor, counted: Tensor) -> Tensor:
    """Mean over the windows that count of the root of |B - T|^2 / (|B0 - T|^2 + floor), B0 before training; 0 for none.

    background, truth, before: [N, 1, H, W] in [0, 1]; known: [N, 1, H, W] bool; counted: [N] bool. Where the truth is
    not known, as where the neighbours of a real frame do not agree, what is taken beyond B0 is a fifth of an error:
    else what is learned where they do agree is let loose on all that moves. Every window counts alike, whether its rain
    is heavy or there is none: a mean of errors would be all heavy rain, and one of decibels all dry pictures.
    """
    before = before.detach()
    strayed = _STRAY * (before - background).clamp(min=0).square()
    error = torch.where(known, (background - truth).square(), strayed).mean((1, 2, 3))
    beforehand = ((before - truth).square() * known).mean((1, 2, 3))
    ratio = (error / (beforehand + _FLOOR) + _SMOOTH).sqrt()
    return (ratio * counted).sum() / counted.sum().clamp(min=1)
