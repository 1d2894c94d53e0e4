"""`vidrain analyze rain`: on clips whose rain is known."""

import csv
import json
import xml.etree.ElementTree as tree
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet
import pytest

from tests import ffmpeg_says
from tests.broken import cut, index_in_front
from tests.pipeline.conftest import Vidrain
from tests.pipeline.test_analyze import FRAMES, filmed, stored
from tests.pipeline.test_batch_progress import on_a_terminal
from vidrain import part
from vidrain.job import CleanOptions
from vidrain.outputs import fresh_folder
from vidrain.rain_analysis import LENGTHS, rain_in
from vidrain.rain_listing import SUMMARY, write_rain
from vidrain.types import Layers

RADIUS = ("model=baseline", "baseline.radius=1")


@pytest.mark.proves("analyze rain", "analyze rain CLIP", "analyze rain --output", "analyze rain --json")
@pytest.mark.proves("analyze rain KEY=VALUE", "analyze rain --start", "analyze rain --end", "analyze rain --force")
def test_streaks_of_a_known_slant(tmp_path: Path, vidrain: Vidrain) -> None:
    """Each streak falls 40 rows and 2 columns to the right: 2.9 degrees; the pieces that are found may be shorter."""
    clip, out = filmed(tmp_path / "clip.mp4", noise=0.0), tmp_path / "rain"
    ran = vidrain("analyze", "rain", clip, "--json", "-o", out, "--start", "2", "--end", "10", *RADIUS)
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
    for name in ("directions", "lengths", "dimensions"):
        table = pyarrow.parquet.read_table(out / f"{name}.parquet").to_pylist()
        assert table == [{key: row[key] for key in table[0]} for row in found[name]]
        with (out / f"{name}.csv").open() as file:
            rows = list(csv.DictReader(file))
        assert [{key: float(value) for key, value in row.items()} for row in rows] == table
    for name in ("amount", "directions", "lengths"):
        tree.fromstring((out / f"{name}.svg").read_text())
    whole = json.loads(vidrain("analyze", "rain", clip, "--json").out)
    assert (whole["frames"], whole["made_by"] == found["made_by"]) == (FRAMES, False)
    other = vidrain("analyze", "rain", clip, "--json", "--start", "2", "--end", "10", RADIUS[0])
    assert json.loads(other.out)["rain"] != found["rain"]  # another radius
    assert vidrain("analyze", "rain", clip, "-o", out).code == 5
    assert vidrain("analyze", "rain", clip, "-o", out, "--force").code == 0
    assert "falling 2." in vidrain("analyze", "rain", clip).out


def test_a_terminal_sees_how_far_it_is(
    samples: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures come behind the bar; a pipe is shown none, and JSON is one object."""
    command = ("analyze", "rain", samples / "odd.mp4", "--end", "4", *RADIUS)
    shown = on_a_terminal(monkeypatch, *command, code=0)
    assert f"{samples / 'odd.mp4'}: 4 frames to look at" in shown
    assert "4/4" in shown
    assert "4 frames, rain" in capsys.readouterr().out
    assert vidrain(*command).err == ""
    assert "frames" in json.loads(vidrain(*command, "--json").out)


def test_streaks_beyond_the_chart_are_named_in_it(samples: Path, tmp_path: Path) -> None:
    found = rain_in(samples / "odd.mp4", CleanOptions(end="3", model="baseline"))
    few, many = [0] * (len(LENGTHS) - 1), [1] * (len(LENGTHS) - 1)
    for name, lengths in (("few", few), ("many", many)):
        with fresh_folder(tmp_path / name, force=False, mark=SUMMARY) as claim:
            write_rain(replace(found, lengths=tuple(lengths)), claim)
    assert "longer" not in (tmp_path / "few" / "lengths.svg").read_text()
    assert "pixels; 1 longer than 200" in (tmp_path / "many" / "lengths.svg").read_text()


def test_a_video_without_rain_has_none(tmp_path: Path, vidrain: Vidrain) -> None:
    pictures = np.repeat(np.random.default_rng(1).integers(0, 255, (1, 64, 64), np.uint8), 5, axis=0)
    pictures[:, 20, 20] = np.arange(5) * 9
    ran = vidrain("analyze", "rain", stored(pictures, tmp_path / "dry.mp4"), "-o", tmp_path / "out")
    assert ran.code == 0
    assert "streaks    none" in ran.out
    assert ran.out.count("\n  dimension  ") == 2, "for 8x8 and 16x16 patches of R"
    assert json.loads((tmp_path / "out" / "rain.json").read_text())["direction"] is None


def test_what_a_clip_has_lost_is_named(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """A file that was cut short decodes without an error."""
    whole = index_in_front(samples / "full_range.mp4", tmp_path / "whole.mp4")
    short, out = cut(whole, tmp_path / "short.mp4", whole.stat().st_size * 6 // 10), tmp_path / "out"
    ran = vidrain("analyze", "rain", short, "-o", out)
    assert (ran.code, ran.err) == (4, "")
    found = json.loads((out / "rain.json").read_text())
    start, end = found["missing"][0][0], found["missing"][-1][1]
    track = ffmpeg_says.shown_frames(whole).seconds
    assert start == pytest.approx(found["frames"] / 25, abs=0.15)
    assert end == pytest.approx(float(track[-1] - track[0]) + 0.04, abs=0.02)
    assert f"missing    {start:.3f}-" in ran.out
    ran = vidrain("analyze", "rain", short, "--end", "3", "--json")
    assert (ran.code, json.loads(ran.out)["missing"]) == (0, [])  # of that part nothing is lost


def test_an_analysis_that_is_stopped_leaves_nothing(
    samples: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing could go on from there; nor from what a kill left."""
    out, true = tmp_path / "out", part.separated
    arguments = ("analyze", "rain", samples / "odd.mp4", "--end", "3", "-o", out)

    @contextmanager
    def stopped(*given: object, **named: object) -> Iterator[Iterator[Layers]]:
        assert (tmp_path / ".out.partial").is_dir()
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(part, "separated", stopped)
    assert vidrain(*arguments).code == 130
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(part, "separated", true)
    (left := tmp_path / ".out.partial").mkdir()
    (left / ".lock").write_text("rain.json")
    (left / "half.csv").touch()
    assert vidrain(*arguments).code == 0
    assert "half.csv" not in {path.name for path in out.iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
