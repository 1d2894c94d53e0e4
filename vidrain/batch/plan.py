"""What of a batch is to be done: its files, what each was asked to become, and what the journal knows of it already."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

from vidrain import __version__
from vidrain.batch.inputs import Item
from vidrain.batch.journal import Journal, id_of, receipt_of
from vidrain.batch.task import clean_task
from vidrain.batch.wire import Task
from vidrain.config import plain
from vidrain.errors import InputError, StallError, UsageError, VidrainError
from vidrain.fingerprint import fingerprint
from vidrain.identity import Identity, identity_of
from vidrain.job import CleanOptions
from vidrain.model.gate import CONFIGS
from vidrain.provenance import hash_of_file
from vidrain.watchdog import Watchdog
from vidrain.weights import PRESETS, weights_of

Settings = dict[str, Any]  # of `CleanOptions`, nested, paths as texts
Seen = tuple[int, tuple[object, ...]]  # bytes of a source, 0 for one that cannot be read, and what it is
Also = Literal["rain", "rain_preview", "compare"]
ALSO: tuple[Also, ...] = ("rain", "rain_preview", "compare")
# Those behind the first three are told by a dry run alone: such a file is not to do, for the run would refuse it.
State = Literal["done", "failed", "to do", "in the way", "unreadable", "no room"]
EXISTS = "exists already and is none of this batch, or was changed since; use --force to replace it, or another -o"

OF_ONE_FILE = (*ALSO, "keep_adapted")  # paths
_NOT_IN_RESULT = {"preset", "device", "force", "fresh", "stall_s", "weights", "model", *OF_ONE_FILE}
_HARDLY_S = 1.0
_MOST_STALLED = 3  # in a row
_UNSEEN: Seen = (0, ("gave nothing",))
_DIGITS = 16  # of SHA-256, in hexadecimal


@dataclass(frozen=True)
class File:
    """One file of a batch. output: relative to OUT, with /; also: what is written beside it."""

    source: Path
    output: str
    settings: Settings
    also: tuple[Also, ...] = ()

    @property
    def id(self) -> str:
        """Short name of the file in this folder of outputs, for logs and tasks."""
        return id_of(self.output)

    @property
    def targets(self) -> dict[str, str]:
        """Role -> path relative to OUT; those beside the clean video have its name with their role in it."""
        stem, dot, suffix = self.output.rpartition(".")
        others: dict[str, str] = {role: f"{stem}.{role.replace('_', '-')}{dot}{suffix}" for role in self.also}
        return {"clean": self.output, **others}

    def task(self, out: Path, *, replace: bool) -> Task:
        """What an engine carries."""
        others = {role: str((out / path).absolute()) for role, path in self.targets.items() if role != "clean"}
        settings = self.settings | others
        task = clean_task(self.id, self.source, out / self.output, settings, replace=replace)
        return task | {"receipt": str(receipt_of(out, self.output).absolute())}


class Look(NamedTuple):
    """What there is to say of a file before the work. key: under which it counts as done; size: bytes of the source.

    why: what its last try ended with, for one that failed, why its source cannot be read, or why it would not run.
    """

    file: File
    state: State
    key: str
    size: int
    why: str = ""


def files_of(
    items: Sequence[Item], load: Callable[[tuple[str, ...]], CleanOptions], also: tuple[Also, ...]
) -> list[File]:
    """Items with their settings. load: from key=value pairs of an item to options.

    Raises UsageError for settings that are none or name one output, which names the row that they stand in, and where
    two files would write the same.
    """

    @cache
    def settings(pairs: tuple[str, ...]) -> Settings:
        options = load(pairs)
        for name in OF_ONE_FILE:
            if getattr(options, name) is not None:
                hint = f"--also {name.replace('_', '-')}" if name in ALSO else "vidrain clean for one file"
                raise UsageError(f"{name}: names one output, but there may be many; use {hint}")
        return plain(options)

    def of_row(item: Item) -> Settings:
        try:
            return settings(item.pairs)
        except UsageError as error:
            raise (UsageError(f"{item.where}: {error}") if item.where else error) from error

    files = [File(item.source, item.output, of_row(item), also) for item in items]
    seen: dict[str, File] = {}
    for file in files:
        for path in file.targets.values():
            other = seen.setdefault(path, file)
            if other is not file:
                raise UsageError(
                    f"{file.source} and {other.source} would both write {path}; leave one out, or rename it"
                )
    return files


def look_at_all(files: Sequence[File], journal: Journal) -> list[Look]:
    """Compare files with what the journal knows; a source that cannot be read is never done.

    Of a share that hangs one source is waited for, the others hardly, and where some in a folder gave nothing in a row
    no more are asked: each leaves a thread behind that waits.
    """
    in_a_row: Counter[Path] = Counter()  # folder -> sources that gave nothing
    looks = []
    for file in files:
        folder, patience_s = file.source.parent, file.settings["stall_s"]
        seen = _UNSEEN
        if in_a_row[folder] < _MOST_STALLED:
            seen = _seen(file.source, min(patience_s, _HARDLY_S) if in_a_row else patience_s)
        if seen == _UNSEEN:
            in_a_row[folder] += 1
        elif folder in in_a_row:
            in_a_row[folder] = 0
        looks.append(_look_at(file, journal, seen))
    return looks


def _look_at(file: File, journal: Journal, seen: Seen) -> Look:
    size, identity = seen
    key = key_of(file, identity)
    if size and journal.is_done(file.output, key):
        return Look(file, "done", key, size)
    last = journal.last.get(file.output, {})
    if last.get("state") == "failed" and last["key"] == key and not last["transient"]:
        return Look(file, "failed", key, size, last["cause"])
    return Look(file, "to do", key, size, "" if size else _unread(file.source, identity))


def _unread(source: Path, identity: tuple[object, ...]) -> str:
    """Why there is nothing to read of a source."""
    if (0, identity) == _UNSEEN:
        return f"{source}: gave nothing when it was looked at; see whether its disk or share answers"
    return f"{source}: is empty (0 bytes)" if isinstance(identity, Identity) else str(identity[0])


def look_soon(look: Look) -> Look | None:
    """The same with what its source is now; None where that gives nothing within a second."""
    seen = _seen(look.file.source, _HARDLY_S)
    return None if seen == _UNSEEN else look._replace(size=seen[0], key=key_of(look.file, seen[1]))


def look_again(look: Look) -> Look:
    """The same with what its source is now, for one that could not be read when it was looked at."""
    size, identity = _seen(look.file.source, look.file.settings["stall_s"])
    return look._replace(size=size, key=key_of(look.file, identity))


def looks_the_same(look: Look) -> bool:
    """Whether the source still is, or still is not, what it was when it was looked at."""
    return key_of(look.file, _seen(look.file.source, _HARDLY_S)[1]) == look.key


def _seen(source: Path, patience_s: float) -> Seen:
    """Bytes of a source and what it is; 0 and why, for one that cannot be read: the task says that in its own words."""
    try:
        found = Watchdog(source, patience_s).opened(lambda _: identity_of(source))
    except StallError:
        return _UNSEEN
    except InputError as error:
        return 0, (str(error),)
    return found.size, found


def key_of(file: File, identity: tuple[object, ...]) -> str:
    """SHA-256 over what the source is and all that can change the result: settings that count, weights, version."""
    counted = [list(identity), counting(file.settings), sorted(file.also), __version__]
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()


def mark_of(file: File) -> str:
    """Short hash of all but the source: files of one mark cost alike."""
    counted = [counting(file.settings), sorted(file.also)]
    return hashlib.sha256(json.dumps(counted, sort_keys=True).encode()).hexdigest()[:_DIGITS]


def counting(settings: Settings) -> Settings:
    """What of the settings can change the result: the model and the hash of its weights, and what it looks at."""
    model = settings["model"] or PRESETS[settings["preset"]]
    counted = {name: value for name, value in settings.items() if name not in _NOT_IN_RESULT}
    for other in ("baseline", "nlcl"):
        if model != other:
            del counted[other]
    if model not in CONFIGS:
        del counted["gate"]
    if settings["adapt"]["seconds"] is None and settings["adapt"]["steps"] is None:
        del counted["adapt"]
    return counted | {"model": model, "weights": _hash(weights_of(model, _path(settings["weights"])))}


def _path(weights: str | None) -> Path | None:
    return None if weights is None else Path(weights)


def _hash(weights: Path | None) -> str | None:
    found = None if weights is None else fingerprint(weights)
    if weights is None or found is None:
        return hash_of_file(weights)  # says what is wrong with it
    return _hash_of(weights, *found)


@cache
def _hash_of(weights: Path, inode: int, size: int, changed: int) -> str | None:
    """Read once for thousands of files, and again when it is another file."""
    return hash_of_file(weights)


def is_free(file: File, journal: Journal, out: Path) -> bool:
    """Whether nothing stands at the places of its outputs but what a batch made here."""
    return all(journal.is_ours(path) or fingerprint(out / path) is None for path in file.targets.values())


def to_json(files: Sequence[File], options: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked for, to be asked for again. Settings that files share are written once."""
    shared: dict[str, int] = {}  # settings as a text -> place; those of many runs are alike
    places: dict[int, int] = {}  # thousands of files hold the same object
    rows = []
    for file in files:
        if id(file.settings) not in places:
            places[id(file.settings)] = shared.setdefault(json.dumps(file.settings), len(shared))
        rows.append([str(file.source.absolute()), file.output, places[id(file.settings)], list(file.also)])
    settings = [json.loads(text) for text in shared]
    return {"v": 1, "version": __version__, "options": dict(options), "settings": settings, "files": rows}


