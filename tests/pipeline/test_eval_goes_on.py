"""`vidrain eval` in a folder that was begun: finished rows are kept, one run at a time."""

import fcntl
import shutil
from pathlib import Path
from typing import Any

from tests.benchmarks import FAST, kept, results
from tests.benchmarks import clips as clips
from tests.benchmarks import data as data
from tests.pipeline.conftest import Vidrain


def test_finished_rows_are_kept_while_nothing_changes(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"

    def ran(*more: str) -> tuple[dict[str, int], dict[str, Any]]:
        """Rows after a run, and its last event."""
        method = ("--method", f"it: {FAST}")
        sets = ("--set", "pairs", "--set", "harm", "--every", "13")
        done = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", out, "--json", *method, *sets, *more)
        assert done.code == 0, done.err
        return kept(out), done.events[-1]

    first, done = ran()
    assert (done["event"], done["rows"], done["computed"]) == ("eval_done", 3, 3)
    report = (out / "results.md").read_text()
    again, done = ran()
    assert (again, done["computed"]) == (first, 0)
    assert (out / "results.md").read_text() == report
    changed, done = ran("sets.harm.every=5")
    assert {name for name in first if first[name] != changed[name]} == {"rows/harm/cat/it.json"}
    row = out / "rows/pairs/road/it.json"
    row.write_text(row.read_text()[:40])  # as a full disk may leave one
    assert ran("sets.harm.every=5")[1]["computed"] == 1
    shutil.copy(data / "paired/road_clean.mp4", data / "paired/road_rainy.mp4")
    other, _ = ran("sets.harm.every=5")
    assert other["rows/harm/cat/it.json"] == changed["rows/harm/cat/it.json"]
    given, it = (results(out)["pairs", "road", method] for method in ("input", "it"))
    assert (given["psnr_y"], given["dry_psnr_y"], given["dry_changed"]) == (100, 100, 0)  # equal pictures count as that
    assert (it["dry_psnr_y"], it["dry_changed"]) == (it["psnr_y"], 1)
    (tmp_path / "eval.yaml").write_text((tmp_path / "eval.yaml").read_text() + "seed: 3\n")
    assert ran()[1]["computed"] == 3


def test_a_folder_that_another_run_fills(vidrain: Vidrain, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with (out / ".vidrain-eval").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = vidrain("eval", "-c", tmp_path / "eval.yaml", "-o", out, "--set", "pairs")
    assert (ran.code, ran.err.count("\n")) == (6, 1)
