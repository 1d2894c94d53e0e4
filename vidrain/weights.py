"""Choosing a model by name and reading its weights. Safetensors only: no file that could run code.

Knows nothing of video.

    model = load_model("nlcl", weights=Path("nlcl.safetensors"), statistics="frozen")
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, overload

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from vidrain.baseline import Baseline, BaselineOptions
from vidrain.decompose import Decomposer
from vidrain.errors import ModelError
from vidrain.model.nlcl import Generator, Nlcl, NlclDecomposer, NlclOptions, Statistics

# What each preset stands for; it chooses the model and nothing else.
PRESETS = {"fast": "baseline", "balanced": "baseline", "quality": "baseline"}
MODELS = ("baseline", "nlcl")


@overload
def load_model(name: Literal["nlcl"], weights: str | Path | None, *, statistics: Statistics = ...) -> Nlcl: ...
@overload
def load_model(
    name: str,
    weights: str | Path | None = ...,
    baseline: BaselineOptions | None = ...,
    *,
    statistics: Statistics = ...,
) -> Baseline | Nlcl: ...
def load_model(
    name: str,
    weights: str | Path | None = None,
    baseline: BaselineOptions | None = None,
    *,
    statistics: Statistics = "live",
) -> Baseline | Nlcl:
    """The model called `name`; ModelError for an unknown name or weights that do not fit it.

    `baseline` is a decomposer of aligned windows, with options of its own. `nlcl` maps pictures to backgrounds;
    `statistics` are those of its instance norms (`vidrain.model.nlcl`), its weights are made by tools/import_nlcl.py.
    """
    path = None if weights is None else Path(weights)
    if name not in MODELS:
        raise ModelError(f"model {name} is not known; allowed: {', '.join(MODELS)}")
    if name == "nlcl":
        return _load_nlcl(path, statistics)
    if path is not None:
        made_for = read_header(path).get("model", "an unnamed model")
        raise ModelError(f"{path}: holds weights of {made_for}, but {name} takes none; leave --weights out")
    return Baseline(baseline or BaselineOptions())


def load_decomposer(name: str, weights: Path | None, *, baseline: BaselineOptions, nlcl: NlclOptions) -> Decomposer:
    """The model called `name`, ready for `decompose`; ModelError as `load_model`."""
    model = load_model(name, weights, baseline)
    if isinstance(model, Baseline):
        return model
    if nlcl.output == "residual" and model.rain is None:
        raise ModelError(f"{weights}: holds no rain network; import it with --rain, or use model.output=back")
    return NlclDecomposer(model, nlcl)


def read_header(weights: Path) -> dict[str, str]:
    """Metadata of a safetensors file; ModelError if it is none."""
    return _read(weights, tensors=False)[0]


def check_generator(tensors: Mapping[str, Tensor], where: str) -> None:
    """ModelError unless these are the tensors of one published generator: names, shapes, float32, finite."""
    expected = {name: tuple(tensor.shape) for name, tensor in _blank().state_dict().items()}
    if missing := sorted(expected.keys() - tensors.keys()):
        raise ModelError(f"{where}: lacks {missing[0]} ({len(missing)} of {len(expected)} tensors missing); {_WANTED}")
    if unknown := sorted(tensors.keys() - expected.keys()):
        raise ModelError(f"{where}: holds {unknown[0]}, which no NLCL generator has; {_WANTED}")
    for name, shape in expected.items():
        found = tensors[name]
        if (found.dtype, tuple(found.shape)) != (torch.float32, shape):
            kind = f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
            raise ModelError(f"{where}: {name} is {kind}, not float32 {list(shape)}; {_WANTED}")
        if not bool(torch.isfinite(found).all()):
            raise ModelError(f"{where}: {name} holds values that are not finite; get the file again")


_WANTED = "wanted is a published generator, tools/import_nlcl.py reads it"


def _load_nlcl(weights: Path | None, statistics: Statistics) -> Nlcl:
    if statistics not in ("live", "frozen"):
        raise ModelError(f"statistics {statistics}: allowed: live, frozen")
    if weights is None:
        raise ModelError(
            "model nlcl needs its published weights; import them with tools/import_nlcl.py, then --weights"
        )
    header, tensors = _read(weights, tensors=True)
    if header.get("model") != "nlcl":
        raise ModelError(
            f"{weights}: holds weights of {header.get('model', 'an unnamed model')}, not of nlcl; {_WANTED}"
        )
    parts: dict[str, dict[str, Tensor]] = {"back": {}, "rain": {}}
    for name, tensor in tensors.items():
        part, _, own = name.partition(".")
        if part not in parts:
            raise ModelError(f"{weights}: holds {name}, which is of neither back nor rain; {_WANTED}")
        parts[part][own] = tensor
    rain = _generator(parts["rain"], f"{weights}: rain") if parts["rain"] else None
    return Nlcl(_generator(parts["back"], f"{weights}: back"), rain, statistics=statistics).eval()


def _generator(tensors: Mapping[str, Tensor], where: str) -> Generator:
    check_generator(tensors, where)
    generator = _blank()
    generator.load_state_dict(dict(tensors), assign=True)
    return generator.requires_grad_(False)


def _blank() -> Generator:
    """A generator without values: no random numbers are drawn for what is overwritten anyway."""
    with torch.device("meta"):
        return Generator()


def _read(weights: Path, *, tensors: bool) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata of a safetensors file and, if asked for, what is in it."""
    if not weights.is_file():
        raise ModelError(f"{weights}: no such weights file; check the path")
    try:
        with safe_open(str(weights), framework="pt") as file:
            names = file.keys() if tensors else ()
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        said = " ".join(str(error).split())
        raise ModelError(f"{weights}: is no safetensors file ({said}); other formats are not read") from error
