"""Real footage: every recording goes through a whole job and keeps all but its rain, FFmpeg and `verify` say.

Every clip runs whole: short ones with rain by default settings, long ones and those without rain by settings that
only save time.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidrain
from tests import ffmpeg_says
from vidrain.video.decode import open_video

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
FRAMES = {
    "campus": 47,
    "courtyard": 50,
    "field": 353,
    "garden": 49,
    "junction": 49,
    "night_crowd": 36,
    "night_path": 167,
    "people": 49,
    "trees": 49,
    "vehicle": 60,
    "wet_street": 504,
    "windscreen": 959,
    "yard": 376,
}

WITHOUT_RAIN = (
    *("eval/dashcam1.mp4", "eval/park.mp4", "eval/square.avi", "eval/street1.mp4", "eval/suburb_7fps.mp4"),
    *("eval/walk_gpmf.mp4", "train/action_gpmf.mp4", "train/bikes.mp4", "train/car.mp4", "train/carpark.mp4"),
    *("train/dashcam0.mp4", "train/kitti_gray.mp4", "train/night_road.mp4", "train/street2.mp4"),
    *("train/street_hevc.mp4", "train/truck.mp4"),
)
CHEAP = ("model=baseline", "baseline.radius=1", "align.preset=ultrafast", "align.scale=0.25", "-e", "preset=ultrafast")


def cleaned(*arguments: str | Path) -> dict[str, Any]:
    """What a run in a process of its own says at its end."""
    command = [sys.executable, "-m", "vidrain", "clean", *map(str, arguments), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    last: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return last


def verified(output: Path, source: Path) -> dict[str, Any]:
    """What `verify --full` says of a good output."""
    command = [sys.executable, "-m", "vidrain", "verify", output, "--against", source, "--full", "--json"]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True, check=False)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert (done.returncode, done.stderr, found["differences"]) == (0, "", [])
    return found


def sound(path: Path) -> list[ffmpeg_says.Track]:
    """The packets of every audio track."""
    if not any("Audio:" in line for line in ffmpeg_says.streams(path)):
        return []
    return ffmpeg_says.tracks(path, "-map", "0:a", "-c", "copy")


def test_no_clip_is_forgotten(footage: Path) -> None:
    assert {path.stem for path in (footage / "real").iterdir()} == FRAMES.keys()
    clean = footage / "clean"
    assert {path.relative_to(clean).as_posix() for path in clean.glob("*/*")} == set(WITHOUT_RAIN)


@pytest.mark.parametrize("name", FRAMES)
def test_recording_keeps_frames_times_and_sound(name: str, footage: Path, tmp_path: Path) -> None:
    source, target = footage / "real" / f"{name}.mp4", tmp_path / "out.mp4"
    done = cleaned(source, "-o", target, *(CHEAP if FRAMES[name] > 100 else ()))
    assert (done["status"], done["frames_in"], done["frames_out"], done["pts_equal"]) == (
        "ok",
        FRAMES[name],
        FRAMES[name],
        True,
    )
    due, got = ffmpeg_says.shown_frames(source), ffmpeg_says.shown_frames(target)
    assert len(got.packets) == FRAMES[name]
    assert got.seconds == due.seconds
    assert got.contents != due.contents  # something was done to the pictures
    due_sound, got_sound = sound(source), sound(target)
    assert [track.contents for track in got_sound] == [track.contents for track in due_sound]
    assert [track.seconds for track in got_sound] == [track.seconds for track in due_sound]
    assert list(tmp_path.iterdir()) == [target]
    found = verified(target, source)
    assert (found["frames_out"], found["largest_time_error"]) == (FRAMES[name], 0)
    assert len(found["same_streams"]) == len(due_sound)
    assert found["changes"][0]["frames"] == FRAMES[name]
    assert 0 < found["changes"][0]["mean"] < 3


@pytest.mark.parametrize("name", WITHOUT_RAIN)
def test_video_without_rain_is_verified_too(name: str, footage: Path, tmp_path: Path) -> None:
    """GoPro data tracks, portrait HEVC with a time that runs backwards, grey, AVI, fades at night."""
    source, target = footage / "clean" / name, tmp_path / "out.mp4"
    done = cleaned(source, "-o", target, *CHEAP)
    found = verified(target, source)
    assert done["frames_out"] == found["frames_out"] == found["frames_in"] == found["changes"][0]["frames"]
    assert [item["fact"] for item in found["explained"]].count("times") == (0 if done["pts_equal"] else 1)
    if name.endswith("gpmf.mp4"):
        assert [stream.split("(")[1].split(" ")[0] for stream in found["same_streams"]] == ["audio", "data"]


@pytest.mark.parametrize(
    ("name", "kept"), [("campus", range(10, 18)), ("night_path", range(12)), ("yard", range(300, 330))]
)
def test_background_and_rain_give_a_recording_back(name: str, kept: range, footage: Path, tmp_path: Path) -> None:
    """Bit for bit, against the planes that FFmpeg's program decodes."""
    source, clean, rain = footage / "real" / f"{name}.mp4", tmp_path / "clean.mp4", tmp_path / "rain.mp4"
    limits = ("--start", str(kept.start), "--end", str(kept.stop))
    cleaned(source, "-o", clean, "--archive", "--rain", rain, *limits)
    info = open_video(source).info
    observed = ffmpeg_says.planes(source, info.layout.name, (info.width, info.height))[kept.start : kept.stop]
    backgrounds = ffmpeg_says.planes(clean, info.layout.name, (info.width, info.height))
    changed = False
    for frame, o, b in zip(vidrain.recompose(clean, rain), observed, backgrounds, strict=True):
        for again, due, behind in zip(frame.planes, o, b, strict=True):
            np.testing.assert_array_equal(again, due)
            changed |= not np.array_equal(behind, due)
    assert changed
