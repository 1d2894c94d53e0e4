"""The order of a batch: longest first, several at a time, what failed for want of luck again, and when to stop.

Knows engines by their seam alone, and nothing of videos or journals.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from time import monotonic, sleep
from typing import NamedTuple

from vidrain.batch.engine import Engine
from vidrain.batch.wire import Result, Task

TRIES = 4  # of a task that fails for no fault of its own
# Before the second try, four times that before each later one: 21 s in all. Memory comes back, a device recovers, a
# cluster sees that a node is gone (Ray may take 15 s, and hands it tasks until then).
_PAUSE_S = 1.0
_POLL_S = 0.25


class Begun(NamedTuple):
    """A task is about to start. attempt: 1 for the first."""

    task: Task
    attempt: int


class Over(NamedTuple):
    """A task has ended. is_last: whether it will not be tried again."""

    task: Task
    result: Result
    is_last: bool


Fits = Callable[[Task, Collection[Task]], bool]  # whether there is room for a task beside those that run

Due = Callable[[Task], bool]  # whether a task whose turn has come is still to be done

Judged = Callable[[Task, Result], Result]  # a result as it counts: who hands tasks out may know more than who ran them


def scheduled(
    tasks: Sequence[Task],
    engine: Engine,
    *,
    fits: Fits,
    keep_going: bool,
    due: Due = lambda _: True,
    judged: Judged = lambda _, result: result,
) -> Iterator[Begun | Over]:
    """Run the tasks in their order; ends early where none fits and none runs, or at the first failure.

    What is yielded may be put on the disk before the next step: a task starts only behind its `Begun`.
    """
    waiting, running = list(tasks), dict[str, Task]()
    tries: Counter[str] = Counter()
    later: list[tuple[float, Task]] = []
    goes_on = True
    while waiting or running or later:
        now = monotonic()
        waiting += [task for begins, task in later if begins <= now]
        later = [(begins, task) for begins, task in later if begins > now]
        while len(running) < engine.slots and (task := _next(waiting, running.values(), fits)) is not None:
            waiting.remove(task)
            if not due(task):
                continue
            tries[task["id"]] += 1
            yield Begun(task, tries[task["id"]])
            engine.start(task)
            running[task["id"]] = task
        if not running:
            if not later:
                return  # nothing is left, or nothing of it fits
            sleep(_POLL_S)
            continue
        for number, told in engine.poll(_POLL_S):
            task = running.pop(number)
            result = judged(task, told)
            is_due = tries[number] < result.get("tries", TRIES)
            again = goes_on and result["state"] == "failed" and result["transient"] and is_due
            yield Over(task, result, is_last=not again)
            if again:
                pause = max(_PAUSE_S * 4 ** (tries[number] - 1), result.get("free_in_s", 0.0))
                later.append((monotonic() + pause, task))
            elif result["state"] == "failed" and not keep_going:
                waiting, later, goes_on = [], [], False


def _next(waiting: Sequence[Task], running: Collection[Task], fits: Fits) -> Task | None:
    return next((task for task in waiting if fits(task, running)), None)
