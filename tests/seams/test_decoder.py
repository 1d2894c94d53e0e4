"""Decoding against FFmpeg's own program: every frame, its planes and its time, in whole and in damaged files."""

from __future__ import annotations

import itertools
import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.painted import read_index
from vidrain.errors import InputError
from vidrain.types import Frame
from vidrain.video.decode import Decoded, Video, open_video, repaired
from vidrain.video.index import probe

SAMPLES = Path(__file__).parents[2] / "samples"
NAMES = sorted(path.name for path in SAMPLES.glob("*.m[pk]*") if path.suffix != ".md")
PAINTED = [name for name in NAMES if not name.startswith("street")]


@cache
def opened(name: str) -> Video:
    return open_video(SAMPLES / name)


@cache
def decoded(name: str) -> list[Frame]:
    return list(opened(name).frames())


def same_planes(frames: list[Frame], due: list[tuple[npt.NDArray[Any], ...]]) -> None:
    assert len(frames) == len(due)
    for frame, planes in zip(frames, due, strict=True):
        for got, want in zip(frame.planes, planes, strict=True):
            np.testing.assert_array_equal(got, want)


def stored_as(video: Video) -> str:
    return video.info.layout.name


def due_planes(path: Path, video: Video) -> list[tuple[npt.NDArray[Any], ...]]:
    return ffmpeg_says.planes(path, stored_as(video), (video.info.width, video.info.height))


def open_groups(target: Path, codec: str = "libx264") -> Path:
    """Nine groups of pictures, open ones: leading pictures are shown before their key frame."""
    settings = {
        "libx264": ("-x264-params", "keyint=4:min-keyint=4:open-gop=1:bframes=3:scenecut=0"),
        "libx265": ("-x265-params", "keyint=4:min-keyint=4:open-gop=1:bframes=3:scenecut=0:log-level=none"),
        "mpeg2video": ("-g", "4", "-bf", "2", "-q:v", "3"),
    }
    ffmpeg_says.quietly(
        *("-i", SAMPLES / "cut.mkv", "-map", "0:v", "-fps_mode", "passthrough"),
        *("-c:v", codec, *settings[codec], target),
    )
    return target


