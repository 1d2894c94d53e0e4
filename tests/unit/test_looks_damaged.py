"""Files that are whole, though something in them looks as damage does: no alarm may be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import ffmpeg_says
from vidrain.video.index import probe
from vidrain.video.structure import examine

PICTURE = ("-f", "lavfi", "-i", "testsrc2=size=96x64:rate=25:duration=4")
SOUND = ("-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000:duration=4")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-pix_fmt", "yuv420p")
FRAGMENTS = ("-movflags", "frag_keyframe+default_base_moof+delay_moov")


@pytest.mark.parametrize("chosen", ["lt(n,40)+gte(n,99)", "(lt(n,60)*gt(random(1),0.3))+gte(n,99)"])
@pytest.mark.parametrize("how", [(), FRAGMENTS])
def test_a_last_picture_that_is_held(chosen: str, how: tuple[str, ...], tmp_path: Path) -> None:
    """Slide shows and recordings of screens: decoding times run ahead, so that no step of theirs is as long."""
    made = tmp_path / "made.mp4"
    ffmpeg_says.quietly(*PICTURE, "-vf", f"select='{chosen}'", "-fps_mode", "vfr", *X264, *how, made)
    assert examine(made).damages == ()


def test_sound_of_fragments_that_begins_late(tmp_path: Path) -> None:
    made = tmp_path / "made.mp4"
    ffmpeg_says.quietly(
        *PICTURE, "-itsoffset", "0.9", *SOUND, *X264, "-g", "25", "-t", "2.5", "-c:a", "aac", *FRAGMENTS, made
    )
    assert examine(made).damages == ()


def test_clips_that_were_cut_and_joined_without_coding_anew(tmp_path: Path) -> None:
    """Each begins in the middle of a group of pictures, which its edit list hides."""
    whole = tmp_path / "whole.mp4"
    ffmpeg_says.quietly(*PICTURE, *X264, "-g", "30", whole)
    names = []
    for number, start in enumerate(("0.5", "1.3", "2.7")):
        cut = tmp_path / f"{number}.mp4"
        ffmpeg_says.quietly("-ss", start, "-i", whole, "-t", "0.9", "-c", "copy", cut)
        names.append(f"file '{cut}'\n")
        assert examine(cut).damages == ()
    (tmp_path / "list.txt").write_text("".join(names))
    joined = tmp_path / "joined.mp4"
    ffmpeg_says.quietly("-f", "concat", "-safe", "0", "-i", tmp_path / "list.txt", "-c", "copy", joined)
    assert examine(joined).damages == ()


@pytest.mark.parametrize("codec", ["pcm_mulaw", "pcm_s16le", "mp2", "mp3"])
def test_sound_of_an_avi_that_is_no_mp3(codec: str, samples: Path, tmp_path: Path) -> None:
    """Silence of telephones is all ones, as the first bits of MP3."""
    made = tmp_path / "made.avi"
    quiet = ("-af", "volume='if(gt(t,3.7),1,0)':eval=frame")  # but for the end
    ffmpeg_says.quietly(*PICTURE, *SOUND, *quiet, "-c:v", "mjpeg", "-c:a", codec, made)
    assert examine(made).damages == ()


def test_text_behind_an_avi(tmp_path: Path) -> None:
    """A checksum in letters and digits may spell the name of a chunk."""
    made = tmp_path / "made.avi"
    ffmpeg_says.quietly(*PICTURE, "-c:v", "mjpeg", made)
    made.write_bytes(made.read_bytes() + b"9a00dc61b201wb77f0" * 40)
    assert examine(made).damages == ()


def test_a_track_that_was_switched_off(tmp_path: Path) -> None:
    """By giving its box the name of those that every reader passes over."""
    made = tmp_path / "made.mp4"
    ffmpeg_says.quietly(*PICTURE, *SOUND, *X264, "-c:a", "aac", made)
    data = bytearray(made.read_bytes())
    place = data.rindex(b"trak")
    data[place : place + 4] = b"free"
    made.write_bytes(data)
    assert not any("named" in damage.what for damage in examine(made).damages)


def test_a_transport_stream_that_says_that_its_clock_starts_anew(tmp_path: Path) -> None:
    first, second, joined = (tmp_path / f"{name}.ts" for name in ("first", "second", "joined"))
    ffmpeg_says.quietly(*PICTURE, *X264, first)
    flags = ("-mpegts_flags", "initial_discontinuity", "-output_ts_offset", "100")
    ffmpeg_says.quietly(*PICTURE, *X264, *flags, second)
    joined.write_bytes(first.read_bytes() + second.read_bytes())
    assert not any("leap" in damage.what for damage in probe(joined).structure.damages)
