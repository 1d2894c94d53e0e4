"""Colour bars of every matrix and range, turned and mirrored pictures, samples that are not square: the whole job."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from tests.pipeline.conftest import Vidrain

# Name of the matrix for FFmpeg's filter -> (matrix, primaries, transfer) for its encoders.
MATRICES = {
    "bt601": ("smpte170m", "smpte170m", "smpte170m"),
    "bt470bg": ("bt470bg", "bt470bg", "bt470bg"),
    "bt709": ("bt709", "bt709", "bt709"),
    "bt2020": ("bt2020nc", "bt2020", "bt2020-10"),
}
RANGES = ("tv", "pc")
TAGS = ("color_range:", "color_space:", "color_primaries:", "color_trc:")


def bars(target: Path, matrix: str, color_range: str, *, size: str = "128x96", tagged: bool = True) -> Path:
    """Six frames of the RGB colour bars stored losslessly in H.264 4:4:4 by `matrix`."""
    scale = f"scale=out_color_matrix={matrix}:out_range={color_range}:flags=accurate_rnd+full_chroma_int"
    picture = f"smptebars=s={size}:r=25,format=gbrp,{scale},format=yuv444p"
    space, primaries, transfer = MATRICES[matrix] if tagged else ("unknown",) * 3
    shown = color_range if tagged else "unknown"
    picture += f",setparams=range={shown}:colorspace={space}:color_primaries={primaries}:color_trc={transfer}"
    lavfi = ("-f", "lavfi", "-i", picture, "-frames:v", "6")
    ffmpeg_says.quietly(*lavfi, "-c:v", "libx264", "-qp", "0", target)
    return target


def tags(path: Path) -> set[str]:
    words = ffmpeg_says.shown_info(path, "-frames:v", "1").split()
    return {word for word in words if word.startswith(TAGS)}


def seen(path: Path, matrix: str) -> npt.NDArray[np.int16]:
    """The first frame as RGB, by the tags of the file, or by `matrix` where it has none. [H, W, 3]"""
    decode = ("-i", path, "-frames:v", "1", "-vf", f"scale=in_color_matrix={matrix}:flags=accurate_rnd+full_chroma_int")
    raw = ffmpeg_says.quietly(*decode, "-pix_fmt", "gbrp", "-f", "rawvideo", "-")
    return np.frombuffer(raw, np.uint8).astype(np.int16)


@pytest.mark.fault(20)
@pytest.mark.parametrize("how", [("--crf", "0"), ("--archive",), ("--codec", "hevc", "-e", "x265-params=lossless=1")])
@pytest.mark.parametrize("color_range", RANGES)
@pytest.mark.parametrize("matrix", MATRICES)
def test_bars_come_out_as_they_went_in(
    matrix: str, color_range: str, how: tuple[str, ...], tmp_path: Path, vidrain: Vidrain
) -> None:
    """Nothing moves and nothing is rain: every code stays, and so does what it means."""
    source, target = bars(tmp_path / "bars.mp4", matrix, color_range), tmp_path / "out.mp4"
    ran = vidrain("clean", source, "-o", target, *how)
    assert (ran.code, ran.err) == (0, "")
    assert tags(target) == tags(source)
    assert f"color_range:{color_range}" in tags(target)
    assert f"color_space:{MATRICES[matrix][0]}" in tags(target)
    assert ffmpeg_says.shown_frames(target).contents == ffmpeg_says.shown_frames(source).contents
    drawn = ffmpeg_says.quietly(
        *("-f", "lavfi", "-i", "smptebars=s=128x96:r=25,format=gbrp", "-frames:v", "1", "-f", "rawvideo", "-")
    )
    off = np.abs(seen(target, "auto") - np.frombuffer(drawn, np.uint8))
    assert off.max() <= 3  # two roundings, to codes and back, the largest coefficient above 2
    assert off.mean() < 1


@pytest.mark.fault(20)
@pytest.mark.parametrize(("size", "matrix"), [("128x96", "bt601"), ("720x576", "bt601"), ("1280x720", "bt709")])
def test_untagged_bars_stay_untagged_and_what_is_assumed_is_said(
    size: str, matrix: str, tmp_path: Path, vidrain: Vidrain
) -> None:
    source = bars(tmp_path / "bars.mp4", matrix, "tv", size=size, tagged=False)
    target = tmp_path / "out.mp4"
    assert tags(source) == {f"{tag}unknown" for tag in TAGS}
    ran = vidrain("clean", source, "-o", target, "--crf", "0", "--end", "3")
    assert ran.code == 0
    assert tags(target) == tags(source)
    assert np.abs(seen(target, matrix) - seen(source, matrix)).max() <= 1
    assert ("no colour matrix is tagged: taken for BT.709; the tag stays as it was" in ran.err) == (matrix == "bt709")


@pytest.mark.fault(21)
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
@pytest.mark.parametrize("angle", [0, 90, 180, 270])
def test_turned_pictures_stay_as_stored(
    angle: int, mirrored: bool, suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """The matrix is kept, the pixels are not turned: the painted indices lie where they lay."""
    source, target = tmp_path / f"source.{suffix}", tmp_path / f"out.{suffix}"
    flags = ("-display_rotation", str(angle), *(("-display_hflip",) if mirrored else ()))
    ffmpeg_says.remux(samples / "full_range.mp4", source, "-map", "0", first=flags)
    assert vidrain("clean", source, "-o", target).code == 0
    assert matrix_of(target) == matrix_of(source)
    assert bool(matrix_of(source)) == bool(angle or mirrored)
    size = re.search(r", (\d+)x(\d+)", ffmpeg_says.streams(source)[0])
    assert size
    frames = ffmpeg_says.planes(target, "yuv420p", (int(size[1]), int(size[2])))
    assert [read_index(planes[0]) for planes in frames] == list(range(28))


def matrix_of(path: Path) -> bytes:
    """The nine numbers of the display matrix, as PyAV reads them; nothing where there is none."""
    with av.open(str(path)) as container:
        parts = next(container.decode(video=0)).side_data
        return b"".join(bytes(part) for part in parts if part.type.name == "DISPLAYMATRIX")


@pytest.mark.fault(21)
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", "mp4"), ("h264", "mov"), ("h264", "mkv"), ("hevc", "mkv"), ("av1", "mp4"), ("ffv1", "mp4")],
)
def test_samples_that_are_not_square_stay_so(codec: str, suffix: str, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = tmp_path / "source.mp4", tmp_path / f"out.{suffix}"
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=720x576:r=25,setsar=4/3", "-frames:v", "3", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*lavfi, "-c:v", "libx264", "-qp", "0", source)
    assert vidrain("clean", source, "-o", target, "--codec", codec).code == 0
    assert ffmpeg_says.fact(target, "sar:") == ffmpeg_says.fact(source, "sar:") == "sar:4/3"


@pytest.mark.fault(21)
@pytest.mark.parametrize("codec", ["ffv1", "av1"])
def test_samples_that_would_turn_square_are_refused_beforehand(codec: str, tmp_path: Path, vidrain: Vidrain) -> None:
    source = tmp_path / "source.mp4"
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25,setsar=4/3", "-frames:v", "3", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*lavfi, "-c:v", "libx264", source)
    ran = vidrain("clean", source, "-o", tmp_path / "out.mkv", "--codec", codec)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "samples of 4/3 would be shown square" in ran.err
    assert list(tmp_path.iterdir()) == [source]


def test_a_rare_matrix_is_no_reason_to_refuse_another_format(
    samples: Path, out: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """Chroma of 4:2:0 becomes that of 4:4:4 without any matrix; FFmpeg converts with few of those of the standard."""
    source = tmp_path / "rare.mkv"
    tags = ("-bsf:v", "h264_metadata=matrix_coefficients=14")
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-map", "0:v", "-c", "copy", *tags, source)
    ran = vidrain("clean", source, "-o", out, "--codec", "h264", "--pix-fmt", "yuv444p", "--end", "3")
    assert ran.code == 0, ran.err
