"""A benchmark that is killed: what was finished is not computed again."""

import shutil
from pathlib import Path

import pytest

from tests.pipeline.conftest import Vidrain
from tests.pipeline.conftest import vidrain as vidrain
from tests.pipeline.test_exits import events_until, started

pytestmark = pytest.mark.slow


def test_goes_on_after_a_kill(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    (tmp_path / "data").mkdir()
    for name in "ab":
        for kind, source in (("rainy", "street"), ("clean", "street_clean")):
            shutil.copy(samples / f"{source}.mp4", tmp_path / "data" / f"{name}_{kind}.mp4")
    sets = 'sets: {p: {rainy: ["*_rainy.mp4"], truth: ["*_clean.mp4"]}}\n'
    (tmp_path / "eval.yaml").write_text(f"data: {tmp_path / 'data'}\nevery: 8\n{sets}")
    command = ("eval", "-c", tmp_path / "eval.yaml", "-o", tmp_path / "out", "--json")
    with started(*command) as process:
        events_until(process, lambda event: event["event"] == "eval_row" and event["method"] == "baseline")
        process.kill()
    ran = vidrain(*command)
    assert (ran.code, ran.err) == (0, "")
    plan = ran.events[0]
    assert (plan["event"], plan["rows"], plan["kept"]) == ("eval_plan", 4, 2)
    assert [event["clip"] for event in ran.events if event["event"] == "eval_row"] == ["b", "b"]
    page = (tmp_path / "out" / "results.md").read_text()
    assert all(f"| {clip} | {method} |" in page for clip in "ab" for method in ("input", "baseline"))
    assert not [path for path in (tmp_path / "out").rglob(".*") if "partial" in path.name]
