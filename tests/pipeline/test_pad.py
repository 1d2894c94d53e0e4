"""Pictures of odd size, padded to even ones when asked: nothing but the last row and column is new."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from vidrain import clean, recompose
from vidrain.errors import InputError
from vidrain.job import CleanOptions
from vidrain.video.decode import open_video


@pytest.mark.fault(17)
@pytest.mark.proves("clean --pad")
@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_odd_pictures_keep_their_format(suffix: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = tmp_path / f"out.{suffix}"
    ran = vidrain("clean", samples / "odd.mp4", "-o", target, "--codec", "h264", "--pad", "--end", "6", "--json")
    assert ran.code == 0
    stream = ffmpeg_says.streams(target)[0]
    assert "yuv420p" in stream
    assert "132x98" in stream
    assert re.search(r"vidrain_crop +: 131x97", ffmpeg_says.described(target), re.I)
    said = [event for event in ran.events if event["event"] == "warning" and event["code"] == "padded"]
    assert [event["message"] for event in said] == [
        "131x97 is stored as 132x98, the last row or column repeated; tag vidrain_crop keeps the true size"
    ]


@pytest.mark.fault(17)
def test_padding_repeats_and_changes_nothing_else(samples: Path, tmp_path: Path) -> None:
    """Every plane against that of a run without, and O = B + R, bit for bit."""
    plain, padded, rain, preview = (tmp_path / f"{name}.mp4" for name in ("plain", "padded", "rain", "preview"))
    clean(samples / "odd.mp4", plain, options=CleanOptions(archive=True, rain=tmp_path / "rain_of_plain.mp4"))
    options = CleanOptions(archive=True, pad=True, rain=rain, rain_preview=preview)
    report = clean(samples / "odd.mp4", padded, options=options)
    assert report.crops == {0: (131, 97)}
    assert report.exact
    for due, got in zip(
        ffmpeg_says.planes(plain, "yuv420p", (131, 97)), ffmpeg_says.planes(padded, "yuv420p", (132, 98)), strict=True
    ):
        assert np.array_equal(got[0][:97, :131], due[0])
        assert np.array_equal(got[0][:97, 131], due[0][:, 130])
        assert np.array_equal(got[0][97, :131], due[0][96])
        assert all(np.array_equal(a, b) for a, b in zip(got[1:], due[1:], strict=True))  # chroma was rounded up before
    assert ffmpeg_says.shown_frames(rain).contents == ffmpeg_says.shown_frames(tmp_path / "rain_of_plain.mp4").contents
    assert "yuv420p" in ffmpeg_says.streams(preview)[0]
    assert "132x98" in ffmpeg_says.streams(preview)[0]
    sources = open_video(samples / "odd.mp4").frames()
    for again, source in zip(recompose(padded, rain), sources, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(again.planes, source.planes, strict=True))


def noise(folder: Path, size: tuple[int, int], pix_fmt: str) -> Path:
    """Three frames of noise: the program's own test pictures have no such sizes."""
    samples = np.random.default_rng(0).integers(0, 255, 3 * 3 * (size[0] + 1) * (size[1] + 1), np.uint8)
    raw = samples.astype("<u2") if pix_fmt.endswith("le") else samples  # more than enough
    (folder / "raw").write_bytes(raw.tobytes())
    shape = ("-f", "rawvideo", "-s", f"{size[0]}x{size[1]}", "-pix_fmt", pix_fmt, "-r", "25")
    ffmpeg_says.quietly(*shape, "-i", folder / "raw", "-frames:v", "3", "-c:v", "rawvideo", folder / "in.nut")
    return folder / "in.nut"


@pytest.mark.fault(17)
@pytest.mark.parametrize("size", [(17, 4), (19, 11), (8, 9)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p10le", "yuv444p", "gray"])
def test_every_layout_comes_back_bit_for_bit(size: tuple[int, int], pix_fmt: str, tmp_path: Path) -> None:
    source, target, rain = noise(tmp_path, size, pix_fmt), tmp_path / "out.mp4", tmp_path / "rain.mp4"
    report = clean(source, target, options=CleanOptions(archive=True, pad=True, rain=rain))
    info = open_video(target).info
    assert (info.width % 2, info.height % 2, info.layout.name) == (0, 0, pix_fmt)
    assert report.crops == {0: size}
    for again, due in zip(recompose(target, rain), open_video(source).frames(), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(again.planes, due.planes, strict=True))


@pytest.mark.fault(17)
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (1, 17), (17, 1), (1, 1)])
def test_tiny_pictures(size: tuple[int, int], tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    clean(noise(tmp_path, size, "yuv420p"), target, options=CleanOptions(pad=True))
    info = open_video(target).info
    assert (info.width, info.height) == (size[0] + size[0] % 2, size[1] + size[1] % 2)
    assert (info.codec, info.layout.name) == ("h264", "yuv420p")
    assert len(ffmpeg_says.shown_frames(target).packets) == 3


@pytest.mark.fault(17)
def test_an_encoder_that_refuses_odd_sizes_takes_padded_ones(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    arguments = ("clean", samples / "odd.mp4", "-o", tmp_path / "out.mp4", "--codec", "av1", "--end", "4")
    refused = vidrain(*arguments)
    assert refused.code == 2
    assert "use --pad" in refused.err
    assert vidrain(*arguments, "--pad").code == 0


def test_even_pictures_stay_as_they_are(samples: Path, tmp_path: Path) -> None:
    plain, padded = tmp_path / "plain.mp4", tmp_path / "padded.mp4"
    clean(samples / "vfr.mp4", plain, options=CleanOptions(end="5"))
    report = clean(samples / "vfr.mp4", padded, options=CleanOptions(end="5", pad=True))
    assert report.crops == {}
    one, other = (ffmpeg_says.tracks(path, "-map", "0", "-c", "copy") for path in (plain, padded))
    assert one == other


def test_rain_of_another_size_is_still_refused(samples: Path, tmp_path: Path) -> None:
    padded, rain = tmp_path / "padded.mp4", tmp_path / "rain.mp4"
    clean(samples / "odd.mp4", padded, options=CleanOptions(archive=True, pad=True, end="2"))
    clean(samples / "vfr.mp4", tmp_path / "b.mp4", options=CleanOptions(archive=True, rain=rain, end="2"))
    with pytest.raises(InputError, match="of its own size"):
        recompose(padded, rain)


def test_comparison_of_two_sizes_is_refused(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", samples / "odd.mp4", "-o", tmp_path / "o.mp4", "--pad", "--compare", tmp_path / "c.mp4")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "drop it, or --pad" in ran.err
    assert list(tmp_path.iterdir()) == []


def test_two_padded_videos_keep_a_size_each(samples: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "two.mkv", tmp_path / "out.mkv"
    ffmpeg_says.quietly(
        *(
            "-i",
            samples / "odd.mp4",
            "-i",
            samples / "odd.mp4",
            "-map",
            "0:v",
            "-map",
            "1:v",
            "-t",
            "0.2",
            "-c:v",
            "ffv1",
        ),
        *("-filter:v:1", "crop=65:97:0:0:exact=1", source),
    )
    report = clean(source, target, options=CleanOptions(pad=True, video="all"))
    assert report.crops == {0: (131, 97), 1: (65, 97)}
    described = ffmpeg_says.described(target)
    assert re.search(r"vidrain_crop +: 131x97", described, re.I)
    assert re.search(r"vidrain_crop_1 +: 65x97", described, re.I)
    assert [(v.info.width, v.info.height) for v in (open_video(target, track=n) for n in (0, 1))] == [
        (132, 98),
        (66, 98),
    ]
