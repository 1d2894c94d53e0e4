"""What becomes of an export that is broken off, or under which something changes: it goes on, or leaves nothing."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidrain as library
from tests import ffmpeg_says, own_libraries
from tests.checkpoints import weights_file
from tests.pipeline.conftest import Vidrain
from tests.pipeline.test_meanwhile import grow, remove, rewrite, touch
from vidrain import part
from vidrain.errors import InputError, OutputError
from vidrain.events import Event, ExportStart, Progress
from vidrain.export import plan
from vidrain.export.journal import Journal
from vidrain.export.names import FORMATS
from vidrain.export.plan import ExportOptions
from vidrain.export.run import export_clip
from vidrain.job import CleanOptions

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "_LONGEST_SHARD", 4)


@pytest.fixture
def odd(samples: Path, tmp_path: Path) -> Path:
    """Sixteen frames in a folder of their own."""
    (tmp_path / "in").mkdir()
    return ffmpeg_says.remux(samples / "odd.mp4", tmp_path / "in" / "odd.mp4", "-map", "0:v")


def interrupt() -> None:
    raise KeyboardInterrupt


def in_small_shards(
    folder: Path, source: Path, form: str, *, after: int | None = None, then: Callable[[], None] = interrupt
) -> list[Event]:
    """Export 14 frames; after, then: frames after which something happens, and what."""
    seen: list[Event] = []

    def listen(event: Event) -> None:
        seen.append(event)
        if isinstance(event, Progress) and event.frames == after:
            then()

    options = ExportOptions(format=form, space="yuv", clean=CleanOptions(end="14"))  # type: ignore[arg-type]
    export_clip(source, folder, options=options, on_event=listen)
    return seen


@pytest.mark.parametrize("form", FORMATS)
def test_interrupted_and_resumed_is_as_in_one_go(form: str, samples: Path, tmp_path: Path) -> None:
    whole, resumed = tmp_path / "whole", tmp_path / "resumed"
    source = samples / "odd.mp4"
    in_small_shards(whole, source, form)
    with pytest.raises(KeyboardInterrupt):
        in_small_shards(resumed, source, form, after=8)
    partial = tmp_path / ".resumed.partial"
    assert not resumed.exists()
    with (partial / ".journal.jsonl").open("ab") as journal:
        journal.write(b'[{"frame": 8, "pts"')  # as a kill would leave it
    start = in_small_shards(resumed, source, form)[0]
    assert (start.resumed, start.frames) == (8, 14)  # type: ignore[union-attr]
    files = {path.relative_to(whole) for path in whole.rglob("*") if path.is_file()}
    assert files == {path.relative_to(resumed) for path in resumed.rglob("*") if path.is_file()}
    for file in files - {Path("data.h5")}:
        assert (whole / file).read_bytes() == (resumed / file).read_bytes() or form == "hdf5", file
    for name, array in own_libraries.arrays_of(whole).items():
        assert np.array_equal(array, own_libraries.arrays_of(resumed)[name])
    assert not partial.exists()


@pytest.mark.parametrize("form", FORMATS)
def test_a_shard_that_a_kill_left_half_written_is_written_again(
    form: str, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last one, which is short: its files are there, cut to a half, and its line in the journal is not."""
    whole, killed, partial = tmp_path / "whole", tmp_path / "killed", tmp_path / ".killed.partial"
    in_small_shards(whole, samples / "odd.mp4", form)
    true, seen = Journal.note, list[set[Path]]()

    def note(journal: Journal, rows: list[dict[str, Any]]) -> None:
        seen.append({path for path in partial.rglob("*") if path.is_file()})
        if len(seen) == 4:
            for path in seen[3] - seen[2]:
                path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
                if form == "zarr":
                    path.with_name(f"{path.name}.0c1d2e3f.partial").write_bytes(b"as its library writes")
            raise KeyboardInterrupt
        true(journal, rows)

    monkeypatch.setattr(Journal, "note", note)
    with pytest.raises(KeyboardInterrupt):
        in_small_shards(killed, samples / "odd.mp4", form)
    monkeypatch.setattr(Journal, "note", true)
    start = in_small_shards(killed, samples / "odd.mp4", form)[0]
    assert start.resumed == 12  # type: ignore[union-attr]
    for name, array in own_libraries.arrays_of(whole).items():
        assert np.array_equal(array, own_libraries.arrays_of(killed)[name])
    assert not list(killed.rglob("*.partial"))


