"""Put a lossless clean video and its rain archive together again: O = B + R, bit for bit.

for frame in vidrain.recompose("clip.clean.mp4", "clip.rain.mp4"):
    frame.planes, frame.pts
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vidrain.errors import InputError
from vidrain.layers import rain_layout, recomposed, unpack
from vidrain.types import Frame
from vidrain.video.decode import open_video


def recompose(clean: str | Path, rain: str | Path, *, video: int = 0) -> Iterator[Frame]:
    """The observed frames, from a clean file made with `--archive` and the rain archive of the same run.

    video: which video of `clean`, where there are several. Frames come in order with its times, without what --pad
    added. Raises InputError where the two do not belong together: another size, pixel format, or number of frames, or a
    clean file that is not lossless.
    """
    background, archive = open_video(clean, track=video), open_video(rain)
    b, r = background.info, archive.info
    if b.codec != "ffv1" or r.codec != "ffv1":
        raise InputError(f"{clean} is {b.codec}, {rain} is {r.codec}: only FFV1 is exact; clean again with --archive")
    even = r.width + r.width % 2, r.height + r.height % 2  # as --pad leaves it, where only B is padded
    if (b.width, b.height) not in ((r.width, r.height), even) or rain_layout(b.layout) != r.layout:
        raise InputError(
            f"{rain} is {r.width}x{r.height} {r.layout.name}, but {clean} ({b.width}x{b.height} {b.layout.name}) goes "
            f"with {rain_layout(b.layout).name} of its own size; take the two files of one run"
        )
    if b_count := background.index.count - archive.index.count:
        raise InputError(f"{rain} has {abs(b_count)} frames {'fewer' if b_count > 0 else 'more'} than {clean}")
    return _recomposed(background.frames(), archive.frames(), b.layout.depth)


def _recomposed(background: Iterator[Frame], archive: Iterator[Frame], depth: int) -> Iterator[Frame]:
    for b, r in zip(background, archive, strict=True):
        rain = unpack(r.planes, depth)
        planes = tuple(plane[: part.shape[0], : part.shape[1]] for plane, part in zip(b.planes, rain, strict=True))
        yield replace(b, planes=recomposed(planes, rain))
