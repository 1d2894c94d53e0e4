"""Compares text subtitles that had to become another codec: the same words, at the same times? Pure; reads nothing."""

from collections.abc import Iterable, Iterator, Sequence

from vidrain.equality import Difference, Found
from vidrain.video.mux import Span
from vidrain.video.subtitles import TICK, Line, plain


def within(lines: Iterable[Line], span: Span | None) -> Iterator[Line]:
    """What is shown of `lines` in `span`, on its clock: as `mux.moved` does with their packets."""
    for line in lines:
        if span is None:
            yield line
        elif line.end * TICK > span.start and (span.end is None or line.start * TICK < span.end):
            shift, late = round(span.shift / TICK), max(round(span.start / TICK) - line.start, 0)
            yield Line(line.start + late - shift, max(line.end, line.start + late + 1) - shift, line.text)


def text_facts(was: Sequence[Line], now: Sequence[Line], where: str) -> Iterator[Found]:
    """Number, words and times of the lines of one stream, both one at a time; a millisecond is allowed."""
    if len(was) != len(now):
        yield Difference("lines", str(len(was)), str(len(now)), f"{where}, {_first_alone(was, now)}")
        return
    pairs = list(zip(was, now, strict=True))
    if others := [(due, got) for due, got in pairs if plain(due.text) != plain(got.text)]:
        due, got = others[0]
        yield Difference("line text", _quoted(due), _quoted(got), f"{where}, {len(others)} of {len(pairs)}, {_at(due)}")
    if others := [(due, got) for due, got in pairs if max(abs(due.start - got.start), abs(due.end - got.end)) > 1]:
        due, got = others[0]
        yield Difference("line times", _shown(due), _shown(got), f"{where}, {len(others)} of {len(pairs)}")


def _first_alone(was: Sequence[Line], now: Sequence[Line]) -> str:
    """The first line that has no counterpart, in words."""
    for place, line in enumerate(was):
        if place >= len(now) or plain(now[place].text) != plain(line.text):
            return f"{_quoted(line)} {_at(line)}"
    return f"{_quoted(now[len(was)])} {_at(now[len(was)])}"


def _quoted(line: Line) -> str:
    return f"'{plain(line.text)}'"


def _at(line: Line) -> str:
    return f"at {line.start / 1000:.3f} s"


def _shown(line: Line) -> str:
    return f"{line.start / 1000:.3f}-{line.end / 1000:.3f} s"
