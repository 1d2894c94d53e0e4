"""Whether a file is whole, told from how it is built: the one entry to the arithmetic over its parts.

FFmpeg reads a file that was cut short as if it ended there. Knows nothing of FFmpeg and decodes nothing.
"""

from collections.abc import Callable
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from vidrain.types import Structure
from vidrain.video.boxes import is_boxes
from vidrain.video.chunks import examine_chunks, is_chunks
from vidrain.video.element import is_elements
from vidrain.video.elements import examine_elements
from vidrain.video.movie import examine_boxes
from vidrain.video.packets import HEAD, examine_packets, is_packets

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Beating(FileIO):
    """A file that tells of every read that came back."""

    def __init__(self, path: Path, beat: Callable[[], None]) -> None:
        super().__init__(path)
        self._beat = beat

    def readinto(self, buffer: "WriteableBuffer", /) -> int | None:
        """As in any file, then the beat."""
        count = super().readinto(buffer)
        self._beat()
        return count


def examine(path: Path, beat: Callable[[], None] = lambda: None) -> Structure:
    """What is broken in the file at `path` and what hides in it; OSError if it cannot be read.

    beat: called whenever it has moved on, for a watchdog.
    """
    with BufferedReader(_Beating(path, beat)) as file:
        head = file.read(HEAD)
        size = file.seek(0, 2)
        if is_boxes(head):
            return examine_boxes(file, size)
        if is_elements(head):
            return examine_elements(file, size)
        if is_packets(head):
            return examine_packets(file, size)
        if is_chunks(head):
            return examine_chunks(file, size)
    return Structure("other")
