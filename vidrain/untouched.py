"""Frames that a model failed on: they keep their rain, are told of, and are few, or nothing is cleaned.

Knows nothing of models: layers say so themselves.

    untouched: list[int] = []
    for item in tolerated(layers, total=300, untouched=untouched): ...     # ModelError where more than 1 % failed
    failed_frames(untouched)                                               # the notice of the others
"""

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction

from vidrain.errors import ModelError
from vidrain.events import Notice
from vidrain.types import Layers

_MOST_FAILED = Fraction(1, 100)  # of all frames
_MOST_SHOWN = 8


def tolerated(layers: Iterable[Layers], total: int, untouched: list[int]) -> Iterator[Layers]:
    """Pass `layers` on and note in `untouched` the frames that the model failed on.

    total: frames expected. Raises ModelError where more than 1 % of them failed: such a model cleans nothing.
    """
    for item in layers:
        if item.is_untouched:
            untouched.append(item.frame.index)
            refuse_failing(untouched, total)
        yield item


def refuse_failing(untouched: Sequence[int], total: int) -> None:
    """ModelError where a model failed on more than 1 % of `total` frames."""
    if len(untouched) > _MOST_FAILED * total:
        raise ModelError(
            f"the model gave NaN or infinity for {len(untouched)} of {total} frames, the first is "
            f"{untouched[0]}; allowed: 1 %; take another --model or --weights"
        )


def failed_frames(untouched: Sequence[int]) -> list[Notice]:
    """The notice about frames that the model failed on, if there are any."""
    if not untouched:
        return []
    shown = ", ".join(str(index) for index in untouched[:_MOST_SHOWN]) + (
        ", ..." if len(untouched) > _MOST_SHOWN else ""
    )
    message = f"the model gave NaN or infinity for {len(untouched)} frames ({shown}): they keep their rain"
    return [Notice(code="model", message=message)]
