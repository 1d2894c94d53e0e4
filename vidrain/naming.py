"""Names of what lies beside a video: of what is half-made, and of what belongs to it; as long as file systems allow."""

import hashlib
import os
from pathlib import Path

LONGEST_NAME = 255  # bytes, on every common file system
_LONGER = len("..new")  # of a file that is put down all at once, until it is whole
_DIGITS = 12  # of a hash that tells shortened names apart


def partial_of(target: Path, suffix: str | None = None) -> Path:
    """Where `target` is written until it is finished: hidden, beside it. suffix: by default that of the target."""
    name = f".{target.name}.partial{target.suffix if suffix is None else suffix}"
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()}.partial"
    return target.with_name(name)


def receipt_beside(target: Path) -> Path:
    """Where it is put down that `target` gets its name: hidden, beside it; what is written first has a longer name."""
    name = f".{target.name}.done"
    if len(os.fsencode(name)) + _LONGER > LONGEST_NAME:
        name = f".{hashlib.sha256(os.fsencode(target.name)).hexdigest()}.done"
    return target.with_name(name)


def beside(source: Path, ending: str) -> Path:
    """`NAME` and `ending` beside `source`, NAME being its own without suffix.

    Where no file could be called so, NAME is shortened and ends with a hash, so that two of them differ.
    """
    name = source.stem + ending
    if len(os.fsencode(name)) > LONGEST_NAME:
        ending = f".{hashlib.sha256(os.fsencode(name)).hexdigest()[:_DIGITS]}{ending}"
        room = LONGEST_NAME - len(os.fsencode(ending))
        name = os.fsencode(source.stem)[:room].decode(errors="ignore") + ending
    return source.with_name(name)
