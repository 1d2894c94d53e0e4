"""Joins videos of frames that stand alone (FFV1) into one by copying packets, with new times.

Nothing is decoded, so the joined frames are those of the parts, bit for bit.
"""

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
from av.packet import Packet
from av.video.stream import VideoStream

from vidrain.errors import OutputError
from vidrain.video.index import as_file, open_input


def join(
    parts: Sequence[Path],
    target: Path,
    *,
    times: Sequence[tuple[int, int]],
    time_base: Fraction,
    tags: Mapping[str, str],
) -> None:
    """Write the frames of `parts`, in this order, to an MP4.

    times: (pts, duration) of every frame, ticks of time_base; tags: of the container. Raises OutputError where the
    parts hold another number of frames, or the file cannot be written.
    """
    options = {"movie_timescale": str(time_base.denominator), "movflags": "+use_metadata_tags"}
    count = 0
    try:
        with open_input(parts[0]) as first, av.open(as_file(target), "w", "mp4", container_options=options) as joined:
            stream = joined.add_stream_from_template(first.streams.video[0], opaque=True)
            stream.time_base = time_base
            joined.metadata.update(tags)
            for packet in _packets(parts):
                pts, duration = times[count] if count < len(times) else (0, 0)
                count += 1
                packet.stream, packet.time_base = stream, time_base
                packet.pts, packet.dts, packet.duration = pts, pts, duration
                joined.mux(packet)
    except (av.error.FFmpegError, OSError) as error:
        raise OutputError(f"{target.name}: cannot be written ({error.strerror}); check space and rights") from error
    if count != len(times):
        raise OutputError(f"{target.name}: {count} frames instead of {len(times)}; start again with --force")


def _packets(parts: Sequence[Path]) -> Iterator["Packet[VideoStream]"]:
    for part in parts:
        with open_input(part) as container:
            yield from (packet for packet in container.demux(container.streams.video[0]) if packet.size)
