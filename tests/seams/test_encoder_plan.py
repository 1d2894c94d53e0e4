"""What the encoder is to do is decided, and refused, before the first frame."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from tests.round_trip import SAMPLES, made_info, opened, write
from vidrain.errors import UsageError
from vidrain.types import PixelLayout
from vidrain.video.encoder import EncodeOptions, EncoderPlan, container_of, plan_encoder


def planned(
    *,
    codec: str = "h264",
    path: str = "out.mp4",
    pix_fmt: str | None = None,
    options: Mapping[str, str] | None = None,
    crf: int = 18,
) -> EncoderPlan:
    chosen = EncodeOptions(codec=codec, crf=crf, pix_fmt=pix_fmt, options=dict(options or {}))  # type: ignore[arg-type]
    return plan_encoder(opened(SAMPLES / "street.mp4").info, Path(path), chosen)


def test_the_source_s_codec_is_kept_where_it_can_be() -> None:
    names = ("street.mp4", "tenbit.mp4", "odd.mp4")
    infos = [opened(SAMPLES / name).info for name in names]
    plans = [plan_encoder(info, Path("out.mp4"), EncodeOptions()) for info in infos]
    assert [(plan.encoder, plan.pix_fmt) for plan in plans] == [
        ("libx264", "yuv420p"),
        ("libx265", "yuv420p10le"),
        ("ffv1", "yuv420p"),
    ]


@pytest.mark.parametrize(
    ("layout", "suffix", "encoder"),
    [
        (PixelLayout("yuv420p", 8), "mp4", "libx264"),
        (PixelLayout("yuv422p", 10), "mov", "libx264"),
        (PixelLayout("yuv422p", 12), "mp4", "libx265"),
        (PixelLayout("gbrp", 8), "mp4", "libx265"),
        (PixelLayout("yuv440p", 10), "mkv", "ffv1"),
    ],
)
def test_a_codec_we_cannot_write_becomes_the_first_that_fits(layout: PixelLayout, suffix: str, encoder: str) -> None:
    plan = plan_encoder(made_info(layout, size=(64, 48)), Path(f"out.{suffix}"), EncodeOptions())
    assert (plan.encoder, plan.pix_fmt) == (encoder, layout.name)


@pytest.mark.parametrize("codec", ["ffv1", "av1"])
def test_what_mov_does_not_take(codec: str) -> None:
    with pytest.raises(UsageError, match=f"{codec} does not go into .mov; use .mp4 or .mkv"):
        planned(codec=codec, path="out.mov")


@pytest.mark.fault(17)
def test_odd_sizes_become_444_and_it_is_said(tmp_path: Path) -> None:
    written = write(SAMPLES / "odd.mp4", tmp_path / "out.mp4", EncodeOptions(codec="h264"))
    assert written.plan.pix_fmt == "yuv444p"
    assert written.plan.notes == (
        "131x97 is odd: libx264 cannot store yuv420p of it, yuv444p is stored; --pad keeps yuv420p",
    )
    line = next(line for line in ffmpeg_says.streams(written.path) if "Video:" in line)
    assert "yuv444p(" in line
    assert "131x97" in line
    shown = ffmpeg_says.planes(written.path, "yuv444p", (131, 97))
    assert [read_index(planes[0]) for planes in shown] == list(range(16))


@pytest.mark.fault(17)
def test_odd_sizes_that_cannot_be_stored_are_refused() -> None:
    with pytest.raises(
        UsageError, match="libsvtav1 stores neither yuv420p nor yuv444p of 131x97; use --pad or --codec ffv1"
    ):
        plan_encoder(opened(SAMPLES / "odd.mp4").info, Path("out.mp4"), EncodeOptions(codec="av1"))


def test_pix_fmt_is_what_was_asked_for(tmp_path: Path) -> None:
    written = write(SAMPLES / "tenbit.mp4", tmp_path / "out.mp4", EncodeOptions(codec="h264", pix_fmt="yuv420p"))
    assert "yuv420p(" in ffmpeg_says.streams(written.path)[0]
    with pytest.raises(UsageError, match=r"--pix-fmt yuv999p: not stored by libx264; allowed: .*yuv420p"):
        planned(pix_fmt="yuv999p")


@pytest.mark.parametrize("name", ["out.avi", "out", "out.webm"])
def test_suffixes_that_name_no_container(name: str) -> None:
    with pytest.raises(UsageError, match=r"names no container; allowed: \.mp4 \.m4v \.mov \.mkv"):
        container_of(Path(name))
    assert container_of(Path("OUT.MP4")) == "mp4"


@pytest.mark.parametrize(("key", "near"), [("prset", "preset"), ("bframes", "b_frames|bf"), ("tunee", "tune")])
def test_an_unknown_option_names_its_nearest(key: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"libx264 has no option {key}; did you mean .*({near})"):
        planned(options={key: "3"})


@pytest.mark.parametrize(("codec", "most"), [("h264", 51), ("hevc", 51), ("av1", 63)])
def test_a_quality_that_there_is_not(codec: Literal["h264", "hevc", "av1"], most: int) -> None:
    """Encoders take the nearest one instead, unsaid."""
    info = made_info(PixelLayout("yuv420p", 8), size=(64, 64))
    for crf in (-1, most + 1):
        with pytest.raises(UsageError, match=rf"--crf {crf}: allowed with {codec}: 0 to {most}"):
            plan_encoder(info, Path("out.mp4"), EncodeOptions(codec=codec, crf=crf))
    plan_encoder(info, Path("out.mp4"), EncodeOptions(codec=codec, crf=most))


def test_an_option_like_no_other_says_where_to_look() -> None:
    with pytest.raises(UsageError, match="see ffmpeg -h encoder=libx264"):
        planned(options={"zzqqxx": "1"})


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("h264", {"profile": "nonsense"}),
        ("hevc", {"tune": "quick"}),
        ("ffv1", {"slices": "5"}),
        ("av1", {"preset": "999"}),
    ],
)
def test_a_bad_value_is_refused_with_the_option_named(
    codec: str, options: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    ((key, value),) = options.items()
    with pytest.raises(UsageError, match=f"refuses .*{key}={value}.*change -e") as caught:
        planned(codec=codec, options=options)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_a_preset_that_there_is_not_says_which_there_are(codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Before x264 is asked, which prints a line of its own."""
    with pytest.raises(UsageError, match=r"^-e preset=quick: allowed with libx26[45]: ultrafast, .*, placebo$"):
        planned(codec=codec, options={"preset": "quick"})
    assert capfd.readouterr() == ("", "")
    assert planned(codec=codec, options={"preset": "slower"}).options["preset"] == "slower"


