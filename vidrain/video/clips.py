"""Random access to the frames of a clip, for training and previews. The only door to decord.

decord is fast, but takes its order from packets: in files with an edit list or open groups of pictures it
returns other frames than were asked for, without a word. So a file is compared with the index and with
PyAV's own decode before the first read, and refused where they disagree. Never asked for times: those are
decord's own.

    clip = open_clips("walk.mp4")
    pictures = clip.read([0, 17, 3])  # [3, H, W, 3] uint8 RGB, upright
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from vidrain.errors import InputError, UsageError
from vidrain.types import Frame, VideoInfo
from vidrain.video.color import Conversion, conversion_for, to_rgb, upright
from vidrain.video.decode import Video, open_video

Pictures = npt.NDArray[np.uint8]
_Grey = npt.NDArray[np.float32]

_UNTAGGED, _TAKEN_FOR = 2, 6  # matrices of H.273: of a video without a tag, of whatever size, and of BT.601
# BT.601; only has to weigh decord's picture and ours alike.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Grey levels between decord's frame and ours, means removed. 45 clips, up to 40 frames each in random
# order: right frames at most 1.63 (HD without a colour tag, where the two assume different matrices;
# elsewhere 0.62). Frames one off differ by 0.41 (a still scene) to 28, so the limit alone would not do:
# the right frame was always nearer to ours than both neighbours, by 0.003 or more even where frames repeat.
_LARGEST_DIFFERENCE = 3.0


class ClipReader:
    """Frames of one clip by index; made by `open_clips`.

    Not for two threads, nor for a process forked after it was opened: let each worker open its own.
    """

    def __init__(self, path: Path, reader: Any, length: int) -> None:
        self._path, self._reader, self._length = path, reader, length

    def __len__(self) -> int:
        """Number of shown frames, equal to that of the frame index."""
        return self._length

    def read(self, indices: Sequence[int]) -> Pictures:
        """Frames in the order asked for, repeats allowed. [N, H, W, 3] uint8 RGB, upright

        Upright is as a player shows it and as models see it (`color.upright`), so H and W of a portrait clip
        are swapped against `VideoInfo`. Colours are decord's conversion, about one level from `to_rgb`.
        Raises IndexError for an index outside 0 to len - 1, InputError where a frame cannot be decoded.
        """
        outside = [index for index in indices if not 0 <= index < self._length]
        if outside:
            raise IndexError(f"{self._path}: holds frames 0 to {self._length - 1}, asked for {outside[0]}")
        try:
            pictures: Pictures = self._reader.get_batch(list(indices)).asnumpy()
        except _failures(_decord()) as error:
            raise InputError(f"{self._path}: decord cannot decode it ({_first_line(error)})") from error
        return pictures


def open_clips(
    path: str | Path, *, threads: int = 1, checks: int = 3, seed: int = 0, beat: Callable[[], None] = lambda: None
) -> ClipReader:
    """Open `path` for random access after checking that decord returns the frames asked for.

    threads: decoding threads; 1 suits many readers side by side. checks: frames compared with PyAV's decode,
    drawn with `seed`. beat: called whenever opening has moved on, for a watchdog.
    Raises UsageError where decord is not installed; InputError for a file that cannot be read, hides frames
    by an edit list, or gives other frames than PyAV.
    """
    decord = _decord()
    video = open_video(path, beat=beat)
    source = video.info.path
    if video.index.hidden:
        raise InputError(f"{source}: an edit list hides {video.index.hidden} coded frames; {_ADVICE}")
    try:
        reader = decord.VideoReader(str(source), num_threads=threads)
    except _failures(decord) as error:
        raise InputError(f"{source}: decord cannot open it ({_first_line(error)}); {_ADVICE}") from error
    _check_order(video, reader)
    clip = ClipReader(source, reader, len(reader))
    drawn = np.random.default_rng(seed).choice(len(clip), min(checks, len(clip)), replace=False)
    for index in drawn.tolist():
        beat()
        _check_frame(video, clip, index)
    return clip


def luma_weights(info: VideoInfo) -> tuple[float, float, float]:
    """Of R, G and B as `ClipReader` gives them, by which they make about the luma of `to_luma`; together 1."""
    if info.layout.family != "gbrp" and info.color.matrix == _UNTAGGED:
        info = replace(info, color=replace(info.color, matrix=_TAKEN_FOR))
    conversion = conversion_for(info)
    return conversion.kr, 1 - conversion.kr - conversion.kb, conversion.kb


_ADVICE = "decord would return wrong frames; re-encode it plainly or read it in order with open_video"


def _decord() -> ModuleType:
    try:
        import decord
    except (ImportError, OSError) as error:
        raise UsageError(
            "random access to clips needs decord, which cannot be imported "
            f"({_first_line(error)}); pip install decord on x86-64 Linux or Windows; there is no wheel for Arm"
        ) from error
    module: ModuleType = decord
    return module


def _failures(decord: ModuleType) -> tuple[type[Exception], ...]:
    """What decord raises for a file it cannot read."""
    return (RuntimeError, decord.DECORDError)


def _check_order(video: Video, reader: Any) -> None:
    """Frame count and places of the key frames, which decord counts in coded order and the index as shown."""
    source, times = video.info.path, video.index.pts
    if len(reader) != len(times):
        raise InputError(f"{source}: decord counts {len(reader)} frames, the index {len(times)}; {_ADVICE}")
    # In an open group leading pictures are coded after their key frame and shown before it.
    keys = np.searchsorted(times, video.index.keys)
    if not np.array_equal(keys, reader.get_key_indices()):
        raise InputError(f"{source}: its key frames are not where decord seeks them (open groups); {_ADVICE}")


def _check_frame(video: Video, clip: ClipReader, index: int) -> None:
    """Compare one frame of decord's with PyAV's frame of that index and with its neighbours."""
    found = _grey(clip.read([index])[0])
    conversion = conversion_for(video.info)
    first = max(index - 1, 0)
    differences = {
        frame.index: _difference(found, _shown(frame, video, conversion), video)
        for frame in islice(video.frames(first), index + 2 - first)
    }
    here = differences.pop(index)
    nearest = min(differences.values(), default=here)
    if here > min(nearest, _LARGEST_DIFFERENCE):
        raise InputError(
            f"{video.info.path}: decord's frame {index} differs from PyAV's by {here:.1f} grey levels "
            f"(neighbours: {nearest:.1f}, allowed: {_LARGEST_DIFFERENCE:.0f}); {_ADVICE}"
        )


def _shown(frame: Frame, video: Video, conversion: Conversion) -> _Grey:
    rgb = upright(to_rgb(frame.planes, conversion), video.info.display_matrix).clamp_(0, 1).mul_(255)
    return _grey(rgb.permute(1, 2, 0).numpy())


def _grey(picture: npt.NDArray[Any]) -> _Grey:
    """Grey levels without their mean. [H, W, 3] to [H, W]"""
    levels = picture.astype(np.float32) @ _LUMA
    grey: _Grey = levels - levels.mean()
    return grey


def _difference(found: _Grey, expected: _Grey, video: Video) -> float:
    if found.shape != expected.shape:
        sizes = " and ".join(f"{grey.shape[1]}x{grey.shape[0]}" for grey in (found, expected))
        raise InputError(f"{video.info.path}: decord and PyAV show it as {sizes}; {_ADVICE}")
    return float(np.abs(found - expected).mean())


def _first_line(error: Exception) -> str:
    """decord's messages end with a stack trace."""
    return str(error).partition("\n")[0] or type(error).__name__
