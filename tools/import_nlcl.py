"""Makes one weights file of the checkpoints published with NLCL, after checking that they are what they should be.

    python -m tools.import_nlcl BACK.pth [--rain RAIN.pth] -o FILE
    vidrain clean rainy.mp4 --model nlcl --weights FILE

BACK.pth and RAIN.pth are the state dictionaries of the two generators, 72 tensors each. They are read as data: a file
that would run code is refused. They are not part of vidrain and carry no licence; ask their authors.
"""

import argparse
import hashlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save
from torch import Tensor

from tools.ends import with_exit_code
from vidrain.errors import ModelError, OutputError
from vidrain.weights import check_generator


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a published generator; ModelError for anything else, in one line."""
    if not path.is_file():
        raise ModelError(f"{path}: no such checkpoint; check the path")
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a broken or hostile pickle raises depends on the byte at which it breaks
        said = " ".join(str(error).split())[:120] or type(error).__name__
        raise ModelError(f"{path}: is no checkpoint of tensors alone ({said}); get the published file again") from error
    if not isinstance(found, Mapping) or not all(isinstance(tensor, Tensor) for tensor in found.values()):
        raise ModelError(f"{path}: holds no plain dictionary of tensors; wanted is a published generator")
    # Copies: parts of one storage, or one tensor under two names, could not be saved.
    tensors = {
        str(name): tensor.detach().clone(memory_format=torch.contiguous_format) for name, tensor in found.items()
    }
    check_generator(tensors, str(path))
    return tensors


def import_nlcl(back: Path, rain: Path | None, target: Path) -> None:
    """Write `target`, a safetensors file that says of itself which model it is for. Raises VidrainError."""
    sources = {"back": back} | ({"rain": rain} if rain is not None else {})
    tensors = {
        f"{part}.{name}": tensor for part, path in sources.items() for name, tensor in read_checkpoint(path).items()
    }
    sums = {f"{part}_sha256": hashlib.sha256(path.read_bytes()).hexdigest() for part, path in sources.items()}
    if target.exists():
        raise OutputError(f"{target}: is there already; choose another name or remove it")
    content = save(tensors, metadata={"model": "nlcl", "version": "1", "networks": " ".join(sources), **sums})
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        raise OutputError(f"{target}: cannot be written ({error.strerror})") from error
    finally:
        partial.unlink(missing_ok=True)


@with_exit_code
def main(argv: Sequence[str] | None = None) -> None:
    """Run."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.import_nlcl", description=(__doc__ or "").partition("\n")[0], allow_abbrev=False
    )
    parser.add_argument("back", type=Path, metavar="BACK.pth")
    parser.add_argument("--rain", type=Path, metavar="RAIN.pth", help="the rain network, for model.output=residual")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args(argv)
    import_nlcl(arguments.back, arguments.rain, arguments.output)


if __name__ == "__main__":
    sys.exit(main())
