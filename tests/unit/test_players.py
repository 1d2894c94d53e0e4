"""Every trainable parameter sits in exactly one optimizer and moves: seen in a training step of all the pieces."""

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor, nn

from vidrain.model.nlcl import Generator
from vidrain.train import losses
from vidrain.train.contrast import (
    asymmetric_layer_contrast,
    layer_contrast,
    location_contrast,
    nearness,
    pulls_by_radius,
    pulls_by_temperature,
)
from vidrain.train.discriminator import TAP_STRIDES, Discriminator
from vidrain.train.mining import (
    Spatial,
    Temporal,
    gather_patches,
    mine_background,
    mine_edges,
    mine_rain,
    mine_unlike,
    sample_queries,
)
from vidrain.train.players import parameters_of, require_all
from vidrain.train.projection import Projections

SIDE, FRAMES, PATCH = 40, 3, 8
BACK_TAPS = (0, 2, 4, 8, 12)


class Nets(nn.ModuleDict):
    """All that is trained, by name."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        discriminator = Discriminator()
        channels = {"location": [32] * 5, "of_background": discriminator.tap_channels}
        channels["of_rain"] = discriminator.tap_channels
        heads = {name: Projections(of_taps) for name, of_taps in channels.items()}
        super().__init__({"back": Generator(), "rain": Generator(), "discriminator": discriminator, **heads})

    def players(self) -> dict[str, list[nn.Module]]:
        restorer = [module for name, module in self.items() if name != "discriminator"]
        return {"restorer": restorer, "discriminator": [self["discriminator"]]}


def clip(seed: int) -> Tensor:
    """[1, T, 3, H, W] in [-1, 1], the same scene with other streaks in every frame."""
    generator = torch.Generator().manual_seed(seed)
    scene = torch.rand((1, 1, 3, SIDE, SIDE), generator=generator) - 0.5
    streaks = (torch.rand((1, FRAMES, 1, SIDE, SIDE), generator=generator) > 0.95).float() * 0.5
    return scene + streaks


def places_of(observed: Tensor, R: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """Everything that is compared, mined once, and the weights of the positives."""
    generator = torch.Generator().manual_seed(5)
    guide = observed.median(dim=1, keepdim=True).values.expand_as(observed)
    query, candidate = (sample_queries(guide.shape, count, generator, patch=PATCH) for count in (6, 40))
    still = torch.zeros(1, FRAMES, FRAMES, SIDE, SIDE, 2)
    spatial, temporal = Spatial(radius=24, exclusion=8, stride=4), Temporal(refine=1)
    alike = mine_background(guide, query, still, patch=PATCH, spatial=spatial, temporal=temporal)
    rain = mine_rain(R, query, candidate, patch=PATCH, count=5, least_energy=0)
    found = {
        "query": query[:, :, None],
        "alike": alike.place,
        "rain": rain.place,
        "unlike": mine_unlike(guide, query, candidate, patch=PATCH, count=12).place,
        "edges": mine_edges(guide, candidate, patch=PATCH, count=4).place.expand(-1, 6, -1, -1),
    }
    return found, nearness(alike.value, alike.valid)[0]


def contrasts(nets: Nets, observed: Tensor, B: Tensor, R: Tensor) -> Tensor:
    """Location contrast through Back's own features, layer contrasts through the discriminator's."""
    places, weight = places_of(observed, R.detach()[None])
    total = torch.zeros(())

    def read(features: Tensor, name: str, stride: int) -> Tensor:
        return gather_patches(features[None], places[name], patch=PATCH, stride=stride)[0]  # [Q, P, D]

    ours = nets["location"]([read(tap, "query", 1) for tap in nets["back"].features(B, BACK_TAPS)])
    keys = [tap.detach() for tap in nets["back"].features(observed[0], BACK_TAPS)]
    far = nets["location"]([read(tap, "unlike", 1) for tap in keys])
    for name in ("query", "alike"):  # O at the same place, and where the same background lies in other frames
        theirs = nets["location"]([read(tap, name, 1) for tap in keys])
        for query, positive, negative in zip(ours, theirs, far, strict=True):
            total = total + location_contrast(query[:, 0], positive, negative)
    b_taps, r_taps = nets["discriminator"].features(B), nets["discriminator"].features(R)
    alike = nets["of_background"]([read(tap, "alike", stride) for tap, stride in zip(b_taps, TAP_STRIDES, strict=True)])
    edges = nets["of_background"]([read(tap, "edges", stride) for tap, stride in zip(b_taps, TAP_STRIDES, strict=True)])
    rain = nets["of_rain"]([read(tap, "rain", stride) for tap, stride in zip(r_taps, TAP_STRIDES, strict=True)])
    (loose, tight), (wide, narrow) = pulls_by_temperature(15.7, 9.4), pulls_by_radius(15.7, 9.4)
    for background, edge, drop in zip(alike, edges, rain, strict=True):
        total = total + layer_contrast(torch.cat([background, edge], dim=1), drop)
        for first, second in ((loose, tight), (wide, narrow)):
            total = total + asymmetric_layer_contrast(background, drop, pulls=(first, second), background_weight=weight)
    return total


def step(nets: Nets, optimizers: Mapping[str, torch.optim.Optimizer], observed: Tensor, clean: Tensor) -> None:
    """One move of each player, the discriminator first."""
    pictures, everywhere = observed[0], torch.ones(FRAMES - 1, 1, SIDE, SIDE)
    B, R = nets["back"](pictures), nets["rain"](pictures)
    optimizers["discriminator"].zero_grad()
    score, clean_score = nets["discriminator"](B.detach()), nets["discriminator"](clean[0])
    losses.adversarial_discriminator(score, clean_score).backward()
    optimizers["discriminator"].step()
    optimizers["restorer"].zero_grad()
    total = (
        losses.reconstruction(pictures, B, R)
        + losses.adversarial_generator(nets["discriminator"](B))
        + losses.rain_sparsity(R)
        + losses.rain_non_negativity(R)
        + losses.temporal_consistency(B[1:], B[:-1], everywhere)
        + losses.rain_decorrelation(R[1:], R[:-1], everywhere)
        + contrasts(nets, observed, B, R)
    )
    total.backward()
    optimizers["restorer"].step()


def adams(nets: Nets) -> dict[str, torch.optim.Optimizer]:
    table = parameters_of(nets.players())
    require_all(table, nets)
    return {name: torch.optim.Adam(rows.values(), lr=2e-4, betas=(0.5, 0.999)) for name, rows in table.items()}


def unmoved(nets: Nets, optimizers: Mapping[str, torch.optim.Optimizer]) -> list[str]:
    """Trainable parameters that are the same after two steps."""
    before = {name: parameter.detach().clone() for name, parameter in nets.named_parameters()}
    for seed in (1, 2):
        step(nets, optimizers, clip(seed), clip(seed + 10))
    return [
        name
        for name, parameter in nets.named_parameters()
        if parameter.requires_grad and torch.equal(parameter, before[name])
    ]


def test_every_trainable_parameter_is_moved_by_exactly_one_optimizer() -> None:
    nets = Nets()
    optimizers = adams(nets)
    held = [id(parameter) for one in optimizers.values() for group in one.param_groups for parameter in group["params"]]
    trainable = [id(parameter) for parameter in nets.parameters() if parameter.requires_grad]
    assert sorted(held) == sorted(trainable)
    assert unmoved(nets, optimizers) == []


def test_an_optimizer_that_is_cleared_where_it_should_step_is_seen() -> None:
    """The first slip of the published training."""
    nets = Nets()
    restorer = [module for name, module in nets.items() if name not in ("discriminator", "location")]
    table = parameters_of({"restorer": restorer, "discriminator": [nets["discriminator"]]})
    optimizers = {name: torch.optim.Adam(rows.values()) for name, rows in table.items()}
    assert unmoved(nets, optimizers) == [f"location.{name}" for name, _ in nets["location"].named_parameters()]


def test_a_module_that_nobody_moves_is_named() -> None:
    nets = Nets()
    players = nets.players()
    players["restorer"].remove(nets["of_background"])
    with pytest.raises(ValueError, match=r"of_background\.heads\.0\.layers\.0\.weight is in no optimizer"):
        require_all(parameters_of(players), nets)


def test_a_module_that_two_move_is_named() -> None:
    """The second slip: an optimizer built on the parameters of another."""
    nets = Nets()
    with pytest.raises(ValueError, match=r"heads: 0\.heads\.0\.layers\.0\.weight is moved by restorer: 1\.heads\.0"):
        parameters_of({"restorer": [nets["back"], nets["of_rain"]], "heads": [nets["of_rain"]]})
    with pytest.raises(ValueError, match="is moved by restorer"):
        parameters_of({"restorer": [nets["back"], nets["back"]]})


def test_a_player_with_nothing_to_move() -> None:
    with pytest.raises(ValueError, match="holds no trainable parameter"):
        parameters_of({"restorer": [nn.Linear(2, 2).requires_grad_(False)]})


def test_fixed_parameters_are_in_no_row() -> None:
    table = parameters_of({"restorer": [Generator()]})
    assert len(table["restorer"]) == 72 - 33
    assert "0.gen.1.model.0.conv.weight" in table["restorer"]
    assert "0.gen.1.model.0.conv.bias" not in table["restorer"]
