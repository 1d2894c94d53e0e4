"""`vidrain inspect`: the same facts as other programs find, and what is wrong with a file."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests import ffmpeg_says
from tests.broken import cut, index_in_front, with_gps
from tests.pipeline.conftest import Vidrain
from vidrain.amount import rain_amount
from vidrain.decompose import decompose
from vidrain.errors import ModelError
from vidrain.inspection import Place, inspect
from vidrain.job import CleanOptions
from vidrain.listing import file_facts, file_lines
from vidrain.video.color import conversion_for
from vidrain.weights import load_decomposer

Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def facts(vidrain: Vidrain) -> Inspect:
    """The one JSON object, of a run that ends with `code`."""

    def run(path: Path, code: int = 0) -> dict[str, Any]:
        ran = vidrain("inspect", path, "--json")
        assert (ran.code, ran.err) == (code, "")
        found: dict[str, Any] = json.loads(ran.out)
        return found

    return run


@pytest.mark.proves("inspect", "inspect INPUT", "inspect --json")
@pytest.mark.parametrize("sample", ["vfr.mp4", "rotated.mp4", "tenbit.mp4", "full_range.mp4", "cut.mkv", "odd.mp4"])
def test_facts_are_those_of_ffmpeg(sample: str, samples: Path, facts: Inspect) -> None:
    found = facts(samples / sample)
    line = next(line for line in ffmpeg_says.streams(samples / sample) if "Video:" in line)
    video, times = found["video"], found["times"]
    assert f"Video: {video['codec']}" in line
    assert f" {video['pix_fmt']}(" in line
    assert f" {video['width']}x{video['height']}" in line
    shown = ffmpeg_says.shown_frames(samples / sample)
    assert times["frames"] == len(shown.packets)
    assert times["start"] == pytest.approx(float(shown.seconds[0]))
    steps = [float(b - a) for a, b in zip(shown.seconds, shown.seconds[1:], strict=False)]
    assert (times["step_min"], times["step_max"]) == pytest.approx((min(steps), max(steps)))
    assert times["variable"] == (sample == "vfr.mp4")
    assert video["depth"] == (10 if sample == "tenbit.mp4" else 8)
    assert video["rotation"] == (-90 if sample == "rotated.mp4" else None)
    assert video["range"] == ("full" if sample == "full_range.mp4" else "limited")
    assert [stream["clean"] for stream in found["streams"]] == ["cleaned"] + ["copied"] * (len(found["streams"]) - 1)
    assert (found["whole"], found["damage"], found["missing"], found["gps"]) == (True, [], [], None)
    assert found["size"] == (samples / sample).stat().st_size


def test_what_clean_would_do_is_what_it_does(samples: Path, tmp_path: Path, facts: Inspect, vidrain: Vidrain) -> None:
    source = ffmpeg_says.remux(samples / "odd.mp4", tmp_path / "odd.mp4", "-map", "0", "-t", "0.2")
    plan = facts(source)["clean"]
    assert list(tmp_path.iterdir()) == [source]
    ran = vidrain("clean", source, "--json")
    done, (first, *_) = ran.events[-1], ran.events
    assert done["outputs"]["clean"] == plan["output"]
    assert (first["encoder"], first["pix_fmt"]) == (plan["encoder"], plan["pix_fmt"])
    said = [event["message"] for event in ran.events if event["event"] == "warning"]
    assert said == [notice["message"] for notice in plan["notices"]]


def test_what_clean_refuses_is_said(tmp_path: Path, facts: Inspect, vidrain: Vidrain) -> None:
    source = tmp_path / "deep.mkv"
    ffmpeg_says.quietly(
        *("-f", "lavfi", "-i", "testsrc2=s=64x64:r=5", "-frames:v", "2", "-c:v", "ffv1"),
        *("-pix_fmt", "yuv444p16le", "-strict", "-2", source),
    )
    assert "16 bits" in facts(source)["clean"]["refused"]
    assert "clean     refuses: " in vidrain("inspect", source).out


@pytest.mark.parametrize(("transfer", "hdr"), [("smpte2084", "PQ"), ("arib-std-b67", "HLG"), ("bt709", None)])
def test_high_dynamic_range_is_named(transfer: str, hdr: str | None, tmp_path: Path, facts: Inspect) -> None:
    source = tmp_path / "hdr.mp4"
    tags = f"colorprim=bt2020:transfer={transfer}:colormatrix=bt2020nc:range=limited:log-level=none"
    ffmpeg_says.quietly(
        *("-f", "lavfi", "-i", "testsrc2=s=128x128:r=5", "-frames:v", "3", "-pix_fmt", "yuv420p10le"),
        *("-c:v", "libx265", "-x265-params", tags, source),
    )
    video = facts(source)["video"]
    assert (video["hdr"], video["transfer"]) == (hdr, transfer)
    assert (video["matrix"], video["primaries"], video["range"]) == ("bt2020nc", "bt2020", "limited")


def test_hidden_frames_and_other_streams(footage: Path, facts: Inspect) -> None:
    found = facts(footage / "real" / "windscreen.mp4")
    assert (found["times"]["frames"], found["times"]["hidden"]) == (959, 9)
    streams = facts(footage / "clean" / "train" / "action_gpmf.mp4")["streams"]
    assert [stream["clean"] for stream in streams] == ["cleaned", "copied", "copied", "written anew"]


@pytest.mark.proves("inspect --frames")
def test_a_line_for_every_frame(samples: Path, vidrain: Vidrain) -> None:
    ran = vidrain("inspect", samples / "vfr.mp4", "--frames", "--json")
    assert ran.code == 0
    shown = ffmpeg_says.shown_frames(samples / "vfr.mp4")
    assert [frame["pts"] for frame in ran.events] == shown.pts
    assert [frame["seconds"] for frame in ran.events] == pytest.approx([float(time) for time in shown.seconds])
    assert [frame["index"] for frame in ran.events] == list(range(36))
    assert [frame["key"] for frame in ran.events] == [True] + [False] * 35
    lines = vidrain("inspect", samples / "vfr.mp4", "--frames").out.splitlines()
    assert len(lines) == 36
    assert lines[0].split() == ["0", "39039", "0.433767", "key"]
    assert lines[1].split() == ["1", "42042", "0.467133", "-"]


@pytest.mark.proves("exit 4")
def test_damage_and_gps_are_named(samples: Path, tmp_path: Path, facts: Inspect, vidrain: Vidrain) -> None:
    whole = index_in_front(samples / "full_range.mp4", tmp_path / "whole.mp4")
    short = cut(whole, tmp_path / "short.mp4", whole.stat().st_size * 6 // 10)
    found = facts(short, 4)
    assert not found["whole"]
    assert {damage["kind"] for damage in found["damage"]} == {"video", "audio"}
    assert found["missing"][-1][1] == pytest.approx(1.12)
    ran = vidrain("inspect", short)
    assert ran.code == 4
    assert "  missing   0." in ran.out
    gps = with_gps(samples / "full_range.mp4", tmp_path / "gps.mp4", 9)
    assert facts(gps)["gps"] == {"kind": "Novatek freeGPS", "points": 9}
    assert "Novatek freeGPS, 9 positions" in vidrain("inspect", gps).out


def test_a_file_that_cannot_be_read(tmp_path: Path, vidrain: Vidrain) -> None:
    ran = vidrain("inspect", tmp_path / "none.mp4")
    assert (ran.code, ran.out, ran.err.count("\n")) == (3, "", 1)
    ran = vidrain("inspect", tmp_path / "none.mp4", "--json")
    assert (ran.code, ran.events[0]["event"], ran.events[0]["exit_code"]) == (3, "error", 3)


def test_odd_names_and_titles(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    source = tmp_path / "a\nb\udcff.mp4"
    ffmpeg_says.quietly(
        *("-i", samples / "odd.mp4", "-map", "0", "-c", "copy", "-metadata:s:v", "handler_name=\x1b[31m"),
        tmp_path / "plain.mp4",
    )
    (tmp_path / "plain.mp4").rename(source)
    ran = vidrain("inspect", source)
    assert ran.code == 0
    assert all(line.isprintable() for line in ran.out.splitlines())
    assert "a?b?.mp4" in ran.out.splitlines()[0]


@pytest.mark.proves("inspect --rain")
def test_it_tells_whether_it_rains(samples: Path, vidrain: Vidrain) -> None:
    """Of the same street, with rain and without."""
    told, said = {}, []
    for name in ("street.mp4", "street_clean.mp4"):
        facts = json.loads(vidrain("inspect", samples / name, "--rain", "--json").out)
        told[name] = facts["rain"]["places"]
        assert facts["rain"]["broken_off"] is None
        assert [place["frame"] for place in told[name]] == list(range(9, 44, 3))
        said.append("\n".join(file_lines(facts)))
    assert not any(place["dry"] for place in told["street.mp4"])
    assert min(place["amount"] for place in told["street.mp4"]) > 0.001
    assert all(place["dry"] and not place["amount"] for place in told["street_clean.mp4"])
    wet, dry = said
    due = r"of 12 frames looked at 12 would be cleaned, which takes up to \d\.\d\d % of the range of luma"
    assert re.search(due, wet)
    assert "of 12 frames looked at 0 would be cleaned\n" in dry
    assert re.search(r"no rain was seen \d\.\d, .* s from the first frame: left as they are", dry)
    assert json.loads(vidrain("inspect", samples / "odd.mp4", "--json").out)["rain"] is None


@pytest.mark.parametrize("name", ["street_clean.mp4", "cut.mkv"])
def test_it_rains_where_clean_would_find_rain(name: str, samples: Path) -> None:
    found = inspect(samples / name, further=["rain"])
    assert found.rain is not None
    assert found.job is not None
    video, model = found.job.video, load_decomposer(found.job.model, None, CleanOptions().of_models)
    due = {}
    for item in decompose(video.frames(), video.info, model, options=found.job.decompose):
        seconds = (item.frame.pts - int(video.index.pts[0])) * video.info.time_base
        due[item.frame.index] = (seconds, item.is_dry, rain_amount(item, conversion_for(video.info)))
    told = [(place.seconds, place.is_dry, place.amount) for place in found.rain.places]
    assert told == [due[place.frame] for place in found.rain.places]


def test_few_frames_are_all_looked_at(samples: Path, tmp_path: Path, vidrain: Vidrain) -> None:
    assert vidrain("clean", samples / "street.mp4", "-o", tmp_path / "few.mp4", "--end", "0.1s").code == 0
    found = inspect(tmp_path / "few.mp4", further=["rain"])
    assert found.rain is not None
    assert [place.frame for place in found.rain.places] == list(range(found.source.index.count))


def test_what_breaks_off_takes_nothing_else_along(samples: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(job: Any, watchdog: Any) -> Iterator[Place]:
        yield Place(9, Fraction(1, 3), is_dry=True, amount=0.0)
        raise ModelError("no numbers")

    monkeypatch.setattr("vidrain.inspection._places", broken)
    found = inspect(samples / "street.mp4", further=["rain"])
    facts = file_facts(found)
    assert facts["rain"]["broken_off"] == "no numbers"
    assert [place["frame"] for place in facts["rain"]["places"]] == [9]
    lines = "\n".join(file_lines(facts))
    assert "of 1 frames looked at 0 would be cleaned" in lines
    assert "broken off: no numbers" in lines


def test_there_is_nothing_else_to_look_into(samples: Path, vidrain: Vidrain) -> None:
    with pytest.raises(ValueError, match=r"further=\['wind'\]: allowed: access, rain"):
        inspect(samples / "street.mp4", further=["rain", "wind"])
    ran = vidrain("inspect", samples / "street.mp4", "--frames", "--rain")
    assert (ran.code, ran.out) == (2, "")
    assert "--frames tells of frames alone, not of --rain" in ran.err


@pytest.mark.proves("inspect --access")
def test_access(samples: Path, vidrain: Vidrain) -> None:
    found = json.loads(vidrain("inspect", samples / "odd.mp4", "--access", "--json").out)
    assert found["access"] == {"frames": 16, "wrong": [], "decord": None}
    lines = vidrain("inspect", samples / "odd.mp4", "--access").out
    assert "16 random frames by PyAV: all as in order" in lines
    assert "decord: gives the same frames" in lines
    assert json.loads(vidrain("inspect", samples / "odd.mp4", "--json").out)["access"] is None
