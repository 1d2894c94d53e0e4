"""Whether a file is whole, told from how it is built: the one entry to the arithmetic over boxes, elements, packets.

FFmpeg reads a file that was cut short as if it ended there. Knows nothing of FFmpeg and decodes nothing.
"""

from pathlib import Path

from vidrain.types import Structure
from vidrain.video.boxes import examine_boxes, is_boxes
from vidrain.video.elements import examine_elements, is_elements
from vidrain.video.packets import examine_packets, is_packets

_HEAD = 1024


def examine(path: Path) -> Structure:
    """What is broken in the file at `path` and what hides in it; OSError if it cannot be read."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
        size = file.seek(0, 2)
        if is_boxes(head):
            return examine_boxes(file, size)
        if is_elements(head):
            return examine_elements(file, size)
        if is_packets(head):
            return examine_packets(file, size)
    return Structure("other")
