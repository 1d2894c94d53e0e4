"""Whole jobs as whole processes, from start-up to verification: seconds, memory, and what else the machine did.

A job is the command that a user would type. How its frames came is read from the events that it tells.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import vidrain
from vidrain.bench import launch
from vidrain.bench.passthrough import ENCODE
from vidrain.bench.plan import PASSTHROUGH, Method
from vidrain.errors import VidrainError
from vidrain.outputs import written
from vidrain.weights import PRESETS

SETTLED = 30  # frames after which a job has what it needs
_HERE = Path(vidrain.__file__).parents[1]


class JobFailed(VidrainError):
    """A job did not end as it should; says what it said."""


@dataclass(frozen=True, kw_only=True)
class JobRun:
    """One job. frames: that went out; peak_mib: most memory; others: cores that other programs kept busy meanwhile.

    steady_ms: milliseconds a frame after the first `SETTLED`, None where too few came after them.
    first_s: seconds until frames were told of, which is up to half a second after the first.
    """

    seconds: float
    cpu_s: float
    peak_mib: float
    others: float | None
    frames: int
    steady_ms: float | None
    first_s: float | None


def command_for(method: Method, source: Path, target: Path, weights: Path | None) -> list[str]:
    """What measures `method` on one clip: arguments of this Python."""
    if method.name == PASSTHROUGH:
        return ["-m", "vidrain.bench.passthrough", str(source), str(target)]
    chosen = ["--preset" if method.name in PRESETS else "--model", method.name]
    chosen += ["--weights", str(weights)] if weights is not None else []
    encoded = ["--codec", str(ENCODE.codec), "--crf", str(ENCODE.crf)]
    return ["-m", "vidrain", "clean", str(source), *method.settings, *chosen, *encoded, "-o", str(target), "--json"]


def run_job(arguments: list[str], folder: Path) -> JobRun:
    """Run Python with `arguments`, and measure it. folder: empty, for what is noted meanwhile. Raises JobFailed."""
    result, told, said = (folder / name for name in ("result.json", "events", "errors"))
    command = [sys.executable, launch.__file__, str(result), sys.executable, *arguments]
    paths = os.pathsep.join(filter(None, [str(_HERE), os.environ.get("PYTHONPATH")]))
    with (
        written(folder),
        told.open("wb") as out,
        said.open("wb") as err,
        # The launcher ends with its standard input, which closes when this process ends, however it does.
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=err, env=os.environ | {"PYTHONPATH": paths}
        ) as process,
    ):
        process.wait()
    try:
        found = json.loads(result.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise JobFailed(f"the job was not measured: {_last_line(said)}") from error
    code, began = found.pop("code"), found.pop("began")
    # what is behind the last line break was cut off when the job was killed
    events = [] if code else [json.loads(line) for line in told.read_bytes().split(b"\n")[:-1]]
    if not events or events[-1]["event"] != "file_done":
        raise JobFailed(f"the job ended with {code}: {_last_line(said)}")
    first = next((_moment(event) for event in events if event["event"] == "progress" and event["frames"]), None)
    return JobRun(
        **found,
        frames=events[-1]["frames_out"],
        steady_ms=steady_ms(events),
        first_s=None if first is None else first - began,
    )


def steady_ms(events: Iterable[Mapping[str, Any]]) -> float | None:
    """Milliseconds a frame between the first progress beyond `SETTLED` frames and the last; None without two such."""
    seen: dict[int, float] = {
        event["frames"]: _moment(event)
        for event in events
        if event["event"] == "progress" and event["frames"] >= SETTLED
    }
    if len(seen) < 2:
        return None
    first, last = min(seen), max(seen)
    return (seen[last] - seen[first]) * 1000 / (last - first)


def _moment(event: Mapping[str, Any]) -> float:
    """When an event was told, in seconds since 1970."""
    return datetime.fromisoformat(event["ts"]).timestamp()


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
