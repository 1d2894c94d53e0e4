"""A share that hangs as soon as it is asked what lies there: a mount whose server never answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.batches import CHEAP

pytestmark = [pytest.mark.slow, pytest.mark.fault(33), pytest.mark.timeout(600)]

ROOT = Path(__file__).resolve().parents[2]
HUNG = """
import ctypes, json, os, sys, time
from click.testing import CliRunner
import vidrain.watchdog
vidrain.watchdog.STALL_S = 0.5  # of commands that have no --stall-s
from vidrain.cli import main
share, *commands = sys.argv[1:]
server = os.open("/dev/fuse", os.O_RDWR)
how = f"fd={server},rootmode=40000,user_id=0,group_id=0".encode()
assert ctypes.CDLL(None).mount(b"none", share.encode(), b"fuse", 0, how) == 0
for command in map(json.loads, commands):
    began = time.monotonic()
    done = CliRunner().invoke(main, command)
    print(json.dumps([done.exit_code, done.stdout, done.stderr, time.monotonic() - began]), flush=True)
os._exit(0)
"""


def beside_a_hung_share(share: Path, *commands: tuple[str | Path, ...]) -> list[Any]:
    """Exit code, standard output, standard error, seconds of each command."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here: no share of our own can be mounted")
    if not os.access("/dev/fuse", os.R_OK | os.W_OK):
        pytest.skip("FUSE not here: no share that hangs can be mounted")
    share.mkdir()
    texts = [json.dumps(list(map(str, command))) for command in commands]
    command = ["unshare", "-rm", sys.executable, "-c", HUNG, str(share), *texts]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=75)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.proves("batch run --stall-s", "exit 3")
def test_whatever_is_named_there_ends_in_one_line(tmp_path: Path) -> None:
    """A folder, a glob and a manifest are listed, a file is looked at: nothing is begun, and nobody waits for ever."""
    share, out = tmp_path / "share", tmp_path / "out"
    there, patience = share / "in.mp4", ("--stall-s", "0.5")
    commands = [("batch", "run", each, "-o", out, *patience) for each in (share, share / "**/*.mp4", share / "a.csv")]
    commands += [
        ("clean", there, "-o", out, "--report", tmp_path / "page.html", *patience),
        ("clean", there, "-o", out, "--slurm", tmp_path / "job.sh", *patience),
        ("inspect", there, *patience),
    ]
    for command, (code, said, error, seconds) in zip(commands, beside_a_hung_share(share, *commands), strict=True):
        assert (code, said, error.count("\n")) == (3, "", 1), (command, error)
        where = "while it was " + ("listed" if command[0] == "batch" else "opened")
        named = command[2] if command[0] == "batch" else there
        assert error.startswith(f"vidrain: {named}: gave nothing for 0.5 s {where}")
        assert seconds < 30
    assert [path.name for path in tmp_path.iterdir()] == ["share"]


@pytest.mark.proves("batch run", "batch status")
def test_one_file_of_a_manifest_there_costs_no_other(samples: Path, tmp_path: Path) -> None:
    """Its worker has a result and cannot end, as nothing ends who waits for that share beside us."""
    share, out, jobs = tmp_path / "share", tmp_path / "out", tmp_path / "jobs.csv"
    jobs.write_text(f"input\n{share / 'in.mp4'}\n{samples / 'full_range.mp4'}\n")
    report = ("--report", tmp_path / "page.html")
    run, status = beside_a_hung_share(
        share,
        ("batch", "run", jobs, "-o", out, *CHEAP, "--end", "4", "--stall-s", "0.5", "--json", *report),
        ("batch", "status", out, "--json"),
    )
    events = [json.loads(line) for line in run[1].splitlines()]
    ends = [(event["file"], event["state"]) for event in events if event["event"] == "file_end"]
    assert (run[0], ends) == (1, [("full_range.mp4", "done"), ("in.mp4", "again"), ("in.mp4", "failed")]), run[2]
    assert (out / "full_range.mp4").exists()
    facts = json.loads(status[1])
    assert (status[0], facts["done"], facts["failed"]) == (1, 1, 1)
    assert (tmp_path / "page.html").exists()


@pytest.mark.proves("batch run --output", "batch status OUT", "batch retry OUT", "clean --output", "segment run OUT")
def test_outputs_there_end_in_one_line(samples: Path, tmp_path: Path) -> None:
    """Before anything is begun; and it is not the source that is said to give nothing."""
    share, source, patience = tmp_path / "share", samples / "odd.mp4", ("--stall-s", "0.5")
    out, page, script = share / "out", tmp_path / "page.html", tmp_path / "job.sh"
    commands: list[tuple[str | Path, ...]] = [
        ("batch", "run", samples, "-o", out, *patience),
        ("batch", "run", source, "-o", tmp_path / "out", "--report", out, *patience),
        ("batch", "run", source, "-o", out, "--dry-run", *patience),
        ("batch", "status", out),
        ("batch", "retry", out),
        ("clean", source, "-o", out, *patience),
        ("clean", source, "-o", tmp_path / "out.mp4", "--rain", out, *patience),
        ("clean", source, "-o", out, "--report", page, *patience),
        ("clean", source, "-o", tmp_path / "out.mp4", "--report", out, *patience),
        ("clean", source, "-o", out, "--slurm", script, *patience),
        ("segment", "run", out, "--index", "0"),
    ]
    for command, (code, said, error, seconds) in zip(commands, beside_a_hung_share(share, *commands), strict=True):
        assert (code, said, error.count("\n")) == (5, "", 1), (command, error)
        assert error.startswith(f"vidrain: {out}: the disk or share there gave no answer for 0.5 s; "), command
        assert seconds < 30
    assert [path.name for path in tmp_path.iterdir()] == ["share"]
