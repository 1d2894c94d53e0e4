"""What of an export is done: a plan that must not change, and a line for every shard that lies on the disk.

A line that a kill cut off is dropped, and its shard written again.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PLAN, _LINES = ".plan.json", ".journal.jsonl"


class Journal:
    """The journal in `folder`. matches: whether what was begun there, if anything was, follows the same `plan`."""

    def __init__(self, folder: Path, plan: Mapping[str, Any]) -> None:
        self._lines, self._plan = folder / _LINES, folder / _PLAN
        self._text = json.dumps(plan, sort_keys=True)
        begun = self._plan.read_text(encoding="utf-8") if self._plan.exists() else None
        self.matches = begun in (None, self._text)

    def begin(self) -> int:
        """Note the plan and drop what was cut off; returns how many shards are done."""
        self._plan.write_text(self._text, encoding="utf-8")
        whole = [line for line in self._read() if line.endswith(b"\n")]
        with self._lines.open("wb") as file:
            file.writelines(whole)
        return len(whole)

    def note(self, rows: list[dict[str, Any]]) -> None:
        """Note that the shard of these rows lies on the disk."""
        with self._lines.open("ab") as file:
            file.write(json.dumps(rows).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of all shards that are done, in order."""
        for line in self._read():
            yield from json.loads(line)

    def remove(self) -> None:
        """Once the export is finished."""
        self._lines.unlink(missing_ok=True)
        self._plan.unlink(missing_ok=True)

    def _read(self) -> Iterator[bytes]:
        if self._lines.exists():
            with self._lines.open("rb") as file:
                yield from file
