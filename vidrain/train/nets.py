"""The networks of a run: all made before the first step, each with its name, and who moves it."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass

from torch import nn

from vidrain.model.gate import Gate
from vidrain.train.balance import LossWeights
from vidrain.train.choice import ContrastOptions
from vidrain.train.discriminator import WIDTH, Discriminator
from vidrain.train.encoder import DiscriminatorEncoder, Encoder, RestorerEncoder
from vidrain.train.projection import Projections


@dataclass(frozen=True)
class Nets:
    """restorer: what is trained for. average: its moving average, the teacher, and what is kept. The rest only trains.

    heads: `location`, `layer` and `cells`, those that are compared. discriminator: None where nothing asks for it.
    """

    restorer: Gate
    average: Gate
    heads: Mapping[str, Projections]
    discriminator: Discriminator | None
    encoder: Encoder

    @property
    def players(self) -> dict[str, Sequence[nn.Module]]:
        """Which optimizer moves what; whatever else holds parameters is held."""
        found: dict[str, Sequence[nn.Module]] = {"gate": [self.restorer]}
        found |= {"heads": list(self.heads.values())} if self.heads else {}
        return found | ({"discriminator": [self.discriminator]} if self.discriminator else {})

    @property
    def named(self) -> dict[str, nn.Module]:
        """All of them, as checkpoints call them."""
        found: dict[str, nn.Module] = {"net": self.restorer, "average": self.average}
        found |= {f"{name}_heads": heads for name, heads in self.heads.items()}
        return found | ({"discriminator": self.discriminator} if self.discriminator else {})


def needs_discriminator(weights: LossWeights, contrast: ContrastOptions) -> bool:
    """Whether a term that counts asks for a discriminator: it has to learn from clean pictures."""
    return bool(weights.adversarial or (_compared(weights) and contrast.encoder == "discriminator"))


def make_nets(restorer: Gate, weights: LossWeights, contrast: ContrastOptions, width: int = WIDTH) -> Nets:
    """What learns along with a restorer, on its device; of a term that does not count nothing is made.

    width: of the discriminator.
    """
    device = next(restorer.parameters()).device
    average = deepcopy(restorer).requires_grad_(False)
    discriminator = Discriminator(width).to(device) if needs_discriminator(weights, contrast) else None
    encoder: Encoder = RestorerEncoder(average)
    if discriminator is not None and contrast.encoder == "discriminator":
        encoder = DiscriminatorEncoder(discriminator)
    heads = {name: Projections(encoder.channels).to(device) for name in _compared(weights)}
    if weights.cells:
        heads["cells"] = Projections([restorer.config.width]).to(device)
    return Nets(restorer, average, heads, discriminator, encoder)


def _compared(weights: LossWeights) -> list[str]:
    return [name for name in weights.counted if name in ("location", "layer")]
