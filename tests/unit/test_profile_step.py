"""The profile of a training step: a row for each term that counts, one for all, and the operations."""

import pytest

from tools.profile_step import main

TINY = ("batch=2", "patch=32", "data.crop=32", "data.readings=2", "data.crops_per_reading=1", "contrast.windows=1")


def test_a_row_for_each_term_and_the_operations(capsys: pytest.CaptureFixture[str]) -> None:
    few = ("weights.adversarial=0", "weights.location=0", "contrast.queries=2", "contrast.other=4")
    assert main(["--repeats", "1", "--rows", "12", *TINY, *few]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines[2:8]]
    assert [row[0] for row in cells[2:]] == ["without", "with layer", "with decorrelation", "with consistency"]
    assert cells[2][2] == "1.0"
    assert lines[8].startswith("| with all |")
    assert any("convolution" in line for line in lines[9:])


def test_a_setting_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["weights.rain=1"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
