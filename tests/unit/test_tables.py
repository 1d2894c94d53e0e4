"""Rows as CSV and Parquet: what is read back is what was written."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain import tables
from vidrain.tables import Columns, read_csv, write_csv, write_parquet

COLUMNS: Columns = {"n": "int", "x": "float", "is": "bool", "name": "text"}
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "n": st.integers(-(1 << 62), 1 << 62),
            "x": st.floats(allow_nan=False, allow_infinity=False),
            "is": st.booleans(),
            "name": st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])),
        }
    ),
    max_size=9,
)


@given(ROWS)
def test_both_kinds_give_the_rows_back(tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, object]]) -> None:
    folder = tmp_path_factory.mktemp("tables")
    write_csv(rows, COLUMNS, folder / "a.csv")
    write_parquet(rows, COLUMNS, folder / "a.parquet")
    due = {name: [row[name] for row in rows] for name in COLUMNS}
    assert read_csv(folder / "a.csv", COLUMNS) == due
    assert pyarrow.parquet.read_table(folder / "a.parquet").to_pydict() == due


def test_rows_are_not_gathered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables, "_AT_ONCE", 10)
    rows = ({"n": n, "x": 0.5, "is": False, "name": "a"} for n in range(35))

    def counted() -> Iterator[dict[str, object]]:
        yield from rows

    write_parquet(counted(), COLUMNS, tmp_path / "a.parquet")
    assert pyarrow.parquet.ParquetFile(tmp_path / "a.parquet").num_row_groups == 4
