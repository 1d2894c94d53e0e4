"""Configuration at the edge: defaults < file < key=value < options of the command line, then plain dataclasses.

The only user of OmegaConf. Configuration files are data: interpolations, which could read the environment, are
refused.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError  # the reader inside OmegaConf

from vidrain.errors import UsageError
from vidrain.job import CleanOptions

_NULL = ("null", "none", "~")


def load_clean(path: Path | None, pairs: Sequence[str], given: Mapping[str, Any]) -> CleanOptions:
    """Options for cleaning one video.

    path: YAML file or None; pairs: texts such as `encode.crf=20`; given: dotted key -> value from options of the
    command line, None where an option was not used. Raises UsageError, with the nearest key for a misspelt one.
    """
    config = OmegaConf.structured(CleanOptions)
    if path is not None:
        config = _merged(config, path)
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"{pair}: is neither an option nor key=value, such as encode.crf=20")
        config = _set(config, key, None if value.lower() in _NULL else value)
    for key, value in given.items():
        if value is not None:
            config = _set(config, key, value)
    try:
        return cast(CleanOptions, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        raise UsageError(_line(error)) from error


def _merged(config: DictConfig, path: Path) -> DictConfig:
    try:
        loaded = OmegaConf.load(path)
        if "${" in OmegaConf.to_yaml(loaded, resolve=False):
            raise UsageError(f"{path}: holds an interpolation (${{...}}); write the value itself")
        return cast(DictConfig, OmegaConf.merge(config, loaded))
    except OSError as error:
        raise UsageError(f"{path}: the configuration cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no YAML file (not even text)") from error
    except YAMLError as error:
        raise UsageError(f"{path}: is no YAML file: {' '.join(str(error).split())}") from error
    except OmegaConfBaseException as error:
        raise UsageError(f"{path}: {_line(error)}") from error


def _set(config: DictConfig, key: str, value: object) -> DictConfig:
    """Set one dotted key. A text is converted by the type of the field, not guessed as YAML would."""
    nested: object = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    try:
        return cast(DictConfig, OmegaConf.merge(config, nested))
    except OmegaConfBaseException as error:
        raise UsageError(f"{key}={value}: {_line(error)}") from error


def _line(error: BaseException) -> str:
    """What OmegaConf has to say, without the dump of its own state."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("full_key", "object_type", "reference_type"))]
    return "; ".join(said)
