"""What of an export is done: a plan that must not change, and a line for every shard that lies on the disk.

A line that a kill cut off does not count, and its shard is written again.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vidrain.outputs import put

_PLAN, _LINES = ".plan.json", ".journal.jsonl"


class Journal:
    """The journal in `folder`. matches: whether what was begun there, if anything was, follows the same `plan`."""

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self._lines, self._plan = folder / _LINES, folder / _PLAN
        self._text = json.dumps(plan, sort_keys=True)
        begun = self._plan.read_text(encoding="utf-8") if self._plan.exists() else None
        self.matches = begun in (None, self._text)

    @property
    def frames(self) -> int:
        """How many frames are done."""
        return sum(1 for _ in self.rows())

    def begin(self) -> None:
        """Note the plan, and take off what was cut off."""
        if not self._plan.exists():
            put(self._plan, self._text.encode())
        if self._lines.exists():
            os.truncate(self._lines, sum(map(len, self._whole())))

    def note(self, rows: list[dict[str, Any]]) -> None:
        """Note that the shard of these rows lies on the disk."""
        with self._lines.open("ab") as file:
            file.write(json.dumps(rows).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of all shards that are done, in order."""
        for line in self._whole():
            yield from json.loads(line)

    def _whole(self) -> Iterator[bytes]:
        if self._lines.exists():
            with self._lines.open("rb") as file:
                yield from (line for line in file if line.endswith(b"\n"))


def remove_journal(folder: Path) -> None:
    """Once the export in `folder` is finished and has its name."""
    for name in (_LINES, _PLAN):
        folder.joinpath(name).unlink(missing_ok=True)
