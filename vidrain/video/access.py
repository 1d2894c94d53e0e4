"""Whether any frame can be had by its number: random access against decoding in order, and decord against PyAV.

found = compare_access("clip.mp4", frames=200)
found.wrong, found.decord  # (), None: all is well
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vidrain.errors import InputError, UsageError
from vidrain.types import Frame
from vidrain.video.clips import open_clips
from vidrain.video.decode import open_video

FRAMES = 200


@dataclass(frozen=True)
class Access:
    """What was found. frames: how many were tried; wrong: indices of those that differ from decoding in order.

    decord: what it does otherwise than PyAV, or why that could not be found out; None where it gives the same frames.
    """

    frames: int
    wrong: tuple[int, ...]
    decord: str | None


def compare_access(
    path: str | Path, *, frames: int = FRAMES, seed: int = 0, beat: Callable[[], None] = lambda: None
) -> Access:
    """Fetch frames of the first video in random order, all of them where it has no more; decodes it whole once.

    Frames count as the same when index, time and every sample of every plane are. beat: called whenever another
    frame was read, for a watchdog. Raises InputError for a file that cannot be read.
    """
    video = open_video(path, beat=beat)
    count = len(video.index.pts)
    drawn = np.random.default_rng(seed).permutation(count)[:frames].tolist()
    wanted = set(drawn)
    due: dict[int, bytes] = {}
    for frame in video.frames():
        beat()
        if frame.index in wanted:
            due[frame.index] = _digest(frame)
    tried = [index for index in drawn if index in due]
    wrong: list[int] = []
    for index in tried:
        beat()
        if _digest(video.frame(index)) != due[index]:
            wrong.append(index)
    return Access(len(tried), tuple(sorted(wrong)), _decord(path, frames, seed, beat))


def _decord(path: str | Path, frames: int, seed: int, beat: Callable[[], None]) -> str | None:
    try:
        open_clips(path, checks=frames, seed=seed, beat=beat)
    except (InputError, UsageError) as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _digest(frame: Frame) -> bytes:
    digest = hashlib.sha256(f"{frame.index} {frame.pts} {frame.duration}".encode())
    for plane in frame.planes:
        digest.update(np.ascontiguousarray(plane).data)
    return digest.digest()
