"""Every option, command, exit code and library has a test that proves it, and the docs say which."""

import pytest

from tests import promises
from tests.faults import FAULTS
from tools.make_docs import pages
from vidrain.cli import main

PROVEN = promises.proofs("proves")
SWITCHES = promises.switches()


@pytest.mark.parametrize("promise", promises.required(main))
def test_promise_is_proven(promise: str) -> None:
    assert PROVEN.get(promise), f"mark a test with @pytest.mark.proves({promise!r})"


def test_no_proof_of_what_does_not_exist() -> None:
    assert [name for name in PROVEN if promises.is_misspelt(name, main)] == []


@pytest.mark.parametrize("library", promises.CARD)
def test_library_is_used_and_needed(library: str) -> None:
    assert promises.importers()[library], f"no file of vidrain/ imports {library}"
    tests = promises.proofs("library").get(library)
    assert tests, f"mark the test that fails without it: @pytest.mark.library({library!r})"


def test_no_other_library_is_marked() -> None:
    assert promises.proofs("library").keys() <= promises.CARD.keys()


@pytest.mark.parametrize("promise", promises.required(main))
def test_promise_can_be_switched_off(promise: str) -> None:
    """Its test must be able to fail: a row says how, or UNSWITCHABLE says why not."""
    rows = [switch for switch in SWITCHES if switch.promise == promise]
    assert bool(rows) != (promise in promises.UNSWITCHABLE), f"one of: a row in {promises.SWITCHES}, a reason"


def test_nothing_else_is_called_unswitchable() -> None:
    assert promises.UNSWITCHABLE.keys() <= set(promises.required(main))


@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.promise)
def test_switch_fits_the_code(switch: promises.Switch) -> None:
    """The cheap half of tests/slow/test_switched_off.py: a row does not rot unseen."""
    switch.patched((promises.ROOT / switch.file).read_text(encoding="utf-8"))
    assert promises.without_parameters(switch.test) in PROVEN.get(switch.promise, [])


@pytest.mark.parametrize("number", FAULTS)
def test_fault_is_committed(number: int) -> None:
    tests = promises.proofs("fault").get(str(number))
    assert tests, f"mark the test that does it with @pytest.mark.fault({number}): {FAULTS[number].what}"


def test_no_fault_is_marked_that_is_not_listed() -> None:
    assert promises.proofs("fault").keys() <= {str(number) for number in FAULTS}


@pytest.mark.parametrize("page", ["docs/promises.md", "docs/faults.md", "docs/cli.txt"])
def test_page_is_fresh(page: str) -> None:
    written = (promises.ROOT / page).read_text(encoding="utf-8")
    assert written == pages()[page], f"{page} is stale: run `make docs`"
