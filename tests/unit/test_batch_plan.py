"""What is done already, and what a change touches: keys of files, and settings on their way to another process."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from vidrain.batch.foresight import crowded, plan_batch
from vidrain.batch.inputs import Item
from vidrain.batch.journal import Journal
from vidrain.batch.listing import status_facts
from vidrain.batch.options import BatchOptions, at_a_time
from vidrain.batch.plan import File, Look, files_of, from_json, key_of, mark_of, to_json, together
from vidrain.batch.states import states_of
from vidrain.config import clean_from, load_clean, plain
from vidrain.errors import ModelError, UsageError
from vidrain.job import CleanOptions
from vidrain.weights import PRESETS

IDENTITY = (1, 2, "ends")
# Another value for every option, and whether it can change the result of the model that is chosen by default.
OTHERS: dict[str, tuple[Any, bool]] = {
    "preset": ("fast", True),
    "model": ("nlcl", True),
    "weights": ("w.safetensors", True),
    "device": ("cpu", False),
    "rain": ("r.mp4", False),  # these four are no settings of a batch
    "rain_preview": ("p.mp4", False),
    "compare": ("c.mp4", False),
    "keep_adapted": ("k.safetensors", False),
    "archive": (True, True),
    "pad": (True, True),
    "start": ("3", True),
    "end": ("9", True),
    "keep_pts": (True, True),
    "cfr": ("25", True),
    "video": ("1", True),
    "force": (True, False),
    "fresh": (True, False),
    "on_bad_frame": ("drop", True),
    "stall_s": (5.0, False),
    "encode.crf": (30, True),
    "baseline.radius": (4, False),  # of models that are not used
    "nlcl.statistics": ("live", False),
    "gate.precision": ("float32", True),
    "align.scale": (0.25, True),
    "shots.repeat_mean": (0.9, True),
    "meter.dry": (0.01, True),
    "marks.moved": (99.0, True),
    "adapt.seed": (3, False),  # nothing is adapted
    "adapt.steps": (3, True),
}


def key(options: CleanOptions, **file: Any) -> str:
    return key_of(File(Path("a.mp4"), "a.mp4", plain(options), **file), IDENTITY)


def test_every_option_is_looked_at() -> None:
    assert {name.partition(".")[0] for name in OTHERS} == {field.name for field in fields(CleanOptions)}


@pytest.mark.parametrize("name", OTHERS)
def test_what_can_change_the_result_and_nothing_else_changes_the_key(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("w.safetensors").write_bytes(b"weights")
    value, counts = OTHERS[name]
    assert (key(load_clean(None, [], {name: value})) != key(CleanOptions())) == counts


@pytest.mark.parametrize(("model", "name"), [("baseline", "baseline.radius"), ("nlcl", "nlcl.statistics")])
def test_settings_of_the_model_that_is_used_count(model: str, name: str, tmp_path: Path) -> None:
    (weights := tmp_path / "w.safetensors").write_bytes(b"weights")
    chosen = {"model": model, "weights": weights if model == "nlcl" else None}
    assert key(load_clean(None, [], {name: OTHERS[name][0], **chosen})) != key(load_clean(None, [], chosen))


def test_settings_of_gates_do_not_count_for_others() -> None:
    chosen = {"model": "baseline"}
    assert key(load_clean(None, ["gate.precision=float32"], chosen)) == key(load_clean(None, [], chosen))


def test_what_is_left_does_not_ask_sources_that_cannot_be_asked(tmp_path: Path) -> None:
    """A share that is gone, a folder that may not be entered: `batch status` still answers."""
    files = [File(Path(name), name, plain(CleanOptions())) for name in ("done.mp4", "waits.mp4", 300 * "x")]
    (tmp_path / "waits.mp4").write_bytes(b"1234")
    files[1] = replace(files[1], source=tmp_path / "waits.mp4")
    journal = Journal(tmp_path)
    done = {"state": "done", "code": 0, "key": "k", "files": {}, "log": None, "source_bytes": 2, "seconds": 3.0}
    with journal.alone():
        journal.note({"output": "done.mp4", "source": "done.mp4", "mark": mark_of(files[0]), **done})
    assert status_facts(files, journal, tmp_path, workers=2)["seconds_left"] == 3.0
    assert status_facts(files, journal, tmp_path, workers=None)["seconds_left"] is None


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"engine": "inline"}, 7200.0),
        ({"workers": 2}, 3600.0),
        ({"engine": "ray", "workers": 8}, 900.0),
        ({"engine": "ray"}, None),
    ],
)
def test_time_is_shared_by_as_many_files_as_run(
    options: dict[str, Any], due: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by the cores of this machine: who does one at a time takes longer, and of a cluster they say nothing."""
    monkeypatch.setattr("vidrain.batch.options.cores", lambda: 64)
    for name in ("done.mp4", "waits.mp4"):
        (tmp_path / name).write_bytes(b"1234")
    files = [File(tmp_path / name, name, plain(CleanOptions())) for name in ("done.mp4", "waits.mp4")]
    (out := tmp_path / "out").mkdir()
    journal, made = Journal(out), {"source_bytes": 4, "seconds": 7200.0, "log": None}
    with journal.alone():
        journal.note({"state": "done", "output": "done.mp4", "code": 0, "mark": mark_of(files[0]), **made, "files": {}})
    plan = plan_batch(files[1:], out, asked := BatchOptions(**options), journal, again=False)
    assert (plan.event.seconds, plan.event.workers) == (due, at_a_time(asked))
    explained = "2 h if one at a time: how many files a cluster does at a time is not known without --workers"
    assert plan.event.basis.endswith(explained) == (due is None)


