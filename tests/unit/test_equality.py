"""Facts of two files: same, different, or changed for a reason. What takes no file to be shown."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from vidrain.equality import Difference, Explained, Found, chapter_facts, paired, picture_facts, stream_facts, tag_facts
from vidrain.types import ColorTags, PixelLayout, StaticHdr, VideoInfo
from vidrain.video.facts import Chapter, Held, Track

INFO = VideoInfo(
    path=Path("in.mp4"),
    stream_index=0,
    codec="h264",
    width=640,
    height=360,
    pix_fmt="yuv420p",
    layout=PixelLayout("yuv420p", 8),
    color=ColorTags(1, 1, 1, 1),
    time_base=Fraction(1, 90000),
    rate=Fraction(25),
    sample_aspect_ratio=None,
    display_matrix=None,
    interlaced=False,
    side_data=(),
    hdr=StaticHdr(light=(1000, 400)),
)
UPRIGHT = (1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
SOUND = Track(
    1, "audio", "aac", {"language": "eng"}, frozenset({"default"}), is_rebuilt=False, count=3, sha256="a" * 64
)
SOUND = replace(SOUND, times=np.array([0, 1024, 2048]), time_base=Fraction(1, 48000))


def kinds(found: list[Found]) -> list[tuple[str, str]]:
    return [(type(item).__name__, item.fact) for item in found]


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"interlaced": True}, "field order"),
        ({"field_order": "top", "interlaced": True}, "field order"),
        ({"chroma_siting": "topleft"}, "chroma siting"),
        ({"hdr": StaticHdr()}, "HDR data"),
        ({"hdr": StaticHdr(light=(1000, 300))}, "HDR data"),
        ({"hdr": replace(INFO.hdr, mastering=(Fraction(1, 2),) * 10)}, "HDR data"),
        ({"side_data": ("DOVI_METADATA",)}, "HDR data"),
        ({"layout": PixelLayout("yuv420p", 10)}, "pixel format"),
        ({"layout": PixelLayout("yuv444p", 8)}, "pixel format"),
        ({"height": 720}, "size"),
        ({"sample_aspect_ratio": Fraction(4, 3)}, "sample aspect ratio"),
        ({"display_matrix": (-(1 << 16), *UPRIGHT[1:])}, "rotation"),
        ({"color": ColorTags(1, 2, 1, 1)}, "colour range"),
        ({"color": ColorTags(1, 1, 1, 16)}, "colour transfer"),
        ({"color": ColorTags(2, 1, 1, 1)}, "colour matrix"),
        ({"color": ColorTags(1, 1, 2, 1)}, "colour primaries"),
    ],
)
def test_every_fact_of_the_picture(change: dict[str, object], fact: str) -> None:
    other = replace(INFO, **change)  # type: ignore[arg-type]
    assert kinds(list(picture_facts(INFO, INFO, "mp4"))) == []
    assert kinds(list(picture_facts(INFO, other, "mp4"))) == [("Difference", fact)]


@pytest.mark.parametrize(
    ("change", "source"),
    [
        ({"display_matrix": UPRIGHT}, {}),
        ({"sample_aspect_ratio": Fraction(1)}, {}),
        ({"color": ColorTags(1, 0, 1, 1)}, {}),
        ({"color": ColorTags()}, {"layout": PixelLayout("gbrp", 8)}),  # RGB has none
    ],
)
def test_what_means_the_same(change: dict[str, object], source: dict[str, object]) -> None:
    was = replace(INFO, **source)  # type: ignore[arg-type]
    now = replace(was, **change)  # type: ignore[arg-type]
    assert list(picture_facts(was, now, "mp4")) == list(picture_facts(now, was, "mp4")) == []


def test_what_had_to_be() -> None:
    odd = replace(INFO, width=641)
    wide = replace(odd, layout=PixelLayout("yuv444p", 8))
    assert kinds(list(picture_facts(odd, wide, "mp4"))) == [("Explained", "pixel format")]
    fields = replace(INFO, interlaced=True)
    assert kinds(list(picture_facts(fields, INFO, "mp4"))) == [("Explained", "field order")]
    lower = replace(INFO, interlaced=True, field_order="top", height=362)
    frames = replace(lower, interlaced=False, field_order=None)
    assert kinds(list(picture_facts(lower, frames, "mp4"))) == [("Explained", "field order")]
    as_tall = [replace(info, height=360) for info in (lower, frames)]
    assert kinds(list(picture_facts(*as_tall, "mp4"))) == [("Difference", "field order")]
    assert kinds(list(picture_facts(INFO, replace(INFO, codec="hevc"), "mp4"))) == [("Explained", "codec")]
    placed, silent = replace(INFO, chroma_siting="top", hdr=INFO.hdr), replace(INFO, codec="ffv1", hdr=StaticHdr())
    explained = [("Explained", "chroma siting"), ("Explained", "HDR data"), ("Explained", "codec")]
    assert kinds(list(picture_facts(placed, silent, "mp4"))) == explained
    assert kinds(list(picture_facts(placed, silent, "matroska")))[0] == ("Difference", "chroma siting")
    changing = replace(INFO, side_data=("DYNAMIC_HDR_PLUS",))
    assert kinds(list(picture_facts(changing, INFO, "mp4"))) == [("Explained", "HDR data")]
    partly = replace(INFO, color=ColorTags(1, 1, 2, 1))
    lossless = replace(INFO, codec="ffv1")
    explained = [("Explained", "colour primaries"), ("Explained", "codec")]
    assert kinds(list(picture_facts(partly, lossless, "mp4"))) == explained
    assert ("Difference", "colour primaries") in kinds(list(picture_facts(partly, lossless, "matroska")))


def test_tags_that_the_container_cannot_hold_are_explained_and_others_are_not() -> None:
    source, held = {"title": "A", "make": "B", "language": "eng"}, {"title": "A", "handler_name": "VideoHandler"}
    assert kinds(list(tag_facts(source, held, held, "mp4"))) == [("Explained", "language"), ("Explained", "tag make")]
    assert list(tag_facts(source, source, held, "mp4")) == []  # better than was to be expected
    assert kinds(list(tag_facts(source, {"make": "B"}, None, "mp4"))) == [
        ("Difference", "language"),
        ("Difference", "tag title"),
    ]
    made = {**source, "vidrain": "0.1", "vidrain:model": "x"}
    assert {kind for kind, _ in kinds(list(tag_facts(source, made, None, "mp4")))} == {"Explained"}
    assert list(tag_facts({}, {"language": "und"}, None, "mp4")) == []


def test_chapters() -> None:
    one = Chapter(Fraction(1), Fraction(2), {"title": "One"})
    two = Chapter(Fraction(2), Fraction(3), {"title": "Two"})
    assert list(chapter_facts([one, two], [one, two], "mp4")) == []
    assert kinds(list(chapter_facts([one, two], [one], "mp4"))) == [("Difference", "chapters")]
    near, far = replace(two, end=Fraction(3001, 1000)), replace(two, end=Fraction(3002, 1000))
    assert kinds(list(chapter_facts([one, two], [one, near], "mp4"))) == [("Explained", "chapter times")]
    assert kinds(list(chapter_facts([one, two], [one, far], "mp4"))) == [("Difference", "chapter times")]
    from_zero = replace(one, start=Fraction(0))
    assert kinds(list(chapter_facts([one], [from_zero], "mp4"))) == [("Explained", "chapter times")]
    assert kinds(list(chapter_facts([one], [from_zero], "matroska"))) == [("Difference", "chapter times")]


@pytest.mark.parametrize(
    ("change", "fact"),
    [
        ({"codec": "mp3"}, "codec"),
        ({"sha256": "b" * 64}, "bytes"),
        ({"sha256": "b" * 64, "count": 2}, "packets"),
        ({"times": np.array([0, 1024, 2050])}, "packet times"),
        ({"tags": {"language": "deu"}}, "language"),
        ({"disposition": frozenset({"default", "forced"})}, "disposition"),
    ],
)
def test_every_fact_of_a_stream(change: dict[str, object], fact: str) -> None:
    other = replace(SOUND, **change)  # type: ignore[arg-type]
    assert list(stream_facts([(SOUND, SOUND)], None, "mp4")) == []
    found = list(stream_facts([(SOUND, other)], None, "mp4"))
    assert kinds(found) == [("Difference", fact)]
    assert isinstance(found[0], Difference)
    assert found[0].where == "stream 1 (audio aac, eng)"


def test_what_the_container_makes_of_a_stream() -> None:
    bare = replace(SOUND, tags={}, disposition=frozenset())
    held = Held({}, {1: ({}, frozenset())})
    assert {kind for kind, _ in kinds(list(stream_facts([(SOUND, bare)], held, "avi")))} == {"Explained"}
    packed = replace(SOUND, count=1, times=SOUND.times[:1])
    assert kinds(list(stream_facts([(SOUND, packed)], None, "mov"))) == [("Explained", "packets")]
    rounded = replace(SOUND, times=np.array([0, 21, 43]), time_base=Fraction(1, 1000))
    assert kinds(list(stream_facts([(SOUND, rounded)], None, "matroska"))) == [("Explained", "packet times")]
    assert isinstance(next(stream_facts([(SOUND, packed)], None, "mov")), Explained)


def test_streams_are_paired_by_what_they_are_when_one_is_missing() -> None:
    video = replace(SOUND, index=0, kind="video", codec="h264")
    german = replace(SOUND, index=2, tags={"language": "deu"})
    again = replace(german, index=1)
    assert paired([video, SOUND, german], [video, again]) == [(video, video), (SOUND, None), (german, again)]
    assert paired([video, SOUND], [video, SOUND, german])[-1] == (None, german)
    assert paired([SOUND, german], [german, SOUND]) == [(SOUND, german), (german, SOUND)]  # as many: by order
