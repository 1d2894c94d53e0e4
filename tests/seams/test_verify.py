"""A finished file is read back before it gets its name: every way it can be wrong is made here for real."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.hdr_films import PQ, STATIC, film
from tests.round_trip import SAMPLES, Written, opened, write
from vidrain.errors import OutputError
from vidrain.video.encoder import EncodeOptions
from vidrain.video.verify import verify


@pytest.fixture(scope="module", params=["mp4", "mkv"])
def good(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A sound H.264 file without B-frames, so that packets stand in the order of the frames."""
    target = tmp_path_factory.mktemp("good") / f"good.{request.param}"
    return write(SAMPLES / "vfr.mp4", target, EncodeOptions(codec="h264", options={"bf": "0"}))


def damaged(good: Written, tmp_path: Path, *arguments: str | Path, first: tuple[str, ...] = ()) -> Path:
    """`good` remuxed with `arguments`, in the same container and with its times kept."""
    is_mp4 = good.plan.container == "mp4"
    clock = ("-movie_timescale", "90000") if is_mp4 else ("-avoid_negative_ts", "disabled")
    target = tmp_path / f"damaged{good.path.suffix}"
    return ffmpeg_says.remux(good.path, target, "-copyts", *clock, *arguments, first=first)


def test_a_remuxed_file_passes(good: Written, tmp_path: Path) -> None:
    """So that the others fail for what was done to them, not for having been remuxed."""
    assert verify(damaged(good, tmp_path, "-map", "0"), good.expected) == good.verified
    assert good.verified.pts_equal == (good.plan.container == "mp4")


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (("-bsf:v", "noise=drop=eq(n\\,20)"), "35 frames in the finished file, 36 were written"),
        (("-bsf:v", "noise=drop=eq(n\\,35)"), "35 frames in the finished file, 36 were written"),
        (("-bsf:v", "setts=ts=if(eq(N\\,5)\\,PTS+180\\,PTS)"), r"a frame's time is off by [12]\.\d{3} ms"),
        (("-bsf:v", "setts=ts=PTS+180"), r"a frame's time is off by [12]\.\d{3} ms"),
        (("-bsf:a", "noise=drop=eq(n\\,20)"), r"copied stream audio aac has 85 packets .* 86 in the source"),
        (("-bsf:a", "noise=amount=-1"), "the bytes of copied stream audio aac differ"),
        (("-bsf:a", "setts=ts=PTS+480"), r"copied stream audio aac starts \+0.010 s off"),
        (("-bsf:v", "h264_metadata=matrix_coefficients=6"), "colour matrix is 6 in the finished file, should be 1"),
        (("-bsf:v", "h264_metadata=colour_primaries=9"), "colour primaries is 9 in the finished file, should be 1"),
        (("-bsf:v", "h264_metadata=transfer_characteristics=16"), "colour transfer is 16 .* should be 1"),
        (("-bsf:v", "h264_metadata=video_full_range_flag=1"), "colour range is 2 in the finished file, should be 1"),
        (("-bsf:v", "h264_metadata=sample_aspect_ratio=4/3"), "sample aspect ratio is 4/3 .* should be 1"),
        (("-bsf:v", "h264_metadata=crop_right=2"), r"size is \(254, 160\) .* should be \(256, 160\)"),
    ],
)
def test_damage_is_found_and_named(good: Written, damage: tuple[str, str], what: str, tmp_path: Path) -> None:
    if "setts=ts=PTS+480" in damage and good.plan.container == "matroska":
        damage = (damage[0], "setts=ts=PTS+10")  # milliseconds there
    if damage[0] == "-bsf:v" and good.plan.container == "matroska":
        damage = (damage[0], damage[1].replace("+180", "+2"))
    broken = damaged(good, tmp_path, "-map", "0", *damage)
    with pytest.raises(OutputError, match=what) as caught:
        verify(broken, good.expected)
    message = str(caught.value)
    assert "\n" not in message
    assert "nothing was kept" in message
    assert caught.value.exit_code == 5