@pytest.mark.parametrize("name", NAMES)
class TestEverySample:
    def test_frames_and_times_are_those_of_ffmpeg(self, name: str) -> None:
        video, frames = opened(name), decoded(name)
        track = ffmpeg_says.shown_frames(SAMPLES / name)
        assert video.info.time_base == track.time_base
        assert [frame.pts for frame in frames] == track.pts == video.index.pts.tolist()
        assert video.index.count == len(frames)
        assert [frame.index for frame in frames] == list(range(len(frames)))
        assert video.index.orderly
        assert video.index.hidden == 0

    def test_planes_are_those_of_ffmpeg(self, name: str) -> None:
        video, frames = opened(name), decoded(name)
        same_planes(frames, due_planes(SAMPLES / name, video))
        shapes = video.info.layout.plane_shapes(video.info.width, video.info.height)
        assert tuple(plane.shape for plane in frames[0].planes) == shapes
        assert all(plane.dtype == video.info.layout.dtype for frame in frames for plane in frame.planes)

    def test_nothing_is_marked_lost_or_moved(self, name: str) -> None:
        decoded(name)
        seen = opened(name).decoded
        assert seen.frames.all()
        assert (seen.moved_times, seen.damaged_packets) == (0, 0)

    def test_a_later_start_gives_the_same_frames(self, name: str) -> None:
        frames = decoded(name)
        for first in (1, len(frames) // 2, len(frames) - 1, len(frames), len(frames) + 5):
            tail = list(opened(name).frames(first))
            assert [(frame.index, frame.pts) for frame in tail] == [
                (frame.index, frame.pts) for frame in frames[first:]
            ]
            same_planes(tail[:1], [frame.planes for frame in frames[first : first + 1]])

    def test_durations_lead_from_frame_to_frame(self, name: str) -> None:
        """VFR with B-frames states decoding steps, so only constant rates can be compared."""
        if name != "vfr.mp4":
            steps = {after.pts - before.pts for before, after in itertools.pairwise(decoded(name))}
            assert {frame.duration for frame in decoded(name)} == steps


@pytest.mark.parametrize("name", PAINTED)
def test_painted_indices_come_in_order(name: str) -> None:
    depth = opened(name).info.layout.depth
    painted = [read_index(frame.planes[0], depth=depth) for frame in decoded(name)]
    assert painted == [frame.index for frame in decoded(name)]


def test_facts_are_those_of_the_samples() -> None:
    vfr, rotated, odd = (opened(name).info for name in ("vfr.mp4", "rotated.mp4", "odd.mp4"))
    tenbit, full = opened("tenbit.mp4").info, opened("full_range.mp4").info
    assert (vfr.codec, vfr.width, vfr.height, vfr.time_base) == ("h264", 256, 160, Fraction(1, 90_000))
    assert rotated.display_matrix == (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)
    assert vfr.display_matrix is None
    assert (odd.codec, odd.width, odd.height) == ("ffv1", 131, 97)
    assert (tenbit.codec, tenbit.layout.name) == ("hevc", "yuv420p10le")
    assert (full.pix_fmt, full.layout.name, full.color.range, full.color.matrix) == ("yuvj420p", "yuv420p", 2, 5)
    assert (vfr.color.range, vfr.color.matrix, vfr.interlaced) == (1, 1, False)


@pytest.mark.parametrize(
    "pix_fmt",
    [
        *("yuv422p", "yuv440p", "yuv444p", "gray", "gbrp", "yuv422p10le", "yuv444p12le", "gray10le", "gbrp10le"),
        *("nv12", "uyvy422", "rgb24", "bgr0"),
    ],
)
def test_every_family_is_read_as_it_is_stored(pix_fmt: str, tmp_path: Path) -> None:
    """Also what is stored in another order than planes: the values are the same."""
    target = tmp_path / "made.nut"
    size = "130x96" if pix_fmt in ("nv12", "uyvy422") else "131x97"
    codec = "rawvideo" if pix_fmt in ("uyvy422", "rgb24", "bgr0", "nv12") else "ffv1"
    if pix_fmt == "gbrp":
        codec = "libx264rgb"
    noise = f"testsrc2=s={size}:r=25,noise=alls=40:allf=t"
    extra = ["-qp", "0"] if codec == "libx264rgb" else []
    ffmpeg_says.quietly(
        *("-f", "lavfi", "-i", noise, "-frames:v", "2", "-pix_fmt", pix_fmt, "-c:v", codec, *extra, target)
    )
    video = open_video(target)
    layout = video.info.layout
    planar = {"nv12": "yuv420p", "uyvy422": "yuv422p", "rgb24": "gbrp", "bgr0": "gbrp"}
    assert layout.name == planar.get(pix_fmt, pix_fmt)
    raw = ffmpeg_says.quietly("-i", target, "-pix_fmt", layout.name, "-f", "rawvideo", "-")
    stacked = b"".join(np.ascontiguousarray(plane).tobytes() for frame in video.frames() for plane in frame.planes)
    assert stacked == raw


def test_frames_can_be_kept_and_read_twice() -> None:
    """Planes are views of FFmpeg's memory, which must not be used again while a frame is held."""
    again = list(opened("vfr.mp4").frames())
    same_planes(again, [frame.planes for frame in decoded("vfr.mp4")])


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mp4", "libx264"), ("mkv", "libx264"), ("ts", "libx264"), ("mp4", "libx265"), ("ts", "mpeg2video")],
)
def test_seeking_is_exact_in_open_groups(suffix: str, codec: str, tmp_path: Path) -> None:
    """Each container seeks in its own way; a transport stream has no index at all."""
    source = open_groups(tmp_path / f"open.{suffix}", codec)
    video = open_video(source)
    whole = list(video.frames())
    assert len(whole) > 30
    assert len(video.index.keys) >= 4
    assert [frame.pts for frame in whole] == sorted(ffmpeg_says.packets(source, "0:v").pts)
    same_planes(whole, due_planes(source, video))
    for first in range(len(whole)):
        again = open_video(source)
        start = next(iter(again.frames(first)))
        assert (start.index, start.pts) == (first, whole[first].pts)
        same_planes([start], [whole[first].planes])
        assert not again.decoded.frames[: max(0, first - 20)].any()  # it did not begin at the beginning


