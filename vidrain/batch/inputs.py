"""What IN... of a batch means: files, folders, globs and manifests become sources, each with a place in OUT.

Decides nothing about work; reads no video.
"""

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from vidrain.errors import InputError, UsageError
from vidrain.stream import Pulse
from vidrain.tables import read_parquet
from vidrain.watchdog import STALL_S, Watchdog

# What cameras, phones and recorders write; a file that is named itself may be called anything.
SUFFIXES = frozenset(
    {
        *(".3gp", ".asf", ".avi", ".dav", ".divx", ".flv", ".h264", ".h265", ".m2ts", ".m2v", ".m4v", ".mkv", ".mov"),
        *(".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
    }
)
MANIFESTS = (".csv", ".jsonl", ".parquet")
_KEPT = (".mp4", ".mov", ".mkv")  # what is written; other sources get .mp4 behind their own name
_NOT_SETTINGS = {"input", "output", "code", "cause", "log", "state"}  # the table of failures is a manifest too
_WILD = "*?["
_ALL = "*"  # what a folder that cannot be read stands for


class Item(NamedTuple):
    """One source, where in OUT its clean video goes (relative, with /), and settings of its own as key=value.

    where: the row that these stand in, in words.
    """

    source: Path
    output: str
    pairs: tuple[str, ...] = ()
    where: str = ""


def items_in(texts: Sequence[str], out: Path, patience_s: float = STALL_S) -> list[Item]:
    """All that `texts` name, each source once, in their order, folders sorted.

    A folder that cannot be read is a source as well: its task says so, and the others go on. Raises UsageError for
    what names nothing, and where two sources would share an output or an output lies outside; StallError for what gives
    nothing for `patience_s`: to go on with a part of a folder would pass for all of it.
    """
    found = [item for text in texts for item in _in_time(text, out, patience_s)]
    if not found:
        raise UsageError(f"{', '.join(texts)}: no video is named; name files, folders, a glob or a manifest")
    seen: dict[str, Item] = {}
    for item in found:
        other = seen.setdefault(item.output, item)
        if other.source.absolute() != item.source.absolute() or other.pairs != item.pairs:
            raise UsageError(
                f"{item.source} and {other.source} would both become {item.output}; name the folder above both, or "
                "give outputs in a manifest"
            )
    return list(seen.values())


def _in_time(text: str, out: Path, patience_s: float) -> list[Item]:
    def listed(pulse: Pulse) -> list[Item]:
        found = []
        for item in _items(text, out, pulse.beat):
            pulse.beat()
            found.append(item)
        return found

    return Watchdog(Path(text), patience_s).opened(listed, "while it was listed")


def _items(text: str, out: Path, beat: Callable[[], None]) -> Iterator[Item]:
    """beat: called for every folder, for there may be many without a video."""
    path = Path(text)
    try:
        is_folder = path.is_dir()
    except OSError:  # it lies in a folder that may not be entered
        yield Item(path, place_of(Path(path.name)))
        return
    if is_folder:
        yield from _in_folder(path, out, beat)
    elif path.suffix.lower() in MANIFESTS and path.is_file():
        yield from _listed(path)
    elif path.exists():
        yield Item(path, place_of(Path(path.name)))
    elif any(sign in text for sign in _WILD):
        yield from _matches(text, out, beat)
    else:
        raise UsageError(
            f"{text}: is not there; allowed: files, folders, globs in quotes, manifests {' '.join(MANIFESTS)}"
        )


def place_of(path: Path) -> str:
    """Where in OUT a source goes that lies at this relative path: its own name, in a container that can be written."""
    parts = [part for part in path.parts if part not in ("..", path.anchor)]
    name = "/".join(parts)
    return name if path.suffix.lower() in _KEPT else f"{name}.mp4"


def _in_folder(folder: Path, out: Path, beat: Callable[[], None]) -> Iterator[Item]:
    """Videos below a folder, sorted; neither hidden ones nor those in OUT, which are ours. Then what cannot be read."""
    unread: list[Path] = []
    for file in _videos_in(folder, out, beat, lambda error: unread.append(Path(error.filename))):
        yield Item(file, place_of(file.relative_to(folder)))
    for each in unread:
        inside = each.relative_to(folder) if each != folder else Path(folder.absolute().name)
        yield Item(each, place_of(inside / _ALL))


def _videos_in(folder: Path, out: Path, beat: Callable[[], None], missed: Callable[[OSError], None]) -> Iterator[Path]:
    for place, folders, names in os.walk(folder, onerror=missed):
        beat()
        here = Path(place)
        inside = _beating((here / name for name in folders if not name.startswith(".")), beat)
        folders[:] = sorted(path.name for path in inside if not _same(path, out))
        if _same(here, out):
            raise UsageError(f"{folder}: is the folder of the outputs as well; choose another -o")
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield here / name


def _same(folder: Path, out: Path) -> bool:
    try:
        return out.exists() and folder.samefile(out)
    except OSError:  # it cannot be told, and so not be read
        return False


def _matches(pattern: str, out: Path, beat: Callable[[], None]) -> Iterator[Item]:
    """What a glob names; outputs keep their paths from the last folder on that is written without a wildcard."""
    parts = Path(pattern).parts
    fixed = next((number for number, part in enumerate(parts) if any(sign in part for sign in _WILD)), len(parts))
    root = Path(*parts[:fixed]) if fixed else Path()
    try:
        found = sorted(_beating(root.glob("/".join(parts[fixed:])), beat))
    except ValueError as error:
        raise UsageError(f"{pattern}: is no glob ({error}); * and ? stand for letters, ** for folders") from error
    there = (path for path in _beating(found, beat) if _may_be_file(path))
    files = [path for path in there if not _is_hidden(path.relative_to(root), path, out)]
    if not files:
        raise UsageError(f"{pattern}: matches no file; ** stands for folders at any depth")
    yield from (Item(path, place_of(path.relative_to(root))) for path in files)


def _may_be_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # its task says what is wrong with it
        return True


def _beating(paths: Iterable[Path], beat: Callable[[], None]) -> Iterator[Path]:
    for path in paths:
        beat()
        yield path


def _is_hidden(inside: Path, path: Path, out: Path) -> bool:
    return any(part.startswith(".") for part in inside.parts) or path.absolute().is_relative_to(out.absolute())


def _listed(manifest: Path) -> Iterator[Item]:
    """Rows of a manifest: `input`, relative to its folder, perhaps `output`; other columns are keys of clean.yaml."""
    for number, row in enumerate(_rows(manifest), 1):
        where = f"{manifest}: row {number}"
        if not row.get("input") or not isinstance(row["input"], str):
            raise UsageError(
                f"{where}: has no input that is a text; allowed: columns input[, output] and keys such as encode.crf"
            )
        named = Path(row["input"])
        output = place_of(Path(named.name) if named.is_absolute() else named)
        if row.get("output"):
            output = _inside(str(row["output"]), where)
        own = ((key, value) for key, value in row.items() if key not in _NOT_SETTINGS and value not in (None, ""))
        pairs = tuple(f"{key}={value}" for key, value in own)
        yield Item(manifest.parent / named, output, pairs, where if pairs else "")


def _inside(output: str, where: str) -> str:
    path = Path(output)
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise UsageError(f"{where}: output {output} does not lie in OUT; allowed: paths relative to it, without ..")
    return path.as_posix()


def _rows(manifest: Path) -> list[dict[str, Any]]:
    try:
        if manifest.suffix.lower() == ".parquet":
            return read_parquet(manifest)
        with manifest.open(newline="", encoding="utf-8-sig", errors="surrogateescape") as file:
            if manifest.suffix.lower() == ".csv":
                return list(csv.DictReader(file, restkey="more"))
            rows = [json.loads(line) for line in file if line.strip()]
    except OSError as error:
        raise InputError(f"{manifest}: cannot be read ({error.strerror}); check its permissions") from error
    except (ValueError, csv.Error) as error:
        raise UsageError(f"{manifest}: is no table ({error}); one row, or one JSON object, a line") from error
    if not all(isinstance(row, dict) for row in rows):
        raise UsageError(f"{manifest}: every line has to be a JSON object with input and perhaps output")
    return rows
