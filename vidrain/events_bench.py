"""What a benchmark of speed tells, as plain data; `events.py` has the rest."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """Said once, when the clips are rendered. runs: how many measurements there will be, those that warm up included.

    output: the folder of the figures, empty where they are only printed.
    """

    output: str
    methods: list[str]
    sizes: list[str]
    frames: list[int]
    runs: int


@dataclass(frozen=True, kw_only=True)
class BenchRun:
    """One measurement is over. repeat: 0 where it only warmed up; seconds: of the whole job, or of the network."""

    method: str
    size: str
    frames: int
    repeat: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class BenchDone:
    """Said once, after the figures are written. failed: methods at sizes that could not be measured."""

    output: str
    seconds: float
    failed: int


Benching = BenchPlan | BenchRun | BenchDone
