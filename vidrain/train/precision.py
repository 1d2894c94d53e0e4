"""Computes in float32 what autocast would compute in 16 bits."""

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
Found = TypeVar("Found")


def in_full_precision(function: Callable[P, Found]) -> Callable[P, Found]:
    """Compute `function` outside of autocast, 16-bit tensors as float32: sums of many small squares need it."""

    @wraps(function)
    def computed(*args: P.args, **named: P.kwargs) -> Found:
        every: list[Any] = [*args, *named.values()]
        device = next(value.device.type for value in every if isinstance(value, Tensor))
        with torch.autocast(device, enabled=False):
            wide: Any = [_widened(value) for value in args]
            wide_named: Any = {name: _widened(value) for name, value in named.items()}
            return function(*wide, **wide_named)

    return computed


def _widened(value: object) -> object:
    is_narrow = isinstance(value, Tensor) and value.dtype in (torch.float16, torch.bfloat16)
    return value.float() if is_narrow else value  # type: ignore[attr-defined]
