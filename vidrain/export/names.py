"""What an export can be asked for, by name. Imports nothing heavy, so that `vidrain --help` answers at once."""

from typing import Literal, get_args

SpaceName = Literal["rgb", "yuv"]
Layer = Literal["observed", "background", "rain"]
FormatName = Literal["png16", "tiff", "npz", "zarr", "hdf5", "exr", "ffv1"]
SPACES: tuple[SpaceName, ...] = get_args(SpaceName)
LAYERS: tuple[Layer, ...] = get_args(Layer)
FORMATS: tuple[FormatName, ...] = get_args(FormatName)