def test_options_reach_the_encoder(tmp_path: Path) -> None:
    sizes = {}
    for crf in (5, 45):
        options = EncodeOptions(codec="h264", crf=crf, options={"g": "7", "preset": "ultrafast"})
        written = write(SAMPLES / "full_range.mp4", tmp_path / f"{crf}.mp4", options)
        sizes[crf] = written.path.stat().st_size
        keys = ffmpeg_says.quietly(
            *("-skip_frame", "nokey", "-i", written.path, "-map", "0:v", "-fps_mode", "passthrough"),
            *("-f", "framehash", "-"),
        )
        assert len([line for line in keys.splitlines() if line and line[:1] != b"#"]) == 4
        assert written.plan.options["preset"] == "ultrafast"
    assert sizes[5] > 3 * sizes[45]


def test_parameters_are_added_to_those_that_keep_the_output_steady() -> None:
    plan = planned(codec="hevc", options={"x265-params": "aq-mode=1"})
    assert plan.options["x265-params"] == "frame-threads=1:log-level=none:aq-mode=1"


def test_a_quality_that_a_lossless_codec_does_not_take_is_named() -> None:
    assert planned(codec="ffv1").notes == ()
    assert planned(codec="ffv1", crf=20).notes == (
        "--crf 20 is not used: FFV1 loses nothing; for smaller files use another --codec",
    )
    assert planned(codec="h264", crf=20).notes == ()
