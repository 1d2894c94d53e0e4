"""What light there is: linear light and codes, how bright the sky is, and what a drop shows of its surroundings.

A drop is a lens that takes in nearly half the world behind it, sky and all: by day it is brighter than the ground that
is seen behind it. At night it is lit by lamps, and seen only near them.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from vidrain.rain.camera import Camera, along
from vidrain.rain.canvas import enlarged, softened

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.float32]
Light = Literal["day", "night"]

_LUMA = (np.float32(0.2126), np.float32(0.7152), np.float32(0.0722))  # of linear light, BT.709
_CELL = 8  # pixels: what a drop shows is soft, so it is worked out on a coarse picture
_BEHIND = 0.94  # of a drop's light that comes through it; the rest is mirrored from all around
BRIGHTEST = 98  # per cent of the pixels are darker than what is taken for the sky
_SHOULDER = 2.0  # brightness of a sky over what the tone curve of a camera leaves of it
_BURNT_OUT = 0.95  # of the white, in linear light
_HIGHEST_SKY = 6.0  # of the white of the picture: cameras let the sky burn out
_LAMP = 0.55  # of the white, in linear light; what is brighter at night is a lamp
_LAMP_GAIN = 12.0  # lamps are burnt out as well: their true brightness over what the picture shows of it
_HEADLAMP, _HEADLAMP_M = 0.7, 8.0  # brightness of a drop in the middle of the beam, at so many metres
_BEAM = (15.0, 4.0)  # degrees: half its breadth; how far it points down, and half its height
_LAMPS_BELOW = 0.8  # metres
_NIGHT_SKY = 0.4  # of the mean of the picture


def to_linear(codes: Picture) -> Picture:
    """RGB as stored, white at 1, to linear light (IEC 61966-2-1, sRGB), mirrored below 0."""
    size = np.abs(codes)
    steep = ((size + np.float32(0.055)) / np.float32(1.055)) ** np.float32(2.4)
    return np.copysign(np.where(size <= 0.04045, size / np.float32(12.92), steep), codes)


def to_codes(light: Picture) -> Picture:
    """Inverse of `to_linear`."""
    size = np.abs(light)
    steep = np.float32(1.055) * size ** np.float32(1 / 2.4) - np.float32(0.055)
    return np.copysign(np.where(size <= 0.0031308, size * np.float32(12.92), steep), light)


def luma_of(light: Picture) -> Picture:
    """Luminance of linear light [3, ...]."""
    red, green, blue = light
    return np.asarray(red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2], np.float32)


def coarse(picture: Picture, cell: int = _CELL) -> Picture:
    """Means over cells of [..., H, W]; cells at the edge repeat the last pixels."""
    rows, columns = (-(-side // cell) for side in picture.shape[-2:])
    pad = [(0, 0)] * (picture.ndim - 2)
    pad += [(0, rows * cell - picture.shape[-2]), (0, columns * cell - picture.shape[-1])]
    whole = np.pad(picture, pad, "edge").reshape(*picture.shape[:-2], rows, cell, columns, cell)
    return np.asarray(whole.mean(axis=(-3, -1), dtype=np.float32))


def sky_of(light: Picture, gain: float) -> Picture:
    """Radiance of the sky over a scene [3, h, w] by day, [3].

    A sky that is seen, above ground that is darker, and that is not burnt out, is twice as bright as shown: cameras
    hold highlights down. Else it is `gain` times as bright as the middle of the lower half: over ground that mirrors a
    tenth, ten times.
    """
    luma = luma_of(light)
    brightest = float(np.percentile(luma, BRIGHTEST))
    rows = luma.shape[0]
    top, low = float(np.median(luma[: max(1, rows // 8)])), float(np.median(luma[rows // 2 :]))
    is_sky = np.clip(top / max(low, 1e-6) - 1.5, 0, 1) * np.clip((_BURNT_OUT - brightest) / 0.15, 0, 1)  # no jumps
    guessed = min(max(brightest, gain * low), _HIGHEST_SKY)
    level = float(is_sky * _SHOULDER * brightest + (1 - is_sky) * guessed)
    bright = light[:, luma >= brightest].mean(axis=1)
    tint = bright / max(float(luma_of(bright)), 1e-6)
    return np.asarray((level * (0.5 + 0.5 * np.clip(tint, 0.5, 2.0))), np.float32)  # half its colour, half white


def shown_by_day(light: Picture, sky: Picture, size: tuple[int, int]) -> Picture:
    """What a drop before each pixel shows, [3, H, W]: the scene behind it under a blur as wide as the picture is high.

    light: the coarse scene [3, h, w]; above it there is sky, below it more of its lowest rows.
    """
    rows, columns = light.shape[-2:]
    above = np.broadcast_to(sky[:, None, None], (3, rows, columns))
    below = np.broadcast_to(light[:, -max(1, rows // 4) :].mean(axis=(1, 2), keepdims=True), (3, rows, columns))
    tall = np.concatenate([above, light, below], axis=1).astype(np.float32)
    cell = max(1, rows // 12)
    cone = softened(coarse(tall, cell), (0.5 * rows / cell) ** 2)
    behind = enlarged(cone, cell * _CELL, size, (rows * _CELL, 0))
    around = (sky + light.mean(axis=(1, 2))) / 2
    return np.asarray(_BEHIND * behind + (1 - _BEHIND) * around[:, None, None], np.float32)


def headlamps(place: Floats, camera: Camera) -> Floats:
    """How bright drops at places [D, 3] are in the beam of headlamps below the camera, over white.

    The beam falls off as 1 / r^2 and by angle; a drop sends a twentieth of what meets it back, more than a road that is
    met at a grazing angle.
    """
    from_lamp = place - _LAMPS_BELOW * camera.down
    ahead = np.maximum(along(from_lamp, camera.forward), 1e-3)
    aside = np.degrees(np.arctan2(from_lamp[:, 0], ahead))
    below = np.degrees(np.arctan2(along(from_lamp, camera.down), ahead))
    beam = np.exp(-0.5 * (aside / _BEAM[0]) ** 2 - 0.5 * ((below - _BEAM[1]) / _BEAM[1]) ** 2)
    return np.asarray(np.minimum(_HEADLAMP * beam * (_HEADLAMP_M / ahead) ** 2, _HIGHEST_SKY))


def lamps_in(light: Picture) -> Picture:
    """The light of what is so bright by night that it must be a lamp, [3, H, W], of a scene as large."""
    luma = luma_of(light)
    return np.asarray(light * np.clip((luma - _LAMP) / (1 - _LAMP), 0, 1) * np.float32(_LAMP_GAIN), np.float32)


def shown_by_night(light: Picture, lamps: Picture, size: tuple[int, int]) -> Picture:
    """The same by night: lamps, whose light falls off with the square of the distance in the picture.

    light, lamps: coarse, [3, h, w]. Blurs of doubling width, each spreading the same light, add up to 1 / r^2.
    """
    glow = np.zeros_like(lamps)
    sigma = 1.0
    while sigma < max(light.shape[-2:]) / 4:
        glow += softened(lamps, sigma**2)
        sigma *= 2
    night = _NIGHT_SKY * light.mean(axis=(1, 2), keepdims=True)
    return enlarged(np.asarray(night + glow, np.float32), _CELL, size)
