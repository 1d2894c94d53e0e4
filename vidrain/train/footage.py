"""Clips to train on, read at any place: through decord where it returns the right frames, in order where not.

clip = open_footage(Path("walk.mp4"), tell)
pictures = clip.read([0, 17])  # [1, H, W] float32 luma each, or about that, upright
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from vidrain.errors import InputError, UsageError
from vidrain.events import Notice
from vidrain.video.clips import ClipReader, luma_weights, open_clips
from vidrain.video.color import conversion_for, to_luma, upright
from vidrain.video.decode import Video, open_video

Tell = Callable[[Notice], None]

_RATE = 30.0  # frames a second, where a file states none
_RAINY, _CLEAN = "_rainy", "_clean"
_VIDEOS = (".mp4", ".mov", ".mkv", ".avi", ".m4v", ".webm", ".ts")


class Footage(Protocol):
    """A clip. rate: frames a second, a hint."""

    path: Path
    rate: float

    def __len__(self) -> int:
        """Number of shown frames."""

    def read(self, indices: Sequence[int]) -> list[Tensor]:
        """Frames in rising order. [1, H, W] float32 luma each, upright, nominally in [0, 1]; InputError without one.

        Through decord it is about the luma (`_Random`).
        """


def clips_at(places: Sequence[str]) -> list[Path]:
    """The videos that files and folders stand for, those of a folder by name; InputError for what is neither."""
    return [path for place in places for path in _videos(Path(place))]


def pairs_at(places: Sequence[str]) -> list[tuple[Path, Path]]:
    """Rainy videos with their truths, somewhere in folders: NAME_rainy.EXT and NAME_clean.EXT; InputError for none."""
    found = []
    for place in places:
        rainy = sorted(path for path in Path(place).rglob(f"*{_RAINY}.*") if path.suffix.lower() in _VIDEOS)
        if not rainy:
            raise InputError(f"{place}: holds no videos called NAME{_RAINY}.mp4; tools/rain_sets.py makes some")
        found += [(path, path.with_name(path.name.replace(_RAINY, _CLEAN))) for path in rainy]
    return found


def open_footage(path: Path, tell: Tell) -> Footage:
    """Open a clip; `tell` hears why, where it is read in order, which is slower."""
    video = open_video(path)
    rate = float(video.info.rate or _RATE)
    try:
        return _Random(path, rate, open_clips(path), luma_weights(video.info))
    except (InputError, UsageError) as error:  # a file that decord misreads; no decord here
        tell(Notice(code="slow", message=f"read in order, which takes longer: {error}"))
        return _InOrder(path, rate, video)


def _videos(place: Path) -> Iterator[Path]:
    if place.is_dir():
        found = sorted(path for path in place.iterdir() if path.suffix.lower() in _VIDEOS)
        if not found:
            raise InputError(f"{place}: holds no videos ({', '.join(_VIDEOS)})")
        yield from found
    elif place.is_file():
        yield place
    else:
        raise InputError(f"{place}: no such file or folder; paths count from where vidrain runs")


class _Random:
    """Through decord: about the luma, made of RGB of eight bits that was cut off at its ends.

    On 21 clips it is 0.2 to 1.8 levels of 255 off on the mean, most often 1.2 too dark, and up to 23 at single pixels.
    """

    def __init__(self, path: Path, rate: float, clip: ClipReader, weights: tuple[float, float, float]) -> None:
        self.path, self.rate, self._clip = path, rate, clip
        self._weights = torch.tensor(weights) / 255

    def __len__(self) -> int:
        return len(self._clip)

    def read(self, indices: Sequence[int]) -> list[Tensor]:
        pictures = torch.from_numpy(self._clip.read(indices))
        return [(picture.float() @ self._weights)[None] for picture in pictures]


class _InOrder:
    """Through the decoder that writes videos: from the key frame before the first to the last."""

    def __init__(self, path: Path, rate: float, video: Video) -> None:
        self.path, self.rate, self._video = path, rate, video
        self._conversion = conversion_for(video.info)

    def __len__(self) -> int:
        return len(self._video.index.pts)

    def read(self, indices: Sequence[int]) -> list[Tensor]:
        found: dict[int, Tensor] = {}
        for frame in self._video.frames(indices[0]):
            if frame.index in indices:
                found[frame.index] = upright(to_luma(frame.planes, self._conversion), self._video.info.display_matrix)
            if frame.index >= indices[-1]:
                break
        if missing := [index for index in indices if index not in found]:
            raise InputError(f"{self.path}: frame {missing[0]} cannot be decoded; leave this clip out")
        return [found[index] for index in indices]
