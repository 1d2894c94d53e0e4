"""What this process leaves when it is stopped before its work is done: nothing, but what another run can go on from.

A registry of names alone, for an end without unwinding and for its last line; nothing here is about video.
"""

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

IsOurs = Callable[[], bool]  # whether it is this process to whom something belongs, still

files: dict[Path, IsOurs] = {}  # that no end of this process may leave behind
folders: dict[Path, IsOurs] = {}  # likewise
_left: dict[Path, str] = {}  # folder -> in words, what of it stays and is of use


def always() -> bool:
    """Of what nobody else can take over."""
    return True


def begin() -> None:
    """A new job: what an earlier one left is no concern of it."""
    _left.clear()


def leave_nothing_of(folder: Path, is_ours: IsOurs) -> None:
    """Nothing in this folder is of use yet. is_ours: false once another process works there, who took us for dead."""
    folders[folder] = is_ours


def leave(folder: Path, said: str) -> None:
    """What is in this folder is of use. said: what there is, in words."""
    folders.pop(folder, None)
    _left[folder] = said


def forget(folder: Path) -> None:
    """This folder is no concern any more, but for what was said of it last."""
    folders.pop(folder, None)


def what_is_left() -> str | None:
    """In words, what another run can go on from; None where there is nothing."""
    return "; ".join(said for folder, said in _left.items() if folder.exists()) or None


def abandon() -> None:
    """Remove what this process has half-made and cannot be gone on from: before it ends without unwinding.

    Other threads may be at work meanwhile. What another process has taken over is left to it; what cannot be removed
    stays, and keeps nothing else from going.
    """
    # Before the files: these are locks, and whoever waits for one works in the folder.
    for folder, is_ours in folders.copy().items():
        with suppress(OSError):
            if is_ours():
                shutil.rmtree(folder, ignore_errors=True)
    for file, is_ours in files.copy().items():
        with suppress(OSError):
            if is_ours():
                file.unlink()
