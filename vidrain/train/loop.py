"""train(): one network from footage to weights, on one page.

A run has a folder of its own: config.yaml (all settings; `-c` reads it back), run.json (what ran), curve.jsonl (one
line per step), previews/, checkpoint.pt, and NAME.safetensors at the end. Started again with the same settings it goes
on where its last checkpoint stands; on a CPU the result is that of a run that never stopped, bit for bit.

Each step: windows, rain of the teacher, a recycled pair, terms, their weighted sum, one step of the optimizer, and of
the moving average that becomes the teacher. All draws of a step come from the seed and its number.

    report = train(TrainConfig(data=DataOptions(rainy=("rain/",))), Path("runs/1"), on_event=print)
"""

import math
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Adam, Optimizer

from vidrain.device import Device, device_of
from vidrain.errors import UsageError
from vidrain.events import OnEvent, TrainingDone, TrainingPlan, TrainingStep, ignore
from vidrain.model.gate import CONFIGS, Gate, GateConfig, taken, with_looks
from vidrain.outputs import claimed
from vidrain.stream import prefetch
from vidrain.train.balance import LossWeights
from vidrain.train.cells import Compared
from vidrain.train.choice import ContrastOptions
from vidrain.train.data import Batch, Cut, DataOptions, Windows
from vidrain.train.discriminator import WIDTH
from vidrain.train.losses import rain_sparsity
from vidrain.train.nets import Nets, make_nets, needs_discriminator
from vidrain.train.players import parameters_of, require_all
from vidrain.train.preview import preview
from vidrain.train.recycling import Recycled, RecycleOptions, charbonnier, recycle, trust
from vidrain.train.run import Curve, State, describe, load_state, run_folder, save_state
from vidrain.train.terms import Scene, cell_terms, discriminator_loss, nlcl_terms, views_of
from vidrain.train.truths import relative_error, with_truths
from vidrain.train.window import Window, look_at
from vidrain.weights import packed_gate

