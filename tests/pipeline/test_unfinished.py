"""What lies beside an unfinished output: never discarded unasked, never believed unseen, left to whose it is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vidrain as package
from tests.pipeline.conftest import Vidrain
from tests.stopped import outputs, resumed, stopped_at
from vidrain.config import plain
from vidrain.errors import BusyError, OutputError
from vidrain.events import Event, Notice, Plan, Progress, Resumed
from vidrain.job import CleanOptions
from vidrain.segments.alone import make_segment, plan_segments
from vidrain.segments.folder import folder_of

pytestmark = pytest.mark.usefixtures("short_segments")


@pytest.mark.proves("clean --fresh")
def test_nothing_is_discarded_unasked(clip: Path, out: Path, vidrain: Vidrain) -> None:
    assert vidrain("clean", clip, "-o", out).code == 0
    due = out.read_bytes()
    out.unlink()
    stopped_at(14, clip, out, CleanOptions())
    left = outputs(folder_of(out))
    for options in (("--crf", "30"), ("--rain", out.with_name("rain.mkv")), ("--force", "baseline.radius=3")):
        ran = vidrain("clean", clip, "-o", out, *options)
        assert ran.code == 5
        assert "holds 12 of 28 frames of another job (other " in ran.err
        assert "drop it with --fresh" in ran.err
        assert outputs(folder_of(out)) == left
    ran = vidrain("clean", clip, "-o", out, "--crf", "30", "--fresh", "--json")
    said = [event["message"] for event in ran.events if event["event"] == "warning" and event["code"] == "fresh"]
    assert said == [f"--fresh: 12 of 28 finished frames in {folder_of(out)} are discarded"]
    assert (ran.code, resumed(ran), list(out.parent.iterdir())) == (0, [], [out])
    assert out.read_bytes() != due
    stopped_at(14, clip, out, CleanOptions(force=True))
    ran = vidrain("clean", clip, "-o", out, "--force", "--fresh", "--json")
    assert (ran.code, resumed(ran), out.read_bytes() == due) == (0, [], True)


def test_another_source_is_another_job(clip: Path, source: Path, out: Path, vidrain: Vidrain) -> None:
    stopped_at(7, source, out, CleanOptions())
    ran = vidrain("clean", clip, "-o", out, "--preset", "balanced")
    assert ran.code == 5
    assert "holds 6 of 10 frames of another job (other source, other frames)" in ran.err
    with source.open("ab") as file:
        file.write(b"\0" * 8)
    assert vidrain("clean", source, "-o", out).code == 5


@pytest.mark.parametrize(("name", "text"), [("mine.txt", "precious"), ("plan.json", "[1]"), ("plan.json", "{")])
def test_what_is_no_work_of_ours_stays(name: str, text: str, clip: Path, out: Path, vidrain: Vidrain) -> None:
    folder_of(out).mkdir()
    (folder_of(out) / name).write_text(text)
    ran = vidrain("clean", clip, "-o", out, "--fresh", "--force")
    assert (ran.code, "is no work of vidrain; move it away" in ran.err) == (5, True)
    assert outputs(folder_of(out)) == {name: text.encode()}


@pytest.mark.fault(25)
@pytest.mark.parametrize(
    "name", ["", "0-00000.clean", "1-00003.rain_preview", ".0-00000.json.new", ".plan.json.new", "adapted.safetensors"]
)
def test_what_a_kill_left_of_a_folder_that_was_being_removed_is_ours(name: str, clip: Path, out: Path) -> None:
    """A worker is told to stop, its first segment just open: one thread clears the folder, the other still writes."""
    folder_of(out).mkdir()
    if name:
        (folder_of(out) / name).write_bytes(b"half")
    package.clean(clip, out)
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.fault(25)
@pytest.mark.parametrize("name", ["", "0-00000.clean", ".nfs0123", "mine.txt"])
def test_rests_beside_a_finished_output_go(name: str, source: Path, out: Path, vidrain: Vidrain) -> None:
    """Its folder was being removed when the power went, and nothing says any more that it was ours: it is kept."""
    out.write_bytes(b"finished")
    folder_of(out).mkdir()
    if name:
        (folder_of(out) / name).write_bytes(b"half")
    ran = vidrain("clean", source, "-o", out)
    assert (ran.code, "exists already" in ran.err, out.read_bytes()) == (5, True, b"finished")
    assert folder_of(out).exists() == (name == "mine.txt")


def killed_at_the_end(source: Path, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is ended when its outputs have their names, and their folder is about to go."""

    def end(path: Path, **_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(shutil, "rmtree", end)
        package.clean(source, out)
    assert folder_of(out).exists()


@pytest.mark.fault(25)
@pytest.mark.proves("exit 5")
def test_what_took_the_place_of_a_finished_output_stays(
    source: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at_the_end(source, out, monkeypatch)
    due = out.read_bytes()
    out.unlink()
    out.write_bytes(due)
    same = ("clean", source, "-o", out, "--preset", "balanced")
    ran = vidrain(*same)
    assert (ran.code, "exists already" in ran.err, out.read_bytes() == due) == (5, True, True)
    out.unlink()
    assert vidrain(*same).code == 0
    assert outputs(out.parent) == {out.name: due}


@pytest.mark.fault(25)
def test_other_settings_do_not_pass_for_those_that_were_finished(
    source: Path, out: Path, vidrain: Vidrain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is an output that was not asked for then taken for made; what is ours gives way to it."""
    killed_at_the_end(source, out, monkeypatch)
    due = out.read_bytes()
    same = ("clean", source, "-o", out, "--preset", "balanced")
    ran = vidrain(*same, "--crf", "30")
    assert (ran.code, "exists already" in ran.err, out.read_bytes() == due) == (5, True, True)
    ran = vidrain(*same, "--compare", out.with_name("compare.mp4"), "--json")
    assert (ran.code, resumed(ran), "progress" in ran.out) == (0, [10], False)
    assert sorted(outputs(out.parent)) == ["compare.mp4", out.name]
    assert out.read_bytes() == due


@pytest.mark.fault(25)
@pytest.mark.proves("clean")
@pytest.mark.parametrize("spoilt", ["flip", "gone", "record", "list"])
def test_a_segment_that_is_not_what_was_written_is_made_again(spoilt: str, clip: Path, out: Path) -> None:
    """The disk, or who looked after it, changed what lay there."""
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    stopped_at(20, clip, out, CleanOptions())
    part = folder_of(out) / "0-00001.clean"
    data = part.read_bytes()
    match spoilt:
        case "flip":
            part.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
        case "gone":
            part.unlink()
        case "record":
            part.with_suffix(".json").write_bytes(b"{")
        case "list":
            part.with_suffix(".json").write_bytes(b'{"parts": []}')
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert [event for event in told if isinstance(event, Resumed)] == [Resumed(frames=12, total=28)]
    said = [event.message for event in told if isinstance(event, Notice) and event.code == "segments"]
    assert said == [f"1 segment in {folder_of(out)} could not be read, and will be made again"]
    assert out.read_bytes() == due
    assert list(out.parent.iterdir()) == [out]


@pytest.mark.proves("clean --fresh")
@pytest.mark.parametrize("record", ["{", "[]", '{"parts": {}, "untouched": [], "seen": null, "rain": []}'])
def test_segments_that_cannot_be_read_are_not_discarded_unasked(
    record: str, clip: Path, out: Path, vidrain: Vidrain
) -> None:
    """Such as those of another version of vidrain, which writes its records otherwise."""
    stopped_at(14, clip, out, CleanOptions())
    for path in folder_of(out).glob("0-*.json"):
        path.write_text(record)
    left = outputs(folder_of(out))
    ran = vidrain("clean", clip, "-o", out, "--crf", "30")
    assert (ran.code, "holds 2 segments of another job (other " in ran.err) == (5, True)
    assert outputs(folder_of(out)) == left
    ran = vidrain("clean", clip, "-o", out, "--crf", "30", "--fresh", "--json")
    said = [event["message"] for event in ran.events if event["event"] == "warning" and event["code"] == "fresh"]
    assert (ran.code, said) == (0, [f"--fresh: 2 segments in {folder_of(out)} are discarded"])


@pytest.mark.fault(27)
@pytest.mark.proves("exit 5")
def test_no_room_for_a_record(clip: Path, out: Path, vidrain: Vidrain) -> None:
    """A folder in the place of a file is to whoever writes it what a full disk is."""
    package.clean(clip, out)
    due = out.read_bytes()
    out.unlink()
    blocked = folder_of(out) / ".0-00002.json.new"

    def block(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 13:
            blocked.mkdir()

    with pytest.raises(OutputError, match=r"out\.mp4.*cannot be written"):
        package.clean(clip, out, on_event=block)
    assert list(out.parent.iterdir()) == [folder_of(out)]
    blocked.rmdir()
    told: list[Event] = []
    package.clean(clip, out, on_event=told.append)
    assert [event for event in told if isinstance(event, Resumed)] == [Resumed(frames=12, total=28)]
    assert outputs(out.parent) == {out.name: due}


def of_elsewhere(out: Path) -> dict[str, bytes]:
    """A run of another host takes over what lies beside `out`; what is there then."""
    folder_of(out).mkdir(exist_ok=True)
    (folder_of(out) / "lease").write_text('{"host": "elsewhere", "pid": 7}')
    (folder_of(out) / ".0-00004.clean.other").write_bytes(b"its own")
    return outputs(folder_of(out))


@pytest.mark.fault(31)
@pytest.mark.proves("exit 6")
@pytest.mark.parametrize("planned", [False, True])
def test_what_a_run_on_another_host_writes_is_not_touched(
    planned: bool, clip: Path, out: Path, vidrain: Vidrain
) -> None:
    """Whose lock does not reach here: its partial file is as good as unlocked."""
    partial = out.with_name(".out.mp4.partial.mp4")
    partial.write_bytes(b"half of it")
    before = partial.stat()
    left = of_elsewhere(out)
    ran = vidrain("clean", clip, "-o", out, *(["--slurm", out.parent.with_name("job.sh")] if planned else []))
    assert (ran.code, "a run on elsewhere (process 7) was alive" in ran.err) == (6, True)
    assert (partial.stat().st_ino, partial.read_bytes()) == (before.st_ino, b"half of it")
    assert outputs(folder_of(out)) == left


@pytest.mark.fault(31)
@pytest.mark.proves("exit 6")
@pytest.mark.parametrize("frames", [14, 0], ids=["segment", "publish"])
def test_a_run_that_was_taken_over_puts_nothing_down(frames: int, clip: Path, out: Path) -> None:
    """It was suspended for longer than a lease lasts: in the middle, or when all segments were there before."""
    options, left = CleanOptions(), dict[str, bytes]()
    if not frames:
        asked = {"source": str(clip), "settings": plain(options)}
        for number in range(plan_segments(clip, out, options=options, asked=asked).segments):
            make_segment(clip, out, number, options=options)

    def lose(event: Event) -> None:
        if isinstance(event, Plan if not frames else Progress) and getattr(event, "frames", 0) >= frames and not left:
            left.update(of_elsewhere(out))

    with pytest.raises(BusyError, match="process 7 on elsewhere has taken it over"):
        package.clean(clip, out, options=options, on_event=lose)
    half = [name for name in left if name.startswith(".0-00002.clean.")]
    assert outputs(folder_of(out)) == {name: data for name, data in left.items() if name not in half}
    assert (len(half), out.exists()) == (bool(frames), False)
