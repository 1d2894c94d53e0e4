"""render_rain(): rain laid on one video, from source to finished outputs.

render_rain("dry.mp4", "rainy.mp4", options=RainOptions(rate=25.0, exposure="1/250", seed=1))
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from vidrain import __version__
from vidrain.errors import InputError, UsageError
from vidrain.events import FileDone, Meter, Notice, OnEvent, RainPlan, ignore
from vidrain.identity import identity_of
from vidrain.layer_videos import VideoExport
from vidrain.layers import subtract
from vidrain.missing import missing_in, none_decoded
from vidrain.outputs import claimed, publish_all
from vidrain.rain.composite import Painted, Painter
from vidrain.rain.plan import MAP_DEPTH, RainJob, RainOptions, plan_rain
from vidrain.stream import prefetch
from vidrain.types import Frame, Layers
from vidrain.video.color import conversion_for, stored, to_codes, to_rgb, upright
from vidrain.video.decode import open_video
from vidrain.video.index import video_tracks
from vidrain.video.mux import StreamCopy
from vidrain.video.verify import verify
from vidrain.watchdog import Watchdog

_DECODED_AHEAD, _RAINED_AHEAD, _PACKETS_AHEAD = 4, 2, 8


class Rained(NamedTuple):
    """One frame: its layers, O the rainy picture and B the dry one, and what rain did to it."""

    layers: Layers
    painted: Painted


@dataclass(frozen=True, kw_only=True)
class RainReport:
    """What was done. outputs: role -> file; status: partial where frames of the source did not decode."""

    source: Path
    outputs: dict[str, Path]
    status: Literal["ok", "partial"]
    frames: int
    made_by: str
    notices: tuple[Notice, ...]
    seconds: float


def render_rain(
    source: str | Path, output: str | Path, *, options: RainOptions | None = None, on_event: OnEvent = ignore
) -> RainReport:
    """Lay rain on one video and keep everything else: times, sound and all other streams.

    source: a video file, never touched; output: the rainy video. The same options give the same pixels. All outputs
    appear under their names together, finished and verified, or not at all. Raises VidrainError.
    """
    began, options, path = monotonic(), options or RainOptions(), Path(source)
    if not options.video.isdecimal():
        raise UsageError(f"video={options.video}: rain is laid on one at a time; allowed: 0, 1, ...")
    watchdog = Watchdog(path, options.stall_s)
    watchdog.opened(lambda _: video_tracks(path))  # says what is wrong with a file that cannot be opened
    before = watchdog.opened(lambda _: identity_of(path))  # and only then is it read: it may change meanwhile
    video = watchdog.opened(lambda pulse: open_video(path, track=int(options.video), beat=pulse.beat))
    job = watchdog.opened(lambda _: plan_rain(video, Path(output), options))
    with ExitStack() as stack:
        claims = {
            role: stack.enter_context(claimed(target, force=options.force)) for role, target in job.targets.items()
        }
        on_event(_plan_event(job))
        for notice in job.base.notices:
            on_event(notice)
        partials = {role: claim.partial for role, claim in claims.items()}
        rows, exports = _write(job, partials, on_event)
        findings = {role: verify(partials[role], export.expected) for role, export in exports.items()}
        missing = missing_in(video, job.base.kept, exports["rainy"].expected.copied.values())
        if "params" in claims:
            claims["params"].write(_parameters(job, rows))
        if watchdog.opened(lambda _: identity_of(path)) != before:
            raise InputError(f"{path}: changed while it was read; nothing was kept, try again")
        publish_all(claims.values())
    for notice in missing.notices():
        on_event(notice)
    report = RainReport(
        source=path,
        outputs=job.targets,
        status="partial" if missing else "ok",
        frames=len(rows),
        made_by=job.made_by,
        notices=(*job.base.notices, *missing.notices()),
        seconds=monotonic() - began,
    )
    on_event(_done_event(report, job, exports["rainy"], is_exact=findings["rainy"].pts_equal))
    return report


def rained(frames: Iterable[Frame], job: RainJob) -> Iterator[Rained]:
    """Rain on every frame, in order; it moves on with their times. A sample that rain does not touch stays as it is."""
    info = job.base.video.info
    conversion, painter, last = conversion_for(info), None, None
    for frame in frames:
        rgb = upright(to_rgb(frame.planes, conversion), info.display_matrix).numpy()
        if painter is None:
            painter = Painter(job.setting((rgb.shape[1], rgb.shape[2])))
        painted = painter.paint(rgb, float((frame.pts - (frame.pts if last is None else last)) * info.time_base))
        last = frame.pts
        added = stored(torch.from_numpy(-painted.added), info.display_matrix)
        rainy = subtract(frame.planes, to_codes(added, conversion), info.layout.depth)
        observed = Frame(rainy, frame.pts, frame.duration, frame.index, frame.picture_type)
        yield Rained(Layers(observed, frame.planes), painted)


def _write(
    job: RainJob, partials: Mapping[str, Path], on_event: OnEvent
) -> tuple[list[dict[str, Any]], dict[str, VideoExport]]:
    """Decode, lay on rain and encode: a thread each. Returns a row for each frame, and the finished exports."""
    base, meter = job.base, Meter(len(job.base.kept))
    rows: list[dict[str, Any]] = []
    with ExitStack() as stack:
        exports = {role: stack.enter_context(export) for role, export in _exports(job, partials)}
        frames = base.watchdog.ahead(_kept(job), _DECODED_AHEAD, "decode", base.video.decoded.place)
        decoded = stack.enter_context(closing(frames))
        done = stack.enter_context(closing(prefetch(rained(decoded, job), _RAINED_AHEAD, "rain")))
        for each in done:
            for role, export in exports.items():
                export.write(_shown(role, each, job))
            rows.append(_row(each))
            on_event(meter.tick())
        if not rows:
            raise none_decoded(f"{base.video.info.path}: none of its {len(base.kept)} frames")
    return rows, exports


def _kept(job: RainJob) -> Iterator[Frame]:
    for frame in job.base.video.frames(job.base.kept.start):
        if frame.index >= job.base.kept.stop:
            return
        yield frame


def _exports(job: RainJob, partials: Mapping[str, Path]) -> Iterator[tuple[str, VideoExport]]:
    """Role and export, opened one by one: where the next cannot be, those before it are closed by their owner."""
    base = job.base
    shift = round(base.span.shift / base.video.info.time_base) if base.span else 0
    copy = base.watchdog.opened(
        lambda pulse: StreamCopy(
            base.video.info,
            base.copy,
            span=base.span,
            beat=pulse.beat,
            ahead=lambda packets: base.watchdog.ahead(packets, _PACKETS_AHEAD, "copy", lambda: ""),
        )
    )
    for role, output in job.outputs.items():
        carried = copy if role == "rainy" else None
        yield role, VideoExport(partials[role], output.plan, output.picked, shift=shift, copy=carried)


def _shown(role: str, each: Rained, job: RainJob) -> Layers:
    """What the export of this role gets to see: layers, or a map in their place."""
    if role not in ("streaks", "veil"):
        return each.layers
    numbers = each.painted.opacity if role == "streaks" else each.painted.transmission
    turned = stored(torch.from_numpy(numbers), job.base.video.info.display_matrix).numpy()
    plane: npt.NDArray[np.uint16] = np.rint(np.clip(turned, 0, 1) * ((1 << MAP_DEPTH) - 1)).astype(np.uint16)
    frame = each.layers.frame
    return Layers(Frame((plane,), frame.pts, frame.duration, frame.index), (plane,))


def _row(each: Rained) -> dict[str, Any]:
    frame, painted = each.layers.frame, each.painted
    return {"frame": frame.index, "pts": frame.pts, **painted.counts}


def _parameters(job: RainJob, rows: list[dict[str, Any]]) -> bytes:
    """What made the rain, to make it again, and what it held in every frame."""
    info = job.base.video.info
    facts = {
        "v": 1,
        "vidrain": __version__,
        "made_by": job.made_by,
        "source": info.path.name,
        "time_base": str(info.time_base),
        **job.facts(),
        "kept": [job.base.kept.start, job.base.kept.stop],
        "frames": rows,
    }
    return (json.dumps(facts, indent=1, default=str) + "\n").encode()


def _plan_event(job: RainJob) -> RainPlan:
    info, rainy = job.base.video.info, job.outputs["rainy"]
    return RainPlan(
        source=str(info.path),
        outputs={role: str(path) for role, path in job.targets.items()},
        made_by=job.made_by,
        seed=job.options.seed,
        encoder=rainy.plan.encoder,
        width=info.width,
        height=info.height,
        frames=len(job.base.kept),
    )


def _done_event(report: RainReport, job: RainJob, rainy: VideoExport, *, is_exact: bool) -> FileDone:
    own = job.base.video.info.stream_index
    return FileDone(
        status=report.status,
        outputs={role: str(path) for role, path in report.outputs.items()},
        frames_in=len(job.base.kept),
        frames_out=report.frames,
        frames_repeated=0,
        pts_equal=is_exact,
        streams=[copied.kind for index, copied in rainy.expected.copied.items() if index != own],
        seconds=report.seconds,
    )