@pytest.mark.fault(15)
def test_frames_hidden_by_an_edit_list_are_not_shown(tmp_path: Path) -> None:
    cut = ffmpeg_says.remux(open_groups(tmp_path / "open.mp4"), tmp_path / "cut.mp4", first=["-ss", "0.61"])
    video = open_video(cut)
    track = ffmpeg_says.shown_frames(cut)
    coded = len(ffmpeg_says.packets(cut, "0:v").packets)
    assert video.index.hidden > 0
    assert len(track.pts) == coded - video.index.hidden == video.index.count
    frames = list(video.frames())
    assert [frame.pts for frame in frames] == track.pts
    same_planes(frames, due_planes(cut, video))
    assert video.decoded.frames.all()
    for first in (1, 5, len(frames) - 1):
        start = next(iter(video.frames(first)))
        assert (start.index, start.pts) == (first, frames[first].pts)
        same_planes([start], [frames[first].planes])


@pytest.mark.fault(14)
class TestTimes:
    """Times that do not increase are moved, counted, and never reach the writer."""

    @staticmethod
    def with_times(expression: str, target: Path) -> Path:
        """The odd sample with its times rewritten (filter setts) and decoding times early enough to allow that."""
        times = f"setts=dts=DTS-10*512:pts={expression}"
        return ffmpeg_says.remux(SAMPLES / "odd.mp4", target, "-map", "0:v", "-bsf:v", times)

    def test_one_backward_time_is_moved_between_its_neighbours(self, tmp_path: Path) -> None:
        broken = self.with_times("if(eq(N\\,6)\\,PTS-1500\\,PTS)", tmp_path / "broken.mp4")
        video = open_video(broken)
        frames = list(video.frames())
        assert [read_index(frame.planes[0]) for frame in frames] == list(range(16))
        assert [frame.index for frame in frames] == list(range(16))
        assert [frame.pts for frame in frames] == [512 * index for index in range(16)]
        assert video.decoded.moved_times == 1

    def test_equal_times_are_spread(self, tmp_path: Path) -> None:
        broken = self.with_times("if(between(N\\,6\\,8)\\,5*512\\,PTS)", tmp_path / "broken.mp4")
        video = open_video(broken)
        assert video.index.count == 16
        assert len(video.index.pts) == 16
        assert (video.index.pts[1:] > video.index.pts[:-1]).all()
        assert not video.index.orderly
        frames = list(video.frames())
        assert [read_index(frame.planes[0]) for frame in frames] == list(range(16))
        assert [frame.index for frame in frames] == list(range(16))
        assert [frame.pts for frame in frames] == [512 * index for index in range(16)]
        assert video.decoded.moved_times == 3
        again = next(iter(video.frames(7)))
        assert (again.index, again.pts) == (7, frames[7].pts)
        same_planes([again], [frames[7].planes])

    def test_a_clock_that_starts_anew_is_refused(self, tmp_path: Path) -> None:
        once = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "once.ts", "-map", "0:v").read_bytes()
        twice = tmp_path / "twice.ts"
        twice.write_bytes(once + once)
        with pytest.raises(InputError, match=r"times run backwards at frame 28 .*remux"):
            list(open_video(twice).frames())

    def test_an_elementary_stream_is_counted_at_its_rate(self, tmp_path: Path) -> None:
        target = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "bare.h264", "-map", "0:v")
        video = open_video(target)
        assert not video.index.orderly
        frames = list(video.frames())
        assert len(frames) == video.index.count == 28
        steps = {(after.pts - before.pts) * video.info.time_base for before, after in itertools.pairwise(frames)}
        assert steps == {Fraction(1, 25)}
        assert video.decoded.frames.all()
        assert [read_index(frame.planes[0]) for frame in frames] == list(range(28))

    @given(st.lists(st.integers(-50, 50), min_size=1, max_size=12))
    def test_repaired_times_increase_and_good_ones_stay(self, noise: list[int]) -> None:
        planes = (np.zeros((1, 1), np.uint8),)
        frames = [Frame(planes, 100 * place + shift, 100, place) for place, shift in enumerate(noise)]
        kept = Decoded(np.zeros(0, np.bool_))
        result = list(repaired(frames, kept))
        assert [frame.index for frame in result] == list(range(len(frames)))
        assert all(after.pts > before.pts for before, after in itertools.pairwise(result))
        changed = sum(got.pts != frame.pts for got, frame in zip(result, frames, strict=True))
        assert changed <= kept.moved_times
        if all(after.pts > before.pts for before, after in itertools.pairwise(frames)):
            assert (result, kept.moved_times) == (frames, 0)

    def test_a_glitch_at_the_end_steps_on_by_one_duration(self) -> None:
        planes = (np.zeros((1, 1), np.uint8),)
        frames = [Frame(planes, pts, 40, place) for place, pts in enumerate((0, 40, 80, 60, 70))]
        result = list(repaired(frames, Decoded(np.zeros(0, np.bool_))))
        assert [frame.pts for frame in result] == [0, 40, 80, 120, 160]

    @pytest.mark.parametrize("length", [8, 9])
    def test_runs_of_up_to_eight_are_repaired(self, length: int) -> None:
        planes = (np.zeros((1, 1), np.uint8),)
        times = [0, 1000, *([500] * length), 2000]
        frames = [Frame(planes, pts, 100, place) for place, pts in enumerate(times)]
        kept = Decoded(np.zeros(0, np.bool_))
        if length == 9:
            with pytest.raises(InputError, match="backwards at frame 2"):
                list(repaired(frames, kept))
        else:
            assert len(list(repaired(frames, kept))) == len(frames)
            assert kept.moved_times == 8


