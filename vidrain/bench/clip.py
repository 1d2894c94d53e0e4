"""Clips to measure on: a street that moves past in two depths, with rain and noise, drawn from a seed.

What they show is nothing to judge a picture by. They give the stages the work that footage gives them: motion by
fractions of a pixel that a flow can follow, edges and texture, streaks that differ from frame to frame, and noise that
an encoder has to spend bits on. One size and seed give the same frames, however many; x264 gives the same bytes.
"""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vidrain.bench.plan import RATE, size_of
from vidrain.types import ColorTags, PixelLayout, Planes, VideoInfo
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder

_TIME_BASE = Fraction(1, 12_800)
_BT709, _LIMITED = 1, 1
_CRF = 20  # of the clip itself; about what a camera spends
_MARGIN = 0.12  # of each side: how far the scene may move
_OCTAVES = 7
_NEAR_SPEED = 2.2  # of what stands near, over that of the ground
_VEIL = 185.0  # code of luma that streaks tend to
_NOISE = 1.6  # codes, standard deviation
# Per depth of rain: streaks for each 100x100 pixels of 720p, length and fall in heights of the picture, opacity.
_RAIN = ((4.0, 0.03, 0.05, 0.22), (1.2, 0.06, 0.11, 0.35), (0.25, 0.14, 0.23, 0.45))
_REFERENCE = 720  # rows for which the density of rain holds

Floats = npt.NDArray[np.float32]


def write_clip(path: Path, size: str, frames: int, *, seed: int) -> None:
    """Render `frames` frames of a size (by name, or such as 96x64) to an MP4 with H.264. Raises OutputError."""
    width, height = size_of(size)
    step = int(1 / (RATE * _TIME_BASE))
    info = clip_info(path, width, height)
    plan = plan_encoder(info, path, EncodeOptions(codec="h264", crf=_CRF))
    with VideoWriter(path, plan, info) as writer:
        for index, planes in zip(range(frames), pictures(width, height, seed), strict=False):
            writer.write(planes, index * step, step)


def clip_info(path: Path, width: int, height: int) -> VideoInfo:
    """What a clip of this size says of itself."""
    return VideoInfo(
        path=path,
        stream_index=0,
        codec="h264",
        width=width,
        height=height,
        pix_fmt="yuv420p",
        layout=PixelLayout("yuv420p", 8),
        color=ColorTags(_BT709, _LIMITED, _BT709, _BT709),
        time_base=_TIME_BASE,
        rate=Fraction(RATE),
        sample_aspect_ratio=Fraction(1),
        display_matrix=None,
        interlaced=False,
        side_data=(),
    )


