"""The line that says what made a file: the same work has the same line, other work another."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain import __version__
from vidrain.errors import ModelError
from vidrain.job import CleanOptions
from vidrain.provenance import config_hash, hash_of_content, made_by
from vidrain.train.adapt import AdaptOptions

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def test_line_has_four_parts() -> None:
    line = made_by("baseline", None, asdict(CleanOptions()))
    assert re.fullmatch(rf"{re.escape(__version__)} baseline weights=none config=[0-9a-f]{{12}}", line)


@given(st.dictionaries(st.text(min_size=1, max_size=5), plain, max_size=6), st.randoms(use_true_random=False))
def test_order_does_not_matter(options: dict[str, object], dice: object) -> None:
    keys = list(options)
    dice.shuffle(keys)  # type: ignore[attr-defined]
    assert config_hash({key: options[key] for key in keys}) == config_hash(options)


def test_hash_is_that_of_the_canonical_text() -> None:
    text = '{"a":{"x":null,"y":1},"b":"\\u00fc"}'
    due = hashlib.sha256(text.encode()).hexdigest()[:12]
    assert config_hash({"b": "ü", "a": {"y": 1, "x": None}, "force": True, "rain": Path("r.mp4")}) == due


def test_every_option_is_plain_or_left_out_on_purpose() -> None:
    """A path would tie the line to a folder; json refuses it, so a new option that holds one shows here."""
    filled = asdict(
        CleanOptions(rain=Path("r.mp4"), rain_preview=Path("p.mp4"), compare=Path("c.mp4"), weights=Path("w"))
    )
    config_hash(filled)
    with pytest.raises(TypeError):
        config_hash({"new": Path("x")})


def test_what_does_not_change_the_result_is_not_counted() -> None:
    names = {field.name for field in fields(CleanOptions)}
    files = {key: Path(key) for key in ("rain", "rain_preview", "compare", "keep_adapted")}
    own = {**files, "adapt": AdaptOptions(steps=3), "force": True}
    others = {"device": "cuda", "preset": "fast"}
    assert own.keys() | others.keys() <= names
    assert config_hash(asdict(CleanOptions(**own, **others))) == config_hash(asdict(CleanOptions()))  # type: ignore[arg-type]


def leaves(options: dict[str, object], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    found = []
    for key, value in options.items():
        found += leaves(value, (*above, key)) if isinstance(value, dict) and value else [(*above, key)]
    return found


@pytest.mark.parametrize(
    "place",
    [place for place in leaves(asdict(CleanOptions())) if place[0] in ("encode", "baseline", "align", "shots")],
    ids=".".join,
)
def test_every_setting_of_model_and_encoder_counts(place: tuple[str, ...]) -> None:
    options = asdict(CleanOptions())
    before = config_hash(options)
    inner = options
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = "something else"
    assert config_hash(options) != before


def test_weights_are_named_by_their_content(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for path in (one, two):
        path.write_bytes(b"the same")
    options = json.loads("{}")
    assert made_by("m", one, options) == made_by("m", two, options)
    assert f"weights={hashlib.sha256(b'the same').hexdigest()[:12]} " in made_by("m", one, options)
    two.write_bytes(b"others")
    assert made_by("m", one, options) != made_by("m", two, options)


def test_adapted_weights_are_named_beside_those_they_were_made_of(tmp_path: Path) -> None:
    path = tmp_path / "base"
    path.write_bytes(b"base")
    plain, fitted = made_by("m", path, {}), made_by("m", path, {}, adapted=hash_of_content(b"fitted"))
    due = hashlib.sha256(b"fitted").hexdigest()[:12]
    assert fitted == plain.replace(" config=", f" adapted={due} config=")


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(ModelError, match="no such weights file; check the path"):
            made_by("m", path, {})
