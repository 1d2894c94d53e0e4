"""write_preview(): a few seconds of a video before and after, to look at before an hour is spent on it.

write_preview("clip.mp4", "clip.preview.html", at="0:01:12", seconds=5)
"""

from bisect import bisect_left
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from math import ceil
from pathlib import Path

from vidrain.errors import InputError, UsageError
from vidrain.events import Meter, OnEvent, PageDone, PagePlan, ignore
from vidrain.job import CleanOptions
from vidrain.missing import Missing
from vidrain.naming import beside
from vidrain.outputs import claimed, refuse_clashes
from vidrain.part import Part, plan_part
from vidrain.types import Frame
from vidrain.video.color import conversion_for
from vidrain.viewer.figures import Figures, luma_levels
from vidrain.viewer.made import made_facts
from vidrain.viewer.page import VIDEO_BYTES, Content, excerpt_of, facts_of, settings_text, write_page
from vidrain.viewer.proxy import proxy, write_pair

LONGEST_S = 60.0
MOST_FRAMES = 7200  # a minute of 120 a second: of more, x264 cannot make noise small enough for a page

_EXACT = "Mean of what rain added to luma, as a share of its range; from the layers themselves, before any encoder."


@dataclass(frozen=True)
class Preview:
    """A page that was written. missing: what of the frames that it is about did not decode."""

    page: Path
    missing: Missing


def write_preview(
    clip: str | Path,
    output: str | Path | None = None,
    *,
    at: str = "0",
    seconds: float = 5.0,
    options: CleanOptions | None = None,
    on_event: OnEvent = ignore,
) -> Preview:
    """Clean a few seconds of `clip` and write a page to look at them.

    output: `CLIP.preview.html` beside the clip by default; at: the first frame, as `--start` of `clean`; seconds: above
    0, up to 60. Raises VidrainError.
    """
    path, options = Path(clip), options or CleanOptions()
    if not 0 < seconds <= LONGEST_S:
        raise UsageError(f"--seconds {seconds:g}: allowed are seconds above 0, up to {LONGEST_S:g}")
    if options.start is not None or options.end is not None:
        raise UsageError("start and end mean nothing for a preview; its part is chosen by --at and --seconds")
    target = Path(output) if output is not None else beside(path, ".preview.html")
    whole = plan_part(path, replace(options, start=at), what="a preview", named=("--at",))
    part = _limited(whole, Fraction(str(seconds)))
    if len(part.kept) > MOST_FRAMES:
        few = f"a page shows {MOST_FRAMES} at most; take --seconds {MOST_FRAMES / len(part.kept) * seconds * 0.99:.3g}"
        raise UsageError(f"--seconds {seconds:g}: are {len(part.kept)} frames there, {few}")
    refuse_clashes(path, [target])
    with claimed(target, force=options.force) as claim:
        on_event(PagePlan(source=str(path), output=str(target), frames=len(part.kept)))
        content = _content(part, claim.partial, on_event)
        missing = part.missing()
        warnings = [notice.message for notice in missing.notices()]
        write_page(replace(content, warnings=warnings), claim.partial)
        claim.publish()
    for notice in missing.notices():
        on_event(notice)
    on_event(PageDone(output=str(target), size=target.stat().st_size))
    return Preview(target, missing)


def _limited(part: Part, seconds: Fraction) -> Part:
    """The part, but no longer than so many seconds; one frame at least."""
    pts, start = part.video.index.pts, part.kept.start
    stop = bisect_left(pts, ceil(int(pts[start]) + seconds / part.video.info.time_base))
    return replace(part, kept=range(start, max(stop, start + 1)))


def _content(part: Part, small: Path, on_event: OnEvent) -> Content:
    """What the page shows. small: where its video is made; nobody else writes there, and it may go."""
    info, kept = part.video.info, part.kept
    conversion = conversion_for(info)
    figures, meter, frames = Figures(info.time_base, is_noisy=False), Meter(len(kept)), list[Frame]()
    with part.separated() as layers, ExitStack() as stack:
        first = next(layers, None)
        if first is None:
            raise InputError(f"{info.path}: none of its {len(kept)} frames there could be decoded; choose another --at")
        pts = first.frame.pts  # the page counts from the first frame that it shows
        writing = proxy(small, info, first_pts=pts, bytes_per_frame=VIDEO_BYTES // len(kept))
        writer = stack.enter_context(writing)
        for item in chain([first], layers):
            before, after = item.frame.planes, item.background
            figures.look(item.frame, *(luma_levels(planes, conversion) for planes in (before, after)))
            write_pair(writer, item.frame, replace(item.frame, planes=after), info, info)
            frames.append(replace(item.frame, planes=()))
            on_event(meter.tick())
    shown = excerpt_of(figures.frames, frames, info, small)
    return Content(
        title=f"Preview of {info.path.name}",
        facts=[
            *made_facts(part.made_by),
            *facts_of(info),
            ("shown", f"frames {kept.start} to {kept.stop - 1} of {len(part.video.index.pts)}"),
        ],
        note=_EXACT,
        time_base=str(info.time_base),
        config=settings_text(part.config),
        excerpts=[shown],
        figures=figures,
    )
