"""What every test shares: where the clips are, random state put back, and no silent skips in CI."""

import os
import random
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

# As the command line does, and before anything loads torch: tests run side by side.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parents[1]

# Wall time on a shared machine says nothing about the code, and a failure must come back on every run.
settings.register_profile("vidrain", deadline=None, derandomize=True)
settings.load_profile("vidrain")


@pytest.fixture(scope="session")
def samples() -> Path:
    """The small clips that ship with vidrain (`tools/make_samples.py` renders them)."""
    return ROOT / "samples"


@pytest.fixture(scope="session")
def footage() -> Path:
    """The folder of real footage, which never ships: `VIDRAIN_DATA`, or `../shared/data` beside the checkout."""
    folder = Path(os.environ.get("VIDRAIN_DATA") or ROOT / "../shared/data").resolve()
    if not folder.is_dir():
        pytest.skip("footage not here: set VIDRAIN_DATA")
    return folder


@pytest.fixture(autouse=True)
def _random_state_put_back() -> Iterator[None]:
    """No test sees the draws of another, so order never matters. Imports nothing that the test did not."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    python_state = random.getstate()
    numpy_state = numpy.random.get_state() if numpy else None
    torch_state = torch.get_rng_state() if torch else None
    yield
    random.setstate(python_state)
    if numpy:
        numpy.random.set_state(numpy_state)
    if torch:
        torch.set_rng_state(torch_state)


@pytest.hookimpl(tryfirst=True)  # before `-m` picks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "footage" in getattr(item, "fixturenames", ()):
            item.add_marker("footage")


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("gpu"):
        import torch  # a second of import, so only where a test asks for a GPU

        if not torch.cuda.is_available():
            pytest.skip("GPU not here")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if not hasattr(report, "wasxfail"):
        _fail_if_skipped_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    _fail_if_skipped_in_ci(report)
    return report


def _fail_if_skipped_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """Missing footage or a missing dependency must not look like a green CI; no GPU may, nor a kernel without FUSE."""
    if not report.skipped or os.environ.get("CI") != "true":
        return
    reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    reason = reason.removeprefix("Skipped: ")
    if not reason.startswith(("GPU", "FUSE")):
        report.outcome = "failed"
        report.longrepr = f"skipped, which is a failure in CI: {reason}"
