"""The weights that come with vidrain: found without a name, named in what is written, small, and with a card."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import torch

import vidrain
from vidrain.model.gate import CONFIGS, Gate, GateDecomposer
from vidrain.types import Aligned
from vidrain.weights import PRESETS, load_model, packed_gate, read_header, weights_of

FOLDER = Path(vidrain.__file__).with_name("shipped")
SHIPPED = sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def test_all_together_are_small() -> None:
    assert SHIPPED
    assert sum(path.stat().st_size for path in FOLDER.glob("*.safetensors")) < 8 << 20


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_asks_for_a_file(preset: str) -> None:
    load_model(PRESETS[preset])


@pytest.mark.parametrize("name", SHIPPED)
def test_they_are_used_where_none_are_named(name: str, tmp_path: Path) -> None:
    own, other = weights_of(name, None), tmp_path / "other.safetensors"
    assert own == FOLDER / f"{name}.safetensors"
    assert weights_of(name, other) == other
    header = read_header(own)
    assert (header["model"], json.loads(header["config"])) == (name, asdict(CONFIGS[name]))
    random = torch.Generator().manual_seed(0)
    count = 2 * CONFIGS[name].radius
    aligned = Aligned(
        torch.rand(1, 40, 48, generator=random),
        torch.rand(count, 1, 40, 48, generator=random),
        torch.zeros(count, 40, 48),
    )
    rain = load_model(name)(aligned)
    assert not torch.equal(rain, GateDecomposer(Gate(CONFIGS[name]), first=None)(aligned)), "as before training"
    other.write_bytes(packed_gate(name, Gate(CONFIGS[name]).state_dict()))
    torch.testing.assert_close(
        load_model(name, other)(aligned), GateDecomposer(Gate(CONFIGS[name]), first=None)(aligned)
    )


def test_a_model_without_any_has_none() -> None:
    assert weights_of("baseline", None) is None
    assert weights_of("nlcl", None) is None


@pytest.mark.parametrize("name", SHIPPED)
def test_the_card_names_them_as_they_are(name: str) -> None:
    """With the hash that the file has, so that a card is never that of other weights."""
    card = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {read_header(FOLDER / f'{name}.safetensors')['hash'][:12]} |" in card
