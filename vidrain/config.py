"""Configuration at the edge: defaults < file < key=value < options of the command line, then plain dataclasses.

The only user of OmegaConf. Values are texts and are converted by the type of their field, never guessed: YAML would
make `no` of a preset False, and 1:02 of a start 62. Configuration is data: interpolations, which could read the
environment, are refused.
"""

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import yaml  # the reader inside OmegaConf
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from vidrain.bench import plan as bench_plan
from vidrain.errors import UsageError
from vidrain.evaluation.methods import INPUT, RESULTS, Method
from vidrain.evaluation.plan import EvalOptions
from vidrain.job import CleanOptions
from vidrain.model.gate import CONFIGS
from vidrain.rain.plan import RainOptions
from vidrain.train.loop import TrainConfig
from vidrain.weights import MODELS, PRESETS

_NULL = ("null", "~", "")
_INTERPOLATION = "${"
_OF_THE_MODEL = "model."  # model.output=back sets output of the model that is chosen, whichever it is: nlcl.output
_DEEPEST = 3  # encode.options.KEY; an anchor inside itself would go on for ever
_EXAMPLES = {
    CleanOptions: "encode.crf=20; one INPUT at a time, and the output is named with -o",
    TrainConfig: "steps=500",
    RainOptions: "camera.view=90",
    EvalOptions: "every=6",
}
# Keys that hold several values.
_LISTS = (
    *("rainy", "clean", "rendered", "strides"),
    *("methods", "use", "truth", "clips", "names", "still", "overlays"),
)
_NUMBERS = ".strides"  # of these lists the one that names no files: brackets around it are those of YAML
_MEASURED = "|".join(map(re.escape, (*bench_plan.METHODS, bench_plan.PUBLISHED, *MODELS)))
_NEXT_METHOD = re.compile(rf",(?=\s*(?:[^=:,]+:\s*)?(?:{_MEASURED})(?:[=,\s]|$))")
_LABEL = re.compile(r"([^=:]+):(.*)", re.DOTALL)  # of a method, before what it is


def load_clean(path: Path | None, pairs: Sequence[str], given: Mapping[str, Any]) -> CleanOptions:
    """Options for cleaning one video.

    path: YAML file or None; pairs: texts such as `encode.crf=20`, where `model.KEY` is KEY of the model that is chosen;
    given: dotted key -> value from options of the command line, None where an option was not used. Raises UsageError,
    with the nearest key for a misspelt one.
    """
    return cast(CleanOptions, _loaded(CleanOptions, path, pairs, given))


def clean_from(settings: Mapping[str, Any]) -> CleanOptions:
    """Options from what `asdict` made of them, paths as texts: how they travel to another process."""
    try:
        return cast(
            CleanOptions, OmegaConf.to_object(_merged(OmegaConf.structured(CleanOptions), settings, "settings"))
        )
    except OmegaConfBaseException as error:
        raise UsageError(_line(error)) from error


def plain(options: CleanOptions) -> dict[str, Any]:
    """Options as they travel, for `clean_from`: nested, plain, paths absolute so that they mean the same elsewhere."""

    def absolute(value: object) -> str:
        return str(Path(str(value)).absolute())

    found: dict[str, Any] = json.loads(json.dumps(asdict(options), default=absolute))
    return found


def load_train(path: Path | None, pairs: Sequence[str]) -> TrainConfig:
    """Settings of a training run, from the same sources; several values of one key are separated by commas."""
    return cast(TrainConfig, _loaded(TrainConfig, path, pairs, {}))


def load_rain(path: Path | None, pairs: Sequence[str], given: Mapping[str, Any]) -> RainOptions:
    """Options for rendering rain, from the same sources as those of `load_clean`."""
    return cast(RainOptions, _loaded(RainOptions, path, pairs, given))


def load_eval(path: Path | None, pairs: Sequence[str], given: Mapping[str, Any]) -> EvalOptions:
    """Options of a benchmark, from the same sources as those of `load_clean`."""
    return cast(EvalOptions, _loaded(EvalOptions, path, pairs, given))


