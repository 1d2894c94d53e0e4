"""`vidrain bench`: whole processes are measured as they are, in turns, and what fails is named."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from tests.pipeline.conftest import Ran, Vidrain
from vidrain.bench import launch
from vidrain.bench.clip import write_clip
from vidrain.bench.jobs import JobFailed, command_for, run_job
from vidrain.bench.markdown import page
from vidrain.bench.passthrough import passthrough
from vidrain.bench.plan import Method
from vidrain.bench.run import drawn_weights
from vidrain.config import load_bench_methods, methods_in
from vidrain.errors import OutputError
from vidrain.provenance import hash_of_file
from vidrain.types import Aligned
from vidrain.weights import ModelOptions, load_decomposer

FRAMES = 12
DONE = 'import json; print(json.dumps({"v": 1, "event": "file_done", "frames_out": 7}))'
CUT = '{"v": 1, "ev'  # a line that a kill cut off
# Of one network alone, so that no process is started: a run takes a second.
QUICK = ("bench", "--method", "published", "--size", "64x48", "--frames", "2", "--repeats", "1")


def facts_of(ran: Ran) -> dict[str, Any]:
    found: dict[str, Any] = ran.events[-1]
    return found


@pytest.mark.proves("bench", "bench --method", "bench --frames", "bench --output", "bench --size")
def test_whole_jobs_are_compared_with_passthrough(vidrain: Vidrain, tmp_path: Path) -> None:
    """Every figure of the tables follows from raw repeats that stand beside them."""
    out = tmp_path / "speed"
    methods = ("--method", "passthrough", "--method", "one: baseline baseline.radius=0")
    ran = vidrain("bench", *methods, "--size", "96x64", "--frames", str(FRAMES), "--repeats", "1", "-o", out)
    assert ran.code == 0
    assert sorted(path.name for path in out.iterdir()) == ["results.json", "results.md"]
    assert not [path for path in tmp_path.iterdir() if path != out]
    assert (out / "results.md").read_text() == ran.out
    facts = json.loads((out / "results.json").read_text())
    assert facts["failed"] == []
    assert facts["methods"]["one"]["settings"] == ["baseline.radius=0"]
    page = (Path(__file__).parents[2] / "docs" / "speed.md").read_text()
    summary = {name: rows[0] for name, rows in facts["summary"].items() if rows}
    parts = (facts, facts["machine"], facts["settings"], facts["methods"]["one"], facts["records"][0], summary)
    names = {name for part in (*parts, facts["records"][0]["job"], *summary.values()) for name in part}
    assert sorted(name for name in names if f"`{name}`" not in page) == []
    records = {(each["repeat"], each["method"]): each for each in facts["records"]}
    assert list(records) == [(repeat, name) for repeat in (0, 1) for name in ("passthrough", "one")]
    jobs = {name: records[1, name]["job"] for name in ("passthrough", "one")}
    assert [job["frames"] for job in jobs.values()] == [FRAMES, FRAMES]
    assert {each["size"] for each in facts["records"]} == {"96x64"}
    assert min(job["peak_mib"] for job in jobs.values()) > 60  # torch alone takes more
    assert all(job["cpu_s"] > 0 for job in jobs.values())
    assert all(0.1 < job["first_s"] < job["seconds"] for job in jobs.values())
    rows = {row["method"]: row for row in facts["summary"]["jobs"]}
    assert rows["one"]["to_passthrough"]["median"] == pytest.approx(
        jobs["one"]["seconds"] / jobs["passthrough"]["seconds"]
    )
    assert rows["one"]["seconds"]["median"] == jobs["one"]["seconds"]
    assert f"| 96x64 | {FRAMES} | one | {jobs['one']['seconds']:.2f} (" in ran.out
    stages = {row["method"]: set(row["stages"]) for row in facts["summary"]["stages"]}
    assert stages["passthrough"] == {"open", "decode", "encode", "verify"}
    assert stages["one"] == {"picture", "flow", "warp", "network", "quantise", "line"}


@pytest.mark.proves("bench --seed")
def test_the_seed_makes_the_clips(vidrain: Vidrain) -> None:
    hashes = [facts_of(vidrain(*QUICK, "--json", "--seed", seed))["clips"]["64x48_2.mp4"] for seed in ("1", "1", "2")]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.proves("bench --json", "bench --repeats")
def test_events_come_first_and_the_result_last(vidrain: Vidrain) -> None:
    ran = vidrain(*QUICK[:-1], "3", "--json")
    assert ran.code == 0
    *told, facts = [event for event in ran.events if event.get("event") != "warning"]
    names = [event["event"] for event in told]
    assert names == ["bench_plan", *["bench_run"] * 4, "bench_done"]
    assert (told[0]["runs"], [event["repeat"] for event in told[1:-1]]) == (4, [0, 1, 2, 3])
    measured = [record["published_ms"] for record in facts["records"] if record["repeat"]]
    (row,) = facts["summary"]["published"]
    assert row["ms_per_frame"]["median"] == sorted(measured)[1]
    on = facts["machine"]
    assert (on["cores"], bool(on["processor"]), on["load"] >= 0) == (len(os.sched_getaffinity(0)), True, True)
    assert facts["libraries"]["torch"]


@pytest.mark.proves("bench --force")
def test_figures_are_not_replaced_unasked(vidrain: Vidrain, tmp_path: Path) -> None:
    out = tmp_path / "speed"
    assert vidrain(*QUICK, "-o", out).code == 0
    before = hash_of_file(out / "results.json")
    again = vidrain(*QUICK, "-o", out)
    assert (again.code, "--force" in again.err, hash_of_file(out / "results.json")) == (5, True, before)
    assert vidrain(*QUICK, "-o", out, "--force").code == 0
    assert hash_of_file(out / "results.json") != before
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").touch()
    assert vidrain(*QUICK, "-o", tmp_path / "mine", "--force").code == 5
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["precious"]


@pytest.mark.proves("exit 4")
def test_a_method_that_fails_is_named_and_the_rest_is_measured(vidrain: Vidrain, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    command = [*QUICK]
    command[2] = f"bad:gate-s={tmp_path / 'bad.safetensors'},published"
    ran = vidrain(*command, "--json")
    assert ran.code == 4
    facts = facts_of(ran)
    (failure,) = facts["failed"]
    assert (failure["method"], failure["size"]) == ("bad", "64x48")
    assert "is no safetensors file" in failure["error"]
    assert [row["method"] for row in facts["summary"]["published"]] == ["published"]
    assert "## Not measured" in vidrain(*command).out


def test_where_nothing_could_be_measured_nothing_is_written(vidrain: Vidrain, tmp_path: Path) -> None:
    """With a comma in the name of a file, which does not end it."""
    (tmp_path / "b,ad.safetensors").write_bytes(b"no weights")
    arguments = (*QUICK[:2], f"bad:gate-s={tmp_path / 'b,ad.safetensors'}", *QUICK[3:])
    ran = vidrain(*arguments, "-o", tmp_path / "speed")
    assert ran.code == 7
    assert "nothing could be measured (bad, 64x48" in ran.err.splitlines()[-1]
    assert "b,ad.safetensors: is no safetensors file" in ran.err.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["b,ad.safetensors"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--method", "none"), "none is not known; allowed: passthrough, fast"),
        (("--method", "fast crf=3"), "crf=3: no such key. Did you mean: encode.crf?"),
        (("--method", "fast encode.crf=3"), "encode is the same for all methods"),
        (("--method", "passthrough a=b"), "passthrough has neither weights nor settings"),
        (("--method", "gate-s=/none"), "/none: no such weights file"),
        (("--method", "fast,fast"), "stands there twice"),
        (("--size", "huge"), "--size huge: allowed: vga, 480p"),
        (("--frames", "3,x"), "--frames 3,x: is not a number"),
        (("--frames", "2,2"), "--frames 2,2: one length stands there twice"),
        (("--method", "gate-s=/no,ne,passthrough"), "/no,ne: no such weights file"),
        (("--repeats", "0"), "--repeats 0: allowed"),
    ],
)
def test_what_makes_no_sense_is_one_line(vidrain: Vidrain, arguments: tuple[str, ...], said: str) -> None:
    ran = vidrain("bench", *arguments)
    assert ran.code == (7 if "weights file" in said else 2)
    assert said in ran.err
    assert ran.err.count("\n") == 1


def test_a_busy_machine_is_said_before_and_in_the_tables(vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getloadavg", lambda: (0.9, 0.0, 0.0))
    ran = vidrain(*QUICK)
    assert "note: the machine is busy (load average 0.90" in ran.err
    assert "**The machine was busy" in ran.out
    monkeypatch.setattr("os.getloadavg", lambda: (0.1, 9.0, 9.0))
    ran = vidrain(*QUICK)
    assert (ran.err, "busy" in ran.out) == ("", False)


def test_drawn_weights_fit_their_model(tmp_path: Path) -> None:
    """The one whose weights do not ship can be measured all the same."""
    model = "nlcl"
    (method,) = load_bench_methods([model])
    assert method.draws_weights
    path = tmp_path / "weights.safetensors"
    path.write_bytes(drawn_weights(model, 1))
    decomposer = load_decomposer(model, path, ModelOptions())
    observed = torch.rand(3, 24, 32)
    aligned = Aligned(observed, observed.expand(4, -1, -1, -1), torch.zeros(4, 24, 32))
    assert decomposer(aligned).isfinite().all()
    assert drawn_weights(model, 1) == path.read_bytes() != drawn_weights(model, 2)


def test_drawn_weights_are_said_in_the_tables(vidrain: Vidrain) -> None:
    assert not any(method.draws_weights for method in load_bench_methods(["gate-s", "fast", "passthrough"]))
    facts = facts_of(vidrain(*QUICK, "--json"))
    assert "drawn at random" not in page(facts)
    facts["methods"]["published"]["draws_weights"] = True
    assert "Weights drawn at random: published;" in page(facts)


@pytest.mark.proves("bench")
def test_all_methods_encode_alike(vidrain: Vidrain, tmp_path: Path) -> None:
    """x264 writes its settings into what it makes."""
    source = tmp_path / "clip.mp4"
    write_clip(source, "96x64", FRAMES, seed=1)
    passthrough(source, tmp_path / "passed.mp4")
    (method,) = load_bench_methods(["fast"])
    assert vidrain(*command_for(method, source, tmp_path / "cleaned.mp4", None)[2:]).code == 0
    settings = [
        re.findall(rb"options: ([ -~]+)", (tmp_path / name).read_bytes()) for name in ("passed.mp4", "cleaned.mp4")
    ]
    assert settings[0]
    assert set(settings[0]) == set(settings[1])
    assert b"crf=20.0" in settings[0][0]


def test_a_process_is_measured_from_outside(tmp_path: Path) -> None:
    """Its own memory alone, however much this process holds; a job that sleeps is as long as it sleeps."""
    held = np.ones(300 << 20, np.uint8)
    (tmp_path / "small").mkdir()
    small = run_job(["-c", f"import time; time.sleep(0.5); {DONE}"], tmp_path / "small")
    (tmp_path / "large").mkdir()
    large = run_job(["-c", f"x = bytearray(200 << 20); x[::4096] = b'1' * 51200; {DONE}"], tmp_path / "large")
    assert held[-1] == 1
    assert small.peak_mib < 100
    assert 200 < large.peak_mib < 300
    assert small.seconds >= 0.5
    assert small.cpu_s < 0.5 * small.seconds
    assert (small.frames, small.steady_ms) == (7, None)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import sys; sys.exit('vidrain: it broke')", "ended with 1: vidrain: it broke"),
        ("import os; os.abort()", "ended with -6"),
        (f"{DONE}; raise SystemExit(9)", "ended with 9: it said nothing"),
        (f"{DONE}; import os; os.write(1, {CUT!r}.encode()); os.abort()", "ended with -6: it said nothing"),
        (f"import os; os.write(1, {CUT!r}.encode())", "ended with 0: it said nothing"),
    ],
)
def test_a_job_that_breaks_says_so(tmp_path: Path, code: str, said: str) -> None:
    with pytest.raises(JobFailed, match=said):
        run_job(["-c", code], tmp_path)


def test_a_full_disk_is_one_line(vidrain: Vidrain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found when a job is to begin, or its output is to be kept."""
    with pytest.raises(OutputError, match="cannot be written"):
        run_job(["-c", DONE], tmp_path / "gone")
    true = Path.mkdir

    def full(path: Path, *args: Any, **named: Any) -> None:
        if path.name == "job":
            raise OSError(28, "No space left on device")
        true(path, *args, **named)

    monkeypatch.setattr(Path, "mkdir", full)
    ran = vidrain(*QUICK[:2], "passthrough", *QUICK[3:])
    assert ran.code == 7
    assert "cannot be written (No space left on device); check space and rights" in ran.err
    assert "Traceback" not in ran.err


