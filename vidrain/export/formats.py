"""The store of a format; its library is imported only when it is asked for.

store = open_store("zarr", Shelf(folder, arrays, per_shard=16, frames=300), "w")
"""

from vidrain.errors import UsageError
from vidrain.export.stores import FormatName, Mode, Shelf, Store
from vidrain.tables import EXTRA


def open_store(name: FormatName, shelf: Shelf, mode: Mode) -> Store:
    """The store of a format; UsageError where its library is not installed."""
    try:
        return _opened(name, shelf, mode)
    except ImportError as error:
        raise UsageError(f"--format {name} needs a library that is not installed ({error}); {EXTRA}") from error


def _opened(name: FormatName, shelf: Shelf, mode: Mode) -> Store:
    match name:
        case "zarr":
            from vidrain.export.zarr_store import ZarrStore

            return ZarrStore(shelf, mode)
        case "hdf5":
            from vidrain.export.hdf5_store import Hdf5Store

            return Hdf5Store(shelf)
        case "tiff":
            from vidrain.export.tiff_store import TiffStore

            return TiffStore(shelf)
        case "npz":
            from vidrain.export.npz_store import NpzStore

            return NpzStore(shelf)
        case "png16":
            from vidrain.export.png_store import png_store

            return png_store(shelf)
        case "exr":
            from vidrain.export.exr_store import exr_store

            return exr_store(shelf)
        case "ffv1":
            from vidrain.export.ffv1_store import Ffv1Store

            return Ffv1Store(shelf)
