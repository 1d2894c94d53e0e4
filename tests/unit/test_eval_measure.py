"""What is measured of a clip, and what is not; overlays against loops."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from vidrain.errors import InputError
from vidrain.evaluation.measure import Moment, Wanted, largest_change, step_figures
from vidrain.evaluation.methods import Method
from vidrain.evaluation.motion import Ways, motion_error, warp_error, ways_between
from vidrain.evaluation.run import measured
from vidrain.evaluation.scores import Picture, levels_of, picture_of
from vidrain.evaluation.sets import Box, SetOptions, found_in
from vidrain.evaluation.still import WINDOW
from vidrain.types import PixelLayout, Planes
from vidrain.video.decode import open_video

ITSELF = Method(label="input", kind="input")


def clip(samples: Path, **chosen: Any) -> dict[str, float]:
    """Figures of the street as it is."""
    if chosen.get("kind") is None:
        chosen |= {"rainy": ["street.mp4"], "truth": ["street_clean.mp4"]}
    else:
        chosen |= {"clips": ["street.mp4"]}
    (found,) = found_in("set", SetOptions(**chosen), samples, 1)
    return measured(found, ITSELF).clip


def has(figures: dict[str, float], *names: str) -> list[bool]:
    return [not math.isnan(figures[name]) for name in names]


def test_what_happens_between_frames_counts_where_there_is_rain(samples: Path) -> None:
    steps, single = ("warp_ratio", "tof", "f_phys", "correlation"), ("psnr_y", "ssim_rgb", "lowest_psnr_y")
    pairs = clip(samples, frames=2)
    assert has(pairs, *steps, *single) == [True] * 7
    assert pairs["frames"] == 2
    assert pairs["warp_ratio"] > 1
    assert has(clip(samples, frames=2, steps=False), *steps, *single) == [False] * 4 + [True] * 3
    assert has(clip(samples, frames=2, kind="clean"), *steps, *single) == [False] * 4 + [True] * 3
    assert has(clip(samples, frames=2, kind="real"), *steps, *single) == [True] * 4 + [False] * 3


def test_a_still_camera_looks_at_every_frame_and_at_no_frame_behind_the_last(samples: Path) -> None:
    video = open_video(samples / "street.mp4")
    frames = [frame for frame in video.frames() if frame.index < 5]
    found = clip(samples, kind="real", frames=5, every=4, still=["street"], steps=False)
    assert len(frames) < WINDOW
    luma = np.stack([levels_of(picture_of(frame.planes, video.info)) for frame in frames])
    scene = np.median(luma, axis=0)
    excess = np.concatenate([(luma[index] - scene)[luma[index] - scene > 15] for index in (0, 4)])
    assert found["excess_before"] == pytest.approx(excess.mean(), rel=1e-5)
    assert (found["excess_gone"], found["flicker"]) == (0, 1)
    assert not any(has(clip(samples, kind="real", frames=2, steps=False), "excess", "flicker"))


@pytest.mark.parametrize("has_truth", [True, False])
def test_motion_is_measured_on_the_truth_or_on_the_background_never_on_rain(has_truth: bool) -> None:
    rng = np.random.default_rng(0)
    whole = np.clip(gaussian_filter(rng.normal(size=(70, 90)), 2) * 400 + 120, 0, 255)
    scenes = [
        np.rint(np.repeat(part[..., None], 3, 2)).astype(np.uint8) for part in (whole[4:68, 4:84], whole[2:66, 3:83])
    ]
    noisy = [np.clip(scene + rng.normal(0, 6, scene.shape), 0, 255).astype(np.uint8) for scene in scenes]
    rainy = [
        np.clip(scene + (rng.random(scene.shape[:2]) < 0.1)[..., None] * 90, 0, 255).astype(np.uint8)
        for scene in scenes
    ]
    moments = [
        Moment(index, o, b, truth if has_truth else None, (levels_of(o), levels_of(b)))
        for index, (o, b, truth) in enumerate(zip(rainy, noisy, scenes, strict=True))
    ]

    def ways(pictures: list[Picture]) -> Ways:
        return ways_between(*(np.rint(levels_of(picture)).astype(np.uint8) for picture in pictures))

    def error(pictures: list[Picture], along: Ways) -> float:
        return warp_error(*(picture.astype(np.float32) / 255 for picture in pictures), along)  # type: ignore[arg-type]

    along, reference = ways(scenes if has_truth else noisy), scenes if has_truth else rainy
    found = step_figures(*moments)
    assert found["step_error"] == pytest.approx(error(noisy, along), rel=1e-4)
    assert found["step_error_reference"] == pytest.approx(error(reference, along), rel=1e-4)
    assert found["tof"] == pytest.approx(motion_error(ways(reference).forth, ways(noisy).forth), rel=1e-6)


def test_which_frames_are_computed() -> None:
    assert [index for index in range(9) if index in Wanted(range(0, 9, 4), True)] == [0, 1, 4, 5, 8]
    assert [index for index in range(9) if index in Wanted(range(0, 9, 4), False)] == [0, 4, 8]
    assert Wanted(range(0, 1 << 40, 4), True).count(10) == 6


@pytest.mark.parametrize("box", [Box(0, 0, 24, 16), Box(3, 5, 7, 4), Box(10, 9, 1, 1), Box(20, 10, 40, 40)])
def test_largest_change_is_that_of_the_samples_inside(box: Box, samples: Path) -> None:
    rng = np.random.default_rng(0)
    info = replace(open_video(samples / "street.mp4").info, layout=PixelLayout("yuv420p", 8), display_matrix=None)
    shapes = ((16, 24), (8, 12), (8, 12))
    own: Planes = tuple(rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes)
    other: Planes = tuple(rng.integers(0, 256, shape).astype(np.uint8) for shape in shapes)
    pictures = [rng.integers(0, 256, (16, 24, 3)).astype(np.uint8) for _ in range(2)]
    levels = np.zeros((16, 24), np.float32)
    moment = Moment(0, pictures[0], pictures[1], None, (levels, levels))
    inside = [
        (x, y)
        for y in range(16)
        for x in range(24)
        if box.left <= x < box.left + box.width and box.top <= y < box.top + box.height
    ]
    codes = [
        abs(int(a[y // step, x // step]) - int(b[y // step, x // step]))
        for a, b, step in zip(own, other, (1, 2, 2), strict=True)
        for x, y in inside
    ]
    assert largest_change((box,), (own, other), (info, info), moment) == max(codes)
    rgb = max(int(np.abs(pictures[0][y, x].astype(int) - pictures[1][y, x].astype(int)).max()) for x, y in inside)
    turned = replace(info, display_matrix=(0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30))
    deeper = replace(info, layout=PixelLayout("yuv420p", 10))
    assert largest_change((box,), (own, other), (turned, turned), moment) == rgb
    assert largest_change((box,), (own, other), (info, deeper), moment) == rgb
    both = largest_change((Box(0, 0, 1, 1), box), (own, other), (info, info), moment)
    assert both >= max(codes)


def test_an_overlay_outside_of_the_picture(samples: Path) -> None:
    with pytest.raises(InputError, match=r"overlay 9000 0 5 5: lies outside of the picture, 480x320"):
        clip(samples, kind="clean", frames=1, overlays=["street 9000 0 5 5"])
    assert math.isnan(clip(samples, kind="clean", frames=1)["overlay"])
