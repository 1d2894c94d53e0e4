"""What happens to the other streams of a file, through the command line: converted, chosen, told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain


@pytest.fixture
def talking(tmp_path: Path, samples: Path) -> Path:
    """A short MKV with a line of text."""
    (tmp_path / "lines.srt").write_text("1\n00:00:00,040 --> 00:00:00,120\nHello\n")
    source = tmp_path / "talk.mkv"
    ffmpeg_says.quietly(
        *("-i", samples / "cut.mkv", "-i", tmp_path / "lines.srt", "-map", "0:v", "-map", "1:s", "-t", "0.3"),
        *("-c", "copy", "-c:s", "srt", source),
    )
    return source


@pytest.mark.fault(24)
def test_text_is_converted_only_for_a_container_that_was_asked_for(talking: Path, vidrain: Vidrain) -> None:
    assert vidrain("clean", talking).code == 0
    own = talking.with_name("talk.clean.mkv")
    assert any("Subtitle: subrip" in line for line in ffmpeg_says.streams(own))
    assert ffmpeg_says.packets(own, "0:s").contents == ffmpeg_says.packets(talking, "0:s").contents
    target = talking.with_name("out.mp4")
    ran = vidrain("clean", talking, "-o", target, "--json")
    assert ran.code == 0
    names = [event["event"] for event in ran.events]
    said = [event for event in ran.events if event["event"] == "warning"]
    assert [(event["code"], event["message"]) for event in said] == [
        ("converted", "stream 1: its text becomes mov_text, which mp4 takes; styling may be lost")
    ]
    assert names.index("warning") < names.index("progress")  # said before anything is computed
    assert any("Subtitle: mov_text" in line for line in ffmpeg_says.streams(target))
    assert b"Hello" in ffmpeg_says.quietly("-i", target, "-map", "0:s", "-f", "srt", "-")


def test_inspect_says_what_the_default_output_does(talking: Path, vidrain: Vidrain) -> None:
    for suffix, fate in (("mkv", "copied"), ("webm", "converted")):  # no WebM is written: MP4 is the default there
        source = talking.with_name(f"seen.{suffix}")
        source.write_bytes(talking.read_bytes())
        streams = json.loads(vidrain("inspect", source, "--json").out)["streams"]
        assert [stream["clean"] for stream in streams] == ["cleaned", fate]
