"""A model that goes wrong on some of its calls."""

from collections.abc import Callable
from dataclasses import dataclass, field

from torch import Tensor

from vidrain.baseline import Baseline, BaselineOptions
from vidrain.types import Aligned, Sight


@dataclass
class Spoiled:
    """The baseline, but for the calls in `bad`, whose result goes through `spoil`."""

    bad: frozenset[int]
    spoil: Callable[[Tensor], Tensor]
    radius: int = 1
    first: None = None
    remembers: bool = False
    sees: Sight = "luma"
    wants_error: bool = False
    calls: int = 0
    model: Baseline = field(default_factory=lambda: Baseline(BaselineOptions(radius=1)))

    def __call__(self, aligned: Aligned) -> Tensor:
        rain = self.model(aligned)
        self.calls += 1
        return self.spoil(rain) if self.calls - 1 in self.bad else rain
