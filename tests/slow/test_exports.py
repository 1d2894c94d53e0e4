"""Exports of whole clips: every format by its own library, frames by number, kills, and memory."""

from __future__ import annotations

import hashlib
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
from vidrain.export.names import FORMATS, SpaceName
from vidrain.export.plan import ExportOptions
from vidrain.export.run import export_clip
from vidrain.job import CleanOptions
from vidrain.video.access import compare_access

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
# Variable rate and a start that is not zero, rotated, ten bits, odd size.
SAMPLES = ("vfr.mp4", "rotated.mp4", "tenbit.mp4", "odd.mp4")
# Variable rate and rotated, 376 frames; upright, 167. A part of each goes into every format.
PARTS = {"real/yard.mp4": range(100, 140), "real/night_path.mp4": range(60, 100)}
CLIPS = (*SAMPLES, *PARTS)
WHOLE = "real/courtyard.mp4"  # and one real clip from its first frame to its last, 50 of them


@pytest.fixture
def clip(request: pytest.FixtureRequest, samples: Path, footage: Path) -> Path:
    return (samples if request.param in SAMPLES else footage) / request.param


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("space", ["rgb", "yuv"])
@pytest.mark.parametrize("clip", [*CLIPS, WHOLE], indirect=True)
def test_seven_clips_in_every_format(
    clip: Path, space: SpaceName, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """max |O - (B + R)| = 0 on every frame, the same numbers in all formats, times as ffmpeg lists them.

    Stored planes of O are those that ffmpeg decodes at these times. The samples and one real clip whole; of the other
    real clips 40 frames, more than one shard.
    """
    track = ffmpeg_says.shown_frames(clip)
    part = PARTS.get(request.node.callspec.params["clip"], range(len(track.pts)))
    kept = slice(part.start, part.stop)
    checksums = None
    for form in FORMATS:
        folder, asked = tmp_path / form, CleanOptions(start=str(part.start), end=str(part.stop), preset="fast")
        export_clip(clip, folder, options=ExportOptions(format=form, space=space, clean=asked))
        layers, table = own_libraries.layers_of(folder), own_libraries.table_of(folder)
        for o, b, r in zip(*(layers[name] for name in ("observed", "background", "rain")), strict=True):
            assert np.abs(o.astype(np.int32) - (b.astype(np.int32) + r)).max() == 0
            assert len(o) == len(part)
        assert table["pts"] == track.pts[kept]
        assert set(table["time_base"]) == {str(track.time_base)}
        found = [table[f"sha256_{layer}"] for layer in layers]
        checksums = checksums or found
        assert found == checksums
        for place in range(len(part)):
            assert own_libraries.checksums_at(layers, place) == [column[place] for column in found]
        if space == "yuv":
            planes = zip(*layers["observed"], strict=True)
            hashes = [hashlib.md5(b"".join(plane.tobytes() for plane in frame)).hexdigest() for frame in planes]
            assert hashes == [packet.hash for packet in track.packets[kept]]
        if form == "ffv1":
            for layer in layers:
                assert ffmpeg_says.shown_frames(folder / f"{layer}.mp4").seconds == track.seconds[kept]
        shutil.rmtree(folder)


@pytest.mark.parametrize("clip", [*CLIPS, WHOLE, "real/wet_street.mp4"], indirect=True)
def test_200_random_frames_of_eight_clips(clip: Path) -> None:
    """Or all of them, in random order, where there are fewer."""
    found = compare_access(clip, frames=200)
    assert found.frames == min(200, len(ffmpeg_says.shown_frames(clip).pts))
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
    """Ten shards of a small picture: were all frames kept, there would be a hundred megabytes more late than early."""
    found = measured(samples / "odd.mp4", frames=1000, form="npz", kill_at=0.3, folder=tmp_path)
    assert (found.frames, found.is_sum) == (1000, True)
    assert 300 <= found.killed_after <= found.resumed < 1000
    assert found.peak_mib >= max(found.early_mib, found.late_mib) > 100
    assert found.late_mib <= 1.15 * found.early_mib
    assert found.hour_gigabytes == pytest.approx(found.bytes_per_frame * 90_000 / 1e9)
