"""The gate: what it may remove, whatever it was taught, and files of weights that fit or are refused."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad, pixel_unshuffle

from vidrain.baseline import Baseline, BaselineOptions
from vidrain.errors import ModelError
from vidrain.model import filters
from vidrain.model.gate import CONFIGS, Gate, GateDecomposer, GateOptions, OverCells
from vidrain.model.planes import PLANES, judge, look, ranked
from vidrain.model.streaks import Doubts, share_of_rain
from vidrain.train.data import at_size
from vidrain.train.window import Window, look_at
from vidrain.types import Aligned
from vidrain.weights import hash_of, load_model, packed_gate, pass_before, read_header, weights_of


def window(seed: int, *, witnesses: int = 4, size: tuple[int, int] = (24, 32)) -> Aligned:
    random = torch.Generator().manual_seed(seed)
    observed = torch.rand(1, *size, generator=random)
    others = torch.rand(witnesses, 1, *size, generator=random)
    error = torch.rand(witnesses, *size, generator=random) * 3
    outside = torch.rand(witnesses, *size, generator=random) < 0.1
    others = torch.where(outside[:, None], observed, others)  # as `align.warp` leaves them
    return Aligned(observed, others, error.masked_fill(outside, torch.inf))


EXACT = GateOptions("float32")


def gate(name: str = "gate-s", seed: int = 0, *, wild: bool = False) -> Gate:
    torch.manual_seed(seed)
    net = Gate(CONFIGS[name])
    with torch.no_grad():  # the last weights are 0 before training; wild: taught nonsense, far outside of [0, 1]
        net.tail.weight.normal_(std=20 if wild else 0.05)
    return net


@pytest.mark.parametrize("size", [(33, 1), (33, 2), (1, 33), (90, 7)])
def test_narrow_pictures_are_computed_in_float32(size: tuple[int, int]) -> None:
    """In bfloat16 processors with AMX give NaN for some of them, depending on what memory held before."""
    aligned, net = window(0, size=size), gate("gate-m", wild=True)
    rough, exact = (GateDecomposer(net, first=None, options=GateOptions(each)) for each in ("bfloat16", "float32"))
    assert torch.equal(rough(aligned), exact(aligned))


def exceeding(aligned: Aligned) -> Tensor:
    """max(O - M, 0), the slow way."""
    return (aligned.observed - aligned.witnesses.quantile(0.5, dim=0)).clamp(min=0)


def removable(aligned: Aligned) -> Tensor:
    """What exceeds the darkest witness: the most that may be removed."""
    return (aligned.observed - aligned.witnesses.amin(0)).clamp(min=0)


@pytest.mark.parametrize("name", CONFIGS)
def test_sizes(name: str) -> None:
    count = sum(parameter.numel() for parameter in gate(name).parameters())
    assert 30 <= count / 1000 <= 36
    assert len(packed_gate(name, gate(name).state_dict())) <= 8 << 20


@given(
    seed=st.integers(0, 99),
    name=st.sampled_from(sorted(CONFIGS)),
    witnesses=st.integers(1, 6),
    size=st.tuples(st.integers(1, 19), st.integers(1, 19)),
)
def test_rain_is_bounded_whatever_was_learned(seed: int, name: str, witnesses: int, size: tuple[int, int]) -> None:
    aligned = window(seed, witnesses=witnesses, size=size)
    rain = GateDecomposer(gate(name, seed, wild=True), first=None)(aligned)
    assert rain.shape == (1, *size)
    assert rain.min() >= 0
    assert torch.all(rain <= removable(aligned) + 1e-6)


def test_a_wild_gate_does_reach_both_bounds() -> None:
    aligned = window(3)
    rain, most = GateDecomposer(gate(wild=True), first=None)(aligned), removable(aligned)
    there = most > 0.01
    assert (rain[there] == 0).any()
    assert ((rain - most)[there].abs() < 1e-6).any()


@pytest.mark.parametrize("size", [(24, 32), (545, 541)])
def test_before_training_it_is_the_baseline(size: tuple[int, int]) -> None:
    """With the trust of a second pass, whatever the size of the picture; so learning starts from there."""
    aligned = window(4, size=size)
    torch.testing.assert_close(
        GateDecomposer(Gate(CONFIGS["gate-s"]), first=None)(aligned),
        Baseline(BaselineOptions(doubts=Doubts(trust=0.5)))(aligned),
    )


@pytest.mark.parametrize("name", ["gate-s", "gate-m"])
@pytest.mark.parametrize("size", [(542, 560), (541, 543), (901, 902)])
def test_a_large_picture_is_corrected_by_what_training_sees_of_it(size: tuple[int, int], name: str) -> None:
    """Pictures full of noise: the range of means is not the mean of ranges. Training reduces frames before all else.

    But for the share that looks like rain, which is known at full size and reduced after that.
    """
    net, aligned = gate(name), window(4, size=size)
    shrink = 2 if size[0] < 900 else 3
    reduced = at_size(aligned.observed)
    error = torch.rand(4, *reduced.shape[1:], generator=torch.Generator().manual_seed(1)) * 3
    rain = GateDecomposer(net, first=None, options=EXACT)(Aligned(aligned.observed, aligned.witnesses, error))
    small = Window(reduced[None], torch.stack([at_size(one) for one in aligned.witnesses])[None], error[None] / shrink)
    whole = judge(aligned.observed[0], aligned.witnesses[:, 0], shrink=shrink)
    cells = pad(whole.share[None], (0, -size[1] % shrink, 0, -size[0] % shrink), mode="replicate")
    planes = torch.cat([look_at(small.observed, small).planes[:, :-1], avg_pool2d(cells, shrink)[None]], 1)
    change, further, farthest = (
        interpolate(part, scale_factor=shrink, mode="bilinear")[..., : size[0], : size[1]]
        for part in net.correction(planes).chunk(3, 1)
    )
    due = (whole.share + change).clamp(0, 1) * whole.excess + further.clamp(0, 1) * whole.below
    due += farthest.clamp(0, 1) * whole.deeper
    assert min(change.std(), further.std(), farthest.std()) > 0.01
    torch.testing.assert_close(rain, due[0], atol=5e-5, rtol=1e-4)


def test_a_witness_that_left_the_picture_is_left_out_of_what_is_reduced() -> None:
    aligned = window(4, size=(560, 560))
    rain = GateDecomposer(gate(), first=None)(aligned)
    assert torch.isfinite(rain).all()
    assert torch.all(rain <= removable(aligned) + 1e-6)


@pytest.mark.parametrize("size", [(40, 48), (542, 560)])
def test_half_the_bits_change_next_to_nothing(size: tuple[int, int]) -> None:
    """What they add to the error of a picture that is a tenth of a code of 8 bits off is far below 0.05 dB."""
    aligned, net = window(4, size=size), gate()
    due = GateDecomposer(net, first=None, options=EXACT)(aligned)
    rough = GateDecomposer(net, first=None, options=GateOptions("bfloat16"))(aligned)
    assert rough.dtype == torch.float32
    assert not torch.equal(rough, due)
    assert float((rough - due).square().mean().sqrt()) < 0.02 * float(due.square().mean().sqrt())
    auto = GateDecomposer(net, first=None)(aligned)
    assert torch.equal(auto, rough if torch.cpu._is_avx512_bf16_supported() else due)


def check_alike(found: Tensor, due: Tensor) -> None:
    """To the precision of the convolutions of a GPU, which have ten bits."""
    assert due.std() > 0.01
    assert float((found - due).abs().mean()) < 1e-4
    torch.testing.assert_close(found, due, atol=0.01, rtol=0)


@pytest.mark.parametrize("size", [(24, 32), (542, 560)])
def test_other_devices_compute_the_same(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    """By what they compute with in place of OpenCV, on the CPU."""
    aligned, model = window(4, size=size), GateDecomposer(gate(), first=None, options=EXACT)
    due = model(aligned)
    monkeypatch.setattr(filters, "_lies_in_memory", lambda picture: False)
    check_alike(model(aligned), due)


@pytest.mark.gpu
@pytest.mark.parametrize("size", [(24, 32), (542, 560)])
@pytest.mark.parametrize("name", CONFIGS)
def test_a_gpu_computes_the_same(name: str, size: tuple[int, int]) -> None:
    aligned, device = window(4, size=size), torch.device("cuda")
    due = GateDecomposer(gate(name), first=None, options=EXACT)(aligned)
    there = Aligned(*(part.to(device) for part in (aligned.observed, aligned.witnesses, aligned.error)))
    found = GateDecomposer(gate(name), first=None, options=EXACT)(there)
    assert found.device.type == "cuda"
    check_alike(found.cpu(), due)


def test_no_witnesses_no_rain() -> None:
    assert not GateDecomposer(gate(), first=None)(window(0, witnesses=0)).any()


def test_the_radius_is_that_of_the_config() -> None:
    assert [GateDecomposer(gate(name), first=None).radius for name in CONFIGS] == [2, 3, 3, 3]


@pytest.mark.parametrize("name", CONFIGS)
def test_there_are_three_shares_of_every_pixel(name: str) -> None:
    assert gate(name)(torch.rand(2, PLANES, 7, 9)).shape == (2, 3, 7, 9)


def test_training_sees_a_linear_gate() -> None:
    """A clamped gate would have no gradient where it is wrong the most."""
    net = gate(wild=True)
    found = net(torch.randn(1, PLANES, 16, 16))
    assert found.min() < 0
    assert found.max() > 1


def test_far_away_changes_nothing() -> None:
    """No norm over the picture: tiles with a margin are the picture."""
    net, planes = gate(), torch.randn(1, PLANES, 256, 256)
    changed = planes.clone()
    changed[..., 160:, 160:] += 5
    assert not torch.equal(net(planes)[..., :80, :80], net(changed)[..., :80, :80])  # its surroundings count
    torch.testing.assert_close(net(planes)[..., :40, :40], net(changed)[..., :40, :40])


@pytest.mark.parametrize("witnesses", [1, 2, 3, 4, 5, 6])
def test_planes_by_hand(witnesses: int) -> None:
    aligned = window(witnesses, witnesses=witnesses)
    batch = (aligned.observed[None], aligned.witnesses[None], aligned.error[None])
    votes, own = aligned.witnesses[:, 0], aligned.observed[0]
    middle = votes.quantile(0.5, dim=0)
    trust = torch.where(torch.isfinite(aligned.error), 1 / (1 + aligned.error), 0).mean(0)
    second = votes.sort(0).values[:2][-1].minimum(middle)
    ranges = [votes.amax(0) - votes.amin(0), own - votes.amin(0), own - second, own - votes.amax(0)]
    expected = [(own - middle) * 8, middle - 0.5, *(plane * 8 for plane in ranges), trust]
    likely = {
        shrink: share_of_rain(own, middle, ranges[0], doubts=Doubts(trust=0.5), shrink=shrink) for shrink in (1, 2)
    }
    expected.append(likely[1])
    assert len(expected) == PLANES
    seen = look(*batch)
    torch.testing.assert_close(seen.planes[0], torch.stack(expected), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen.excess[0], exceeding(aligned))
    found = judge(own, votes, shrink=2)
    torch.testing.assert_close(found.share, likely[2], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.excess, seen.excess[0, 0])
    parts = {"below": (middle, second), "deeper": (second, votes.amin(0))}
    for name, (above, floor) in parts.items():
        due = (torch.minimum(own, above) - floor).clamp(min=0)
        torch.testing.assert_close(getattr(seen, name)[0, 0], due)
        torch.testing.assert_close(getattr(found, name), due)
    whole = (own - votes.amin(0)).clamp(min=0)
    torch.testing.assert_close((seen.excess + seen.below + seen.deeper)[0, 0], whole, atol=1e-6, rtol=1e-5)


def test_a_witness_that_left_the_picture_follows_rain_that_was_pasted_since() -> None:
    """In training the observation gets more rain than it was aligned with: `look` asks where the warp left it."""
    aligned, pasted = window(6), torch.rand(1, 24, 32, generator=torch.Generator().manual_seed(9)) * 0.2
    rainy = aligned.observed + pasted
    votes = torch.where(torch.isfinite(aligned.error)[:, None], aligned.witnesses, rainy)
    assert not aligned.error.isfinite().all()
    found = look(rainy[None], aligned.witnesses[None], aligned.error[None])
    torch.testing.assert_close(found.excess[0], (rainy - votes.quantile(0.5, dim=0)).clamp(min=0))
    torch.testing.assert_close(found.planes[0, 3], (rainy - votes.amin(0))[0] * 8)
    torch.testing.assert_close(found.planes[0, 5], (rainy - votes.amax(0))[0] * 8)


def test_the_order_of_witnesses_does_not_count() -> None:
    aligned = window(5)
    order = [2, 0, 3, 1]
    other = Aligned(aligned.observed, aligned.witnesses[order], aligned.error[order])
    model = GateDecomposer(gate(), first=None)
    torch.testing.assert_close(model(aligned), model(other))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_median(count: int) -> None:
    values = torch.rand(count, 5, 6)
    torch.testing.assert_close(ranked(list(values)).middle, values.quantile(0.5, dim=0))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(packed_gate("gate-s", gate(seed=7).state_dict()))
    return path


@pytest.mark.parametrize("size", [(24, 32), (400, 720)])
def test_strength_multiplies_every_share(size: tuple[int, int]) -> None:
    aligned, net = window(3, size=size), gate(seed=5)
    once = GateDecomposer(net, first=None)(aligned)
    net.strength.fill_(0.5)
    half = GateDecomposer(net, first=None)(aligned)
    assert (half <= once).all()
    assert (half >= 0.5 * once - 1e-6).all(), "a share beyond 1 is cut there"
    assert half.mean() < 0.9 * once.mean()
    parts = []
    for share in range(3):  # each by itself
        net.strength.zero_()
        net.strength[share] = 1
        parts.append(GateDecomposer(net, first=None)(aligned))
    assert torch.allclose(sum(parts[1:], parts[0]), once, atol=1e-6)
    excess = (aligned.observed - ranked(list(aligned.witnesses)).middle).clamp(min=0)
    assert (parts[0] <= excess + 1e-6).all()
    assert parts[0].any()
    assert not (parts[1] <= excess + 1e-6).all()


@pytest.mark.parametrize("name", CONFIGS)
def test_weights_come_back(name: str, tmp_path: Path) -> None:
    path, net, aligned = tmp_path / "w.safetensors", gate(name, seed=3), window(1, witnesses=4)
    path.write_bytes(packed_gate(name, net.state_dict()))
    assert torch.equal(load_model(name, weights=path)(aligned), GateDecomposer(net, first=None)(aligned))
    header = read_header(path)
    assert (header["model"], header["version"]) == (name, "7")
    assert json.loads(header["config"]) == asdict(CONFIGS[name])
    assert header["hash"] == hash_of(net.state_dict())


def test_the_same_weights_make_the_same_file() -> None:
    assert packed_gate("gate-s", gate(seed=2).state_dict()) == packed_gate("gate-s", gate(seed=2).state_dict())


Change = Callable[[dict[str, Tensor], dict[str, str]], object]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda tensors, head: head.pop("model"), "holds weights of an unnamed model, not of gate-s"),
        (lambda tensors, head: head.update(model="gate-m"), "holds weights of gate-m, not of gate-s"),
        (lambda tensors, head: head.update(version="0"), r"made for another gate-s \(version 0, wanted 7\)"),
        (lambda tensors, head: head.update(config="{}"), "made for another gate-s"),
        (lambda tensors, head: tensors.pop("head.bias"), r"lacks head.bias \(1 of 29 tensors missing\)"),
        (lambda tensors, head: tensors.update(extra=torch.zeros(1)), "holds extra, which its model does not have"),
        (lambda tensors, head: tensors.update({"head.bias": torch.zeros(23)}), r"head.bias is float32 \[23\], not"),
        (lambda tensors, head: tensors.update({"head.bias": torch.zeros(16).double()}), r"head.bias is float64 \[16\]"),
        (lambda tensors, head: tensors["head.bias"].fill_(torch.nan), "head.bias holds values that are not finite"),
        (lambda tensors, head: tensors["head.bias"].add_(1), "its values are not those that were saved"),
        (lambda tensors, head: head.pop("hash"), "its values are not those that were saved"),
    ],
)
def test_weights_that_do_not_fit(change: Change, said: str, file: Path, tmp_path: Path) -> None:
    tensors, head = load_file(file), read_header(file)
    change(tensors, head)
    other = tmp_path / "changed.safetensors"
    save_file(tensors, other, head)
    with pytest.raises(ModelError, match=said) as raised:
        load_model("gate-s", weights=other)
    assert "\n" not in str(raised.value)


def test_a_second_pass_works_behind_the_first_that_its_file_names(tmp_path: Path) -> None:
    """So that its own file stands for all that it does, wherever results are told apart by a hash of that."""
    shipped = weights_of("gate-m", None)
    assert shipped is not None
    first = load_model("gate-l").first
    assert isinstance(first, GateDecomposer)
    held = load_file(shipped)
    assert hash_of(held) == read_header(shipped)["hash"]
    assert first.net.state_dict().keys() == held.keys()
    for key, tensor in first.net.state_dict().items():
        assert torch.equal(tensor, torch.ones(3) if key == "strength" else held[key])
    path, other = tmp_path / "l.safetensors", tmp_path / "other.safetensors"
    path.write_bytes(packed_gate("gate-l", gate("gate-l").state_dict()))
    assert read_header(path)["first"] == read_header(shipped)["hash"]
    save_file(load_file(path), other, read_header(path) | {"first": "0" * 64})
    with pytest.raises(ModelError, match=r"behind another gate-m \(000000000000, here [0-9a-f]{12}\); train"):
        load_model("gate-l", other)


def test_what_has_a_pass_before_itself_is_none() -> None:
    with pytest.raises(ValueError, match="gate-l has a pass before itself"):
        pass_before("gate-l")
    assert pass_before(None) is None


def test_a_gate_without_weights_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where vidrain is installed without what comes with it."""
    monkeypatch.setattr("vidrain.weights._SHIPPED", tmp_path)
    with pytest.raises(ModelError, match="model gate-m needs weights; train some with vidrain train"):
        load_model("gate-m")


@pytest.mark.parametrize("size", [(6, 8), (24, 34)])
def test_a_convolution_over_cells_is_that_of_the_folded_picture(size: tuple[int, int]) -> None:
    layer, planes = OverCells(3, 5), torch.randn(2, 3, *size)
    due = torch.nn.functional.conv2d(pixel_unshuffle(planes, 2), layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(planes), due)
