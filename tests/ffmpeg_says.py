"""What FFmpeg's own program says of a video file: a second pair of eyes, built apart from PyAV's FFmpeg.

Knows nothing of vidrain. Also makes the odd files that the tests need.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
import numpy.typing as npt

_CHROMA = {"yuv420p": (2, 2), "yuv422p": (1, 2), "yuv440p": (2, 1), "yuv444p": (1, 1), "gbrp": (1, 1)}  # rows, columns
_UNTOUCHED = ("-fps_mode", "passthrough", "-enc_time_base", "demux")


def run(*arguments: str | Path, check: bool = True) -> subprocess.CompletedProcess[bytes]:
    """Run the program; an AssertionError with what it said when it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-y", "-hide_banner", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert not check or done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    return done


def quietly(*arguments: str | Path) -> bytes:
    """Standard output of a run that must succeed."""
    return run("-v", "error", *arguments).stdout


@dataclass(frozen=True)
class Packet:
    """One line of the framehash muxer; times in ticks of the time base beside it."""

    dts: int
    pts: int
    duration: int
    size: int
    hash: str


@dataclass(frozen=True)
class Track:
    """Time base and lines of one stream."""

    time_base: Fraction
    packets: tuple[Packet, ...]

    @property
    def pts(self) -> list[int]:
        """Presentation times in ticks."""
        return [packet.pts for packet in self.packets]

    @property
    def seconds(self) -> list[Fraction]:
        """Presentation times in seconds, exact."""
        return [packet.pts * self.time_base for packet in self.packets]

    @property
    def contents(self) -> list[tuple[int, str]]:
        """Size and hash of every line: equal where the bytes are."""
        return [(packet.size, packet.hash) for packet in self.packets]


def shown_frames(path: Path) -> Track:
    """Every frame that a player shows, by decoding; the hash is that of the planes, one after the other."""
    return tracks(path, "-map", "0:v:0")[0]


def packets(path: Path, stream: str) -> Track:
    """Every packet of a stream such as `0:a:1` or `0:2`, as it lies in the file."""
    return tracks(path, "-map", stream, "-c", "copy")[0]


def tracks(path: Path, *selection: str) -> list[Track]:
    """What `selection` (arguments of the program) takes from the file, stream by stream."""
    hashed = ("-f", "framehash", "-hash", "md5")
    arguments: list[str | Path] = ["-copyts", "-noautorotate", "-i", path, *selection, *_UNTOUCHED, *hashed]
    text = quietly(*arguments, "-").decode()
    bases = [Fraction(base) for base in re.findall(r"^#tb \d+: (\S+)", text, re.M)]
    found: list[list[Packet]] = [[] for _ in bases]
    for line in text.splitlines():
        if line and line[0] != "#":
            stream, *numbers = line.replace(" ", "").split(",")  # side data may follow the hash
            dts, pts, duration, size = map(int, numbers[:4])
            found[int(stream)].append(Packet(dts, pts, duration, size, numbers[4]))
    return [Track(base, tuple(rows)) for base, rows in zip(bases, found, strict=True)]


def planes(path: Path, pix_fmt: str, size: tuple[int, int]) -> list[tuple[npt.NDArray[Any], ...]]:
    """The stored planes of all shown frames; pix_fmt: what they are stored as, size: (width, height)."""
    raw = quietly("-noautorotate", "-i", path, "-map", "0:v:0", *_UNTOUCHED[:2], "-f", "rawvideo", "-")
    family, deep, _ = pix_fmt.partition("1") if pix_fmt.endswith("le") else (pix_fmt, "", "")
    samples = np.frombuffer(raw, np.uint16 if deep else np.uint8)
    width, height = size
    shapes = [(height, width)]
    if family != "gray":
        rows, columns = _CHROMA[family]
        shapes += [(-(-height // rows), -(-width // columns))] * 2
    ends = np.cumsum([rows * columns for rows, columns in shapes])
    frames = samples.reshape(-1, ends[-1])
    parts = [np.split(frame, ends[:-1]) for frame in frames]
    return [tuple(part.reshape(shape) for part, shape in zip(frame, shapes, strict=True)) for frame in parts]


def streams(path: Path) -> list[str]:
    """The lines that describe the streams, such as `Audio: aac (LC) (mp4a / 0x6134706D), ... (default)`."""
    text = run("-i", path, check=False).stderr.decode(errors="replace")
    return [match[1] for match in re.finditer(r"^ +Stream #0:\d+(\S*.*)$", text, re.M)]


def described(path: Path) -> str:
    """All that the program prints of a file when it opens it."""
    return run("-i", path, check=False).stderr.decode(errors="replace")


def shown_info(path: Path, *limit: str) -> str:
    """What filter showinfo says of the decoded frames: times as they are, aspect ratio, colour."""
    selection = ("-copyts", "-noautorotate", "-i", path, "-map", "0:v:0", "-fps_mode", "passthrough")
    done = run(*selection, *limit, "-vf", "showinfo", "-f", "null", "-")
    return "\n".join(line for line in done.stderr.decode(errors="replace").splitlines() if "Parsed_showinfo" in line)


def fact(path: Path, key: str) -> str:
    """A word of `shown_info` of the first frame, such as `color_space:bt709` for `color_space:`."""
    return next(word for word in shown_info(path, "-frames:v", "1").split() if word.startswith(key))


def hdr_data(path: Path) -> list[str]:
    """The lines of `shown_info` about HDR data beside the first frame, such as `Content light level metadata: ...`."""
    lines = shown_info(path, "-frames:v", "1").partition(" n:   1 ")[0].splitlines()
    said = [line.partition("side data - ")[2] for line in lines]
    return sorted({line for line in said if line.startswith(("Mastering", "Content light", "HDR", "Dolby"))})


def metadata(path: Path) -> str:
    """Tags of the file and its chapters, as text (muxer ffmetadata)."""
    return quietly("-copyts", "-i", path, "-f", "ffmetadata", "-").decode()


def remux(source: Path, target: Path, *arguments: str | Path, first: Sequence[str | Path] = ()) -> Path:
    """Copy the packets of `source` into `target`; `first`: arguments that stand before the input."""
    quietly(*first, "-i", source, *(arguments or ("-map", "0")), "-c", "copy", target)
    return target
