"""What lies in a folder of outputs of a batch."""

from pathlib import Path

from vidrain.batch.journal import FOLDER


def written(out: Path) -> dict[str, int]:
    """Every file in OUT but what the batch itself keeps there -> when it was last changed."""
    files = (path for path in out.rglob("*") if path.is_file() and FOLDER not in path.parts)
    return {path.relative_to(out).as_posix(): path.stat().st_mtime_ns for path in files}
