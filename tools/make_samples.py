"""Make the clips of `samples/`: a moving camera over real photographs, rendered rain, a sound track.

The photographs come out of installed packages (scikit-learn, scikit-image), so nothing is downloaded.
Every number is seeded and every encoder pinned: two runs on one machine give the same bytes.
Knows nothing of vidrain, because the clips have to test it.

    python tools/make_samples.py --out samples
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import numpy.typing as npt
from av.audio.stream import AudioStream
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

Floats = npt.NDArray[np.float32]
Plane = npt.NDArray[np.unsignedinteger[Any]]

BLOCK = 8  # side of one index block: 8 of them fit into 97 columns and lie on the grid of the codecs
INDEX_BITS = 8
SAMPLE_RATE = 48_000
CREATED = "2024-01-01T00:00:00.000000Z"

PHOTOS = {  # file inside which installed package; read as files, because skimage.data functions may download
    "china.jpg": "sklearn.datasets.images",
    "flower.jpg": "sklearn.datasets.images",
    "astronaut.png": "skimage.data",
    "chelsea.png": "skimage.data",
    "coffee.png": "skimage.data",
    "rocket.jpg": "skimage.data",
}

SHUTTER_SECONDS = 0.02  # half a frame at 25 fps, so a drop leaves a gap between two frames
FALL_METRES_PER_SECOND = 8.0  # terminal speed of a 3 mm drop
NEAREST_METRES, FARTHEST_METRES = 1.8, 13.0
WIND = 0.14  # sideways per downward distance
PIXELS_PER_DROP = 300  # sparse enough that most pixels are dry in most frames
VEIL: Floats = np.array([0.90, 0.92, 0.95], np.float32)  # a lit drop, brighter than any graded photo
GOLDEN = 0.6180339887  # moves a drop to a new column each time it starts again at the top

X265_PINNED = "frame-threads=1:pools=none:info=0:log-level=none"
MATRIX_CODES = {"bt709": 1, "bt470bg": 5}  # AVCOL_SPC_*, also valid as AVCOL_PRI_*
MATRIX_WEIGHTS = {"bt709": (0.2126, 0.0722), "bt470bg": (0.299, 0.114)}  # red and blue share of luma


@dataclass(frozen=True)
class Clip:
    """Everything that tells one clip from another; `size` is (width, height) as stored."""

    name: str
    size: tuple[int, int]
    frames: int
    photos: tuple[str, ...]  # one shot each, of equal length
    seed: int
    codec: str = "libx264"
    options: dict[str, str] = field(default_factory=lambda: {"preset": "veryslow", "crf": "22"})
    pix_fmt: str = "yuv420p"
    matrix: str = "bt709"
    full_range: bool = False
    start: int = 0  # PTS of the first frame, in ticks
    time_base: Fraction = Fraction(1, 12_800)
    ticks: tuple[int, ...] = (512,)  # frame durations, repeated in a cycle
    portrait: bool = False  # stored on its side, with the display matrix of a phone held upright
    rainy: bool = True
    painted: bool = True
    languages: tuple[str, ...] = ("eng",)  # one audio track each

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) as a player shows it."""
        width, height = self.size
        return (height, width) if self.portrait else (width, height)

    @property
    def depth(self) -> int:
        """Bits per stored sample."""
        return 10 if self.pix_fmt.endswith("10le") else 8


STREET = Clip(
    "street.mp4", (480, 320), 44, ("china.jpg",), 11, painted=False,
    options={"preset": "veryslow", "crf": "23"},
)  # fmt: skip
CLIPS = (
    STREET,
    replace(STREET, name="street_clean.mp4", rainy=False),
    Clip(
        "vfr.mp4", (256, 160), 36, ("rocket.jpg",), 22, start=39_039, time_base=Fraction(1, 90_000),
        options={"preset": "veryslow", "crf": "22", "bf": "3", "b-pyramid": "normal"},
        ticks=(3003, 3517, 2711, 4099, 3001, 5231, 2503),
    ),
    Clip("rotated.mp4", (256, 192), 28, ("coffee.png",), 33, portrait=True),
    Clip("odd.mp4", (131, 97), 16, ("chelsea.png",), 44, codec="ffv1", options={"level": "3"}),
    Clip(
        "tenbit.mp4", (256, 160), 28, ("flower.jpg",), 55, codec="libx265", pix_fmt="yuv420p10le",
        options={"preset": "slow", "crf": "22", "x265-params": X265_PINNED},
    ),
    Clip("full_range.mp4", (208, 208), 28, ("astronaut.png",), 66, matrix="bt470bg", full_range=True),
    Clip("cut.mkv", (256, 160), 36, ("coffee.png", "china.jpg"), 77, languages=("eng", "deu")),
)  # fmt: skip


