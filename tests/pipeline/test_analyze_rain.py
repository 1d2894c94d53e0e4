"""`vidrain analyze rain`: on clips whose rain is known."""

import csv
import json
import xml.etree.ElementTree as tree
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from tests.pipeline.conftest import Vidrain
from tests.pipeline.test_analyze import FRAMES, filmed, stored


@pytest.mark.proves("analyze rain", "analyze rain CLIP", "analyze rain --output", "analyze rain --json")
@pytest.mark.proves("analyze rain KEY=VALUE", "analyze rain --start", "analyze rain --end", "analyze rain --force")
def test_streaks_of_a_known_slant(tmp_path: Path, vidrain: Vidrain) -> None:
    """Each streak falls 40 rows and 2 columns to the right: 2.9 degrees; the pieces that are found may be shorter."""
    clip, out = filmed(tmp_path / "clip.mp4", noise=0.0), tmp_path / "rain"
    ran = vidrain("analyze", "rain", clip, "--json", "-o", out, "--start", "2", "--end", "10", "baseline.radius=1")
    assert (ran.code, ran.err) == (0, "")
    found = json.loads(ran.out)
    assert (found["v"], found["frames"], found["source"]) == (1, 8, str(clip))
    assert found["direction"]["degrees"] == pytest.approx(2.9, abs=1.5)
    assert found["direction"]["concentration"] > 0.9
    assert sum(each["streaks"] for each in found["directions"]) == found["streaks"] > 8 * 30
    assert sum(each["streaks"] for each in found["lengths"]) == found["streaks"]
    assert [row["side"] for row in found["dimensions"]] == [8, 16]
    assert found == json.loads((out / "rain.json").read_text())
    with (out / "frames.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["frame"]) for row in rows] == list(range(2, 10))
    table = pyarrow.parquet.read_table(out / "frames.parquet").to_pydict()
    assert table["rain"] == [float(row["rain"]) for row in rows]
    assert np.mean(table["rain"]) == pytest.approx(found["rain"])
    assert table["rain"].index(max(table["rain"])) + 2 == found["worst_frame"]
    for name in ("amount", "directions", "lengths"):
        tree.fromstring((out / f"{name}.svg").read_text())
    whole = json.loads(vidrain("analyze", "rain", clip, "--json").out)
    assert (whole["frames"], whole["made_by"] == found["made_by"]) == (FRAMES, False)
    other = vidrain("analyze", "rain", clip, "--json", "--start", "2", "--end", "10")
    assert json.loads(other.out)["rain"] != found["rain"]  # another radius
    assert vidrain("analyze", "rain", clip, "-o", out).code == 5
    assert vidrain("analyze", "rain", clip, "-o", out, "--force").code == 0
    assert "falling 2." in vidrain("analyze", "rain", clip).out


def test_a_video_without_rain_has_none(tmp_path: Path, vidrain: Vidrain) -> None:
    pictures = np.repeat(np.random.default_rng(1).integers(0, 255, (1, 64, 64), np.uint8), 5, axis=0)
    pictures[:, 20, 20] = np.arange(5) * 9
    ran = vidrain("analyze", "rain", stored(pictures, tmp_path / "dry.mp4"), "-o", tmp_path / "out")
    assert ran.code == 0
    assert "streaks    none" in ran.out
    assert json.loads((tmp_path / "out" / "rain.json").read_text())["direction"] is None
