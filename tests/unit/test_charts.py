"""Charts are well-formed SVG whose marks lie where the values are."""

import xml.etree.ElementTree as tree

import numpy as np

from vidrain.charts import bar_chart, line_chart

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


def test_nothing_to_draw_is_a_chart_too() -> None:
    for svg in (line_chart([], [], title="t", labels=("x", "y")), line_chart([1], [0], title="t", labels=("x", "y"))):
        assert tree.fromstring(svg).tag == f"{SVG}svg"
