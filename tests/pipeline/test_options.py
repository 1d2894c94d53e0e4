"""Each option of `vidrain clean`, seen in what it changes."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from vidrain import __version__, clean
from vidrain.job import CleanOptions
from vidrain.video.encoder import EncodeOptions
from vidrain.weights import PRESETS


@pytest.fixture
def short(tmp_path: Path, samples: Path) -> Path:
    """Seven frames with sound: enough for options that do not look at the picture."""
    return ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "short.mp4", "-map", "0", "-t", "0.2")


def settings_of(path: Path) -> str:
    """The settings that x264 writes into its stream, such as `subme=2`."""
    found = re.search(rb"x264 - core [^\0]*", path.read_bytes())
    assert found, "not written by x264"
    return found[0].decode(errors="replace")


@pytest.mark.proves("vidrain --version")
def test_version(vidrain: Vidrain) -> None:
    assert vidrain("--version").out.strip().endswith(__version__)


@pytest.mark.library("click")
def test_help_names_every_exit_code(vidrain: Vidrain) -> None:
    text = vidrain("clean", "--help").out
    assert all(f" {code} " in text for code in (0, 2, 3, 4, 5, 6, 7, 70, 130, 143))


@pytest.mark.proves("clean --preset")
@pytest.mark.parametrize("preset", PRESETS)
def test_preset_chooses_the_model_alone(preset: str, short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    plain, chosen = tmp_path / "plain.mp4", tmp_path / "chosen.mp4"
    assert vidrain("clean", short, "-o", plain, "--model", PRESETS[preset]).code == 0
    ran = vidrain("clean", short, "-o", chosen, "--preset", preset, "--json")
    assert ran.events[0]["model"] == PRESETS[preset]
    assert plain.read_bytes() == chosen.read_bytes()


def test_unknown_preset_is_refused(short: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", short, "--preset", "fastest")
    assert ran.code == 2
    assert "balanced" in ran.err


@pytest.mark.proves("clean --model")
def test_model_is_chosen_by_name(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    assert vidrain("clean", short, "-o", tmp_path / "a.mp4", "--model", "baseline").code == 0
    ran = vidrain("clean", short, "-o", tmp_path / "b.mp4", "--model", "nonesuch")
    allowed = "baseline, nlcl, gate-s, gate-m, gate-l, gate-b"
    assert (ran.code, ran.err) == (7, f"vidrain: model nonesuch is not known; allowed: {allowed}\n")


@pytest.mark.proves("clean --weights")
def test_weights_must_fit_the_model(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    header = json.dumps({"__metadata__": {"model": "other"}}).encode()
    weights = tmp_path / "other.safetensors"
    weights.write_bytes(len(header).to_bytes(8, "little") + header)
    ran = vidrain("clean", short, "-o", tmp_path / "out.mp4", "--weights", weights)
    assert ran.code == 7
    assert "weights of other" in ran.err


@pytest.mark.proves("clean --codec")
@pytest.mark.parametrize("codec", ["h264", "hevc", "av1", "ffv1"])
def test_codec(codec: str, short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = tmp_path / "out.mp4"
    assert vidrain("clean", short, "-o", target, "--codec", codec).code == 0
    assert f"Video: {codec}" in ffmpeg_says.streams(target)[0]
    assert ffmpeg_says.shown_frames(target).seconds == ffmpeg_says.shown_frames(short).seconds


@pytest.mark.parametrize(("name", "codec"), [("tenbit.mp4", "hevc"), ("odd.mp4", "ffv1"), ("vfr.mp4", "h264")])
def test_codec_of_the_source_is_the_default(
    name: str, codec: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    target = tmp_path / "out.mp4"
    assert vidrain("clean", samples / name, "-o", target, "--end", "2").code == 0
    assert f"Video: {codec}" in ffmpeg_says.streams(target)[0]


@pytest.mark.proves("clean --crf")
def test_crf(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    for crf in (18, 40):
        arguments = () if crf == 18 else ("--crf", str(crf))
        assert vidrain("clean", short, "-o", tmp_path / f"{crf}.mp4", *arguments).code == 0
        assert f"crf={crf}.0" in settings_of(tmp_path / f"{crf}.mp4")


@pytest.mark.proves("clean -e")
def test_encoder_options(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    plain, slow = tmp_path / "plain.mp4", tmp_path / "slow.mp4"
    assert vidrain("clean", short, "-o", plain).code == 0
    assert vidrain("clean", short, "-o", slow, "-e", "preset=slow", "-e", "bf=1").code == 0
    assert "subme=2 " in settings_of(plain)  # veryfast
    assert "subme=8 " in settings_of(slow)
    assert "bframes=1 " in settings_of(slow)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("crff=20", "did you mean crf"),
        ("preset", "is not KEY=VALUE"),
        ("preset=warp", "allowed with libx264: ultrafast, "),
        ("tune=warp", "change -e"),
    ],
)
def test_bad_encoder_options_are_refused(text: str, said: str, short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", short, "-o", tmp_path / "out.mp4", "-e", text)
    assert ran.code == 2
    assert said in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.proves("clean --pix-fmt")
def test_pixel_format(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = tmp_path / "out.mp4"
    assert vidrain("clean", short, "-o", target, "--pix-fmt", "yuv444p10le").code == 0
    assert "yuv444p10le" in ffmpeg_says.streams(target)[0]
    ran = vidrain("clean", short, "-o", tmp_path / "b.mp4", "--pix-fmt", "yuv555p")
    assert ran.code == 2
    assert "allowed: yuv420p" in ran.err


@pytest.mark.proves("clean --device")
def test_device(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    assert vidrain("clean", short, "-o", tmp_path / "cpu.mp4", "--device", "cpu").code == 0
    ran = vidrain("clean", short, "-o", tmp_path / "cuda.mp4", "--device", "cuda")
    assert ran.code == (0 if torch.cuda.is_available() else 2)
    assert vidrain("clean", short, "-o", tmp_path / "tpu.mp4", "--device", "tpu").code == 2


@pytest.mark.proves("clean --json")
def test_json_events(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = tmp_path / "out.mp4"
    ran = vidrain("clean", short, "-o", target, "--json")
    assert (ran.code, ran.err) == (0, "")
    names = [event["event"] for event in ran.events]
    assert (names[0], names[-2], names[-1]) == ("plan", "progress", "file_done")
    assert all(event["v"] == 1 and event["ts"].endswith("+00:00") for event in ran.events)
    assert ran.events[0]["outputs"] == {"clean": str(target)}
    assert (ran.events[-2]["frames"], ran.events[-2]["total"]) == (7, 7)
    done = ran.events[-1]
    assert (done["status"], done["frames_in"], done["frames_out"], done["pts_equal"]) == ("ok", 7, 7, True)


def test_pipe_hears_nothing(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", short, "-o", tmp_path / "out.mp4")
    assert (ran.code, ran.out, ran.err) == (0, "", "")


@pytest.mark.proves("clean --force")
def test_existing_output_is_kept_without_force(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = tmp_path / "out.mp4"
    target.write_bytes(b"precious")
    ran = vidrain("clean", short, "-o", target)
    assert ran.code == 5
    assert target.read_bytes() == b"precious"
    assert vidrain("clean", short, "-o", target, "--force").code == 0
    assert len(ffmpeg_says.shown_frames(target).packets) == 7


@pytest.mark.parametrize("alias", ["same", "symlink", "hardlink", "dots"])
def test_source_is_never_the_output(alias: str, short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = {"same": short, "dots": tmp_path / "x" / ".." / short.name}.get(alias, tmp_path / "alias.mp4")
    if alias == "symlink":
        target.symlink_to(short)
    elif alias == "hardlink":
        target.hardlink_to(short)
    (tmp_path / "x").mkdir()
    before = short.read_bytes()
    for option in ("-o", "--rain", "--rain-preview", "--compare"):
        ran = vidrain("clean", short, option, target, "--force")
        assert ran.code == 2
        assert "is the source" in ran.err
    assert short.read_bytes() == before


@pytest.mark.proves("clean --config", "clean KEY=VALUE")
@pytest.mark.library("omegaconf")
def test_option_wins_over_pair_wins_over_file(short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    config = tmp_path / "my.yaml"
    config.write_text("encode:\n  crf: 30\n  options:\n    bf: '2'\n")
    expected = {(): 30, ("encode.crf=35",): 35, ("encode.crf=35", "--crf", "40"): 40}
    for number, (arguments, crf) in enumerate(expected.items()):
        target = tmp_path / f"{number}.mp4"
        assert vidrain("clean", short, "-o", target, "-c", config, *arguments).code == 0
        assert f"crf={crf}.0" in settings_of(target)
        assert "bframes=2 " in settings_of(target)
    ran = vidrain("clean", short, "encode.crff=20")
    assert ran.code == 2
    assert "encode.crff=20: no such key. Did you mean: 'crf'?" in ran.err


def test_stray_argument_is_refused(short: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", short, "another.mp4")
    assert ran.code == 2
    assert "neither an option nor key=value" in ran.err
    assert "the output is named with -o" in ran.err


@pytest.mark.parametrize(
    "pair",
    [
        "baseline.radius=-1",
        "baseline.radius=99999999999999999999",
        "baseline.largest_error=nan",
        "baseline.doubts.trust=nan",
        "align.scale=0",
        "align.scale=nan",
        "encode.threads=-3",
        "encode.threads=7000",
        "start=" + "9" * 5000,
    ],
)
def test_values_out_of_bounds_are_refused(pair: str, short: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", short, "-o", tmp_path / "out.mp4", pair)
    assert ran.code == 2
    assert "allowed" in ran.err or "no number" in ran.err
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("x264-params=foo=bar", "change -e"),
        ("time_base=1/7", "it follows the source"),
        ("threads=7", "encode.threads"),
        ("pix_fmt=gray", "--pix-fmt"),
    ],
)
def test_options_that_would_be_ignored_are_refused(
    option: str, said: str, short: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    ran = vidrain("clean", short, "-o", tmp_path / "out.mp4", "-e", option)
    assert ran.code == 2
    assert said in ran.err


def test_archive_in_another_format_is_not_called_exact(short: Path, tmp_path: Path) -> None:
    options = CleanOptions(archive=True, end="2", encode=EncodeOptions(pix_fmt="yuv444p"))
    assert not clean(short, tmp_path / "out.mp4", options=options).exact


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clean",), "Missing argument 'INPUT'."),
        (("clean", "x.mp4", "--presett", "fast"), "Did you mean one of: '--fresh', '--preset'"),
        (("clean", "x.mp4", "--crf", "fine"), "'fine' is not a valid integer"),
        (("cleen", "x.mp4"), "See vidrain --help"),
        (("verify", "x.mp4"), "Missing option '--against'. See vidrain verify --help"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    command = [sys.executable, "-m", "vidrain", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert said in done.stderr
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=False)
    event = json.loads(done.stdout)
    assert (done.returncode, event["event"], event["exit_code"]) == (2, "error", 2)
    assert done.stderr == f"vidrain: {event['message']}\n"


def test_help_is_shown_at_once() -> None:
    for arguments in ((), ("--help",), ("clean", "--help")):
        done = subprocess.run(
            [sys.executable, "-m", "vidrain", *arguments], capture_output=True, text=True, check=False
        )
        assert done.returncode == (0 if arguments else 2)
        assert "Usage: " in done.stdout + done.stderr
