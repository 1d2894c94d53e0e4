"""Decode and encode without touching a pixel, through vidrain's own doors: the time that no job can undercut.

A process of its own, as `clean` is one: `python -m vidrain.bench.passthrough SOURCE TARGET`. Decoding runs ahead in a
thread, as in `clean`; nothing is verified. Imports no more than that takes.
"""

import json
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from vidrain.stream import prefetch
from vidrain.video.decode import open_video
from vidrain.video.encode import VideoWriter
from vidrain.video.encoder import EncodeOptions, plan_encoder

ENCODE = EncodeOptions(codec="h264", crf=20)  # of every file that is compared; x264 veryfast is the default
_AHEAD = 4  # frames, as in `clean`
_EVERY_S = 0.5


def passthrough(source: Path, target: Path, tick: Callable[[int], None] = lambda frames: None) -> int:
    """Write the frames of `source` to `target` as they are; how many. tick: told their number so far."""
    video, frames = open_video(source), 0
    plan = plan_encoder(video.info, target, ENCODE)
    with (
        VideoWriter(target, plan, video.info) as writer,
        closing(prefetch(video.frames(), _AHEAD, "decode")) as decoded,
    ):
        for frame in decoded:
            writer.write(frame.planes, frame.pts, frame.duration)
            frames += 1
            tick(frames)
    return frames


def main() -> None:
    """Run, and tell what `clean --json` would."""
    source, target = (Path(argument) for argument in sys.argv[1:])
    said = monotonic()

    def tick(frames: int) -> None:
        nonlocal said
        if monotonic() - said >= _EVERY_S:
            said = monotonic()
            _tell("progress", frames)

    frames = passthrough(source, target, tick)
    _tell("progress", frames)
    _tell("file_done", frames)


def _tell(event: str, frames: int) -> None:
    stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stdout.write(json.dumps({"v": 1, "ts": stamp, "event": event, "frames": frames, "frames_out": frames}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
