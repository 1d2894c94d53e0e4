"""Choosing a model by name, reading its weights and writing them. Safetensors only: no file that could run code.

Knows nothing of video. The head of a file of weights of a gate says what they are for: `model`, `config` (JSON),
`version` of the planes they were trained on, and `hash` over the tensors; where another gate takes the rain off first
also `first`, the hash of its weights: with no others they are used, so a file stands for all that a model does, but for
what a baseline before it does by default. Weights that were fitted to footage say besides how, under `adapted` (JSON).

    model = load_model("nlcl", weights=Path("nlcl.safetensors"), statistics="frozen")
    decomposer = load_model("gate-s", weights="gate-s.safetensors")
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, overload

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from vidrain.baseline import Baseline, BaselineOptions
from vidrain.errors import ModelError
from vidrain.model.gate import CONFIGS, Gate, GateDecomposer, GateOptions
from vidrain.model.nlcl import Generator, Nlcl, NlclDecomposer, NlclOptions, Statistics
from vidrain.types import Decomposer

# What each preset stands for; it chooses the model and nothing else.
PRESETS = {"fast": "baseline", "balanced": "gate-m", "quality": "gate-l"}
MODELS = ("baseline", "nlcl", *CONFIGS)

_SHIPPED = Path(__file__).with_name("shipped")
_USUAL = GateOptions()
_VERSION = "7"  # of `model.planes.look` and `Gate` together: other planes make other weights


@dataclass(frozen=True)
class ModelOptions:
    """Settings of every kind of model; those of the one that is chosen count."""

    baseline: BaselineOptions = field(default_factory=BaselineOptions)
    gate: GateOptions = field(default_factory=GateOptions)
    nlcl: NlclOptions = field(default_factory=NlclOptions)


@overload
def load_model(name: Literal["nlcl"], weights: str | Path | None, *, statistics: Statistics = ...) -> Nlcl: ...
@overload
def load_model(
    name: str,
    weights: str | Path | None = ...,
    baseline: BaselineOptions | None = ...,
    *,
    statistics: Statistics = ...,
) -> Baseline | GateDecomposer | Nlcl: ...
def load_model(
    name: str,
    weights: str | Path | None = None,
    baseline: BaselineOptions | None = None,
    *,
    statistics: Statistics = "live",
) -> Baseline | GateDecomposer | Nlcl:
    """The model called `name`; ModelError for an unknown name or weights that do not fit it.

    `baseline` is a decomposer of aligned windows, with options of its own; so are the gates, whose weights are made by
    `vidrain train`. `nlcl` maps pictures to backgrounds; `statistics` are those of its instance norms
    (`vidrain.model.nlcl`), its weights are made by tools/import_nlcl.py.
    """
    path = None if weights is None else Path(weights)
    if name not in MODELS:
        raise ModelError(f"model {name} is not known; allowed: {', '.join(MODELS)}")
    if name == "nlcl":
        return _load_nlcl(path, statistics)
    if name in CONFIGS:
        return _decomposer(_load_gate(name, path))
    if path is not None:
        made_for = read_header(path).get("model", "an unnamed model")
        raise ModelError(f"{path}: holds weights of {made_for}, but {name} takes none; leave --weights out")
    return Baseline(baseline or BaselineOptions())


def _decomposer(net: Gate, options: GateOptions = _USUAL) -> GateDecomposer:
    return GateDecomposer(net, first=pass_before(net.config.first, options), options=options)


def pass_before(name: str | None, options: GateOptions = _USUAL) -> Decomposer | None:
    """The model called `name` as it comes with vidrain, to take the rain off neighbours; None for None.

    A gate leans to no side there, whatever its `strength`: 0.3 dB more gain on a clip of a moving camera than at 1.15.
    One that has a pass before itself is a ValueError: training knows of a single one.
    """
    if name is None:
        return None
    if name == "baseline":
        return Baseline(BaselineOptions())
    net = _load_gate(name, None)
    if net.config.first is not None:
        raise ValueError(f"{name} has a pass before itself, and cannot be one")
    net.strength.fill_(1)
    return _decomposer(net, options)


def first_hash(name: str) -> str | None:
    """Hash of the weights behind which the gate called `name` works; None where it is the first, or they are none."""
    first = CONFIGS[name].first
    path = None if first is None else weights_of(first, None)
    return None if path is None else read_header(path)["hash"]


def load_decomposer(name: str, weights: Path | None, options: ModelOptions) -> Decomposer:
    """The model called `name`, ready for `decompose`; ModelError as `load_model`."""
    if name in CONFIGS:
        return _decomposer(_load_gate(name, weights), options.gate)
    model = load_model(name, weights, options.baseline)
    if not isinstance(model, Nlcl):
        return model
    if options.nlcl.output == "residual" and model.rain is None:
        raise ModelError(f"{weights}: holds no rain network; import it with --rain, or use model.output=back")
    return NlclDecomposer(model, options.nlcl)


def weights_of(name: str, weights: Path | None) -> Path | None:
    """The file of weights that the model called `name` uses: the one given, else the one that comes with vidrain.

    None where the model has none, and where there is none of its own: loading it tells which.
    """
    own = _SHIPPED / f"{name}.safetensors"
    return own if weights is None and own.is_file() else weights


def read_header(weights: Path) -> dict[str, str]:
    """Metadata of a safetensors file; ModelError if it is none."""
    return _read(weights, tensors=False)[0]


def check_generator(tensors: Mapping[str, Tensor], where: str) -> None:
    """ModelError unless these are the tensors of one published generator: names, shapes, float32, finite."""
    _require(tensors, _blank().state_dict(), where, "no NLCL generator has", _WANTED)


def packed_gate(name: str, tensors: Mapping[str, Tensor], said: Mapping[str, str] | None = None) -> bytes:
    """The content of a file of weights of the gate called `name`, ready to be written. said: more for its head."""
    held = {key: tensor.detach().cpu().contiguous() for key, tensor in sorted(tensors.items())}
    head = {"model": name, "config": _config_of(name), "version": _VERSION, "hash": hash_of(held), **(said or {})}
    if (first := first_hash(name)) is not None:
        head["first"] = first
    return _in_order(save(held, head))


def packed_nlcl(back: Mapping[str, Tensor]) -> bytes:
    """The content of a file of weights of nlcl with these tensors as its background network."""
    return _in_order(save({f"back.{name}": tensor.contiguous() for name, tensor in back.items()}, {"model": "nlcl"}))


def hash_of(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and values, in the order of the names."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _in_order(file: bytes) -> bytes:
    """The same safetensors file with its head sorted: the library writes the metadata in any order."""
    length = int.from_bytes(file[:8], "little")
    head = json.dumps(json.loads(file[8 : 8 + length]), sort_keys=True).encode()
    head += b" " * (-len(head) % 8)
    return len(head).to_bytes(8, "little") + head + file[8 + length :]


def _config_of(name: str) -> str:
    return json.dumps(asdict(CONFIGS[name]), sort_keys=True)


def _load_gate(name: str, weights: Path | None) -> Gate:
    weights = weights_of(name, weights)
    if weights is None:
        raise ModelError(f"model {name} needs weights; train some with vidrain train, then name them by --weights")
    header, tensors = _read(weights, tensors=True)
    if (found := header.get("model", "an unnamed model")) != name:
        raise ModelError(f"{weights}: holds weights of {found}, not of {name}; choose --model {found} or other weights")
    if (header.get("version"), header.get("config")) != (_VERSION, _config_of(name)):
        version = f"version {header.get('version')}, wanted {_VERSION}"
        raise ModelError(f"{weights}: was made for another {name} ({version}); train it again")
    if header.get("first") != (due := first_hash(name)):
        found, wanted = (str(which)[:12] for which in (header.get("first"), due))
        behind = f"another {CONFIGS[name].first} ({found}, here {wanted})"
        raise ModelError(f"{weights}: works behind {behind}; train it again")
    with torch.device("meta"):  # no random numbers are drawn for what is overwritten anyway
        net = Gate(CONFIGS[name])
    _require(tensors, net.state_dict(), str(weights), "its model does not have", "get the file again")
    if hash_of(tensors) != header.get("hash"):
        raise ModelError(f"{weights}: its values are not those that were saved; get the file again")
    net.load_state_dict(tensors, assign=True)
    return net


def _require(
    tensors: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str, unknown_is: str, advice: str
) -> None:
    """ModelError unless names and shapes are those of `wanted`, all float32 and finite."""
    if missing := sorted(wanted.keys() - tensors.keys()):
        raise ModelError(f"{where}: lacks {missing[0]} ({len(missing)} of {len(wanted)} tensors missing); {advice}")
    if unknown := sorted(tensors.keys() - wanted.keys()):
        raise ModelError(f"{where}: holds {unknown[0]}, which {unknown_is}; {advice}")
    for name, tensor in wanted.items():
        found = tensors[name]
        if (found.dtype, found.shape) != (torch.float32, tensor.shape):
            kind = f"{str(found.dtype).removeprefix('torch.')} {list(found.shape)}"
            raise ModelError(f"{where}: {name} is {kind}, not float32 {list(tensor.shape)}; {advice}")
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
    try:
        if not weights.is_file():
            raise ModelError(f"{weights}: no such weights file; check the path")
        with safe_open(str(weights), framework="pt") as file:
            names = file.keys() if tensors else ()
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError) as error:
        said = " ".join(str(error).split())
        raise ModelError(f"{weights}: is no safetensors file ({said}); other formats are not read") from error
