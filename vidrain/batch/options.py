"""How a batch is run: what is asked for besides the files, and how many of them run at a time."""

from dataclasses import dataclass
from typing import Literal

from vidrain.batch.processes import cores
from vidrain.errors import UsageError

EngineName = Literal["processes", "inline", "ray"]

_CORES_EACH = 4  # of a worker: more do not make one file faster by as much


@dataclass(frozen=True, kw_only=True)
class BatchOptions:
    """How a batch is run; nothing of it changes a result.

    workers: None for as many as fit the machine; address: of a Ray cluster, None starts one here; min_free_mb: room
    that always stays free on the disk of the outputs.
    """

    engine: EngineName = "processes"
    workers: int | None = None
    address: str | None = None
    keep_going: bool = True
    force: bool = False
    min_free_mb: float = 1000.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise UsageError(f"--workers {self.workers}: allowed: 1 or more")
        if not self.min_free_mb >= 0:  # nor is it a number that is none
            raise UsageError(f"--min-free {self.min_free_mb:g}: allowed: megabytes, 0 or more")
        if self.engine == "inline" and (self.workers or 1) > 1:
            raise UsageError(
                f"--workers {self.workers}: --engine inline does one file at a time; leave one of them out"
            )
        if self.address is not None and self.engine != "ray":
            raise UsageError(f"--address {self.address}: is of a Ray cluster; add --engine ray")


def workers_of(options: BatchOptions) -> int:
    """Files at a time on this machine."""
    return options.workers or max(1, cores() // _CORES_EACH)


def at_a_time(options: BatchOptions) -> int | None:
    """Files that run at a time; None for as many as a cluster has room for, which nobody has asked yet."""
    return {"inline": 1, "ray": options.workers}.get(options.engine, workers_of(options))
