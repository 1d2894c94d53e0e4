"""`clean` that is killed between two calls of the system: the same command ends as if nothing had been."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.batch_runs import ran, started, until
from tests.batches import CHEAP, written
from tests.crash_points import FRAMES, LENGTH

ROOT = Path(__file__).resolve().parents[2]
NAMES = ["out.mp4", "rain.mkv"]
KILLED_ONCE = """
import os, signal, sys
from pathlib import Path

def killed(call):
    def instead(path, *others, **more):
        if Path(path).name == {name!r} and not Path({once!r}).exists():
            Path({once!r}).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return call(path, *others, **more)
    return instead

if "vidrain.batch.worker" in sys.orig_argv:
    os.replace, os.rmdir = killed(os.replace), killed(os.rmdir)
"""


def after_kills(source: Path, folder: Path, *steps: str) -> list[dict[str, Any]]:
    """What the job of `tests.crash_points` did after each kill, of which all must be the same to whoever looks."""
    command = [sys.executable, "-m", "tests.crash_points", str(source), str(folder), *steps]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}  # threads of torch would not outlive a fork
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    for each in found:
        assert (each["code"], each["same"], each["left"]) == (0, True, NAMES), each
        assert each["said"] == found[0]["said"], each
    return found


@pytest.mark.fault(25)
@pytest.mark.proves("clean")
def test_killed_while_outputs_get_their_names(samples: Path, tmp_path: Path) -> None:
    """Before the last calls: names, the folder of segments, what says that all is done; and then once more."""
    steps = ["3", *map(str, range(-15, 0, 2)), "-12", "-1", "-12,3", "-12,7", "-6,1"]
    found = after_kills(samples / "full_range.mp4", tmp_path, *steps)
    assert len(found) == len(steps)
    assert {tuple(each["named"]) for each in found} == {(), ("out.mp4",), tuple(NAMES)}
    assert found[0]["frames"] == FRAMES
    assert {each["frames"] for each in found[1:]} == {0}, "what is finished is not computed again"


@pytest.mark.fault(29)
@pytest.mark.proves("batch run")
@pytest.mark.parametrize("name", [".in.rain.mp4.partial.mp4", pytest.param("in.mp4.vidrain", marks=pytest.mark.slow)])
def test_a_worker_that_is_killed_with_its_work_done(
    name: str, source: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between two names, and before the folder of segments goes: another try computes no frame again."""
    (tmp_path / "site").mkdir()
    once = tmp_path / "once"
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLED_ONCE.format(name=name, once=str(once)))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    with started(source, "-o", out.parent, *CHEAP, "--also", "rain", "--engine", "processes") as job:
        until(job, "file_end", state="again")
        assert once.exists()
        said = [json.loads(line) for line in job.stdout or ()]
    ends = [(event["state"], event["code"]) for event in said if event["event"] == "file_end"]
    assert (job.returncode, ends) == (0, [("done", 0)])
    assert [event for event in said if event["event"] == "progress"] == []
    assert sorted(written(out.parent)) == ["in.mp4", "in.rain.mp4"]


@pytest.mark.slow
@pytest.mark.fault(26)
def test_a_batch_that_is_stopped_before_it_tries_again(
    source: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker was killed with its work done: what it had named is known as ours by the next run as well."""
    (tmp_path / "site").mkdir()
    once = tmp_path / "once"
    (tmp_path / "site" / "sitecustomize.py").write_text(KILLED_ONCE.format(name="in.mp4.vidrain", once=str(once)))
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    command = (source, "-o", out.parent, *CHEAP, "--engine", "processes")
    with started(*command) as job:
        until(job, "file_end", state="again")
        job.send_signal(signal.SIGINT)
        job.communicate()
    assert job.returncode == 130
    code, events = ran(*command)
    assert (code, [event["state"] for event in events if event["event"] == "file_end"]) == (0, ["done"])
    assert [event for event in events if event["event"] == "progress"] == []
    assert sorted(written(out.parent)) == ["in.mp4"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.fault(25)
def test_killed_before_every_call(samples: Path, tmp_path: Path) -> None:
    found = after_kills(samples / "full_range.mp4", tmp_path)
    assert {call.split(".")[0].split()[0] for each in found for call in each["killed"]} >= {
        *("fsync", "replace", "unlink", "mkdir", "rmdir")
    }
    assert sorted({each["frames"] for each in found}) == [0, LENGTH, FRAMES]
