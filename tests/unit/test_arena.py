"""Threads of a job share one arena of glibc, unless somebody says otherwise."""

import os
import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="this C library has no arenas")

# Each thread takes memory while the others hold theirs: by itself glibc gives each an arena.
CHILD = """
import ctypes, threading
from vidrain.arena import share_what_is_freed
{call}
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fdopen.restype = ctypes.c_void_p
together = threading.Barrier(4)
def work():
    together.wait()
    libc.malloc(50_000)
    together.wait()
threads = [threading.Thread(target=work) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def arenas(call: str, **environment: str) -> int:
    """How many there are in a process with four threads."""
    known = {name: value for name, value in os.environ.items() if name not in ("MALLOC_ARENA_MAX", "GLIBC_TUNABLES")}
    command = [sys.executable, "-c", CHILD.format(call=call)]
    told = subprocess.run(command, env=known | environment, capture_output=True, text=True, check=True)
    return told.stdout.count("<heap nr=")


def test_threads_share_one_arena() -> None:
    assert arenas("share_what_is_freed()") == 1
    assert arenas("") > 1


@pytest.mark.parametrize("name, value", [("MALLOC_ARENA_MAX", "3"), ("GLIBC_TUNABLES", "glibc.malloc.arena_max=3")])
def test_who_says_otherwise_is_heard(name: str, value: str) -> None:
    assert arenas("share_what_is_freed()", **{name: value}) == 3
