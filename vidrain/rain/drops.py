"""Raindrops in still air: how many of which size, how fast they fall, how they swing, how much light they take.

Pure arithmetic; knows neither cameras nor pictures. Lengths are in the units of the names: diameters in millimetres,
everything else in metres and seconds.

    >>> round(count_per_m3(10.0, 0.5, 6.0))  # drops in a cubic metre of moderate rain
    894
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LEAST_MM, MOST_MM = 0.5, 6.0  # smaller ones are mist, larger ones burst
MOST_RATE = 200.0  # mm/h; a cloudburst, and as far as the law was fitted
_DENSITY = 8000.0  # drops in a cubic metre per millimetre of diameter, at diameter 0 (Marshall and Palmer 1948)
_TENSION = 0.0728  # N/m, of water against air
_WATER = 1000.0  # kg/m3


def slope(rate: float) -> float:
    """Lambda of Marshall and Palmer (1948) in 1/mm, for a rain rate above 0 in mm/h: 4.1 R^-0.21."""
    return float(4.1 * rate**-0.21)


def count_per_m3(rate: float, least_mm: float, most_mm: float) -> float:
    """Drops in a cubic metre of diameters in [least_mm, most_mm]: the integral of 8000 exp(-Lambda D)."""
    if rate <= 0:
        return 0.0
    falloff = slope(rate)
    return float(_DENSITY / falloff * (np.exp(-falloff * least_mm) - np.exp(-falloff * most_mm)))


def drawn_diameters(rate: float, least_mm: float, most_mm: float, uniform: Floats) -> Floats:
    """Diameters in mm for numbers in [0, 1), such that they follow the same law between the two bounds."""
    falloff = slope(rate)
    share = uniform * -np.expm1(-falloff * (most_mm - least_mm))
    return np.asarray(np.clip(least_mm - np.log1p(-share) / falloff, least_mm, most_mm))


def fall_speed(diameter_mm: Floats) -> Floats:
    """Terminal speed in m/s: 9.65 - 10.3 exp(-0.6 D), Atlas, Srivastava and Sekhon (1973)."""
    return np.asarray(9.65 - 10.3 * np.exp(-0.6 * diameter_mm))


def rate_of(diameter_mm: Floats, volume_m3: Floats | float) -> float:
    """The rain rate in mm/h that drops amount to: the sum of (pi/6) D^3 v / volume.

    volume_m3: of the air in which they were counted, or [D]: for each drop of that in which it would have been.
    """
    flux = (diameter_mm**3 * fall_speed(diameter_mm) / volume_m3).sum()  # mm3 m/s per m3 of air
    return float(np.pi / 6 * flux * 3600e-6)


def swing_hz(diameter_mm: Floats) -> Floats:
    """How often a drop swings between flat and tall: sqrt(n(n-1)(n+2) sigma / (rho a^3)) / 2 pi, n = 2 (Rayleigh 1879).

    Garg and Nayar (2006) found this to be what makes real streaks brighter and darker along their length.
    """
    radius = diameter_mm / 2000
    return np.asarray(np.sqrt(8 * _TENSION / (_WATER * radius**3)) / (2 * np.pi))


def extinction(rate: float) -> float:
    """What rain too fine to be seen as streaks takes of the light on its way, in 1/m: 0.312 R^0.67 per kilometre."""
    return float(0.312e-3 * rate**0.67) if rate > 0 else 0.0


def splashing_per_m2_s(rate: float, least_mm: float) -> float:
    """How many drops of at least `least_mm` strike a square metre of ground in a second."""
    edges = np.linspace(least_mm, MOST_MM, 200)
    middle = (edges[1:] + edges[:-1]) / 2
    if rate <= 0:
        return 0.0
    density = _DENSITY * np.exp(-slope(rate) * middle)
    return float((density * fall_speed(middle)).sum() * (edges[1] - edges[0]))
