"""Luma in fixed point: what is computed from it is what float32 gives, to a fraction of a code."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.unit.test_space import info_of
from vidrain.align import AlignOptions, Picture, Rim, Way, aligned_along, guide_of
from vidrain.baseline import Baseline, BaselineOptions
from vidrain.fixed import STEPS, fixed, floats, lengths
from vidrain.flow import Offsets
from vidrain.model.filters import averaged, bordered, contrast, dilated, eroded, shrunk
from vidrain.model.gate import CONFIGS, Gate, GateDecomposer, GateOptions
from vidrain.model.planes import judge, ranked
from vidrain.model.streaks import Doubts, along_lines, in_bands, share_of_rain
from vidrain.types import Aligned, Family
from vidrain.video.color import conversion_for, to_fixed, to_luma
from vidrain.weights import load_model

CODE = 1 / 255
seeds = st.integers(0, 2**32 - 1)
sides = st.integers(1, 40)


def luma(seed: int, *shape: int) -> Tensor:
    """Scattered around the range of luma, with some overshoot as coded pictures have it."""
    drawn = np.random.default_rng(seed).normal(0.5, 0.25, shape)
    return torch.from_numpy(drawn.clip(-0.07, 1.09).astype(np.float32))


def window(seed: int, witnesses: int, height: int, width: int) -> tuple[Aligned, Aligned]:
    """The same in fixed point and as float32."""
    kept = fixed(luma(seed, witnesses + 1, 1, height, width))
    error = torch.zeros(witnesses, height, width)
    return Aligned(kept[0], kept[1:], error), Aligned(floats(kept[0]), floats(kept[1:]), error)


@given(seeds)
def test_there_and_back_is_a_step_at_most(seed: int) -> None:
    pictures = luma(seed, 2, 30)
    kept = fixed(pictures)
    assert kept.dtype == torch.int16
    assert int(kept.min()) >= 0
    assert float((floats(kept) - pictures).abs().max()) <= 0.51 / STEPS
    between = lengths(kept[1] - kept[0])
    assert float((between - (pictures[1] - pictures[0])).abs().max()) <= 1.02 / STEPS
    assert floats(pictures) is pictures
    assert lengths(pictures) is pictures


def test_far_beyond_black_and_white_is_cut_off() -> None:
    assert floats(fixed(torch.tensor([-9.0, 9.0]))).tolist() == [-0.25, pytest.approx(1.75, abs=1e-3)]


@pytest.mark.parametrize("family", ["yuv420p", "gbrp", "gray"])
@pytest.mark.parametrize("depth", [8, 10, 14])
def test_stored_luma_is_the_same_to_a_step(family: Family, depth: int) -> None:
    info = info_of(family, depth, matrix=1, size=(16, 16))
    rng = np.random.default_rng(depth)
    codes = tuple(rng.integers(0, 1 << depth, (16, 16)).astype(info.layout.dtype) for _ in range(3))
    found = to_fixed(codes, conversion_for(info))
    assert found.dtype == torch.int16
    assert float((floats(found) - to_luma(codes, conversion_for(info))).abs().max()) <= 0.51 / STEPS


@given(st.integers(1, 8), seeds)
def test_ranks_are_those_of_a_sort(count: int, seed: int) -> None:
    values = fixed(luma(seed, count, 25))
    found, ordered = ranked(list(values)), np.sort(values.numpy(), axis=0).astype(np.int64)
    middle = (ordered[(count - 1) // 2] + ordered[count // 2]) // 2
    np.testing.assert_array_equal(found.least.numpy(), ordered[0])
    np.testing.assert_array_equal(found.middle.numpy(), middle)
    np.testing.assert_array_equal(found.second.numpy(), ordered[1] if count > 2 else middle)
    np.testing.assert_array_equal(found.most.numpy(), ordered[-1])


@settings(max_examples=40)
@given(seeds, sides, sides)
def test_filters_take_either(seed: int, height: int, width: int) -> None:
    kept = fixed(luma(seed, height, width))
    plain = kept.float()
    for work in (lambda p: eroded(p, (1, 7)), lambda p: dilated(p, (3, 3)), contrast):
        assert torch.equal(work(kept).float(), work(plain))
    for mean in (lambda p: averaged(p, (11, 11)), lambda p: shrunk(p, (2, 3))):
        assert float((mean(kept).float() - mean(plain)).abs().max()) <= 0.51
    line = along_lines(plain.clamp(max=STEPS))
    assert float((along_lines(kept).float() - line).abs().max()) <= 3  # of half as many steps


def test_other_devices_compute_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what they compute with in place of OpenCV, on the CPU."""
    kept = fixed(luma(0, 13, 22))
    means = (lambda: shrunk(kept, (3, 3)), lambda: averaged(kept, (11, 11)), lambda: bordered(kept, 2, 5))
    aligned, _ = window(0, 4, 90, 720)
    models = (Baseline(BaselineOptions()), load_model("gate-s"))
    models[1].options = GateOptions("float32")
    here, rains = [mean() for mean in means], [model(aligned) for model in models]
    monkeypatch.setattr("vidrain.model.filters._lies_in_memory", lambda picture: False)
    monkeypatch.setattr("vidrain.model.filters.cv2", None)
    for found, due in zip((mean() for mean in means), here, strict=True):
        assert found.dtype == torch.int16
        assert int((found - due).abs().max()) <= 1  # ties may be rounded another way
    for model, due in zip(models, rains, strict=True):
        assert float(due.mean()) > 0.001
        assert float((model(aligned) - due).abs().mean()) < CODE / 50


