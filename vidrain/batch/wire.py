"""Tasks and their results, as they travel: JSON, in which files are named and no frame ever is.

A task cleans one file. It is an object with `id`, `version`, `gpus` (how many it is to have to itself), and what the
work needs: `source`, `target`, `settings`, `receipt`. Its result has `state` (done, partial or failed), `code` (an
exit code), and for what failed `cause` (one line), `transient` (whether another try may do better), `tries` (how many
are worth it in all, where that is fewer than usual), `is_full` (whether the disk was), `is_unread` (whether the source
could not be read at all where it ran) and `free_in_s` (seconds to wait for who else is at work there, of another host).

Engines know `id` and `gpus` and not the work itself, so that a node that only passes tasks on need not load torch.
"""

import errno
import json
from collections.abc import Mapping
from typing import Any

Task = dict[str, Any]
Result = dict[str, Any]

CRASHED = 1  # what Python itself ends with
FEW_TRIES = 2  # a stall waits out the patience with a source, two minutes; a device may not be in a machine at all
FULL = (errno.ENOSPC, errno.EDQUOT)  # errors of the system that say so


def failed(code: int, cause: str, *, transient: bool) -> Result:
    """The result of a task that came to nothing. cause: any text; it becomes one line."""
    return {"state": "failed", "code": code, "cause": " ".join(cause.split()), "transient": transient}


def as_line(message: Mapping[str, Any]) -> bytes:
    """One message of a worker; names that are no text survive."""
    return json.dumps(message).encode() + b"\n"