_BETAS = {"gate": (0.9, 0.99), "heads": (0.9, 0.99), "discriminator": (0.5, 0.999)}  # of Adam; the last as published
_AHEAD = 2  # batches made while a step is computed
_PASTE_SEED = 1 << 62  # draws of the recycling and of the windows never share a seed
_STRONGEST = 4.0
_REPORTED = 50  # last steps whose mean loss is reported


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All that can be chosen about a run. `configs/train.yaml` explains every key."""

    model: Literal["gate-s", "gate-m", "gate-l", "gate-b"] = "gate-s"
    seed: int = 0
    steps: int = 3000
    batch: int = 8
    patch: int = 128
    rate: float = 1e-3
    discriminator_rate: float = 2e-4
    discriminator_width: int = WIDTH
    warm_up: int = 50
    largest_gradient: float = 1.0
    average: float = 0.995
    baseline_steps: int = 1000
    softness: float = 0.01
    dry: float = 0.3
    strength: float = 1.0
    bf16: bool = False
    device: Device = "auto"
    threads: int | None = None
    checkpoint_every: int = 200
    preview_every: int = 500
    weights: LossWeights = field(default_factory=LossWeights)
    contrast: ContrastOptions = field(default_factory=ContrastOptions)
    recycle: RecycleOptions = field(default_factory=RecycleOptions)
    data: DataOptions = field(default_factory=DataOptions)

    def __post_init__(self) -> None:
        for key in ("steps", "batch", "patch", "discriminator_width", "checkpoint_every", "preview_every"):
            if (value := getattr(self, key)) < 1:
                raise UsageError(f"{key}={value}: allowed: at least 1")
        if not 0 <= self.seed < 1 << 31:
            raise UsageError(f"seed={self.seed}: allowed: 0 to {(1 << 31) - 1}")
        if self.patch > self.data.crop:
            raise UsageError(f"patch={self.patch}: allowed: up to data.crop={self.data.crop}, of which it is cut")
        if needs_discriminator(self.weights, self.contrast) and not self.data.clean:
            raise UsageError(
                "data.clean: names no videos; a discriminator (weights.adversarial, contrast.encoder) needs some"
            )
        told = {"rendered": list(self.data.rendered), "settled_share": self.data.settled_share}
        told["dry_share"] = self.data.dry_share
        is_told, is_pasted = any(told.values()), bool(self.data.clean and self.data.clean_share)
        has_weight = self.weights.truth > 0
        if (is_told and not has_weight) or (has_weight and not (is_told or is_pasted)):
            found = " ".join(f"{name}={value}" for name, value in told.items())
            raise UsageError(
                f"weights.truth={self.weights.truth:g} data.{found}: allowed: a weight and one of them, or none (but "
                "data.clean, with rain pasted on it): the term compares with their truth"
            )
        if not 0 <= self.dry <= 1:
            raise UsageError(f"dry={self.dry}: allowed: 0 to 1")
        if not 0 < self.strength <= _STRONGEST:
            raise UsageError(f"strength={self.strength:g}: allowed: above 0, up to {_STRONGEST:g}")
        if not (self.rate > 0 and self.softness > 0 and 0 <= self.average < 1):
            found = f"rate={self.rate} softness={self.softness} average={self.average}"
            raise UsageError(f"{found}: allowed: above 0, above 0, from 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """What a run came to. loss: mean over the last steps."""

    run_dir: Path
    weights: Path
    steps: int
    loss: float
    seconds: float


def train(
    config: TrainConfig, run_dir: Path, *, windows: Windows | None = None, on_event: OnEvent = ignore
) -> TrainReport:
    """Train a network and leave its weights, the moving average over the steps, in `run_dir`.

    Goes on with a run that was begun there with the same settings; UsageError for other settings. windows: `windows_of`
    these settings, where they are open already, with what they have read. Raises VidrainError.
    """
    began = monotonic()
    # Device and seed.
    device = _prepared(config)

    # Networks and optimizers.
    restorer = Gate(CONFIGS[config.model]).to(device)
    learner = learner_for(restorer, config)
    average = learner.average
    state = State(nets=learner.nets.named, optimizers=learner.optimizers)

    weights = run_dir / f"{config.model}.safetensors"
    with run_folder(run_dir), claimed(weights, force=True) as claim:
        # Resume, and data.
        first = load_state(run_dir, state, config)
        describe(run_dir, config, device)
        curve = Curve(run_dir / "curve.jsonl", first)
        windows = windows or windows_of(config, on_event)
        on_event(_plan(config, run_dir, windows, first))

        with closing(prefetch(windows.batches(range(first, config.steps)), _AHEAD, "windows")) as batches:
            for step, batch in zip(range(first, config.steps), batches, strict=True):
                rate = rate_at(step, config)
                teacher = None if step < config.baseline_steps else average
                learned = learn(learner, batch.to(device), step, config, teacher=teacher, rate=rate)

                # Tell.
                done = step + 1
                curve.write(done, learned.numbers)
                if done % config.preview_every == 0 or done == config.steps:
                    preview(run_dir / "previews" / f"step_{done:06d}.png", learned.pair, learned.background)
                if done % config.checkpoint_every == 0 or done == config.steps:
                    save_state(run_dir, state, config, done)
                on_event(_step(done, config.steps, learned.numbers["total"], (done - first) / (monotonic() - began)))

        average.strength.fill_(config.strength)  # of where a video is cleaned; nothing is learned with it
        claim.partial.write_bytes(packed_gate(config.model, average.state_dict()))
        claim.publish()
    seconds, loss = monotonic() - began, curve.mean("total", _REPORTED)
    on_event(TrainingDone(run_dir=str(run_dir), weights=str(weights), steps=config.steps, loss=loss, seconds=seconds))
    return TrainReport(run_dir=run_dir, weights=weights, steps=config.steps, loss=loss, seconds=seconds)


@dataclass(frozen=True)
class Learner:
    """A network that learns, its moving average, all that learns with it, and what moves each of them."""

    nets: Nets
    optimizers: dict[str, Optimizer]

    @property
    def net(self) -> Gate:
        """The restorer."""
        return self.nets.restorer

    @property
    def average(self) -> Gate:
        """Its moving average."""
        return self.nets.average


class Learned(NamedTuple):
    """One step: the pair learned from, its background [N, 1, H, W], and all terms, their sum and the rate by name."""

    pair: Recycled
    background: Tensor
    numbers: dict[str, float]


def learner_of(
    net: Gate,
    rate: float,
    *,
    weights: LossWeights | None = None,
    contrast: ContrastOptions | None = None,
    discriminator_width: int = WIDTH,
) -> Learner:
    """Everything that a network needs to learn; each of its parameters is moved by one optimizer."""
    nets = make_nets(net, weights or LossWeights(), contrast or ContrastOptions(), discriminator_width)
    table = parameters_of(nets.players)
    require_all(table, nets.named)
    return Learner(nets, {name: Adam(rows.items(), lr=rate, betas=_BETAS[name]) for name, rows in table.items()})


def learner_for(net: Gate, config: TrainConfig) -> Learner:
    """What the settings say that a network needs to learn."""
    width = config.discriminator_width
    return learner_of(net, config.rate, weights=config.weights, contrast=config.contrast, discriminator_width=width)


def learn(
    learner: Learner, batch: Batch, step: int, config: TrainConfig, *, teacher: Gate | None, rate: float
) -> Learned:
    """One step of learning. teacher: whose rain is recycled, None for the baseline's; rate: of this step."""
    # Forward: a pair out of the teacher's rain, and the terms; then those of windows as they are.
    nets, optimizers = learner.nets, learner.optimizers
    generator = torch.Generator().manual_seed(_PASTE_SEED + config.seed * config.steps + step)
    rain, is_dried = teacher_rain(batch, teacher), learner.net.config.first is not None
    pair = recycle(batch.observed, batch.witnesses, rain, generator, options=config.recycle, is_dried=is_dried)
    pair = with_truths(pair, batch)
    made, terms = forward(learner.net, pair, batch, config)
    with torch.autocast(batch.error.device.type, torch.bfloat16, enabled=config.bf16):
        compared = Compared(pair, made.excess, batch.is_told | batch.is_clean)
        terms |= cell_terms(nets, compared, made.features, generator, config.contrast)
        terms |= nlcl_terms(nets, scene_of(batch, config.contrast.windows), generator, config.weights, config.contrast)
    total = weighted_sum(terms, config.weights.counted)

    # Backward, clip, step, moving average.
    players = [player for name, player in optimizers.items() if name != "discriminator"]
    size = descend(total, players, rate, config.largest_gradient)
    follow(learner.average, learner.net, min(config.average, (step + 1) / (step + 10)))

    # The discriminator, on what is made now.
    if nets.discriminator is not None:
        whole = scene_of(batch, config.batch)
        terms["discriminator"] = discriminator_loss(nets, whole, config.contrast.windows)
        judge = [optimizers["discriminator"]]
        descend(terms["discriminator"], judge, config.discriminator_rate, config.largest_gradient)

    numbers = {name: term.item() for name, term in terms.items()}  # a sync point
    numbers |= {"total": total.item(), "gradient": size, "rate": rate}
    return Learned(pair, made.background.detach(), numbers)


