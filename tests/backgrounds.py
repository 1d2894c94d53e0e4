"""Backgrounds as they are before any encoder sees them, as digests, for tests that compare how they came about."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

from vidrain.types import Layers
from vidrain.video.coded import Part


class Recording:
    """Takes the place of an export: keeps a digest of every background. seen: frame -> digest."""

    def __init__(self) -> None:
        self.seen: dict[int, str] = {}

    def part(self, path: Path) -> RecordedPart:
        return RecordedPart(self.seen, path)


class RecordedPart:
    def __init__(self, seen: dict[int, str], path: Path) -> None:
        self._seen, self._path, self._pts = seen, path, list[int]()

    def write(self, layers: Layers) -> None:
        digest = hashlib.sha256()
        for plane in layers.background:
            digest.update(plane.tobytes())
        assert layers.frame.index not in self._seen, "made twice"
        self._seen[layers.frame.index] = digest.hexdigest()
        self._pts.append(layers.frame.pts)

    def finish(self) -> Part:
        self._path.write_bytes(b"")
        return Part(self._path, tuple(self._pts), hashlib.sha256().hexdigest())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass
