"""Ctrl-C and SIGTERM at any moment: the process ends at once with its code, and nothing is left behind."""

import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain, in_time
from vidrain.outputs import Claim

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc to see when handlers are in place")


def started(source: Path, target: Path) -> subprocess.Popen[str]:
    """A job whose process has just taken the signals into its own hands."""
    command = [sys.executable, "-m", "vidrain", "clean", str(source), "-o", str(target), "--json"]
    job = subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not catches_sigterm(job.pid):
        assert job.poll() is None
        time.sleep(0.005)
    return job


def catches_sigterm(pid: int) -> bool:
    status = Path(f"/proc/{pid}/status").read_text()
    caught = int(status.split("SigCgt:")[1].split()[0], 16)
    return bool(caught >> (signal.SIGTERM - 1) & 1)


@pytest.mark.fault(26)
@pytest.mark.parametrize("after", [0.0, 0.2, 0.5, 1.0, 1.5])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_while_libraries_are_imported(number: int, code: int, after: float, samples: Path, tmp_path: Path) -> None:
    """numpy and torch swallow an exception raised inside of their import: the job would go on."""
    source = ffmpeg_says.remux(
        samples / "street.mp4", tmp_path / "long.mp4", "-map", "0:v", first=("-stream_loop", "20")
    )

    def attempt() -> float:
        job = started(source, tmp_path / "out.mp4")
        time.sleep(after)
        job.send_signal(number)
        sent = time.monotonic()
        _, said = job.communicate(timeout=60)
        assert (job.returncode, said.count("\n")) == (code, 1), said
        assert list(tmp_path.iterdir()) == [source]
        return time.monotonic() - sent

    in_time(attempt, limit_s=2)


@pytest.mark.fault(26)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_when_outputs_get_their_names(
    number: int, source: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the first name and the second it is too late to stop: both belong together."""
    publish, rain = Claim.publish, out.with_name("rain.mp4")

    def interrupted(claim: Claim) -> None:
        publish(claim)
        os.kill(os.getpid(), number)

    monkeypatch.setattr(Claim, "publish", interrupted)
    ran = vidrain("clean", source, "-o", out, "--rain", rain)
    assert (ran.code, ran.err) == (0, "")
    assert sorted(out.parent.iterdir()) == [out, rain]


EXIT = "import atexit, os; atexit.register(lambda: os.kill(os.getpid(), {}))"
TEARDOWN = """
import os, sys
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid()): kill(pid, {})
sys.last = Last()
"""


@pytest.mark.fault(26)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [EXIT, TEARDOWN], ids=["at exit", "at teardown"])
def test_after_the_work_is_done(number: int, moment: str, source: Path, out: Path) -> None:
    """While the interpreter winds down: the result is there, and the exit code says so."""
    done = winding_down(moment.format(int(number)), source, out)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.fault(26)
@pytest.mark.proves("exit 130")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", [EXIT, TEARDOWN], ids=["at exit", "at teardown"])
def test_after_an_error_was_told(number: int, moment: str, tmp_path: Path) -> None:
    """A signal while the interpreter winds down neither takes the exit code nor adds a line."""
    done = winding_down(moment.format(int(number)), tmp_path / "missing.mp4", tmp_path / "out.mp4")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr


def winding_down(script: str, source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", f"{script}\nfrom vidrain.__main__ import run; run()"]
    return subprocess.run(
        [*command, "clean", str(source), "-o", str(target)], capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def uhd(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("uhd") / "uhd.mp4"
    scaled = ("-vf", "scale=3840:2160", "-an", "-c:v", "libx264", "-preset", "ultrafast")
    ffmpeg_says.quietly("-i", samples / "street.mp4", *scaled, path)
    return path


@pytest.mark.slow
@pytest.mark.fault(26)
@pytest.mark.proves("exit 130")
def test_twice_ends_it_at_once(uhd: Path, tmp_path: Path) -> None:
    """The first waits for a frame that is being computed, for more than a second; the second for nothing."""
    target = tmp_path / "out.mp4"

    def attempt() -> float:
        job = started(uhd, target)
        assert job.stdout is not None
        job.stdout.readline()
        time.sleep(3)
        job.send_signal(signal.SIGINT)
        time.sleep(0.2)
        assert job.poll() is None, "the first one has still to wait"
        job.send_signal(signal.SIGINT)
        sent = time.monotonic()
        _, said = job.communicate(timeout=60)
        took = time.monotonic() - sent
        assert (job.returncode, said.count("\n")) == (130, 1)
        assert list(tmp_path.iterdir()) == []
        if said.startswith("vidrain: interrupted; "):
            return math.inf  # the frame ended between the two: nothing was left to wait for
        assert said == "vidrain: stopped; nothing was written under a final name\n"
        return took

    in_time(attempt, limit_s=0.5)


@pytest.mark.slow
@pytest.mark.fault(26)
def test_in_the_middle_of_large_frames(uhd: Path, tmp_path: Path) -> None:
    """A frame of 4K takes longer than the two seconds."""
    source, target = uhd, tmp_path / "out" / "out.mp4"
    target.parent.mkdir()

    def attempt() -> float:
        job = started(source, target)
        assert job.stdout is not None
        job.stdout.readline()  # the plan: work begins
        time.sleep(3)
        job.send_signal(signal.SIGINT)
        sent = time.monotonic()
        job.communicate(timeout=60)
        assert job.returncode == 130
        assert list(target.parent.iterdir()) == []
        return time.monotonic() - sent

    in_time(attempt, limit_s=2)
