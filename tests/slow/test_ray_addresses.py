"""Where a batch looks for a Ray cluster that is not there, and signals that Ray would take for itself."""

from __future__ import annotations

import importlib.util
import signal
import socket
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.batch_runs import started, until
from tests.pipeline.conftest import in_time
from tests.slow.test_real_clips import CHEAP
from vidrain.errors import UsageError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(120),
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed here"),
]


@pytest.mark.fault(26)
def test_a_batch_on_ray_that_is_terminated_says_so(two: Path, out: Path) -> None:
    """Ray takes SIGTERM for itself, with a code of its own and a list of addresses."""
    with started(two, "-o", out, *CHEAP, "--engine", "ray") as job:
        until(job, "progress")
        job.send_signal(signal.SIGTERM)
        _, said = job.communicate(timeout=60)
    assert (job.returncode, said.count("\n")) == (143, 1), said
    assert said.startswith(("vidrain: terminated; ", "vidrain: stopped; ")), said


@pytest.fixture(params=["closed", "mute", "of the web"])
def no_head(request: pytest.FixtureRequest) -> Iterator[str]:
    """HOST:PORT where no head of Ray is, as Ray itself writes it: nobody, or somebody else."""
    from ray.util import get_node_ip_address

    if request.param == "of the web":
        with ThreadingHTTPServer(("", 0), BaseHTTPRequestHandler) as server:
            thread = Thread(target=server.serve_forever)
            thread.start()
            yield f"{get_node_ip_address()}:{server.server_port}"
            server.shutdown()
            thread.join()
        return
    with socket.create_server(("", 0)) as listener:
        if request.param == "closed":
            listener.close()
            yield f"{get_node_ip_address()}:1"
        else:
            yield f"{get_node_ip_address()}:{listener.getsockname()[1]}"


def entered(address: str, folder: Path) -> None:
    from vidrain.batch.ray_engine import RayEngine

    RayEngine(address, 1, folder, lambda *_: None, on_gpus=False).__enter__()


@pytest.mark.parametrize("named", ["itself", "auto"])
def test_where_no_head_answers_it_is_one_line(
    no_head: str, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ray would try for ever, and serve no signal while it does."""
    from vidrain.batch import ray_engine

    monkeypatch.setattr(ray_engine, "_HEAD_S", 1.0)
    monkeypatch.setenv("RAY_ADDRESS", no_head if named == "auto" else "")
    address = "auto" if named == "auto" else no_head
    due = (
        rf"^--address {address}: no Ray cluster can be used \(no head of Ray answers at {no_head}, for 1 s; .*; see ray"
    )
    with pytest.raises(UsageError, match=due):
        entered(address, tmp_path)


@pytest.mark.parametrize("address", ["ray://127.0.0.1:10001", "nowhere", "127.0.0.1:70000"])
def test_what_is_no_address_is_one_line(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from vidrain.batch import ray_engine

    monkeypatch.setattr(ray_engine, "_HEAD_S", 1.0)
    with pytest.raises(UsageError, match=rf"^--address {address}: no Ray cluster can be used \(.*\); see ray start"):
        entered(address, tmp_path)
    assert capfd.readouterr().err == ""


@pytest.mark.fault(26)
@pytest.mark.parametrize("no_head", ["closed"], indirect=True)
def test_an_interrupt_does_not_wait_for_a_head(no_head: str, two: Path, out: Path) -> None:
    def attempt() -> float:
        with started(two, "-o", out, *CHEAP, "--engine", "ray", "--address", no_head) as job:
            until(job, "batch_plan")
            time.sleep(3)  # Ray is imported, and would be at its first try
            job.send_signal(signal.SIGINT)
            sent = time.monotonic()
            try:
                _, said = job.communicate(timeout=60)
            finally:
                job.kill()
            took = time.monotonic() - sent
        assert (job.returncode, said.count("\n")) == (130, 1), said
        return took

    in_time(attempt, limit_s=2)
