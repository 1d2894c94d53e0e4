"""Each library of the card has a real role: the test marked with it fails when it cannot be imported."""

import importlib.util
from pathlib import Path

import pytest

from tests import promises
from tests.switched_off import why_not_failed_without

pytestmark = pytest.mark.slow

MARKED = [(library, node) for library, nodes in promises.proofs("library").items() for node in nodes]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("library", "node"), MARKED)
def test_fails_without(library: str, node: str, tmp_path: Path) -> None:
    module = promises.CARD[library]
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{library} is not installed here")
    assert why_not_failed_without(library, module, node=node, root=promises.ROOT, scratch=tmp_path) == ""
