"""Sound, times and tags that no muxer takes as they stand: left out and named, passed over, or refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av
import pytest

from tests import ffmpeg_says
from tests.pipeline.conftest import Vidrain
from vidrain.video.index import probe

SYNC = b"\xff\xf1"  # of a frame of ADTS
CHEAP = ("--codec", "h264", "-e", "preset=ultrafast")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A target in a folder of its own, so that anything left behind is seen."""
    (tmp_path / "out").mkdir()
    return tmp_path / "out" / "out.mp4"


def unknown_rate(data: bytearray, place: int) -> None:
    data[place + 2] |= 0x3C


def four_blocks_with_checksums(data: bytearray, place: int) -> None:
    """Allowed, and nothing that FFmpeg can take apart."""
    data[place + 1] ^= 0x01
    data[place + 6] |= 3


def sync_words_twice(data: bytearray, place: int) -> None:
    """What follows the head of a frame looks like another one."""
    data[place + 7 : place + 9] = SYNC


@pytest.mark.fault(9)
def test_sound_that_swallows_what_follows(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    """A bit of the length that a frame of AAC states: FFmpeg makes one packet of all the rest, and says nothing."""
    whole = ffmpeg_says.remux(samples / "tenbit.mp4", tmp_path / "whole.ts", "-map", "0")
    data = bytearray(whole.read_bytes())
    place = -1
    for _ in range(14):
        place = data.index(SYNC, place + 1)
    data[place + 3] ^= 1
    source = tmp_path / "hurt.ts"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert len(ffmpeg_says.packets(out, "0:a").packets) < len(ffmpeg_says.packets(whole, "0:a").packets)
    assert ran.code == 4
    assert "1 packets of audio aac are not as long as they state; some may be missing" in ran.err


@pytest.mark.fault(9, 11)
@pytest.mark.parametrize(("hurt", "code"), [(unknown_rate, 4), (four_blocks_with_checksums, 4), (sync_words_twice, 0)])
def test_sound_that_is_too_damaged_to_be_stored(
    hurt: Callable[[bytearray, int], None], code: int, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """One packet of it is left out and counted; the picture and the rest of the sound are kept."""
    whole = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "whole.ts", "-map", "0")
    data = bytearray(whole.read_bytes())
    place = -1
    for _ in range(6):
        place = data.index(SYNC, place + 1)
    hurt(data, place)
    source = tmp_path / "hurt.ts"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert ran.code == code
    assert ("1 packets of audio aac are damaged and left out" in ran.err) == (code == 4)
    left = len(ffmpeg_says.packets(source, "0:a").packets) - (code == 4)
    assert len(ffmpeg_says.packets(out, "0:a").packets) == left
    assert len(ffmpeg_says.shown_frames(out).packets) == 28


@pytest.mark.fault(9)
@pytest.mark.parametrize("codec", ["ac3", "eac3"])
def test_damaged_sound_that_is_refused_late(
    codec: str, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """MP4 looks into a packet when its turn comes, which waits for the pictures: that one is left out, and no other."""
    whole, source = tmp_path / "whole.mkv", tmp_path / "hurt.mkv"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-c:v", "copy", "-c:a", codec, whole)
    with av.open(str(whole)) as sound, av.open(str(source), "w") as hurt:
        targets = {stream.index: hurt.add_stream_from_template(stream) for stream in sound.streams}
        count = 0
        for packet in sound.demux():
            if not packet.size:
                continue
            count += packet.stream.type == "audio"
            broken = av.Packet(bytes(2) + bytes(packet)[2:]) if packet.stream.type == "audio" and count == 5 else packet
            broken.pts, broken.dts, broken.duration = packet.pts, packet.dts, packet.duration
            broken.time_base, broken.stream = packet.time_base, targets[packet.stream_index]
            hurt.mux(broken)
    due = ffmpeg_says.packets(whole, "0:a").contents
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert (ran.code, f"1 packets of audio {codec} are damaged and left out" in ran.err) == (4, True), ran.err
    assert ffmpeg_says.packets(out, "0:a").contents == [*due[:4], *due[5:]]
    assert len(ffmpeg_says.shown_frames(out).packets) == 28


@pytest.mark.fault(11)
def test_damage_that_cannot_be_stored_is_the_fault_of_the_source(
    samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """The clock of its sound is wrong, so that what was copied does not come back as it went in."""
    whole = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "whole.mp4", "-map", "0")
    data = bytearray(whole.read_bytes())
    data[data.index(b"mdhd", data.index(b"mdhd") + 4) + 16] ^= 2  # the highest byte of its time scale
    source = tmp_path / "hurt.mp4"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    lines = [line for line in ran.err.splitlines() if not line.startswith("vidrain: note: ")]
    assert (ran.code, len(lines)) == (3, 1)
    assert "too damaged to be stored truly" in lines[0]
    assert list(out.parent.iterdir()) == []


@pytest.mark.fault(11)
def test_an_index_that_its_times_turned_into_nonsense(
    samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """A flag more in a run of sound: its times are other bytes, and the index of the output contradicts itself."""
    live = ("-map", "0", "-c:v", "copy", "-c:a", "aac", "-movflags", "+frag_keyframe+empty_moov+default_base_moof")
    whole = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "whole.mp4", *live)
    data = bytearray(whole.read_bytes())
    run = data.index(b"trun", data.index(b"trun") + 4)
    data[run + 6] |= 8  # times of composition, which no sound has
    source = tmp_path / "hurt.mp4"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert ran.code == 3, ran.err
    assert "too damaged to be stored truly" in ran.err
    assert list(out.parent.iterdir()) == []


@pytest.mark.fault(17)
def test_sound_that_ends_before_the_clock_begins(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    """No MP4 holds its times, but all of its packets."""
    source, clip = tmp_path / "before.nut", samples / "full_range.mp4"
    streams = ("-i", clip, "-itsoffset", "-5", "-i", clip, "-map", "0:v", "-map", "1:a")
    ffmpeg_says.quietly(*streams, "-c", "copy", "-copyts", source)
    assert vidrain("clean", source, "-o", out, *CHEAP).code == 0
    assert ffmpeg_says.packets(out, "0:a").contents == ffmpeg_says.packets(source, "0:a").contents
    assert ffmpeg_says.shown_frames(out).seconds == ffmpeg_says.shown_frames(source).seconds


@pytest.mark.fault(14)
@pytest.mark.parametrize("days", [2, 3, 5])
def test_a_step_between_frames_that_no_mp4_holds(
    days: int, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """MP4 has 32 bits for the ticks from frame to frame, and FFmpeg reads one of them as a sign."""
    later = f"if(gte(N\\,8)\\,{days * 86400}/TB\\,0)"
    times = f"setts=pts=PTS+{later}:dts=DTS+{later}"
    source = ffmpeg_says.remux(samples / "odd.mp4", tmp_path / "gap.nut", "-map", "0:v", "-bsf:v", times)
    for part in ((), ("--end", "8")):
        ran = vidrain("clean", source, "-o", out, *CHEAP, *part, "--json")
        assert (ran.code, [event["event"] for event in ran.events]) == (3, ["error"]), "before any frame is computed"
        said = "frame 8 is shown so long after the one before it that MP4 and MOV cannot store it; write an .mkv, or"
        assert said in ran.err
    assert list(out.parent.iterdir()) == []
    assert vidrain("clean", source, "-o", out, *CHEAP, "--end", "7").code == 0
    assert vidrain("clean", source, "-o", out.with_suffix(".mkv"), *CHEAP).code == 0


@pytest.mark.fault(11)
@pytest.mark.parametrize(
    "change",
    [
        *("colour_primaries=17", "colour_primaries=250", "transfer_characteristics=3"),
        *("matrix_coefficients=17", "matrix_coefficients=40"),
    ],
)
def test_colour_codes_that_mean_nothing(
    change: str, samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain
) -> None:
    """They become unspecified, as in every player; Matroska would store them otherwise than they were read."""
    bits = f"h264_metadata={change}"
    source = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "in.mp4", "-map", "0", "-bsf:v", bits)
    for target in (out, out.with_suffix(".mkv")):
        assert vidrain("clean", source, "-o", target, *CHEAP).code == 0
        color = probe(target).info.color
        assert 2 in (color.primaries, color.transfer, color.matrix)


def test_a_stream_without_packets_is_named(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    """Its head stands in the file, and nothing else: a copy has nothing of it."""
    source = tmp_path / "silent.mkv"
    with av.open(str(samples / "full_range.mp4")) as whole, av.open(str(source), "w") as silent:
        targets = {stream.index: silent.add_stream_from_template(stream) for stream in whole.streams}
        for packet in whole.demux():
            if packet.size and packet.stream.type == "video":
                packet.stream = targets[packet.stream_index]
                silent.mux(packet)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert ran.code == 0
    assert "stream 1 (audio aac) holds no packets: nothing is left of it" in ran.err


def test_another_video_of_an_unknown_codec(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    """Also where a flipped bit alone made it unknown: named, and the first one is cleaned."""
    source = tmp_path / "two.avi"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-map", "0:v", "-map", "0:v", "-c:v", "mjpeg", source)
    data = bytearray(source.read_bytes())
    second = data.index(b"strh", data.index(b"strh") + 4)
    for _ in range(2):  # in both heads of the stream
        place = data.index(b"MJPG", second)
        data[place : place + 4] = b"\1\2\3\4"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert ran.code == 0
    assert "is of an unknown codec: it is left out" in ran.err
    assert len(ffmpeg_says.shown_frames(out).packets) == 28


def test_sound_that_states_no_channels(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    """MP4 takes it, and then nobody opens the file: named beforehand, and the rest is cleaned."""
    source = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "in.mkv", "-map", "0")
    data = bytearray(source.read_bytes())
    place = data.index(b"\x9f\x81\x01\xb5\x88") + 2  # Channels, before SamplingFrequency
    data[place : place + 4] = b"\x7f\xff\xff\xff"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert ran.code == 4  # a checksum tells that this was changed
    assert "stream 1 (audio aac) states no channels: it is left out" in ran.err
    assert len(ffmpeg_says.shown_frames(out).packets) == 28


def test_sound_of_an_unknown_codec(samples: Path, tmp_path: Path, out: Path, vidrain: Vidrain) -> None:
    source = ffmpeg_says.remux(samples / "full_range.mp4", tmp_path / "in.mp4", "-map", "0")
    data = bytearray(source.read_bytes())
    for name in (b"mp4a", b"esds"):  # either would do to know it by
        place = data.index(name, data.index(b"smhd"))
        data[place : place + 4] = b"\1\2\3\4"
    source.write_bytes(data)
    ran = vidrain("clean", source, "-o", out, *CHEAP)
    assert ran.code == 0
    assert "stream 1 (audio of unknown kind) does not go into mp4: it is left out" in ran.err
