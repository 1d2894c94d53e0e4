"""Which device torch computes on: what is asked for against what is here."""

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
