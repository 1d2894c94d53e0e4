"""write_report(): a finished clean file against its source on one page: what went, when, and what of the file was kept.

write_report("dry.mp4", "rainy.mp4", "dry.report.html")
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vidrain.batch.inputs import SUFFIXES
from vidrain.batch_lines import readable
from vidrain.equality import is_padded, size_of
from vidrain.errors import InputError, UsageError
from vidrain.events import Meter, Notice, OnEvent, PageDone, PagePlan, ignore
from vidrain.job import CleanOptions, default_outputs, pace_of, settings_of, span_of
from vidrain.listing import made_by_in
from vidrain.missing import none_decoded
from vidrain.naming import beside
from vidrain.outputs import claimed, refuse_clashes
from vidrain.pairing import due_of
from vidrain.span import kept_frames
from vidrain.timing import matched, on_one_clock
from vidrain.types import Frame
from vidrain.verdict import verification_facts
from vidrain.verification import verify_against
from vidrain.video.color import conversion_for
from vidrain.video.decode import Video, open_video
from vidrain.video.facts import read_facts
from vidrain.viewer.figures import Figures, Shown, excerpts, luma_levels
from vidrain.viewer.made import made_facts, read_line, settings_behind
from vidrain.viewer.page import VIDEO_BYTES, Content, Excerpt, excerpt_of, facts_of, write_page
from vidrain.viewer.proxy import proxy, write_pair
from vidrain.watchdog import Watchdog, refuse_hung

_MOST = 480  # frames that can be looked at
_LENGTH = 60  # of an excerpt
_AHEAD = 2  # frames of each file that wait to be looked at

_NOISY = (
    "Mean of what became darker in luma, as a share of its range, from the two files; what lies within three "
    "deviations of the encoder's noise is left out."
)
_EXACT = "Mean of what became darker in luma, as a share of its range, from the two files; the clean one is lossless."

Pairs = Sequence[tuple[int, int]]


@dataclass(frozen=True)
class Chosen:
    """Frames of an excerpt: their numbers in both files, and what the page says of them."""

    pairs: Pairs
    shown: Sequence[Shown]


def write_report(
    output: str | Path,
    source: str | Path | None = None,
    page: str | Path | None = None,
    *,
    options: CleanOptions | None = None,
    settings: str | None = None,
    on_event: OnEvent = ignore,
) -> Path:
    """Write a page about the clean file `output`; returns its path.

    source: what it was made from, by default the file beside it whose name lacks `.clean`; page: `OUT.report.html` by
    default; options: start, end, keep_pts, cfr, video as `clean` got them, force; settings: all of them as a
    text, where they are known. Raises VidrainError.
    """
    made, options = Path(output), options or CleanOptions()
    path = Path(source) if source is not None else _beside(made)
    target = Path(page) if page is not None else beside(made, ".report.html")
    _refuse_several(options)
    for read in (path, made):
        _refuse_clashes(read, [target], options)
    with claimed(target, force=options.force) as claim:
        before, after = _opened(path, int(options.video), options), _opened(made, _place(options), options)
        if size_of(before.info) != size_of(after.info) and not is_padded(before.info, after.info):
            sizes = f"{size_of(after.info)}, {path} is {size_of(before.info)}"
            raise InputError(f"{made} is {sizes}: they do not belong together; name the source with --against")
        pairs, unpaired = _pairs(before, after, options)
        if not pairs:
            raise InputError(
                f"{made}: no frame of it has a time of {path}; give --start, --cfr, --video as clean got them"
            )
        on_event(PagePlan(source=str(path), output=str(target), frames=len(pairs)))
        warnings = _warnings(path, made, unpaired) if options.start is None and options.end is None else []
        for warning in warnings:
            on_event(Notice(code="times", message=warning))
        facts = verification_facts(verify_against(made, path, options=options))
        facts |= {"output": readable(made.name), "source": readable(path.name)}  # a page is given to others
        content = _content(before, after, pairs, options, claim.partial, on_event)
        content = replace(content, verification=facts, config=settings or content.config, warnings=warnings)
        write_page(content, claim.partial)
        claim.publish()
    on_event(PageDone(output=str(target), size=target.stat().st_size))
    return target


def _refuse_clashes(source: Path, targets: Sequence[Path], options: CleanOptions) -> None:
    """`refuse_clashes` with patience: a share that hangs does so as soon as it is asked what lies there."""
    Watchdog(source, options.stall_s).opened(lambda _: refuse_clashes(source, targets))


def refuse_page(page: Path, source: Path, output: Path | None, options: CleanOptions) -> None:
    """Refuse beforehand a page that could not be written once the video is clean. Raises VidrainError."""
    _refuse_several(options)
    refuse_hung((page, output), options.stall_s)
    clean = (output,) if output is not None else set(default_outputs(source))
    others = (*clean, options.rain, options.rain_preview, options.compare, options.keep_adapted)
    _refuse_clashes(source, [page, *(path for path in others if path is not None)], options)
    with claimed(page, force=options.force):
        pass


def _opened(path: Path, track: int, options: CleanOptions) -> Video:
    return Watchdog(path, options.stall_s).opened(lambda pulse: open_video(path, track=track, beat=pulse.beat))


def _refuse_several(options: CleanOptions) -> None:
    if not options.video.isdecimal():
        raise UsageError(f"--video {options.video}: a report shows one video; name it")


def _place(options: CleanOptions) -> int:
    """Which video of the clean file: of a part, only the one that was cleaned is in it."""
    return 0 if options.start or options.end else int(options.video)


def _beside(made: Path) -> Path:
    """The source of `NAME.clean.mp4`, as far as it can be guessed; UsageError if there is none, or several."""
    name = made.stem.removesuffix(".clean")
    folder = made.parent
    there = [
        path
        for path in sorted(folder.iterdir() if folder.is_dir() else ())
        if path.stem == name and path != made and path.suffix.lower() in SUFFIXES
    ]
    if not made.exists():
        raise InputError(f"{made}: no such file; check the path")
    if not made.stem.endswith(".clean") or len(there) != 1:
        raise UsageError(f"{made}: which file it was made from is not known; name it with --against")
    return there[0]


def _warnings(source: Path, made: Path, unpaired: int) -> list[str]:
    """What may be wrong with the pairs. unpaired: places of the source without a frame."""
    if not unpaired:
        return []
    names = readable(made.name), readable(source.name)
    return [
        f"{names[0]} lacks {unpaired} frames of {names[1]}. If only a part was cleaned, what lies side by side "
        "here may be of different moments: make this page again with --start and --end as clean got them."
    ]


def _pairs(before: Video, after: Video, options: CleanOptions) -> tuple[Pairs, int]:
    """(frame of the source, frame of the clean file) of all frames that belong together, by their times.

    A frame of the source that is shown several times counts once. Also how many places have no frame.
    """
    kept = kept_frames(options.start, options.end, before.index, before.info.time_base)
    span = span_of(before, kept, options)
    due = due_of(before, kept, shift=span.shift if span else 0, pace=pace_of(before, kept, options))  # type: ignore[arg-type]
    ours, theirs, tick = on_one_clock(due.times, due.time_base, after.index.pts, after.info.time_base)
    allowed = int(after.info.time_base / 2 / tick)
    places = matched(ours, theirs, allowed=allowed)
    first = {int(due.shown[i]): j for i, j in reversed(places)}
    return sorted(first.items()), len(due.times) - len(places)


def _guesses(before: Video, after: Video, model: str, options: CleanOptions) -> Iterator[dict[str, Any]]:
    """Settings that may have made the clean file: the defaults, but for what it shows itself and `options` say."""
    kept = kept_frames(options.start, options.end, before.index, before.info.time_base)
    for codec in (None, after.info.codec):
        encode = replace(options.encode, codec=codec)  # type: ignore[arg-type]
        guess = replace(options, pad=size_of(before.info) != size_of(after.info), encode=encode)
        yield settings_of(guess, model, kept)


def _content(
    before: Video, after: Video, pairs: Pairs, options: CleanOptions, small: Path, on_event: OnEvent
) -> Content:
    """What the page shows. small: where its videos are made; nobody else writes there, and they may go."""
    patience_s = options.stall_s
    info, is_noisy = before.info, after.info.codec != "ffv1"
    conversions = conversion_for(info), conversion_for(after.info)
    figures, meter = Figures(info.time_base, is_noisy=is_noisy), Meter(len(pairs))
    looked: list[tuple[int, int]] = []
    for pair, (frame, clean) in _frames(before, after, pairs, patience_s):
        levels = (luma_levels(each.planes, kind) for each, kind in zip((frame, clean), conversions, strict=True))
        figures.look(frame, *(luma[: info.height, : info.width] for luma in levels))
        looked.append(pair)
        on_event(meter.tick())
    if not looked:
        raise none_decoded(f"{info.path}: none of its frames that {after.info.path} shows")
    wanted = excerpts([frame.amount for frame in figures.frames], most=_MOST, length=_LENGTH)
    total = sum(map(len, wanted))
    shown = []
    for each in wanted:
        chosen = Chosen(looked[each.start : each.stop], figures.frames[each.start : each.stop])
        shown.append(_excerpt(before, after, chosen, small, VIDEO_BYTES // total, patience_s))
    line = made_by_in(read_facts(after.info.path, [after.info.stream_index]).tags)
    said = read_line(line)
    return Content(
        title=f"{after.info.path.name}: what changed",
        facts=[
            *made_facts(line),
            *facts_of(info),
            ("clean file", readable(after.info.path.name)),
            ("its picture", f"{after.info.codec} {after.info.width}x{after.info.height} {after.info.pix_fmt}"),
            ("frames compared", str(len(looked))),
        ],
        note=_NOISY if is_noisy else _EXACT,
        time_base=str(info.time_base),
        config=settings_behind(said, () if said is None else _guesses(before, after, said.model, options)),
        excerpts=shown,
        figures=figures,
    )


def _frames(
    before: Video, after: Video, pairs: Pairs, patience_s: float
) -> Iterator[tuple[tuple[int, int], tuple[Frame, Frame]]]:
    """Pairs of numbers and of frames, in order; pairs of which one does not decode are left out."""
    if not pairs:
        return
    (i, j), *_ = pairs
    with closing(_watched(before, i, patience_s)) as ours, closing(_watched(after, j, patience_s)) as theirs:
        own, other = next(ours, None), next(theirs, None)
        for i, j in pairs:
            while own is not None and own.index < i:
                own = next(ours, None)
            while other is not None and other.index < j:
                other = next(theirs, None)
            if own is None or other is None:
                return
            if own.index == i and other.index == j:
                yield (i, j), (own, other)


def _watched(video: Video, first: int, patience_s: float) -> Generator[Frame, None, None]:
    watchdog = Watchdog(video.info.path, patience_s)
    return watchdog.ahead(video.frames(first), _AHEAD, "decode", video.decoded.place)


def _excerpt(
    before: Video, after: Video, chosen: Chosen, small: Path, bytes_per_frame: int, patience_s: float
) -> Excerpt:
    """The chosen frames, decoded once more. bytes_per_frame: of video."""
    frames: list[Frame] = []
    first = chosen.shown[0].pts
    with proxy(small, before.info, first_pts=first, bytes_per_frame=bytes_per_frame) as writer:
        for _, (frame, clean) in _frames(before, after, chosen.pairs, patience_s):
            write_pair(writer, frame, clean, before.info, after.info)
            frames.append(replace(frame, planes=()))
    return excerpt_of(chosen.shown, frames, before.info, small)
