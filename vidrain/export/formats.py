"""What writes and reads a format; its library is imported only when it is asked for.

writer = format_named("zarr").writer(ToWrite(folder=folder, arrays=arrays, per_shard=16, frames=300, ...))
"""

from collections.abc import Callable
from typing import NamedTuple

from vidrain.errors import UsageError
from vidrain.export.names import FormatName
from vidrain.export.stores import Reader, ToRead, ToWrite, Writer
from vidrain.tables import EXTRA


class Format(NamedTuple):
    """One format."""

    writer: Callable[[ToWrite], Writer]
    reader: Callable[[ToRead], Reader]


def format_named(name: FormatName) -> Format:
    """The format called `name`; UsageError where its library is not installed."""
    try:
        return _imported(name)
    except ImportError as error:
        raise UsageError(f"--format {name} needs a library that is not installed ({error}); {EXTRA}") from error


def _imported(name: FormatName) -> Format:
    match name:
        case "zarr":
            from vidrain.export.zarr_store import ZarrReader, ZarrWriter

            return Format(ZarrWriter, ZarrReader)
        case "hdf5":
            from vidrain.export.hdf5_store import Hdf5Reader, Hdf5Writer

            return Format(Hdf5Writer, Hdf5Reader)
        case "tiff":
            from vidrain.export.tiff_store import TiffReader, TiffWriter

            return Format(TiffWriter, TiffReader)
        case "npz":
            from vidrain.export.npz_store import NpzReader, NpzWriter

            return Format(NpzWriter, NpzReader)
        case "png16":
            from vidrain.export.png_store import png_reader, png_writer

            return Format(png_writer, png_reader)
        case "exr":
            from vidrain.export.exr_store import exr_reader, exr_writer

            return Format(exr_writer, exr_reader)
        case "ffv1":
            from vidrain.export.ffv1_store import Ffv1Reader, Ffv1Writer

            return Format(Ffv1Writer, Ffv1Reader)
