"""A small job of `clean` that is killed before its first call that changes a folder, before its second, and so on.

python -m tests.crash_points SOURCE FOLDER [STEPS]... tells, a JSON object a line, what the job did after each kill.
STEPS: a number of a call, below 0 counted from the last one, or several with commas between them: the job that comes
after one kill is then killed as well. Without STEPS every call has its turn.
Jobs run in children of a process that has only imported what they need, so that none costs a start.
"""

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import vidrain
from vidrain.errors import VidrainError
from vidrain.events import Event, Progress
from vidrain.job import CleanOptions
from vidrain.report import to_json
from vidrain.segments import plan
from vidrain.video.encoder import EncodeOptions

CALLS = ("fsync", "replace", "rename", "unlink", "mkdir", "rmdir")
FRAMES, LENGTH = 6, 3
MEASURED = ("seconds", "fps", "peak_memory_mib", "outputs")

Tell = Callable[[str], None]


def job(source: Path, folder: Path, tell: Tell) -> None:
    """Run it, and tell with what exit code it ended, what it said, and how many frames it computed."""
    frames = 0

    def listen(event: Event) -> None:
        nonlocal frames
        frames += isinstance(event, Progress)

    plan.LONGEST = LENGTH
    encode = EncodeOptions(codec="h264", options={"preset": "ultrafast"})
    options = CleanOptions(model="baseline", rain=folder / "rain.mkv", start="2", end=str(2 + FRAMES), encode=encode)
    try:
        found = to_json(vidrain.clean(source, folder / "out.mp4", options=options, on_event=listen))
        said = {"code": 0, "said": {name: value for name, value in found.items() if name not in MEASURED}}
    except VidrainError as error:
        said = {"code": error.exit_code, "said": str(error)}
    tell(json.dumps({**said, "frames": frames}))


def killed_at(step: int, work: Callable[[], None], tell: Tell) -> None:
    """Do the work, and kill this process before its call number `step`; else tell how many calls there were."""
    calls = count()

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def instead(*args: Any, **more: Any) -> Any:
            if next(calls) == step:
                tell(name if name == "fsync" else f"{name} {Path(args[0]).name}")
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **more)

        return instead

    for name in CALLS:
        setattr(os, name, counted(name, getattr(os, name)))
    work()
    tell(str(next(calls)))


def in_child(work: Callable[[Tell], None]) -> str:
    """What a child told that did the work, however it ended."""
    reading, writing = os.pipe()
    if not (child := os.fork()):
        work(lambda said: bool(os.write(writing, said.encode())) or None)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return said


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def after_kills(source: Path, folder: Path, chosen: Sequence[Sequence[int]]) -> Iterator[dict[str, Any]]:
    """Each time in an empty folder: where the job was killed, which outputs had their names, what it did then."""
    calm, out = folder / "calm", folder / "out"
    calm.mkdir()

    def killed(step: int, place: Path) -> str:
        return in_child(lambda tell: killed_at(step, lambda: job(source, place, lambda said: None), tell))

    calls = int(killed(-1, calm))
    due = contents(calm)
    for steps in chosen or [(step,) for step in range(calls)]:
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        before = [killed(step % calls, out) for step in steps]
        named = sorted(name for name in due if (out / name).exists())
        after = json.loads(in_child(lambda tell: job(source, out, tell)))
        left = sorted(path.name for path in out.iterdir())
        yield {"killed": before, "named": named, **after, "same": contents(out) == due, "left": left}


if __name__ == "__main__":
    wanted = [tuple(map(int, steps.split(","))) for steps in sys.argv[3:]]
    for found in after_kills(Path(sys.argv[1]), Path(sys.argv[2]), wanted):
        print(json.dumps(found), flush=True)
