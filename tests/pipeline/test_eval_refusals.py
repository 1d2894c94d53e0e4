"""What `vidrain eval` refuses, in one line each, and before any work where that can be."""

from pathlib import Path

import pytest

from tests.benchmarks import clips as clips
from tests.benchmarks import data as data
from tests.benchmarks import kept
from tests.broken import wiped
from tests.pipeline.conftest import Vidrain


def refusals(tmp_path: Path) -> dict[str, tuple[tuple[str, ...], int, str]]:
    """What is refused: arguments, exit code, what is said."""
    return {
        "set": (("--set", "pear"), 2, "--set pear: no such set; there are: harm, pairs, real, walkers"),
        "key": (("sets.pairs.evry=2",), 2, "Did you mean"),
        "every": (("--every", "0"), 2, "allowed: at least 1"),
        "model": (("--method", "bseline"), 7, "model bseline is not known"),
        "weights": (("--method", "gate-s=none.safetensors"), 7, "none.safetensors: no such weights file"),
        "label": (("--method", "baseline", "--method", "baseline"), 2, "two are called baseline"),
        "meaningless": (("--method", "baseline encode.crf=3"), 2, "encode means nothing for a benchmark; leave it out"),
        "empty": (("--method", "it:  "), 2, "wants MODEL[=WEIGHTS], input or results=FOLDER"),
        "results": (("--method", f"results={tmp_path}/none"), 3, "no such folder of results"),
        "no result": (("--method", f"results={tmp_path}"), 3, "holds nothing called"),
        "adapt": (("--method", "baseline adapt.steps=2"), 2, "baseline"),
        "data": (("--data", f"{tmp_path}/none"), 3, "no such folder; name the folder of the data by --data"),
        "input": (("--method", "input baseline.radius=1"), 2, "wants input alone"),
    }


@pytest.mark.parametrize("name", refusals(Path()))
def test_what_is_refused(name: str, vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    arguments, code, said = refusals(tmp_path)[name]
    ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", *arguments)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err
    assert ran.err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_clips_that_do_not_pair_up_and_folders_of_others(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    common = ("eval", "-c", tmp_path / "eval.yaml", "-o")
    assert "name" in vidrain("eval", "-o", tmp_path / "out").err
    ran = vidrain(*common, data)
    assert (ran.code, ran.err.count("\n")) == (5, 1)
    assert "holds something else than a benchmark" in ran.err
    assert vidrain(*common, tmp_path / "none" / "out").code == 5
    assert vidrain(*common, tmp_path / "eval.yaml").code == 5
    (data / "paired/walker/gt/001.png").unlink()
    ran = vidrain(*common, tmp_path / "out")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "2 rainy frames, but 1 clean ones" in ran.err


def test_a_clip_with_a_frame_that_does_not_decode(samples: Path, vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    wiped(samples / "street.mp4", data / "clean/dog.mp4", range(9, 10))
    ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--set", "harm", "--every", "13")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "does not decode; measure on clips that are whole" in ran.err
    assert list(kept(tmp_path / "out")) == ["rows/harm/cat/baseline.json"]
