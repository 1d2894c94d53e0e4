"""The tool that tells how much of real rain goes: its shares by hand, and a table of a clip with rain."""

from pathlib import Path

import pytest
import torch

from tools.settled_rain import Shares, known_at, main, shares_of
from vidrain.train.footage import open_footage
from vidrain.train.settled import Truth


def told() -> tuple[torch.Tensor, Truth]:
    """A picture with two pixels of rain, 0.4 and 0.2, a dry half, and a place where nobody knows."""
    background, known = torch.full((1, 1, 6), 0.5), torch.ones(1, 1, 6)
    observed = background.clone()
    observed[..., 0] += 0.4
    observed[..., 1] += 0.2
    observed[..., 5] += 0.3
    known[..., 5] = 0
    background[..., 5] = observed[..., 5]
    return observed, Truth(background, known)


@pytest.mark.parametrize(
    ("rain", "due"),
    [
        ((0.4, 0.2, 0, 0, 0, 0), (1, 0, 0, 0)),
        ((0.0, 0.0, 0, 0, 0, 0), (0, 0, 0, 1)),
        ((0.4, 0.0, 0, 0, 0, 0), (2 / 3, 0, 0, 0.2)),
        ((0.4, 0.5, 0, 0, 0, 0), (1, 0.5, 0, 0.45)),
        ((0.4, 0.2, 0, 0.3, 0, 0.9), (1, 0, 0.5, 0.45)),  # what is taken where nobody knows does not count
    ],
)
def test_shares_by_hand(rain: tuple[float, ...], due: tuple[float, ...]) -> None:
    observed, truth = told()
    assert shares_of(observed, torch.tensor(rain)[None, None], truth) == pytest.approx(Shares(*due), abs=1e-5)


def test_rounding_is_no_rain(samples: Path) -> None:
    """The truth is told of luma in fixed point: where nothing is taken, it is the observation to the last bit."""
    observed, truth = known_at(open_footage(samples / "street.mp4", lambda notice: None), 20)
    known = truth.known > 0
    there = (observed - truth.background)[known]
    assert known.float().mean() > 0.3
    assert 0.001 < float((there != 0).float().mean()) < 0.4
    assert float(there[there != 0].median()) > 2 / 255


def test_a_table_of_a_clip(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "road.mp4").symlink_to(samples / "street.mp4")
    given = ("--data", str(tmp_path), "--clips", "road", "--frames", "1")
    assert main(["baseline baseline.radius=0", "wide: baseline baseline.radius=3", *given]) == 0
    head, _, nothing, much = capsys.readouterr().out.splitlines()
    assert head == "| method | gone | over | false | error | gone, road |"
    assert nothing == "| baseline baseline.radius=0 | 0.0 % | 0.0 % | 0.0 % | 100.0 % | 0.0 % |"
    name, gone, _, _, error, of_road = (cell.strip() for cell in much.strip("|").split("|"))
    assert (name, gone) == ("wide", of_road)
    assert float(gone.split()[0]) > 30
    assert float(error.split()[0]) < 80


def test_what_cannot_be_measured(samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "real").mkdir()
    for name in ("rotated", "street"):
        (tmp_path / "real" / f"{name}.mp4").symlink_to(samples / f"{name}.mp4")
    assert main(["baseline", "--data", str(tmp_path), "--clips", "rotated"]) == 3
    assert "frames; want 29 or more" in capsys.readouterr().err
    assert main(["input", "--data", str(tmp_path), "--clips", "street"]) == 2
    assert "is no model of luma" in capsys.readouterr().err
    assert main(["baseline", "--data", str(tmp_path), "--frames", "0"]) == 2
    assert "--frames 0: allowed" in capsys.readouterr().err
