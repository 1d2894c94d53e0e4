"""A report put down as text and read again."""

import json
from dataclasses import replace
from pathlib import Path

from vidrain.events import Notice
from vidrain.report import CleanReport, from_json, to_json
from vidrain.train.adapt import Outcome


def test_a_report_comes_back_from_json_as_it_was() -> None:
    report = CleanReport(
        source=Path("in.mp4"),
        outputs={"clean": Path("out.mp4")},
        status="partial",
        videos=(0, 1),
        frames_in=12,
        frames_out=12,
        frames_repeated=2,
        repeated=0,
        dropped=0,
        rain=0.1,
        rain_over_time=(0.1, 1 / 3),
        pts_equal=True,
        missing=((0.5, 0.75), (1.0, 1.25)),
        copied=("audio aac",),
        left_out=(),
        notices=(Notice(code="missing", message="2 frames"),),
        model="gate-s",
        made_by="0.1.0 gate-s weights=a config=b",
        adaptation=Outcome(steps=3, factors=(1.25, 1.0, 0.3), gain=0.2),
        encoder="libx264",
        pix_fmt="yuv420p",
        exact=False,
        crops={1: (131, 97)},
        seconds=2.5,
        fps=4.8,
        peak_memory_mib=100.0,
    )
    for each in (report, replace(report, adaptation=Outcome(reason="no rain")), replace(report, adaptation=None)):
        assert from_json(json.loads(json.dumps(to_json(each))), each.outputs) == each