@pytest.mark.fault(9, 10)
class TestDamage:
    """What is damaged is read past; what came out is marked, and never under another frame's index."""

    @staticmethod
    def check_kept_frames(video: Video, lost_at_least: int) -> list[Frame]:
        """Frames that came out bear the index painted into them; the others are marked as lost."""
        frames = list(video.frames())
        assert np.flatnonzero(video.decoded.frames).tolist() == [frame.index for frame in frames]
        assert (~video.decoded.frames).sum() >= lost_at_least
        for frame in frames:
            assert frame.pts == video.index.pts[frame.index]
        return frames

    def test_a_shortened_file_gives_what_is_there(self, tmp_path: Path) -> None:
        """Its header promises all frames; the packets after the end are lost."""
        whole = (SAMPLES / "odd.mp4").read_bytes()
        broken = tmp_path / "short.mp4"
        broken.write_bytes(whole[: len(whole) // 2])
        video = open_video(broken)
        frames = self.check_kept_frames(video, lost_at_least=0)
        assert 0 < len(frames) < 16
        assert [read_index(frame.planes[0]) for frame in frames] == list(range(len(frames)))
        # A packet cut in two may decode in part: all before it are whole.
        same_planes(frames[:-1], [frame.planes for frame in decoded("odd.mp4")[: len(frames) - 1]])

    @pytest.mark.parametrize("first", [0, 12])
    def test_a_lost_packet_does_not_shift_the_frames_behind_it(self, first: int, tmp_path: Path) -> None:
        video = open_video(without_packets({5, 6, 9}, tmp_path / "broken.mp4"))
        frames = list(video.frames(first))
        due = [index for index in range(first, 16) if index not in (5, 6, 9)]
        assert [frame.index for frame in frames] == due
        assert [read_index(frame.planes[0]) for frame in frames] == due
        assert [frame.pts for frame in frames] == [512 * index for index in due]
        if not first:
            assert np.flatnonzero(~video.decoded.frames).tolist() == [5, 6, 9]
            assert video.decoded.damaged_packets == 3

    def test_damaged_times_and_pictures_keep_their_places(self, tmp_path: Path) -> None:
        """The second half of an H.264 stream with B-frames, overwritten in one burst."""
        whole = bytearray((SAMPLES / "vfr.mp4").read_bytes())
        burst = slice(len(whole) // 2, len(whole) // 2 + 9000)
        whole[burst] = bytes(burst.stop - burst.start)
        broken = tmp_path / "broken.mp4"
        broken.write_bytes(whole)
        self.check_kept_frames(open_video(broken), lost_at_least=1)

    @pytest.mark.parametrize("suffix", [".mp4", ".ts", ".mkv"])
    def test_any_damage_ends_in_frames_or_in_one_line(self, suffix: str, tmp_path: Path) -> None:
        whole = ffmpeg_says.remux(SAMPLES / "vfr.mp4", tmp_path / f"whole{suffix}").read_bytes()
        broken = tmp_path / f"broken{suffix}"
        outcomes = set()
        for seed in range(16):
            broken.write_bytes(damaged(whole, random.Random(seed)))
            try:
                frames = list(open_video(broken).frames())
            except InputError as error:
                assert "\n" not in str(error)
                outcomes.add("refused")
                continue
            outcomes.add("read")
            assert all(after.pts > before.pts for before, after in itertools.pairwise(frames))
        assert "read" in outcomes

    def test_damage_before_the_first_picture_is_passed_over(self, tmp_path: Path) -> None:
        video = open_video(without_packets({0}, tmp_path / "broken.mp4"))
        frames = list(video.frames())
        assert [frame.index for frame in frames] == list(range(1, 16))
        assert not video.decoded.frames[0]


def without_packets(lost: set[int], target: Path) -> Path:
    """The odd sample as key frames only, the packets of the frames `lost` overwritten in place."""
    arguments = ("-map", "0:v", "-c:v", "ffv1", "-level", "3", "-slicecrc", "1", "-g", "1")
    ffmpeg_says.quietly("-i", SAMPLES / "odd.mp4", *arguments, target)
    whole = bytearray(target.read_bytes())
    place = whole.index(b"mdat") + 4
    for number, packet in enumerate(ffmpeg_says.packets(target, "0:v").packets):
        if number in lost:
            whole[place : place + packet.size] = b"\xff" * packet.size
        place += packet.size
    target.write_bytes(whole)
    return target


def damaged(whole: bytes, dice: random.Random) -> bytes:
    """Cut short, a few bits turned over, or a stretch of zeros."""
    result = bytearray(whole)
    match dice.randrange(3):
        case 0:
            return whole[: dice.randrange(len(whole))]
        case 1:
            for _ in range(dice.choice([1, 30])):
                result[dice.randrange(len(result))] ^= 1 << dice.randrange(8)
        case _:
            start = dice.randrange(len(result))
            result[start : start + 3000] = bytes(len(result[start : start + 3000]))
    return bytes(result)


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


def test_tags_in_an_old_encoding_do_not_stop_reading(tmp_path: Path) -> None:
    target = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "old.mkv", "-metadata", "artist=Mxlle")
    target.write_bytes(target.read_bytes().replace(b"Mxlle", "Müll\xe9".encode("latin-1")))
    assert probe(target).index.count == 28


def test_two_readers_of_one_video_do_not_disturb_each_other() -> None:
    video = open_video(SAMPLES / "vfr.mp4")
    pairs = list(zip(video.frames(), video.frames(), strict=True))
    assert all(one.pts == two.pts for one, two in pairs)
    half = video.frames()
    next(half)
    del half
    assert replace(video.info, codec="h264") == video.info
