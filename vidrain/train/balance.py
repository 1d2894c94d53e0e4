"""What every term of the loss counts, and nothing else."""

from dataclasses import asdict, dataclass

from vidrain.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class LossWeights:
    """What the terms count; one of weight 0 is not computed at all.

    Of recycled pairs. recycling: |B - P|. correction: mean excess times the square of how far the gate strays from
    what looks like rain without training. sparsity: mean |R|, most of a picture is dry.
    truth: the error of B as a share of that before training, where the truth is told (rendered, settled, dry) or rain
    was pasted on a clean picture; without it recycling counts the latter.
    cells: contrast of the layers in the restorer's trunk, where they are known.
    Of windows as they are, the terms of NLCL. location: contrast of places. layer: contrast of the layers.
    adversarial: B against unpaired clean pictures. decorrelation: of the rains of two frames. consistency: of their
    backgrounds.
    """

    recycling: float = 1.0
    truth: float = 0.0
    correction: float = 0.3
    sparsity: float = 0.0
    cells: float = 0.0
    location: float = 0.0
    layer: float = 0.0
    adversarial: float = 0.0
    decorrelation: float = 0.0
    consistency: float = 0.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not value >= 0:
                raise UsageError(f"weights.{name}={value}: allowed: from 0")
        if not self.counted:
            raise UsageError("weights: all are 0; give at least one term a weight, such as weights.recycling=1")

    @property
    def counted(self) -> dict[str, float]:
        """The terms that count, and how much."""
        return {name: value for name, value in asdict(self).items() if value}
