"""Positions on the command line against a slow twin that counts frames by their exact times."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.errors import UsageError
from vidrain.span import frame_at, kept_frames
from vidrain.types import FrameIndex

TIME_BASES = [Fraction(1, 90000), Fraction(1, 1000), Fraction(1, 12800), Fraction(1001, 30000), Fraction(1, 10**6)]


def index_of(pts: list[int]) -> FrameIndex:
    times = np.asarray(pts, np.int64)
    return FrameIndex(pts=times, keys=times[:1], count=len(pts), hidden=0, timed=True, orderly=True)


@st.composite
def indices(draw: st.DrawFn) -> FrameIndex:
    """Frames with durations that vary, from any start."""
    steps = draw(st.lists(st.integers(1, 9000), max_size=30))
    return index_of(np.cumsum([draw(st.integers(-(10**6), 10**12)), *steps]).tolist())


def slowly(due: Fraction, index: FrameIndex, time_base: Fraction) -> int:
    """Number of frames shown earlier than `due` seconds after the first one."""
    pts = index.pts.tolist()
    return sum((time - pts[0]) * time_base < due for time in pts)


def notations(milliseconds: int) -> list[str]:
    """The same moment in every way it can be written."""
    minutes, rest = divmod(milliseconds, 60_000)
    seconds = f"{rest // 1000}.{rest % 1000:03d}"
    long = f"{minutes // 60}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"
    texts = [f"{milliseconds // 1000}.{milliseconds % 1000:03d}s", long]
    return texts + ([f"{minutes}:{seconds}"] if minutes < 60 else [])


@given(indices(), st.sampled_from(TIME_BASES), st.integers(0, 5 * 3600 * 1000))
def test_times_find_the_first_frame_not_before_them(index: FrameIndex, time_base: Fraction, milliseconds: int) -> None:
    due = slowly(Fraction(milliseconds, 1000), index, time_base)
    assert {frame_at(text, index, time_base) for text in notations(milliseconds)} == {due}


@given(indices(), st.sampled_from(TIME_BASES), st.data())
def test_the_exact_time_of_a_frame_is_that_frame(index: FrameIndex, time_base: Fraction, data: st.DataObject) -> None:
    """Not the next one for want of an exact sum: where a time can be written down, it means its frame."""
    place = data.draw(st.integers(0, len(index.pts) - 1))
    seconds = (int(index.pts[place]) - int(index.pts[0])) * time_base
    written = f"{float(seconds):.15f}s"
    if Fraction(written[:-1]) == seconds:
        assert frame_at(written, index, time_base) == place


@given(indices(), st.sampled_from(TIME_BASES), st.integers(0, 40), st.integers(0, 40))
def test_ranges(index: FrameIndex, time_base: Fraction, start: int, end: int) -> None:
    frames = range(len(index.pts))
    expected = [frame for frame in frames if start <= frame < end]
    if expected:
        assert list(kept_frames(str(start), str(end), index, time_base)) == expected
    else:
        with pytest.raises(UsageError, match="no frame lies there"):
            kept_frames(str(start), str(end), index, time_base)


def test_open_ends_keep_everything() -> None:
    index = index_of([5, 10, 15])
    assert kept_frames(None, None, index, Fraction(1)) == range(3)
    assert kept_frames("1", None, index, Fraction(1)) == range(1, 3)
    assert kept_frames(None, "1", index, Fraction(1)) == range(1)
    assert kept_frames("5s", "9999s", index, Fraction(1)) == range(1, 3)


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("3", 3),
        ("0", 0),
        ("3s", 3),
        ("3.s", 3),
        (".5s", 1),
        ("2.0001s", 3),
        ("0:03", 3),
        ("0:00:03", 3),
        ("00:00:02.5", 3),
        ("1:00", 60),
        ("0:01:02", 62),
        ("1:00:00", 100),
        ("99999999999999999999999s", 100),
    ],
)
def test_every_notation(text: str, frame: int) -> None:
    assert frame_at(text, index_of(list(range(7, 107))), Fraction(1)) == frame


@pytest.mark.parametrize(
    "text", ["", "-1", "-1s", "12.5", "1e3s", "5 s", "1:60", "1:2:3:4", "0:99:00", "s", "1:00s", ":30", "½s", "frame 3"]
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"is no position; allowed: a frame such as 250, seconds such as 12\.5s"):
        frame_at(text, index_of([0, 1, 2]), Fraction(1))


@pytest.mark.parametrize(
    ("start", "end"), [("3", None), ("2", "2"), ("2", "1"), ("9s", None), (None, "0"), (None, "0s")]
)
def test_empty_range_says_what_there_is(start: str | None, end: str | None) -> None:
    with pytest.raises(UsageError, match=r"the video has 3 frames, 0 to 2, the last at 0\.080s; allowed: ") as raised:
        kept_frames(start, end, index_of([0, 40, 80]), Fraction(1, 1000))
    said = str(raised.value)
    assert said.count("\n") == 0
    assert said.startswith(" ".join(f"--{name} {text}" for name, text in (("start", start), ("end", end)) if text))


@given(indices(), st.sampled_from(TIME_BASES))
def test_the_last_start_that_is_offered_is_one(index: FrameIndex, time_base: Fraction) -> None:
    """To the millisecond and rounded down: rounded up it would lie behind the last frame."""
    with pytest.raises(UsageError) as raised:
        kept_frames("99999", None, index, time_base)
    offered = str(raised.value).partition("the last at ")[2].partition(";")[0]
    assert kept_frames(offered, None, index, time_base)
