"""Files with several videos: which one is cleaned, which are copied, and all of them in one run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests import ffmpeg_says
from tests.painted import read_index
from tests.pipeline.conftest import Vidrain
from vidrain import clean, recompose
from vidrain.job import CleanOptions
from vidrain.video.decode import open_video

FRONT, REAR = 0, 1
FRAMES = {FRONT: 36, REAR: 28}


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """Front (uneven times, 1/90000, B-frames) and rear (full range, turned by nothing, 1/15360) with sound and a cover.

    Both begin at times of their own.
    """
    folder = tmp_path_factory.mktemp("camera")
    ffmpeg_says.quietly("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", folder / "cover.png")
    ffmpeg_says.quietly(
        *("-copyts", "-i", samples / "vfr.mp4", "-i", samples / "full_range.mp4", "-i", folder / "cover.png"),
        *("-map", "2:v", "-map", "0:v", "-map", "0:a", "-map", "1:v", "-c", "copy", "-disposition:v:0", "attached_pic"),
        *("-metadata:s:v:2", "handler_name=Rear", "-movie_timescale", "90000", folder / "camera.mp4"),
    )
    return folder / "camera.mp4"


def track(path: Path, number: int) -> ffmpeg_says.Track:
    """Decoded frames of one video, covers not counted, by FFmpeg's program."""
    return ffmpeg_says.tracks(path, "-map", f"0:V:{number}")[0]


def packets(path: Path, number: int) -> ffmpeg_says.Track:
    return ffmpeg_says.packets(path, f"0:V:{number}")


def indices(path: Path, number: int) -> list[int]:
    return [read_index(frame.planes[0]) for frame in open_video(path, track=number).frames()]


@pytest.mark.fault(4, 23)
def test_inspect_lists_every_video(camera: Path, vidrain: Vidrain) -> None:
    found = json.loads(vidrain("inspect", camera, "--json").out)
    videos = [stream for stream in found["streams"] if stream["track"] is not None]
    assert [(stream["track"], stream["clean"]) for stream in videos] == [(0, "cleaned"), (1, "copied")]
    assert [stream["size"] for stream in videos] == [[256, 160], [208, 208]]
    assert [stream["kind"] for stream in found["streams"]].count("cover") == 1
    assert found["clean"]["notices"][-1]["message"].endswith("it is copied with its rain; --video 1 or all cleans it")
    lines = vidrain("inspect", camera).out
    assert "Rear (--video 1): copied" in lines


