"""What a terminal shows of a batch while it runs, on a real terminal; and a pipe, which is shown nothing."""

from __future__ import annotations

import os
import pty
import sys
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.batches import CHEAP, INLINE
from tests.pipeline.conftest import Vidrain
from vidrain.cli import main


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path, code: int = 1) -> str:
    """All that `vidrain` writes to standard error, which is a terminal."""
    ours, theirs = pty.openpty()
    said = bytearray()

    def read() -> None:
        with suppress(OSError):  # EIO: the other side is closed
            while data := os.read(ours, 1 << 16):
                said.extend(data)

    reader = Thread(target=read)
    reader.start()
    with monkeypatch.context() as patch, os.fdopen(theirs, "w") as terminal:
        patch.setattr(sys, "stderr", terminal)
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "160")
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments)])
    reader.join()
    os.close(ours)
    assert ended.value.code == code
    return said.decode()


@pytest.mark.proves("batch run --progress", "batch retry --progress")
def test_a_line_for_every_worker_where_it_is_wanted(
    card: Path, tmp_path: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    for command in (("run", card / "text.mp4", "-o", out, *INLINE, *CHEAP, "--fresh"), ("retry", out)):
        for options, is_shown in (((), True), (("--progress",), True), (("--no-progress",), False)):
            shown = on_a_terminal(monkeypatch, "batch", *command, *options)
            assert ("1  text.mp4" in shown, "1 failed, of 1 file," in shown) == (is_shown, True), shown
        piped = vidrain("batch", *command, "--progress")
        assert ("1  text.mp4" in piped.err, "1 failed, of 1 file," in piped.err, piped.out) == (False, True, "")
