"""Random checkpoints with the names and shapes of those published with NLCL, written down here once more."""

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

SHAPES = {
    "gen.0.weight": (32, 3, 3, 3),
    "gen.0.bias": (32,),
    **{
        f"gen.{block}.model.{half}.conv.{kind}": shape
        for block in range(1, 17)
        for half in (0, 1)
        for kind, shape in (("weight", (32, 32, 3, 3)), ("bias", (32,)))
    },
    "gen.17.conv.0.weight": (32, 32, 3, 3),
    "gen.17.conv.0.bias": (32,),
    "gen.17.conv.3.weight": (32, 32, 3, 3),
    "gen.17.conv.3.bias": (32,),
    "gen.18.weight": (3, 32, 3, 3),
    "gen.18.bias": (3,),
}


def checkpoint(seed: int) -> dict[str, Tensor]:
    """A state dictionary whose network neither dies nor saturates: values of the size of PyTorch's own start."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: (torch.rand(shape, generator=generator) * 2 - 1) * (0.19 if shape[1:2] == (3,) else 0.06)
        for name, shape in SHAPES.items()
    }


def weights_file(path: Path, *, rain: bool = False) -> Path:
    """A weights file as tools/import_nlcl.py writes it, of checkpoint 1 (back) and, if asked for, 2 (rain)."""
    parts = {"back": checkpoint(1)} | ({"rain": checkpoint(2)} if rain else {})
    tensors = {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
    save_file(tensors, path, metadata={"model": "nlcl"})
    return path