@pytest.mark.gpu
def test_a_gpu_computes_the_same() -> None:
    aligned, _ = window(0, 4, 90, 720)
    there = Aligned(*(part.cuda() for part in (aligned.observed, aligned.witnesses, aligned.error)))
    model = Baseline(BaselineOptions())
    assert float((model(there).cpu() - model(aligned)).abs().mean()) < CODE / 50


@settings(max_examples=30, deadline=None)
@given(seeds, st.integers(1, 6), st.sampled_from([(24, 31), (90, 720)]))
def test_rain_is_that_of_floats(seed: int, witnesses: int, size: tuple[int, int]) -> None:
    kept, plain = window(seed, witnesses, *size)
    baseline = Baseline(BaselineOptions())
    torch.manual_seed(seed % 2**31)
    net = Gate(CONFIGS["gate-m"])
    with torch.no_grad():
        net.tail.weight.normal_(0, 0.02)
    for decomposer in (baseline, GateDecomposer(net, first=None, options=GateOptions("float32"))):
        found, due = decomposer(kept), decomposer(plain)
        assert found.dtype == torch.float32
        # where a share jumps, from the line of one slant to that of another, a step may count for more
        assert float((found - due).abs().mean()) < CODE / 20


@pytest.mark.parametrize(("device", "due"), [("cpu", [(0, 120), (120, 240), (240, 360)]), ("meta", [(0, 247)])])
def test_bands_cover_a_picture_and_other_devices_have_one(device: str, due: list[tuple[int, int]]) -> None:
    bands = in_bands(torch.empty((247, 3), device=device))
    assert [(rows.start, rows.stop) for rows in bands] == due
    assert not list(in_bands(torch.empty((0, 3), device=device)))


def test_bands_are_the_whole() -> None:
    kept, _ = window(7, 4, 3 * 120 + 7, 31)
    spread = (kept.witnesses.amax(0) - kept.witnesses.amin(0))[0]
    seen = (kept.observed[0], kept.witnesses[0, 0], spread)

    def found() -> list[Tensor]:
        judged = judge(kept.observed[0], kept.witnesses[:, 0], shrink=1)
        return [share_of_rain(*seen, doubts=Doubts(), shrink=1), Baseline(BaselineOptions())(kept), *judged]

    by_bands = found()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("vidrain.model.streaks._BAND", 1 << 20)
        whole = found()
    for part, due in zip(by_bands, whole, strict=True):
        assert torch.equal(part, due)
        assert float(due.float().std()) > 0


@pytest.mark.parametrize(("lines", "due"), [(360, 360), (480, 360), (720, 360), (1080, 540), (2160, 540)])
def test_motion_is_measured_on_pictures_of_bounded_size(lines: int, due: int) -> None:
    assert guide_of(torch.zeros((1, lines, 16 * lines // 9), dtype=torch.int16), AlignOptions()).shape[0] == due


def test_what_is_warped_is_the_same_to_a_step() -> None:
    kept = fixed(luma(3, 3, 1, 48, 64))
    flow, guide = np.random.default_rng(5).normal(0, 2, (24, 32)).astype(np.float32), np.zeros((24, 32), np.uint8)
    rims = [Rim(slice(0, 3), slice(0, 32), np.ones((3, 32), np.uint8))]
    found, due = (
        aligned_along(
            [Way(Offsets(flow, flow[::-1].copy()), None, rims, guide)] * 2,
            Picture(0, parts[0], guide_of(parts[0], AlignOptions())),
            [Picture(i, parts[i], guide_of(parts[i], AlignOptions())) for i in (1, 2)],
        ).witnesses
        for parts in (kept, floats(kept))
    )
    assert found.dtype == torch.int16
    assert float((floats(found) - due).abs().max()) <= 0.6 / STEPS + 2 / 255 / 32  # places of a 32nd of a pixel