def load_methods(texts: Sequence[str]) -> list[Method]:
    """Methods of a benchmark from texts such as `baseline baseline.passes=2`, `new:gate-s=FILE adapt.steps=100`.

    Each is `[LABEL:]MODEL[=WEIGHTS]`, `input` or `results=FOLDER`, and behind it settings as `vidrain clean` takes
    them. Raises UsageError.
    """
    return [_method(text) for text in texts]


def methods_in(text: str) -> list[str]:
    """Methods of a benchmark of speed with commas between them; one that no known name follows belongs to a path."""
    return _NEXT_METHOD.split(text)


def load_bench_methods(texts: Sequence[str]) -> tuple[bench_plan.Method, ...]:
    """Methods of a benchmark of speed: `[LABEL:]NAME[=WEIGHTS]`, settings of `vidrain clean` behind it.

    NAME is passthrough, published, a preset or a model. Raises UsageError.
    """
    return tuple(_bench_method(text) for text in texts)


def _bench_method(text: str) -> bench_plan.Method:
    label, name, place, settings = _words(text, f"NAME[=WEIGHTS], {bench_plan.PASSTHROUGH} or {bench_plan.PUBLISHED}")
    shown = label or " ".join([name, *settings])
    if name in (bench_plan.PASSTHROUGH, bench_plan.PUBLISHED):
        if settings or place:
            raise UsageError(f"--method {text!r}: {name} has neither weights nor settings")
        return bench_plan.Method(shown, name)
    if name not in (*PRESETS, *MODELS):
        allowed = ", ".join((*bench_plan.METHODS, bench_plan.PUBLISHED, *MODELS))
        raise UsageError(f"--method {text!r}: {name} is not known; allowed: {allowed}")
    chosen: dict[str, Any] = {"preset" if name in PRESETS else "model": name, "weights": Path(place) if place else None}
    return bench_plan.Method(shown, name, load_clean(None, settings, chosen), tuple(settings))


def _words(text: str, wanted: str) -> tuple[str | None, str, str, list[str]]:
    """`[LABEL:]NAME[=PLACE] SETTING...` taken apart: label, name, place or "", settings. wanted: what it may be."""
    labelled = _LABEL.fullmatch(text)
    label, what = (labelled[1].strip(), labelled[2]) if labelled else (None, text)
    try:
        first, *settings = shlex.split(what)
    except ValueError as error:  # no word at all, or a quote without its end
        raise UsageError(f"--method {text!r}: wants {wanted}") from error
    name, _, place = first.partition("=")
    return label, name, place, settings


def _method(text: str) -> Method:
    label, name, place, settings = _words(text, "MODEL[=WEIGHTS], input or results=FOLDER")
    if name in (INPUT, RESULTS) and (settings or bool(place) != (name == RESULTS)):
        raise UsageError(f"--method {text!r}: wants input alone, or results=FOLDER")
    if name == INPUT:
        return Method(label=INPUT, kind="input")
    if name == RESULTS:
        return Method(label=label or Path(place).name, kind="results", folder=Path(place))
    options = load_clean(None, settings, {"model": name, "weights": Path(place) if place else None})
    return Method(label=label or " ".join([name, *settings]), kind="model", options=options)


def _loaded(schema: type, path: Path | None, pairs: Sequence[str], given: Mapping[str, Any]) -> object:
    config = OmegaConf.structured(schema)
    if path is not None:
        config = _merged(config, _read(path), str(path))
    own: dict[str, object] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise UsageError(f"{pair}: is neither an option nor key=value, such as {_EXAMPLES[schema]}")
        if key.startswith(_OF_THE_MODEL) and "model" in config:
            own[key.removeprefix(_OF_THE_MODEL)] = _value(key, value)
        else:
            config = _set(config, key, _value(key, value))
    for key, value in given.items():
        if value is not None:
            config = _set(config, key, value)
    for key, written in own.items():
        model = config.model or PRESETS[config.preset]
        config = _set(config, f"{'gate' if model in CONFIGS else model}.{key}", written)
    try:
        return cast(object, OmegaConf.to_object(config))
    except OmegaConfBaseException as error:
        raise UsageError(_line(error)) from error


def _value(key: str, text: str) -> str | list[str] | None:
    if key.rpartition(".")[2] in _LISTS and not key.startswith("weights."):  # sets.NAME.truth are files
        listed = text.removeprefix("[").removesuffix("]") if key.endswith(_NUMBERS) else text  # files may be called so
        return [part for part in listed.split(",") if part.lower() not in _NULL]
    return None if text.lower() in _NULL else text


