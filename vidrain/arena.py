"""How threads share memory in glibc: out of one arena, so that what one has freed is there for the others.

Pictures are made in one thread and freed in another. With an arena for each thread, as glibc has it by itself, a job of
two passes takes about a tenth more memory, and no less time.
"""

import ctypes
import os
import sys
from contextlib import suppress

_ARENA_MAX = -8  # M_ARENA_MAX of malloc.h


def share_what_is_freed() -> None:
    """Have threads to come share one arena, unless the environment says how many there are."""
    said = "MALLOC_ARENA_MAX" in os.environ or "arena_max" in os.environ.get("GLIBC_TUNABLES", "")
    if sys.platform == "linux" and not said:
        with suppress(OSError, AttributeError):  # another C library, which has no such arenas
            ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
