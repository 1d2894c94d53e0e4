"""Batches as processes of their own: started, listened to, asked; what they leave."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

from tests.batches import written

ROOT = Path(__file__).resolve().parents[1]


def contents(out: Path) -> dict[str, bytes]:
    return {name: (out / name).read_bytes() for name in written(out)}


def ran(*arguments: str | Path) -> tuple[int, list[dict[str, Any]]]:
    """A batch from its start to its end: exit code, events."""
    with started(*arguments) as job:
        said, _ = job.communicate()
    return job.returncode, [json.loads(line) for line in said.splitlines()]


def status(out: Path) -> str:
    command = [sys.executable, "-m", "vidrain", "batch", "status", str(out), "--json"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout


def begun(events: list[dict[str, Any]]) -> list[str]:
    return sorted(event["file"] for event in events if event["event"] == "file_start")


def started(*arguments: str | Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "vidrain", "batch", "run", *map(str, arguments), "--json"]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def until(job: subprocess.Popen[str], name: str, **fields: object) -> dict[str, Any]:
    """Read along until the job tells that; AssertionError where it ends before."""
    assert job.stdout is not None
    for line in job.stdout:
        event: dict[str, Any] = json.loads(line)
        if event["event"] == name and all(event.get(key) == value for key, value in fields.items()):
            return event
    raise AssertionError(f"{name} never came: {job.stderr.read() if job.stderr else ''}")


def workers_of(job: subprocess.Popen[str]) -> list[psutil.Process]:
    return [child for child in psutil.Process(job.pid).children() if "vidrain.batch.worker" in child.cmdline()]
