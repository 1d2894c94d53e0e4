"""export_clip(): one video to a folder of arrays with a frame table and a manifest; what was begun goes on.

report = export_clip("clip.mp4", "clip.export", options=ExportOptions(format="zarr"))
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np

from vidrain.amount import rain_amount
from vidrain.conceal import refuse_missing, unbroken
from vidrain.errors import OutputError
from vidrain.events import ExportDone, ExportStart, Meter, Notice, OnEvent, ignore
from vidrain.export.journal import Journal, remove_journal
from vidrain.export.names import LAYERS
from vidrain.export.plan import COLUMNS, MANIFEST, TABLE, ExportOptions, ExportPlan, plan_export
from vidrain.export.space import Samples, rain_of
from vidrain.export.stores import Shard, Times, ToWrite, Writer
from vidrain.missing import Missing, none_decoded
from vidrain.outputs import FolderClaim, claimed_folder, refuse_within, sync, written
from vidrain.provenance import TAG
from vidrain.tables import write_csv, write_parquet
from vidrain.types import Layers
from vidrain.untouched import failed_frames, tolerated
from vidrain.video.color import conversion_for

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What was done. resumed: frames that an earlier run had done; missing: what of the source did not decode."""

    source: Path
    folder: Path
    status: Literal["ok", "partial"]
    frames: int
    resumed: int
    missing: Missing
    notices: tuple[Notice, ...]
    seconds: float


def export_clip(
    source: str | Path,
    folder: str | Path,
    *,
    options: ExportOptions | None = None,
    command: str | None = None,
    on_event: OnEvent = ignore,
) -> ExportReport:
    """Take one video apart and store O, B and R of every frame as integers, O = B + R, in `folder`.

    The folder gets its name when it is finished; until then it grows in `.FOLDER.partial`, from where the same call
    goes on. command: how it was asked for, for the manifest. Raises VidrainError.
    """
    began, options, path, target = monotonic(), options or ExportOptions(), Path(source), Path(folder)
    refuse_within(path, target)
    plan = plan_export(path, options)
    with claimed_folder(target, force=options.clean.force, mark=MANIFEST) as claim, _begun(claim, plan) as journal:
        resumed = journal.frames
        on_event(_start_event(plan, target, resumed))
        with written(target):
            writer = plan.format.writer(_to_write(plan, claim.partial))
        _fill(plan, writer, journal, claim, on_event)
        missing = plan.part.missing("start again with --force")
        if options.clean.on_bad_frame == "fail":
            refuse_missing(path, missing)
        with written(target):
            frames = _finish(claim.partial, plan, writer, journal, {"command": command, "missing": missing.picture})
        untouched = [row["frame"] for row in journal.rows() if row["untouched"]]
        claim.publish()
        remove_journal(claim.target)
    report = ExportReport(
        source=path,
        folder=target,
        status="partial" if missing else "ok",
        frames=frames,
        resumed=resumed,
        missing=missing,
        seconds=monotonic() - began,
        notices=(*failed_frames(untouched), *missing.notices()),
    )
    for notice in report.notices:
        on_event(notice)
    on_event(_done_event(report))
    return report


@contextmanager
def _begun(claim: FolderClaim, plan: ExportPlan) -> Iterator[Journal]:
    """The journal of what lies in the claimed folder; what was begun by another plan is dropped only with force.

    The folder is removed where not one shard is done in the end: nothing could go on from there.
    """
    journal = Journal(claim.partial, plan.facts)
    if journal.frames and not (journal.matches or plan.options.clean.force):
        raise OutputError(
            f"{claim.target}: another export was begun there ({claim.partial.name}); finish it with its own command, "
            "or use --force to drop it"
        )
    with written(claim.target):
        if not (journal.frames and journal.matches):
            claim.clear()
        journal.begin()
    try:
        yield journal
    finally:
        if not (claim.is_published or journal.frames):
            claim.discard()


def _to_write(plan: ExportPlan, folder: Path) -> ToWrite:
    return ToWrite(
        folder=folder,
        arrays=plan.arrays,
        per_shard=plan.per_shard,
        frames=len(plan.part.kept),
        info=plan.part.video.info,
        tags={TAG: plan.part.made_by},
    )