def test_weights_that_are_gone_do_not_silence_the_status(tmp_path: Path) -> None:
    (weights := tmp_path / "w.safetensors").write_bytes(b"weights")
    file = File(Path("a.mp4"), "a.mp4", plain(CleanOptions(weights=weights)))
    journal = Journal(tmp_path)
    with journal.alone():
        journal.note({"state": "done", "output": "a.mp4", "key": "k", "mark": mark_of(file), "files": {}})
    assert states_of([file], journal) == {"done": 1}
    other = replace(file, settings=plain(CleanOptions(weights=weights, pad=True)))
    assert states_of([other], journal) == {"waiting": 1}, "done by other settings"
    weights.unlink()
    assert states_of([file], journal) == {"done": 1}


def test_the_same_model_under_another_name_is_the_same() -> None:
    for preset, model in PRESETS.items():
        assert key(CleanOptions(preset=preset)) == key(CleanOptions(preset="balanced", model=model))  # type: ignore[arg-type]


def test_the_source_and_what_else_is_written_count(tmp_path: Path) -> None:
    file = File(Path("a.mp4"), "a.mp4", plain(CleanOptions()))
    assert key_of(file, (1, 3, "ends")) != key_of(file, IDENTITY)
    assert key(CleanOptions(), also=("rain",)) != key(CleanOptions())
    assert key(CleanOptions(), also=("rain", "compare")) == key(CleanOptions(), also=("compare", "rain"))


def test_weights_count_by_their_content(tmp_path: Path) -> None:
    first, copy = tmp_path / "1.safetensors", tmp_path / "2.safetensors"
    first.write_bytes(b"one")
    copy.write_bytes(b"one")
    before = key(CleanOptions(weights=first))
    assert key(CleanOptions(weights=copy)) == before
    first.write_bytes(b"two!")
    assert key(CleanOptions(weights=first)) != before, "the same name in the same process"
    with pytest.raises(ModelError):
        key(CleanOptions(weights=tmp_path / "none.safetensors"))


def test_options_come_through_another_process_unchanged(tmp_path: Path) -> None:
    given = {name: value for name, (value, _) in OTHERS.items() if name not in ("adapt.seed",)}
    options = load_clean(None, ["encode.options.preset=slow", "encode.options.tune=film"], given)
    paths = ("weights", "rain", "rain_preview", "compare", "keep_adapted")
    absolute = replace(options, **{name: getattr(options, name).absolute() for name in paths})
    assert clean_from(json.loads(json.dumps(plain(options)))) == absolute
    assert clean_from(plain(CleanOptions())) == CleanOptions()
    with pytest.raises(UsageError, match="no such key"):
        clean_from({"unknown": 1})


def test_a_plan_comes_back_from_its_file(tmp_path: Path) -> None:
    items = [Item(tmp_path / "a.mp4", "a.mp4"), Item(tmp_path / "b.mp4", "x/b.mp4", ("encode.crf=30",))]
    files = files_of(items, lambda pairs: load_clean(None, pairs, {}), ("rain",))
    assert from_json(json.loads(json.dumps(to_json(files, {})))) == files
    assert files[1].targets == {"clean": "x/b.mp4", "rain": "x/b.rain.mp4"}
    again = [replace(file, settings=json.loads(json.dumps(file.settings))) for file in files]
    assert len(to_json([*files, *again], {})["settings"]) == 2, "each once, whichever run it came with"


def test_files_of_a_run_take_the_places_of_those_before(tmp_path: Path) -> None:
    def file(output: str, source: str = "", crf: int = 18, **more: Any) -> File:
        return File(tmp_path / (source or output), output, {"crf": crf}, **more)

    before = [file("a.mp4"), file("b.mp4"), file("sub/*.mp4", "sub"), file("c.mp4", also=("rain",))]
    assert together(before, [file("b.mp4", crf=30)]) == [before[0], file("b.mp4", crf=30), *before[2:]]
    found = [file("sub/d.mp4"), file("c.rain.mp4")]
    assert together(before, found) == [*before[:2], *found], "a folder that can be read now; what would write the same"
    assert together([], found) == found


def test_room_is_counted_as_the_run_takes_it() -> None:
    """The largest first, each with its segments beside it; a smaller one may fit where that did not."""
    file = File(Path("a.mp4"), "a.mp4", plain(CleanOptions()))
    looks = [
        Look(replace(file, output=output), "to do", "k", size) for output, size in (("s", 10), ("l", 90), ("m", 80))
    ]
    space = {"s": 10e6, "l": 90e6, "m": 80e6}

    def found(free_mb: int, stands_mb: int = 0) -> list[str]:
        stands = dict.fromkeys(space, stands_mb * 1_000_000)
        return [look.state for look in crowded(looks, space, stands, free_mb * 1_000_000, 100e6)]

    assert found(1000) == ["to do", "to do", "to do"]
    assert found(280) == ["to do", "to do", "no room"]
    assert found(280, 90) == ["to do", "to do", "to do"], "what is replaced makes room"
    assert found(279) == ["to do", "no room", "to do"]
    assert found(119) == ["no room", "no room", "no room"]


def test_two_files_never_write_the_same(tmp_path: Path) -> None:
    items = [Item(Path("a.mp4"), "a.mp4"), Item(Path("a.rain.mp4"), "a.rain.mp4")]
    assert len(files_of(items, lambda pairs: CleanOptions(), ())) == 2
    with pytest.raises(UsageError, match=r"a.rain.mp4 and a.mp4 would both write a.rain.mp4"):
        files_of(items, lambda pairs: CleanOptions(), ("rain",))