@pytest.mark.parametrize("left", [2, 0])
def test_a_video_that_is_joined_does_not_need_its_parts(
    left: int, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill while the four parts of the first layer are removed."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    in_small_shards(whole, samples / "odd.mp4", "ffv1")

    def rmtree(folder: Path) -> None:
        for piece in sorted(folder.iterdir())[left:]:
            piece.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as other, pytest.raises(KeyboardInterrupt):
        other.setattr(shutil, "rmtree", rmtree)
        in_small_shards(killed, samples / "odd.mp4", "ffv1")
    assert start_of(in_small_shards(killed, samples / "odd.mp4", "ffv1")).resumed == 14
    for file in ("observed.mp4", "background.mp4", "rain.mp4"):
        assert (whole / file).read_bytes() == (killed / file).read_bytes()
    assert not (killed / ".parts").exists()


@pytest.mark.proves("export --force")
def test_what_stands_there_is_kept(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, folder = samples / "odd.mp4", tmp_path / "out"
    arguments = ("export", source, "-o", folder, "--format", "npz")
    assert vidrain(*arguments, "--end", "2").code == 0
    ran = vidrain(*arguments, "--end", "3")
    assert (ran.code, "exists already; use --force" in ran.err) == (5, True)
    assert vidrain(*arguments, "--end", "3", "--force").code == 0
    assert own_libraries.manifest_of(folder)["frames"] == 3
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "letter.txt").write_text("dear")
    (mine / "manifest.json").write_text('{"name": "my app"}')
    ran = vidrain("export", source, "-o", mine, "--format", "npz", "--force")
    assert (ran.code, "choose another -o" in ran.err, (mine / "letter.txt").exists()) == (5, True, True)
    with pytest.raises(KeyboardInterrupt):
        in_small_shards(tmp_path / "begun", source, "npz", after=4)
    with pytest.raises(OutputError, match="another export was begun there"):
        export_clip(source, tmp_path / "begun", options=ExportOptions(format="npz"))
    assert vidrain("export", source, "-o", tmp_path / "begun", "--format", "npz", "--end", "2", "--force").code == 0


@pytest.mark.parametrize("form", ["zarr", "hdf5", "exr", "ffv1"])  # whose libraries write files by themselves
def test_a_full_disk_is_one_line(form: str, tmp_path: Path, vidrain: Vidrain) -> None:
    """No file may grow beyond a few kilobytes: every library meets an error of the system in the middle of a write."""
    program = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000));"
        "from vidrain.cli import main; main(sys.argv[1:])"
    )
    arguments = ("export", SAMPLES / "full_range.mp4", "-o", tmp_path / "out", "--format", form, "--end", "2")
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (5, 1), done.stderr
    assert "cannot be written" in done.stderr
    assert list(tmp_path.iterdir()) == []  # not one shard was done
    assert vidrain(*arguments).code == 0


def start_of(seen: list[Event]) -> ExportStart:
    (start,) = (event for event in seen if isinstance(event, ExportStart))
    return start


