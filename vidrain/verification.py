"""Checks one finished file against the file that it was made from, knowing nothing of how it was made.

    found = verify_against("dry.mp4", "rainy.mp4", full=True)
    found.exit_code  # 0: the same in all but the rain

`equality.py` compares facts, `pairing.py` frames and times, `likeness.py` pictures; `verdict.py` puts it into words.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from vidrain.equality import (
    Difference,
    Explained,
    Found,
    TrackPair,
    chapter_facts,
    has_labels,
    is_padded,
    paired,
    picture_facts,
    size_of,
    stream_facts,
    tag_facts,
)
from vidrain.errors import OK, PARTIAL, OutputError, UsageError
from vidrain.events import Meter, OnEvent, VerifyPlan, ignore
from vidrain.job import CleanOptions, pace_of, span_of
from vidrain.layer_videos import crop_tag
from vidrain.likeness import Change, Flaw, FlawedFrame
from vidrain.missing import Missing, missing_in, missing_in_file
from vidrain.pairing import Due, Pairing, due_of
from vidrain.span import kept_frames
from vidrain.texts import text_facts, within
from vidrain.tracks import chosen_tracks
from vidrain.types import VideoInfo
from vidrain.video.carried import CopyPlan, plan_copy
from vidrain.video.decode import Video, open_video
from vidrain.video.facts import FileFacts, held_by, muxer_of, read_facts
from vidrain.video.index import video_tracks
from vidrain.video.mux import Span
from vidrain.video.subtitles import Line, lines_of
from vidrain.watchdog import Watchdog

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

    frames_in: frames that OUT should have; largest_time_error: of all that were compared, in seconds. same_streams: the
    copied streams in which nothing differs. missing: what IN itself has lost. changes: of each video that was cleaned
    (its facts in IN), how much the pictures differ; none unless all were looked at.
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
    changes: tuple[tuple[VideoInfo, Change], ...]

    @property
    def exit_code(self) -> int:
        """0: the same; 4: the same, but IN has lost something; 5: something differs."""
        if self.differences:
            return OutputError.exit_code
        return PARTIAL if self.missing else OK


@dataclass(frozen=True)
class _Both:
    """One video that is cleaned: in IN, in OUT if it is there, and what of it is due."""

    before: Video
    after: Video | None
    due: Due


@dataclass(frozen=True)
class _Files:
    """Both files as a whole: what they hold, and what the container of OUT takes of IN.

    span: the part of IN that was cleaned, None for all of it.
    """

    was: FileFacts
    now: FileFacts
    copy: CopyPlan
    span: Span | None

    def pairs(self) -> list[TrackPair]:
        """Streams that belong together; those that the container of OUT refuses belong nowhere."""
        carried = {*self.copy.kept, *self.copy.converted}
        due = [track for track in self.was.tracks if track.kind == "video" or track.index in carried]
        return paired(due, [track for track in self.now.tracks if not track.is_rebuilt])

    def crop(self, info: VideoInfo) -> str | None:
        """What OUT says of the true size of a padded video; an MP4 with a cover has no place for it."""
        has_place = self.now.container == "matroska" or all(track.kind != "cover" for track in self.now.tracks)
        return self.now.tags.get(crop_tag(info.track), None if has_place else size_of(info))


@dataclass(frozen=True)
class _Checked:
    """What was found of one video. largest_error: of its times, in seconds."""

    info: VideoInfo
    found: tuple[Found, ...]
    largest_error: Fraction
    missing: Missing
    change: Change | None


def verify_against(
    output: str | Path,
    source: str | Path,
    *,
    full: bool = False,
    options: CleanOptions | None = None,
    on_event: OnEvent = ignore,
) -> Verification:
    """Check `output` against the `source` it was made from: facts, times, streams; with `full` every picture too.

    options: as they were given to `clean`; of them start, end, keep_pts, cfr, video and stall_s count. on_event: told
    of every frame with `full`. Writes nothing. Raises InputError where one of the two cannot be read or stalls,
    UsageError for what IN does not have.
    """
    options = options or CleanOptions()
    now, was = (Watchdog(Path(path), options.stall_s) for path in (output, source))
    files, videos = _read(now, was, options)
    frames_out = sum(len(each.after.index.pts) for each in videos if each.after)
    if full:
        on_event(VerifyPlan(output=str(output), source=str(source), frames=frames_out))
    meter = Meter(frames_out)
    tick = (lambda: on_event(meter.tick())) if full else None
    checked = [
        _checked(each.before, each.after, each.due, files, options.stall_s, tick) for each in videos if each.after
    ]
    pairs = files.pairs()
    found = [*_of_videos(checked), *_of_files(now, was, files, pairs, videos)]
    if files.span is not None and not _is_part(options):
        first = float(files.span.shift)
        found.append(Explained("times", f"IN begins at {first:.3f} s: all of OUT is moved up to zero"))
    differences = tuple(item for item in found if isinstance(item, Difference))
    differing = {item.where for item in differences}
    return Verification(
        output=now.path,
        source=was.path,
        full=full,
        frames_in=sum(len(each.due.times) for each in videos),
        frames_out=frames_out,
        largest_time_error=max((each.largest_error for each in checked), default=Fraction(0)),
        differences=differences,
        explained=tuple(item for item in found if isinstance(item, Explained)),
        same_streams=tuple(
            a.name
            for a, b in pairs
            if a and b and a.kind != "video" and a.index not in files.copy.converted and a.name not in differing
        ),
        missing=_joined([each.missing for each in checked]),
        changes=tuple((each.info, each.change) for each in checked if each.change),
    )


def _is_part(options: CleanOptions) -> bool:
    return bool(options.start or options.end)


def _read(output: Watchdog, source: Watchdog, options: CleanOptions) -> tuple[_Files, list[_Both]]:
    """All of both files but the frames, and the videos that are to be compared."""
    container, is_part = output.opened(lambda _: muxer_of(output.path)), _is_part(options)
    tracks = source.opened(lambda _: chosen_tracks(source.path, options.video))
    befores = [_opened(source, track) for track in tracks]
    if is_part and len(befores) > 1:
        raise UsageError(
            f"--video {options.video}: {source.path} has {len(befores)} videos; name one, for --start and --end"
        )
    copies = source.opened(lambda _: [plan_copy(before.info, container, in_part=is_part) for before in befores])
    span = _span(befores, options)
    videos = [_both(before, output, copy, options, span) for before, copy in zip(befores, copies, strict=True)]
    afters = [each.after for each in videos if each.after]
    was, now = _facts(source, befores, span), _facts(output, afters, None)
    return _Files(was=was, now=now, copy=copies[0], span=span), videos


def _opened(file: Watchdog, track: int) -> Video:
    """One video of a file, ready to be decoded."""
    return file.opened(lambda pulse: open_video(file.path, track=track, beat=pulse.beat))


def _facts(file: Watchdog, videos: Sequence[Video], span: Span | None) -> FileFacts:
    """All but the frames of a file in which `videos` are cleaned."""
    indices = [video.info.stream_index for video in videos]
    return file.opened(lambda pulse: read_facts(file.path, indices, span, beat=pulse.beat))


def _span(videos: Sequence[Video], options: CleanOptions) -> Span | None:
    """The part that was cleaned. Of several videos that begin before zero the first one is moved up to it."""
    kept = (kept_frames(options.start, options.end, each.index, each.info.time_base) for each in videos)
    spans = [span_of(video, frames, options) for video, frames in zip(videos, kept, strict=True)]
    return min((span for span in spans if span), key=lambda span: span.shift, default=None)


def _both(before: Video, output: Watchdog, copy: CopyPlan, options: CleanOptions, span: Span | None) -> _Both:
    """One video of IN and, at its place among those that OUT takes, its counterpart."""
    kept = kept_frames(options.start, options.end, before.index, before.info.time_base)
    pace = pace_of(before, kept, options)
    place = sum(other < before.info.track for other in copy.videos.values())
    after = _opened(output, place) if place < len(output.opened(lambda _: video_tracks(output.path))) else None
    return _Both(before, after, due_of(before, kept, shift=span.shift if span else Fraction(0), pace=pace))


def _checked(
    before: Video, after: Video, due: Due, files: _Files, stall_s: float, tick: Callable[[], None] | None
) -> _Checked:
    """Frames, times and facts of one video, and its pictures. tick: called for each one; None looks at no pictures."""
    container, info = files.now.container, before.info
    pairing = Pairing(before, after, due, container=container, stall_s=stall_s)
    comparison = pairing.compare(tick) if tick else None
    found = (
        *pairing.facts(),
        *picture_facts(info, after.info, container, crop=files.crop(info)),
        *_flaws(comparison.flawed if comparison else [], info.time_base),
    )
    missing = missing_in(before, due.kept) if pairing.is_decoded else missing_in_file(before.source, due.kept)
    return _Checked(info, found, pairing.largest_error, missing, comparison.change if comparison else None)


def _joined(parts: Sequence[Missing]) -> Missing:
    """What is missing of several videos of one file."""
    picture = dict.fromkeys(stretch for part in parts for stretch in part.picture)
    other = dict.fromkeys(sentence for part in parts for sentence in part.other)
    return Missing(tuple(sorted(picture)), tuple(other))


def _of_videos(checked: Sequence[_Checked]) -> Iterator[Found]:
    """What was found of each video; of several it is said of which."""
    for each in checked:
        for item in each.found:
            name = f"video {each.info.track}"
            if len(checked) == 1:
                yield item
            elif isinstance(item, Difference):
                yield replace(item, where=", ".join(filter(None, (name, item.where))))
            else:
                yield replace(item, message=f"{name}: {item.message}")


def _of_files(
    output: Watchdog, source: Watchdog, files: _Files, pairs: Sequence[TrackPair], videos: Sequence[_Both]
) -> Iterator[Found]:
    """What belongs to no single video: damage, streams, tags, chapters."""
    was, now, converted = files.was, files.now, files.copy.converted
    for damage in next((each.after.source.structure.damages for each in videos if each.after), ()):
        yield Difference("damage", "whole", damage.what)
    for track in was.tracks:
        if track.is_rebuilt:
            yield Explained("stream", f"{track.name} is written anew by every muxer")
    for sentence in files.copy.refused:
        yield Explained("stream", sentence)
    both = [(a.index, b.index) for a, b in pairs if a and b and (a.index in converted or has_labels(a, b))]
    ordered = sorted(both, key=lambda pair: pair[1])
    held = source.opened(lambda _: held_by(output.path, now.container, source.path, ordered))
    yield from stream_facts(pairs, held, now.container, converted=converted)
    for a, b in pairs:
        if a and b and a.index in converted:
            lines = list(within(_lines(source, a.index), files.span))
            yield Explained("stream", f"{a.name} became {b.codec}, {len(lines)} lines; styling may be lost")
            yield from text_facts(lines, _lines(output, b.index), a.name)
    infos = [each.before.info for each in videos if each.after and is_padded(each.before.info, each.after.info)]
    crops = {(crop_tag(info.track), size_of(info)) for info in infos}
    tags = {key: value for key, value in now.tags.items() if (key, value) not in crops}
    yield from tag_facts(was.tags, tags, held.tags if held else None, now.container)
    yield from chapter_facts(was.chapters, now.chapters, now.container)


def _lines(file: Watchdog, index: int) -> list[Line]:
    """The text of one stream of a file."""
    return file.opened(lambda pulse: lines_of(file.path, index, pulse.beat))


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
