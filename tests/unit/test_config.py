"""Configuration: which layer wins, and that every wrong key or value is one line, never a guess."""

import re
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from vidrain.config import load_clean, load_eval, load_methods, load_rain, load_train
from vidrain.errors import UsageError
from vidrain.evaluation.plan import EvalOptions
from vidrain.evaluation.sets import SetOptions
from vidrain.job import CleanOptions
from vidrain.rain.plan import RainOptions
from vidrain.train.loop import TrainConfig

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.yaml"


def refused(path: Path | None, *pairs: str, **given: Any) -> str:
    """The line with which this is refused."""
    with pytest.raises(UsageError) as raised:
        load_clean(path, pairs, given)
    message = str(raised.value)
    assert message.count("\n") == 0
    return message


def test_nothing_given_means_the_defaults() -> None:
    assert load_clean(None, [], {}) == CleanOptions()


def test_each_layer_wins_over_the_one_before(file: Path) -> None:
    file.write_text("encode:\n  crf: 30\n  threads: 7\nbaseline:\n  radius: 1\n")
    pairs = ["encode.crf=31", "baseline.radius=3"]
    assert load_clean(file, [], {}).encode.crf == 30
    assert load_clean(file, pairs, {}).encode.crf == 31
    assert load_clean(file, [*pairs, "encode.crf=32"], {}).encode.crf == 32
    options = load_clean(file, pairs, {"encode.crf": 33, "encode.pix_fmt": None})
    assert (options.encode.crf, options.encode.threads, options.encode.pix_fmt) == (33, 7, None)
    assert options.baseline.radius == 3
    assert options.align == CleanOptions().align


def test_options_of_the_encoder_add_up(file: Path) -> None:
    file.write_text("encode: {options: {bf: 2, preset: slow}}")
    options = load_clean(file, ["encode.options.preset=fast"], {"encode.options.tune": "film"})
    assert options.encode.options == {"bf": "2", "preset": "fast", "tune": "film"}


@pytest.mark.parametrize(
    "text", ["no", "yes", "on", "off", "true", "1e3", "010", "1_000", "none", "0x10", "2001-01-01"]
)
def test_texts_stay_texts(text: str, file: Path) -> None:
    """YAML would make numbers, dates and truth values of them."""
    file.write_text(f"encode:\n  options:\n    preset: {text}\n")
    assert load_clean(file, [], {}).encode.options == {"preset": text}
    assert load_clean(None, [f"encode.options.preset={text}"], {}).encode.options == {"preset": text}
    assert load_clean(None, [], {"encode.options.preset": text}).encode.options == {"preset": text}


@pytest.mark.parametrize("position", ["1:02", "0:01:02.5", "250", "12.50s"])
def test_positions_stay_as_written(position: str, file: Path) -> None:
    """YAML reads 1:02 as a number to the base of sixty."""
    file.write_text(f"start: {position}\n")
    assert load_clean(file, [], {}).start == position
    assert load_clean(None, [f"start={position}"], {}).start == position


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="$"), min_size=1))
def test_any_text_of_a_pair_arrives(text: str) -> None:
    expected = text if text.lower() not in ("null", "~", "???") else None
    if text != "???":  # OmegaConf's own word for a value that is missing
        assert load_clean(None, [f"model={text}"], {}).model == expected


@pytest.mark.parametrize("word", ["yes", "true", "on", "1", "True"])
def test_truth(word: str, file: Path) -> None:
    file.write_text(f"archive: {word}\n")
    assert load_clean(file, [], {}).archive is True
    assert load_clean(file, ["archive=no"], {}).archive is False


@pytest.mark.parametrize("null", ["null", "~", "", "Null"])
def test_null_takes_a_choice_back(null: str, file: Path) -> None:
    file.write_text(f"encode:\n  codec: {null}\nrain: {null}\n")
    assert load_clean(file, [], {}) == CleanOptions()
    file.write_text("encode:\n  codec: hevc\nrain: rain.mp4\n")
    assert load_clean(file, [f"encode.codec={null}", f"rain={null}"], {}) == CleanOptions()
    assert load_clean(file, [], {}).rain == Path("rain.mp4")


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "encode: {}\n"])
def test_file_that_sets_nothing(text: str, file: Path) -> None:
    file.write_text(text)
    assert load_clean(file, [], {}) == CleanOptions()


