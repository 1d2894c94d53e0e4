"""`clean --report` that is broken off when the video is finished and its page is not."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.batches import CHEAP
from tests.pipeline.conftest import Vidrain
from tests.pipeline.test_exits import events_until, started
from tests.stopped import resumed


@pytest.mark.fault(25, 26)
@pytest.mark.proves("clean --report")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_the_same_command_makes_the_page_that_is_missing(number: int, clip: Path, out: Path, vidrain: Vidrain) -> None:
    page = out.with_name("page.html")
    command = ("clean", clip, "-o", out, *CHEAP, "--report", page, "--json")
    with started(*command) as process:
        events_until(process, lambda event: event["event"] == "page_plan")
        process.send_signal(number)
        said, error = process.communicate(timeout=60)
    assert process.returncode == (-signal.SIGKILL if number == signal.SIGKILL else 130)
    if number == signal.SIGINT:
        assert f"interrupted; {out} is finished, and the same command goes on with the rest" in said + error
    made = out.stat()
    assert not page.exists()
    ran = vidrain(*command)
    assert (ran.code, resumed(ran)) == (0, [28])
    assert out.stat().st_mtime_ns == made.st_mtime_ns, "nothing is computed again"
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.mp4", "page.html"]


@pytest.mark.proves("clean --report")
def test_a_page_that_cannot_be_written_costs_no_video(
    clip: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vidrain.errors import OutputError
    from vidrain.viewer import report

    def full(*_: object) -> None:
        raise OutputError("page.html: cannot be written (No space left on device); check space and rights")

    command = ("clean", clip, "-o", out, *CHEAP, "--report", out.with_name("page.html"))
    with monkeypatch.context() as patch:
        patch.setattr(report, "write_page", full)
        ran = vidrain(*command)
    assert (ran.code, f"{out} is finished, and the same command goes on" in ran.err) == (5, True)
    assert vidrain(*command).code == 0
    assert sorted(path.name for path in out.parent.iterdir()) == ["out.mp4", "page.html"]