def windows_of(config: TrainConfig, on_event: OnEvent = ignore) -> Windows:
    """What a run of these settings learns from. Raises VidrainError."""
    return Windows(config.data, cut_of(config, CONFIGS[config.model]), seed=config.seed, tell=on_event)


def cut_of(config: TrainConfig, size: GateConfig) -> Cut:
    """The windows that a step learns from: as a gate of that size sees them, and in as many views as the terms do."""
    views = views_of(config.weights, config.contrast)
    return Cut(radius=size.radius, first=size.first, patch=config.patch, batch=config.batch, views=views)


def teacher_rain(batch: Batch, teacher: Gate | None) -> Tensor:
    """The rain of the windows, to be pasted elsewhere. [N, 1, H, W] >= 0

    What the teacher (None: the baseline) takes for it; where the truth is told, what the observation has beyond that.
    """
    rain = batch.rain
    if teacher is not None:
        with torch.no_grad():
            seen = look_at(batch.observed, batch.window)
            rain = taken(teacher(seen.planes).clamp(0, 1), seen)
    beyond = (batch.observed - batch.truth).clamp(min=0)  # nothing, of a clean picture
    return torch.where((batch.is_told | batch.is_clean)[:, None, None, None], beyond, rain)


class Made(NamedTuple):
    """What a network makes of a pair: background and, of what exceeds, all that could be rain, [N, 1, H, W]; features
    of its trunk, [N, C, h, w].
    """

    background: Tensor
    excess: Tensor
    features: Tensor


