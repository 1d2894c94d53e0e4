"""Read a finished file back and compare it with what was meant: times, tags, copied streams.

Runs on the partial file, before it gets its final name. Knows nothing of how the file was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.stream import AttachmentStream, Stream

from vidrain.errors import InputError, OutputError, UsageError
from vidrain.types import VideoInfo
from vidrain.video.carried import is_cover, is_rebuilt
from vidrain.video.hdr import is_same
from vidrain.video.index import Source, open_input, probe
from vidrain.video.mux import Copied
from vidrain.video.stated import stated

_MATROSKA_TICK = Fraction(1, 1000)  # Matroska keeps times in whole milliseconds
_UNTAGGED = 2


@dataclass(frozen=True)
class Expected:
    """What a finished file must hold.

    pts: times of all frames written, in ticks of `info.time_base`; info: facts of the planes written.
    pix_fmt: what the encoder was given. copied: per source stream what was copied. track: place of the video among
    those of the file.
    """

    info: VideoInfo
    pix_fmt: str
    container: str
    pts: Sequence[int]
    copied: Mapping[int, Copied]
    track: int = 0


@dataclass(frozen=True)
class Verified:
    """Result of a check that passed: whether every time is exact, and what had to be allowed."""

    pts_equal: bool
    notes: tuple[str, ...]


class UntrueError(OutputError):
    """The finished file is whole and can be read, but holds something else than what was meant."""


def verify(path: Path, expected: Expected) -> Verified:
    """Check the file at `path` against `expected`.

    UntrueError names the first thing that differs, OutputError says why the file cannot be read back whole. An index
    that contradicts itself does not make it less whole: FFmpeg writes one where it is given times that cannot be.
    """
    try:
        found = probe(path, expected.track)
        try:
            worst = _compared(path, found, expected)
        except UntrueError as error:
            for damage in found.structure.damages:  # no wonder then
                if damage.end:
                    raise OutputError(f"{error}; it is not whole ({damage.what}): check space and rights") from error
            raise
    except (InputError, UsageError) as error:
        raise OutputError(f"the finished file cannot be read back: {error}") from error
    notes = []
    if worst:
        notes.append(
            f"{expected.container} stores whole milliseconds: times moved by up to {float(worst) * 1000:.3f} ms"
        )
    return Verified(pts_equal=worst == 0, notes=tuple(notes))


def _compared(path: Path, found: Source, expected: Expected) -> Fraction:
    """Largest distance of a frame from its due time, in seconds; UntrueError if anything is not as expected."""
    _same_facts(path, found.info, expected)
    worst = _largest_time_error(path, found, expected)
    with open_input(path) as container:
        _same_packets(path, container, found.info.stream_index, expected)
    return worst


def _same_facts(path: Path, found: VideoInfo, expected: Expected) -> None:
    wanted = expected.info
    pairs: dict[str, tuple[object, object]] = {
        "size": ((found.width, found.height), (wanted.width, wanted.height)),
        "pixel format": (found.layout.name, _plain(expected.pix_fmt)),
        "display matrix": (found.display_matrix, wanted.display_matrix),
        "sample aspect ratio": (found.sample_aspect_ratio or 1, wanted.sample_aspect_ratio or 1),
    }
    if found.layout.family != "gbrp":  # RGB has neither a matrix nor, in most codecs, a range
        pairs["colour range"] = (found.color.range or 1, wanted.color.range or 1)
        for what in ("matrix", "primaries", "transfer"):
            if (tag := getattr(wanted.color, what)) != _UNTAGGED:
                pairs[f"colour {what}"] = (getattr(found.color, what), tag)
    if not is_same(found.hdr, wanted.hdr):
        pairs["static HDR data"] = (found.hdr, wanted.hdr)
    pairs |= _stated_facts(path, found, wanted)
    for what, (got, want) in pairs.items():
        if got != want:
            raise UntrueError(f"{path.name}: {what} is {got} in the finished file, should be {want}; nothing was kept")


def _stated_facts(path: Path, found: VideoInfo, wanted: VideoInfo) -> dict[str, tuple[object, object]]:
    """What takes the ffmpeg program to read, so only where the file has to state it."""
    if wanted.chroma_siting is None and wanted.field_order is None:
        return {}
    read = stated(path, found.stream_index)
    pairs: dict[str, tuple[object, object]] = {}
    if wanted.chroma_siting is not None:
        pairs["chroma siting"] = (read.chroma_siting, wanted.chroma_siting)
    if wanted.field_order is not None:
        pairs["field order"] = (read.field_order, wanted.field_order)
    return pairs


def _plain(pix_fmt: str) -> str:
    """The planar name that reading reports for what the encoder was given."""
    return "gbrp" if pix_fmt == "bgr0" else pix_fmt


def _largest_time_error(path: Path, found: Source, expected: Expected) -> Fraction:
    """Largest distance of a frame from its due time, in seconds; UntrueError beyond what the container rounds."""
    times = found.index.pts
    if found.index.count != len(expected.pts) or len(times) != len(expected.pts):
        raise UntrueError(
            f"{path.name}: {found.index.count} frames in the finished file, {len(expected.pts)} were written; "
            "nothing was kept"
        )
    due_base, base = expected.info.time_base, found.info.time_base
    if base == due_base and np.array_equal(times, np.asarray(expected.pts)):
        return Fraction(0)
    worst = max(abs(int(got) * base - due * due_base) for got, due in zip(times, expected.pts, strict=True))
    allowed = _MATROSKA_TICK / 2 if expected.container == "matroska" else Fraction(0)
    if worst > allowed:
        raise UntrueError(
            f"{path.name}: a frame's time is off by {float(worst) * 1000:.3f} ms in the finished file; nothing was kept"
        )
    return worst


def _same_packets(path: Path, container: InputContainer, video_index: int, expected: Expected) -> None:
    """Count, bytes and first time of every copied stream."""
    others = [
        stream
        for stream in container.streams
        if not (isinstance(stream, AttachmentStream) or is_rebuilt(stream) or stream.index == video_index)
    ]
    pairs: list[tuple[Copied, Stream]] = []
    for cover in (False, True):  # pictures are read back behind all others
        due = [copied for copied in expected.copied.values() if copied.is_cover == cover]
        read = [stream for stream in others if is_cover(stream) == cover]
        if len(read) < len(due):  # a track that nothing was written to may be gone
            due = [copied for copied in due if copied.count]
        if len(read) < len(due):
            raise UntrueError(f"{path.name}: a copied stream is missing in the finished file; nothing was kept")
        pairs += zip(due, read, strict=False)
    streams = [stream for _, stream in pairs]
    found = {stream.index: Copied(copied.kind, copied.is_cover) for copied, stream in pairs}
    try:
        for packet in container.demux(streams) if streams else ():
            if packet.size:
                found[packet.stream_index].add(packet)
    except av.error.FFmpegError as error:
        raise OutputError(f"{path.name}: the finished file breaks off ({error.strerror}); nothing was kept") from error
    for (copied, _), got in zip(pairs, found.values(), strict=True):
        if got.count != copied.count:
            raise UntrueError(
                f"{path.name}: copied stream {copied.kind} has {got.count} packets in the finished file, "
                f"{copied.count} in the source; nothing was kept"
            )
        if got.digest.digest() != copied.digest.digest():
            raise UntrueError(f"{path.name}: the bytes of copied stream {copied.kind} differ; nothing was kept")
        if copied.end is not None and copied.end <= 0:
            continue  # it ends before the clock of the file begins, so no time of it is kept
        if copied.first is not None and got.first is not None and abs(copied.first - got.first) > _MATROSKA_TICK:
            raise UntrueError(
                f"{path.name}: copied stream {copied.kind} starts {float(got.first - copied.first):+.3f} s off in the "
                "finished file; nothing was kept"
            )
        if any(abs(due - at) > _MATROSKA_TICK for due, at in zip(copied.times, got.times, strict=True)):
            raise UntrueError(
                f"{path.name}: a line of {copied.kind} is shown at another time in the finished file; nothing was kept"
            )
