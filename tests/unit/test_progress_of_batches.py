"""What a batch tells, as people get to see it."""

import re
from dataclasses import replace
from typing import Any

import pytest

from tests.told import shown_by_bar
from vidrain.batch_lines import batch_line, batch_summary
from vidrain.events import BatchDone, BatchPlan, FileEnd, FileNews, FileStart
from vidrain.progress import Quiet

BATCH = BatchPlan(
    output="clean",
    files=5,
    done=1,
    failed=1,
    todo=3,
    engine="processes",
    workers=2,
    size=1000,
    space=1500,
    free=10**9,
    seconds=None,
    basis="",
)


def start(name: str) -> FileStart:
    return FileStart(file=name, source=f"card/{name}", attempt=1)


def end(name: str, state: str, code: int = 0, cause: str = "") -> FileEnd:
    return FileEnd(file=name, source=f"card/{name}", state=state, code=code, cause=cause, log=None, seconds=1.0)


TROUBLES = [end("a\nb.mp4", "failed", 3, "no video"), end("c.mp4", "partial", 4, "missing: 1.00 to 2.00 s")]
BATCH_DONE = BatchDone(
    output="clean", files=5, before=1, done=1, partial=1, failed=0, left=1, seconds=9.0, troubles=TROUBLES
)
TABLE = [
    "state   code file    cause",
    "failed  3    a b.mp4 no video",
    "partial 4    c.mp4   missing: 1.00 to 2.00 s",
    "clean: 1 done, 1 partial, 1 not run, 1 done before, 1 failed before (try them again: vidrain batch retry clean), "
    "of 5 files, in 9.0 s",
]


def last_line(**counts: Any) -> str:
    none: dict[str, Any] = {"files": 5, "before": 0, "done": 0, "partial": 0, "failed": 0, "left": 0, "seconds": 9.0}
    return batch_summary(BatchDone(output="clean", troubles=[], **none | counts))[-1]


def test_says_how_much_is_kept_of_what_was_stopped() -> None:
    """As `clean` does: who was stopped need not think that hours are lost."""
    said = last_line(done=1, left=4, kept={"a.mp4": (240, 600)})
    assert said == "clean: 1 done, 1 stopped (240 of 600 frames of a.mp4 are kept), 3 not run, of 5 files, in 9.0 s"
    said = last_line(left=5, kept={f"{name}.mp4": (1, 2) for name in "abcd"})
    assert "4 stopped (1 of 2 frames of a.mp4, 1 of 2 frames of b.mp4, 1 of 2 frames of c.mp4, ... are kept)" in said


def test_says_that_there_is_nothing_to_try_again_and_counts_one_as_one() -> None:
    assert last_line(files=0) == "clean: no file failed, there is nothing to try again"
    assert last_line(files=1, done=1) == "clean: 1 done, of 1 file, in 9.0 s"
    assert batch_line(replace(BATCH, todo=1, files=1)).startswith("clean: 1 of 1 file to do, ")


def test_shows_a_line_for_every_worker_and_one_for_all() -> None:
    frames: dict[str, Any] = {"frames": 7, "total": 20, "fps": 5.0, "eta_s": 2.6}
    told = [BATCH, start("x.mp4"), start(long := "a/" * 30 + "y.mp4"), start("[red]z.mp4")]
    told += [FileNews(file="x.mp4", event="plan", fields={"frames": 20})]
    told += [FileNews(file="x.mp4", event="progress", fields=frames)]
    _, text = shown_by_bar(*told)
    assert "clean: 3 of 5 files to do, 1 done before, 1 failed before; processes" in text
    assert "[red]z.mp4 " in text, "no markup"
    assert re.search(r"x\.mp4 .* 7/20 5\.0 frames/s", text)
    assert re.search(r"\.\.\.(/?a)+/y\.mp4 ", text)
    news = FileNews(file="x.mp4", event="resumed", fields={"frames": 5, "total": 20})
    other = FileNews(file="x.mp4", event="warning", fields={"code": "anew", "message": "[other] device"})
    quiet = FileNews(file="x.mp4", event="warning", fields={"code": "colour", "message": "of no interest here"})
    said = shown_by_bar(*told, news, other, quiet)[1]
    assert ("x.mp4: resumed 25 %" in said, "x.mp4: note: [other] device" in said) == (True, True)
    assert "of no interest" not in said
    last = shown_by_bar(*told, end("x.mp4", "done"), end(long, "again", 137, "killed"))[1]
    assert f"AGAIN {long}: 137: killed" in last
    assert re.search(r"files .* 1/3", last), "what will be tried again is not over"
    assert "x.mp4" not in re.split(r"1/3", last)[-1]


def lines_of_workers(text: str) -> list[str]:
    """What the last picture says of each: number, and file or that it waits."""
    picture = re.split(r"[\r\n]+", text.rpartition("files")[2])
    return [found[0] for line in picture if (found := re.match(r"\d  \S+", line))]


def test_a_worker_keeps_its_line() -> None:
    told = [BATCH, start("a.mp4"), start("b.mp4")]
    assert lines_of_workers(shown_by_bar(*told[:2])[1]) == ["1  a.mp4", "2  waits"]
    assert lines_of_workers(shown_by_bar(*told)[1]) == ["1  a.mp4", "2  b.mp4"]
    told += [end("a.mp4", "done")]
    assert lines_of_workers(shown_by_bar(*told)[1]) == ["1  waits", "2  b.mp4"]
    told += [start("c.mp4")]
    assert lines_of_workers(shown_by_bar(*told)[1]) == ["1  c.mp4", "2  b.mp4"]
    told += [start("of a third, on a node that came")]
    assert lines_of_workers(shown_by_bar(*told)[1]) == ["1  c.mp4", "2  b.mp4", "3  of"]


def test_lists_what_went_wrong_with_many_files() -> None:
    never_began = end("z.mp4", "failed", 5, "exists already")
    _, text = shown_by_bar(BATCH, never_began, BATCH_DONE)
    lines = [line.rstrip() for line in re.split(r"[\r\n]+", text)]
    assert "FAILED z.mp4: 5: exists already" in lines
    assert [line for line in lines if line in TABLE] == TABLE


def test_quiet_tells_how_a_batch_went(capsys: pytest.CaptureFixture[str]) -> None:
    with Quiet() as sink:
        for event in (BATCH, start("x.mp4"), end("x.mp4", "done"), BATCH_DONE):
            sink(event)
    assert capsys.readouterr() == ("", "".join(f"vidrain: {line}\n" for line in TABLE))