@pytest.mark.parametrize(
    ("key", "near"),
    [
        ("encode.crff", "crf"),
        ("archiv", "archive"),
        ("baseline.radios", "radius"),
        ("shots.cut_corelation", "cut_corr"),
    ],
)
def test_misspelt_key_names_the_nearest(key: str, near: str, file: Path) -> None:
    section, _, name = key.rpartition(".")
    file.write_text(f"{section}:\n  {name}: 1\n" if section else f"{name}: 1\n")
    for message in (refused(file), refused(None, f"{key}=1")):
        assert f"Did you mean: '{near}" in message
    assert str(file) in refused(file)


def test_a_key_without_its_section_names_it() -> None:
    """Not another key that looks like it: cfr is no quality."""
    assert refused(None, "crf=20") == "crf=20: no such key. Did you mean: encode.crf?"
    assert "Did you mean: baseline.radius?" in refused(None, "radius=3", model="baseline")
    deep = "no such key. Did you mean: baseline.doubts.trust?"
    assert [refused(None, f"{key}=1", model="baseline") for key in ("trust", "baseline.trust", "model.trust")] == [
        f"trust=1: {deep}",
        f"baseline.trust=1: {deep}",
        f"baseline.trust=1: {deep}",
    ]
    assert load_clean(None, ["model.doubts.trust=0.5"], {"model": "baseline"}).baseline.doubts.trust == 0.5


@pytest.mark.parametrize("key", ["nonsense", "encode.nonsense", "encode..crf", ".", "encode.crf.deeper"])
def test_unknown_key(key: str) -> None:
    assert refused(None, f"{key}=1").startswith(f"{key}=1: ")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("encode.crf", "abc"),
        ("encode.crf", "1.5"),
        ("encode.crf", "true"),
        ("encode.crf", "null"),
        ("encode", "3"),
        ("encode", "null"),
        ("archive", "maybe"),
        ("preset", "fastest"),
        ("encode.codec", "vp9"),
        ("baseline.doubts.trust", "high"),
        ("baseline.radius", "2.5"),
    ],
)
def test_value_of_the_wrong_type(key: str, value: str, file: Path) -> None:
    content = value
    for part in reversed(key.split(".")):
        content = f"{{{part}: {content}}}"
    file.write_text(content)
    assert refused(None, f"{key}={value}").startswith(f"{key}={value}: ")
    message = refused(file)
    assert message.startswith(f"{file}: ")
    assert key in message or "EncodeOptions" in message


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a${encode.crf}b", "${", "${oc.decode:x}"])
def test_interpolation_is_refused(text: str, file: Path) -> None:
    file.write_text(f"model: '{text}'\n")
    for message in (refused(file), refused(None, f"model={text}"), refused(None, model=text)):
        assert "holds an interpolation" in message


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"a: [1", "is no YAML file: "),
        (b"\x00\x01\x02\x03", "is no YAML file: "),
        (b"\xff\xfe\xfa", "is no YAML file (not even text)"),
        (b"\t- x", "is no YAML file: "),
        (b"- archive\n- rain\n", "neither a value nor keys with values"),
        (b"just words", "holds no keys with values"),
        (b"encode: [crf, 20]", "neither a value nor keys with values"),
        (b"[a]: 1", "neither a value nor keys with values"),
        (b"encode: {crf: 1}\nencode: {crf: 2}", "encode stands there twice"),
        (b"encode: &again {options: *again}", "neither a value nor keys with values"),
        (b"encode: {options: {x: {y: z}}}", "neither a value nor keys with values"),
        (b"model: !!python/object/apply:os.system [touch pwned]", "neither a value nor keys with values"),
    ],
)
def test_file_that_is_no_configuration(content: bytes, said: str, file: Path) -> None:
    file.write_bytes(content)
    message = refused(file)
    assert str(file) in message
    assert said in message


