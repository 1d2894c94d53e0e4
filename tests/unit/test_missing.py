"""What is missing, on a range and in words; made-up damage on a real file."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from vidrain.missing import Missing, missing_in, missing_in_file
from vidrain.types import Damage, Structure
from vidrain.video.decode import Video, open_video

SAMPLES = Path(__file__).resolve().parents[2] / "samples"


@pytest.fixture
def whole() -> Video:
    """28 frames, 25 a second, all decoded."""
    video = open_video(SAMPLES / "full_range.mp4")
    video.decoded.frames[:] = True
    return video


def damaged(video: Video, *damages: Damage, stated_end: Fraction | None = None) -> Video:
    source = replace(video.source, structure=Structure("mp4", damages), stated_end=stated_end)
    return replace(video, source=source)


def lost(kind: str, start: str, end: str) -> Damage:
    return Damage("gone", 0, 1, kind, ((Fraction(start), Fraction(end)),))  # type: ignore[arg-type]


def test_nothing(whole: Video) -> None:
    assert missing_in(whole, range(28)) == missing_in_file(whole.source) == Missing((), ())
    assert not missing_in(whole, range(28))


def test_what_did_not_decode_and_what_is_not_there_are_one(whole: Video) -> None:
    whole.decoded.frames[10:12] = False
    video = damaged(whole, lost("video", "0.48", "0.6"))
    assert missing_in(video, range(28)).picture == ((0.4, 0.6),)
    assert missing_in_file(video.source).picture == ((0.48, 0.6),)


@pytest.mark.parametrize(
    ("kept", "picture"),
    [(range(10), ()), (range(13), ((0.48, 0.52),)), (range(14, 28), ((0.56, 0.6),)), (range(15, 28), ())],
)
def test_only_the_range_counts(kept: range, picture: tuple[tuple[float, float], ...], whole: Video) -> None:
    video = damaged(whole, lost("video", "0.48", "0.6"), lost("audio", "0.48", "0.6"))
    missing = missing_in(video, kept)
    assert missing.picture == picture
    assert bool(missing.other) == bool(picture)


def test_the_head_promises_more(whole: Video) -> None:
    assert missing_in(damaged(whole, stated_end=Fraction(2)), range(28)).picture == ((1.12, 2.0),)
    assert not missing_in(damaged(whole, stated_end=Fraction("1.139")), range(28))  # less than half a frame
    assert not missing_in(damaged(whole, stated_end=Fraction(2)), range(27))


def test_a_cut_of_unknown_length(whole: Video) -> None:
    video = damaged(whole, Damage("the end is cut", 5, 9))
    (notice,) = missing_in(video, range(28)).notices()
    assert (notice.code, notice.message) == ("missing", "the end is cut; how much is missing is not known")
    assert not missing_in(video, range(20))
    known = damaged(whole, Damage("the end is cut", 5, 9), stated_end=Fraction(2))
    (notice,) = missing_in(known, range(28)).notices()
    assert notice.message == "could not be decoded and is missing: 1.120-2.000 s"


def test_frames_lost_before_the_first_that_is_left(whole: Video) -> None:
    """Seconds count from the first frame that there was."""
    video = damaged(whole, lost("video", "-0.2", "0"))
    assert missing_in(video, range(28)).picture == ((0.0, 0.2),)
