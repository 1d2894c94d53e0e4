"""What a page says of how a file was made: the line of provenance is read back, settings are told only if proven."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain import __version__
from vidrain.provenance import made_by
from vidrain.viewer.made import Said, made_facts, read_line, settings_behind

plain = st.dictionaries(st.integers().map(str), st.none() | st.booleans() | st.integers() | st.text(max_size=5))


@given(options=plain, other=plain, adapted=st.none() | st.text("0123456789abcdef", min_size=12, max_size=12))
def test_a_line_is_read_back_and_its_settings_are_those_of_its_hash(
    options: dict[str, Any], other: dict[str, Any], adapted: str | None
) -> None:
    said = read_line(made_by("gate-s", None, options, adapted=adapted))
    assert said is not None
    assert (said.model, said.weights, said.adapted) == ("gate-s", "none", adapted)
    assert json.loads(settings_behind(said, [other | {"more": 1}, options])) == options
    assert said.config in settings_behind(said, [options | {"more": 1}])


@pytest.mark.parametrize("line", [None, "", "Lavf62", "0.1.0 baseline", "0.1.0 baseline weights=none config=5c1f; R"])
def test_what_is_no_line_is_shown_as_it_is(line: str | None) -> None:
    assert read_line(line) is None
    assert made_facts(line) == [("made by", f"vidrain {line}" if line else "not said in the file")]
    assert settings_behind(read_line(line), [{}]) == "The file does not say."


def test_what_another_version_took_for_its_defaults_is_not_known() -> None:
    said = read_line(made_by("gate-s", None, {"a": 1}).replace(__version__, "0.0.9", 1))
    assert said is not None
    assert settings_behind(said, [{"a": 2}]) == (
        f"The file holds a hash of its settings alone (config={said.config}), and vidrain 0.0.9 made it, whose "
        "defaults this version does not know. A page made by clean --report shows all of them."
    )
    assert json.loads(settings_behind(said, [{"a": 1}])) == {"a": 1}, "an equal hash proves them all the same"


def test_weights_that_were_fitted_are_named(tmp_path: Path) -> None:
    (weights := tmp_path / "own.safetensors").write_bytes(b"w")
    line = made_by("gate-s", weights, {}, adapted="0123456789ab")
    said = read_line(line)
    assert isinstance(said, Said)
    assert made_facts(line)[1:] == [
        ("model", "gate-s"),
        ("weights", f"SHA-256 {said.weights}..."),
        ("fitted", "to this footage: SHA-256 0123456789ab..."),
    ]
