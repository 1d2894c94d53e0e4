"""Exports of whole clips: every format by its own library, frames by number, kills, and memory."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import vidrain
from tests import ffmpeg_says, own_libraries
from tools.bench_export import measured
from vidrain.export.plan import ExportOptions
from vidrain.export.run import export_clip
from vidrain.export.stores import FORMATS
from vidrain.video.access import compare_access

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# Variable rate and a start that is not zero, rotated, ten bits, odd size; real: variable rate and rotated, large.
SAMPLES = ("vfr.mp4", "rotated.mp4", "tenbit.mp4", "odd.mp4")
REAL = ("real/courtyard.mp4", "real/night_crowd.mp4")
CLIPS = (*SAMPLES, *REAL)


@pytest.fixture(params=CLIPS)
def clip(request: pytest.FixtureRequest, samples: Path, footage: Path) -> Path:
    return (samples if request.param in SAMPLES else footage) / request.param


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("space", ["rgb", "yuv"])
def test_six_clips_in_every_format(clip: Path, space: str, tmp_path: Path) -> None:
    """max |O - (B + R)| = 0 on every frame, the same numbers in all formats, times as ffmpeg lists them."""
    track = ffmpeg_says.shown_frames(clip)
    checksums = None
    for form in FORMATS:
        folder = tmp_path / form
        export_clip(clip, folder, options=ExportOptions(format=form, space=space))  # type: ignore[arg-type]
        layers, table = own_libraries.layers_of(folder), own_libraries.table_of(folder)
        for o, b, r in zip(*(layers[name] for name in ("observed", "background", "rain")), strict=True):
            assert np.abs(o.astype(np.int32) - (b.astype(np.int32) + r)).max() == 0
            assert len(o) == len(track.pts)
        assert table["pts"] == track.pts
        assert set(table["time_base"]) == {str(track.time_base)}
        found = [table[f"sha256_{layer}"] for layer in layers]
        checksums = checksums or found
        assert found == checksums
        for place in range(0, len(track.pts), 7):
            assert own_libraries.checksums_at(layers, place) == [column[place] for column in found]
        if form == "ffv1":
            for layer in layers:
                assert ffmpeg_says.shown_frames(folder / f"{layer}.mp4").seconds == track.seconds
        shutil.rmtree(folder)


def test_200_random_frames_of_six_clips(clip: Path) -> None:
    found = compare_access(clip, frames=200)
    assert found.frames > 15
    assert (found.wrong, found.decord) == ((), None)


@pytest.mark.timeout(1800)
def test_killed_again_and_again_and_as_in_one_go(samples: Path, tmp_path: Path) -> None:
    """SIGKILL once the journal has grown by a shard; the result is that of a run in one go."""
    source = tmp_path / "long.mp4"
    ffmpeg_says.quietly("-stream_loop", "8", "-i", samples / "street.mp4", "-map", "0:v", "-c", "copy", source)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    export_clip(source, whole)
    journal = tmp_path / ".killed.partial" / ".journal.jsonl"
    kills = 0
    while not killed.exists():
        before = journal.stat().st_size if journal.exists() else 0
        job = subprocess.Popen([sys.executable, "-m", "vidrain", "export", source, "-o", killed], cwd=ROOT)
        while kills < 3 and job.poll() is None and (journal.stat().st_size if journal.exists() else 0) <= before:
            time.sleep(0.05)
        if kills < 3 and job.poll() is None:
            os.kill(job.pid, signal.SIGKILL)
            kills += 1
        job.wait()
    assert kills == 3
    for name, array in own_libraries.arrays_of(whole).items():
        assert np.array_equal(array, own_libraries.arrays_of(killed)[name])
    assert own_libraries.table_of(whole) == own_libraries.table_of(killed)


# As in test_memory.py: started from a small process, whose size alone would count to the peak.
MEASURED = """
import os, sys
job = os.posix_spawn(sys.executable, [sys.executable, "-m", "vidrain", *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(job, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""


def peak_of(frames: int, folder: Path) -> float:
    """Peak memory of an export of so many frames of moving 720p to Zarr, in MiB."""
    source, target = folder / f"{frames}.mp4", folder / f"{frames}.export"
    picture = "testsrc2=size=1280x720:rate=25,noise=alls=8:allf=t"
    coding = ("-c:v", "libx264", "-preset", "ultrafast", "-crf", "30", "-pix_fmt", "yuv420p")
    ffmpeg_says.quietly("-f", "lavfi", "-i", picture, "-frames:v", str(frames), *coding, source)
    arguments = ["export", str(source), "-o", str(target)]
    done = subprocess.run([sys.executable, "-c", MEASURED, *arguments], cwd=ROOT, capture_output=True, check=True)
    code, peak = map(int, done.stdout.decode().splitlines()[-1].split())
    assert code == 0
    assert vidrain.open_export(target)["rain"].shape == (frames, 720, 1280, 3)
    shutil.rmtree(target)
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)


@pytest.mark.timeout(3600)
def test_memory_does_not_grow_with_the_frames(tmp_path: Path) -> None:
    """A frame is 5.5 MB of O and B and as much of R: two hundred more of them kept would be two gigabytes."""
    short, long = peak_of(60, tmp_path), peak_of(260, tmp_path)
    assert long <= 1.25 * short, f"{short:.0f} MiB for 60 frames, {long:.0f} MiB for 260"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="sizes of a process are read from /proc")
def test_the_benchmark_kills_and_goes_on(samples: Path, tmp_path: Path) -> None:
    found = measured(samples / "street.mp4", frames=200, form="npz", kill_at=0.3, folder=tmp_path)
    assert (found.frames, found.is_sum) == (200, True)
    assert 60 <= found.killed_after <= found.resumed < 200
    assert found.peak_mib >= max(found.early_mib, found.late_mib) > 100
    assert found.hour_gigabytes == pytest.approx(found.bytes_per_frame * 90_000 / 1e9)


def test_the_manifest_is_json_that_names_no_path(samples: Path, tmp_path: Path) -> None:
    export_clip(samples / "odd.mp4", tmp_path / "out", options=ExportOptions(format="npz"))
    assert str(tmp_path) not in json.dumps(own_libraries.manifest_of(tmp_path / "out"))
