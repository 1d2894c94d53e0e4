"""Runs one command and writes down what it took: `python launch.py RESULT COMMAND...`, by the path of this file.

A process between, because the kernel counts the memory of whoever starts a program as the program's own until it
begins: this one is small, since it imports the standard library alone. It ends, and the command with it, when its
standard input does, so that nothing runs on for a benchmark that was stopped.
"""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from time import monotonic, time

_IDLE = (3, 4)  # columns of /proc/stat: idle, waiting for a disk
_COUNTED = 8  # columns; the rest is in them already


def main() -> None:
    """Run the command, and write a JSON object to RESULT."""
    result, *command = sys.argv[1:]
    busy, began, at = busy_seconds(), monotonic(), time()
    job = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    threading.Thread(target=_end_with_parent, args=(job,), daemon=True).start()
    _, status, used = os.wait4(job.pid, 0)
    seconds = monotonic() - began
    job.returncode = os.waitstatus_to_exitcode(status)
    own = used.ru_utime + used.ru_stime
    others = None if busy is None else max(0.0, (busy_seconds() or busy) - busy - own) / seconds
    found = {
        "code": job.returncode,
        "began": at,
        "seconds": seconds,
        "cpu_s": own,
        "peak_mib": used.ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20),
        "others": others,
    }
    Path(result).write_text(json.dumps(found), encoding="utf-8")


def busy_seconds() -> float | None:
    """CPU time of all cores of this machine that was not idle, since it began; None where no system tells it."""
    try:
        with Path("/proc/stat").open(encoding="ascii") as file:
            ticks = [int(value) for value in file.readline().split()[1:][:_COUNTED]]
    except (OSError, ValueError):
        return None
    return sum(count for column, count in enumerate(ticks) if column not in _IDLE) / os.sysconf("SC_CLK_TCK")


def _end_with_parent(job: "subprocess.Popen[bytes]") -> None:
    while os.read(0, 1):  # a lock of sys.stdin, held by this thread, would be a fatal error when the process ends
        pass
    job.kill()
    os._exit(1)


if __name__ == "__main__":
    main()