def test_a_job_ends_with_the_benchmark(tmp_path: Path) -> None:
    """Killed as it may be: its end of the pipe closes."""
    note = tmp_path / "pid"
    code = f"import os, pathlib, time; pathlib.Path({str(note)!r}).write_text(str(os.getpid())); time.sleep(60)"
    command = [sys.executable, launch.__file__, str(tmp_path / "result"), sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as launcher:
        while not (note.is_file() and note.read_text()):
            time.sleep(0.01)
        assert launcher.stdin is not None
        launcher.stdin.close()
        assert launcher.wait(20) == 1
    with pytest.raises(ProcessLookupError):
        for _ in range(500):
            os.kill(int(note.read_text()), 0)
            time.sleep(0.01)
    assert not (tmp_path / "result").exists()


def test_a_benchmark_that_is_stopped_leaves_nothing(tmp_path: Path) -> None:
    """No folder, and no job that runs on."""
    out = tmp_path / "speed"
    arguments = ("--method", "passthrough", "--size", "64x48", "--frames", "40", "--repeats", "1000")
    command = [sys.executable, "-m", "vidrain", "bench", *arguments, "-o", str(out), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while json.loads(process.stdout.readline())["event"] != "bench_run":
            pass
        started = []
        while not started:  # the job of the next turn
            started = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
    _, alive = psutil.wait_procs(started, timeout=20)
    assert not alive
    assert list(tmp_path.iterdir()) == []


def test_what_other_programs_do_is_counted(tmp_path: Path) -> None:
    """A neighbour that keeps a core busy is seen."""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as neighbour:
        try:
            found = run_job(["-c", f"import time; time.sleep(1); {DONE}"], tmp_path)
        finally:
            neighbour.kill()
    assert found.others is None or found.others > 0.1


@pytest.mark.parametrize(
    ("text", "due"),
    [
        ("fast", ["fast"]),
        ("passthrough,fast,gate-s", ["passthrough", "fast", "gate-s"]),
        ("passthrough, one: gate-s a.b=1,nlcl=x", ["passthrough", " one: gate-s a.b=1", "nlcl=x"]),
        ("gate-s=/a,b.safetensors,fast", ["gate-s=/a,b.safetensors", "fast"]),
        ("gate-s=/a,gate-s.safetensors", ["gate-s=/a,gate-s.safetensors"]),
        ("fast,nonesuch", ["fast,nonesuch"]),
    ],
)
def test_commas_are_between_methods(text: str, due: list[str]) -> None:
    assert methods_in(text) == due


def test_methods_are_named_by_what_they_are() -> None:
    found = load_bench_methods(["passthrough", "fast", "thin: gate-s align.scale=0.25", "nlcl nlcl.statistics=live"])
    assert [(each.label, each.name, each.model) for each in found] == [
        ("passthrough", "passthrough", None),
        ("fast", "fast", "baseline"),
        ("thin", "gate-s", "gate-s"),
        ("nlcl nlcl.statistics=live", "nlcl", "nlcl"),
    ]
    assert isinstance(found[2], Method)
    assert found[2].options is not None
    assert found[2].options.align.scale == 0.25
