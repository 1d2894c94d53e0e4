"""The folder of a run: its checkpoint, its curve, and what ran.

A checkpoint holds all that the next step needs: networks, optimizers, and the number of steps done, from which every
draw and every batch follow. It is replaced in one step, never half-written.
"""

import io
import json
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from time import time
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from vidrain import __version__
from vidrain.errors import InputError, OutputError, UsageError
from vidrain.outputs import claimed
from vidrain.weights import first_hash

_NAME = "checkpoint.pt"
_VERSION = 1
# Settings that change how a run goes, not what comes out (a GPU and other numbers of threads: but for rounding).
_FREE = ("device", "threads", "checkpoint_every", "preview_every")


@dataclass(frozen=True)
class State:
    """Everything of a run that changes from step to step, by name."""

    nets: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]


@contextmanager
def run_folder(run_dir: Path) -> Iterator[None]:
    """Make the folder of a run where it is not there yet; OutputError if it, or anything in it, cannot be written."""
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        where = error.filename or run_dir
        raise OutputError(
            f"{where}: cannot be written ({error.strerror}); check space and rights, or choose another -o"
        ) from error


def save_state(run_dir: Path, state: State, config: Any, step: int) -> None:
    """Write the checkpoint after `step` steps. config: the dataclass of the run's settings. Raises OutputError."""
    content = {
        "version": _VERSION,
        "settings": json.dumps(_settings(config), sort_keys=True),
        "step": step,
        "nets": {name: net.state_dict() for name, net in state.nets.items()},
        "optimizers": {name: optimizer.state_dict() for name, optimizer in state.optimizers.items()},
    }
    packed = io.BytesIO()
    torch.save(content, packed)
    with claimed(run_dir / _NAME, force=True) as claim:
        claim.partial.write_bytes(packed.getbuffer())
        claim.publish()


def load_state(run_dir: Path, state: State, config: Any) -> int:
    """Put the checkpoint of `run_dir` into `state`; returns the steps done, 0 without a checkpoint.

    Raises UsageError for a run of other settings, InputError for a file that is no checkpoint of this version.
    """
    path = run_dir / _NAME
    if not path.exists():
        return 0
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        if content["version"] != _VERSION:
            raise ValueError(f"version {content['version']}")
        _refuse_other_settings(run_dir, json.loads(content["settings"]), _settings(config))
        for name, net in state.nets.items():
            net.load_state_dict(content["nets"][name])
        for name, optimizer in state.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][name])
        return int(content["step"])
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, LookupError, TypeError, ValueError) as error:
        said = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: is no checkpoint of this version ({said}); choose another -o") from error


def _refuse_other_settings(run_dir: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for key in sorted(before.keys() | now.keys()):
        if key not in _FREE and before.get(key) != now.get(key):
            found = f"{key}={now.get(key)}, but the run there has {key}={before.get(key)}"
            raise UsageError(f"{run_dir}: {found}; go on with its config.yaml, or choose another -o")


def _settings(config: Any) -> dict[str, Any]:
    """Settings by dotted keys, and `first`: the weights that take the rain off what is learned from."""
    return _flat(asdict(config)) | {"first": first_hash(config.model)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings with dotted keys, tuples as lists."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found


class Curve:
    """One JSON object a line for every step. Lines after `first` steps, of a run that was cut off, are dropped."""

    def __init__(self, path: Path, first: int) -> None:
        self._path = path
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._recent: deque[dict[str, float]] = deque(maxlen=1000)
        with path.open("w", encoding="utf-8") as file:
            for line in lines[:first]:
                self._recent.append(json.loads(line))
                file.write(f"{line}\n")

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add the numbers of one step, and the time."""
        row = {"step": step, "time": round(time(), 3), **numbers}
        self._recent.append(row)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def mean(self, name: str, steps: int) -> float:
        """Mean of a number over the last steps."""
        return fmean(row[name] for row in list(self._recent)[-steps:])


def describe(run_dir: Path, config: Any, device: torch.device) -> None:
    """Write all settings to config.yaml (JSON is YAML), and what runs to run.json."""
    for name, content in (("config.yaml", asdict(config)), ("run.json", _facts(device))):
        (run_dir / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _facts(device: torch.device) -> dict[str, Any]:
    """Versions, device, and the commit of a checkout."""
    return {
        "vidrain": __version__,
        "commit": _commit(),
        "torch": torch.__version__,
        "python": sys.version.split()[0],
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
        "threads": torch.get_num_threads(),
    }


def _commit() -> str | None:
    """The commit of the checkout this file lies in, with a + if files differ from it; None without one, or git."""
    here = Path(__file__).parent
    try:
        head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True)
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout.strip() else "")