def forward(net: Gate, pair: Recycled, batch: Batch, config: TrainConfig) -> tuple[Made, dict[str, Tensor]]:
    """What the network makes of a pair of the batch, and every term of the loss that looks at nothing else."""
    seen = look_at(pair.observed, Window(pair.observed, pair.witnesses, batch.error))
    with torch.autocast(batch.error.device.type, torch.bfloat16, enabled=config.bf16):
        features = net.features(seen.planes)
        shares = with_looks(net.decided(features, seen.planes.shape[-2:]), seen.planes[:, -1:])
    rain = taken(shares.float(), seen)
    background = pair.observed - rain
    is_certain = batch.is_told | (batch.is_clean & (config.weights.truth > 0))  # rain pasted on a clean picture, too
    weight = trust(pair, batch.is_clean, config.dry) * ~is_certain[:, None, None, None]
    untrained = with_looks(torch.zeros_like(shares, dtype=torch.float32), seen.planes[:, -1:])
    before = pair.observed - taken(untrained, seen)
    terms = {
        "recycling": charbonnier(background, pair.target, weight, config.softness),
        "truth": relative_error(background, pair.target, before, pair.known, is_certain),
        "correction": taken((shares.float() - untrained).square(), seen).mean(),
        "sparsity": rain_sparsity(rain),
    }
    made = Made(background, seen.excess, features)
    return made, {name: term for name, term in terms.items() if name in config.weights.counted}


def scene_of(batch: Batch, windows: int) -> Scene:
    """The first windows of a batch as they are, for the terms of NLCL."""
    neighbour = None if batch.neighbour is None else batch.neighbour.first(windows)
    beside = None if batch.beside is None else batch.beside.first(windows)
    return Scene(batch.window.first(windows), batch.is_clean[:windows], neighbour, beside)


def descend(total: Tensor, players: Sequence[Optimizer], rate: float, largest_gradient: float) -> float:
    """One step of every player down the gradient of `total`; returns the gradient's length for the first, uncut.

    Each is cut by itself: contrast heads have gradients hundreds of times longer than those of a restorer.
    """
    for player in players:
        player.zero_grad()
    total.backward()  # type: ignore[no-untyped-call]
    lengths = []
    for player in players:
        for group in player.param_groups:
            group["lr"] = rate
        moved = [parameter for group in player.param_groups for parameter in group["params"]]
        lengths.append(clip_grad_norm_(moved, largest_gradient))
        player.step()
    return lengths[0].item()


def weighted_sum(terms: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor:
    """The sum of the terms times their weights; each term has a weight and each weight its term."""
    if terms.keys() != weights.keys():
        raise ValueError(f"found terms {sorted(terms)} and weights {sorted(weights)}; want the same names")
    return torch.stack([terms[name] * weights[name] for name in sorted(terms)]).sum()


def rate_at(step: int, config: TrainConfig) -> float:
    """The learning rate: up in a line while warming up, then down to a hundredth along a cosine."""
    if step < config.warm_up:
        return config.rate * (step + 1) / config.warm_up
    progress = (step - config.warm_up) / max(config.steps - config.warm_up, 1)
    return config.rate * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)


@torch.no_grad()
def follow(average: nn.Module, net: nn.Module, keep: float) -> None:
    """Move the average towards the network: keep * average + (1 - keep) * network."""
    for slow, fast in zip(average.parameters(), net.parameters(), strict=True):
        slow.lerp_(fast, 1 - keep)


def _prepared(config: TrainConfig) -> torch.device:
    """The device, with torch's threads and first weights as the settings want them."""
    if config.threads is not None:
        torch.set_num_threads(config.threads)
    torch.manual_seed(config.seed)
    return torch.device(device_of(config.device))


def _plan(config: TrainConfig, run_dir: Path, windows: Windows, first: int) -> TrainingPlan:
    count = sum(parameter.numel() for parameter in Gate(CONFIGS[config.model]).parameters())
    return TrainingPlan(
        run_dir=str(run_dir),
        model=config.model,
        parameters=count,
        device=device_of(config.device),
        clips=windows.clips,
        first=first,
        steps=config.steps,
    )


def _step(done: int, total: int, loss: float, speed: float) -> TrainingStep:
    return TrainingStep(steps=done, total=total, loss=loss, steps_per_s=speed, eta_s=(total - done) / speed)
