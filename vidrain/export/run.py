"""export_clip(): one video to a folder of arrays with a frame table and a manifest; what was begun goes on.

report = export_clip("clip.mp4", "clip.export", options=ExportOptions(format="zarr"))
"""

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np

from vidrain.amount import rain_amount
from vidrain.conceal import refuse_missing, unbroken
from vidrain.decompose import failed_frames, tolerated
from vidrain.errors import InputError, OutputError
from vidrain.events import ExportDone, ExportStart, Meter, Notice, OnEvent, ignore
from vidrain.export.formats import open_store
from vidrain.export.journal import Journal
from vidrain.export.plan import COLUMNS, MANIFEST, TABLE, ExportOptions, ExportPlan, plan_export
from vidrain.export.space import LAYERS, Samples, rain_of
from vidrain.export.stores import Shard, Shelf, Store, Times
from vidrain.job import CleanOptions
from vidrain.missing import Missing, missing_in
from vidrain.outputs import claimed_folder, sync
from vidrain.provenance import TAG
from vidrain.tables import require_parquet, write_csv, write_parquet
from vidrain.types import Layers
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
    require_parquet()
    plan = plan_export(path, options)
    read_at = path.stat().st_mtime_ns
    with claimed_folder(target, force=options.clean.force, mark=MANIFEST) as claim:
        journal = _begun(claim.partial, plan, target)
        resumed = journal.begin() * plan.per_shard
        on_event(_start_event(plan, target, resumed))
        shelf = Shelf(
            *(claim.partial, plan.arrays, plan.per_shard, len(plan.part.kept)),
            info=plan.part.video.info,
            tags={TAG: plan.part.made_by},
        )
        store = open_store(options.format, shelf, "w")
        _fill(plan, store, journal, on_event)
        if path.stat().st_mtime_ns != read_at:
            raise InputError(f"{path}: changed while it was read; start again with --force")
        missing = missing_in(plan.part.video, plan.part.kept)
        if options.clean.on_bad_frame == "fail":
            refuse_missing(path, missing)
        frames = _finish(claim.partial, plan, store, journal, {"command": command, "missing": missing.picture})
        untouched = [row["frame"] for row in journal.rows() if row["untouched"]]
        journal.remove()
        claim.publish()
    report = ExportReport(
        source=path,
        folder=target,
        status="partial" if missing else "ok",
        frames=frames,
        resumed=min(resumed, frames),
        missing=missing,
        seconds=monotonic() - began,
        notices=(*failed_frames(untouched), *missing.notices()),
    )
    for notice in report.notices:
        on_event(notice)
    on_event(_done_event(report))
    return report


def _begun(partial: Path, plan: ExportPlan, target: Path) -> Journal:
    """The journal of what lies in `partial` already; what was begun by another plan is dropped only with force."""
    journal = Journal(partial, plan.facts)
    if journal.matches:
        return journal
    if not plan.options.clean.force:
        raise OutputError(
            f"{target}: another export was begun there ({partial.name}); finish it with its own command, or use "
            "--force to drop it"
        )
    for item in partial.iterdir():
        if item.is_dir():
            shutil.rmtree(item)
        elif item.name != ".lock":
            item.unlink()
    return Journal(partial, plan.facts)


def _fill(plan: ExportPlan, store: Store, journal: Journal, on_event: OnEvent) -> None:
    """Decode, decompose and store all shards that the journal does not have."""
    decoded, following, place = plan.part.video.decoded, plan.part.kept.start, 0
    for row in journal.rows():
        decoded.frames[row["frame"]] = True
        following, place = row["frame"] + 1, place + 1
    wanted = range(following, plan.part.kept.stop)
    meter = Meter(len(wanted))
    if not wanted:
        return
    clean = plan.options.clean
    # what a model remembers of a shot begins with the export, not with what is left of it
    computed = plan.part.kept if _remembers(clean, plan.part.model) else wanted
    with plan.part.separated(computed) as layers:
        found: Iterator[Layers] = (item for item in layers if item.frame.index in wanted)
        if clean.on_bad_frame == "fail":
            found = unbroken(found, plan.part.video.info, plan.part.video.index, wanted)
        found = tolerated(found, len(plan.part.kept), [])
        for shard, rows in _shards(found, plan, place):
            for file in store.write(shard):
                sync(file)
            journal.note(rows)
            for _ in rows:
                on_event(meter.tick())


def _remembers(clean: CleanOptions, model: str) -> bool:
    return model == "nlcl" and clean.nlcl.statistics == "frozen"


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
            "rain": rain_amount(item.rain, conversion),
            "untouched": item.is_untouched,
        }
        row |= {f"sha256_{layer}": _digest(samples) for layer, samples in parts.items()}
        yield [part for layer in plan.options.layers for part in parts[layer]], row


def _digest(parts: Sequence[Samples]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()


def _finish(folder: Path, plan: ExportPlan, store: Store, journal: Journal, more: dict[str, Any]) -> int:
    """Tables, what the store leaves to the end, and the manifest; returns how many frames there are."""
    shown = [(int(row["pts"]), int(row["duration"])) for row in journal.rows()]
    if not shown:
        raise InputError(f"{plan.part.video.info.path}: none of its {len(plan.part.kept)} frames could be decoded")
    times = Times([pts for pts, _ in shown], [duration for _, duration in shown], plan.part.video.info.time_base)
    store.finish(times)
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