@pytest.mark.fault(23)
@pytest.mark.proves("clean --video")
@pytest.mark.parametrize(("chosen", "suffix"), [(FRONT, "mp4"), (REAR, "mp4"), (REAR, "mkv"), (REAR, "mov")])
def test_one_video_is_cleaned_and_the_other_copied(
    chosen: int, suffix: str, camera: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    target = tmp_path / f"out.{suffix}"
    arguments = () if chosen == FRONT else ("--video", str(chosen))  # the first is the default
    assert vidrain("clean", camera, "-o", target, *arguments).code == 0
    other = 1 - chosen
    assert packets(target, other).contents == packets(camera, other).contents
    assert packets(target, chosen).contents != packets(camera, chosen).contents
    for number in (FRONT, REAR):
        got, due = track(target, number).seconds, track(camera, number).seconds
        assert len(got) == len(due) == FRAMES[number]
        allowed = 0.0005 if suffix == "mkv" else 0
        assert max(abs(a - b) for a, b in zip(got, due, strict=True)) <= allowed
    assert indices(target, chosen) == list(range(FRAMES[chosen]))
    assert ffmpeg_says.packets(target, "0:a").contents == ffmpeg_says.packets(camera, "0:a").contents


@pytest.mark.fault(23)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_all_videos_are_cleaned_as_each_would_be(suffix: str, camera: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = tmp_path / f"all.{suffix}"
    ran = vidrain("clean", camera, "-o", target, "--video", "all", "--archive", "--json")
    assert ran.code == 0, ran.err
    assert [path.name for path in tmp_path.iterdir()] == [target.name]
    for number in (FRONT, REAR):
        alone = tmp_path / f"alone{number}.{suffix}"
        assert vidrain("clean", camera, "-o", alone, "--video", str(number), "--archive").code == 0
        assert track(target, number).contents == track(alone, number).contents != track(camera, number).contents
        assert track(target, number).seconds == track(alone, number).seconds
        if suffix == "mp4":
            assert track(target, number).seconds == track(camera, number).seconds
    assert ffmpeg_says.packets(target, "0:a").contents == ffmpeg_says.packets(camera, "0:a").contents
    assert ffmpeg_says.packets(target, "0:a").seconds[5] == pytest.approx(
        ffmpeg_says.packets(camera, "0:a").seconds[5], abs=0.001
    )
    events = {event["event"]: event for event in ran.events}
    assert events["plan"]["frames"] == events["progress"]["total"] == sum(FRAMES.values())
    assert events["progress"]["frames"] == events["file_done"]["frames_out"] == sum(FRAMES.values())
    assert events["file_done"]["pts_equal"] == (suffix == "mp4")
    assert events["file_done"]["streams"] == ["audio aac"] + ["video png"] * (suffix == "mp4")  # else an attachment
    assert [event["event"] for event in ran.events].count("plan") == 1
    assert not any("with its rain" in event.get("message", "") for event in ran.events)


def test_three_videos_take_turns(tmp_path: Path, samples: Path) -> None:
    source, target = tmp_path / "three.mkv", tmp_path / "out.mkv"
    ffmpeg_says.quietly(
        *("-i", samples / "full_range.mp4", "-i", samples / "odd.mp4", "-map", "0:v", "-map", "1:v", "-map", "0:v"),
        *("-t", "0.3", "-c", "copy", source),
    )
    report = clean(source, target, options=CleanOptions(video="all", archive=True))
    assert report.videos == (0, 1, 2)
    assert report.exact
    counts = [len(track(source, number).packets) for number in range(3)]
    assert [len(track(target, number).packets) for number in range(3)] == counts
    assert report.frames_out == sum(counts)
    assert track(target, 0).contents == track(target, 2).contents != track(source, 0).contents
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mkv", "three.mkv"]


def test_all_of_one_video_is_that_one(samples: Path, tmp_path: Path) -> None:
    plain, every = tmp_path / "plain.mp4", tmp_path / "every.mp4"
    clean(samples / "odd.mp4", plain, options=CleanOptions(end="4"))
    clean(samples / "odd.mp4", every, options=CleanOptions(end="4", video="all", rain=tmp_path / "rain.mp4"))
    one, all_of_it = (ffmpeg_says.tracks(path, "-map", "0", "-c", "copy") for path in (plain, every))
    assert one == all_of_it


def test_comparison_and_archive_are_of_the_video_that_was_chosen(camera: Path, tmp_path: Path) -> None:
    target, rain, compare = (tmp_path / f"{name}.mp4" for name in ("clean", "rain", "compare"))
    clean(camera, target, options=CleanOptions(video="1", archive=True, rain=rain, compare=compare))
    sources = [frame.planes for frame in open_video(camera, track=1).frames()]
    for again, planes in zip(recompose(target, rain, video=1), sources, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(again.planes, planes, strict=True))
    panes = [np.hsplit(frame.planes[0], 3) for frame in open_video(compare).frames()]
    assert len(panes) == FRAMES[REAR]
    assert [read_index(middle) for _, middle, _ in panes] == list(range(FRAMES[REAR]))
    left, middle, _ = panes[3]
    assert np.abs(left.astype(int) - middle).mean() < 8  # both of the same camera
    assert compare.stat().st_size
    assert track(compare, 0).seconds == track(camera, 1).seconds


@pytest.mark.fault(23)
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--video", "2"), "has no such video; it has: 0 (h264 256x160), 1 (h264 208x208)"),
        (("--video", "-1"), "allowed: 0, 1, ... or all"),
        (("--video", "front"), "allowed: 0, 1, ... or all"),
        (("--video", "9" * 400), "allowed: 0, 1, ... or all"),
        (("video=1.5",), "allowed: 0, 1, ... or all"),
        (("--video", "all", "--rain", "rain.mp4"), "has 2 videos; name one, such as --video 0, for --rain"),
        (("--video", "all", "--rain-preview", "rain.mp4"), "name one, such as --video 0"),
        (("--video", "all", "--compare", "look.mp4"), "name one, such as --video 0"),
        (("--video", "all", "--start", "4"), "name one, such as --video 0, for --start and --end"),
    ],
)
def test_what_no_video_stands_for_is_refused(
    arguments: tuple[str, ...], said: str, camera: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    ran = vidrain("clean", camera, "-o", tmp_path / "out.mp4", *arguments)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert said in ran.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.fault(24)
def test_all_is_refused_before_the_first_frame_where_one_cannot_be_copied(camera: Path, tmp_path: Path) -> None:
    source, target = tmp_path / "camera.ts", tmp_path / "out.mp4"
    ffmpeg_says.quietly("-i", camera, "-map", "0:V", "-c", "copy", source)
    heard: list[object] = []
    with pytest.raises(Exception, match="form of a broadcast") as caught:
        clean(source, target, options=CleanOptions(video="all"), on_event=heard.append)
    assert getattr(caught.value, "exit_code", None) == 2
    assert heard == []


@pytest.mark.fault(32)
def test_any_name_will_do_for_several_passes(camera: Path, tmp_path: Path) -> None:
    target = tmp_path / ("ü" * 120 + ".mp4")  # 244 of 255 bytes
    clean(camera, target, options=CleanOptions(video="all"))
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_left_when_the_second_pass_fails(camera: Path, tmp_path: Path) -> None:
    """The rear camera changes its size on the way, which shows only when it is decoded."""
    small = tmp_path / "small.mp4"
    ffmpeg_says.quietly("-i", camera, "-map", "0:V:1", "-vf", "scale=128:80", "-c:v", "libx264", small)
    lists = tmp_path / "list.txt"
    rear = tmp_path / "rear.mp4"
    ffmpeg_says.quietly("-i", camera, "-map", "0:V:1", "-c:v", "libx264", "-x264-params", "repeat-headers=1", rear)
    lists.write_text(f"file '{rear}'\nfile '{small}'\n")
    source, folder = tmp_path / "source.mkv", tmp_path / "out"
    folder.mkdir()
    ffmpeg_says.quietly(
        *("-i", camera, "-f", "concat", "-safe", "0", "-i", lists, "-map", "0:V:0", "-map", "1:v", "-c", "copy", source)
    )
    with pytest.raises(Exception, match=r"/source\.mkv: frame 28 is 128x80 .* began as 208x208") as caught:
        clean(source, folder / "out.mkv", options=CleanOptions(video="all"))
    assert getattr(caught.value, "exit_code", None) == 3
    assert list(folder.iterdir()) == []


@pytest.fixture
def trimmed(tmp_path: Path, samples: Path) -> Path:
    """The second video was cut between two key frames without encoding it: an edit list hides its first frames."""
    cut, source = tmp_path / "cut.mp4", tmp_path / "trimmed.mp4"
    ffmpeg_says.quietly("-ss", "0.5", "-i", samples / "vfr.mp4", "-map", "0:v", "-c", "copy", cut)
    ffmpeg_says.quietly(
        *("-i", samples / "full_range.mp4", "-i", cut, "-map", "0:v", "-map", "1:v", "-c", "copy", "-copyts", source)
    )
    return source


@pytest.mark.fault(15, 23)
def test_frames_that_an_edit_list_hides_stay_hidden(trimmed: Path, tmp_path: Path) -> None:
    assert len(packets(trimmed, 1).packets) > len(track(trimmed, 1).packets)
    for chosen in ("0", "1", "all"):
        target = tmp_path / f"{chosen}.mp4"
        clean(trimmed, target, options=CleanOptions(video=chosen))
        assert track(target, 1).seconds == track(trimmed, 1).seconds
        assert chosen != "0" or track(target, 1).contents == track(trimmed, 1).contents


@pytest.mark.fault(15, 24)
def test_hidden_frames_do_not_go_into_matroska(trimmed: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    target = tmp_path / "out.mkv"
    ran = vidrain("clean", trimmed, "-o", target, "--json")
    assert ran.code == 0
    left = [event["message"] for event in ran.events if event.get("code") == "left_out"]
    assert len(left) == 1
    assert left[0].endswith(
        "is another video whose beginning an edit list hides, which matroska cannot: it is left out"
    )
    ran = vidrain("clean", trimmed, "-o", tmp_path / "all.mkv", "--video", "all")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "an edit list hides" in ran.err
    assert vidrain("clean", trimmed, "-o", tmp_path / "one.mkv", "--video", "1").code == 0
    assert len(track(tmp_path / "one.mkv", 1).packets) == len(track(trimmed, 1).packets)
