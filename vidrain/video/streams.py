"""Lists what a file holds: its container, its streams, and what becomes of each when the video is cleaned.

Knows nothing of frames or pixels.
"""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Literal

import av
from av.stream import DataStream, Stream
from av.video.codeccontext import VideoCodecContext

from vidrain.video.carried import CopyPlan, is_cover, is_rebuilt
from vidrain.video.index import open_input

Fate = Literal["cleaned", "copied", "converted", "written anew", "left out"]


@dataclass(frozen=True)
class Listed:
    """One stream, and what becomes of it; None where that is not known. track: number of a video, for `--video`."""

    index: int
    kind: str
    codec: str | None
    track: int | None
    size: tuple[int, int] | None  # width and height of a video or cover
    language: str | None
    title: str | None
    fate: Fate | None


@dataclass(frozen=True)
class Contents:
    """What a file holds; duration in seconds, as its head states it: a hint."""

    format: str
    duration: Fraction | None
    chapters: int
    tags: dict[str, str]
    streams: tuple[Listed, ...]


def contents(path: Path, video: int, plan: CopyPlan | None) -> Contents:
    """List the file at `path`. video: index of the stream that is cleaned; plan: for the others, None if there is none.

    Raises InputError.
    """
    with open_input(path) as source:
        videos = [stream.index for stream in source.streams.video if not is_cover(stream)]
        tracks = {index: track for track, index in enumerate(videos)}
        return Contents(
            format=source.format.name,
            duration=Fraction(source.duration, av.time_base) if source.duration else None,
            chapters=len(source.chapters()),
            tags=dict(source.metadata),
            streams=tuple(_listed(stream, tracks.get(stream.index), video, plan) for stream in source.streams),
        )


def _listed(stream: Stream, track: int | None, video: int, plan: CopyPlan | None) -> Listed:
    codec: str | None = stream.name if isinstance(stream, DataStream) else None
    if stream.codec_context is not None:
        codec = stream.codec_context.name
    fate: Fate | None = None
    if stream.index == video:
        fate = "cleaned"
    elif is_rebuilt(stream):
        fate = "written anew"
    elif plan is not None:
        fate = "copied" if stream.index in plan.kept else "left out"
        fate = "converted" if stream.index in plan.converted else fate
    tags = stream.metadata
    context = stream.codec_context
    return Listed(
        index=stream.index,
        kind="cover" if is_cover(stream) else stream.type,
        codec=codec,
        track=track,
        size=(context.width, context.height) if isinstance(context, VideoCodecContext) else None,
        language=tags.get("language"),
        title=tags.get("title") or tags.get("handler_name"),
        fate=fate,
    )