def test_file_that_cannot_be_read(tmp_path: Path) -> None:
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "none.yaml")
    assert "cannot be read (Is a directory)" in refused(tmp_path)


def test_model_stands_for_the_one_that_is_chosen(file: Path) -> None:
    assert load_clean(None, ["model.radius=3", "preset=fast"], {}).baseline.radius == 3
    assert load_clean(None, ["model.output=residual"], {"model": "nlcl"}).nlcl.output == "residual"
    assert load_clean(None, ["model.statistics=live", "model=nlcl"], {}).nlcl.statistics == "live"
    file.write_text("model: nlcl\nnlcl: {output: residual}\n")
    assert load_clean(file, ["model.statistics=live"], {}).nlcl.output == "residual"
    assert load_clean(file, ["model.output=back"], {}).nlcl.output == "back"
    assert "Did you mean: 'radius" in refused(None, "model.radios=1", preset="fast")
    assert load_clean(None, ["model.precision=float32"], {"model": "gate-s"}).gate.precision == "float32"
    assert refused(None, "model.output=both", model="nlcl").startswith("nlcl.output=both: ")
    assert "baseline.output=back: no such key; there are: " in refused(None, "model.output=back", model="baseline")


@pytest.mark.parametrize("pair", ["another.mp4", "=3", ""])
def test_pair_without_key_or_sign(pair: str) -> None:
    assert "is neither an option nor key=value" in refused(None, pair)


def leaves(options: Any, above: str = "") -> dict[str, Any]:
    """Dotted key -> value of every field; a path as its text."""
    found: dict[str, Any] = {}
    for field in fields(options):
        value = getattr(options, field.name)
        found |= leaves(value, f"{above}{field.name}.") if is_dataclass(value) else {f"{above}{field.name}": value}
    return found


