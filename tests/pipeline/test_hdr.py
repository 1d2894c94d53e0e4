"""HDR video goes in and comes out as HDR: the signal, the tags and what is said beside it; read by FFmpeg's program."""

from __future__ import annotations

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests import ffmpeg_says, hdr_films
from tests.hdr_films import HLG, PQ, STATIC, STATIC_OF_X264, film
from tests.pipeline.conftest import Vidrain

pytestmark = pytest.mark.fault(19)

Make = Callable[[Path], Path]
FILMS: dict[str, Make] = {
    "PQ": lambda folder: film(folder / "pq.mp4", f"{PQ}:{STATIC}:chromaloc=2"),
    "PQ in Matroska": lambda folder: film(folder / "pq.mkv", f"{PQ}:{STATIC}"),
    "PQ without a mastering display": lambda folder: film(folder / "pq.mp4", f"{PQ}:max-cll=900,90:repeat-headers=1"),
    "HLG": lambda folder: film(folder / "hlg.mp4", HLG),
    "HLG of 8 bits": lambda folder: film(folder / "hlg.mp4", HLG, pix_fmt="yuv420p"),
    "PQ as H.264 Hi10P": lambda folder: film(folder / "hi10p.mp4", f"{PQ}:{STATIC_OF_X264}", codec="libx264"),
    "HLG as H.264 4:2:2": lambda folder: film(
        folder / "hi422.mp4", HLG, codec="libx264", pix_fmt="yuv422p10le"
    ),
}  # fmt: skip


def tags(path: Path) -> set[str]:
    """Range, matrix, primaries, transfer, pixel format and siting of chroma in the program's words."""
    wanted = ("color_range:", "color_space:", "color_primaries:", "color_trc:", "fmt:", "cl:")
    return {word for word in ffmpeg_says.shown_info(path, "-frames:v", "1").split() if word.startswith(wanted)}


def static_bytes(path: Path) -> dict[str, bytes]:
    """Side data of the first frame as PyAV gives it."""
    with av.open(str(path)) as container:
        parts = next(container.decode(video=0)).side_data
        kinds = ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
        return {part.type.name: bytes(part) for part in parts if part.type.name in kinds}


def messages(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.strip()]


@pytest.mark.parametrize("make", FILMS.values(), ids=FILMS)
def test_hdr_comes_out_as_it_went_in(make: Make, tmp_path: Path, vidrain: Vidrain) -> None:
    source = make(tmp_path)
    target = tmp_path / f"out{source.suffix}"
    ran = vidrain("clean", source, "-o", target)
    assert ran.code == 0
    assert tags(target) == tags(source)
    assert ffmpeg_says.hdr_data(target) == ffmpeg_says.hdr_data(source)
    assert static_bytes(target) == static_bytes(source)
    line = ffmpeg_says.streams(target)[0]
    assert ("hevc" in line) == ("hevc" in ffmpeg_says.streams(source)[0])
    assert ("(hvc1 /" in line) == ("(hvc1 /" in ffmpeg_says.streams(source)[0])
    said = messages(ran.err)
    kind = "PQ" if "smpte2084" in str(tags(source)) else "HLG"
    assert len(said) == 1
    assert f"the video is HDR ({kind}): rain is looked for by measures made for SDR" in said[0]


@pytest.mark.parametrize("make", FILMS.values(), ids=FILMS)
def test_what_is_not_rain_keeps_its_code_and_its_level(make: Make, tmp_path: Path, vidrain: Vidrain) -> None:
    """Read from the archive by FFmpeg's program: B is O wherever R is none, and R takes off little."""
    source, clean, rain = make(tmp_path), tmp_path / "clean.mp4", tmp_path / "rain.mp4"
    assert vidrain("clean", source, "-o", clean, "--archive", "--rain", rain).code == 0
    pix_fmt = next(tag for tag in tags(source) if tag.startswith("fmt:")).removeprefix("fmt:")
    depth = 8 if pix_fmt == "yuv420p" else 10
    wider = f"{pix_fmt.removesuffix('10le')}{depth + 2}le"
    shapes = (128, 96)
    due, got = (ffmpeg_says.planes(path, pix_fmt, shapes) for path in (source, clean))
    for o, b, r in zip(due, got, ffmpeg_says.planes(rain, wider, shapes), strict=True):
        none = r[0] == 2 ** (depth + 1)
        assert none.mean() > 0.5
        assert np.array_equal(b[0][none], o[0][none])
        assert abs(float(b[0].mean()) / float(o[0].mean()) - 1) < 0.02
    assert tags(clean) | {"cl:unspecified"} >= tags(source) - {"cl:left", "cl:topleft"}


@pytest.mark.parametrize(("codec", "suffix"), [("h264", "mp4"), ("hevc", "mkv"), ("av1", "mp4"), ("av1", "mkv")])
def test_static_data_goes_into_every_codec_that_has_a_place_for_it(
    codec: str, suffix: str, tmp_path: Path, vidrain: Vidrain
) -> None:
    source, target = film(tmp_path / "pq.mp4", f"{PQ}:{STATIC}:chromaloc=2"), tmp_path / f"out.{suffix}"
    ran = vidrain("clean", source, "-o", target, "--codec", codec)
    assert ran.code == 0
    assert "not carried" not in ran.err
    assert tags(target) == tags(source)
    due, got = static_bytes(source), static_bytes(target)
    assert got["CONTENT_LIGHT_LEVEL"] == due["CONTENT_LIGHT_LEVEL"]
    numbers = [np.frombuffer(data["MASTERING_DISPLAY_METADATA"], np.int32)[:20] for data in (due, got)]
    wanted, found = ([Fraction(int(a), int(b)) for a, b in part.reshape(10, 2)] for part in numbers)
    steps = [Fraction(1, 2**16)] * 8 + [Fraction(1, 2**14), Fraction(1, 2**8)]  # of AV1; the others are exact
    for a, b, step in zip(wanted, found, steps, strict=True):
        assert abs(a - b) <= (step if codec == "av1" else 0)


