"""Charts are well-formed SVG whose marks lie where the values are."""

import xml.etree.ElementTree as tree

import numpy as np

from vidrain.charts import bar_chart, dot_chart, line_chart

SVG = "{http://www.w3.org/2000/svg}"


def test_line_goes_through_the_points_and_no_peak_is_lost() -> None:
    seconds = np.arange(9000) / 25
    amounts = np.zeros(9000)
    amounts[4321] = 3.0
    svg = tree.fromstring(line_chart(seconds, amounts, title="a < b & c", labels=("s", "%")))
    line = svg.find(f"{SVG}polyline")
    assert line is not None
    points = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
    assert len(points) <= 1440
    heights = [y for _, y in points]
    assert heights.count(min(heights)) == 1
    assert abs(heights.index(min(heights)) / len(points) - 4321 / 9000) < 0.01
    assert svg.attrib["aria-label"] == "a < b & c"


def test_bars_are_as_high_as_their_counts() -> None:
    svg = tree.fromstring(bar_chart((0, 1, 3, 4), (2, 0, 4), title="t", labels=("x", "y")))
    heights = [float(bar.attrib["height"]) for bar in svg.findall(f"{SVG}rect")]
    assert heights[1] == 0
    assert abs(heights[2] - 2 * heights[0]) < 0.2
    widths = [float(bar.attrib["width"]) + 1 for bar in svg.findall(f"{SVG}rect")]
    assert abs(widths[1] - 2 * widths[0]) < 0.2


def test_dots_lie_where_their_values_are() -> None:
    series = {"a < b": [1.0, float("nan"), 3.0], "c": [2.0, 5.0, 3.0]}
    svg = tree.fromstring(dot_chart(["x", "y", "z"], series, title="t"))
    places = [
        (mark.attrib["class"], *map(float, mark.attrib["transform"][10:-1].split()))
        for mark in svg.findall(f"{SVG}path")
    ]
    keys, marks = places[:2], places[2:]
    assert [kind for kind, _, _ in keys] == ["s0", "s1"]
    assert [kind for kind, _, _ in marks] == ["s0", "s1", "s1", "s0", "s1"]
    across = [x for _, x, _ in marks]
    unit = across[1] - across[0]
    assert [round((x - across[0]) / unit, 2) for x in across] == [0, 1, 4, 2, 2]
    assert 170 < min(across) < max(across) < 720
    rows = [y for _, _, y in marks]
    assert rows[0] == rows[1] < rows[2] < rows[3] == rows[4]
    assert "a < b" in [text.text for text in svg.findall(f"{SVG}text")]
    assert len({mark.attrib["d"] for mark in svg.findall(f"{SVG}path")}) == 2
    assert tree.fromstring(dot_chart([], {}, title="t")).tag == f"{SVG}svg"


def test_nothing_to_draw_is_a_chart_too() -> None:
    for svg in (line_chart([], [], title="t", labels=("x", "y")), line_chart([1], [0], title="t", labels=("x", "y"))):
        assert tree.fromstring(svg).tag == f"{SVG}svg"
