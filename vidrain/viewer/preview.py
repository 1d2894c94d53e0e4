"""write_preview(): a few seconds of a video before and after, to look at before an hour is spent on it.

write_preview("clip.mp4", "clip.preview.html", at="0:01:12", seconds=5)
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

from vidrain.errors import InputError, UsageError
from vidrain.events import Meter, OnEvent, PageDone, PagePlan, ignore
from vidrain.job import CleanOptions
from vidrain.outputs import claimed, refuse_clashes
from vidrain.part import Part, plan_part
from vidrain.span import frame_at
from vidrain.types import Frame, VideoInfo
from vidrain.video.color import conversion_for, to_rgb, upright
from vidrain.viewer.figures import Figures, Shown, luma_levels
from vidrain.viewer.page import Content, Excerpt, write_page
from vidrain.viewer.proxy import Proxy, proxy, size_of

VIDEO_BYTES = 12_000_000  # of a page: as text a third more, and a page is to stay below 20 MB
LONGEST_S = 60.0

_EXACT = "Mean of what rain added to luma, as a share of its range; from the layers themselves, before any encoder."


def write_preview(
    clip: str | Path,
    output: str | Path | None = None,
    *,
    at: str = "0",
    seconds: float = 5.0,
    options: CleanOptions | None = None,
    on_event: OnEvent = ignore,
) -> Path:
    """Clean a few seconds of `clip` and write a page to look at them; returns its path.

    output: `CLIP.preview.html` beside the clip by default; at: the first frame, as `--start` of `clean`; seconds: above
    0, up to 60. Raises VidrainError.
    """
    path, options = Path(clip), options or CleanOptions()
    if not 0 < seconds <= LONGEST_S:
        raise UsageError(f"--seconds {seconds:g}: allowed are seconds above 0, up to {LONGEST_S:g}")
    target = Path(output) if output is not None else path.with_name(f"{path.stem}.preview.html")
    part = _limited(plan_part(path, replace(options, start=at), what="a preview"), seconds)
    refuse_clashes(path, [target])
    with claimed(target, force=options.force) as claim:
        on_event(PagePlan(source=str(path), output=str(target), frames=len(part.kept)))
        write_page(_content(part, on_event), claim.partial)
        claim.publish()
    on_event(PageDone(output=str(target), size=target.stat().st_size))
    return target


def _limited(part: Part, seconds: float) -> Part:
    """The part, but no longer than so many seconds."""
    pts, base = part.video.index.pts, part.video.info.time_base
    start = part.kept.start
    length = Fraction(int(pts[start]) - int(pts[0])) * base + Fraction(str(seconds))
    stop = frame_at(f"{float(length):.6f}s", part.video.index, base)
    return replace(part, kept=range(start, max(min(stop, part.kept.stop), start + 1)))


def _content(part: Part, on_event: OnEvent) -> Content:
    info, kept = part.video.info, part.kept
    conversion = conversion_for(info)
    figures, meter, frames = Figures(info.time_base, is_noisy=False), Meter(len(kept)), list[Frame]()
    with TemporaryDirectory(prefix="vidrain-") as folder:
        small = Path(folder) / "proxy.mp4"
        first = int(part.video.index.pts[kept.start])
        writing = proxy(small, info, first_pts=first, bytes_per_frame=VIDEO_BYTES // len(kept))
        with part.separated() as layers, writing as writer:
            for item in layers:
                before, after = item.frame.planes, item.background
                figures.look(item.frame, *(luma_levels(planes[0], conversion) for planes in (before, after)))
                write_pair(writer, item.frame, replace(item.frame, planes=after), (info, info))
                frames.append(replace(item.frame, planes=()))
                on_event(meter.tick())
            if not frames:
                raise InputError(f"{info.path}: none of its {len(kept)} frames there could be decoded")
        shown = excerpt_of(figures.frames, frames, info, small)
    return Content(
        title=f"Preview of {info.path.name}",
        facts=[
            ("made by", f"vidrain {part.made_by}"),
            ("model", part.model),
            *facts_of(info),
            ("shown", f"frames {kept.start} to {kept.stop - 1} of {len(part.video.index.pts)}"),
        ],
        note=_EXACT,
        time_base=str(info.time_base),
        config=json.dumps(part.config, indent=2, default=str),
        excerpts=[shown],
        figures=figures,
    )


def write_pair(writer: Proxy, before: Frame, after: Frame, infos: tuple[VideoInfo, VideoInfo]) -> None:
    """One frame of a proxy. infos: facts of the videos that the two frames are of; `after` may be padded."""
    pictures = [
        upright(to_rgb(frame.planes, conversion_for(info))[:, : infos[0].height, : infos[0].width], info.display_matrix)
        for frame, info in zip((before, after), infos, strict=True)
    ]
    writer.write(pictures[0], pictures[1], before.pts, before.duration)


def excerpt_of(shown: Sequence[Shown], frames: Sequence[Frame], info: VideoInfo, small: Path) -> Excerpt:
    """What the page needs of the proxy at `small`. shown, frames: the same frames in order."""
    durations = [float(frame.duration * info.time_base) for frame in frames]
    return Excerpt(shown, durations, small.read_bytes(), size_of(info))


def facts_of(info: VideoInfo) -> list[tuple[str, str]]:
    """What a viewer may want to know of the source."""
    found = [("source", info.path.name), ("picture", f"{info.codec} {info.width}x{info.height} {info.pix_fmt}")]
    if info.color.transfer in (16, 18):  # ISO/IEC 23091-2: PQ, HLG
        found.append(("note", "HDR: the small copies here show its codes as they are, paler than on an HDR display"))
    return found
