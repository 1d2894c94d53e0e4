"""The seam between a batch and what runs its tasks: ids and JSON cross it, nothing else.

with engine:
    engine.start(task)
    for ended in engine.poll(0.5): ...
"""

from collections.abc import Callable
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

from vidrain.batch.wire import Result, Task

Tell = Callable[[str, dict[str, Any]], None]  # id of a task, one of its events as `progress.Lines` writes them


class Ended(NamedTuple):
    """How a task ended: its own result, or what the engine saw of its end."""

    id: str
    result: Result


class Engine(Protocol):
    """Runs tasks; events of theirs are told meanwhile, on the thread of who polls."""

    @property
    def slots(self) -> int:
        """Tasks at a time."""

    def start(self, task: Task) -> None:
        """Begin a task; never more than `slots` of them."""

    def poll(self, timeout_s: float) -> list[Ended]:
        """The tasks that ended, waiting for the first of them as long as that."""

    def stop(self) -> list[Ended]:
        """End all that runs, at once and with nothing half-made left; returns those that were finished already."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
