"""What made a file: one line that is kept in it as a tag, in the report and in the events. No clock, no paths.

    0.1.0 baseline weights=none config=5c1f0e8a9b7d
    0.1.0 gate-s weights=90ab12cd34ef adapted=12ab34cd56ef config=5c1f0e8a9b7d

Version, model, weights and every option that can change a frame or its time; the same options give the same line. How
weights were fitted to the footage is no such option: what became of them has a hash of its own.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from vidrain import __version__
from vidrain.errors import ModelError

TAG = "vidrain"  # key of the line in the tags of a file
_DIGITS = 12  # of SHA-256, in hexadecimal
# Where things lie, how fast they come, and what stands for other keys: model, weights, encode.codec, kept.
_NOT_IN_RESULT = {
    *("rain", "rain_preview", "compare", "force", "device", "preset", "weights", "archive", "start", "end", "stall_s"),
    *("fresh", "adapt", "keep_adapted"),
}


def made_by(model: str, weights: Path | None, options: Mapping[str, object], *, adapted: str | None = None) -> str:
    """The line for a job. options: nested, of plain values; unknown keys count, so that none is forgotten.

    adapted: `hash_of_content` of the weights that were made of `weights` for the footage, None if they are used as they
    are. Raises ModelError if the weights cannot be read.
    """
    used = f"weights={short_hash(weights)}" + (f" adapted={adapted}" if adapted else "")
    return f"{__version__} {model} {used} config={config_hash(options)}"


def hash_of_content(content: bytes) -> str:
    """The first digits of the SHA-256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()[:_DIGITS]


def counted(options: Mapping[str, object]) -> dict[str, object]:
    """What of `options` can change the result."""
    return {key: value for key, value in options.items() if key not in _NOT_IN_RESULT}


def config_hash(options: Mapping[str, object]) -> str:
    """Hash over what of `options` can change the result, whatever their order."""
    text = json.dumps(counted(options), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGITS]


def short_hash(weights: Path | None) -> str:
    """First digits of the SHA-256 of a file of weights, `none` for none. Raises ModelError if it cannot be read."""
    digest = hash_of_file(weights)
    return "none" if digest is None else digest[:_DIGITS]


def sha256_of(path: Path) -> str:
    """SHA-256 of any file in full. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hash_of_file(weights: Path | None) -> str | None:
    """SHA-256 of a file of weights in full; None for none. Raises ModelError if it cannot be read."""
    if weights is None:
        return None
    try:
        if not weights.is_file():
            raise ModelError(f"{weights}: no such weights file; check the path")
        return sha256_of(weights)
    except OSError as error:
        raise ModelError(f"{weights}: cannot be read ({error.strerror}); check its permissions") from error
