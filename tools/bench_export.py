"""Measures an export of a long clip that is killed once and goes on: memory, bytes and time of a frame.

    python -m tools.bench_export CLIP --frames 5000 [--format zarr] [--model gate-s] [--kill-at 0.4] [--json]

The clip is looped by packet copy up to so many frames. Memory is the resident size when a frame is told as done, in a
process of its own: Linux only. Seconds are those of both runs together, with start-up and what the kill lost.
"""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic

import click
import imageio_ffmpeg

import vidrain

_PART = 0.1  # of what is told by the run that goes on: its beginning and its end are compared
_HOUR = 3600 * 25  # frames


@dataclass(frozen=True)
class Measured:
    """What an export took. Sizes in MiB and bytes; seconds for each frame and for an hour of 25 frames a second."""

    frames: int
    killed_after: int
    resumed: int
    early_mib: float
    late_mib: float
    peak_mib: float
    bytes_per_frame: float
    seconds_per_frame: float
    hour_seconds: float
    hour_gigabytes: float
    is_sum: bool


def looped(clip: Path, target: Path, frames: int) -> None:
    """`clip` over and over, `frames` of its video, nothing encoded."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-stream_loop", "-1", "-i", str(clip)]
    kept = ("-map", "0:v:0", "-c", "copy", "-frames:v", str(frames))
    subprocess.run([*command, *kept, str(target)], check=True)


def run(arguments: list[str], kill_at: int | None) -> tuple[dict[str, object], list[float]]:
    """One run of `vidrain export`: its last event, and the memory whenever frames were told, in MiB."""
    command = [sys.executable, "-m", "vidrain", "export", *arguments, "--json"]
    event: dict[str, object] = {}
    sizes: list[float] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as job:
        for line in job.stdout or ():
            event = json.loads(line)
            if event["event"] != "progress":
                continue
            sizes.append(resident(job.pid))
            if kill_at is not None and int(str(event["frames"])) >= kill_at:
                job.send_signal(signal.SIGKILL)
                break
    return event, sizes


def resident(pid: int) -> float:
    """Memory of a process, in MiB; 0 once it has ended."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    sizes = [int(line.split()[1]) / 1024 for line in status if line.startswith("VmRSS:")]
    return sizes[0] if sizes else 0.0


def measured(clip: Path, *, frames: int, form: str, kill_at: float, folder: Path, model: str | None = None) -> Measured:
    """Export, kill, export again; the last frames are read back."""
    source, target = folder / f"long{clip.suffix}", folder / "out"
    looped(clip, source, frames)
    arguments = [str(source), "-o", str(target), "--format", form, *(["--model", model] if model else [])]
    began = monotonic()
    killed, before = run(arguments, int(kill_at * frames)) if kill_at else ({"frames": 0}, [])
    done, sizes = run(arguments, None)
    seconds = (monotonic() - began) / frames
    if done.get("event") != "export_done" or done["frames"] != frames:
        raise click.ClickException(f"the export did not end as it should: {done}")
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / frames
    export = vidrain.open_export(target)
    o, b, r = (export[name][-3:].astype("int32") for name in ("observed", "background", "rain"))
    shutil.rmtree(target)
    part = max(1, int(_PART * len(sizes)))
    return Measured(
        frames=frames,
        killed_after=int(str(killed["frames"])),
        resumed=int(str(done["resumed"])),
        early_mib=max(sizes[:part]),
        late_mib=max(sizes[-part:]),
        peak_mib=max(before + sizes),
        bytes_per_frame=size,
        seconds_per_frame=seconds,
        hour_seconds=seconds * _HOUR,
        hour_gigabytes=size * _HOUR / 1e9,
        is_sum=bool((o == b + r).all()),
    )


@click.command()
@click.argument("clip", type=click.Path(exists=True, path_type=Path))
@click.option("--frames", default=5000, show_default=True)
@click.option("--format", "form", default="zarr", show_default=True)
@click.option("--model", help="As for export.")
@click.option("--kill-at", default=0.4, show_default=True, help="Share of the frames; 0 lets it run through.")
@click.option("--json", "as_json", is_flag=True)
def main(clip: Path, frames: int, form: str, model: str | None, kill_at: float, as_json: bool) -> None:
    """Measure one export."""
    with TemporaryDirectory(prefix="vidrain-", dir=Path.cwd()) as folder:
        found = measured(clip, frames=frames, form=form, kill_at=kill_at, folder=Path(folder), model=model)
    click.echo(
        json.dumps(asdict(found))
        if as_json
        else f"{found.frames} frames, killed after {found.killed_after}, went on from {found.resumed}; memory "
        f"{found.early_mib:.0f} MiB at first, {found.late_mib:.0f} at the end, {found.peak_mib:.0f} at most; "
        f"{found.bytes_per_frame / 1e6:.2f} MB and {found.seconds_per_frame:.2f} s a frame; an hour of 25 frames a "
        f"second: {found.hour_seconds / 3600:.1f} h, {found.hour_gigabytes:.0f} GB; O = B + R: {found.is_sum}"
    )


if __name__ == "__main__":
    main()
