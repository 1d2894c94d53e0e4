"""Finished rows in the folder of a benchmark, so that they are not computed again: one file for a clip and a method.

store = Rows(Path("eval"))
store.keep(task, measured); store.of(task)
"""

import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

from vidrain.evaluation.crops import png_of, side_by_side
from vidrain.evaluation.measure import Measured, Row
from vidrain.evaluation.plan import Task
from vidrain.outputs import claimed, written

_UNSAFE = re.compile(r"[^A-Za-z0-9._=-]+")


Kept = dict[str, Any]  # `clip`: figures; `frames`: index -> figures; `worst`: frame and place; `adapted`; `seconds`


class Rows:
    """The rows of one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def of(self, task: Task) -> Kept | None:
        """The row of a task, if all that it depends on is what it was; None where it has to be computed."""
        try:
            found = json.loads(self._place(task, "rows", ".json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        if not isinstance(found, dict) or found.get("key") != task.key:
            return None
        found["frames"] = {int(index): _as_numbers(row) for index, row in found["frames"].items()}
        found["clip"] = _as_numbers(found["clip"])
        return found

    def keep(self, task: Task, measured: Measured, seconds: float, adapted: dict[str, Any] | None) -> None:
        """Keep what was measured, and the pictures of its worst frame, each in one step."""
        worst = None
        if measured.worst is not None:
            index, crops = measured.worst
            worst = {"frame": index, "left": crops.left, "top": crops.top, "has_truth": crops.truth is not None}
            self._write(self.picture(task), png_of(side_by_side(crops)))
        row = {
            "key": task.key,
            "clip": _as_json(measured.clip),
            "frames": {str(index): _as_json(figures) for index, figures in measured.frames.items()},
            "worst": worst,
            "adapted": adapted,
            "seconds": round(seconds, 2),
        }
        self._write(self._place(task, "rows", ".json"), (json.dumps(row) + "\n").encode())

    def picture(self, task: Task) -> Path:
        """Where the pictures of its worst frame lie."""
        return self._place(task, "worst", ".png")

    def weights(self, task: Task) -> Path:
        """Where weights that were fitted to the clip lie."""
        return self._place(task, "adapted", ".safetensors")

    def _place(self, task: Task, kind: str, ending: str) -> Path:
        """A path that names set, clip and method; what no file may be called is told apart by the key."""
        parts = [_UNSAFE.sub("-", part) for part in task.name]
        last = parts[2] if parts[2] == task.method.label else f"{parts[2]}-{zlib.crc32(task.method.label.encode()):08x}"
        return self.folder / kind / parts[0] / parts[1] / f"{last}{ending}"

    def _write(self, path: Path, content: bytes) -> None:
        with written(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with claimed(path, force=True) as claim:
            claim.write(content)
            claim.publish()


def _as_json(row: Row) -> dict[str, float | None]:
    """JSON knows no NaN."""
    return {name: None if math.isnan(value) else value for name, value in row.items()}


def _as_numbers(row: dict[str, float | None]) -> Row:
    return {name: math.nan if value is None else value for name, value in row.items()}
