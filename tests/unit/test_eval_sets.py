"""Which clips a set stands for, and that every contradiction in it is one line."""

from pathlib import Path
from typing import Any

import pytest

from vidrain.errors import InputError, UsageError
from vidrain.evaluation.sets import Box, Found, SetOptions, found_in


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for name in ("paired/a_rainy.mp4", "paired/a_clean.mp4", "paired/b_rainy.mp4", "paired/b_clean.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    for name in ("paired/walker/rain", "paired/walker/gt"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "real").mkdir()
    for name in ("yard.mp4", "car.avi", ".yard.partial.mp4"):
        (tmp_path / "real" / name).touch()
    return tmp_path


PAIRS: dict[str, Any] = {"rainy": ["paired/*_rainy.mp4"], "truth": ["paired/*_clean.mp4"]}
REAL: dict[str, Any] = {"kind": "real", "clips": ["real/*"]}


def found(data: Path, **chosen: Any) -> list[Found]:
    return found_in("mine", SetOptions(**chosen), data, 6)


def test_stars_of_the_truth_are_those_of_the_rainy(data: Path) -> None:
    pairs = found(data, **PAIRS)
    assert [(each.name, each.path.name, each.truth and each.truth.name) for each in pairs] == [
        ("a", "a_rainy.mp4", "a_clean.mp4"),
        ("b", "b_rainy.mp4", "b_clean.mp4"),
    ]
    (folder,) = found(data, rainy=["paired/*/rain"], truth=["paired/*/gt"])
    assert (folder.name, folder.path, folder.truth) == (
        "walker",
        data / "paired/walker/rain",
        data / "paired/walker/gt",
    )
    assert folder.has_steps


def test_every_key_counts(data: Path) -> None:
    chosen = {"names": ["yard"], "still": ["yard"], "overlays": ["yard 1 2 3 4", "car 0 0 9 9", "yard 5 5 5 5"]}
    (yard,) = found(data, **REAL, **chosen, every=2, frames=7, split="mine")
    assert (yard.name, yard.is_still, yard.split, yard.truth) == ("yard", True, "mine", None)
    assert yard.boxes == (Box(1, 2, 3, 4), Box(5, 5, 5, 5))
    assert list(yard.scored) == [0, 2, 4, 6]
    assert not found(data, **REAL, steps=False)[0].has_steps
    assert [each.scored.step for each in found(data, **REAL)] == [6, 6]
    assert not found(data, kind="clean", clips=["real/*"])[0].has_steps


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"rainy": ["paired/*_rainy.mp4"]}, "as many truth as rainy"),
        ({**PAIRS, "clips": ["real/*"]}, "and no clips"),
        ({"rainy": ["paired/*_rainy.mp4"], "truth": ["paired/a_clean.mp4"]}, "as many stars in each"),
        ({"kind": "real"}, "wants clips"),
        ({**REAL, "rainy": ["paired/*"]}, "neither rainy nor truth"),
        ({**REAL, "clips": ["/real/*"]}, "wants a pattern within the data"),
        ({**REAL, "clips": ["real/**"]}, "wants a pattern within the data"),
        ({**REAL, "names": ["yrad"]}, "names names yrad; there are: car, yard"),
        ({**REAL, "still": ["yrad"]}, "still names yrad"),
        ({**REAL, "overlays": ["yrad 1 2 3 4"]}, "overlays names yrad"),
        ({**REAL, "overlays": ["yard 1 2 3"]}, "wants CLIP LEFT TOP WIDTH HEIGHT"),
        ({**REAL, "overlays": ["yard 1 2 0 4"]}, "wants a width and a height"),
        ({**REAL, "every": -1}, "allowed: at least 1"),
        ({**REAL, "frames": 0}, "allowed: at least 1"),
    ],
)
def test_a_set_that_contradicts_itself(chosen: dict[str, Any], said: str, data: Path) -> None:
    with pytest.raises(UsageError) as raised:
        found(data, **chosen)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_clips_that_are_not_there(data: Path) -> None:
    with pytest.raises(InputError, match=r"set mine: no clip in .* fits paired/\*\.mkv; name the folder"):
        found(data, rainy=["paired/*.mkv"], truth=["paired/*.mov"])
    (data / "paired/b_clean.mp4").unlink()
    with pytest.raises(InputError, match=r"b_rainy\.mp4 has no truth at .*b_clean\.mp4"):
        found(data, **PAIRS)
