"""What can be measured: a video file, or a folder of pictures, read from the beginning any number of times."""

import hashlib
from collections.abc import Container, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from vidrain.errors import InputError
from vidrain.types import Frame, VideoInfo
from vidrain.video.decode import open_video


class Clip(NamedTuple):
    """A source of frames. paths: the video, or the pictures in order; length: how many frames there are."""

    info: VideoInfo
    length: int
    paths: tuple[Path, ...]

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder of pictures."""
        return len(self.paths) > 1 or self.paths[0].suffix == ".png"

    def frames(self) -> Iterator[Frame]:
        """Frames in order; a folder of pictures counts them. Raises InputError where one cannot be read."""
        if not self.is_folder:
            return open_video(self.paths[0]).frames()
        return (self._picture(index, path) for index, path in enumerate(self.paths))

    def chosen(self, wanted: Container[int]) -> Iterator[Frame]:
        """Frames whose index is wanted, in order."""
        return (frame for frame in self.frames() if frame.index in wanted)

    @property
    def hash(self) -> str:
        """SHA-256 over the bytes of its files, in order."""
        digest = hashlib.sha256()
        for path in self.paths:
            try:
                with path.open("rb") as file:
                    digest.update(hashlib.file_digest(file, "sha256").digest())
            except OSError as error:
                raise InputError(f"{path}: cannot be read ({error.strerror})") from error
        return digest.hexdigest()

    def _picture(self, index: int, path: Path) -> Frame:
        found = next(open_video(path).frames(), None)
        if found is None:
            raise InputError(f"{path}: holds no picture that can be read")
        if [plane.shape for plane in found.planes] != list(self.info.layout.plane_shapes(*self._size)):
            raise InputError(f"{path}: is not {self.info.width}x{self.info.height} as the pictures before it")
        return replace(found, pts=index, duration=1, index=index)

    @property
    def _size(self) -> tuple[int, int]:
        return self.info.width, self.info.height


def clip_of(path: Path) -> Clip:
    """A video file, or a folder of .png pictures in the order of their names; InputError where it is neither."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    paths = tuple(sorted(path.glob("*.png"))) if path.is_dir() else (path,)
    if not paths:
        raise InputError(f"{path}: holds no .png pictures")
    video = open_video(paths[0])
    return Clip(video.info, len(paths) if path.is_dir() else len(video.index.pts), paths)
