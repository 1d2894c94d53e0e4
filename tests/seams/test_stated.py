"""What PyAV does not show of a stream, where chroma lies and which field comes first, as FFmpeg's program reads it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.round_trip import SAMPLES, write
from vidrain.errors import OutputError, UsageError
from vidrain.job import CleanOptions, plan_job
from vidrain.video import ffmpeg
from vidrain.video.decode import open_video
from vidrain.video.encoder import CodecName, EncodeOptions, plan_encoder
from vidrain.video.stated import Stated, stated
from vidrain.video.verify import verify

ROOT = Path(__file__).resolve().parents[2]
SITES = ("left", "center", "topleft", "top", "bottomleft", "bottom")
CARRIED = {
    ("h264", "mp4"): SITES,
    ("h264", "mov"): SITES,
    ("hevc", "mkv"): SITES,
    ("av1", "mp4"): ("left", "topleft"),
    ("av1", "mkv"): ("left", "topleft", "center", "top"),
    ("ffv1", "mp4"): (),
    ("ffv1", "mkv"): ("left", "topleft", "center", "top"),
}


def sited(folder: Path, site: str) -> Path:
    """Three H.264 frames whose chroma lies at `site`."""
    target = folder / f"{site}.mp4"
    source = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-frames:v", "3", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*source, "-c:v", "libx264", "-chroma_sample_location", site, target)
    return target


def woven(target: Path, first: str) -> Path:
    """Six interlaced H.264 frames, the `first` field (top, bottom) shown first."""
    source = ("-f", "lavfi", "-i", f"testsrc2=s=128x96:r=50,tinterlace=interleave_{first}", "-frames:v", "6")
    flags = ("-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1" if first == "top" else "bff=1")
    ffmpeg_says.quietly(*source, "-c:v", "libx264", *flags, target)
    return target


def site_of(path: Path) -> str:
    return ffmpeg_says.fact(path, "cl:").removeprefix("cl:")


def order_of(path: Path) -> str | None:
    """What the program calls the order of fields in its list of streams."""
    text = ffmpeg_says.run("-v", "verbose", "-i", path, check=False).stderr.decode()
    return next(
        iter(re.findall(r"\((?:.*, )?(top|bottom|progressive)(?: first| coded first \(swapped\))?[,)]", text)), None
    )


def notices(source: Path, target: Path, codec: CodecName) -> list[str]:
    """What a user is told before the first frame."""
    job = plan_job(open_video(source), target, CleanOptions(encode=EncodeOptions(codec=codec)))
    return [notice.message for notice in job.notices]


@pytest.mark.parametrize("site", SITES)
@pytest.mark.parametrize(("codec", "suffix"), CARRIED)
def test_chroma_stays_where_it_lies_or_it_is_said(codec: CodecName, suffix: str, site: str, tmp_path: Path) -> None:
    source = sited(tmp_path, site)
    assert open_video(source).info.chroma_siting == site
    written = write(source, tmp_path / f"out.{suffix}", EncodeOptions(codec=codec))
    said = notices(source, written.path, codec)
    if site in CARRIED[codec, suffix]:
        assert site_of(written.path) == site
        assert said == []
    else:
        assert written.plan.stated.chroma_siting is None
        lost = f"where chroma lies ({site}) cannot be said in this output: players will take it for left"
        assert said == ([lost] if site != "left" else [])


def test_silence_is_not_made_a_statement(tmp_path: Path) -> None:
    """Left is what silence means: the stream of such a source is written as before."""
    plan = write(SAMPLES / "street.mp4", tmp_path / "out.mp4", kept=slice(3)).plan
    assert plan.stated == Stated(None, None)
    assert "chroma_sample_location" not in plan.options


def test_other_subsampling_has_no_place_to_lie_at(tmp_path: Path) -> None:
    source = sited(tmp_path, "topleft")
    options = EncodeOptions(codec="h264", pix_fmt="yuv444p")
    written = write(source, tmp_path / "out.mp4", options)
    assert written.plan.stated.chroma_siting is None
    assert plan_job(open_video(source), tmp_path / "out.mp4", CleanOptions(encode=options)).notices == ()


def test_motion_jpeg_keeps_its_centre_in_h264(tmp_path: Path) -> None:
    source = tmp_path / "camera.avi"
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25", "-frames:v", "3", "-pix_fmt", "yuvj420p")
    ffmpeg_says.quietly(*lavfi, "-c:v", "mjpeg", source)
    assert site_of(write(source, tmp_path / "out.mp4").path) == site_of(source) == "center"


@pytest.mark.fault(22)
@pytest.mark.parametrize("first", ["top", "bottom"])
@pytest.mark.parametrize(
    ("codec", "suffix"),
    [pair for pair in CARRIED] + [("h264", "mkv"), ("hevc", "mp4")],
)
def test_the_order_of_fields_stays(codec: CodecName, suffix: str, first: str, tmp_path: Path) -> None:
    source, target = woven(tmp_path / "source.mp4", first), tmp_path / f"out.{suffix}"
    (said,) = notices(source, target, codec)
    assert "the source is interlaced" in said
    assert "their order is kept" in said
    write(source, target, EncodeOptions(codec=codec))
    assert order_of(target) == order_of(source) == first
    assert len(ffmpeg_says.shown_frames(target).packets) == 6
    if codec in ("h264", "ffv1"):  # there a decoder is told of every frame, elsewhere of the stream alone
        shown = ffmpeg_says.shown_info(target)
        assert len(re.findall(f" i:{first[0].upper()} ", shown)) == 6
    if codec == "ffv1":
        assert ffmpeg_says.shown_frames(target).contents == ffmpeg_says.shown_frames(source).contents


@pytest.mark.fault(22)
def test_fields_are_coded_alike_whatever_memory_held_before(tmp_path: Path) -> None:
    """Of x264 in several threads every run gave other bytes."""
    source = tmp_path / "source.mp4"
    noise = "testsrc2=s=352x288:r=50,noise=alls=20:allf=t,tinterlace=interleave_top"
    flags = ("-pix_fmt", "yuv420p", "-flags", "+ildct+ilme", "-x264-params", "tff=1")
    ffmpeg_says.quietly("-f", "lavfi", "-i", noise, "-frames:v", "30", "-c:v", "libx264", *flags, source)
    code = "import sys; from pathlib import Path; from tests.round_trip import write; write(*map(Path, sys.argv[1:]))"
    targets = [tmp_path / f"{pattern}.mp4" for pattern in (1, 85, 254)]
    for target in targets:
        environment = {**os.environ, "MALLOC_PERTURB_": target.stem}
        subprocess.run([sys.executable, "-c", code, source, target], cwd=ROOT, env=environment, check=True)
    assert len({target.read_bytes() for target in targets}) == 1


@pytest.mark.fault(22)
def test_fields_that_h264_cannot_crop_are_stored_as_frames_and_it_is_said(tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "out.mp4"
    lavfi = ("-f", "lavfi", "-i", "testsrc2=s=64x50:r=25,setfield=tff", "-frames:v", "3", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly(*lavfi, "-c:v", "ffv1", "-field_order", "tt", source)
    (said,) = notices(source, target, "h264")
    assert "their order is not kept" in said
    write(source, target, EncodeOptions(codec="h264"))
    assert order_of(target) == "progressive"


@pytest.mark.parametrize("key", ["chroma_sample_location=top", "field_order=tt"])
def test_neither_is_for_the_user_to_choose(key: str) -> None:
    name, _, value = key.partition("=")
    with pytest.raises(UsageError, match="is not for the encoder to choose; it follows the source"):
        plan_encoder(open_video(SAMPLES / "odd.mp4").info, Path("out.mp4"), EncodeOptions(options={name: value}))


@pytest.mark.parametrize(
    ("bsf", "what"),
    [
        ("h264_metadata=chroma_sample_loc_type=3", "chroma siting is top in the finished file, should be topleft"),
        ("h264_metadata=chroma_sample_loc_type=0", "chroma siting is left in the finished file, should be topleft"),
    ],
)
def test_chroma_that_lies_elsewhere_is_found(bsf: str, what: str, tmp_path: Path) -> None:
    good = write(sited(tmp_path, "topleft"), tmp_path / "good.mp4")
    assert verify(good.path, good.expected) == good.verified
    broken = ffmpeg_says.remux(good.path, tmp_path / "broken.mp4", "-map", "0", "-bsf:v", bsf)
    with pytest.raises(OutputError, match=what):
        verify(broken, good.expected)


@pytest.mark.fault(22)
def test_another_order_of_fields_is_found(tmp_path: Path) -> None:
    good = write(woven(tmp_path / "source.mp4", "top"), tmp_path / "good.mp4")
    other = write(woven(tmp_path / "other.mp4", "bottom"), tmp_path / "turned.mp4")
    with pytest.raises(OutputError, match="field order is bottom in the finished file, should be top"):
        verify(other.path, good.expected)


def test_a_program_that_does_not_run_states_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = sited(tmp_path, "topleft")
    assert stated(source, 0) == Stated("topleft", None)
    assert stated(source, 1) == Stated(None, None)
    assert stated(tmp_path / "nowhere.mp4", 0) == Stated(None, None)
    monkeypatch.setattr(ffmpeg.imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(tmp_path / "nowhere"))
    assert stated(source, 0) == Stated(None, None)
