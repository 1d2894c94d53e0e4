"""Charts as SVG texts that follow light and dark of the page they stand in. Knows nothing of rain.

Path("rain.svg").write_text(line_chart(seconds, amounts, title="Rain", labels=("seconds", "% of the range")))
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import pairwise

_WIDTH, _HEIGHT = 720, 240
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 34, 44
_TICKS = 5
_NAMES, _LINE, _KEYS = 170, 22, 4  # of a dot chart: room for names, height of a line, labels beside each other
_SHAPES = (
    "M-5,0a5,5 0 1,0 10,0a5,5 0 1,0 -10,0",
    "M-5,-5H5V5H-5Z",
    "M0,-6L6,5H-6Z",
    "M0,-6L6,0L0,6L-6,0Z",
    "M0,6L6,-5H-6Z",
)
_COLOURS = 6
_MOST_POINTS = 1440  # two for a pixel; of more the highest of each group is drawn
_STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#334}.t{font-size:14px;font-weight:600}.a{stroke:#99a;stroke-width:1}"
    ".g{stroke:#dde}.l{fill:none;stroke:#1668b8;stroke-width:1.5}.b{fill:#1668b8}"
    ".s0{fill:#77808c}.s1{fill:#1668b8}.s2{fill:#c2410c}.s3{fill:#15803d}.s4{fill:#7c3aed}.s5{fill:#be185d}"
    "@media(prefers-color-scheme:dark){.s0{fill:#a3afbd}.s1{fill:#6db3f2}.s2{fill:#fb923c}.s3{fill:#6ee7a0}"
    ".s4{fill:#c4b5fd}.s5{fill:#f9a8d4}text{fill:#ccd}.g{stroke:#333a45}.a{stroke:#778}.l{stroke:#6db3f2}.b{fill:#6db3f2}}"
)

Labels = tuple[str, str]


def line_chart(xs: Sequence[float], ys: Sequence[float], *, title: str, labels: Labels) -> str:
    """Points joined by lines; y from zero. labels: of the axes, x and y."""
    points = list(_thinned(list(zip(xs, ys, strict=True))))
    span = (min(xs, default=0.0), max(xs, default=1.0))
    frame = _Frame(span, max(ys, default=0.0))
    path = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in points)
    return _document(title, labels, frame, f'<polyline class="l" points="{path}"/>')


def bar_chart(edges: Sequence[float], counts: Sequence[float], *, title: str, labels: Labels) -> str:
    """A histogram: bar i from edges[i] to edges[i + 1]."""
    frame = _Frame((edges[0], edges[-1]), max(counts, default=0.0))
    bars = "".join(
        f'<rect class="b" x="{frame.x(low) + 0.5:.1f}" y="{frame.y(count):.1f}" '
        f'width="{max(frame.x(high) - frame.x(low) - 1, 0.5):.1f}" height="{frame.y(0) - frame.y(count):.1f}"/>'
        for (low, high), count in zip(pairwise(edges), counts, strict=True)
    )
    return _document(title, labels, frame, bars)


def dot_chart(names: Sequence[str], series: Mapping[str, Sequence[float]], *, title: str) -> str:
    """A line for each name, on it a mark for each series; values that are NaN are left out. series: label -> values."""
    known = [value for values in series.values() for value in values if not math.isnan(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    margin = (high - low) * 0.05 or 1.0
    low, high = low - margin, high + margin
    keys = -(-len(series) // _KEYS)
    top = _TOP + keys * _LINE
    bottom = top + max(len(names), 1) * _LINE

    right = _WIDTH - 2 * _RIGHT  # half of the last number stands beyond

    def place(value: float) -> float:
        return _NAMES + (value - low) / (high - low) * (right - _NAMES)

    parts = [f'<text class="t" x="8" y="18">{escape(title)}</text>']
    for number, label in enumerate(series):
        x, line = 16 + number % _KEYS * (_WIDTH - 16) / _KEYS, _TOP + number // _KEYS * _LINE
        parts.append(f'{_mark(number, x, line)}<text x="{x + 10:.1f}" y="{line + 4}">{escape(label)}</text>')
    for step in range(_TICKS):
        value = low + (high - low) * step / (_TICKS - 1)
        parts.append(f'<line class="g" x1="{place(value):.1f}" x2="{place(value):.1f}" y1="{top}" y2="{bottom}"/>')
        parts.append(f'<text x="{place(value):.1f}" y="{bottom + 16}" text-anchor="middle">{value:.4g}</text>')
    for row, name in enumerate(names):
        y = top + (row + 0.5) * _LINE
        parts.append(f'<text x="{_NAMES - 8}" y="{y + 4:.1f}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<line class="g" x1="{_NAMES}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        for number, values in enumerate(series.values()):
            if not math.isnan(values[row]):
                parts.append(_mark(number, place(values[row]), y))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {bottom + 24}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>{"".join(parts)}</svg>'
    )


def _mark(number: int, x: float, y: float) -> str:
    """The mark of a series: told apart by colour and by shape, so that neither is needed alone."""
    shape = _SHAPES[number % len(_SHAPES)]
    return f'<path class="s{number % _COLOURS}" transform="translate({x:.1f} {y:.1f})" d="{shape}"/>'


class _Frame:
    """Where values lie in the picture."""

    def __init__(self, span: tuple[float, float], top: float) -> None:
        self.span = span if span[1] > span[0] else (span[0], span[0] + 1)
        self.top = top * 1.05 or 1.0

    def x(self, value: float) -> float:
        low, high = self.span
        return _LEFT + (value - low) / (high - low) * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - value / self.top * (_HEIGHT - _TOP - _BOTTOM)


def _document(title: str, labels: Labels, frame: _Frame, drawing: str) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(title)}"><style>{_STYLE}</style>'
    )
    names = (
        f'<text class="t" x="{_LEFT}" y="18">{escape(title)}</text>'
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{escape(labels[0])}</text>'
        f'<text x="{-(_TOP + _HEIGHT - _BOTTOM) / 2}" y="14" transform="rotate(-90)" text-anchor="middle">'
        f"{escape(labels[1])}</text>"
    )
    return f"{head}{names}{''.join(_axes(frame))}{drawing}</svg>"


def _axes(frame: _Frame) -> Iterator[str]:
    low, high = frame.span
    for step in range(_TICKS):
        x, y = low + (high - low) * step / (_TICKS - 1), frame.top * step / (_TICKS - 1)
        yield f'<line class="g" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{frame.y(y):.1f}" y2="{frame.y(y):.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{frame.y(y) + 4:.1f}" text-anchor="end">{y:.3g}</text>'
        yield f'<text x="{frame.x(x):.1f}" y="{_HEIGHT - _BOTTOM + 16}" text-anchor="middle">{x:.4g}</text>'
    yield f'<line class="a" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{frame.y(0):.1f}" y2="{frame.y(0):.1f}"/>'


def _thinned(points: list[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """At most so many points as can be seen; the highest of each group, so that no peak is lost."""
    group = -(-len(points) // _MOST_POINTS) or 1
    for start in range(0, len(points), group):
        yield max(points[start : start + group], key=lambda point: point[1])
