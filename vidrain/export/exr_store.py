"""Arrays as OpenEXR, a file per frame: codes as floats with their sign, not scaled. The only door to OpenEXR."""

from pathlib import Path

import numpy as np
import OpenEXR

from vidrain.export.frame_files import FrameReader, FrameWriter
from vidrain.export.space import Array, Samples
from vidrain.export.stores import ToRead, ToWrite, as_samples, stored_type


def exr_writer(due: ToWrite) -> FrameWriter:
    """`NAME/FRAME.exr`: channels R, G, B, or Y for a plane; half floats up to 11 bits, which they hold exactly."""
    return FrameWriter(due, ".exr", _put)


def exr_reader(held: ToRead) -> FrameReader:
    """Reads it."""
    return FrameReader(held, ".exr", _get)


def _put(path: Path, array: Array, samples: Samples) -> None:
    head = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    floats = np.ascontiguousarray(samples.astype(stored_type("exr", array)))
    with OpenEXR.File(head, {_channel(array): floats}) as file:
        try:
            file.write(str(path))
        except RuntimeError as error:  # what its C++ knows of a full disk
            raise OSError(str(error)) from error


def _get(path: Path, array: Array) -> Samples:
    with OpenEXR.File(str(path)) as file:
        return as_samples(file.channels()[_channel(array)].pixels)


def _channel(array: Array) -> str:
    return "RGB" if len(array.shape) == 3 else "Y"