def from_json(plan: Mapping[str, Any]) -> list[File]:
    """The files of a plan that `to_json` wrote; UsageError for one of another version, whose settings may be others."""
    if plan.get("version") != __version__:
        raise UsageError(
            f"the last run there was of vidrain {plan.get('version', 'before 0.1.0')}, this is {__version__}; give the "
            "whole `batch run` command again"
        )
    return [
        File(Path(source), output, plan["settings"][place], tuple(also))
        for source, output, place, also in plan["files"]
    ]


def listed_before(journal: Journal) -> list[File]:
    """The files of earlier runs in OUT; none where their list cannot be read, or is of another version."""
    try:
        plan = journal.plan()
        return [] if plan is None else from_json(plan)
    except VidrainError:
        return []


def together(before: Sequence[File], files: Sequence[File]) -> list[File]:
    """The files of earlier runs, and those of this one, which take the places of what had the same output.

    One that would write the same besides goes, and a folder that could not be read, once files in it are found.
    """
    newer = {file.output: file for file in files}
    written = {path for file in files for path in file.targets.values()}
    folders = {folder for file in files for folder in file.source.absolute().parents}
    kept = {
        file.output: file
        for file in before
        if file.output in newer or (file.source not in folders and written.isdisjoint(file.targets.values()))
    }
    return list((kept | newer).values())
