"""Both means, gains and extremes by hand; tables and charts show what was measured."""

import math
import xml.etree.ElementTree as tree

import pytest

from vidrain.evaluation.measure import FRAME, clip_figures
from vidrain.evaluation.summary import Line, charts, markdown, means, with_gains

NAN = math.nan
PSNR = {  # method -> clip -> of each frame
    "input": {"a": [30.0, 32.0], "b": [20.0]},
    "new | old": {"a": [35.0, 36.0], "b": [31.0]},
}


def row(psnr: float, **more: float) -> dict[str, float]:
    return dict.fromkeys(FRAME, NAN) | {"psnr_y": psnr, "changed": 0.0} | more


def lines() -> tuple[list[Line], dict[tuple[str, str], list[dict[str, float]]]]:
    frames = {
        (method, clip): [row(value) for value in values]
        for method, clips in PSNR.items()
        for clip, values in clips.items()
    }
    found = [
        Line("rain", "pairs", "test", clip, method, clip_figures(dict(enumerate(rows))))
        for (method, clip), rows in frames.items()
    ]
    grouped = {("rain", method): [one for clip in "ab" for one in frames[method, clip]] for method in PSNR}
    return with_gains(found), grouped


def test_both_means_and_gains() -> None:
    clips, frames = lines()
    found = {(line.clip, line.method): line.figures for line in (*clips, *means(clips, frames))}
    assert found["a", "new | old"]["gain"] == pytest.approx(4.5)
    over_clips, over_frames = (found[f"mean over {what}", "new | old"] for what in ("clips (2)", "frames (3)"))
    assert over_clips["psnr_y"] == pytest.approx((35.5 + 31) / 2)
    assert over_clips["gain"] == pytest.approx((4.5 + 11) / 2)
    assert over_frames["psnr_y"] == pytest.approx(34)
    assert over_frames["gain"] == pytest.approx(34 - 82 / 3)
    assert over_clips["lowest_psnr_y"] == over_frames["lowest_psnr_y"] == 31
    assert found["mean over clips (2)", "input"]["gain"] == 0


def test_figures_of_a_clip() -> None:
    steps = {"step_error": 3.0, "step_error_reference": 2.0, "tof": 0.5}
    still = {"step_error": 1.0, "step_error_reference": 0.0, "tof": 1.5}
    found = clip_figures(
        {0: row(40.0, **steps), 3: row(30.0, changed=0.5, overlay=2.0, **still), 6: row(50.0, overlay=1.0)}
    )
    assert found["warp_ratio"] == pytest.approx(2)  # of sums: a frame that stands still divides by nothing
    assert (found["psnr_y"], found["lowest_psnr_y"], found["frames"]) == (40, 30, 3)
    assert (found["changed_frames"], found["overlay"], found["tof"]) == (pytest.approx(1 / 3), 2, 1)
    assert math.isnan(found["f_phys"])
    assert math.isnan(found["dry_changed"])
    half = clip_figures({0: row(99.0, dry=1.0), 1: row(43.0, dry=1.0, changed=0.1), 2: row(30.0, dry=0.0, changed=0.5)})
    assert (half["dry_psnr_y"], half["dry_changed"], half["wet_psnr_y"]) == (71, 0.5, 30)
    assert math.isnan(found["wet_psnr_y"])


def test_gain_of_the_rainy_frames_of_a_clip_that_is_half_dry() -> None:
    frames = {
        "input": {0: row(100.0, dry=1.0), 1: row(30.0, dry=0.0), 2: row(31.0, dry=0.0)},
        "it": {0: row(45.0, dry=1.0, changed=0.1), 1: row(37.0, dry=0.0), 2: row(36.0, dry=0.0)},
    }
    clips = [Line("half", "pairs", "test", "a", method, clip_figures(rows)) for method, rows in frames.items()]
    found = {line.method: line.figures for line in with_gains(clips)}
    assert found["it"]["wet_gain"] == pytest.approx(6)
    assert found["it"]["gain"] < 0
    assert found["input"]["wet_gain"] == 0
    assert "| a | it | 39.33 | -14.33 | 36.00 | +6.00 | 45.00 | 100.0 |" in markdown(with_gains(clips))


def test_tables_and_charts_show_the_columns_that_have_figures() -> None:
    clips, frames = lines()
    text = list(markdown([*clips, *means(clips, frames)]))
    assert text[:5] == [
        "## rain (pairs, test)",
        "",
        "| clip | method | PSNR-Y | gain | lowest |",
        "| --- | --- | --- | --- | --- |",
        "| a | input | 31.00 | +0.00 | 30.00 |",
    ]
    assert text[5] == "| a | new \\| old | 35.50 | +4.50 | 35.00 |"
    assert text[-2] == "| mean over frames (3) | new \\| old | 34.00 | +6.67 | 31.00 |"
    ((name, svg),) = charts(clips)
    assert name == "rain-psnr_y"
    drawn = tree.fromstring(svg)
    assert len(drawn.findall("{http://www.w3.org/2000/svg}path")) == 2 * 2 + 2
