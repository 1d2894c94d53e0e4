"""`vidrain rain`: exact layers, times and sound kept, one rain per seed, and what every option does."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import ffmpeg_says
from tests.broken import wiped
from tests.pipeline.conftest import Vidrain
from vidrain.archive import recompose
from vidrain.rain.plan import RainOptions, plan_rain
from vidrain.rain.render import rained
from vidrain.types import Frame
from vidrain.video.color import upright
from vidrain.video.decode import open_video

LOSSLESS = "encode.codec=ffv1"


def planes(path: Path) -> list[tuple[np.ndarray, ...]]:
    return [tuple(plane.copy() for plane in frame.planes) for frame in open_video(path).frames()]


def luma(path: Path) -> np.ndarray:
    """[frames, H, W] as int."""
    return np.stack([frame[0].astype(int) for frame in planes(path)])


def same(one: list[tuple[np.ndarray, ...]], other: list[tuple[np.ndarray, ...]]) -> bool:
    """Whether all planes of all frames are equal, bit for bit."""
    pairs = [pair for frames in zip(one, other, strict=True) for pair in zip(*frames, strict=True)]
    return all(np.array_equal(a, b) for a, b in pairs)


@pytest.fixture
def rain(vidrain: Vidrain, source: Path, tmp_path: Path) -> Callable[..., Path]:
    """`rain(name, ...)`: render on the source, lossless, and give the path."""

    def run(name: str, *arguments: str | Path) -> Path:
        ran = vidrain("rain", source, "-o", tmp_path / name, LOSSLESS, *arguments)
        assert (ran.code, ran.err) == (0, "")
        return tmp_path / name

    return run


@pytest.mark.proves("rain", "rain CLIP", "rain --output", "rain --clean", "rain --rain", "rain KEY=VALUE")
def test_rainy_is_clean_plus_rain_and_all_else_is_kept(vidrain: Vidrain, source: Path, tmp_path: Path) -> None:
    rainy, clean, layer = (tmp_path / f"{name}.mp4" for name in ("rainy", "clean", "layer"))
    ran = vidrain("rain", source, "-o", rainy, "--clean", clean, "--rain", layer, LOSSLESS)
    assert (ran.code, ran.err) == (0, "")
    dry, wet = planes(source), planes(rainy)
    assert same(dry, planes(clean))
    whole = [frame.planes for frame in recompose(clean, layer)]
    assert same(wet, whole)
    added = luma(rainy) - luma(clean)
    assert added.mean() > 0.1 and added.max() > 10
    for made in (rainy, clean, layer):
        assert ffmpeg_says.shown_frames(made).seconds == ffmpeg_says.shown_frames(source).seconds
    assert ffmpeg_says.packets(rainy, "0:a:0").contents == ffmpeg_says.packets(source, "0:a:0").contents


@pytest.mark.proves("rain --rate")
def test_no_rain_is_the_same_picture_bit_for_bit(rain: Callable[..., Path], source: Path) -> None:
    assert same(planes(source), planes(rain("r.mp4", "--rate", "0")))


@pytest.mark.proves("rain --seed")
def test_a_seed_is_one_rain_on_any_number_of_threads(rain: Callable[..., Path]) -> None:
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        first = planes(rain("a.mp4", "--seed", "7"))
        torch.set_num_threads(3)
        again = planes(rain("b.mp4", "--seed", "7"))
    finally:
        torch.set_num_threads(threads)
    assert same(first, again)
    assert not np.array_equal(first[0][0], planes(rain("c.mp4", "--seed", "8"))[0][0])


@pytest.mark.proves("rain --params", "rain --exposure", "rain --wind", "rain --gusts", "rain --speed")
@pytest.mark.proves("rain --rolling-shutter", "rain --light", "rain --config")
def test_parameters_say_what_was_asked_for_and_make_it_again(rain: Callable[..., Path], tmp_path: Path) -> None:
    given = ("--rate", "30", "--exposure", "1/60", "--wind", "-3", "--gusts", "1", "--speed", "30", "--seed", "3")
    file = tmp_path / "view.yaml"
    file.write_text("camera:\n  view: 50\nrate: 1\n")
    more = ("--rolling-shutter", "1/100", "--light", "night", "-c", file, "start=2")
    first = rain("a.mp4", *given, *more, "--params", tmp_path / "a.json")
    told = json.loads((tmp_path / "a.json").read_text())
    assert (told["rate"], told["exposure"], told["wind"], told["gusts"], told["speed"]) == (30, "1/60", -3, 1, 30)
    assert (told["rolling_shutter"], told["light"], told["seed"], told["camera"]["view"]) == ("1/100", "night", 3, 50)
    rows = told["frames"]
    assert [row["frame"] for row in rows] == list(range(2, 2 + len(rows)))
    assert len({row["wind"] for row in rows}) == len(rows)
    assert all(row["drops"] > 0 for row in rows)
    assert told["made_by"].startswith(f"{told['vidrain']} rain ")
    pairs = [f"{key}={told[key]}" for key in ("rate", "exposure", "seed", "wind", "gusts", "speed", "light")]
    pairs += [f"rolling_shutter={told['rolling_shutter']}", "camera.view=50", "start=2"]
    assert np.array_equal(luma(first), luma(rain("b.mp4", *pairs)))


@pytest.mark.proves("rain --streaks", "rain --veil")
def test_maps_show_where_streaks_and_mist_are(rain: Callable[..., Path], tmp_path: Path, source: Path) -> None:
    streaks, veil = tmp_path / "streaks.mp4", tmp_path / "veil.mp4"
    heavy = ("--rate", "60", "air.splashes=0", "camera.sharpening=0")
    rainy = rain("a.mp4", *heavy, "--streaks", streaks, "air.distance=0")
    opacity, added = luma(streaks), np.abs(luma(rainy) - luma(source))
    assert opacity.shape == added.shape
    assert 4095 * 0.03 < opacity.max() < 4095 * 0.8
    assert added[opacity == 0].max() <= 2 < added[opacity > 4095 * 0.05].mean()  # chroma of a neighbour may change it
    misty = rain("b.mp4", *heavy, "--veil", veil, "air.distance=200")
    through = luma(veil) / 4095
    assert through.shape == added.shape
    assert 0.2 < through.min() < through.max() <= 1
    assert through[:, :50].mean() < through[:, -20:].mean()  # the ground is nearer than the backdrop
    changed = np.abs(luma(misty) - luma(rainy))
    assert changed[through < np.quantile(through, 0.2)].mean() > 3 * changed[through > 0.98].mean()


@pytest.mark.proves("rain --glass")
def test_drops_on_the_glass(rain: Callable[..., Path], tmp_path: Path, source: Path) -> None:
    rainy = rain("r.mp4", "--glass", "--rate", "40", "--params", tmp_path / "r.json", "start=1")
    told = json.loads((tmp_path / "r.json").read_text())
    assert told["glass"] is True
    assert min(row["glass"] for row in told["frames"]) > 5
    assert np.abs(luma(rainy) - luma(source)[1:]).max() > 40


@pytest.mark.proves("rain --json", "rain --force")
def test_events_and_what_exists(vidrain: Vidrain, source: Path, out: Path) -> None:
    ran = vidrain("rain", source, "-o", out, "--json")
    names = [event["event"] for event in ran.events]
    assert (ran.code, names[0], names[-1]) == (0, "rain_plan", "file_done")
    assert ran.events[-1]["outputs"] == {"rainy": str(out)}
    assert ran.events[-1]["pts_equal"] is True
    before = out.read_bytes()
    assert vidrain("rain", source, "-o", out).code == 5
    assert vidrain("rain", source, "-o", out, "--seed", "2", "--force").code == 0
    assert out.read_bytes() != before
    assert [path.name for path in out.parent.iterdir()] == [out.name]


@pytest.mark.proves("exit 2", "exit 3")
@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        (("--rate", "-1"), 2, "rate=-1.0: allowed: 0 to 200"),
        (("--exposure", "2"), 2, "exposure=2: allowed: seconds"),
        (("--speed", "500"), 2, "speed=500.0: allowed"),
        (("camera.veiw=3",), 2, "Did you mean: 'view'?"),
        (("video=all",), 2, "one at a time"),
        (("--clean", "x.avi"), 2, "names no container"),
        (("start=99",), 2, "no frame lies there"),
    ],
)
def test_wrong_usage_is_one_line(
    given: tuple[str, ...], code: int, said: str, vidrain: Vidrain, source: Path, out: Path
) -> None:
    ran = vidrain("rain", source, "-o", out, *given)
    assert (ran.code, said in ran.err, ran.err.count("\n")) == (code, True, 1), ran
    assert list(out.parent.iterdir()) == []


def test_what_cannot_be_rained_on(vidrain: Vidrain, source: Path, out: Path, tmp_path: Path) -> None:
    hdr = ffmpeg_says.remux(source, tmp_path / "hdr.mp4", "-bsf:v", "h264_metadata=transfer_characteristics=16")
    for path, said in ((tmp_path / "none.mp4", "no such file"), (hdr, "HDR")):
        ran = vidrain("rain", path, "-o", out)
        assert (ran.code, said in ran.err) == (3, True), ran
    ran = vidrain("rain", source, "-o", source)
    assert (ran.code, "is the source" in ran.err) == (2, True)


@pytest.mark.proves("exit 4")
def test_frames_that_do_not_decode_are_left_out_and_named(
    vidrain: Vidrain, samples: Path, out: Path, tmp_path: Path
) -> None:
    coded = tmp_path / "coded.mov"
    ffmpeg_says.quietly("-i", samples / "full_range.mp4", "-t", "0.4", "-c:v", "mjpeg", "-q:v", "2", coded)
    frames = len(ffmpeg_says.shown_frames(coded).pts)
    source = wiped(coded, tmp_path / "damaged.mov", range(3, 5))
    ran = vidrain("rain", source, "-o", out, "--json", "--params", tmp_path / "told.json")
    assert (ran.code, ran.err, ran.events[-1]["status"]) == (4, "", "partial")
    assert any("0.120-0.200 s" in event.get("message", "") for event in ran.events)
    kept = [number for number in range(frames) if number not in (3, 4)]
    assert [row["frame"] for row in json.loads((tmp_path / "told.json").read_text())["frames"]] == kept
    due = ffmpeg_says.shown_frames(coded).seconds
    assert ffmpeg_says.shown_frames(out).seconds == [due[number] for number in kept]


def test_frames_are_taken_one_at_a_time(source: Path, tmp_path: Path) -> None:
    """However long the video, nothing gathers frames; and rain moves on with their times, not with their number."""
    job = plan_rain(open_video(source), tmp_path / "out.mp4", RainOptions())
    taken: list[int] = []

    def without_end() -> Iterator[Frame]:
        frame = next(iter(open_video(source).frames()))
        for number in count():
            taken.append(number)
            yield replace(frame, pts=frame.pts + 1000 * number, index=number)

    made = rained(without_end(), job)
    for number in range(3):
        assert next(made).layers.frame.index == number
        assert len(taken) == number + 1


@pytest.mark.parametrize("name", ["rotated.mp4", "tenbit.mp4", "odd.mp4", "vfr.mp4"])
def test_any_layout_falls_the_right_way_and_keeps_its_times(
    name: str, vidrain: Vidrain, samples: Path, tmp_path: Path
) -> None:
    """Streaks are upright where the picture is shown upright."""
    rainy, clean, streaks = (tmp_path / f"{kind}.mp4" for kind in ("rainy", "clean", "streaks"))
    fast = ("--exposure", "1/30", "--rate", "60", LOSSLESS)
    part = () if name == "vfr.mp4" else ("end=4",)  # a part of a video that begins late would begin at 0
    ran = vidrain("rain", samples / name, "-o", rainy, "--clean", clean, "--streaks", streaks, *fast, *part)
    assert ran.code == 0, ran.err
    source = open_video(samples / name)
    made = open_video(rainy)
    frames = len(made.index.pts)
    assert same(planes(clean), planes(samples / name)[:frames])
    times = [int(pts) * made.info.time_base for pts in made.index.pts]
    assert times == [int(pts) * source.info.time_base for pts in source.index.pts[:frames]]
    assert made.info.display_matrix == source.info.display_matrix
    assert made.info.layout == source.info.layout
    shown = upright(torch.from_numpy(luma(streaks)[-1]), source.info.display_matrix).numpy()
    down, across = (np.abs(np.diff(shown, axis=axis)).mean() for axis in (0, 1))
    assert across > 2 * down