@cache
def photo(name: str) -> Floats:
    """One shipped photograph under an overcast sky: [H, W, 3] float32 RGB, 0.04 to 0.70."""
    packed = (resources.files(PHOTOS[name]) / name).read_bytes()
    loaded = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_COLOR_RGB)
    assert loaded is not None, f"{PHOTOS[name]} does not hold a readable {name}"
    rgb = np.asarray(loaded, np.float32) / 255
    grey = rgb @ np.array([0.2126, 0.7152, 0.0722], np.float32)
    muted = grey[..., None] + 0.8 * (rgb - grey[..., None])
    return np.asarray(0.04 + 0.66 * np.clip(muted, 0, 1) ** 1.15, np.float32)


def scene(name: str, size: tuple[int, int], seconds: float) -> Floats:
    """What a hand-held camera sees of a photograph at one moment: [height, width, 3] float32 RGB."""
    picture = photo(name)
    width, height = size
    drift = math.sin(0.9 * seconds - 0.8)  # slow pan; the faster terms are the hand
    across = 0.8 * drift + 0.06 * math.sin(7.1 * seconds)
    down = 0.5 * math.sin(1.3 * seconds + 0.4) + 0.12 * math.sin(5.3 * seconds + 1.0)
    turn = math.radians(0.7 * math.sin(2.3 * seconds) + 0.25 * math.sin(6.1 * seconds))
    fit = min(picture.shape[1] / width, picture.shape[0] / height)
    scale = fit * (0.86 - 0.03 * seconds)  # photograph pixels per clip pixel: a slow zoom in
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    reach_x = abs(cos) * width / 2 + abs(sin) * height / 2
    reach_y = abs(sin) * width / 2 + abs(cos) * height / 2
    center_x = picture.shape[1] / 2 + across * min(picture.shape[1] / 2 - reach_x, 0.09 * picture.shape[1])
    center_y = picture.shape[0] / 2 + down * (picture.shape[0] / 2 - reach_y)
    x0 = center_x - cos * width / 2 + sin * height / 2
    y0 = center_y - sin * width / 2 - cos * height / 2
    to_photo = np.array([[cos, -sin, x0], [sin, cos, y0]])
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.4 * scale) if scale > 1 else picture
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    seen = cv2.warpAffine(smooth, to_photo, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(np.clip(seen, 0, 1), np.float32)


@dataclass(frozen=True)
class Rain:
    """Drops that live as long as the clip; every array is [n], lengths in pixels."""

    size: tuple[int, int]
    column: npt.NDArray[np.float64]  # 0..1 across the picture
    offset: npt.NDArray[np.float64]  # distance fallen at time zero
    speed: npt.NDArray[np.float64]  # pixels per second, higher for near drops
    slant: npt.NDArray[np.float64]
    sigma: npt.NDArray[np.float64]  # half thickness of the streak
    opacity: npt.NDArray[np.float64]

    def heads(self, seconds: float) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """(x, y) of every drop, in closed form: a drop that left at the bottom enters again at the top."""
        width, height = self.size
        travel = height + self.speed * SHUTTER_SECONDS + 16
        fallen = self.offset * travel + self.speed * seconds
        lap = np.floor(fallen / travel)
        y = fallen - lap * travel - 8
        spread = width + abs(WIND) * height + 32
        x = np.mod(self.column + GOLDEN * lap, 1.0) * spread - abs(WIND) * height - 16 + self.slant * y
        return x, y


def make_rain(size: tuple[int, int], seed: int) -> Rain:
    """Drops at many depths; more of them far away, where the picture shows more air."""
    width, height = size
    rng = np.random.default_rng(seed)
    count = width * height // PIXELS_PER_DROP
    near2, far2 = NEAREST_METRES**2, FARTHEST_METRES**2
    depth = np.sqrt(near2 + rng.random(count) * (far2 - near2))
    closeness = NEAREST_METRES / depth  # 1 for the nearest drop
    focal = max(400, 1.1 * max(size))  # pixels; a normal lens, a longer one for the small clips
    return Rain(
        size=size,
        column=rng.random(count),
        offset=rng.random(count),
        speed=focal * FALL_METRES_PER_SECOND * rng.uniform(0.85, 1.1, count) / depth,
        slant=WIND + rng.normal(0, 0.015, count),
        sigma=0.45 + 0.8 * closeness**1.5,  # far drops are one pixel wide, near ones out of focus
        opacity=rng.uniform(0.2, 0.65, count),
    )


def rain_alpha(rain: Rain, seconds: float) -> Floats:
    """How much of each pixel the drops cover while the shutter is open: [height, width] float32 in 0..1."""
    width, height = rain.size
    clear: Floats = np.ones((height, width), np.float32)
    xs, ys = rain.heads(seconds + SHUTTER_SECONDS)
    lengths = rain.speed * SHUTTER_SECONDS
    for x, y, length, slant, sigma, opacity in zip(xs, ys, lengths, rain.slant, rain.sigma, rain.opacity, strict=True):
        soft = 4 * sigma + 0.2 * length  # a streak fades in and out
        reach = 3 * sigma + soft / 2
        left, right = sorted((x, x - slant * length))
        rows = slice(max(0, math.floor(y - length - reach)), min(height, math.ceil(y + reach) + 1))
        cols = slice(max(0, math.floor(left - reach)), min(width, math.ceil(right + reach) + 1))
        if rows.start >= rows.stop or cols.start >= cols.stop:
            continue
        dy = np.arange(rows.start, rows.stop)[:, None] - y
        dx = np.arange(cols.start, cols.stop)[None, :] - x
        norm = math.hypot(1, slant)
        along, aside = (dy + slant * dx) / norm, (dx - slant * dy) / norm
        ends = np.clip(0.5 - along / soft, 0, 1) * np.clip(0.5 + (along + length) / soft, 0, 1)
        streak = opacity * ends * np.exp(-0.5 * (aside / sigma) ** 2)
        clear[rows, cols] *= (1 - streak).astype(np.float32)
    return 1 - clear


def frame_times(clip: Clip) -> list[tuple[int, int]]:
    """(PTS, duration) of every frame in ticks of `clip.time_base`."""
    durations = [clip.ticks[i % len(clip.ticks)] for i in range(clip.frames)]
    starts = np.cumsum([clip.start, *durations])
    return [(int(pts), duration) for pts, duration in zip(starts, durations, strict=False)]


def upright_frames(clip: Clip) -> Iterator[Floats]:
    """Rendered frames as they are meant to be seen: [H, W, 3] float32 RGB in 0..1."""
    shots = [(name, make_rain(clip.upright_size, clip.seed + i)) for i, name in enumerate(clip.photos)]
    per_shot = -(-clip.frames // len(shots))
    for index, (pts, _) in enumerate(frame_times(clip)):
        seconds = float((pts - clip.start) * clip.time_base)
        name, rain = shots[index // per_shot]
        seen = scene(name, clip.upright_size, seconds)
        if clip.rainy:
            seen = seen + rain_alpha(rain, seconds)[..., None] * np.maximum(VEIL - seen, 0)
        yield seen


def paint_index(rgb: Floats, index: int) -> Floats:
    """Copy of a frame with `index` as 8 black or white blocks at its top left, most significant first."""
    painted = rgb.copy()
    for place in range(INDEX_BITS):
        bit = index >> (INDEX_BITS - 1 - place) & 1
        painted[:BLOCK, place * BLOCK : (place + 1) * BLOCK] = float(bit)
    return painted


def stored_frames(clip: Clip) -> Iterator[Floats]:
    """Frames as they lie in the file: turned on their side for a portrait clip, index painted."""
    for index, upright in enumerate(upright_frames(clip)):
        # A display matrix of -90 makes the player turn clockwise, so the file holds the opposite turn.
        stored = np.rot90(upright) if clip.portrait else upright
        yield paint_index(stored, index) if clip.painted else stored


def halve(plane: Floats) -> Floats:
    """Mean of 2x2 samples; the last row or column of an odd size counts twice."""
    even = np.pad(plane, ((0, plane.shape[0] % 2), (0, plane.shape[1] % 2)), mode="edge")
    quarters = even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]
    return np.asarray(quarters / 4, np.float32)


def planes_of(rgb: Floats, clip: Clip) -> tuple[Plane, Plane, Plane]:
    """4:2:0 planes rounded once from float, so ten bits carry ten bits of picture."""
    red_share, blue_share = MATRIX_WEIGHTS[clip.matrix]
    red, green, blue = (rgb[..., i] for i in range(3))
    luma = red_share * red + (1 - red_share - blue_share) * green + blue_share * blue
    chroma_blue = halve((blue - luma) / (2 - 2 * blue_share))
    chroma_red = halve((red - luma) / (2 - 2 * red_share))
    step, top = 2 ** (clip.depth - 8), 2**clip.depth - 1
    luma_scale, chroma_scale = (top, top) if clip.full_range else (219 * step, 224 * step)
    black, neutral = 0 if clip.full_range else 16 * step, 128 * step

    def code(values: Floats) -> Plane:
        return np.clip(np.rint(values), 0, top).astype(np.uint8 if clip.depth == 8 else np.uint16)

    return (
        code(luma * luma_scale + black),
        code(chroma_blue * chroma_scale + neutral),
        code(chroma_red * chroma_scale + neutral),
    )


def sound(seconds: float, seed: int) -> Floats:
    """Rain noise over a soft chord: [1, samples] float32."""
    count = math.ceil(seconds * SAMPLE_RATE)
    rng = np.random.default_rng(seed)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    hertz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE)
    hiss = np.fft.irfft(spectrum * (hertz / (hertz + 400)) / (1 + (hertz / 5000) ** 2), count)
    time = np.arange(count) / SAMPLE_RATE
    chord = sum(np.sin(2 * np.pi * pitch * time) for pitch in (220.0 + 20 * (seed % 5), 330.0))
    mixed = 0.08 * hiss / hiss.std() + 0.05 * chord * np.sin(np.pi * time / time[-1])
    return np.asarray(mixed[None], np.float32)


def add_video(out: OutputContainer, clip: Clip) -> VideoStream:
    """Video stream with exact times, tags and pinned threads."""
    rate = 1 / (Fraction(sum(clip.ticks), len(clip.ticks)) * clip.time_base)
    stream = out.add_stream(clip.codec, rate=rate.limit_denominator(1001), options=clip.options)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    stream.width, stream.height = clip.size
    stream.pix_fmt = clip.pix_fmt
    stream.time_base = context.time_base = clip.time_base
    context.color_range = 2 if clip.full_range else 1
    context.colorspace = context.color_primaries = MATRIX_CODES[clip.matrix]
    context.color_trc = 1
    context.thread_count = 1 if clip.codec == "ffv1" else 2
    context.flags |= Flags.frame_duration | Flags.bitexact
    if clip.codec == "libx265":
        context.codec_tag = "hvc1"
    if clip.portrait:
        stream.set_display_rotation(-90)
    return stream


def add_audio(out: OutputContainer, language: str) -> AudioStream:
    """Mono AAC track."""
    stream = out.add_stream("aac", rate=SAMPLE_RATE, options={"b": "32000"})
    assert isinstance(stream, AudioStream)
    stream.layout = "mono"
    stream.codec_context.flags |= Flags.bitexact
    stream.metadata["language"] = language
    return stream


def video_frame(planes: tuple[Plane, Plane, Plane], clip: Clip) -> av.VideoFrame:
    """Planes as a PyAV frame, past PyAV's own array conversion, which refuses odd 4:2:0."""
    frame = av.VideoFrame(*clip.size, clip.pix_fmt)
    for source, plane in zip(planes, frame.planes, strict=True):
        target = np.frombuffer(memoryview(plane), source.dtype).reshape(plane.height, -1)
        target[:, : plane.width] = source
    return frame


def audio_frame(samples: Floats) -> av.AudioFrame:
    """All samples as one frame from time zero; PyAV cuts it into the encoder's frames."""
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
    return frame


def write_clip(clip: Clip, path: Path) -> None:
    """Render one clip and encode it to `path`."""
    times = frame_times(clip)
    options = {"fflags": "+bitexact"}  # else Matroska draws a random identity
    if path.suffix == ".mp4":
        ticks = math.lcm(clip.time_base.denominator, SAMPLE_RATE)
        options |= {"movflags": "+faststart", "movie_timescale": str(ticks)}
    with av.open(str(path), "w", container_options=options) as out:
        out.metadata.update({"title": f"vidrain sample: {Path(clip.name).stem}", "creation_time": CREATED})
        video = add_video(out, clip)
        tracks = [add_audio(out, language) for language in clip.languages]
        for rgb, (pts, duration) in zip(stored_frames(clip), times, strict=True):
            frame = video_frame(planes_of(rgb, clip), clip)
            frame.pts, frame.duration, frame.time_base = pts, duration, clip.time_base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        seconds = float(sum(times[-1]) * clip.time_base)  # from zero, also where the picture starts later
        for number, track in enumerate(tracks):
            out.mux(track.encode(audio_frame(sound(seconds, clip.seed + number))))
            out.mux(track.encode(None))


def main(argv: list[str] | None = None) -> int:
    """Write every clip into the folder given with --out."""
    parser = argparse.ArgumentParser(description="Make the sample clips.")
    parser.add_argument("--out", type=Path, default=Path("samples"))
    folder: Path = parser.parse_args(argv).out
    folder.mkdir(parents=True, exist_ok=True)
    for clip in CLIPS:
        path = folder / clip.name
        write_clip(clip, path)
        sys.stdout.write(f"{path}  {clip.frames} frames  {path.stat().st_size / 1000:.1f} kB\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
