"""Which device torch computes on: what is asked for against what is here."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch

from vidrain.errors import UsageError

Device = Literal["auto", "cpu", "cuda"]


def device_of(wanted: Device) -> str:
    """The torch device for `wanted`; UsageError for a GPU that is not here."""
    here = torch.cuda.is_available()
    if wanted == "cuda" and not here:
        raise UsageError("--device cuda: torch finds no CUDA device here; use --device auto or cpu")
    return "cuda" if here and wanted != "cpu" else "cpu"


@contextmanager
def computing_with(threads: int) -> Iterator[None]:
    """So many threads of torch on the CPU, and as many as before behind that."""
    before = torch.get_num_threads()
    if threads == before:  # even to set the same fixes more than the number
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
