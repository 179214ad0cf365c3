"""How many seconds a rate time unit lasts, where nobody says: for the membranes to follow, and spikes to be quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.noise_budget import NoiseBudget
    from ddm2snn.network import RateNetwork

_DECORRELATION_S = 0.31  # 15 membrane time constants, and as many spikes at 50 Hz
_USUAL_NEURONS_PER_UNIT = 3
_LOUDEST = 0.34  # first heard, which is a tenth less in the end: with the three quarters always injected within 10 %
NOISE_BY_TIME = 1.5  # power of the time unit with which spike noise falls, at the least of what was measured
_LONGEST = 4.0


def natural_time_unit_s(
    rate: RateNetwork, z: Float[np.ndarray, "sample rank"], neurons_per_unit: float = _USUAL_NEURONS_PER_UNIT
) -> float:
    """Seconds per rate time unit in which the fastest latent needs 310 ms to change by its own spread.

    With fewer than three neurons per unit in proportion longer: as many spikes carry a time unit, so that their noise
    and their cost stay what they are. Rounded to 1, 2 or 5 times a power of ten.
    """
    velocity = rate.internal_readout(z) - z
    fastest = float(np.max(np.sqrt((velocity**2).mean(axis=0)) / z.std(axis=0)))
    wanted = _DECORRELATION_S * fastest * max(1.0, _USUAL_NEURONS_PER_UNIT / neurons_per_unit)
    steps = np.array([m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5)])
    return float(steps[np.argmin(np.abs(np.log(steps / wanted)))])


def stretch(heard: NoiseBudget) -> float:
    """How much longer a time unit makes the spikes as quiet as they must be for the noise that is always injected."""
    loud = (heard.excess or 0.0) / _LOUDEST
    return min(max(loud, 1.0) ** (1.0 / NOISE_BY_TIME), _LONGEST)


def two_digits(time_s: float, longest_s: float = np.inf) -> float:
    """Time rounded to two digits, and down to them where a device allows no longer one."""
    rounded = float(f"{time_s:.2g}")
    if rounded <= longest_s:
        return rounded
    size = 10.0 ** np.floor(np.log10(longest_s))
    return float(f"{np.floor(10.0 * longest_s / size) * size / 10.0:.2g}")


def whole_hundredths(time_s: float, dt_s: float, longest_s: float = np.inf) -> float:
    """Time of two digits, and up to whole hundreds of steps: samples every 0.01, 0.02, ... time units are whole steps.

    Of two digits only, where a device has no room for the longer time.
    """
    unit_s = 100.0 * dt_s
    rounded = two_digits(time_s)
    longer_s = float(f"{np.ceil(rounded / unit_s - 1e-9) * unit_s:.12g}")
    return longer_s if longer_s <= longest_s else two_digits(time_s, longest_s)
