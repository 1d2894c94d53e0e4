"""Whether any frame can be had by its number: random access against decoding in order, and decord against PyAV.

found = compare_access("clip.mp4", frames=200)
found.wrong, found.decord  # (), None: all is well
"""

import hashlib
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


def compare_access(path: str | Path, *, frames: int = FRAMES, seed: int = 0) -> Access:
    """Fetch frames of the first video in random order, all of them where it has no more; decodes it whole once.

    Frames count as the same when index, time and every sample of every plane are. Raises InputError for a file that
    cannot be read.
    """
    video = open_video(path)
    count = len(video.index.pts)
    drawn = np.random.default_rng(seed).permutation(count)[:frames].tolist()
    wanted = set(drawn)
    due = {frame.index: _digest(frame) for frame in video.frames() if frame.index in wanted}
    tried = [index for index in drawn if index in due]
    wrong = tuple(sorted(index for index in tried if _digest(video.frame(index)) != due[index]))
    return Access(len(tried), wrong, _decord(path, frames, seed))


def _decord(path: str | Path, frames: int, seed: int) -> str | None:
    try:
        open_clips(path, checks=frames, seed=seed)
    except (InputError, UsageError) as error:
        return str(error).removeprefix(f"{path}: ")
    return None


def _digest(frame: Frame) -> bytes:
    digest = hashlib.sha256(f"{frame.index} {frame.pts} {frame.duration}".encode())
    for plane in frame.planes:
        digest.update(np.ascontiguousarray(plane).data)
    return digest.digest()
