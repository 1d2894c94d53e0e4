"""Real rain: on which clips rain is the simpler layer once it is denoised, as docs/quality.md has it."""

import re
from pathlib import Path

import pytest

from vidrain.analysis import as_lines, dimensions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
SIMPLER = {"yard": True, "courtyard": True, "garden": True, "campus": True, "field": False, "people": False}


@pytest.mark.parametrize("name", SIMPLER)
def test_denoised_rain_against_the_background(name: str, footage: Path) -> None:
    found = dimensions(footage / "real" / f"{name}.mp4")
    figures = {(row.layer, row.side): row.levina_bickel or 0.0 for row in found.rows}
    for side in (8, 16):
        rain, background = figures["rain denoised", side], figures["background (median)", side]
        assert (rain < background) == SIMPLER[name], (side, rain, background)
        assert rain < figures["rain raw", side]


def test_the_table_of_the_quality_page(footage: Path) -> None:
    """One row of it, taken again: figures may differ by the decoder and the optical flow, not by more."""
    page = (ROOT / "docs" / "quality.md").read_text(encoding="utf-8")
    (row,) = re.findall(r"^\| courtyard \| [\d.]+ \| (.*) \|$", page, re.MULTILINE)
    told = [float(figure) for figure in re.findall(r"([\d.]+) \(", row)]
    layers = {line[:24].strip(): line[24:] for line in as_lines(dimensions(footage / "real" / "courtyard.mp4"))}
    columns = [
        re.findall(r"([\d.]+) \(", layers[name]) for name in ("background (median)", "rain raw", "rain denoised")
    ]
    measured = [float(column[size]) for size in (0, 1) for column in columns]
    assert told == pytest.approx(measured, abs=0.3)
