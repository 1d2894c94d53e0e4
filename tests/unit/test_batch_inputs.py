"""What IN... of a batch means: every way to name videos, and where their outputs go."""

from __future__ import annotations

import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vidrain.batch import inputs
from vidrain.batch.inputs import Item, items_in
from vidrain.batch.plan import files_of
from vidrain.config import load_clean
from vidrain.errors import InputError, UsageError
from vidrain.tables import write_parquet
from vidrain.video.decode import open_video


def tree(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def places(items: list[Item]) -> dict[str, str]:
    return {item.output: str(item.source) for item in items}


def test_a_folder_is_searched_to_the_bottom_in_order(tmp_path: Path) -> None:
    tree(tmp_path / "in", "b.MP4", "a/2.mkv", "a/1.avi", "a/deep/er/x.mov", "notes.txt", ".hidden/y.mp4", ".a.mp4")
    found = items_in([str(tmp_path / "in")], tmp_path / "out")
    assert [item.output for item in found] == ["b.MP4", "a/1.avi.mp4", "a/2.mkv", "a/deep/er/x.mov"]
    assert all(item.source.is_file() for item in found)


def test_outputs_below_the_folder_are_no_inputs(tmp_path: Path) -> None:
    tree(tmp_path, "a.mp4", "clean/a.mp4", "clean/.vidrain/x.mp4")
    assert places(items_in([str(tmp_path)], tmp_path / "clean")) == {"a.mp4": str(tmp_path / "a.mp4")}
    with pytest.raises(UsageError, match=r"is the folder of the outputs as well; choose another -o"):
        items_in([str(tmp_path)], tmp_path)


def test_a_file_that_is_named_may_be_called_anything(tmp_path: Path) -> None:
    tree(tmp_path, "film", "a=b.mp4", "[x].mp4", "new\nline.mp4")
    named = [str(tmp_path / name) for name in ("film", "a=b.mp4", "[x].mp4", "new\nline.mp4")]
    found = items_in(named, tmp_path / "out")
    assert [item.output for item in found] == ["film.mp4", "a=b.mp4", "[x].mp4", "new\nline.mp4"]


@pytest.mark.parametrize(
    ("pattern", "due"),
    [
        ("in/*.mp4", ["1.mp4", "2.mp4"]),
        ("in/**/*.mp4", ["1.mp4", "2.mp4", "a/3.mp4"]),
        ("in/?.mp4", ["1.mp4", "2.mp4"]),
        ("i*/a/*.mp4", ["in/a/3.mp4"]),
        ("in/[13].mp4", ["1.mp4"]),
    ],
)
def test_a_glob_keeps_paths_from_its_first_wildcard_on(pattern: str, due: list[str], tmp_path: Path) -> None:
    tree(tmp_path / "in", "1.mp4", "2.mp4", "a/3.mp4", "a/x.txt", ".h/4.mp4")
    assert [item.output for item in items_in([str(tmp_path / pattern)], tmp_path / "out")] == due


def test_what_a_glob_finds_and_cannot_look_at_is_told_by_its_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that may be listed, but not entered, or a disk that fails."""
    tree(tmp_path / "in", "1.mp4", "2.mp4")
    is_file = Path.is_file

    def denied(path: Path) -> bool:
        if path.name == "2.mp4":
            raise PermissionError(13, "Permission denied")
        return is_file(path)

    monkeypatch.setattr(Path, "is_file", denied)
    assert [item.output for item in items_in([str(tmp_path / "in/*.mp4")], tmp_path / "out")] == ["1.mp4", "2.mp4"]


ROWS = [
    {"input": "card/1.mp4"},
    {"input": "card/2.mp4", "output": "two/other.mkv", "encode.crf": "30"},
    {"input": "../3.avi"},
]
DUE = [
    ("card/1.mp4", "card/1.mp4", ()),
    ("card/2.mp4", "two/other.mkv", ("encode.crf=30",)),
    ("../3.avi", "3.avi.mp4", ()),
]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_manifest_names_inputs_outputs_and_settings(kind: str, tmp_path: Path) -> None:
    manifest = tmp_path / f"jobs.{kind}"
    if kind == "csv":
        rows = [f"{row['input']},{row.get('output', '')},{row.get('encode.crf', '')}" for row in ROWS]
        manifest.write_text("\ufeffinput,output,encode.crf\n" + "\n".join(rows) + "\n", encoding="utf-8")
    elif kind == "jsonl":
        manifest.write_text("\n".join(json.dumps(row) for row in ROWS) + "\n\n")
    else:
        columns = {"input": "text", "output": "text", "encode.crf": "text"}
        write_parquet([dict.fromkeys(columns, "") | row for row in ROWS], columns, manifest)  # type: ignore[arg-type]
    found = items_in([str(manifest)], tmp_path / "out")
    assert [(str(item.source.relative_to(tmp_path)), item.output, item.pairs) for item in found] == DUE


def test_the_table_of_failures_is_a_manifest(tmp_path: Path) -> None:
    tree(tmp_path, "1.mp4")
    (tmp_path / "failed.csv").write_text(f"input,output,code,cause,log\n{tmp_path}/1.mp4,a/1.mp4,3,why,x.log\n")
    (item,) = items_in([str(tmp_path / "failed.csv")], tmp_path / "out")
    assert item == Item(tmp_path / "1.mp4", "a/1.mp4", ())


def test_a_source_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    tree(tmp_path, "in/1.mp4")
    found = items_in([str(tmp_path / "in"), str(tmp_path / "in/1.mp4"), str(tmp_path / "in/*.mp4")], tmp_path / "out")
    assert len(found) == 1


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["in/gone.mp4"], "gone.mp4: is not there; allowed: files, folders, globs"),
        (["in/*.mkv"], "matches no file"),
        (["empty"], "no video is named"),
        (["in/1.mp4", "other/1.mp4"], "would both become 1.mp4; name the folder above both"),
        (["no_input.csv"], r"row 1: has no input that is a text; allowed: columns input\[, output\]"),
        (["several.jsonl"], "row 1: has no input that is a text"),
        (["outside.csv"], r"output \.\./x.mp4 does not lie in OUT"),
        (["absolute.csv"], "output /x.mp4 does not lie in OUT"),
        (["broken.jsonl"], "is no table"),
        (["list.jsonl"], "every line has to be a JSON object"),
        (["broken.parquet"], "is no Parquet table"),
    ],
)
def test_what_names_nothing_is_refused_in_one_line(
    texts: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    tree(tmp_path, "in/1.mp4", "other/1.mp4", "empty/x.txt", "broken.parquet")
    for name, text in {
        "no_input.csv": "file\n1.mp4\n",
        "outside.csv": "input,output\n1.mp4,../x.mp4\n",
        "absolute.csv": "input,output\n1.mp4,/x.mp4\n",
        "broken.jsonl": '{"input": "1.mp4"\n',
        "several.jsonl": '{"input": ["a.mp4", "b.mp4"]}',
        "list.jsonl": '["1.mp4"]\n',
    }.items():
        (tmp_path / name).write_text(text)
    with pytest.raises((UsageError, InputError), match=said) as caught:
        items_in(texts, tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_read_is_a_source_of_its_own_and_stops_no_other() -> None:
    """Of those named themselves and of those below; root may read every folder, so another user looks."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        tree(root, "in/a.mp4", "in/b/x.mp4", "in/b.mp4", "locked/x.mp4", "in/c/sub/x.mp4")
        root.chmod(0o755)
        closed = (root / "in" / "b", root / "locked", root / "in" / "c")
        for folder, mode in zip(closed, (0, 0, 0o444), strict=True):  # the last one tells its names, but no more
            folder.chmod(mode)
        if user == 0:
            os.seteuid(65534)
        try:
            found = places(items_in([str(root / "in"), str(root / "locked"), str(root / "locked/x.mp4")], root / "out"))
            with pytest.raises(InputError, match=r"/b: may not be read \(Permission denied\); check its permissions"):
                open_video(Path(found["b/*.mp4"]))
        finally:
            os.seteuid(user)
            for folder in closed:
                folder.chmod(0o755)
    assert {output: source.removeprefix(f"{root}/") for output, source in found.items()} == {
        "a.mp4": "in/a.mp4",
        "b.mp4": "in/b.mp4",
        "b/*.mp4": "in/b",
        "c/sub/*.mp4": "in/c/sub",
        "locked/*.mp4": "locked",
        "x.mp4": "locked/x.mp4",
    }


@pytest.mark.parametrize("named", ["in", "in/**/*.mp4"])
def test_a_long_list_is_no_stall(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of folders, of which most hold no video, and of files; every one takes its time."""
    tree(tmp_path, *(f"in/{number}/x.txt" for number in range(12)), *(f"in/last/{number}.mp4" for number in range(12)))

    def slowly(at_once: Callable[..., bool]) -> Callable[..., bool]:
        def call(*arguments: Path) -> bool:
            time.sleep(0.05)
            return at_once(*arguments)

        return call

    for name in ("_same", "_is_hidden"):
        monkeypatch.setattr(inputs, name, slowly(getattr(inputs, name)))
    assert len(items_in([str(tmp_path / named)], tmp_path / "out", patience_s=0.4)) == 12


@pytest.mark.parametrize("pair", [("encode.crff", "3"), ("encode.crf", "much"), ("rain", "r.mp4")])
def test_a_setting_that_a_row_gets_wrong_names_the_manifest_and_the_row(pair: tuple[str, str], tmp_path: Path) -> None:
    (manifest := tmp_path / "jobs.csv").write_text(f"input,{pair[0]}\na.mp4,\nb.mp4,{pair[1]}\n")
    items = items_in([str(manifest)], tmp_path / "out")
    with pytest.raises(UsageError, match=rf"^{manifest}: row 2: {pair[0]}.*: ") as caught:
        files_of(items, lambda own: load_clean(None, own, {}), ())
    assert "\n" not in str(caught.value)