def flat(mapping: dict[str, Any], known: set[str], above: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{above}{key}"
        is_section = isinstance(value, dict) and name not in known
        found |= flat(value, known, f"{name}.") if is_section else {name: value}
    return found


def test_configs_clean_yaml_holds_every_key_with_its_default() -> None:
    path = ROOT / "configs" / "clean.yaml"
    defaults = leaves(CleanOptions())
    assert flat(yaml.safe_load(path.read_text(encoding="utf-8")), set(defaults)) == defaults
    assert load_clean(path, [], {}) == CleanOptions()


def test_configs_rain_yaml_holds_every_key_with_its_default() -> None:
    path = ROOT / "configs" / "rain.yaml"
    defaults = leaves(RainOptions())
    assert flat(yaml.safe_load(path.read_text(encoding="utf-8")), set(defaults)) == defaults
    assert load_rain(path, [], {}) == RainOptions()


def test_configs_train_yaml_holds_every_key_with_its_default() -> None:
    path = ROOT / "configs" / "train.yaml"
    defaults = leaves(TrainConfig()) | {"data.rainy": ("clips/rainy",)}  # the one that has no default
    found = flat(yaml.safe_load(path.read_text(encoding="utf-8")), set(defaults))
    assert {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()} == defaults
    assert leaves(load_train(path, [])) == defaults


def test_configs_eval_yaml_holds_every_key() -> None:
    path = ROOT / "configs" / "eval.yaml"
    found = load_eval(path, [], {})
    plain = EvalOptions()
    named = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert named.keys() == {each.name for each in fields(EvalOptions)}
    same = ("every", "seed", "worst", "use", "methods")
    assert [getattr(found, key) for key in same] == [getattr(plain, key) for key in same]
    assert {key for each in named["sets"].values() for key in each} == {each.name for each in fields(SetOptions)}
    assert found.sets["real"].still == ["yard", "garden"]
    assert found.sets["harm"].overlays[0] == "dashcam1 40 336 120 16"


@pytest.mark.parametrize("name", ["eval_dev", "eval_rain"])
def test_the_other_sets_load(name: str) -> None:
    assert load_eval(ROOT / "configs" / f"{name}.yaml", [], {}).sets


def test_keys_of_sets_are_set_and_checked(file: Path) -> None:
    file.write_text("sets: {mine: {clips: [a, 'b,c'], kind: real}}")
    assert load_eval(file, ["sets.mine.names=x,y", "sets.mine.every=3"], {}).sets["mine"] == SetOptions(
        kind="real", clips=["a", "b,c"], names=["x", "y"], every=3
    )
    for pair in ("sets.mine.evry=3", "sets.mine.kind=foul", "model.radius=2", "every=x"):
        with pytest.raises(UsageError) as raised:
            load_eval(file, [pair], {})
        assert "\n" not in str(raised.value)


def test_methods_are_texts() -> None:
    texts = ["input", "baseline baseline.passes=2", "new one:gate-s='a b.safetensors' adapt.steps=7", "results=x/them"]
    given, plain, gate, theirs = load_methods(texts)
    assert (given.label, given.kind, given.options) == ("input", "input", None)
    assert (plain.label, plain.options and plain.options.baseline.passes) == ("baseline baseline.passes=2", 2)
    assert plain.options is not None
    assert (plain.options.model, plain.options.weights, plain.is_adapted) == ("baseline", None, False)
    assert gate.options is not None
    assert (gate.label, gate.options.weights, gate.options.adapt.steps) == ("new one", Path("a b.safetensors"), 7)
    assert gate.is_adapted
    assert (theirs.label, theirs.kind, theirs.folder) == ("them", "results", Path("x/them"))


@pytest.mark.parametrize("text", ["", "it:", "results=", "results", "input=x", "baseline 'x", "baseline passes"])
def test_a_method_that_is_none(text: str) -> None:
    with pytest.raises(UsageError) as raised:
        load_methods([text])
    assert "\n" not in str(raised.value)


def test_several_values_of_one_key(file: Path) -> None:
    file.write_text("data: {rainy: [a b.mp4, 'c,d.mp4'], strides: [1, 4]}\n")
    data = load_train(file, []).data
    assert (data.rainy, data.strides, data.clean) == (("a b.mp4", "c,d.mp4"), (1, 4), ())
    data = load_train(file, ["data.rainy=x.mp4,y/", "data.strides=3", "data.clean="]).data
    assert (data.rainy, data.strides, data.clean) == (("x.mp4", "y/"), (3,), ())
    file.write_text("data: {rainy: [[a], b]}\n")
    with pytest.raises(UsageError, match="neither a value nor keys with values"):
        load_train(file, [])
    assert load_train(None, ["data.strides=[1, 2]"]).data.strides == (1, 2)  # as YAML writes it
    names = load_train(None, ["data.rainy=[a]/, b.mp4,[c]"]).data.rainy
    assert names == ("[a]/", " b.mp4", "[c]"), "what names files stays as it is: folders, and patterns of benchmarks"
    assert load_train(None, ["data.rainy=[clips]"]).data.rainy == ("[clips]",)
    with pytest.raises(UsageError, match=r"data\.strides=.*x.*: allowed: numbers with commas between them \(Integer\)"):
        load_train(None, ["data.strides=1,x"])


@pytest.mark.parametrize("pair", ["data.rainy.x=3", "data.strides.a=1", "data.rendered.a.b=1"])
def test_a_key_below_a_list_is_one_line(pair: str) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{pair}: no such key, a list has none below it")):
        load_train(None, [pair])


def test_a_weight_is_a_number_though_files_have_its_name() -> None:
    """`truth` of a set of clips names files, that of the loss is a number."""
    pairs = ["data.rainy=x.mp4", "data.settled_share=0.5", "weights.truth=0.25"]
    assert load_train(None, pairs).weights.truth == 0.25
    config = load_eval(Path("configs/eval.yaml"), ["sets.paired.truth=a.mp4,b.mp4"], {})
    assert list(config.sets["paired"].truth) == ["a.mp4", "b.mp4"]
