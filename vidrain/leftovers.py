"""What this process leaves when it is stopped before its work is done: nothing, but what another run can go on from.

A registry of names alone, for an end without unwinding and for its last line; nothing here is about video.
"""

import shutil
from contextlib import suppress
from pathlib import Path

files: set[Path] = set()  # that no end of this process may leave behind
folders: set[Path] = set()  # likewise
_left: dict[Path, str] = {}  # folder -> in words, what of it stays and is of use


def begin() -> None:
    """A new job: what an earlier one left is no concern of it."""
    _left.clear()


def leave_nothing_of(folder: Path) -> None:
    """Nothing in this folder is of use yet."""
    folders.add(folder)


def leave(folder: Path, said: str) -> None:
    """What is in this folder is of use. said: what there is, in words."""
    folders.discard(folder)
    _left[folder] = said


def forget(folder: Path) -> None:
    """This folder is no concern any more, but for what was said of it last."""
    folders.discard(folder)


def what_is_left() -> str | None:
    """In words, what another run can go on from; None where there is nothing."""
    return "; ".join(said for folder, said in _left.items() if folder.exists()) or None


def abandon() -> None:
    """Remove what this process has half-made and cannot be gone on from: before it ends without unwinding.

    Other threads may be at work meanwhile. What cannot be removed stays, and keeps nothing else from going.
    """
    for folder in tuple(folders):  # before the files: these are locks, and whoever waits for one works in the folder
        shutil.rmtree(folder, ignore_errors=True)
    for file in tuple(files):
        with suppress(OSError):
            file.unlink()
