"""Makes a video with one of everything, by the ffmpeg program alone. Knows nothing of vidrain."""

from __future__ import annotations

from pathlib import Path

from tests import ffmpeg_says

KEPT = ("-movie_timescale", "90000", "-movflags", "use_metadata_tags")  # times and tags stay as they are in a copy
SUBTITLES = "1\n00:00:00,500 --> 00:00:00,900\nRain\n\n2\n00:00:01,000 --> 00:00:01,300\nNo rain\n"
METADATA = """;FFMETADATA1
title=A walk
place=Bergen
[CHAPTER]
TIMEBASE=1/1000
START=0
END=800
title=One
[CHAPTER]
TIMEBASE=1/1000
START=800
END=1700
title=Two
"""


def rich(source: Path, target: Path) -> Path:
    """`source`, an MP4 with sound, with a second sound track, subtitles, chapters, tags, rotation and wide samples."""
    text, tags = target.with_suffix(".srt"), target.with_suffix(".txt")
    text.write_text(SUBTITLES)
    tags.write_text(METADATA)
    ffmpeg_says.quietly(
        *("-display_rotation", "90", "-copyts", "-i", source, "-i", text, "-i", tags),
        *("-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1", "-map_metadata", "2", "-map_chapters", "2"),
        *("-c", "copy", "-c:a:1", "aac", "-b:a:1", "64k", "-c:s", "mov_text"),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=nor", "-metadata:s:s", "language=eng"),
        *("-disposition:a:1", "comment", "-bsf:v", "h264_metadata=sample_aspect_ratio=4/3", *KEPT, target),
    )
    return target
