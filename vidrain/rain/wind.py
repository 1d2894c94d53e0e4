"""Air that moves at random but not by jumps: Ornstein-Uhlenbeck velocities, exact for steps of any length."""

from typing import cast

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def wandered(now: Floats, spread: Floats | float, memory_s: float, seconds: float, noise: Floats) -> Floats:
    """The state of an Ornstein-Uhlenbeck process `seconds` after `now`: keeps mean 0 and standard deviation `spread`.

    memory_s: time after which it has forgotten all but 1/e of where it was; noise: standard normal, shape of `now`.
    """
    kept = np.exp(-seconds / memory_s)
    return cast(Floats, now * kept + spread * np.sqrt(1 - kept**2) * noise)
