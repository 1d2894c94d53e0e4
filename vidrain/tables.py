"""Rows of figures as files: CSV for everyone, Parquet for programs. The only door to pyarrow.

Rows come one by one and are never gathered.

    write_csv(rows, COLUMNS, Path("frames.csv"))
"""

import csv
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from vidrain.errors import UsageError

Kind = Literal["int", "float", "bool", "text"]
Columns = Mapping[str, Kind]
Row = Mapping[str, Any]

EXTRA = "in a checkout of vidrain: pip install -c constraints.txt '.[export]'"
_AT_ONCE = 4096  # rows of one group of a Parquet file
_READ: dict[Kind, Callable[[str], Any]] = {"int": int, "float": float, "bool": lambda text: text == "true", "text": str}


def write_csv(rows: Iterable[Row], columns: Columns, path: Path) -> None:
    """One line per row under a line of names; true and false in small letters, floats so that they read back equal."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for row in rows:
            writer.writerow(_as_text(row[name]) for name in columns)


def read_csv(path: Path, columns: Columns) -> dict[str, list[Any]]:
    """Column -> its values, as `write_csv` was given them."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: [_READ[kind](row[name]) for row in rows] for name, kind in columns.items()}


def write_parquet(rows: Iterable[Row], columns: Columns, path: Path) -> None:
    """The same rows as Parquet; UsageError where pyarrow is not installed."""
    require_parquet()
    import pyarrow
    from pyarrow import parquet

    kinds = {"int": pyarrow.int64(), "float": pyarrow.float64(), "bool": pyarrow.bool_(), "text": pyarrow.string()}
    schema = pyarrow.schema([(name, kinds[kind]) for name, kind in columns.items()])
    with parquet.ParquetWriter(path, schema) as writer:
        for group in _groups(rows):
            writer.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def read_parquet(path: Path) -> list[dict[str, Any]]:
    """All rows of a small table; UsageError where pyarrow is not installed or the file is no Parquet."""
    require_parquet()
    import pyarrow
    from pyarrow import parquet

    try:
        rows: list[dict[str, Any]] = parquet.read_table(path).to_pylist()
    except pyarrow.ArrowException as error:
        raise UsageError(f"{path}: is no Parquet table ({' '.join(str(error).split())})") from error
    return rows


def require_parquet() -> None:
    """UsageError where pyarrow is not installed: to be asked before the work, not behind it."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise UsageError(f"Parquet tables need pyarrow, which is not installed ({error}); {EXTRA}") from error


def has_parquet() -> bool:
    """Whether Parquet tables can be written here."""
    try:
        require_parquet()
    except UsageError:
        return False
    return True


def _groups(rows: Iterable[Row]) -> Iterator[list[dict[str, Any]]]:
    source = iter(rows)
    while group := [dict(row) for row in islice(source, _AT_ONCE)]:
        yield group


def _as_text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, float) else str(value)