def _fill(plan: ExportPlan, writer: Writer, journal: Journal, claim: FolderClaim, on_event: OnEvent) -> None:
    """Decode, decompose and store all shards that the journal does not have."""
    part, following, place = plan.part, plan.part.kept.start, 0
    for row in journal.rows():
        part.video.decoded.frames[row["frame"]] = True
        following, place = row["frame"] + 1, place + 1
    wanted = range(following, part.kept.stop)
    meter = Meter(len(wanted))
    if not wanted:
        return
    # what a model remembers of a shot begins with the export, not with what is left of it
    with part.separated(part.kept if part.decomposer.remembers else wanted) as layers:
        found: Iterator[Layers] = (item for item in layers if item.frame.index in wanted)
        if plan.options.clean.on_bad_frame == "fail":
            found = unbroken(found, part.video.info, part.video.index, wanted)
        found = tolerated(found, len(part.kept), [])
        for shard, rows in _shards(found, plan, place):
            with written(claim.target):
                for file in writer.write(shard):
                    sync(file)
                journal.note(rows)
            for _ in rows:
                on_event(meter.tick())


def _shards(layers: Iterator[Layers], plan: ExportPlan, place: int) -> Iterator[tuple[Shard, list[Row]]]:
    """Shards in order and the rows of their frames; holds one."""
    keys = np.isin(plan.part.video.index.pts, plan.part.video.index.keys)
    while batch := list(islice(_measured(layers, plan, keys), plan.per_shard)):
        samples, rows = zip(*batch, strict=True)
        blocks = {array.name: np.stack([each[number] for each in samples]) for number, array in enumerate(plan.arrays)}
        yield Shard(place, tuple(row["frame"] for row in rows), blocks), list(rows)
        place += len(batch)


def _measured(
    layers: Iterator[Layers], plan: ExportPlan, keys: np.ndarray[Any, np.dtype[np.bool_]]
) -> Iterator[tuple[list[Samples], Row]]:
    """Samples of every frame in the order of the arrays, and its row of the table."""
    conversion, base = conversion_for(plan.part.video.info), plan.part.video.info.time_base
    for item in layers:
        observed, background = plan.space.samples(item.frame.planes), plan.space.samples(item.background)
        parts = dict(zip(LAYERS, (observed, background, rain_of(observed, background)), strict=True))
        frame = item.frame
        row: Row = {
            "frame": frame.index,
            "pts": frame.pts,
            "time_base": str(base),
            "seconds": float(frame.pts * base),
            "keyframe": bool(frame.index < len(keys) and keys[frame.index]),
            "picture_type": frame.picture_type,
            "duration": frame.duration,
            "rain": rain_amount(item, conversion),
            "untouched": item.is_untouched,
        }
        row |= {f"sha256_{layer}": _digest(samples) for layer, samples in parts.items()}
        yield [part for layer in plan.options.layers for part in parts[layer]], row


def _digest(parts: Sequence[Samples]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _finish(folder: Path, plan: ExportPlan, writer: Writer, journal: Journal, more: dict[str, Any]) -> int:
    """Tables, what the store leaves to the end, and the manifest; returns how many frames there are."""
    shown = [(int(row["pts"]), int(row["duration"])) for row in journal.rows()]
    if not shown:
        raise none_decoded(f"{plan.part.video.info.path}: none of its {len(plan.part.kept)} frames")
    times = Times([pts for pts, _ in shown], [duration for _, duration in shown], plan.part.video.info.time_base)
    writer.finish(times)
    write_csv(journal.rows(), COLUMNS, folder / f"{TABLE}.csv")
    write_parquet(journal.rows(), COLUMNS, folder / f"{TABLE}.parquet")
    manifest = plan.facts | {"frames": len(times.pts)} | more
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    for name in (f"{TABLE}.csv", f"{TABLE}.parquet", MANIFEST):
        sync(folder / name)
    return len(times.pts)


def _start_event(plan: ExportPlan, target: Path, resumed: int) -> ExportStart:
    info = plan.part.video.info
    return ExportStart(
        source=str(info.path),
        output=str(target),
        model=plan.part.model,
        made_by=plan.part.made_by,
        format=plan.options.format,
        space=plan.options.space,
        layers=list(plan.options.layers),
        width=info.width,
        height=info.height,
        resumed=resumed,
        frames=len(plan.part.kept),
    )


def _done_event(report: ExportReport) -> ExportDone:
    return ExportDone(
        status=report.status,
        output=str(report.folder),
        frames=report.frames,
        resumed=report.resumed,
        seconds=report.seconds,
    )
