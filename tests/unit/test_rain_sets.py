"""The named sets: laid out for scoring, the same again from the same seed, and different from each other."""

import json
from pathlib import Path

import numpy as np
import pytest

from tools.rain_sets import SETS, main
from vidrain.rain.plan import setting_of
from vidrain.video.decode import open_video


def luma(path: Path) -> np.ndarray:
    return np.stack([frame.planes[0].astype(int) for frame in open_video(path).frames()])


def test_a_set_is_laid_out_for_scoring_and_the_same_again(samples: Path, tmp_path: Path) -> None:
    clip = samples / "vfr.mp4"
    for name in ("first", "again"):
        folder = str(tmp_path / name)
        assert main([str(clip), "-o", folder, "--sets", "light,heavy", "--frames", "3"]) == 0
    found = sorted(path.relative_to(tmp_path / "first").as_posix() for path in (tmp_path / "first").rglob("*.*"))
    names = ("vfr.json", "vfr_clean.mp4", "vfr_rainy.mp4")
    assert found == [f"{kind}/paired/{name}" for kind in ("heavy", "light") for name in names]
    added = {}
    for kind in ("light", "heavy"):
        first, again = (tmp_path / name / kind / "paired" for name in ("first", "again"))
        assert (first / "vfr_rainy.mp4").read_bytes() == (again / "vfr_rainy.mp4").read_bytes()
        added[kind] = luma(first / "vfr_rainy.mp4") - luma(first / "vfr_clean.mp4")
        assert json.loads((first / "vfr.json").read_text())["rate"] == SETS[kind].rate
    assert len(added["heavy"]) == 3
    assert np.abs(added["heavy"]).mean() > np.abs(added["light"]).mean()
    paths = [tmp_path / "first" / kind / "paired" / "vfr.json" for kind in ("light", "heavy")]
    assert len({json.loads(path.read_text())["seed"] for path in paths}) == 2


def test_half_dry_is_dry_bit_for_bit_and_then_rains(samples: Path, tmp_path: Path) -> None:
    assert main([str(samples / "vfr.mp4"), "-o", str(tmp_path), "--sets", "heavy", "--frames", "6", "--half"]) == 0
    paired = tmp_path / "half-heavy" / "paired"
    assert sorted(path.name for path in paired.iterdir()) == ["vfr.json", "vfr_clean.mp4", "vfr_rainy.mp4"]
    added = luma(paired / "vfr_rainy.mp4") - luma(paired / "vfr_clean.mp4")
    assert [bool(frame.any()) for frame in added] == [False] * 3 + [True] * 3
    times = [[frame.pts for frame in open_video(paired / f"vfr_{kind}.mp4").frames()] for kind in ("rainy", "clean")]
    assert times[0] == times[1]


def test_every_set_can_be_rendered_and_others_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(SETS) == ["light", "heavy", "gust", "driving", "night"]
    for options in SETS.values():
        setting_of(options, (90, 160))
    assert main(["x.mp4", "-o", str(tmp_path), "--sets", "snow"]) == 2
    assert "allowed: light, heavy" in capsys.readouterr().err
