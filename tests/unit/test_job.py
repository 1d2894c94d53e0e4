"""What is decided about a video before its first frame: names, encoders, ranges, and what is refused or pointed out."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

from tests import ffmpeg_says
from tests.round_trip import SAMPLES, opened
from vidrain.align import AlignOptions
from vidrain.baseline import BaselineOptions
from vidrain.device import device_of
from vidrain.errors import OutputError, UsageError, VidrainError
from vidrain.job import CleanOptions, Job, clean_encoding, default_output, plan_job
from vidrain.shots import ShotOptions
from vidrain.video.decode import open_video
from vidrain.video.encoder import EncodeOptions
from vidrain.video.mux import Span
from vidrain.weights import PRESETS


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.mp4"


def planned(name: str, output: Path | None, **options: Any) -> Job:
    return plan_job(opened(SAMPLES / name), output, CleanOptions(**options))


def refused(name: str, output: Path | None, **options: Any) -> str:
    with pytest.raises(UsageError) as raised:
        planned(name, output, **options)
    message = str(raised.value)
    assert message.count("\n") == 0
    return message


def codes(job: Job) -> list[str]:
    return [notice.code for notice in job.notices]


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("walk.mp4", "walk.clean.mp4"),
        ("walk.MOV", "walk.clean.mp4"),
        ("walk.mkv", "walk.clean.mp4"),
        ("walk.avi", "walk.clean.mp4"),
        ("walk.ts", "walk.clean.mp4"),
        ("walk", "walk.clean.mp4"),
        ("walk.v2.mp4", "walk.v2.clean.mp4"),
        (".mp4", ".mp4.clean.mp4"),
    ],
)
def test_default_name_lies_beside_the_source(source: str, target: str, tmp_path: Path) -> None:
    path = tmp_path / source
    path.write_bytes((SAMPLES / "vfr.mp4").read_bytes())
    assert default_output(open_video(path).info) == tmp_path / target


def test_default_container_is_the_source_s_where_mp4_would_lose_a_stream(tmp_path: Path) -> None:
    text, path = tmp_path / "text.srt", tmp_path / "walk.mkv"
    text.write_text("1\n00:00:00,100 --> 00:00:00,900\nRain\n")
    ffmpeg_says.quietly("-i", SAMPLES / "vfr.mp4", "-i", text, "-map", "0", "-map", "1", "-c", "copy", path)
    assert default_output(open_video(path).info) == tmp_path / "walk.clean.mkv"


def test_default_name_is_used_where_none_is_given(out: Path) -> None:
    assert planned("street.mp4", None).targets == {"clean": SAMPLES / "street.clean.mp4"}
    assert planned("street.mp4", out).targets == {"clean": out}


def test_every_output_has_a_role(out: Path) -> None:
    others = {name: out.with_name(f"{name}.mp4") for name in ("rain", "rain_preview", "compare")}
    job = planned("street.mp4", out, **others)
    assert job.targets == {"clean": out, **others}
    assert list(job.others) == ["rain", "rain_preview"]
    rain, preview = job.others["rain"].plan, job.others["rain_preview"].plan
    assert (rain.encoder, rain.pix_fmt, rain.lossless) == ("ffv1", "yuv420p10le", True)
    assert (preview.encoder, preview.pix_fmt) == ("libx264", "yuv420p")


def test_options_reach_their_places(out: Path) -> None:
    align, shots = AlignOptions(preset="medium"), ShotOptions(cut_difference=9)
    job = planned("vfr.mp4", out, align=align, shots=shots, device="cpu", encode=EncodeOptions(crf=30, threads=1))
    assert (job.decompose.align, job.decompose.shots, job.decompose.device) == (align, shots, "cpu")
    assert (job.clean.plan.options["crf"], job.clean.plan.threads) == ("30", 1)
    assert job.clean.picked.tags["vidrain"] == job.made_by


@pytest.mark.parametrize("preset", PRESETS)
def test_model_wins_over_preset(preset: Any, out: Path) -> None:
    assert planned("odd.mp4", out, preset=preset).model == PRESETS[preset]
    assert planned("odd.mp4", out, preset=preset, model="another").model == "another"


def test_settings_of_another_model_are_said_to_do_nothing(out: Path) -> None:
    def said(**options: Any) -> list[str]:
        return [notice.message for notice in planned("odd.mp4", out, **options).notices if notice.code == "unused"]

    other = BaselineOptions(radius=3)
    assert said(baseline=other) == [
        "settings of baseline do nothing: the model is gate-m; add --model baseline, or leave them out"
    ]
    assert said(baseline=other, model="baseline") == said(preset="fast", baseline=other) == said() == []


@pytest.mark.parametrize("role", ["rain", "rain_preview", "compare"])
def test_outputs_may_not_clash(role: str, out: Path, tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert "is the source" in refused("odd.mp4", out, **{role: SAMPLES / "odd.mp4"})
    assert "is another output" in refused("odd.mp4", out, **{role: tmp_path / "x" / ".." / out.name})
    assert "is another output" in refused("odd.mp4", None, **{role: SAMPLES / "odd.clean.mp4"})


def test_output_may_not_be_the_source() -> None:
    assert "is the source" in refused("odd.mp4", SAMPLES / "odd.mp4", force=True)


@pytest.mark.parametrize("suffix", ["", ".avi", ".webm", ".txt"])
@pytest.mark.parametrize("role", ["clean", "rain", "rain_preview", "compare"])
def test_suffix_names_a_container_we_write(role: str, suffix: str, out: Path) -> None:
    wrong = out.with_suffix(suffix)
    message = refused("odd.mp4", wrong) if role == "clean" else refused("odd.mp4", out, **{role: wrong})
    assert "names no container; allowed: .mp4 .m4v .mov .mkv" in message


def test_archive_is_ffv1(out: Path) -> None:
    assert planned("street.mp4", out, archive=True).clean.plan.lossless
    assert clean_encoding(CleanOptions(archive=True, encode=EncodeOptions(codec="ffv1", threads=1))) == EncodeOptions(
        codec="ffv1", threads=1
    )
    assert not planned("street.mp4", out).clean.plan.lossless


@pytest.mark.parametrize("codec", ["h264", "hevc", "av1"])
def test_archive_contradicts_another_codec(codec: Any, out: Path) -> None:
    message = refused("street.mp4", out, archive=True, encode=EncodeOptions(codec=codec))
    assert message == f"--archive means --codec ffv1, but --codec {codec} is asked for; drop one"


def test_lossless_files_do_not_go_into_mov(out: Path) -> None:
    mov = out.with_suffix(".mov")
    assert "ffv1 does not go into .mov" in refused("street.mp4", mov, archive=True)
    assert "ffv1 does not go into .mov" in refused("street.mp4", out, rain=mov)


def test_whole_video_is_kept_unless_told_otherwise(out: Path) -> None:
    job = planned("vfr.mp4", out)
    assert (job.kept, job.span) == (range(36), None)


@pytest.mark.parametrize(
    ("start", "end", "kept"),
    [("5", "9", range(5, 9)), ("5", None, range(5, 28)), (None, "9", range(9)), ("0.2s", "99s", range(5, 28))],
)
def test_range_in_frames_and_seconds(start: str | None, end: str | None, kept: range, out: Path) -> None:
    job = planned("full_range.mp4", out, start=start, end=end)  # 25 frames a second from 0
    assert job.kept == kept
    first, stop = Fraction(kept.start, 25), None if kept.stop == 28 else Fraction(kept.stop, 25)
    assert job.span == Span(first, stop, first)
    kept_times = planned("full_range.mp4", out, start=start, end=end, keep_pts=True)
    assert kept_times.span == Span(first, stop, Fraction(0))


def test_empty_range_is_refused(out: Path) -> None:
    assert "no frame lies there" in refused("full_range.mp4", out, start="28")


def test_device(out: Path) -> None:
    here = torch.cuda.is_available()
    assert device_of("cpu") == "cpu"
    assert device_of("auto") == ("cuda" if here else "cpu")
    if here:
        assert device_of("cuda") == "cuda"
    else:
        assert "finds no CUDA device here" in refused("odd.mp4", out, device="cuda")


def test_nothing_to_point_out(out: Path) -> None:
    for name in ("street.mp4", "vfr.mp4", "tenbit.mp4", "rotated.mp4", "full_range.mp4"):
        assert codes(planned(name, out)) == []


def test_changed_pixel_format_is_pointed_out(out: Path) -> None:
    job = planned("odd.mp4", out, encode=EncodeOptions(codec="h264"))
    assert codes(job) == ["encoder"]
    assert "131x97 is odd" in job.notices[0].message
    assert codes(planned("odd.mp4", out)) == []  # FFV1 stores it as it is


def test_what_the_container_does_not_take_is_pointed_out(tmp_path: Path, out: Path) -> None:
    words, source = tmp_path / "words.srt", tmp_path / "in.mkv"
    words.write_text("1\n00:00:00,000 --> 00:00:01,000\nrain\n")
    ffmpeg_says.quietly("-i", SAMPLES / "full_range.mp4", "-i", words, "-c", "copy", "-c:s", "ass", source)
    job = plan_job(open_video(source), out, CleanOptions())
    assert codes(job) == ["converted"]
    assert "its text becomes mov_text" in job.notices[0].message
    assert codes(plan_job(open_video(source), out.with_suffix(".mkv"), CleanOptions())) == []


def test_second_video_is_pointed_out(tmp_path: Path, out: Path) -> None:
    source = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "in.mp4", "-map", "0:v", "-map", "0:v")
    job = plan_job(open_video(source), out, CleanOptions())
    assert codes(job) == ["streams"]
    assert "another video: it is copied with its rain" in job.notices[0].message


@pytest.mark.fault(20)
def test_assumed_colour_matrix_is_pointed_out(tmp_path: Path, out: Path) -> None:
    source = tmp_path / "in.mp4"
    ffmpeg_says.quietly("-f", "lavfi", "-i", "testsrc2=size=1280x720:duration=0.1", "-pix_fmt", "yuv420p", source)
    job = plan_job(open_video(source), out, CleanOptions())
    assert codes(job) == ["colour"]
    assert "no colour matrix is tagged" in job.notices[0].message


def test_nothing_is_written_by_planning(tmp_path: Path, out: Path) -> None:
    planned("street.mp4", out, rain=tmp_path / "rain.mp4", compare=tmp_path / "no" / "such" / "compare.mp4")
    assert list(tmp_path.iterdir()) == []


def test_name_too_long(tmp_path: Path) -> None:
    with pytest.raises(VidrainError) as raised:
        planned("odd.mp4", tmp_path / ("x" * 300 + ".mp4"))
    assert isinstance(raised.value, OutputError)
