"""What a clean file says of how it was made: model, weights, and the settings, as far as their hash gives them away.

Of settings a file holds a hash alone. Those that a report can guess, the defaults above all, are tried: an equal hash
proves them.

    said = read_line("0.1.0 baseline weights=none config=5c1f0e8a9b7d")
    told = settings_behind(said, [counted_settings(CleanOptions(), said.model, None)])
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from vidrain import __version__
from vidrain.provenance import config_hash, counted, short_hash
from vidrain.viewer.page import settings_text
from vidrain.weights import weights_of

_LINE = re.compile(
    r"(?P<version>\S+) (?P<model>\S+) weights=(?P<weights>\S+)( adapted=(?P<adapted>\S+))? config=(?P<config>[0-9a-f]+)"
)
_UNKNOWN = (
    "The file holds a hash of its settings alone (config={config}), and {why}. A page made by clean --report shows all "
    "of them."
)


class Said(NamedTuple):
    """The parts of a line of provenance. weights, adapted, config: first digits of hashes; weights: `none` without."""

    version: str
    model: str
    weights: str
    adapted: str | None
    config: str


def read_line(line: str | None) -> Said | None:
    """The parts of `line` (`vidrain.provenance`); None where it is no such line."""
    found = None if line is None else _LINE.fullmatch(line)
    return None if found is None else Said(**found.groupdict())


def made_facts(line: str | None) -> list[tuple[str, str]]:
    """Rows of a page: the line itself, then model and weights."""
    if not line:
        return [("made by", "not said in the file")]
    rows, said = [("made by", f"vidrain {line}")], read_line(line)
    if said is None:
        return rows
    own = said.weights != "none" and said.weights == short_hash(weights_of(said.model, None))
    weights = "none: it needs no weights" if said.weights == "none" else f"SHA-256 {said.weights}..."
    rows += [("model", said.model), ("weights", f"{weights}{', which come with vidrain' if own else ''}")]
    if said.adapted is not None:
        rows.append(("fitted", f"to this footage: SHA-256 {said.adapted}..."))
    return rows


def settings_behind(said: Said | None, guesses: Iterable[Mapping[str, Any]]) -> str:
    """As a text: the first of `guesses` that has the hash of the file, else that they are not known."""
    if said is None:
        return "The file does not say."
    for guess in guesses:
        if config_hash(guess) == said.config:
            return settings_text(counted(guess))
    other = f"vidrain {said.version} made it, whose defaults this version does not know"
    why = "they are not the defaults" if said.version == __version__ else other
    return _UNKNOWN.format(config=said.config, why=why)
