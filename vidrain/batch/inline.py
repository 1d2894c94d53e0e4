"""Tasks one after the other in this very process: for looking into them with a debugger. A crash takes all along."""

import json
from types import TracebackType
from typing import Self, cast
from typing import TextIO as Stream

from vidrain.batch.engine import Ended, Tell
from vidrain.batch.task import run_task
from vidrain.batch.wire import Task
from vidrain.outputs import forget_return
from vidrain.progress import Lines


class Inline:
    """An `Engine` of one slot."""

    slots = 1

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._waiting: list[Task] = []

    def start(self, task: Task) -> None:
        """Remember it; it runs in `poll`."""
        self._waiting.append(task)

    def poll(self, timeout_s: float) -> list[Ended]:
        """Run what was begun, however long it takes."""
        ended = []
        while self._waiting:
            task = self._waiting.pop()
            with Lines(cast(Stream, _Told(self._tell, task["id"]))) as sink:
                result = run_task(task, sink)
            forget_return()
            ended.append(Ended(task["id"], result))
        return ended

    def stop(self) -> list[Ended]:
        """Nothing runs unless it is polled."""
        self._waiting.clear()
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Told:
    """What `Lines` writes to: every line is an event."""

    def __init__(self, tell: Tell, number: str) -> None:
        self._tell, self._number = tell, number

    def write(self, line: str) -> None:
        self._tell(self._number, json.loads(line))

    def flush(self) -> None:
        """Nothing is held back."""
