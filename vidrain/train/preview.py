"""Pictures to look at while a network learns: what it saw, what it made of it, the target, and what it took away."""

import struct
import zlib
from pathlib import Path

import torch
from torch import Tensor

from vidrain.train.recycling import Recycled

_MOST = 4  # windows in a picture
_BRIGHTER = 3  # the rain, to be seen


def preview(path: Path, pair: Recycled, background: Tensor) -> None:
    """Write rows of observed | background | target | 3 x rain as a PNG; `background` [N, 1, H, W] is that of `pair`."""
    rain = (pair.observed - background) * _BRIGHTER
    columns = [part[:_MOST] for part in (pair.observed, background, pair.target, rain)]
    rows = torch.cat(columns, dim=3)  # [n, 1, H, 4 W]
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(png(torch.cat(list(rows), dim=1).expand(3, -1, -1)))


def png(picture: Tensor) -> bytes:
    """A picture [3, H, W] in [0, 1] as the bytes of an 8-bit RGB PNG (ISO/IEC 15948, no filter)."""
    levels = picture.detach().cpu().float().clamp(0, 1).mul(255).round().byte().permute(1, 2, 0)
    height, width = levels.shape[:2]
    lines = torch.nn.functional.pad(levels.reshape(height, width * 3), (1, 0))  # each begins with its filter, 0
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (b"IHDR", head), (b"IDAT", zlib.compress(lines.numpy().tobytes())), (b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
