"""What is damaged is read past, marked, and never shifts the frames behind it."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from tests.seams.test_decoder import decoded, same_planes
from vidrain.errors import InputError
from vidrain.types import Frame
from vidrain.video.decode import Video, open_video

SAMPLES = Path(__file__).parents[2] / "samples"


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
