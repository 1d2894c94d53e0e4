"""Which neighbours may bear witness: cuts, repeats, and the choice on each side."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vidrain.shots import ShotOptions, Step, as_judged, choose_witnesses, is_cut, is_repeat, step_between

NEW, REPEAT, CUT = Step.NEW, Step.REPEAT, Step.CUT
OPTIONS = ShotOptions()
Guide = npt.NDArray[np.uint8]


def canvas(seed: int) -> npt.NDArray[np.float32]:
    """A soft random landscape, 0 to 255. [240, 480]"""
    rng = np.random.default_rng(seed)
    rough = cv2.resize(rng.random((8, 16)).astype(np.float32), (480, 240), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.random((60, 120)).astype(np.float32), (480, 240), interpolation=cv2.INTER_CUBIC)
    return np.asarray(np.clip(180 * rough + 60 * fine, 0, 255), np.float32)


def view(picture: npt.NDArray[np.float32], left: int = 0, *, noise: float = 0.0, light: float = 0.0) -> Guide:
    """What a camera 320 pixels wide sees of it. [180, 320] uint8"""
    seen = picture[:180, left : left + 320] + light
    seen = seen + noise * np.random.default_rng(left + 1).standard_normal(seen.shape)
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def rained_on(guide: Guide, seed: int, drops: int) -> Guide:
    rng = np.random.default_rng(seed)
    wet = guide.copy()
    for x, y in zip(rng.integers(0, 320, drops), rng.integers(-20, 180, drops), strict=True):
        cv2.line(wet, (int(x), int(y)), (int(x) + 3, int(y) + 20), 230, 1)
    return wet


def test_another_scene_is_a_cut() -> None:
    assert all(step_between(view(canvas(i)), view(canvas(i + 1)), OPTIONS) is CUT for i in range(8))


@pytest.mark.parametrize("pan", [2, 16, 40])
def test_a_pan_is_no_cut(pan: int) -> None:
    assert all(step_between(view(canvas(i)), view(canvas(i), pan), OPTIONS) is NEW for i in range(8))


def test_a_flash_is_no_cut() -> None:
    picture = canvas(3) / 2
    assert step_between(view(picture), view(picture, light=90), OPTIONS) is NEW


def test_heavy_rain_is_neither_cut_nor_repeat() -> None:
    scene = view(canvas(4))
    assert step_between(rained_on(scene, 1, 400), rained_on(scene, 2, 400), OPTIONS) is NEW


def test_noise_on_a_grey_wall_is_no_cut() -> None:
    wall = np.full((240, 480), 90, np.float32)
    assert step_between(view(wall, 0, noise=4), view(wall, 9, noise=4), OPTIONS) is NEW


def test_a_grey_frame_of_another_brightness_is_a_cut() -> None:
    """Correlation says nothing here; the difference decides."""
    assert is_cut(np.full((180, 320), 16, np.uint8), np.full((180, 320), 200, np.uint8), OPTIONS)


@pytest.mark.parametrize(
    ("guide", "frame", "due"),
    [
        ((360, 640), (360, 640), (180, 320)),
        ((360, 480), (480, 640), (240, 320)),
        ((360, 640), (720, 1280), (360, 640)),
        ((180, 320), (720, 1280), (180, 320)),  # by a smaller align.scale
        ((200, 260), (200, 260), (180, 234)),
        ((90, 120), (90, 120), (90, 120)),
    ],
)
def test_steps_are_judged_at_the_size_that_their_thresholds_are_for(
    guide: tuple[int, int], frame: tuple[int, int], due: tuple[int, int]
) -> None:
    assert as_judged(np.zeros(guide, np.uint8), frame).shape == due


def test_a_repeat_in_a_small_video_is_known_at_half_its_size() -> None:
    """Where flow is measured at full size: compression changes single pixels."""
    first = cv2.resize(view(canvas(3)), (640, 360), interpolation=cv2.INTER_CUBIC)
    random = np.random.default_rng(1)
    steps = random.choice([-1, 0, 1], first.shape, p=[0.06, 0.88, 0.06])
    again = np.clip(first + steps, 0, 255).astype(np.uint8)
    assert not is_repeat(first, again, OPTIONS)
    assert is_repeat(*(as_judged(guide, (360, 640)) for guide in (first, again)), OPTIONS)


def test_the_same_frame_again_is_a_repeat_but_for_compression() -> None:
    scene = view(canvas(5))
    assert step_between(scene, scene, OPTIONS) is REPEAT
    touched = scene.copy()
    touched[::40, ::40] ^= 1
    assert step_between(scene, touched, OPTIONS) is REPEAT


def test_sensor_noise_makes_a_new_frame() -> None:
    assert step_between(view(canvas(6), noise=0.5), view(canvas(6)), OPTIONS) is NEW


def test_one_drop_makes_a_new_frame() -> None:
    """The mean over the picture does not see it, its block does."""
    scene = view(canvas(7))
    wet = scene.copy()
    wet[80:96, 160:162] = np.minimum(wet[80:96, 160:162].astype(int) + 40, 255)
    assert float(cv2.absdiff(scene, wet).mean()) < OPTIONS.repeat_mean
    assert step_between(scene, wet, OPTIONS) is NEW
    assert is_repeat(scene, wet, ShotOptions(repeat_block=255))


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (3, 40)])
def test_tiny_guides_are_judged_too(size: tuple[int, int]) -> None:
    dark, light = np.zeros(size, np.uint8), np.full(size, 255, np.uint8)
    assert step_between(dark, dark, OPTIONS) is REPEAT
    assert step_between(dark, light, OPTIONS) is CUT


@pytest.mark.parametrize(
    ("steps", "center", "radius", "expected"),
    [
        ([], 0, 2, []),
        ([NEW], 0, 2, [1]),
        ([NEW], 1, 2, [0]),
        ([CUT], 0, 2, []),
        ([CUT], 1, 2, []),
        ([REPEAT], 0, 2, []),
        ([NEW] * 6, 3, 2, [2, 1, 4, 5]),
        ([NEW] * 6, 0, 2, [1, 2]),
        ([NEW] * 6, 3, 0, []),
        ([NEW, NEW, CUT, NEW, NEW, NEW], 4, 2, [3, 5, 6]),
        ([NEW, REPEAT, NEW, NEW, REPEAT, NEW], 3, 2, [2, 0, 4, 6]),  # 1 is 2 again, 5 is 4 again
        ([CUT, REPEAT, NEW, NEW], 2, 2, [3, 4]),
    ],
)
def test_witnesses_are_the_nearest_fresh_frames(
    steps: list[Step], center: int, radius: int, expected: list[int]
) -> None:
    assert choose_witnesses(steps, center, radius) == expected


def test_a_position_outside_the_run_is_refused() -> None:
    with pytest.raises(ValueError, match="not one of the 3 frames"):
        choose_witnesses([NEW, NEW], 3, 2)


@given(st.lists(st.sampled_from(Step), max_size=12), st.data(), st.integers(0, 4))
def test_rules_of_choice(steps: list[Step], data: st.DataObject, radius: int) -> None:
    center = data.draw(st.integers(0, len(steps)))
    chosen = choose_witnesses(steps, center, radius)
    earlier, later = [i for i in chosen if i < center], [i for i in chosen if i > center]
    assert chosen == sorted(earlier, reverse=True) + sorted(later), "earlier then later, nearest first"
    assert len(set(chosen)) == len(chosen)
    assert max(len(earlier), len(later)) <= radius
    for i in chosen:
        assert CUT not in steps[min(i, center) : max(i, center)]
    picture = np.cumsum([0] + [step is not REPEAT for step in steps])  # frames with the same number look the same
    assert len({int(picture[i]) for i in [center, *chosen]}) == 1 + len(chosen), "every picture once"
    for side, walk in ((earlier, range(center - 1, -1, -1)), (later, range(center + 1, len(steps) + 1))):
        last = side[-1] if side and len(side) == radius else None
        reachable = [i for i in walk if CUT not in steps[min(i, center) : max(i, center)]]
        if last is not None:
            reachable = reachable[: reachable.index(last) + 1]
        elif radius == 0:
            reachable = []
        seen = {int(picture[i]) for i in reachable} - {int(picture[center])}
        assert seen == {int(picture[i]) for i in side}, "no different picture is passed over"
