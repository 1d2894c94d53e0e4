"""Times that do not increase, start anew, or are not there: repaired, counted, or refused."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import ffmpeg_says
from tests.painted import read_index
from tests.seams.test_decoder import same_planes
from vidrain.errors import InputError
from vidrain.types import Frame
from vidrain.video.decode import Decoded, open_video, repaired

SAMPLES = Path(__file__).parents[2] / "samples"


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

    @pytest.mark.fault(11)
    def test_a_time_after_decades_is_refused(self, tmp_path: Path) -> None:
        """No clock of an MP4 holds it."""
        late = self.with_times(f"PTS+if(gte(N\\,8)\\,12800*{1 << 32}\\,0)", tmp_path / "late.nut")
        with pytest.raises(InputError, match="after decades; remux the file") as caught:
            open_video(late)
        assert "\n" not in str(caught.value)

    @pytest.mark.fault(11)
    @pytest.mark.parametrize(("seconds", "is_damage"), [(5, False), (745, True)])
    def test_a_leap_of_a_broadcast_clock_is_damage(self, seconds: int, is_damage: bool, tmp_path: Path) -> None:
        """One flipped bit in the time of a packet; a transport stream tells its clock many times a second."""
        later = f"if(gte(N\\,20)\\,{seconds}/TB\\,0)"
        options = ("-map", "0:v", "-bsf:v", f"setts=pts=PTS+{later}:dts=DTS+{later}")
        source = ffmpeg_says.remux(SAMPLES / "full_range.mp4", tmp_path / "leap.ts", *options)
        found = [damage.what for damage in open_video(source).source.structure.damages]
        assert any("the times of its frames leap by" in what for what in found) == is_damage, found

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
