"""How much it rains in a frame: one number from its rain layer. Knows nothing of files.

amount = rain_amount(layers.rain, conversion)
"""

import numpy as np

from vidrain.types import RainPlanes
from vidrain.video.color import Conversion


def rain_amount(rain: RainPlanes, conversion: Conversion) -> float:
    """Mean over all pixels of what rain added to luma, as a share of the range of luma, in [0, 1].

    rain: signed planes R; samples below zero (dark edges, noise) count as none. In RGB video green stands for luma.
    """
    luma = rain[0]
    return int(np.maximum(luma, 0).sum(dtype=np.int64)) / luma.size / conversion.scale[0]
