"""What made a file stands in it, in the report, the events and what `inspect` says; it depends on nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from vidrain.job import CleanOptions


def line_in(path: Path) -> str:
    """The tag `vidrain`, as the program reads it; Matroska keeps it in capitals."""
    lines = ffmpeg_says.metadata(path).splitlines()
    (found,) = [line.partition("=")[2] for line in lines if line.lower().startswith("vidrain=")]
    return found.replace("\\=", "=").replace("\\;", ";")


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_one_line_in_all_places(suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target, rain = tmp_path / f"out.{suffix}", tmp_path / "rain.mp4"
    events: list[object] = []
    options = CleanOptions(end="4", rain=rain)
    report = package.clean(samples / "vfr.mp4", target, options=options, on_event=events.append)
    assert line_in(target) == report.made_by
    assert line_in(rain).startswith(f"{report.made_by}; rain layer")
    assert events[0].made_by == report.made_by  # type: ignore[attr-defined]
    assert json.loads(vidrain("inspect", target, "--json").out)["made_by"] == report.made_by
    assert f"made by   vidrain {report.made_by}" in vidrain("inspect", target).out
    assert json.loads(vidrain("inspect", samples / "vfr.mp4", "--json").out)["made_by"] is None


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_files_do_not_depend_on_folder_clock_or_order(
    suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another place, another day, another order of the same options: the same bytes."""
    files = []
    orders = [("-e", "preset=faster", "-e", "g=5", "baseline.radius=1", "shots.repeat_mean=0.1")]
    orders.append(("shots.repeat_mean=0.1", "baseline.radius=1", "-e", "g=5", "-e", "preset=faster"))
    for name, order in zip(("here", "elsewhere"), orders, strict=True):
        folder = tmp_path / name
        folder.mkdir()
        source, target = folder / f"{name}.mp4", folder / f"{name}.out.{suffix}"
        source.write_bytes((samples / "vfr.mp4").read_bytes())
        monkeypatch.setenv("SOURCE_DATE_EPOCH", str(len(files) * 10**8))
        more = ("--force", "--device", "cpu", "--model", "baseline") if files else ("--preset", "fast")
        assert vidrain("clean", source, "-o", target, "--end", "4", *order, *more).code == 0
        files.append(target.read_bytes())
    assert files[0] == files[1]


def test_other_work_has_another_line(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    lines = []
    for place, options in enumerate(
        [(), ("--crf", "20"), ("--end", "3"), ("--end", "3", "--keep-pts"), ("--archive",)]
    ):
        target = tmp_path / f"{place}.mp4"
        assert vidrain("clean", samples / "odd.mp4", "-o", target, *options).code == 0
        lines.append(line_in(target))
    assert len(set(lines)) == len(lines)
    same = tmp_path / "same.mp4"
    assert vidrain("clean", samples / "odd.mp4", "-o", same, "--end", "0.12s").code == 0  # 25 frames a second
    assert line_in(same) == lines[2]
    archive = tmp_path / "archive.mp4"
    assert vidrain("clean", samples / "odd.mp4", "-o", archive, "--codec", "ffv1").code == 0
    assert line_in(archive) == lines[4]


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_file_that_is_cleaned_again_says_what_was_last(
    suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    once, twice = tmp_path / f"once.{suffix}", tmp_path / f"twice.{suffix}"
    assert vidrain("clean", samples / "odd.mp4", "-o", once, "--end", "4", "--codec", "ffv1").code == 0
    assert vidrain("clean", once, "-o", twice, "--crf", "30").code == 0
    assert line_in(twice) != line_in(once)