def test_own_parameters_of_the_encoder_stand_beside_it(tmp_path: Path, vidrain: Vidrain) -> None:
    for codec, key in (("hevc", "x265-params"), ("h264", "x264-params"), ("av1", "svtav1-params")):
        source, target = film(tmp_path / "pq.mp4", f"{PQ}:{STATIC}"), tmp_path / f"{codec}.mp4"
        own = "keyint=3" if codec != "av1" else "lookahead=8"
        assert vidrain("clean", source, "-o", target, "--codec", codec, "-e", f"{key}={own}").code == 0
        assert len(ffmpeg_says.hdr_data(target)) == 2


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_what_ffv1_cannot_say_is_named_before_the_first_frame(suffix: str, tmp_path: Path, vidrain: Vidrain) -> None:
    source, target = film(tmp_path / "pq.mp4", f"{PQ}:{STATIC}:chromaloc=2"), tmp_path / f"out.{suffix}"
    ran = vidrain("clean", source, "-o", target, "--archive", "--json")
    assert ran.code == 0
    kinds = [event["event"] for event in ran.events]
    said = [event["message"] for event in ran.events[: kinds.index("progress")] if event["event"] == "warning"]
    lost = "HDR data beside the picture is not carried: content light level, mastering display; keep the source"
    assert lost in said
    sited = "where chroma lies (topleft) cannot be said in this output: players will take it for left"
    assert (sited in said) == (suffix == "mp4")
    assert ffmpeg_says.hdr_data(target) == []
    assert ("cl:topleft" in tags(target)) == (suffix == "mkv")


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("HDR10+", hdr_films.with_hdr10_plus),
        ("Dolby Vision", lambda a, b: hdr_films.with_dolby_vision(a, b, profile=8)),
    ],
)
def test_data_that_changes_from_frame_to_frame_is_named(
    name: str, make: Callable[[Path, Path], Path], tmp_path: Path, vidrain: Vidrain
) -> None:
    """The layer below stands alone: it is cleaned, with its static data."""
    plain = film(tmp_path / "plain.mp4", f"{PQ}:{STATIC}")
    source, target = make(plain, tmp_path / "source.mp4"), tmp_path / "out.mp4"
    assert len(ffmpeg_says.hdr_data(source)) > 2
    ran = vidrain("clean", source, "-o", target)
    assert ran.code == 0
    assert f"HDR data beside the picture is not carried: {name}; keep the source" in ran.err
    assert ffmpeg_says.hdr_data(target) == ffmpeg_says.hdr_data(plain)
    assert tags(target) == tags(plain)


@pytest.mark.parametrize(
    ("params", "profile"),
    [
        ("range=full", 5),
        ("range=full", 8),  # so it says, but nothing tells what its layer is
        ("range=full:colormatrix=bt2020nc", 8),
        ("transfer=smpte2084:colorprim=bt2020", 8),
        (PQ, 5),  # tagged as what it is not
    ],
)
def test_dolby_vision_that_means_nothing_without_its_data_is_refused(
    params: str, profile: int, tmp_path: Path, vidrain: Vidrain
) -> None:
    """Profile 5 would go out green and violet."""
    plain = film(tmp_path / "plain.mp4", params)
    source = hdr_films.with_dolby_vision(plain, tmp_path / "source.mp4", profile=profile)
    before = set(tmp_path.iterdir())
    ran = vidrain("clean", source, "-o", tmp_path / "out.mp4")
    assert (ran.code, ran.err.count("\n")) == (3, 1)
    assert "is Dolby Vision whose colours mean nothing without its own data" in ran.err
    assert set(tmp_path.iterdir()) == before
    assert "refuses" in vidrain("inspect", source).out
    assert vidrain("clean", plain, "-o", tmp_path / "out.mp4").code == 0  # the same tags alone are no reason


def test_preview_of_hdr_says_nothing_of_hdr(tmp_path: Path, vidrain: Vidrain) -> None:
    """It is made for the eye, on black of ordinary range."""
    source, preview = film(tmp_path / "pq.mp4", f"{PQ}:{STATIC}"), tmp_path / "preview.mp4"
    assert vidrain("clean", source, "-o", tmp_path / "out.mp4", "--rain-preview", preview).code == 0
    assert ffmpeg_says.hdr_data(preview) == []
    assert "color_trc:smpte2084" not in tags(preview)


def test_comparison_of_hdr_is_hdr(tmp_path: Path, vidrain: Vidrain) -> None:
    """Without its tags it would be shown washed out, both halves alike."""
    source, compare = film(tmp_path / "pq.mp4", f"{PQ}:{STATIC}"), tmp_path / "compare.mp4"
    assert vidrain("clean", source, "-o", tmp_path / "out.mp4", "--compare", compare).code == 0
    wanted = {"color_range:tv", "color_space:bt2020nc", "color_primaries:bt2020", "color_trc:smpte2084"}
    assert wanted <= tags(compare)


def test_inspect_tells_it(tmp_path: Path, vidrain: Vidrain) -> None:
    source = film(tmp_path / "pq.mp4", f"{PQ}:{STATIC}:chromaloc=2")
    video = json.loads(vidrain("inspect", source, "--json").out)["video"]
    assert (video["hdr"], video["chroma_siting"], video["light_level"]) == ("PQ", "topleft", [1000, 400])
    assert video["mastering"] == [0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.3127, 0.329, 0.005, 1000]
    text = vidrain("inspect", source).out
    assert "HDR (PQ)" in text
    assert "chroma topleft" in text
