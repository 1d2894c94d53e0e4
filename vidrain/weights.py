"""Choosing a decomposer by name and reading its weights. Safetensors only: no file that could run code.

Knows nothing of video.
"""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from vidrain.baseline import Baseline, BaselineOptions
from vidrain.errors import ModelError

# What each preset stands for; it chooses the model and nothing else.
PRESETS = {"fast": "baseline", "balanced": "baseline", "quality": "baseline"}
MODELS = ("baseline",)


def load_model(name: str, weights: Path | None, baseline: BaselineOptions) -> Baseline:
    """The decomposer called `name`; ModelError for an unknown name or weights that do not fit it."""
    if name not in MODELS:
        raise ModelError(f"model {name} is not known; allowed: {', '.join(MODELS)}")
    if weights is not None:
        made_for = read_header(weights).get("model", "an unnamed model")
        raise ModelError(f"{weights}: holds weights of {made_for}, but {name} takes none; leave --weights out")
    return Baseline(baseline)


def read_header(weights: Path) -> dict[str, str]:
    """Metadata of a safetensors file; ModelError if it is none."""
    if not weights.is_file():
        raise ModelError(f"{weights}: no such weights file; check the path")
    try:
        with safe_open(str(weights), framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{weights}: is no safetensors file ({error}); other formats are not read") from error