def _read(path: Path) -> dict[str, Any]:
    """The keys of a YAML file, nested as they stand there, every value the text it is written as."""
    try:
        with path.open(encoding="utf-8") as file:
            top = yaml.compose(file, yaml.BaseLoader)
    except OSError as error:
        raise UsageError(f"{path}: the configuration cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: is no YAML file (not even text)") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: is no YAML file: {' '.join(str(error).split())}") from error
    keys = None if top is None else _plain(top, str(path), _DEEPEST)
    if keys is None:
        return {}
    if not isinstance(keys, dict):
        raise UsageError(f"{path}: holds no keys with values, such as archive: true; see configs/clean.yaml")
    return keys


def _plain(node: yaml.Node, where: str, deepest: int) -> dict[str, Any] | list[Any] | str | None:
    """A node of a YAML file as nested dictionaries of texts, and lists of them where they may be; None for null."""
    if isinstance(node, yaml.ScalarNode):
        is_null = node.style is None and node.value.lower() in _NULL
        return None if is_null else str(node.value)
    if not (isinstance(node, yaml.MappingNode) and deepest):
        raise UsageError(f"{where}: neither a value nor keys with values; see configs/clean.yaml")
    found: dict[str, Any] = {}
    for name, value in node.value:
        key = str(_plain(name, where, 0) or "")
        if key in found:
            raise UsageError(f"{where}: {key} stands there twice")
        if key in _LISTS and isinstance(value, yaml.SequenceNode):
            found[key] = [_plain(item, f"{where}: {key}", 0) for item in value.value]
        else:
            found[key] = _plain(value, f"{where}: {key}", deepest - 1)
    return found


def _set(config: DictConfig, key: str, value: object) -> DictConfig:
    """Set one dotted key."""
    nested: object = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    return _merged(config, nested, f"{key}={'null' if value is None else value}")


def _merged(config: DictConfig, values: object, where: str) -> DictConfig:
    if _INTERPOLATION in str(values):
        raise UsageError(f"{where}: holds an interpolation (${{...}}); write the value itself")
    try:
        return cast(DictConfig, OmegaConf.merge(config, values))
    except OmegaConfBaseException as error:
        key = error.full_key or ""
        said = _line(error)
        if "$VALUE" in said:  # OmegaConf fills that in for a value, but not for one in a list
            said = f"allowed: numbers with commas between them ({said.rpartition(' to ')[2]})"
        if isinstance(error, ConfigKeyError):  # names a class that no user knows, and the nearest key if there is one
            _, near, key_near = said.partition("Did you mean")
            if homes := list(_homes(config, key)):
                near, key_near = "Did you mean", f": {' or '.join(homes)}?"  # before another key that looks like it
            said = f"no such key. {near}{key_near}" if near else _allowed(config, key)
        raise UsageError(f"{where if where.startswith(key) else f'{where}: {key}'}: {said}") from error
    except TypeError as error:  # OmegaConf has no type of its own for keys below a list
        raise UsageError(f"{where}: no such key, a list has none below it; see configs/") from error


def _homes(config: DictConfig, key: str) -> Iterator[str]:
    """Where a key stands in truth: in a section of the configuration, or deeper in the section that it names."""
    above, _, name = key.rpartition(".")
    node = OmegaConf.select(config, above) if above else config
    for section in node if isinstance(node, DictConfig) else ():
        inner, place = node[section], f"{above}.{section!s}" if above else str(section)
        if isinstance(inner, DictConfig):
            if name in inner:
                yield f"{place}.{name}"
            yield from _homes(config, f"{place}.{name}")


def _allowed(config: DictConfig, key: str) -> str:
    """What to write in place of a key that there is not."""
    above = key.rpartition(".")[0]
    node: DictConfig = OmegaConf.select(config, above) if above else config
    keys = ", ".join(f"{above}.{name!s}" if above else str(name) for name in node)
    return f"no such key; there are: {keys}"


def _line(error: BaseException) -> str:
    """What OmegaConf has to say, without the dump of its own state."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.startswith(("full_key", "object_type", "reference_type"))]
    return "; ".join(said)
