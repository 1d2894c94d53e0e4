"""A small JPEG of one frame, upright. Encoded by OpenCV, which is here anyway."""

import cv2
import numpy as np
from torch.nn import functional

from vidrain.types import Frame, VideoInfo
from vidrain.video.color import conversion_for, to_rgb, upright
from vidrain.viewer.proxy import part_size

WIDEST, HIGHEST = 160, 120  # pixels
_QUALITY = (cv2.IMWRITE_JPEG_QUALITY, 70)


def thumbnail(frame: Frame, info: VideoInfo) -> bytes:
    """The frame within WIDEST x HIGHEST, samples square; never enlarged."""
    picture = upright(to_rgb(frame.planes, conversion_for(info)), info.display_matrix)
    shown = part_size(info)
    scale = min(1.0, WIDEST / shown[0], HIGHEST / shown[1])
    size = tuple(max(1, round(side * scale)) for side in reversed(shown))
    small = functional.interpolate(picture[None], size, mode="area")[0].clamp(0, 1).mul(255).round()
    pixels = np.ascontiguousarray(small.flip(0).permute(1, 2, 0).numpy().astype(np.uint8))  # BGR, as OpenCV has it
    _, data = cv2.imencode(".jpg", pixels, _QUALITY)
    return data.tobytes()
