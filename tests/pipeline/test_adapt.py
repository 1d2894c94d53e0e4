"""`vidrain adapt` and `clean --adapt`: what is written, what is said, and what outlives a kill."""

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

import vidrain as package
from tests import ffmpeg_says
from tests.broken import wiped
from tests.pipeline.conftest import Ran, Vidrain, in_time
from tests.pipeline.test_exits import check_error, events_until, started
from tests.pipeline.test_provenance import line_in
from vidrain.config import load_clean
from vidrain.identity import identity_of
from vidrain.model.gate import CONFIGS, Gate
from vidrain.provenance import hash_of_content
from vidrain.segments.folder import folder_of
from vidrain.weights import hash_of, load_model, packed_gate

GATE = ("--model", "gate-s", "--weights")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A gate that never learned: half of what looks like rain."""
    torch.manual_seed(0)
    path, net = tmp_path_factory.mktemp("weights") / "base.safetensors", Gate(CONFIGS["gate-s"])
    net.strength.fill_(0.5)
    path.write_bytes(packed_gate("gate-s", net.state_dict()))
    return path


@pytest.fixture
def street(samples: Path, tmp_path: Path) -> Path:
    """Enough of a rainy street to adapt to, and little to clean."""
    (tmp_path / "in").mkdir()
    return ffmpeg_says.remux(samples / "street.mp4", tmp_path / "in" / "street.mp4", "-map", "0", "-t", "0.8")


def said(weights: Path) -> dict[str, object]:
    with safe_open(str(weights), framework="pt") as file:
        return dict(json.loads(file.metadata()["adapted"]))


def event_of(ran: Ran, kind: str) -> dict[str, Any]:
    return next(event for event in ran.events if event["event"] == kind)


def done_of(ran: Ran) -> dict[str, Any]:
    return event_of(ran, "adaptation_done")


def same(first: Path, second: Path) -> bool:
    one, other = (load_model("gate-s", path).net.state_dict() for path in (first, second))  # type: ignore[union-attr]
    return all(torch.equal(a, b) for a, b in zip(one.values(), other.values(), strict=True))


@pytest.mark.proves("adapt", "adapt CLIP KEY=VALUE", "adapt --output", "adapt --weights", "adapt --steps")
def test_weights_are_fitted_to_clips(base: Path, samples: Path, out: Path, vidrain: Vidrain) -> None:
    first, second = out.with_name("a.safetensors"), out.with_name("b.safetensors")
    common = (
        "adapt",
        samples / "street.mp4",
        samples / "vfr.mp4",
        "--weights",
        base,
        "--steps",
        "3",
        "adapt.seed=3",
        "gate.precision=float32",
    )
    assert vidrain(*common, "-o", first).code == 0
    assert vidrain(*common, "-o", second).code == 0
    assert first.read_bytes() == second.read_bytes()
    assert sorted(out.parent.iterdir()) == [first, second]
    assert not same(first, base)
    found = said(first)
    assert found["base"] == hash_of(load_model("gate-s", base).net.state_dict())  # type: ignore[union-attr]
    assert found["frames"] == [44, 36]
    assert found["outcome"]["steps"] == 3  # type: ignore[index]
    assert found["settings"]["seed"] == 3  # type: ignore[index]
    assert found["settings"]["precision"] == "float32"  # type: ignore[index]
    clean = out.with_name("clean.mp4")
    assert vidrain("clean", samples / "odd.mp4", "-o", clean, *GATE, first).code == 0


@pytest.mark.proves("adapt --json", "adapt --seconds", "adapt --config", "adapt --device")
def test_the_clock_and_the_events(base: Path, samples: Path, out: Path, vidrain: Vidrain) -> None:
    file, weights = out.with_name("my.yaml"), out.with_name("a.safetensors")
    file.write_text("adapt: {least_gain: 0.004}\ndevice: cuda\n")
    common = ("adapt", samples / "street.mp4", "-o", weights, "--weights", base, "-c", file)
    ran = vidrain(*common, "--seconds", "100", "--device", "cpu", "--json")
    assert ran.code == 0, ran.err
    kinds = [event["event"] for event in ran.events]
    assert kinds == ["adaptation_step"] * (len(kinds) - 1) + ["adaptation_done"]
    assert {event["limit_s"] for event in ran.events[:-1]} == {100.0}
    done = ran.events[-1]
    assert done["steps"] == 2  # all that there is
    assert done["factors"] == said(weights)["outcome"]["factors"] != [1, 1, 1]  # type: ignore[index]
    assert done["gain"] > 0.005
    assert (done["fell_back"], done["reason"], done["is_reused"]) == (False, None, False)
    assert done["weights"] == hash_of_content(weights.read_bytes())
    assert said(weights)["settings"]["least_gain"] == 0.004  # type: ignore[index]
    again = out.with_name("b.safetensors")
    assert vidrain(*common[:2], "-o", again, *common[4:], "--device", "cpu", "--steps", str(done["steps"])).code == 0
    assert again.read_bytes() == weights.read_bytes()


@pytest.mark.proves("adapt --force")
def test_what_falls_back_holds_the_base_weights(base: Path, samples: Path, out: Path, vidrain: Vidrain) -> None:
    weights = out.with_name("a.safetensors")
    weights.write_bytes(b"precious")
    common = ("adapt", samples / "street.mp4", "-o", weights, "--weights", base, "--steps", "5")
    assert vidrain(*common).code == 5
    assert weights.read_bytes() == b"precious"
    ran = vidrain(*common, "adapt.least_gain=0.9", "--force")
    assert ran.code == 0
    assert ran.err.startswith("vidrain: note: the weights are not adapted to the footage: the error fell by ")
    assert ran.err.endswith("; the base weights are used\n")
    assert ran.err.count("\n") == 1
    assert same(weights, base)
    assert said(weights)["outcome"]["reason"]  # type: ignore[index]


@pytest.mark.proves("clean --adapt-steps", "clean --keep-adapted")
def test_a_video_is_cleaned_with_weights_fitted_to_it(base: Path, street: Path, out: Path, vidrain: Vidrain) -> None:
    kept, again = out.with_name("kept.safetensors"), out.with_name("again.safetensors")
    steps = ("--adapt-steps", "10")
    ran = vidrain("clean", street, "-o", out, *GATE, base, *steps, "--keep-adapted", kept, "--json")
    assert ran.code == 0, ran.err
    kinds = [event["event"] for event in ran.events]
    assert kinds.index("adaptation_done") < kinds.index("plan") < kinds.index("progress")
    assert sorted(out.parent.iterdir()) == [kept, out]
    done, plan = done_of(ran), event_of(ran, "plan")
    assert done["weights"] == hash_of_content(kept.read_bytes())
    assert f"gate-s weights={hash_of_content(base.read_bytes())} adapted={done['weights']} config=" in plan["made_by"]
    assert line_in(out) == plan["made_by"]
    assert plan["outputs"]["adapted"] == str(kept)
    # the same weights by themselves, and the same video by them
    assert vidrain("adapt", street, "-o", again, "--weights", base, "--steps", "10").code == 0
    assert again.read_bytes() == kept.read_bytes()
    other, plain = out.with_name("other.mp4"), out.with_name("plain.mp4")
    assert vidrain("clean", street, "-o", other, *GATE, kept).code == 0
    assert vidrain("clean", street, "-o", plain, *GATE, base).code == 0
    assert ffmpeg_says.tracks(out, "-map", "0:v") == ffmpeg_says.tracks(other, "-map", "0:v")
    assert ffmpeg_says.tracks(out, "-map", "0:v") != ffmpeg_says.tracks(plain, "-map", "0:v")


@pytest.mark.proves("clean --adapt")
def test_the_report_says_how_it_went(base: Path, street: Path, out: Path, vidrain: Vidrain) -> None:
    options = load_clean(None, (), {"model": "gate-s", "weights": base, "adapt.seconds": "100"})
    report = package.clean(street, out, options=options)
    assert report.adaptation is not None
    assert report.adaptation.reason is None
    assert report.adaptation.steps == 2
    assert report.adaptation.factors[0] > 1
    assert report.adaptation.gain > 0
    assert " adapted=" in report.made_by
    ran = vidrain("clean", street, "-o", out, "--force", *GATE, base, "--json", "--adapt")
    assert ran.code == 0, ran.err
    assert {event["limit_s"] for event in ran.events if event["event"] == "adaptation_step"} == {30.0}


def test_what_does_not_help_is_said_and_not_tagged(base: Path, street: Path, out: Path, vidrain: Vidrain) -> None:
    ran = vidrain("clean", street, "-o", out, *GATE, base, "--adapt-steps", "5", "--start", "3", "--end", "9", "--json")
    assert ran.code == 0, ran.err
    warned = event_of(ran, "warning")
    assert warned["code"] == "adapt"
    assert "it has 6 frames, 20 are needed; the base weights are used" in warned["message"]
    done, plan = done_of(ran), event_of(ran, "plan")
    assert "adapted=" not in plan["made_by"]
    assert (done["fell_back"], done["steps"], done["factors"]) == (True, 0, [1, 1, 1])


def test_a_range_adapts_to_the_range_alone(
    samples: Path, base: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """Frames outside of it do not count: wiped out, they change nothing."""
    coded = tmp_path / "coded.mov"
    ffmpeg_says.quietly("-i", samples / "street.mp4", "-an", "-c:v", "mjpeg", "-q:v", "2", coded)
    broken = wiped(coded, coded.with_name("broken.mov"), range(26, 30))
    files = []
    for source in (coded, broken):
        files.append(out.with_name(f"{source.stem}.safetensors"))
        options = ("--adapt-steps", "5", "--end", "22", "--keep-adapted", files[-1])
        assert vidrain("clean", source, "-o", out, "--force", *GATE, base, *options).code == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    assert said(files[0])["frames"] == [22]


def test_lost_frames_are_no_end_of_it(base: Path, samples: Path, street: Path, out: Path, vidrain: Vidrain) -> None:
    coded = street.with_name("coded.mov")
    ffmpeg_says.quietly("-i", samples / "street.mp4", "-an", "-c:v", "mjpeg", "-q:v", "2", coded)
    broken = wiped(coded, street.with_name("broken.mov"), range(1, 4))
    ran = vidrain("clean", broken, "-o", out, *GATE, base, "--adapt-steps", "5", "--json")
    assert (ran.code, ran.events[-1]["frames_repeated"]) == (4, 3)


@pytest.mark.fault(26)
@pytest.mark.slow
def test_a_killed_run_need_not_adapt_again(base: Path, street: Path, out: Path, vidrain: Vidrain) -> None:
    command = ("clean", street, "-o", out, *GATE, base, "--adapt-steps", "10", "--json")
    with started(*command) as process:
        first = events_until(process, lambda event: event["event"] == "adaptation_done")
        process.kill()
        process.communicate()
    journal = folder_of(out) / "adapted.safetensors"
    assert journal.exists()
    assert not out.exists()
    left = shutil.copytree(journal.parent, out.parent.with_name("left"))
    # other options: anew
    ran = vidrain(*command, "adapt.seed=1")
    assert (ran.code, [event["is_reused"] for event in ran.events if event["event"] == "adaptation_done"]) == (
        0,
        [False],
    )
    assert list(out.parent.iterdir()) == [out]
    # the same: as it was left
    out.unlink()
    shutil.copytree(left, journal.parent)
    ran = vidrain(*command)
    assert ran.code == 0
    done = done_of(ran)
    assert {**done, "ts": 0, "seconds": 0} == {**first, "ts": 0, "seconds": 0, "is_reused": True}
    assert [event for event in ran.events if event["event"] == "adaptation_step"] == []
    assert list(out.parent.iterdir()) == [out]
    # another source of the same name, and a journal cut short: anew
    for spoil in (
        lambda: street.write_bytes(street.read_bytes() + bytes(8)),
        lambda: journal.write_bytes((left / journal.name).read_bytes()[:999]),
    ):
        shutil.copytree(left, journal.parent)
        spoil()
        ran = vidrain(*command, "--force")
        assert not done_of(ran)["is_reused"]


@pytest.mark.fault(26)
def test_stopped_while_it_adapts(base: Path, street: Path, out: Path) -> None:
    long = street.with_name("long.mp4")
    ffmpeg_says.quietly("-stream_loop", "20", "-i", street, "-map", "0:v", "-c", "copy", long)

    def attempt() -> float:
        kinds: list[str] = []

        def is_error(event: dict[str, Any]) -> bool:
            kinds.append(event["event"])
            return kinds[-1] == "error"

        with started("clean", long, "-o", out, *GATE, base, "--adapt=300", "--json") as process:
            events_until(process, lambda event: event["event"] == "adaptation_step" and event["steps"] > 0)
            sent = time.monotonic()
            process.send_signal(signal.SIGINT)
            events_until(process, is_error)
            took = time.monotonic() - sent
            process.communicate(timeout=60)
        assert "adaptation_done" not in kinds
        assert process.returncode == 130
        assert list(out.parent.iterdir()) == []
        return took

    in_time(attempt, limit_s=2)


@pytest.mark.fault(26)
def test_stopped_after_it_adapted(base: Path, street: Path, out: Path) -> None:
    """Only a kill leaves the weights behind."""
    with started("clean", street, "-o", out, *GATE, base, "--adapt-steps", "5", "--json") as process:
        events_until(process, lambda event: event["event"] == "plan")
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(out.parent.iterdir()) == []


def test_every_video_of_a_file_is_adapted_to(base: Path, samples: Path, out: Path, vidrain: Vidrain) -> None:
    camera, kept = out.with_name("camera.mp4"), out.with_name("kept.safetensors")
    ffmpeg_says.quietly(
        *("-i", samples / "street.mp4", "-i", samples / "vfr.mp4", "-t", "1.4"),
        *("-map", "0:v", "-map", "1:v", "-c", "copy", camera),
    )
    options = ("--video", "all", "--adapt-steps", "5", "--keep-adapted", kept, "--json")
    ran = vidrain("clean", camera, "-o", out, *GATE, base, *options)
    assert ran.code == 0, ran.err
    assert len(said(kept)["frames"]) == 2  # type: ignore[arg-type]
    plan = event_of(ran, "plan")
    assert f"adapted={hash_of_content(kept.read_bytes())}" in plan["made_by"]


def test_what_is_refused(base: Path, street: Path, out: Path, vidrain: Vidrain) -> None:
    steps = ("--adapt-steps", "5")
    kept = out.with_name("kept.safetensors")
    for code, text, arguments in (
        (
            2,
            "--adapt: baseline has no shares that could be fitted; allowed: gate-s, gate-m, gate-l, gate-b",
            ("--preset", "fast", *steps),
        ),
        (2, "--adapt: nlcl has no shares that could be fitted", ("--model", "nlcl", *steps)),
        (2, "seconds=5 steps=5: allowed: one of them", (*GATE, base, "--adapt=5", *steps)),
        (2, "steps=0: allowed: at least 1", (*GATE, base, "--adapt-steps", "0")),
        (2, "--keep-adapted", ("--keep-adapted", kept)),
        (2, "is the weights; every output needs a name of its own", (*GATE, base, *steps, "--keep-adapted", base)),
        (2, "is another output", (*GATE, base, *steps, "--keep-adapted", out)),
    ):
        check_error(vidrain("clean", street, "-o", out, *arguments), code, text)
    ran = vidrain("clean", "--adapt", street)  # takes its name for the seconds
    assert (ran.code, "street.mp4 is no number of seconds; write --adapt=30" in ran.err) == (2, True)
    for code, text, arguments in (
        (2, "no CLIP is named", ("adapt.seed=1",)),
        (2, "is the base weights", (street, "--weights", base, "-o", base)),
        (2, "is the source", (street, "--weights", base, "-o", street)),
        (3, "no such file", (street.with_name("none.mp4"), "--weights", base)),
        (7, "no such weights file", (street, "--weights", kept)),
        (2, "adapt.see=1", (street, "--weights", base, "adapt.see=1")),
    ):
        check_error(vidrain("adapt", "-o", kept, *arguments), code, text)
    assert list(out.parent.iterdir()) == []


def test_identity_sees_a_change_that_keeps_the_size(street: Path) -> None:
    before = identity_of(street)
    data = bytearray(street.read_bytes())
    data[-1] ^= 1
    street.write_bytes(data)
    assert identity_of(street).size == before.size
    assert identity_of(street).ends != before.ends
