"""Exact rain arithmetic on stored samples: O = B + R in integers, plane by plane.

Knows numpy only: no video, no torch. `subtract` makes B, `Layers.rain` is R = O - B, `pack` lays R into
the unsigned samples of the rain archive, and `recomposed` gives O back, for every input.

    >>> import numpy as np
    >>> o = np.array([[10, 200]], np.uint8)
    >>> b, = subtract((o,), (np.array([[3, -90]], np.int16),), depth=8)
    >>> b
    array([[  7, 255]], dtype=uint8)
"""

import numpy as np
import numpy.typing as npt

from vidrain.types import PixelLayout, Planes, RainPlanes


def rain_layout(layout: PixelLayout) -> PixelLayout:
    """Layout of the rain archive for video of `layout`: same planes, two bits more (one sign, one spare)."""
    return PixelLayout(layout.family, layout.depth + 2)


def rain_offset(depth: int) -> int:
    """Code value that means no rain in the archive of `depth`-bit video: 2^(depth + 1)."""
    return 1 << (depth + 1)


def subtract(observed: Planes, removal: RainPlanes, depth: int) -> Planes:
    """B = clip(O - removal) to the codes of `depth` bits, 14 at most.

    observed: unsigned planes; removal: int16 planes of the same shapes, in code values. Where removal is 0
    the sample of B is O's own, bit for bit.
    """
    top = (1 << depth) - 1
    found = []
    for o, r in zip(observed, removal, strict=True):
        left = np.clip(r, -top, top)  # and nothing overflows: int32 would take twice the time
        np.subtract(o, left, out=left, casting="unsafe", dtype=np.int16)
        found.append(np.clip(left, 0, top, out=left).astype(o.dtype))
    return tuple(found)


def pack(rain: RainPlanes, depth: int) -> tuple[npt.NDArray[np.uint16], ...]:
    """R as unsigned samples R + 2^(depth + 1), uint16; every R of `depth`-bit video fits."""
    offset = rain_offset(depth)
    # modulo 2^16, because the offset of 14-bit video is past the end of int16
    return tuple(np.add(plane, offset, dtype=np.uint16, casting="unsafe") for plane in rain)


def unpack(packed: Planes, depth: int) -> RainPlanes:
    """Inverse of `pack`: uint16 planes of the archive to signed R, int16."""
    offset = rain_offset(depth)
    return tuple(np.subtract(plane, offset, dtype=np.uint16).view(np.int16) for plane in packed)


def recomposed(background: Planes, rain: RainPlanes) -> Planes:
    """O = B + R, in B's own sample type; exact for layers made by `subtract` and `Layers.rain`."""
    return tuple(
        np.add(b, r, dtype=np.int16, casting="unsafe").astype(b.dtype) for b, r in zip(background, rain, strict=True)
    )
