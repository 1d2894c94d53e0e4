"""The work of one task, in whatever process it runs.

result = run_task(task, on_event)
"""

import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from socket import gethostname
from typing import Any

from vidrain import __version__
from vidrain.batch.wire import FEW_TRIES, FULL, Result, Task, failed
from vidrain.config import clean_from
from vidrain.device import shortage
from vidrain.errors import (
    FAULT,
    OK,
    PARTIAL,
    BusyError,
    DeviceError,
    InputError,
    NoDeviceError,
    OtherJob,
    SourceLost,
    StallError,
    UsageError,
    VidrainError,
)
from vidrain.events import Notice, OnEvent
from vidrain.identity import identity_of
from vidrain.job import CleanOptions
from vidrain.outputs import receipt
from vidrain.pipeline import clean
from vidrain.report import CleanReport
from vidrain.segments.plan import could_be_finished

_DIGITS = 6  # of rain over time: finer than any curve shows
_TRANSIENT = (BusyError, StallError, SourceLost, DeviceError, NoDeviceError)
_MAKE_WAY = "finish it with its own settings, or remove that folder (--fresh: those of all files that are named)"


def run_task(task: Task, on_event: OnEvent) -> Result:
    """Do the work of a task; never raises but for what ends the process."""
    if task["version"] != __version__:  # here, but perhaps not on the node that gets it next
        cause = f"vidrain {__version__} is installed on {gethostname()}, {task['version']} asked; install the same"
        return failed(UsageError.exit_code, cause, transient=True) | {"tries": FEW_TRIES}
    try:
        return _clean(task, on_event)
    except BusyError as error:
        return failed(error.exit_code, str(error), transient=True) | {"free_in_s": error.free_in_s}
    except OtherJob as error:  # who removes it gives the same command again, and no try of this run finds it gone
        return failed(error.exit_code, f"{error.found}; {_MAKE_WAY}", transient=True) | {"tries": 1}
    except (StallError, NoDeviceError) as error:
        return failed(error.exit_code, str(error), transient=True) | {"tries": FEW_TRIES}
    except VidrainError as error:
        more = {"is_full": is_full(error), "is_unread": isinstance(error, InputError) and _is_unread(task)}
        return failed(error.exit_code, str(error), transient=is_transient(error)) | more
    except Exception as error:
        traceback.print_exc()
        return failed(FAULT, f"{type(error).__name__}: {error}", transient=is_transient(error))


def _is_unread(task: Task) -> bool:
    """Whether the source of a task cannot be read from here at all, whatever it holds."""
    try:
        identity_of(Path(task["source"]))
    except InputError:
        return True
    return False


def is_transient(error: BaseException) -> bool:
    """Whether another try may do better: memory, space, a device or a disk was missing, not the source or the call."""
    return is_full(error) or any(isinstance(each, _TRANSIENT) or shortage(each) is not None for each in _causes(error))


def is_full(error: BaseException) -> bool:
    """Whether there was no room on a disk."""
    return any(isinstance(each, OSError) and each.errno in FULL for each in _causes(error))


def _causes(error: BaseException) -> list[BaseException]:
    """An error and what it came from."""
    chain: list[BaseException] = []
    step: BaseException | None = error
    while step is not None and step not in chain:
        chain.append(step)
        step = step.__cause__ or step.__context__
    return chain


def clean_task(number: str, source: Path, target: Path, settings: Mapping[str, Any], *, replace: bool) -> Task:
    """The task of cleaning one file.

    settings: of `CleanOptions`, nested and plain; replace: whether what stands at the places of its outputs may go.
    """
    return {
        "id": number,
        "version": __version__,
        "gpus": 1 if settings.get("device") == "cuda" else 0,
        "source": str(source.absolute()),
        "target": str(target.absolute()),
        "settings": dict(settings) | {"force": replace},
    }


def _clean(task: Task, on_event: OnEvent) -> Result:
    target = Path(task["target"])
    target.parent.mkdir(parents=True, exist_ok=True)
    with receipt(Path(task["receipt"])) if "receipt" in task else nullcontext():
        report = _cleaned(task["source"], target, clean_from(task["settings"]), on_event)
    left = {str(path): path.stat() for path in report.outputs.values()}
    return {
        "state": "done" if report.status == "ok" else "partial",
        "code": OK if report.status == "ok" else PARTIAL,
        "files": {path: found.st_size for path, found in left.items()},
        "changed": {path: found.st_mtime_ns for path, found in left.items()},
        "frames": report.frames_out,
        "seconds": round(report.seconds, 3),
        "rain": report.rain,
        "rain_over_time": [round(amount, _DIGITS) for amount in report.rain_over_time],
        "made_by": report.made_by,
        "missing": [list(span) for span in report.missing],
        "notes": [notice.message for notice in report.notices],
    }


def _cleaned(source: str, target: Path, options: CleanOptions, on_event: OnEvent) -> CleanReport:
    """`clean`, anew where what was begun can never be finished; what other settings could finish is an OtherJob."""
    try:
        return clean(source, target, options=options, on_event=on_event)
    except OtherJob as error:
        if could_be_finished(error.other, options.device):
            raise
        on_event(Notice(code="anew", message=f"{error.found}, which cannot be finished here; begun anew"))
    return clean(source, target, options=replace(options, fresh=True), on_event=on_event)
