"""Runs the real command line inside the test process, so that a test costs no import of torch; a source, a target."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests import ffmpeg_says
from tests.batches import write_card
from vidrain.cli import main
from vidrain.errors import FAULT
from vidrain.segments import plan


def in_time(attempt: Callable[[], float], limit_s: float) -> None:
    """Whether an attempt, which tells how many seconds it took, stays below a limit: the quickest of a few counts.

    The promise is about the program, not about what else the machine does at that moment.
    """
    took: list[float] = []
    while len(took) < 5 and not (took and took[-1] < limit_s):
        took.append(attempt())
    assert min(took) < limit_s, took


@dataclass(frozen=True)
class Ran:
    """How a command ended and what it said."""

    code: int
    out: str
    err: str

    @property
    def events(self) -> list[dict[str, Any]]:
        """Standard output as the NDJSON it has to be."""
        return [json.loads(line) for line in self.out.splitlines()]


Vidrain = Callable[..., Ran]
Verify = Callable[..., dict[str, Any]]


@pytest.fixture
def source(samples: Path, tmp_path: Path) -> Path:
    """Eight frames in a folder of their own, with sound."""
    folder = tmp_path / "in"
    folder.mkdir()
    return ffmpeg_says.remux(samples / "full_range.mp4", folder / "in.mp4", "-map", "0", "-t", "0.3")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A target in a folder of its own, so that anything left behind is seen."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "out.mp4"


_CHOOSING = ("--preset", "--model", "--weights", "--adapt", "-c", "preset=", "model=", "weights=", "adapt.")


def _quickly(command: str, *arguments: str) -> tuple[str, ...]:
    """`clean` takes the quickest model where the test chooses none: most are about files, not pictures."""
    is_chosen = command != "clean" or any(argument.startswith(_CHOOSING) for argument in arguments)
    return (command, *(() if is_chosen else ("--preset", "fast")), *arguments)


@pytest.fixture
def vidrain() -> Vidrain:
    """`vidrain("clean", path, ...)`: run one command; anything but an exit fails the test, and so does a fault.

    The model of `clean` is `baseline` where the test chooses none.
    """

    def run(*arguments: str | Path) -> Ran:
        result = CliRunner().invoke(main, _quickly(*map(str, arguments)))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code != FAULT, result.stderr
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def verify(vidrain: Vidrain) -> Verify:
    """The JSON object that a run of `verify` ends with, its exit code beside what it says itself."""

    def run(output: Path, source: Path, *options: str) -> dict[str, Any]:
        ran = vidrain("verify", output, "--against", source, "--json", *options)
        found: dict[str, Any] = ran.events[-1]
        assert (ran.err, ran.code) == ("", found["exit_code"])
        return found

    return run


LENGTH = 6  # frames of a segment, for tests


@pytest.fixture
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "LONGEST", LENGTH)


@pytest.fixture
def clip(samples: Path) -> Path:
    return samples / "full_range.mp4"  # 28 frames, five short segments


@pytest.fixture
def card(samples: Path, tmp_path: Path) -> Path:
    """A folder for a batch: two clips, and a text that calls itself a video."""
    return write_card(tmp_path / "card", samples)
