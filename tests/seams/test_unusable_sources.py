"""Sources that cannot be cleaned are refused in one line, which names what was found."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import ffmpeg_says
from vidrain.errors import InputError
from vidrain.types import Structure
from vidrain.video import index
from vidrain.video.decode import open_video

SAMPLES = Path(__file__).parents[2] / "samples"


def _text(path: Path) -> None:
    path.write_text("Dear diary, it rained.\n" * 50, encoding="utf-8")


def _sound(path: Path) -> None:
    ffmpeg_says.remux(SAMPLES / "street.mp4", path, "-map", "0:a")


def _sound_with_cover(path: Path) -> None:
    arguments = ("-i", SAMPLES / "street.mp4", "-f", "lavfi", "-i", "color=red:s=64x64", "-map", "0:a", "-map", "1:v")
    ffmpeg_says.quietly(
        *arguments, *("-frames:v", "1", "-c:a", "copy", "-c:v", "png", "-disposition:v", "attached_pic", path)
    )


def _unknown_codec(path: Path) -> None:
    whole = bytearray((SAMPLES / "street.mp4").read_bytes())
    place = whole.index(b"avc1", whole.index(b"stsd"))
    whole[place : place + 4] = b"zzzz"
    path.write_bytes(whole)


def _no_picture_decodes(path: Path) -> None:
    whole = (SAMPLES / "odd.mp4").read_bytes()
    data = whole.index(b"mdat") + 4
    path.write_bytes(whole[:data] + b"\xff" * (len(whole) - data))


def _headless(path: Path) -> None:
    """A recording that was cut off before its index was written, as by a flat battery."""
    whole = (SAMPLES / "street.mp4").read_bytes()
    path.write_bytes(whole[:32] + whole[whole.index(b"mdat") - 4 :])


def _palette(path: Path) -> None:
    ffmpeg_says.quietly("-f", "lavfi", "-i", "testsrc2=s=64x64:r=5", "-frames:v", "2", "-f", "gif", path)


@pytest.mark.fault(1, 2, 3, 4, 5)
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: None, "no such file"),
        (Path.mkdir, "is a folder"),
        (Path.touch, r"is empty \(0 bytes\)"),
        (_text, "is no video file"),
        (_sound, r"holds no video stream \(found: audio\)"),
        (_sound_with_cover, r"holds no video stream \(found: audio, video\)"),
        (_unknown_codec, "codec that FFmpeg does not know"),
        (_no_picture_decodes, "no frame of its ffv1 video can be decoded"),
        (_headless, "the recording was not closed: its index"),
        (_palette, r"pixel format bgra is not handled; allowed: .*yuv420p"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_unusable_sources_are_refused_in_one_line(make: Callable[[Path], None], what: str, tmp_path: Path) -> None:
    path = tmp_path / "source.mp4"
    make(path)
    with pytest.raises(InputError, match=what) as caught:
        open_video(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert caught.value.exit_code == 3


@pytest.mark.fault(1)
def test_a_source_that_may_not_be_read_is_refused() -> None:
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "locked.mp4"
        path.write_bytes((SAMPLES / "street.mp4").read_bytes())
        path.chmod(0)
        Path(folder).chmod(0o755)
        if user == 0:
            os.seteuid(65534)  # root may read everything
        try:
            with pytest.raises(InputError, match=r"may not be read \(Permission denied\); check its permissions"):
                open_video(path)
        finally:
            os.seteuid(user)


@pytest.mark.fault(18)
def test_a_change_of_size_is_refused_where_it_happens(tmp_path: Path) -> None:
    parts = []
    for name, size in (("first", "128x96"), ("second", "96x128")):
        part = tmp_path / f"{name}.ts"
        source = f"testsrc2=s={size}:r=25"
        ffmpeg_says.quietly("-f", "lavfi", "-i", source, "-frames:v", "5", "-c:v", "libx264", "-bf", "0", part)
        parts.append(part.read_bytes())
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(parts))
    frames = open_video(joined).frames()
    with pytest.raises(InputError, match=r"frame 5 is 96x128 yuv420p, but the video began as 128x96.*split"):
        list(frames)


@pytest.mark.parametrize(
    ("given", "said"),
    [("http://example.org/a.mp4", "is an address"), ("rtsp://a", "is an address"), ("-", "is standard input")],
)
def test_what_is_no_path_is_called_what_it_is(given: str, said: str) -> None:
    with pytest.raises(InputError, match=f"{said}, but a file is expected; save it to a file first"):
        open_video(given)


def test_a_disk_that_fails_while_the_file_is_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Structure:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(index, "examine", fails)
    with pytest.raises(InputError, match=r"street.mp4: cannot be read \(Input/output error\); copy it"):
        open_video(SAMPLES / "street.mp4")
