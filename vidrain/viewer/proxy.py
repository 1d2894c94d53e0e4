"""Small H.264 copies to look at in a browser: before, after and rain of a frame in one picture, one above the other.

One video cannot fall out of step with itself, so a slider between its parts always shows the same frame.

    with proxy(path, info, first_pts=0, bytes_per_frame=20_000) as writer:
        write_pair(writer, frame, clean, info, clean_info)
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vidrain.types import ColorTags, Frame, PixelLayout, Planes, StaticHdr, VideoInfo
from vidrain.video.color import Conversion, conversion_for, to_codes, to_rgb, upright
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder

WIDEST, HIGHEST = 640, 480  # pixels of one of the three parts
PARTS = 3
_GAIN = 3.0  # of rain: a tenth of the range is a strong streak
_LAYOUT = PixelLayout("yuv420p", 8)
_MP4 = Path("proxy.mp4")  # the container, wherever it is written and whatever it is called there
_BT709 = ColorTags(1, 1, 1, 1)
_CRF = 25
_GROUP = 12  # frames from key to key: a step backwards decodes no more
_RATE = 25
_MOST_BITS = 100_000_000  # a second, far more than such pictures take; x264 refuses what does not fit 31 bits


def part_size(info: VideoInfo) -> tuple[int, int]:
    """Width and height of one part for the video of `info`: upright, samples square, even, within the limits."""
    width, height = Fraction(info.width) * (info.sample_aspect_ratio or 1), Fraction(info.height)
    if _is_turned(info.display_matrix):
        width, height = height, width
    scale = min(Fraction(1), WIDEST / width, HIGHEST / height)
    return tuple(max(2, int(side * scale / 2 + Fraction(1, 2)) * 2) for side in (width, height))  # type: ignore[return-value]


def _is_turned(matrix: tuple[int, ...] | None) -> bool:
    return matrix is not None and matrix[0] == matrix[4] == 0


class Proxy:
    """Writes one; made by `proxy`."""

    def __init__(self, writer: VideoWriter, size: tuple[int, int], conversion: Conversion, first_pts: int) -> None:
        self._writer, self._size, self._conversion, self._first = writer, size, conversion, first_pts

    def write(self, before: Tensor, after: Tensor, pts: int, duration: int) -> None:
        """One frame. before, after: upright RGB [3, H, W] in [0, 1], not clipped; pts: on the clock of the source."""
        width, height = self._size
        small = [functional.interpolate(picture[None], (height, width), mode="area")[0] for picture in (before, after)]
        red, green, blue = small[0] - small[1]
        luma = red * self._conversion.kr + blue * self._conversion.kb
        luma = (luma + green * (1 - self._conversion.kr - self._conversion.kb)) * _GAIN
        stacked = torch.cat([*small, luma.expand(3, -1, -1)], dim=1).clamp(0, 1)
        self._writer.write(self._planes(stacked), pts - self._first, duration)

    def _planes(self, picture: Tensor) -> Planes:
        black, neutral = self._conversion.offset
        codes = to_codes(picture, self._conversion)
        offsets = (black, neutral, neutral)
        return tuple(
            np.clip(plane + np.int16(offset), 0, 255).astype(np.uint8)
            for plane, offset in zip(codes, offsets, strict=True)
        )


@contextmanager
def proxy(path: Path, info: VideoInfo, *, first_pts: int, bytes_per_frame: int) -> Iterator[Proxy]:
    """A proxy for frames of the video of `info`, an MP4 that begins with the frame at `first_pts`, written to `path`.

    That may have any name, such as that of the page until it is finished: so nothing stays elsewhere after a kill.

    bytes_per_frame: on average at most, which keeps a page from growing without end.
    """
    width, height = part_size(info)
    plain = replace(
        info,
        width=width,
        height=PARTS * height,
        layout=_LAYOUT,
        color=_BT709,
        hdr=StaticHdr(),
        sample_aspect_ratio=None,
        display_matrix=None,
        chroma_siting=None,
        field_order=None,
        rate=Fraction(_RATE),
        interlaced=False,
    )
    bits = str(min(8 * bytes_per_frame * _RATE, _MOST_BITS))
    options = {"g": str(_GROUP), "bf": "0", "maxrate": bits, "bufsize": bits, "x264opts": "force-cfr=1"}
    plan = plan_encoder(plain, _MP4, EncodeOptions(codec="h264", crf=_CRF, options=options))
    with VideoWriter(path, plan, plain) as writer:
        yield Proxy(writer, (width, height), conversion_for(plain), first_pts)


def write_pair(writer: Proxy, before: Frame, after: Frame, info: VideoInfo, after_info: VideoInfo) -> None:
    """One frame of a proxy. info, after_info: facts of the videos that the two frames are of; `after` may be padded."""
    pictures = [
        upright(to_rgb(frame.planes, conversion_for(own))[:, : info.height, : info.width], own.display_matrix)
        for frame, own in ((before, info), (after, after_info))
    ]
    writer.write(pictures[0], pictures[1], before.pts, before.duration)
