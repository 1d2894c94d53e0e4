"""Checks one finished file against the file that it was made from, knowing nothing of how it was made.

    found = verify_against("dry.mp4", "rainy.mp4", full=True)
    found.exit_code  # 0: the same in all but the rain

`equality.py` compares facts, `pairing.py` frames and times, `likeness.py` pictures; `verdict.py` puts it into words.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from vidrain.equality import (
    Difference,
    Explained,
    Found,
    TrackPair,
    chapter_facts,
    has_labels,
    paired,
    picture_facts,
    stream_facts,
    tag_facts,
)
from vidrain.errors import OK, PARTIAL, OutputError
from vidrain.job import CleanOptions, span_of
from vidrain.likeness import Change, Flaw, FlawedFrame
from vidrain.missing import Missing, missing_in, missing_in_file
from vidrain.pairing import Pairing
from vidrain.span import kept_frames
from vidrain.video.carried import plan_copy
from vidrain.video.decode import Video, open_video
from vidrain.video.facts import FileFacts, Held, held_by, read_facts

_NAMED = 3  # frames named of many
# Kind of flaw -> the fact that differs, and what it should be.
_FLAWS: dict[Flaw, tuple[str, str]] = {
    "shifted": ("picture place", "in place"),
    "tone": ("picture tone", "as it was"),
    "colour": ("picture colour", "as it was"),
    "neighbour": ("picture order", "its own picture"),
    "foreign": ("picture", "its own picture"),
}


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What was found of two files.

    frames_in: frames of IN that OUT should have; largest_time_error: of all that were compared, in seconds.
    same_streams: the copied streams in which nothing differs. missing: what IN itself has lost. change: how much the
    pictures differ, None unless all were looked at; its times count in `time_base`.
    """

    output: Path
    source: Path
    full: bool
    frames_in: int
    frames_out: int
    largest_time_error: Fraction
    differences: tuple[Difference, ...]
    explained: tuple[Explained, ...]
    same_streams: tuple[str, ...]
    missing: Missing
    change: Change | None
    time_base: Fraction

    @property
    def exit_code(self) -> int:
        """0: the same; 4: the same, but IN has lost something; 5: something differs."""
        if self.differences:
            return OutputError.exit_code
        return PARTIAL if self.missing else OK


def verify_against(
    output: str | Path,
    source: str | Path,
    *,
    full: bool = False,
    start: str | None = None,
    end: str | None = None,
    keep_pts: bool = False,
) -> Verification:
    """Check `output` against the `source` it was made from: facts, times, streams; with `full` every picture too.

    start, end, keep_pts: the range that was cleaned, as for `clean`. Writes nothing. Raises InputError where one of the
    two cannot be read, UsageError for a range without frames.
    """
    before, after = open_video(source), open_video(output)
    kept = kept_frames(start, end, before.index, before.info.time_base)
    span = span_of(before, kept, CleanOptions(start=start, end=end, keep_pts=keep_pts))
    shift = round(span.shift / before.info.time_base) if span else 0
    was = read_facts(before.info.path, before.info.stream_index, span)
    now = read_facts(after.info.path, after.info.stream_index)
    pairs = _pairs(before, was, now, in_part=span is not None)
    pairing = Pairing(before, after, kept, shift=shift, container=now.container)
    comparison = pairing.compare() if full else None
    found = [
        *_damages(after),
        *pairing.facts(),
        *picture_facts(before.info, after.info, now.container),
        *_carried(before, was, now, in_part=span is not None),
        *_labelled(before, was, after, now, pairs),
        *chapter_facts(was.chapters, now.chapters, now.container),
        *_flaws(comparison.flawed if comparison else [], before.info.time_base),
    ]
    differences = tuple(item for item in found if isinstance(item, Difference))
    differing = {item.where for item in differences}
    frames_in, frames_out = pairing.counts
    return Verification(
        output=after.info.path,
        source=before.info.path,
        full=full,
        frames_in=frames_in,
        frames_out=frames_out,
        largest_time_error=pairing.largest_error,
        differences=differences,
        explained=tuple(item for item in found if isinstance(item, Explained)),
        same_streams=tuple(a.name for a, b in pairs if a and b and a.kind != "video" and a.name not in differing),
        missing=missing_in(before, kept) if pairing.is_decoded else missing_in_file(before.source, kept),
        change=comparison.change if comparison else None,
        time_base=before.info.time_base,
    )


def _damages(after: Video) -> Iterator[Found]:
    for damage in after.source.structure.damages:
        yield Difference("damage", "whole", damage.what)


def _pairs(before: Video, was: FileFacts, now: FileFacts, *, in_part: bool) -> list[TrackPair]:
    """Streams that belong together; those that the container of OUT refuses belong nowhere."""
    carried = {before.info.stream_index, *plan_copy(before.info, now.container, in_part=in_part).kept}
    due = [track for track in was.tracks if track.index in carried]
    pairs = paired(due, [track for track in now.tracks if not track.is_rebuilt])
    refused = {track.kind for track in was.tracks if track.index not in carried and not track.is_rebuilt}
    # text of subtitles may have been put into another form instead
    return [(a, b) for a, b in pairs if a or not (b and b.kind == "subtitle" and b.kind in refused)]


def _carried(before: Video, was: FileFacts, now: FileFacts, *, in_part: bool) -> Iterator[Found]:
    """What need not be in OUT, or not as it was."""
    for track in was.tracks:
        if track.is_rebuilt:
            yield Explained("stream", f"{track.name} is written anew by every muxer")
    for sentence in plan_copy(before.info, now.container, in_part=in_part).refused:
        yield Explained("stream", sentence)


def _labelled(
    before: Video, was: FileFacts, after: Video, now: FileFacts, pairs: Sequence[TrackPair]
) -> Iterator[Found]:
    """Streams with their tags, and the tags of the file."""
    both = sorted(((a.index, b.index) for a, b in pairs if a and b and has_labels(a, b)), key=lambda pair: pair[1])
    held: Held | None = held_by(after.info.path, now.container, before.info.path, both)
    yield from stream_facts(pairs, held, now.container)
    yield from tag_facts(was.tags, now.tags, held.tags if held else None, now.container)


def _flaws(flawed: list[FlawedFrame], time_base: Fraction) -> Iterator[Found]:
    """One difference for each kind of flaw."""
    for flaw, (fact, due) in _FLAWS.items():
        frames = [frame for frame in flawed if frame.flaw == flaw]
        if frames:
            first = frames[0]
            listed = ", ".join(str(frame.index) for frame in frames[:_NAMED])
            more = f" and {len(frames) - _NAMED} more" if len(frames) > _NAMED else ""
            where = f"frame {listed}{more}, first at {float(first.pts * time_base):.3f} s"
            yield Difference(fact, due, first.seen, where)
