"""write_batch_report(): a folder of outputs on one page: every file, what became of it, and what it looks like.

write_batch_report(Path("clean"), Path("clean.report.html"), force=False)
"""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

from vidrain.batch.journal import DONE, FOLDER, Journal, Record
from vidrain.batch.plan import OF_ONE_FILE, File, from_json
from vidrain.batch.states import end_of, ends_of, states_of
from vidrain.batch_lines import readable
from vidrain.errors import OutputError, UsageError, VidrainError
from vidrain.events import Meter, OnEvent, PageDone, PagePlan, ignore
from vidrain.naming import beside
from vidrain.outputs import claimed, refuse_clashes
from vidrain.stream import patiently
from vidrain.video.decode import open_video
from vidrain.viewer.overview import Made, Row, overview_of
from vidrain.viewer.page import VIDEO_BYTES, is_page_of, name_of, settings_text
from vidrain.viewer.thumbnail import thumbnail

_RAIN = "Rain: mean of what it added to luma, as a share of its range; the curves over time have one scale in common."
_HARDLY_S = 2.0
_MOST_MADE = 20  # lines, and settings: a manifest may give each file its own


def write_batch_report(
    out: str | Path, page: str | Path | None = None, *, force: bool = False, on_event: OnEvent = ignore
) -> Path:
    """Write a page about the batch in `out`, as its journal has it now; returns its path.

    page: `OUT.report.html` beside the folder by default. Raises VidrainError.
    """
    folder = Path(out)
    journal = Journal(folder)
    plan = journal.plan()
    if plan is None:
        raise UsageError(f"{folder}: no batch was run there; name a clean file, or the folder of a batch")
    files = from_json(plan)
    target = Path(page) if page is not None else beside(folder.resolve(), ".report.html")
    with claimed(target, force=force) as claim:
        on_event(PagePlan(source=str(folder), output=str(target), frames=len(files)))
        ends = ends_of(files, journal)
        meter, room, rows = Meter(len(files)), VIDEO_BYTES, list[Row]()
        for file in files:
            record = ends.get(file.output)
            pictures = _pictures(file, record, folder) if room > 0 else ()
            room -= sum(map(len, pictures))
            rows.append(_row(file, record, folder, target, pictures))
            on_event(meter.tick())
        states = ", ".join(f"{number} {state}" for state, number in states_of(files, journal).items())
        note = f"{states}. {_RAIN}" if any(row.rain is not None for row in rows) else f"{states}."
        title = f"{folder.resolve().name}: {len(files)} files"
        content = overview_of(title, note, rows, _made(files, ends.values()), of=name_of(folder))
        claim.write(content.encode())
        claim.publish()
    on_event(PageDone(output=str(target), size=target.stat().st_size))
    return target


def refuse_batch_page(page: Path, files: Sequence[File], out: Path, *, force: bool) -> None:
    """Refuse beforehand a page that could not be written once the batch is through. Raises VidrainError."""
    if (out / FOLDER).resolve() in (page.resolve(), *page.resolve().parents):
        raise UsageError(f"{page}: lies where the batch keeps its journal; choose another page")
    if page.resolve() in {(out / path).resolve() for file in files for path in file.targets.values()}:
        raise UsageError(f"{page}: is where a clean video goes; choose another page")
    with suppress(TimeoutError):  # a share that hangs holds no page, and costs its own files alone
        patiently(lambda pulse: _refuse_sources(page, files, pulse.beat), _HARDLY_S, "page")
    if not out.exists() and page.resolve().parent == out.resolve():
        return  # the batch makes that folder
    is_ours = is_page_of(page, out)
    if page.is_file() and not (force or is_ours):
        raise OutputError(f"{page}: exists already, and is no page of this batch; choose another page")
    with claimed(page, force=force or is_ours):
        pass


def _refuse_sources(page: Path, files: Sequence[File], beat: Callable[[], None]) -> None:
    for file in files:
        refuse_clashes(file.source, [page])
        beat()


def _made(files: Sequence[File], records: Iterable[Record]) -> Made:
    """What the files that are done say of themselves, and the settings of all; those of many files first."""
    lines = Counter(record["made_by"] for record in records if "made_by" in record)
    settings = Counter(_settings(file) for file in files)
    return Made(
        lines=[(f"vidrain {line}", count) for line, count in lines.most_common(_MOST_MADE)],
        settings=settings.most_common(_MOST_MADE),
    )


def _settings(file: File) -> str:
    """As a text, less what is of one file alone."""
    common = {name: value for name, value in file.settings.items() if name not in OF_ONE_FILE}
    weights = common["weights"]
    return settings_text(common | {"weights": None if weights is None else Path(weights)})


def _row(file: File, record: Record | None, out: Path, page: Path, pictures: Sequence[bytes]) -> Row:
    href = quote(os.fsencode(os.path.relpath(out / file.output, page.parent)))
    name, source = readable(file.output), readable(file.source.name)
    if record is None:
        return Row(file=name, href=href, source=source, state="waiting")
    end, is_done = end_of(record, str(file.source)), record["state"] in DONE
    return Row(
        file=name,
        href=href,
        source=source,
        state=end.state,
        cause=readable(_without_folders(end.cause.removeprefix(f"{file.source.absolute()}: "), file, out)),
        frames=record.get("frames"),
        seconds=end.seconds if is_done else None,
        source_bytes=record["source_bytes"],
        written_bytes=sum(record["files"].values()) if is_done else None,
        rain=record.get("rain"),
        rain_over_time=record.get("rain_over_time", ()),
        pictures=pictures,
    )


def _without_folders(cause: str, file: File, out: Path) -> str:
    """A page is given to others: where things lie here is none of their business."""
    here = out.absolute()
    for folder in (file.source.absolute().parent, (here / file.output).parent, here):
        cause = cause.replace(f"{folder}/", "")
    return cause


def _pictures(file: File, record: Record | None, out: Path) -> Sequence[bytes]:
    """The middle frame before and after; after alone where the source is gone or only a part of it was cleaned."""
    if record is None or record["state"] not in DONE:
        return ()
    try:
        after = open_video(out / file.output)
        middle = len(after.index.pts) // 2
        shown = [thumbnail(after.frame(middle), after.info)]
    except VidrainError:
        return ()
    try:
        before = open_video(file.source)
        if len(before.index.pts) == len(after.index.pts):
            shown.insert(0, thumbnail(before.frame(middle), before.info))
    except VidrainError:
        pass
    return shown
