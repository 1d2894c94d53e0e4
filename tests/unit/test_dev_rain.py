"""The development rain: what it leaves alone, that drops fall through the frames, and that a seed gives one rain."""

from pathlib import Path

import numpy as np
import pytest

from tools.dev_rain import main, make_rain, rained
from vidrain.video.decode import open_video


def test_rain_only_brightens_and_dry_samples_are_those_of_the_source(samples: Path) -> None:
    pairs = list(rained(open_video(samples / "street_clean.mp4"), 3, 1, 1.0))
    for clean, rainy in pairs:
        added = rainy.planes[0].astype(int) - clean.planes[0]
        assert added.min() == 0
        assert 0.05 < (added > 3).mean() < 0.7
        assert (added == 0).mean() > 0.2
        assert (rainy.pts, rainy.index) == (clean.pts, clean.index)


def test_drops_persist_from_frame_to_frame() -> None:
    """A hundredth of a second on, most rain is where it was, moved down; where it was, it is not."""
    rain = make_rain((200, 300), 3, 0.05)
    early, late = rain.cover(1.0), rain.cover(1.01)
    assert np.corrcoef(early.ravel(), late.ravel())[0, 1] < 0.9
    slow = rain.distance > 0.8 * rain.distance.max()
    fall = round(float(rain.speed[slow].mean()) * 0.01)
    moved = np.roll(early, fall, 0)
    here, there = (np.corrcoef(layer[20:].ravel(), late[20:].ravel())[0, 1] for layer in (early, moved))
    assert there > here


def test_a_seed_is_one_rain() -> None:
    first, again, other = (make_rain((60, 80), seed, 1.0).cover(0.3) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert make_rain((60, 80), 1, 0.2).cover(0.3).mean() < first.mean()


@pytest.mark.parametrize("name", ["rotated.mp4", "tenbit.mp4"])
def test_a_pair_is_laid_out_for_scoring(name: str, samples: Path, tmp_path: Path) -> None:
    assert main([str(samples / name), "-o", str(tmp_path), "--frames", "5"]) == 0
    stem = Path(name).stem
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.mp4"))
    assert found == [f"clean/train/{stem}.mp4", f"paired/{stem}_clean.mp4", f"paired/{stem}_rainy.mp4"]
    rainy, clean = (open_video(tmp_path / "paired" / f"{stem}_{kind}.mp4") for kind in ("rainy", "clean"))
    assert np.array_equal(rainy.index.pts, clean.index.pts)
    assert (len(rainy.index.pts), rainy.info.display_matrix) == (5, open_video(samples / name).info.display_matrix)


def test_a_clip_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.mp4"), "-o", str(tmp_path)]) == 3
    assert "no such file" in capsys.readouterr().err
