"""The order of a batch, its second tries and its ends, on an engine that follows a script."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from types import TracebackType
from typing import Self

import pytest

from vidrain.batch.engine import Ended
from vidrain.batch.schedule import TRIES, Begun, Over, scheduled
from vidrain.batch.wire import Result, Task, failed

GOOD: Result = {"state": "done", "code": 0}
BAD = failed(3, "no", transient=False)
UNLUCKY = failed(137, "killed", transient=True)


class Scripted:
    """An engine whose tasks end as they are told to, the first begun first."""

    def __init__(self, slots: int, **results: list[Result]) -> None:
        self.slots, self._results = slots, results
        self.running: list[str] = []
        self.most = 0

    def start(self, task: Task) -> None:
        assert task["id"] not in self.running
        self.running.append(task["id"])
        self.most = max(self.most, len(self.running))

    def poll(self, timeout_s: float) -> list[Ended]:
        number = self.running.pop(0)
        return [Ended(number, dict(self._results.get(number, [GOOD]).pop(0)))]

    def stop(self) -> list[Ended]:
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vidrain.batch.schedule._PAUSE_S", 0.0)
    monkeypatch.setattr("vidrain.batch.schedule._POLL_S", 0.0)


def always(task: Task, running: Collection[Task]) -> bool:
    return True


def said(steps: Iterator[Begun | Over]) -> str:
    """+a1: a begins for the first time; -a: it ended and will be tried again; -a.: it ended for good."""
    return " ".join(
        f"+{step.task['id']}{step.attempt}" if isinstance(step, Begun) else f"-{step.task['id']}" + "." * step.is_last
        for step in steps
    )


def tasks(names: str) -> list[Task]:
    return [{"id": name} for name in names]


def test_in_order_and_as_many_as_there_are_slots() -> None:
    engine = Scripted(2)
    assert said(scheduled(tasks("abc"), engine, fits=always, keep_going=True)) == "+a1 +b1 -a. +c1 -b. -c."
    assert engine.most == 2


def test_what_is_done_when_its_turn_comes_does_not_begin() -> None:
    steps = scheduled(tasks("abc"), Scripted(1), fits=always, keep_going=True, due=lambda task: task["id"] == "b")
    assert said(steps) == "+b1 -b."


def test_a_failure_stops_no_other() -> None:
    engine = Scripted(1, a=[BAD])
    assert said(scheduled(tasks("ab"), engine, fits=always, keep_going=True)) == "+a1 -a. +b1 -b."


def test_bad_luck_is_tried_again_behind_the_others() -> None:
    engine = Scripted(1, a=[UNLUCKY, GOOD])
    assert said(scheduled(tasks("abc"), engine, fits=always, keep_going=True)).startswith("+a1 -a +b1")
    engine = Scripted(1, a=[UNLUCKY, GOOD])
    assert said(scheduled(tasks("a"), engine, fits=always, keep_going=True)) == "+a1 -a +a2 -a."


def test_who_hands_tasks_out_may_know_better() -> None:
    engine = Scripted(1, a=[BAD, GOOD])
    steps = scheduled(
        tasks("a"), engine, fits=always, keep_going=True, judged=lambda _, told: told | {"transient": True}
    )
    assert said(steps) == "+a1 -a +a2 -a."


def test_bad_luck_has_an_end() -> None:
    engine = Scripted(1, a=[UNLUCKY] * 9)
    steps = said(scheduled(tasks("a"), engine, fits=always, keep_going=True))
    assert steps.endswith(" -a.")
    assert steps.count("+") == TRIES


def test_a_permanent_fault_is_not_tried_again() -> None:
    assert said(scheduled(tasks("a"), Scripted(1, a=[BAD]), fits=always, keep_going=True)) == "+a1 -a."


def test_stopping_at_the_first_failure_lets_what_runs_end() -> None:
    engine = Scripted(2, a=[BAD])
    assert said(scheduled(tasks("abcd"), engine, fits=always, keep_going=False)) == "+a1 +b1 -a. -b."


def test_stopping_at_the_first_failure_tries_nothing_again() -> None:
    engine = Scripted(2, a=[BAD], b=[UNLUCKY, GOOD])
    assert said(scheduled(tasks("abc"), engine, fits=always, keep_going=False)) == "+a1 +b1 -a. -b."


def test_what_does_not_fit_waits_for_room_and_smaller_ones_go_first() -> None:
    size = {"a": 5, "b": 3, "c": 1}

    def fits(task: Task, running: Collection[Task]) -> bool:
        return size[task["id"]] + sum(size[other["id"]] for other in running) <= 6

    engine = Scripted(3)
    assert said(scheduled(tasks("abc"), engine, fits=fits, keep_going=True)) == "+a1 +c1 -a. +b1 -c. -b."


def test_it_ends_where_nothing_fits() -> None:
    engine = Scripted(3)
    assert said(scheduled(tasks("ab"), engine, fits=lambda task, _: task["id"] == "b", keep_going=True)) == "+b1 -b."


def test_a_task_starts_only_when_its_begin_was_taken() -> None:
    engine = Scripted(1)
    steps = scheduled(tasks("a"), engine, fits=always, keep_going=True)
    assert isinstance(next(steps), Begun)
    assert engine.running == []


def test_who_may_be_dead_on_another_host_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """The node of a first try is lost: its lease outlasts all the pauses; four tries in vain would fail the file."""
    now = [0.0]
    monkeypatch.setattr("vidrain.batch.schedule.monotonic", lambda: now[0])
    monkeypatch.setattr("vidrain.batch.schedule.sleep", lambda seconds: now.__setitem__(0, now[0] + 0.5))
    busy = failed(6, "busy", transient=True) | {"free_in_s": 40.0}
    steps = scheduled(tasks("a"), Scripted(1, a=[busy, GOOD]), fits=always, keep_going=True)
    begun = [now[0] for step in steps if isinstance(step, Begun)]
    assert begun[0] == 0
    assert 40 <= begun[1] < 42


def test_some_bad_luck_is_worth_fewer_tries() -> None:
    engine = Scripted(1, a=[UNLUCKY | {"tries": 2}] * 9)
    assert said(scheduled(tasks("a"), engine, fits=always, keep_going=True)) == "+a1 -a +a2 -a."
