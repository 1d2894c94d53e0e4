"""Pages of samples, for the tests that open them in a browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vidrain.job import CleanOptions
from vidrain.pipeline import clean
from vidrain.viewer.preview import write_preview
from vidrain.viewer.report import write_report


@pytest.fixture(scope="module")
def preview(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All 36 frames of vfr.mp4, whose pictures carry their numbers and whose times are uneven."""
    return write_preview(samples / "vfr.mp4", tmp_path_factory.mktemp("preview") / "vfr.html", seconds=10).page


@pytest.fixture(scope="module")
def report(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    shutil.copy(samples / "full_range.mp4", folder / "in.mp4")
    clean(folder / "in.mp4", folder / "in.clean.mp4", options=CleanOptions())
    return write_report(folder / "in.clean.mp4")


@pytest.fixture(params=["preview", "report"])
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(request.param)
    return found
