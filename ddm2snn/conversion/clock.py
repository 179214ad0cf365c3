"""The clock of a spiking simulation, and how many seconds a rate time unit lasts where nobody says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ddm2snn.analysis.flow import network_jacobian
from ddm2snn.network import to_system
from ddm2snn.neuron import SpikeTiming

if TYPE_CHECKING:
    from jaxtyping import Float

    from ddm2snn.conversion.noise_budget import NoiseBudget
    from ddm2snn.network import RateNetwork

_DECORRELATION_S = 0.31  # 15 membrane time constants, and as many spikes at 50 Hz [measured: vanderpol, lorenz]
_USUAL_NEURONS_PER_UNIT = 3  # fewer make the time unit longer [measured: vanderpol, lorenz]
# of spike noise to the target's in a pilot, so that there is room to inject at most frequencies [measured: vanderpol,
# lorenz]
_LARGEST_RATIO = 0.34
_NOISE_EXPONENT = 1.5  # spike noise falls with this power of the time unit or faster [measured: vanderpol, lorenz]
_LONGEST = 4.0  # factor on the first time unit [choice]
_RISE = 0.02  # rate time units: synapses rise no slower [measured: vanderpol]
_RISE_OF_FASTEST = 0.2  # share of the time scale of the fastest motion that they take at most [measured: lorenz]
_STATES = 4000  # whose Jacobian is taken at most [cost]


@dataclass(frozen=True)
class Clock:
    """Time scales of a spiking simulation.

    Parameters
    ----------
    time_unit_s
        T, seconds per rate time unit, which is the synaptic time constant.
    dt_s
        Time step in seconds.
    spike_timing
        How the simulator times spikes: on its grid, or interpolated within a step.
    rounded_decay
        Decay of a latent in one step as the registers of a device hold it; None in floating point.
    rise_s
        Time constant with which synapses rise; 0 for at once.

    Examples
    --------
    >>> clock = Clock(time_unit_s=0.1, dt_s=0.001, spike_timing="grid")
    >>> clock.step
    0.01
    >>> round(clock.decay, 5)
    0.99005
    """

    time_unit_s: float
    dt_s: float
    spike_timing: SpikeTiming
    rounded_decay: float | None = None
    rise_s: float = 0.0

    @property
    def step(self) -> float:
        """Time step in rate time units."""
        return self.dt_s / self.time_unit_s

    @property
    def decay(self) -> float:
        """Share of a latent that is left after one step: exp(-dt/T), or what a device makes of it."""
        return float(np.exp(-self.dt_s / self.time_unit_s)) if self.rounded_decay is None else self.rounded_decay

    @property
    def rise_decay(self) -> float:
        """Share of what is still to rise that is left after one step: exp(-dt/`rise_s`); 0 without a rise."""
        return float(np.exp(-self.dt_s / self.rise_s)) if self.rise_s else 0.0


def natural_time_unit_s(
    rate: RateNetwork, z: Float[np.ndarray, "sample rank"], neurons_per_unit: float = _USUAL_NEURONS_PER_UNIT
) -> float:
    """Seconds per rate time unit in which the fastest latent needs 310 ms to change by its own spread.

    The time is longer in proportion where there are fewer than three neurons per unit: the number of spikes in a time
    unit, their noise and their cost then stay the same. It is rounded to 1, 2 or 5 times a power of ten.
    """
    velocity = rate.internal_readout(z) - z
    fastest = float(np.max(np.sqrt((velocity**2).mean(axis=0)) / z.std(axis=0)))
    wanted = _DECORRELATION_S * fastest * max(1.0, _USUAL_NEURONS_PER_UNIT / neurons_per_unit)
    steps = np.array([m * 10.0**e for e in range(-6, 7) for m in (1, 2, 5)])
    return float(steps[np.argmin(np.abs(np.log(steps / wanted)))])


def fastest_rate(rate: RateNetwork, z: Float[np.ndarray, "sample rank"]) -> float:
    """Largest size of an eigenvalue of the drift's Jacobian, per rate time unit, over internal states."""
    some = z[:: max(1, len(z) // _STATES)]
    jacobian = network_jacobian(rate.in_rate_time)
    return float(np.abs(np.linalg.eigvals(jacobian(to_system(rate, some)))).max())


def natural_rise_s(rate: RateNetwork, z: Float[np.ndarray, "sample rank"], time_unit_s: float) -> float:
    """Time in which synapses rise: a fiftieth of the time unit, or a fifth of the time scale of the fastest motion.

    The rise takes away what single spikes bring along at short lags. The latents follow their own motion through it,
    since decoders are solved behind it; a slower rise would delay how they answer noise.
    """
    return time_unit_s * min(_RISE, _RISE_OF_FASTEST / max(fastest_rate(rate, z), np.finfo(float).tiny))


def stretch(pilot: NoiseBudget) -> float:
    """Factor by which a longer time unit lowers the pilot's spike-noise ratio to the largest that is wanted."""
    over = (pilot.spike_noise_ratio or 0.0) / _LARGEST_RATIO
    return min(max(over, 1.0) ** (1.0 / _NOISE_EXPONENT), _LONGEST)


def two_digits(time_s: float, longest_s: float = np.inf) -> float:
    """Time rounded to two digits; rounded down where it would be longer than `longest_s`.

    >>> two_digits(0.1234), two_digits(0.1234, longest_s=0.119)
    (0.12, 0.11)
    """
    rounded = float(f"{time_s:.2g}")
    if rounded <= longest_s:
        return rounded
    size = 10.0 ** np.floor(np.log10(longest_s))
    return float(f"{np.floor(10.0 * longest_s / size) * size / 10.0:.2g}")


def whole_hundredths(time_s: float, dt_s: float, longest_s: float = np.inf) -> float:
    """Time rounded to two digits, then up to whole hundreds of steps.

    Samples every 0.01, 0.02, ... time units are then whole steps. Where the result would be longer than `longest_s`,
    the time is rounded to two digits only.

    >>> whole_hundredths(0.1234, dt_s=0.001), whole_hundredths(0.38, dt_s=0.001)
    (0.2, 0.4)
    """
    unit_s = 100.0 * dt_s
    rounded = two_digits(time_s)
    longer_s = float(f"{np.ceil(rounded / unit_s - 1e-9) * unit_s:.12g}")
    return longer_s if longer_s <= longest_s else two_digits(time_s, longest_s)
