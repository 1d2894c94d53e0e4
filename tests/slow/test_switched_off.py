"""Each promise, taken out of a copy of vidrain: the test that proves it must fail there, and only there."""

from pathlib import Path

import pytest

from tests import promises
from tests.switched_off import copy_project, passed, run_tests

pytestmark = pytest.mark.slow

SWITCHES = promises.switches()


def test_nodes_exist() -> None:
    wanted = {promises.without_parameters(switch.test) for switch in SWITCHES}
    assert wanted <= promises.all_tests()


def test_no_folder_is_shared_with_other_runs(tmp_path: Path) -> None:
    """In the folder that runs share, one that ended warned that another's folders could not be cleared away."""
    copy_project(promises.ROOT, tmp_path / "copy")
    (tmp_path / "copy" / "tests" / "test_where.py").write_text("def test_where(tmp_path): raise ValueError(tmp_path)\n")
    result = run_tests(tmp_path / "copy", "tests/test_where.py")
    assert "ValueError: /" in result.stdout
    assert "pytest-of-" not in result.stdout, result.stdout


@pytest.mark.timeout(1200)
def test_all_pass_in_an_unbroken_copy(tmp_path: Path) -> None:
    """Otherwise a test could fail below for want of a file that was not copied."""
    copy_project(promises.ROOT, tmp_path / "copy")
    result = run_tests(tmp_path / "copy", *sorted({switch.test for switch in SWITCHES}))
    assert passed(result), result.stdout


@pytest.mark.timeout(600)
@pytest.mark.parametrize("switch", SWITCHES, ids=lambda switch: switch.promise)
def test_fails_when_switched_off(switch: promises.Switch, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy_project(promises.ROOT, copy)
    file = copy / switch.file
    file.write_text(switch.patched(file.read_text(encoding="utf-8")), encoding="utf-8")
    result = run_tests(copy, switch.test)
    assert result.returncode == 1, f"pytest ended with {result.returncode}, not with a failure:\n{result.stdout}"