def pictures(width: int, height: int, seed: int) -> Iterator[Planes]:
    """Stored planes of one frame after the other, without end: Y, Cb, Cr uint8 in limited range."""
    random = np.random.default_rng(seed)
    down, right = (2 * math.ceil(_MARGIN * side / 2) * 2 for side in (height, width))
    ground = _ground(height + down, width + right, random)
    near, mask = _near(height + down, width + right, random)
    tint = _octaves((height + down) // 2, (width + right) // 2, 3, random) * 14
    rains = [_streaks(height, width, density, length, random) * alpha for density, length, _, alpha in _RAIN]
    grain = (random.standard_normal((height + 64, width + 64), np.float32) * _NOISE).astype(np.float32)
    for index in range(1 << 62):
        away = _camera(index, width, height)
        luma = _moved(ground, away, height, width)
        nearer = _camera(_NEAR_SPEED * index, width, height)
        cover = _moved(mask, nearer, height, width)
        luma += cover * (_moved(near, nearer, height, width) - luma)
        rain = np.zeros((height, width), np.float32)
        for streaks, (_, _, fall, _) in zip(rains, _RAIN, strict=True):
            fallen = round(fall * height * index)
            np.maximum(rain, np.roll(streaks, (fallen, fallen // 10), (0, 1)), out=rain)
        luma += rain * np.maximum(_VEIL - luma, 0)
        row, column = random.integers(0, 64, 2)
        luma += grain[row : row + height, column : column + width]
        chroma = _moved(tint, (away[0] / 2, away[1] / 2), height // 2, width // 2)
        yield _codes(luma), _codes(128 + chroma), _codes(128 - 0.7 * chroma)


def _camera(moment: float, width: int, height: int) -> tuple[float, float]:
    """Where the frame at a moment begins in its scene, (rows, columns): a slow pan there and back, and a hand."""
    slow, hand = moment / RATE, moment * 0.9
    row = 0.5 + 0.35 * math.sin(0.7 * slow) + 0.02 * math.sin(hand)
    column = 0.5 + 0.40 * math.sin(1.5 * slow + 1) + 0.02 * math.sin(1.3 * hand + 2)
    return row * _MARGIN * height, column * _MARGIN * width


def _moved(scene: Floats, away: tuple[float, float], height: int, width: int) -> Floats:
    """The part of a scene that begins at `away`, by linear interpolation. [height, width]"""
    row, column = (int(part) for part in away)
    low, right = away[0] - row, away[1] - column
    rows = scene[row : row + height + 1, column : column + width + 1]
    between = rows[:-1] + np.float32(low) * (rows[1:] - rows[:-1])
    moved: Floats = between[:, :-1] + np.float32(right) * (between[:, 1:] - between[:, :-1])
    return moved


def _ground(height: int, width: int, random: np.random.Generator) -> Floats:
    """Luma codes of what lies far: texture of all sizes, brighter above, with the edges of houses and windows."""
    luma = 95 + 26 * _octaves(height, width, _OCTAVES, random)
    luma += np.linspace(35, -20, height, dtype=np.float32)[:, None]
    for _ in range(260):
        part = _rectangle(height, width, 0.008, 0.16, random)
        luma[part] += np.float32(random.normal(0, 22))
    return luma


def _near(height: int, width: int, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Luma codes of what stands near, and where it stands: poles and cars, 1 there and 0 elsewhere."""
    luma = 80 + 30 * _octaves(height, width, _OCTAVES, random)
    mask = np.zeros((height, width), np.float32)
    for _ in range(7):
        part = _rectangle(height, width, 0.04, 0.25, random)
        mask[part] = 1
        luma[part] += np.float32(random.normal(0, 35))
    return luma, mask


def _rectangle(height: int, width: int, least: float, most: float, random: np.random.Generator) -> tuple[slice, slice]:
    """A place of a random size, in shares of each side."""
    rows, columns = (max(2, round(side * random.uniform(least, most))) for side in (height, width))
    row, column = random.integers(0, height - rows), random.integers(0, width - columns)
    return slice(row, row + rows), slice(column, column + columns)


def _octaves(height: int, width: int, count: int, random: np.random.Generator) -> Floats:
    """Smooth noise of ever finer grain, each weaker than the one before, as in pictures."""
    found = np.zeros((height, width), np.float32)
    for octave in range(count):
        cell = max(2, min(height, width) >> (octave + 2))
        grid = random.standard_normal((height // cell + 2, width // cell + 2), np.float32)
        found += _enlarged(grid, cell, height, width) / (1.35**octave)
    return found / np.float32(found.std())


def _enlarged(grid: Floats, cell: int, height: int, width: int) -> Floats:
    """A grid with `cell` pixels from point to point, by linear interpolation. [height, width]"""
    found: npt.NDArray[np.floating] = grid
    for axis, side in ((0, height), (1, width)):
        place = np.arange(side, dtype=np.float32) / cell
        low = place.astype(np.int64)
        share = (place - low).reshape((-1, 1) if axis == 0 else (1, -1))
        found = np.take(found, low, axis) * (1 - share) + np.take(found, low + 1, axis) * share
    return np.asarray(found, np.float32)


def _streaks(height: int, width: int, density: float, length: float, random: np.random.Generator) -> Floats:
    """How much streaks of one depth cover: soft lines that lean, from 0 to 1; its sides fit together."""
    cover = np.zeros((height, width), np.float32)
    scale = height / _REFERENCE
    rows = max(3, round(length * height))
    profile = np.sin(np.linspace(0, np.pi, rows, dtype=np.float32))
    wide = max(1, round(1.5 * scale))
    for _ in range(max(3, round(density * height * width / (100 * scale) ** 2))):
        top, left = random.integers(0, height), random.integers(0, width)
        places = (top + np.arange(rows)) % height
        for beside in range(-wide, wide + 1):
            columns = (left + np.arange(rows) // 10 + beside) % width
            strength = profile * np.float32(1 - abs(beside) / (wide + 1))
            cover[places, columns] = np.maximum(cover[places, columns], strength)
    return cover


def _codes(values: Floats) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(values), 16, 240).astype(np.uint8)
