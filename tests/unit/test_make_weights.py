"""Training on real and rendered rain: which clips it takes, and what it renders on them."""

from pathlib import Path

import pytest

from tools import make_weights
from tools.make_weights import LEFT_OUT, RAINY, RECIPE, main, reduced, sets_of
from tools.rain_sets import SETS
from vidrain.config import load_train
from vidrain.video.decode import open_video


def test_the_recipe_can_be_read() -> None:
    config = load_train(RECIPE, ["data.rainy=a.mp4", "data.clean=b.mp4", "data.rendered=c"])
    shares = (config.data.rendered_share, config.data.settled_share, config.data.dry_share)
    assert min(config.weights.truth, *shares) > 0
    assert sum(int(share * config.data.readings) for share in shares) == config.data.readings, "no window is idle"


def test_what_is_scored_is_not_learned_from() -> None:
    assert not {"yard", "courtyard", "vehicle", "junction", "garden", "night_crowd"} & set(RAINY)
    assert set(LEFT_OUT) == {"truck", "carpark"}


@pytest.mark.parametrize("name", ["street2", "bikes", "night_road", "kitti_gray"])
def test_sets_mean_something_on_a_clip(name: str) -> None:
    sets = sets_of(Path(f"{name}.mp4"))
    assert set(sets) <= set(SETS)
    assert len(set(sets)) == len(sets) >= 2
    assert ("night" in sets) == (name == "night_road")
    assert ("driving" in sets) == (name == "street2")


def test_large_clips_are_reduced_and_small_ones_are_not(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (same,) = reduced([samples / "street.mp4"], tmp_path / "a")
    assert (open_video(same).info.width, open_video(same).info.height) == (480, 320)
    monkeypatch.setattr(make_weights, "SIDE", 240)
    (small,) = reduced([samples / "street.mp4"], tmp_path / "b")
    assert (open_video(small).info.width, open_video(small).info.height) == (240, 160)
    assert len(open_video(small).index.pts) == len(open_video(samples / "street.mp4").index.pts)


def test_data_without_clips_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["gate-s", "--data", str(tmp_path), "-o", str(tmp_path / "out")]) == 3
    assert "holds no clean/train/*.mp4; --data says where" in capsys.readouterr().err