def test_nothing_is_left_to_do_behind_a_last_shard_that_is_short(samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        in_small_shards(folder, samples / "odd.mp4", "npz", after=14)
    seen = in_small_shards(folder, samples / "odd.mp4", "npz")
    assert (start_of(seen).resumed, start_of(seen).frames) == (14, 14)
    assert not any(isinstance(event, Progress) for event in seen)
    assert library.open_export(folder)["rain.y"].shape[0] == 14


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_appears_at_the_target_is_kept_and_so_is_the_work(kind: str, samples: Path, tmp_path: Path) -> None:
    folder, source = tmp_path / "out", samples / "odd.mp4"
    precious = folder / "thesis.txt" if kind == "folder" else folder

    def appear() -> None:
        precious.parent.mkdir(exist_ok=True)
        precious.write_text("precious")

    with pytest.raises(OutputError, match="exists already; choose another -o"):
        in_small_shards(folder, source, "npz", after=2, then=appear)
    assert precious.read_text() == "precious"
    precious.unlink()
    assert start_of(in_small_shards(folder, source, "npz")).resumed == 14
    assert {path.name for path in folder.iterdir()} == {"data", "manifest.json", "frames.csv", "frames.parquet"}


def test_a_finished_export_that_cannot_get_its_name_is_not_computed_again(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, true = tmp_path / "out", Path.rename

    def failing(path: Path, other: Path) -> Path:
        if other == folder:
            raise OSError(5, "Input/output error")
        return true(path, other)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OutputError, match="Input/output error"):
        in_small_shards(folder, samples / "odd.mp4", "npz")
    monkeypatch.undo()
    monkeypatch.setattr(plan, "_LONGEST_SHARD", 4)
    assert start_of(in_small_shards(folder, samples / "odd.mp4", "npz")).resumed == 14


@pytest.mark.parametrize("change", [grow, touch, rewrite, remove])
def test_source_that_changes_during_an_export(change: Callable[[Path], None], odd: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"while it was read.*start again with --force"):
        in_small_shards(tmp_path / "out", odd, "npz", after=2, then=lambda: change(odd))
    assert not (tmp_path / "out").exists()


def test_source_that_changes_while_it_is_hashed(odd: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = plan._hash

    def late(path: Path) -> str:
        found = digest(path)
        grow(path)
        return found

    monkeypatch.setattr(plan, "_hash", late)
    with pytest.raises(InputError, match="changed while it was read"):
        in_small_shards(tmp_path / "out", odd, "npz")
    assert not (tmp_path / "out").exists()


def test_what_failed_before_its_first_frame_blocks_nothing(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"no weights")
    arguments = ("export", samples / "odd.mp4", "-o", tmp_path / "out", "--format", "npz", "--end", "2")
    assert vidrain(*arguments, "--model", "gate-s", "--weights", other).code == 7
    assert list(tmp_path.iterdir()) == [other]
    with pytest.raises(KeyboardInterrupt):
        export_clip(samples / "odd.mp4", tmp_path / "out", on_event=lambda event: interrupt())
    assert list(tmp_path.iterdir()) == [other]
    (partial := tmp_path / ".out.partial").mkdir()  # as a kill leaves it
    (partial / ".lock").write_text("manifest.json")
    (partial / ".plan.json").write_text("{}")
    (partial / "data.zarr").mkdir()
    assert vidrain(*arguments).code == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        *("data", "manifest.json", "frames.csv", "frames.parquet")
    }


def test_an_export_does_not_go_on_on_another_device(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, source = tmp_path / "out", samples / "odd.mp4"
    with pytest.raises(KeyboardInterrupt):
        in_small_shards(folder, source, "npz", after=4)
    with monkeypatch.context() as other:
        other.setattr(part, "device_of", lambda wanted: "cuda")
        with pytest.raises(OutputError, match="another export was begun there"):
            in_small_shards(folder, source, "npz")
    in_small_shards(folder, source, "npz")
    assert own_libraries.manifest_of(folder)["device"] == "cpu"


def test_the_plan_is_on_the_disk_before_the_first_shard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole, too: after a power cut an empty one would say that another export was begun."""
    synced, true = set[int](), os.fsync

    def fsync(descriptor: int) -> None:
        synced.add(os.fstat(descriptor).st_ino)
        true(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    Journal(tmp_path, {"frames": 3}).begin()
    assert (tmp_path / ".plan.json").stat().st_ino in synced
    assert [item.name for item in tmp_path.iterdir()] == [".plan.json"]
    assert Journal(tmp_path, {"frames": 3}).matches
    assert not Journal(tmp_path, {"frames": 4}).matches


def test_an_analysis_does_not_take_over_what_an_export_began(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    folder, source = tmp_path / "out", samples / "odd.mp4"
    with pytest.raises(KeyboardInterrupt):
        in_small_shards(folder, source, "npz", after=4)
    ran = vidrain("analyze", "rain", source, "--end", "3", "-o", folder)
    assert (ran.code, "something else was begun there" in ran.err) == (5, True)
    assert start_of(in_small_shards(folder, source, "npz")).resumed == 4
    ran = vidrain("analyze", "rain", source, "--end", "3", "-o", folder, "--force")
    assert (ran.code, "exists already; choose another -o" in ran.err) == (5, True)


def test_what_a_model_remembers_of_a_shot_is_remembered_when_it_goes_on(
    samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen statistics are those of the first frames, which another run computed."""
    monkeypatch.setattr(plan, "_LONGEST_SHARD", 2)
    weights = weights_file(tmp_path / "nlcl.safetensors", rain=False)
    how = ExportOptions(format="npz", clean=CleanOptions(model="nlcl", weights=weights, end="4"))

    def listen(event: Event) -> None:
        if isinstance(event, Progress) and event.frames == 2:
            interrupt()

    export_clip(samples / "odd.mp4", tmp_path / "whole", options=how)
    with pytest.raises(KeyboardInterrupt):
        export_clip(samples / "odd.mp4", tmp_path / "halves", options=how, on_event=listen)
    assert export_clip(samples / "odd.mp4", tmp_path / "halves", options=how).resumed == 2
    whole, halves = (own_libraries.table_of(tmp_path / name) for name in ("whole", "halves"))
    assert whole == halves
    assert whole["sha256_background"] != whole["sha256_observed"]