def test_one_tick_is_enough_in_mp4(tmp_path: Path) -> None:
    good = write(SAMPLES / "odd.mp4", tmp_path / "good.mp4", EncodeOptions(codec="h264", options={"bf": "0"}))
    moved = "setts=ts=if(eq(N\\,5)\\,PTS+1\\,PTS)"
    broken = damaged(good, tmp_path, "-map", "0", "-bsf:v", moved, "-video_track_timescale", "12800")
    with pytest.raises(OutputError, match=r"a frame's time is off by 0\.078 ms"):
        verify(broken, good.expected)


def test_a_missing_stream_is_found(good: Written, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="a copied stream is missing"):
        verify(damaged(good, tmp_path, "-map", "0:v"), good.expected)


def test_swapped_sound_tracks_are_found(tmp_path: Path) -> None:
    good = write(SAMPLES / "cut.mkv", tmp_path / "good.mkv", kept=slice(36))
    quieter = tmp_path / "other.mkv"
    ffmpeg_says.quietly(
        *("-i", good.path, "-map", "0:v", "-map", "0:a:0", "-map", "0:a:1", "-c", "copy", "-c:a:1", "aac", quieter)
    )
    with pytest.raises(OutputError, match="copied stream audio aac"):
        verify(quieter, good.expected)


def test_a_lost_display_matrix_is_found(tmp_path: Path) -> None:
    good = write(SAMPLES / "rotated.mp4", tmp_path / "good.mp4")
    for angle in ("0", "90"):
        with pytest.raises(OutputError, match=r"display matrix is .* should be"):
            verify(damaged(good, tmp_path, "-map", "0", first=("-display_rotation", angle)), good.expected)


def test_another_pixel_format_is_found(tmp_path: Path) -> None:
    good = write(SAMPLES / "odd.mp4", tmp_path / "good.mp4")
    with pytest.raises(OutputError, match="pixel format is yuv420p in the finished file, should be yuv444p"):
        verify(good.path, replace(good.expected, pix_fmt="yuv444p"))


def test_full_range_taken_for_limited_is_found(tmp_path: Path) -> None:
    good = write(SAMPLES / "full_range.mp4", tmp_path / "good.mp4")
    color = replace(opened(SAMPLES / "full_range.mp4").info.color, range=1)
    with pytest.raises(OutputError, match="colour range is 2 in the finished file, should be 1"):
        verify(good.path, replace(good.expected, info=replace(good.expected.info, color=color)))


@pytest.mark.fault(19)
@pytest.mark.parametrize(
    "params",
    [
        f"{PQ}:{STATIC.replace('1000,400', '1000,401')}",
        f"{PQ}:{STATIC.replace('(10000000,50)', '(10000000,60)')}",
        f"{PQ}:{STATIC.replace('G(13250,34500)', 'G(13252,34500)')}",
        f"{PQ}:{STATIC.partition(':')[2]}",
        PQ,
    ],
    ids=["light", "luminance", "green", "no mastering", "nothing"],
)
def test_other_static_hdr_data_is_found(params: str, tmp_path: Path) -> None:
    source, other = film(tmp_path / "source.mp4", f"{PQ}:{STATIC}"), film(tmp_path / "other.mp4", params)
    good, bad = (write(path, tmp_path / f"{path.stem}.out.mp4") for path in (source, other))
    assert verify(good.path, good.expected) == good.verified
    with pytest.raises(OutputError, match=r"static HDR data is .* should be"):
        verify(bad.path, good.expected)


@pytest.mark.parametrize("part", [0, 0.3, 0.9])
def test_a_file_that_was_cut_off_is_found(good: Written, part: float, tmp_path: Path) -> None:
    whole = good.path.read_bytes()
    broken = tmp_path / f"short{good.path.suffix}"
    broken.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(OutputError, match=r"cannot be read back|frames in the finished file|copied stream|breaks off"):
        verify(broken, good.expected)
