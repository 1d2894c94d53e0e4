"""Arrays as PNG, a file per frame: 16 bits, but 8 for layers of 8 bits; rain is stored as R + 32768.

OpenCV writes them: it is here anyway.
"""

from pathlib import Path

import cv2
import numpy as np

from vidrain.errors import OutputError
from vidrain.export.frame_files import FrameReader, FrameWriter
from vidrain.export.space import Array, Samples
from vidrain.export.stores import ToRead, ToWrite, as_samples

_OFFSET = 1 << 15  # half of 16 bits: grey is no rain
_QUICK = (cv2.IMWRITE_PNG_COMPRESSION, 1)


def png_writer(due: ToWrite) -> FrameWriter:
    """`NAME/FRAME.png`."""
    return FrameWriter(due, ".png", _put)


def png_reader(held: ToRead) -> FrameReader:
    """Reads it."""
    return FrameReader(held, ".png", _get)


def _put(path: Path, array: Array, samples: Samples) -> None:
    stored = (samples.astype(np.int32) + _OFFSET).astype(np.uint16) if array.layer == "rain" else samples
    done, data = cv2.imencode(".png", np.ascontiguousarray(_turned(stored)), _QUICK)
    if not done:
        raise OutputError(f"{path.name}: cannot be encoded as PNG; choose another --format")
    path.write_bytes(data.tobytes())


def _get(path: Path, array: Array) -> Samples:
    data = np.frombuffer(path.read_bytes(), np.uint8)
    decoded = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if data.size else None
    if decoded is None:
        raise ValueError(f"{path.name} is no whole PNG")
    stored = _turned(as_samples(decoded))
    return stored.astype(np.int32) - _OFFSET if array.layer == "rain" else stored


def _turned(samples: Samples) -> Samples:
    """RGB to BGR, as OpenCV has it, and back; a plane as it is."""
    return samples[..., ::-1] if samples.ndim == 3 else samples
