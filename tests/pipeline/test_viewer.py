"""`vidrain preview`, `vidrain report`, `clean --report`: what stands in the page; tests/slow opens it in a browser."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vidrain as package
from tests import ffmpeg_says
from tests.broken import cut, index_in_front, wiped
from tests.painted import read_index
from tests.pipeline.conftest import Vidrain


def data_of(page: Path) -> dict[str, Any]:
    """What the script of a page is given."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def frames_of(data: dict[str, Any]) -> list[int]:
    return [int(frame[0]) for excerpt in data["excerpts"] for frame in excerpt["frames"]]


def parts_of(excerpt: dict[str, Any], folder: Path) -> list[list[np.ndarray]]:
    """Luma of before, after and rain of every frame, by the ffmpeg program."""
    (video := folder / "proxy.mp4").write_bytes(base64.b64decode(excerpt["video"]))
    width, height = excerpt["size"]
    assert "Video: h264" in ffmpeg_says.streams(video)[0]
    assert f"yuv420p(tv, bt709, progressive), {width}x{3 * height}" in ffmpeg_says.streams(video)[0]
    frames = ffmpeg_says.planes(video, "yuv420p", (width, 3 * height))
    return [np.split(frame[0], 3) for frame in frames]


@pytest.mark.proves("preview", "preview CLIP", "preview --at", "preview --seconds", "preview --output")
@pytest.mark.proves("preview KEY=VALUE", "preview --json", "preview --force")
def test_preview_shows_the_seconds_that_were_asked_for(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    clip, page = samples / "vfr.mp4", tmp_path / "page.html"
    how = ("--at", "0:00:00.5", "--seconds", "0.4", "--json", "model=baseline", "baseline.radius=1")
    ran = vidrain("preview", clip, "-o", page, *how)
    assert (ran.code, ran.err) == (0, "")
    assert [event["event"] for event in ran.events if event["event"] != "progress"] == ["page_plan", "page_done"]
    track, data = ffmpeg_says.shown_frames(clip), data_of(page)
    times = [float(time - track.seconds[0]) for time in track.seconds]
    due = [index for index, time in enumerate(times) if 0.5 <= time < next(t for t in times if t >= 0.5) + 0.4]
    assert frames_of(data) == due == [int(row[0]) for row in data["chart"]]
    excerpt = data["excerpts"][0]
    assert [frame[1] for frame in excerpt["frames"]] == [track.pts[index] for index in due]
    parts = parts_of(excerpt, tmp_path)
    assert [read_index(before) for before, _, _ in parts] == due == [read_index(after) for _, after, _ in parts]
    removed = np.mean([before.astype(float) - after for before, after, _ in parts])
    assert removed > 0.3
    assert np.mean([rain.astype(float) - 16 for _, _, rain in parts]) == pytest.approx(3 * removed, rel=0.4)
    shown = ffmpeg_says.shown_frames(tmp_path / "proxy.mp4").seconds
    assert [float(time) for time in shown] == pytest.approx([times[index] - times[due[0]] for index in due])
    assert '"radius": 1' in data["config"]
    assert data["verification"] is None
    assert vidrain("preview", clip, "-o", page, "--seconds", "0.1").code == 5
    ran = vidrain("preview", clip, "-o", page, "--seconds", "0.1", "--force")
    assert (ran.code, ran.out.strip()) == (0, str(page))
    assert frames_of(data_of(page))[0] == 0


def test_preview_lies_beside_the_clip_and_refuses_what_cannot_be(
    samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    clip = Path(shutil.copy(samples / "odd.mp4", tmp_path / "clip.mp4"))
    assert vidrain("preview", clip, "--seconds", "0.1").code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"clip.mp4", "clip.preview.html"}
    for arguments, code in (
        (("--seconds", "0"), 2),
        (("--seconds", "61"), 2),
        (("--at", "99"), 2),
        (("cfr=25",), 2),
        (("start=20",), 2),
        (("end=20",), 2),
        (("-o", clip), 2),
    ):
        ran = vidrain("preview", clip, *arguments)
        assert (ran.code, ran.err.count("\n")) == (code, 1), ran.err
        assert "--start" not in ran.err and "--end" not in ran.err, "a preview has no such options"
    assert "--at 9:59: no frame lies there" in (err := vidrain("preview", clip, "--at", "9:59").err)
    assert err.endswith("; allowed: --at up to that one\n")


def test_preview_of_more_frames_than_a_page_has_room_for_is_refused(tmp_path: Path, vidrain: Vidrain) -> None:
    """Of a camera for slow motion."""
    clip = tmp_path / "fast.mp4"
    many = "testsrc2=s=32x32:r=240"
    ffmpeg_says.quietly("-f", "lavfi", "-i", many, "-frames:v", "7300", "-c:v", "libx264", "-g", "600", clip)
    ran = vidrain("preview", clip, "--seconds", "60")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "are 7300 frames there, a page shows 7200 at most; take --seconds 58.6" in ran.err
    assert list(tmp_path.iterdir()) == [clip]


@pytest.mark.proves("clean --report", "report", "report OUT", "report --output", "report --force", "report --json")
def test_report_tells_what_changed_and_what_was_kept(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = Path(shutil.copy(samples / "full_range.mp4", tmp_path / "in.mp4"))
    made, page = tmp_path / "in.clean.mp4", tmp_path / "page.html"
    assert vidrain("clean", source, "--report", page).code == 0
    data = data_of(page)
    assert frames_of(data) == list(range(28))
    assert [read_index(before) for before, _, _ in parts_of(data["excerpts"][0], tmp_path)] == list(range(28))
    assert data["verification"]["same"] is True
    assert data["verification"]["same_streams"] == ["stream 1 (audio aac, eng)"]
    assert '"crf": 18' in data["config"]
    assert 0.001 < np.mean([row[3] for row in data["chart"]]) < 0.05
    assert data["worst"][0][3] == max(row[3] for row in data["chart"])
    assert sum(data["histogram"]["counts"]) > 0
    own = tmp_path / "in.clean.report.html"
    ran = vidrain("report", made, "--json")  # the source lies beside it, and so does the page
    assert (ran.code, ran.events[-1]["output"]) == (0, str(own))
    assert data_of(own)["chart"] == data["chart"]
    assert vidrain("report", made).code == 5
    ran = vidrain("report", made, "--force", "-o", own)
    assert (ran.code, ran.out.strip()) == (0, str(own))
    assert vidrain("clean", source, "--report", page, "--force", "--video", "all").code == 2
    before = made.read_bytes()
    assert vidrain("clean", source, "-o", tmp_path / "other.mp4", "--report", page).code == 5
    assert not (tmp_path / "other.mp4").exists()  # refused before the work
    assert made.read_bytes() == before


@pytest.mark.proves("report --against", "report --start", "report --end", "report --keep-pts", "report --video")
def test_report_of_a_part(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    made, page = tmp_path / "made.mp4", tmp_path / "made.report.html"
    part = ("--start", "5", "--end", "12", "--keep-pts")
    assert vidrain("clean", samples / "vfr.mp4", "-o", made, *part).code == 0
    ran = vidrain("report", made)
    assert (ran.code, "name it with --against" in ran.err) == (2, True)
    against = ("--against", samples / "vfr.mp4")
    assert vidrain("report", made, *against, *part).code == 0
    data = data_of(page)
    assert frames_of(data) == list(range(5, 12))
    assert data["verification"]["differences"] == []
    before, after, _ = parts_of(data["excerpts"][0], tmp_path)[0]
    assert read_index(before) == read_index(after) == 5
    ran = vidrain("report", made, *against, *part, "--video", "1", "--force")
    assert (ran.code, "has no such video" in ran.err) == (2, True)
    ran = vidrain("report", made, "--against", samples / "odd.mp4", "-o", tmp_path / "x.html")
    assert (ran.code, "do not belong together" in ran.err) == (3, True)


@pytest.mark.proves("report --cfr")
def test_report_of_another_rate_pairs_each_frame_with_its_own(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = ffmpeg_says.remux(samples / "vfr.mp4", tmp_path / "in.mp4", "-map", "0:v", "-t", "0.7")
    made = tmp_path / "in.clean.mp4"
    assert vidrain("clean", source, "--cfr", "20").code == 0
    assert vidrain("report", made, "--cfr", "20").code == 0
    data = data_of(tmp_path / "in.clean.report.html")
    parts = parts_of(data["excerpts"][0], tmp_path)
    assert [read_index(before) for before, _, _ in parts] == [read_index(after) for _, after, _ in parts]
    assert data["verification"]["differences"] == []


def test_report_names_what_was_lost(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """Sound taken out by another program."""
    source = Path(shutil.copy(samples / "odd.mp4", tmp_path / "in.mp4"))
    assert vidrain("clean", source, "--archive").code == 0
    ffmpeg_says.remux(tmp_path / "in.clean.mp4", tmp_path / "mute.mp4", "-map", "0:v")
    assert vidrain("report", tmp_path / "mute.mp4", "--against", source).code == 0
    found = data_of(tmp_path / "mute.report.html")["verification"]["differences"]
    assert any(item["fact"] == "stream" and item["output"] == "none" for item in found), found


@pytest.mark.proves("preview")
def test_preview_whose_first_frames_are_lost_begins_with_the_first_that_is_not(
    samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """The page finds a frame by its time from the first one it shows: both videos have to begin with that one."""
    whole, page = tmp_path / "whole.mov", tmp_path / "page.html"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-an", "-c:v", "mjpeg", "-q:v", "2", whole)
    lost = wiped(whole, tmp_path / "lost.mov", range(3))
    assert vidrain("preview", lost, "-o", page, "--seconds", "0.3").code == 4
    data = data_of(page)
    assert frames_of(data) == list(range(3, 8))
    assert [read_index(before) for before, _, _ in parts_of(data["excerpts"][0], tmp_path)] == list(range(3, 8))
    shown = [float(time) for time in ffmpeg_says.shown_frames(tmp_path / "proxy.mp4").seconds]
    seconds = [frame[2] for frame in data["excerpts"][0]["frames"]]
    assert shown == pytest.approx([time - seconds[0] for time in seconds])


def test_preview_names_what_its_seconds_have_lost(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """A file that was cut short decodes without an error."""
    whole = index_in_front(samples / "full_range.mp4", tmp_path / "whole.mp4")
    short = cut(whole, tmp_path / "short.mp4", whole.stat().st_size * 6 // 10)
    ran = vidrain("preview", short, "--json")
    assert ran.code == 4
    said = [event["message"] for event in ran.events if event["event"] == "warning"]
    assert said[0].startswith("could not be decoded and is missing: 0.")
    assert data_of(tmp_path / "short.preview.html")["warnings"] == said
    ran = vidrain("preview", short, "--seconds", "0.1", "--force", "--json")
    assert (ran.code, data_of(tmp_path / "short.preview.html")["warnings"]) == (0, [])


@pytest.mark.parametrize("seconds", ["0.0001", "0.04", "0.0400001", "0.08"])
def test_preview_shows_the_frames_that_begin_within_the_seconds(
    seconds: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """Frames lie 0.04 s apart, and there is always one."""
    page = tmp_path / "page.html"
    assert vidrain("preview", samples / "full_range.mp4", "-o", page, "--seconds", seconds).code == 0
    data = data_of(page)
    due = {"0.0001": 1, "0.04": 1, "0.0400001": 2, "0.08": 2}[seconds]
    assert frames_of(data) == list(range(due))
    assert [read_index(before) for before, _, _ in parts_of(data["excerpts"][0], tmp_path)] == list(range(due))


def test_report_of_one_frame(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, page = tmp_path / "in.mp4", tmp_path / "page.html"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-frames:v", "1", "-an", "-c:v", "libx264", source)
    assert vidrain("clean", source, "--report", page).code == 0
    assert frames_of(data_of(page)) == [0]
    assert data_of(page)["verdict"] == "the same in all but the picture"


@pytest.mark.parametrize(("name", "rate"), [("full_range.mp4", "30"), ("vfr.mp4", "60")])
def test_report_of_a_rate_above_that_of_the_source(
    name: str, rate: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """Frames of the source are shown several times; the page shows each of them once."""
    source, page = tmp_path / "in.mp4", tmp_path / "page.html"
    ffmpeg_says.remux(samples / name, source, "-map", "0:v", "-t", "0.5")
    assert vidrain("clean", source, "--cfr", rate, "--report", page).code == 0
    data, track = data_of(page), ffmpeg_says.shown_frames(source)
    assert frames_of(data) == list(range(len(track.pts)))
    assert [frame[1] for frame in data["excerpts"][0]["frames"]] == track.pts
    parts = parts_of(data["excerpts"][0], tmp_path)
    assert [read_index(before) for before, _, _ in parts] == [read_index(after) for _, after, _ in parts]
    assert (data["verification"]["differences"], data["warnings"]) == ([], [])


def test_report_of_a_part_that_is_not_named_says_so_on_top(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    made, page = tmp_path / "made.mp4", tmp_path / "made.report.html"
    part = ("--start", "5", "--end", "12")
    assert vidrain("clean", samples / "full_range.mp4", "-o", made, *part).code == 0
    ran = vidrain("report", made, "--against", samples / "full_range.mp4", "--json")
    assert ran.code == 0
    (said,) = (event["message"] for event in ran.events if event["event"] == "warning")
    assert data_of(page)["warnings"] == [said]
    assert "lacks 21 frames of full_range.mp4" in said
    assert "--start" in said
    assert vidrain("report", made, "--against", samples / "full_range.mp4", *part, "--force").code == 0
    assert data_of(page)["warnings"] == []
    assert frames_of(data_of(page)) == list(range(5, 12))


def test_report_says_in_its_verdict_that_the_source_has_lost_parts(
    samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    whole = index_in_front(samples / "full_range.mp4", tmp_path / "whole.mp4")
    short = cut(whole, tmp_path / "in.mp4", whole.stat().st_size * 6 // 10)
    assert vidrain("clean", short, "--report", tmp_path / "page.html").code == 4
    data = data_of(tmp_path / "page.html")
    assert data["verification"]["missing"]
    assert data["verdict"] == "the same in all but the picture, but the source itself has lost parts"


@pytest.mark.parametrize("name", ["in.clean.mp4", "in.mp4"])
def test_report_that_would_lie_on_the_video_is_refused_before_the_work(
    name: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source = Path(shutil.copy(samples / "odd.mp4", tmp_path / "in.mp4"))
    ran = vidrain("clean", source, "--report", tmp_path / name)
    assert (ran.code, "every output needs a name of its own" in ran.err) == (2, True)
    assert list(tmp_path.iterdir()) == [source]


@pytest.mark.proves("clean --report", "report OUT")
def test_pages_name_no_folder_of_this_machine(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    """They are made to be given to others."""
    secret = tmp_path / "secret"
    secret.mkdir()
    source = Path(shutil.copy(samples / "odd.mp4", secret / "in.mp4"))
    made, page = secret / "in.clean.mp4", secret / "page.html"
    outputs = ("-o", made, "--rain", secret / "rain.mp4", "--archive")
    assert vidrain("clean", source, *outputs, "--report", page).code == 0
    assert '"rain": "rain.mp4"' in data_of(page)["config"]
    found = data_of(page)["verification"]
    assert (found["source"], found["output"]) == ("in.mp4", "in.clean.mp4")
    assert vidrain("report", made, "-o", secret / "again.html").code == 0
    assert vidrain("preview", source, "-o", secret / "preview.html", "--seconds", "0.1").code == 0
    for name in ("page", "again", "preview"):
        assert "secret" not in (secret / f"{name}.html").read_text()


@pytest.mark.parametrize(("name", "shown"), [(b"\xffad.mp4", r"\udcffad.mp4"), (b"a\nb.mp4", "a b.mp4")])
def test_pages_of_names_that_are_no_text(
    name: bytes, shown: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    source = Path(shutil.copy(samples / "odd.mp4", tmp_path / os.fsdecode(name)))
    assert vidrain("preview", source, "--seconds", "0.1", "-o", tmp_path / "preview.html").code == 0
    made = tmp_path / "made" / source.name
    made.parent.mkdir()
    assert vidrain("clean", source, "-o", made, "--end", "3", "--report", tmp_path / "clean.html").code == 0
    assert vidrain("report", made, "--against", source, "-o", tmp_path / "report.html").code == 0
    for page, title in (("preview", f"Preview of {shown}"), ("clean", f"{shown}: what changed")):
        assert f"<title>{title}</title>" in (tmp_path / f"{page}.html").read_text()
        assert ["source", shown] in data_of(tmp_path / f"{page}.html")["facts"]
    assert ["clean file", shown] in data_of(tmp_path / "report.html")["facts"]
    assert data_of(tmp_path / "report.html")["warnings"][0].startswith(f"{shown} lacks")


@pytest.mark.parametrize("name", ["x" * 245, "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 122])
def test_pages_of_the_longest_names(name: str, samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    clip = Path(shutil.copy(samples / "odd.mp4", tmp_path / f"{name}.mp4"))
    assert vidrain("preview", clip, "--seconds", "0.1").code == 0
    (page,) = (path for path in tmp_path.iterdir() if path != clip)
    assert page.name.startswith(name[:100])
    assert page.name.endswith(".preview.html")


@pytest.mark.parametrize(
    ("given", "told", "model"),
    [
        (("--preset", "balanced"), (), "gate-m"),
        (("--archive", "--preset", "fast"), (), "baseline"),
        (("--pad", "--preset", "quality"), (), "gate-l"),
        (("--start", "1", "--keep-pts", "--model", "gate-m"), ("--start", "1", "--keep-pts"), "gate-m"),
    ],
    ids=["defaults", "archive", "pad", "part"],
)
def test_report_shows_the_settings_whose_hash_the_file_holds(
    given: tuple[str, ...], told: tuple[str, ...], model: str, samples: Path, tmp_path: Path, vidrain: Vidrain
) -> None:
    """As far as they are defaults, or seen in the file itself."""
    made, source = tmp_path / "made.mp4", samples / "odd.mp4"
    assert vidrain("clean", source, "-o", made, "--end", "4", *given).code == 0
    assert vidrain("report", made, "--against", source, "--end", "4", *told).code == 0
    data = data_of(tmp_path / "made.report.html")
    line = dict(data["facts"])["made by"]
    settings = json.loads(data["config"])
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"))
    assert line.endswith(f" config={hashlib.sha256(text.encode()).hexdigest()[:12]}")
    assert (settings["pad"], settings["keep_pts"]) == ("--pad" in given, "--keep-pts" in given)
    assert settings["encode"]["codec"] == ("ffv1" if "--archive" in given else None)
    weights = "none: it needs no weights"
    if model != "baseline":
        own = hashlib.sha256((Path(package.__file__).parent / f"shipped/{model}.safetensors").read_bytes()).hexdigest()
        weights = f"SHA-256 {own[:12]}..., which come with vidrain"
    assert [dict(data["facts"])[name] for name in ("model", "weights")] == [model, weights]


def test_report_says_what_of_the_settings_is_not_known(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source, page = Path(shutil.copy(samples / "odd.mp4", tmp_path / "in.mp4")), tmp_path / "in.clean.report.html"
    assert vidrain("clean", source, "--crf", "20").code == 0
    assert vidrain("report", tmp_path / "in.clean.mp4").code == 0
    config = dict(data_of(page)["facts"])["made by"].partition("config=")[2]
    assert f"(config={config}), and they are not the defaults" in data_of(page)["config"]
    plain = ffmpeg_says.remux(tmp_path / "in.clean.mp4", tmp_path / "plain.mp4", "-map_metadata", "-1")
    assert vidrain("report", plain, "--against", source).code == 0
    data = data_of(tmp_path / "plain.report.html")
    assert (dict(data["facts"])["made by"], data["config"]) == ("not said in the file", "The file does not say.")
